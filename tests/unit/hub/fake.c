/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/hub/fake.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- registry ---- */

static struct fake *of_registry(struct registry *r)
{
    return (struct fake *) ((char *) r - offsetof(struct fake, registry));
}

static int registry_add_text(struct registry *r, struct str subject, struct str text, int *id, struct err *e)
{
    struct fake *f = of_registry(r);
    (void) subject;
    (void) e;
    for (*id = 1; *id <= f->text_count; ++*id)
        if (str_eq(f->texts[*id - 1], text))
            return 0;
    ck_assert_int_lt(f->text_count, 64);
    f->texts[f->text_count++] = arena_str(&f->arena, text);
    return 0;
}

static int registry_get_text(struct registry *r, int id, struct arena *a, struct str *text, struct err *e)
{
    struct fake *f = of_registry(r);
    if (id < 1 || id > f->text_count)
        return err_set(e, E_SCHEMA, "no schema %d", id);
    *text = arena_str(a, f->texts[id - 1]);
    return 0;
}

static const struct registry_driver registry_driver = {.add = registry_add_text, .text = registry_get_text};

/* ---- bus ---- */

static struct fake *of_bus(struct bus *b)
{
    return (struct fake *) ((char *) b - offsetof(struct fake, bus));
}

static struct bus_reader *bus_reader(struct bus *b, const char *group, bool ahead, struct err *e)
{
    struct fake *f = of_bus(b);
    (void) e;
    ck_assert_str_eq(group, "r");
    ck_assert(ahead);
    f->reader.bus = b;
    f->next = f->taken;
    return &f->reader;
}

static int bus_next_event(struct bus_reader *r, int64_t wait_us, struct event *ev, struct err *e)
{
    struct fake *f = of_bus(r->bus);
    (void) e;
    if (f->next < f->count) {
        *ev = f->events[f->next++];
        return 1;
    }
    if (wait_us && f->stop_at_end && f->taken == f->count)
        atomic_store(&f->env.stop, STOP_DRAIN);
    else if (wait_us)
        usleep(1000);
    return 0;
}

static int bus_seek_to(struct bus_reader *r, uint64_t offset, struct err *e)
{
    struct fake *f = of_bus(r->bus);
    (void) e;
    ck_assert_uint_ge(offset, f->taken);
    ck_assert_uint_le(offset, f->count);
    f->next = offset;
    f->seeks++;
    return 0;
}

static uint64_t bus_taken_offset(struct bus_reader *r) { return of_bus(r->bus)->taken; }

static int bus_take_to(struct bus_reader *r, uint64_t offset, struct str note, struct err *e)
{
    struct fake *f = of_bus(r->bus);
    (void) e;
    ck_assert(!f->lazy || f->flushed); /* never what the target may still lose */
    ck_assert_uint_le(offset, f->next);
    f->taken = offset;
    ck_assert_uint_le(note.len, sizeof f->note);
    f->note_len = note.len;
    if (note.len)
        memcpy(f->note, note.p, note.len);
    return 0;
}

static struct str bus_note_of(struct bus_reader *r)
{
    struct fake *f = of_bus(r->bus);
    return (struct str){f->note, f->note_len};
}

static int bus_forget_group(struct bus *b, const char *group, struct err *e)
{
    (void) e;
    ck_assert_str_eq(group, "r");
    of_bus(b)->forgotten = true;
    return 0;
}

static void bus_leave_reader(struct bus_reader *r) { (void) r; }
static void bus_fill_status(struct bus *b, struct bus_status *out)
{
    (void) b;
    *out = (struct bus_status){0};
}

static const struct bus_driver bus_driver = {
    .reader = bus_reader, .next = bus_next_event, .seek = bus_seek_to, .taken = bus_taken_offset,
    .take = bus_take_to, .note = bus_note_of, .forget = bus_forget_group,
    .leave = bus_leave_reader, .status = bus_fill_status,
};

/* ---- sink ---- */

static struct fake *sink_of; /* the open fake: sink_env has no room for it, tests do not fork apart */

static struct sink *sink_open_fake(const struct sink_env *env, struct err *e)
{
    (void) e;
    sink_of->lent = *env;
    return &sink_of->sink;
}

static int sink_connect(struct sink *s, const struct position *source, struct sink_position *pos, struct err *e)
{
    (void) s;
    (void) source;
    (void) e;
    sink_of->connects++;
    buf_reset(&sink_of->open);
    *pos = sink_of->kept;
    return 0;
}

static struct str value(const struct value *row, int at)
{
    return row ? row[at].text : STR_NONE;
}

static bool is_bad(const struct change *c)
{
    return !sink_of->heal && c->rel->column_count > 1 && c->after && str_is(c->after[1].text, "bad");
}

static void write_change(struct buf *out, const struct change *c)
{
    buf_addf(out, "%c %.*s", (int) c->op, STR_ARG(c->rel->name));
    if (c->before)
        buf_addf(out, " old %.*s", STR_ARG(value(c->before, 0)));
    if (c->after)
        buf_addf(out, " %.*s=%.*s", STR_ARG(value(c->after, 0)),
                 STR_ARG(c->rel->column_count > 1 ? value(c->after, 1) : STR_NONE));
    buf_add_char(out, ';');
}

static int sink_apply_fake(struct sink *s, const struct mark *mark, const struct change *changes, int count,
                           bool careful, struct err *e)
{
    (void) s;
    sink_of->applies++;
    if (mark->kind == MARK_COPY && mark->flags)
        buf_addf(&sink_of->open, "[%s%s %.*s]", mark->flags & MARK_COPY_FIRST ? "F" : "",
                 mark->flags & MARK_COPY_LAST ? "L" : "", STR_ARG(mark->topic));
    for (int at = 0; at < count; at++) {
        struct err why = ERR_INIT;
        if (!is_bad(&changes[at])) {
            write_change(&sink_of->open, &changes[at]);
            continue;
        }
        (void) err_set(&why, E_TARGET_ROW, "bad row");
        if (careful && !sink_of->lent.park(sink_of->lent.park_self, &changes[at], &why, e))
            continue;
        if (!careful)
            *e = why;
        return -1;
    }
    return 0;
}

static int sink_commit_fake(struct sink *s, const struct sink_position *pos, bool careful, struct err *e)
{
    (void) s;
    (void) careful;
    if (sink_of->fail_commits > 0) {
        sink_of->fail_commits--;
        return err_set(e, E_PG_RETRY, "commit failed");
    }
    buf_add_str(&sink_of->log, buf_str(&sink_of->open));
    buf_addf(&sink_of->log, "|");
    buf_reset(&sink_of->open);
    sink_of->kept = *pos;
    sink_of->flushed = false;
    if (sink_of->lose_commits > 0) {
        sink_of->lose_commits--;
        return err_set(e, E_PG_CONNECT, "answer lost");
    }
    return 0;
}

static int sink_flushed_fake(struct sink *s, bool *all, struct err *e)
{
    (void) s;
    (void) e;
    *all = !sink_of->lazy || sink_of->flushed;
    sink_of->flushed = true; /* the next time it is */
    return 0;
}

static void sink_undo(struct sink *s)
{
    (void) s;
    buf_reset(&sink_of->open);
}

static const struct sink_driver sink_driver = {
    .name = "fake", .features = SINK_KEEPS_POSITION, .open = sink_open_fake, .connect = sink_connect,
    .apply = sink_apply_fake, .commit = sink_commit_fake, .flushed = sink_flushed_fake,
    .rollback = sink_undo, .disconnect = sink_undo, .close = sink_undo,
};

/* ---- all of it ---- */

struct fake *fake_open(void)
{
    static const char *const routes[] = {"r"};
    static int stop_pipe[2];
    struct err e = ERR_INIT;
    struct fake *f = mem_zalloc(1, sizeof *f);
    ck_assert_int_eq(pipe(stop_pipe), 0);
    sink_of = f;
    arena_init(&f->arena, 0, "test");
    f->env = (struct env){.clock = &clock_system, .stop_fd = stop_pipe[0]};
    f->env.log = log_open(2, &clock_system);
    log_configure(f->env.log, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    f->env.metrics = metrics_open();
    f->target = (struct config_target){.name = "t", .connector = "fake", .batch_kb = 64, .parked_max = 100};
    f->patterns[0] = "*.*";
    f->patterns[1] = "!*.hidden";
    f->route = (struct config_route){.name = "r", .to = "t", .from = {2, f->patterns}};
    f->config = (struct config){.name = "p", .target_count = 1, .targets = &f->target, .route_count = 1,
                                .routes = &f->route, .source = {.backoff_max_ms = 20}};
    snprintf(f->dir, sizeof f->dir, "/tmp/tailrace-hub-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f->dir));
    ck_assert_msg(!store_open(f->dir, 64 << 20, false, &f->store, &e), "%s", e.msg);
    ck_assert_msg(!park_open(f->store, &f->park, &e), "%s", e.msg);
    f->lag = lag_open(&f->env, 5000000, routes, 1);
    f->registry.driver = &registry_driver;
    f->bus.driver = &bus_driver;
    f->sink.driver = &sink_driver;
    f->stop_at_end = true;
    struct envelope_options o = {.prefix = STR("p"), .database = STR("d"), .version = STR("1")};
    f->writer = envelope_writer_open(&o, &f->registry);
    return f;
}

void fake_close(struct fake *f)
{
    char command[96];
    envelope_writer_close(f->writer);
    park_close(f->park);
    store_close(f->store);
    lag_close(f->lag);
    metrics_close(f->env.metrics);
    log_close(f->env.log);
    close(f->env.stop_fd);
    buf_free(&f->open);
    buf_free(&f->log);
    arena_free(&f->arena);
    snprintf(command, sizeof command, "rm -r %s", f->dir);
    ck_assert_int_eq(system(command), 0);
    free(f);
}

const struct relation *fake_table(struct fake *f, const char *name, bool key)
{
    struct relation *rel = arena_zalloc(&f->arena, 1, sizeof *rel);
    struct column *cols = arena_zalloc(&f->arena, 2, sizeof *cols);
    rel->oid = (uint32_t) name[0] + (key ? 1000u : 2000u);
    rel->version = 1;
    rel->space = STR("s");
    rel->name = arena_str(&f->arena, str_of(name));
    rel->identity = 'd';
    rel->columns = cols;
    rel->column_count = 2;
    rel->key_count = key;
    for (int at = 0; at < 2; at++)
        cols[at] = (struct column){.name = at ? STR("v") : STR("id"), .type_oid = 25, .typmod = -1,
                                   .kind = TYPE_TEXT, .type_name = STR("text"), .type_sql = STR("text")};
    cols[0].identity = cols[0].not_null = key;
    cols[0].key_position = key;
    return rel;
}

static int put_event(void *self, const struct event *ev, struct err *e)
{
    struct fake *f = self;
    (void) e;
    ck_assert_uint_lt(f->count, FAKE_EVENTS_MAX);
    struct event *to = &f->events[f->count];
    *to = *ev;
    to->offset = f->count++;
    to->topic = arena_str(&f->arena, ev->topic);
    to->key = arena_str(&f->arena, ev->key);
    to->value = arena_str(&f->arena, ev->value);
    to->headers = arena_str(&f->arena, ev->headers);
    return 0;
}

static const struct value *row_of(struct fake *f, struct str id, struct str v, bool only_key)
{
    struct value *row = arena_zalloc(&f->arena, 2, sizeof *row);
    row[0] = (struct value){VALUE_SET, id};
    row[1] = only_key ? (struct value){0} : (struct value){VALUE_SET, v};
    return row;
}

static void put_row(struct fake *f, const struct txn *txn, const char *line)
{
    char op = 0, table[32] = "", id[32] = "", v[32] = "";
    ck_assert_int_ge(sscanf(line, " %c %31s %31s %31s", &op, table, id, v), 2);
    struct err e = ERR_INIT;
    struct event_out out = {f, put_event};
    const char *moved = strchr(id, '>');
    struct str old = moved ? (struct str){id, (size_t) (moved - id)} : str_of(id);
    struct str new = moved ? str_of(moved + 1) : str_of(id);
    bool key = table[0] != 'n';
    struct change c = {.op = op == 'k' ? OP_UPDATE : (enum change_op) op, .rel = fake_table(f, table, key)};
    old = arena_str(&f->arena, old);
    new = arena_str(&f->arena, new);
    struct str text = arena_str(&f->arena, str_of(v));
    if (op == 'd' || op == 'k') {
        c.old = key ? OLD_KEY : OLD_FULL;
        c.before = row_of(f, old, text, key);
    }
    if (op != 'd' && op != 't')
        c.after = row_of(f, new, text, false);
    int done = envelope_write(f->writer, &c, txn, 1, &out, &e);
    ck_assert_msg(!done, "%s", e.msg);
}

void fake_marked(struct fake *f, struct mark mark, const char *rows)
{
    struct err e = ERR_INIT;
    struct event ev = {.kind = EVENT_BEGIN, .mark = mark};
    struct txn txn = {.xid = 1, .commit_lsn = mark.pos.lsn, .end_lsn = mark.pos.lsn + 1, .commit_us = mark.commit_us};
    char *text = mem_strdup(rows), *line, *save = NULL;
    ck_assert_int_eq(put_event(f, &ev, &e), 0);
    for (line = strtok_r(text, ";", &save); line; line = strtok_r(NULL, ";", &save))
        put_row(f, &txn, line);
    free(text);
    ev.kind = EVENT_COMMIT;
    ck_assert_int_eq(put_event(f, &ev, &e), 0);
}

void fake_txn(struct fake *f, uint64_t lsn, const char *rows)
{
    struct mark mark = {.kind = MARK_STREAM, .pos = {.system_id = 7, .timeline = 1, .lsn = lsn}, .commit_us = 1};
    fake_marked(f, mark, rows);
}

struct pump *fake_pump(struct fake *f)
{
    struct pump_parts parts = {.env = &f->env, .config = &f->config, .route = &f->route, .bus = &f->bus,
                               .lag = f->lag, .registry = &f->registry, .park = f->park, .driver = &sink_driver};
    return pump_open(&parts);
}

int fake_run(struct fake *f, struct pump *p, struct err *e)
{
    atomic_store(&f->env.stop, STOP_NONE);
    return pump_run(p, e);
}
