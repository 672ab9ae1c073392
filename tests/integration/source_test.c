/* SPDX-License-Identifier: Apache-2.0
 *
 * A source with a bus and nothing behind it, for tests/integration/source.sh.
 *
 * usage: source_test CONFIG [raw]   Runs source_run; what comes out of the bus is printed, one line an
 * event, as are changes of state. Lines on standard input: "tables PATTERN..." is a reload,
 * "hold" stops reading from the bus, "go" reads on, the end of input asks to stop (drain).
 * With raw, rows are printed as bytes instead, fields separated by tabs: "schema ID TEXT" before its first use, and
 * "event TOPIC KEY VALUE HEADERS", key and value in hexadecimal or "-", headers as a JSON list of pairs.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/cli/config.h"
#include "agent/source/source.h"
#include "schemas/avro.h"
#include "schemas/registry_http.h"

static const char *const states[] = {"starting", "waiting", "copying", "streaming", "retrying",
                                     "blocked", "stopped", "failed"};

struct bench {
    struct env env;
    struct config *config;
    struct store *store;
    struct bus *bus;
    struct bus_reader *reader;
    struct registry *registry;
    struct envelope_reader *decode;
    struct lag *lag;
    struct source *source;
    pthread_t thread;
    struct err result;
    int rc;
    _Atomic bool done;
    bool hold;
    bool raw;
    bool shown[4096]; /* schemas by id */
    struct source_status last;
};

static void die(const char *what, const struct err *e)
{
    printf("end %s %s: %s\n", what, err_name(e->code), e->msg);
    exit(70);
}

static void *run(void *self)
{
    struct bench *b = self;
    b->rc = source_run(b->source, &b->result);
    atomic_store(&b->done, true);
    return NULL;
}

static void open_all(struct bench *b, const char *path)
{
    struct err e = ERR_INIT;
    struct buf faults = BUF_INIT;
    static const char *const groups[] = {"test"};
    b->env.log = log_open(2, &clock_system);
    b->env.metrics = metrics_open();
    b->env.clock = &clock_system;
    b->env.stop_fd = eventfd(0, EFD_CLOEXEC);
    log_configure(b->env.log, LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    b->config = config_load(path, &faults, &e);
    if (!b->config)
        die(faults.p ? faults.p : "config", &e);
    buf_free(&faults); /* warnings */
    const struct bus_options o = {.max_bytes = (uint64_t) b->config->bus.max_mb << 20,
                                  .memory_bytes = (uint64_t) b->config->bus.memory_mb << 20,
                                  .sync_ms = b->config->bus.sync_ms};
    if (store_open(b->config->state, o.max_bytes * 2, false, &b->store, &e) ||
        bus_local_open(&b->env, b->store, &o, groups, 1, &b->bus, &e))
        die("open", &e);
    b->registry = registry_open(&b->env, b->store, b->config, &e);
    b->lag = lag_open(&b->env, b->config->source.sentinel_ms * 1000, groups, 1);
    b->reader = bus_read(b->bus, "test", false, &e);
    if (!b->registry || !b->lag || !b->reader)
        die("open", &e);
    b->decode = envelope_reader_open(b->registry);
    const struct source_parts parts = {&b->env, b->config, b->store, b->bus, b->lag, b->registry};
    b->source = source_open(&parts);
    if (pthread_create(&b->thread, NULL, run, b))
        die("thread", &e);
}

static void close_all(struct bench *b)
{
    source_close(b->source);
    lag_close(b->lag);
    envelope_reader_close(b->decode);
    registry_close(b->registry);
    bus_leave(b->reader);
    bus_close(b->bus);
    store_close(b->store);
    metrics_close(b->env.metrics);
    config_free(b->config);
    log_close(b->env.log);
    close(b->env.stop_fd);
}

/* ---- printing ---- */

static void print_row(struct bench *b, const struct event *ev)
{
    struct arena a;
    struct change change = {.op = OP_NONE};
    struct buf json = BUF_INIT;
    struct err e = ERR_INIT;
    arena_init(&a, 0, "row");
    if (envelope_read(b->decode, ev, &a, &change, &e))
        die("row", &e);
    printf("row %.*s %c", STR_ARG(ev->topic), change.op ? (int) change.op : '-');
    if (change.op == OP_MESSAGE)
        printf(" %.*s=%.*s", STR_ARG(change.prefix), STR_ARG(change.content));
    if (change.op == OP_NONE && !ev->tombstone && !change.rel && !envelope_json(b->decode, ev->value, &json, &e))
        printf(" %.*s", STR_ARG(buf_str(&json)));
    buf_free(&json);
    const struct value *row = change.after ? change.after : change.before;
    for (int at = 0; row && change.rel && at < change.rel->column_count; at++) {
        if (row[at].state == VALUE_SET)
            printf(" %.*s=%.*s", STR_ARG(change.rel->columns[at].name), STR_ARG(row[at].text));
        else if (row[at].state != VALUE_ABSENT)
            printf(" %.*s:%s", STR_ARG(change.rel->columns[at].name),
                   row[at].state == VALUE_NULL ? "null" : "unchanged");
    }
    printf("\n");
    arena_free(&a);
}

static void print_schema(struct bench *b, struct str wire)
{
    struct arena a;
    struct err e = ERR_INIT;
    struct str text;
    struct cursor in = cursor_of(wire);
    int id = wire.len ? avro_get_wire(&in) : 0;
    if (id <= 0 || id >= (int) (sizeof b->shown / sizeof *b->shown) || b->shown[id])
        return;
    arena_init(&a, 0, "schema");
    if (registry_text(b->registry, id, &a, &text, &e))
        die("schema", &e);
    printf("schema\t%d\t%.*s\n", id, STR_ARG(text));
    b->shown[id] = true;
    arena_free(&a);
}

static void print_hex(struct str bytes)
{
    printf("\t%s", bytes.len ? "" : "-");
    for (size_t at = 0; at < bytes.len; at++)
        printf("%02x", (unsigned char) bytes.p[at]);
}

static void print_raw(struct bench *b, const struct event *ev)
{
    struct buf headers = BUF_INIT;
    struct str name, value;
    for (size_t at = 0; headers_next(ev->headers, &at, &name, &value);) {
        buf_add_text(&headers, headers.len ? ",[" : "[");
        buf_add_json(&headers, name);
        buf_add_char(&headers, ',');
        buf_add_json(&headers, value);
        buf_add_char(&headers, ']');
    }
    print_schema(b, ev->key);
    print_schema(b, ev->value);
    printf("event\t%.*s", STR_ARG(ev->topic));
    print_hex(ev->key);
    print_hex(ev->value);
    printf("\t[%.*s]\n", STR_ARG(buf_str(&headers)));
    buf_free(&headers);
}

static void print_mark(const char *word, const struct mark *m)
{
    printf("%s %s lsn=%s seq=%llu timeline=%u%s%s%s topic=%.*s\n", word,
           m->kind == MARK_COPY ? "copy" : "stream", LSN_STR(m->pos.lsn),
           (unsigned long long) m->pos.seq, m->pos.timeline,
           m->flags & MARK_SENTINEL ? " sentinel" : "", m->flags & MARK_COPY_FIRST ? " first" : "",
           m->flags & MARK_COPY_LAST ? " last" : "", STR_ARG(m->topic));
}

static void print_events(struct bench *b)
{
    struct event ev;
    struct err e = ERR_INIT;
    int rc = 0;
    while (!b->hold && (rc = bus_next(b->reader, 20000, &ev, &e)) == 1) {
        if (ev.kind == EVENT_ROW && b->raw)
            print_raw(b, &ev);
        else if (ev.kind == EVENT_ROW)
            print_row(b, &ev);
        else
            print_mark(ev.kind == EVENT_BEGIN ? "begin" : "commit", &ev.mark);
        if (ev.kind != EVENT_COMMIT)
            continue;
        fflush(stdout); /* what is taken must have been told, also when we are killed now */
        if (bus_take(b->reader, ev.offset + 1, &e))
            die("take", &e);
    }
    if (rc < 0)
        die("read", &e);
    if (b->hold)
        usleep(20000);
}

static void print_state(struct bench *b)
{
    struct source_status st;
    source_get_status(b->source, &st);
    if (st.state != b->last.state || strcmp(st.detail, b->last.detail) != 0)
        printf("state %s %s\n", states[st.state], st.detail);
    b->last = st;
    fflush(stdout);
}

/* ---- commands ---- */

static void reload(struct bench *b, char *words)
{
    struct config changed = *b->config;
    const char *items[16];
    changed.source.tables = (struct config_list){0, items};
    for (char *word = strtok_r(words, " \n", &words); word && changed.source.tables.count < 16;
         word = strtok_r(NULL, " \n", &words))
        items[changed.source.tables.count++] = word;
    source_reload(b->source, &changed);
}

static bool take_command(struct bench *b)
{
    char line[512];
    struct pollfd in = {.fd = 0, .events = POLLIN};
    if (poll(&in, 1, 0) <= 0)
        return true;
    if (!fgets(line, sizeof line, stdin))
        return false;
    if (strncmp(line, "tables ", 7) == 0)
        reload(b, line + 7);
    b->hold = strcmp(line, "hold\n") == 0 || (b->hold && strcmp(line, "go\n") != 0);
    return true;
}

int main(int argc, char **argv)
{
    static struct bench b;
    bool open = true;
    if (argc != 2 && (argc != 3 || strcmp(argv[2], "raw") != 0))
        return 2;
    b.raw = argc == 3;
    setvbuf(stdin, NULL, _IONBF, 0); /* poll must see what is left */
    open_all(&b, argv[1]);
    while (!atomic_load(&b.done)) {
        print_events(&b);
        print_state(&b);
        if (open && !take_command(&b)) {
            const uint64_t one = 1;
            open = false;
            atomic_store(&b.env.stop, STOP_DRAIN);
            if (write(b.env.stop_fd, &one, sizeof one) < 0)
                return 71;
        }
    }
    pthread_join(b.thread, NULL);
    print_events(&b);
    print_state(&b);
    printf("end %d %s %s\n", b.rc, err_name(b.result.code), b.result.msg);
    int code = b.rc ? err_exit_code(&b.result) : 0;
    close_all(&b);
    return code;
}
