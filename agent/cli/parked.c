/* SPDX-License-Identifier: Apache-2.0
 *
 * `tailrace parked`: list from the running process, or from the state directory when none runs; show
 * from the state directory, which may be read beside a process, since only there is the row itself;
 * replay and drop by the running process alone, since only it has the target.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/cli/answer.h"
#include "agent/cli/cli.h"
#include "agent/cli/config.h"
#include "agent/hub/park.h"
#include "schemas/envelope.h"
#include "schemas/registry_http.h"

#define LIST_WAIT_MS 10000
#define REPLAY_WAIT_MS 120000
#define EXIT_PARKED 4
#define MAP_BYTES ((uint64_t) 1 << 40) /* address space to read with; the file's own size counts */

struct parked_call {
    struct cli *c;
    const struct config *config;
    const char *route; /* NULL: all */
    int64_t number;    /* 0: none given */
    bool all;
};

/* ---- asking ---- */

static json_t *ask(const struct parked_call *k, const char *cmd, int64_t wait_ms, struct err *e)
{
    struct buf request = BUF_INIT;
    buf_addf(&request, "{\"cmd\":\"%s\",\"number\":%lld,\"route\":", cmd, (long long) k->number);
    if (k->route)
        buf_add_json(&request, str_of(k->route));
    else
        buf_add_text(&request, "null");
    buf_add_char(&request, '}');
    json_t *got = answer_ask(k->config->state, buf_str(&request), wait_ms, e);
    buf_free(&request);
    return got;
}

static int add_row(void *self, const struct parked *row, struct err *e)
{
    struct buf *out = self;
    (void) e;
    if (out->p[out->len - 1] != '[')
        buf_add_char(out, ',');
    park_row_json(row, out);
    return 0;
}

/* From the state directory of a process that does not run. */
static json_t *read_stored(const struct parked_call *k, struct err *e)
{
    struct store *store;
    struct park *park = NULL;
    struct arena a;
    struct buf text = BUF_INIT;
    json_t *got = NULL;
    if (store_open(k->config->state, MAP_BYTES, true, &store, e))
        return NULL;
    arena_init(&a, 0, "parked list");
    buf_add_text(&text, "{\"parked\":[");
    if (!park_open(store, &park, e) && !park_each(park, k->route, &a, &text, add_row, e)) {
        buf_add_text(&text, "]}");
        got = json_loadb(text.p, text.len, 0, NULL);
        if (!got)
            (void) err_set(e, E_INTERNAL, "list of parked rows is no JSON");
    }
    park_close(park);
    arena_free(&a);
    buf_free(&text);
    store_close(store);
    return got;
}

static json_t *read_list(const struct parked_call *k, struct err *e)
{
    json_t *got = ask(k, "parked.list", LIST_WAIT_MS, e);
    if (!got && e->code == E_NOT_RUNNING) {
        err_clear(e);
        got = read_stored(k, e);
    }
    return got;
}

/* ---- printing ---- */

static const char *text_of(const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));
    return text ? text : "";
}

static long long number_of(const json_t *row, const char *name)
{
    return (long long) json_integer_value(json_object_get(row, name));
}

static void print_line(const json_t *row)
{
    printf("#%lld  %s  %s %s  %s  %s\n", number_of(row, "number"), text_of(row, "route"),
           text_of(row, "topic"), text_of(row, "key"),
           *text_of(row, "sqlstate") ? text_of(row, "sqlstate") : text_of(row, "code"),
           text_of(row, "reason"));
}

static void print_row(const json_t *row)
{
    static const char *const texts[] = {"route", "topic", "key", "lsn", "code", "sqlstate", "reason"};
    static const char *const numbers[] = {"seq", "commit_us", "parked_us", "behind"};
    printf("number: %lld\n", number_of(row, "number"));
    for (size_t at = 0; at < sizeof texts / sizeof *texts; at++)
        printf("%s: %s\n", texts[at], text_of(row, texts[at]));
    for (size_t at = 0; at < sizeof numbers / sizeof *numbers; at++)
        printf("%s: %lld\n", numbers[at], number_of(row, numbers[at]));
}

static void print_json(const json_t *rows)
{
    char *text = json_dumps(rows, JSON_COMPACT | JSON_PRESERVE_ORDER);
    printf("{\"version\":1,\"parked\":%s}\n", text ? text : "[]");
    free(text);
}

static int list(const struct parked_call *k, struct err *e)
{
    json_t *got = read_list(k, e), *row;
    size_t at;
    if (!got)
        return -1;
    json_t *rows = json_object_get(got, "parked");
    if (cli_flag(k->c, "json"))
        print_json(rows);
    else
        json_array_foreach(rows, at, row)
            print_line(row);
    int result = json_array_size(rows) ? EXIT_PARKED : 0;
    json_decref(got);
    return result;
}

/* The row itself, as JSON by its schema; what was not sent is in the headers' list. */
static int print_value(const struct parked_call *k, struct store *store, const struct parked *row, struct err *e)
{
    struct buf text = BUF_INIT;
    struct registry *registry = registry_open(k->c->env, store, k->config, e);
    if (!registry)
        return -1;
    struct envelope_reader *reader = envelope_reader_open(registry);
    int done = row->value.len ? envelope_json(reader, row->value, &text, e) : 0;
    if (!done)
        printf("value: %s\n", text.p ? text.p : "");
    envelope_reader_close(reader);
    registry_close(registry);
    buf_free(&text);
    return done;
}

struct wanted {
    uint64_t number;
    struct parked row; /* number 0: not met */
};

static int find_number(void *self, const struct parked *row, struct err *e)
{
    struct wanted *w = self;
    (void) e;
    if (row->number == w->number)
        w->row = *row;
    return 0;
}

static int show_row(const struct parked_call *k, struct store *store, const struct parked *row, struct err *e)
{
    struct buf text = BUF_INIT;
    park_row_json(row, &text);
    json_t *one = json_loadb(text.p, text.len, 0, NULL);
    buf_free(&text);
    if (!one)
        return err_set(e, E_INTERNAL, "a parked row is no JSON");
    json_t *rows = json_pack("[O]", one);
    if (cli_flag(k->c, "json"))
        print_json(rows);
    else
        print_row(one);
    json_decref(rows);
    json_decref(one);
    return cli_flag(k->c, "json") ? 0 : print_value(k, store, row, e);
}

static int show(const struct parked_call *k, struct err *e)
{
    struct store *store;
    struct park *park = NULL;
    struct arena a;
    struct wanted w = {.number = (uint64_t) k->number};
    if (store_open(k->config->state, MAP_BYTES, true, &store, e))
        return -1;
    arena_init(&a, 0, "parked list");
    int done = park_open(store, &park, e);
    if (!done)
        done = park_each(park, k->route, &a, &w, find_number, e);
    if (!done)
        done = w.row.number ? show_row(k, store, &w.row, e)
                            : err_set(e, E_USAGE, "no row #%lld is parked", (long long) k->number);
    arena_free(&a);
    park_close(park);
    store_close(store);
    return done;
}

/* ---- replay and drop ---- */

/* Numbers are of all routes together: a number names its route. */
static int find_route(struct parked_call *k, char *name, size_t room, struct err *e)
{
    size_t at;
    json_t *row, *got = k->route || !k->number ? NULL : read_list(k, e);
    if (k->route)
        return 0;
    if (k->number && !got)
        return -1;
    json_array_foreach(json_object_get(got, "parked"), at, row)
        if (number_of(row, "number") == k->number) {
            snprintf(name, room, "%s", text_of(row, "route"));
            k->route = name;
        }
    json_decref(got);
    if (!k->route && !k->number && k->config->route_count == 1)
        k->route = k->config->routes[0].name;
    if (k->route)
        return 0;
    return k->number ? err_set(e, E_USAGE, "no row #%lld is parked", (long long) k->number)
                     : err_set(e, E_USAGE, "there are several routes: name one with --route");
}

static int change(struct parked_call *k, bool drop, struct err *e)
{
    char route[256];
    const char *confirm = cli_flag(k->c, "confirm");
    if (!k->number == !k->all)
        return err_set(e, E_USAGE, "give the NUMBER of a row, or --all");
    if (find_route(k, route, sizeof route, e))
        return -1;
    if (drop && (!confirm || strcmp(confirm, k->route) != 0)) {
        (void) err_set(e, E_USAGE, "dropping rows loses them");
        return err_hint(e, "if that is meant: --confirm=%s", k->route);
    }
    json_t *got = ask(k, drop ? "parked.drop" : "parked.replay", REPLAY_WAIT_MS, e);
    if (!got)
        return -1;
    if (cli_flag(k->c, "json")) {
        char *text = json_dumps(got, JSON_COMPACT | JSON_PRESERVE_ORDER);
        printf("%s\n", text ? text : "{}");
        free(text);
    } else
        fputs(text_of(got, "report"), stdout);
    json_decref(got);
    k->number = 0;
    got = read_list(k, e);
    int result = !got ? -1 : json_array_size(json_object_get(got, "parked")) ? EXIT_PARKED : 0;
    json_decref(got);
    return result;
}

static int run_verb(struct parked_call *k, const char *verb, struct err *e)
{
    if (!strcmp(verb, "list"))
        return list(k, e);
    if (!strcmp(verb, "show"))
        return k->number ? show(k, e) : err_set(e, E_USAGE, "give the NUMBER of a row");
    if (!strcmp(verb, "replay") || !strcmp(verb, "drop"))
        return change(k, *verb == 'd', e);
    return err_set(e, E_USAGE, "parked knows list, show, replay and drop, not %s", verb);
}

int cmd_parked(struct cli *c, struct err *e)
{
    struct parked_call k = {.c = c, .route = cli_flag(c, "route"), .all = cli_flag(c, "all") != NULL};
    if (k.route && !*k.route)
        k.route = NULL;
    if (c->arg_count > 2)
        return err_set(e, E_USAGE, "parked takes a word and a number");
    if (c->arg_count == 2 && (!str_to_i64(str_of(c->args[1]), &k.number) || k.number < 1))
        return err_set(e, E_USAGE, "%s is not the number of a parked row", c->args[1]);
    struct config *config = cli_config(c, e);
    if (!config)
        return -1;
    k.config = config;
    int result = run_verb(&k, c->arg_count ? c->args[0] : "list", e);
    config_free(config);
    return result;
}
