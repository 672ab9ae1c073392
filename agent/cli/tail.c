/* SPDX-License-Identifier: Apache-2.0
 *
 * `tailrace tail`: what happens in a database, with nothing configured and nothing left behind.
 *
 * One thread: it reads what has come, prints it, flushes, tells the server how far it got, waits.
 * Signals are taken by a descriptor and only once there is something to take away; until then they
 * end the process as they always do, and after the first one they do so again.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/base/cursor.h"
#include "agent/cli/cli.h"
#include "agent/cli/tail.h"
#include "decoders/decoder.h"

#define STATUS_US 1000000      /* between two reports of our position */
#define MESSAGES_A_TURN 1000   /* read before signals and time are looked at again */
#define FLUSH_BYTES ((size_t) 64 << 10)
#define OWN_PREFIX "tailrace"  /* of messages that tailrace itself writes */

struct tail {
    struct cli *cli;
    struct tail_watch watch;
    enum tail_format format;
    bool color;
    int64_t count_left;        /* changes to print; 0 = no limit */
    bool done;                 /* count is reached, or nobody reads the output */
    int64_t until_us, status_us;
    struct decoder *decoder;
    struct arena scratch, arena; /* of a message; of the command */
    struct config_list patterns;
    struct tail_printer *printer;
    struct buf out;
    bool in_txn;
    uint64_t position;         /* what has been printed as a whole */
};

/* ---- output ---- */

static int write_out(struct tail *t, struct err *e)
{
    size_t at = 0;
    while (at < t->out.len) {
        ssize_t n = write(STDOUT_FILENO, t->out.p + at, t->out.len - at);
        if (n > 0)
            at += (size_t) n;
        else if (errno == EPIPE) { /* head and its like have seen enough */
            t->done = true;
            break;
        } else if (errno != EINTR)
            return err_set(e, E_SYSTEM, "cannot write to standard output: %s", strerror(errno));
    }
    buf_reset(&t->out);
    return 0;
}

/* ---- what the decoder calls ---- */

static int on_begin(void *self, const struct txn *txn, struct err *e)
{
    struct tail *t = self;
    (void) txn;
    (void) e;
    t->in_txn = true;
    return 0;
}

static int on_origin(void *self, const struct txn *txn, struct err *e)
{
    (void) self;
    (void) txn;
    (void) e;
    return 0;
}

static int on_relation(void *self, const struct relation *wire, const struct relation **refined,
                       struct err *e)
{
    struct tail *t = self;
    int (*refine)(const struct env *, PGconn *, const struct relation *, struct arena *, const struct relation **,
                  struct err *) = wire->oid ? catalog_refine : catalog_refine_named;
    return refine(t->watch.env, t->watch.sql, wire, &t->watch.arena, refined, e);
}

static int on_change(void *self, const struct change *change, const struct txn *txn, struct err *e)
{
    struct tail *t = self;
    struct change full = *change;
    if (change->op == OP_MESSAGE &&
        (t->format == TAIL_AVRO || str_is(change->prefix, OWN_PREFIX)))
        return 0;
    /* publications that stood ready may hold more than was asked for */
    if (t->done || (change->rel &&
                    !config_list_matches(&t->patterns, change->rel->space, change->rel->name)))
        return 0;
    full.pos.system_id = t->watch.system_id;
    full.pos.timeline = t->watch.timeline;
    full.seen_us = clock_wall_us(t->watch.env->clock);
    struct txn shown = *txn;
    if (!shown.commit_us) /* told with the commit only, and by messages never */
        shown.commit_us = full.seen_us;
    if (tail_print(t->printer, &full, &shown, e))
        return -1;
    if (t->count_left && !--t->count_left)
        t->done = true;
    return t->out.len > FLUSH_BYTES ? write_out(t, e) : 0;
}

static int on_commit(void *self, const struct txn *txn, struct err *e)
{
    struct tail *t = self;
    (void) e;
    t->in_txn = false;
    t->position = txn->end_lsn;
    return 0;
}

/* ---- the stream ---- */

static int send_status(struct tail *t, struct err *e)
{
    uint8_t message[34] = {'r'};
    int64_t now_us = clock_wall_us(t->watch.env->clock) - PG_EPOCH_US;
    for (int at = 0; at < 3; at++)
        put_be(message + 1 + at * 8, t->position, 8);
    put_be(message + 25, (uint64_t) now_us, 8);
    if (PQputCopyData(t->watch.stream, (const char *) message, sizeof message) != 1 ||
        PQflush(t->watch.stream) < 0)
        return pg_err(e, t->watch.stream, NULL, "report a position");
    t->status_us = clock_mono_us(t->watch.env->clock);
    return 0;
}

static int take_message(struct tail *t, struct str bytes, struct err *e)
{
    struct decoder_out out = {.self = t, .begin = on_begin, .origin = on_origin, .relation = on_relation,
                              .change = on_change, .commit = on_commit}; /* nothing streamed was asked for */
    struct cursor c = cursor_of(bytes);
    uint8_t type = cursor_u8(&c);
    uint64_t start = cursor_u64(&c);
    (void) cursor_u64(&c);
    if (type == 'k') {
        uint8_t reply = cursor_u8(&c);
        if (!c.failed && !t->in_txn && start > t->position)
            t->position = start;
        return c.failed ? err_set(e, E_PG_PROTOCOL, "keepalive is cut off")
               : reply  ? send_status(t, e) : 0;
    }
    (void) cursor_u64(&c);
    if (type != 'w' || c.failed)
        return err_set(e, E_PG_PROTOCOL, "unknown message %#x in the stream", (unsigned) type);
    arena_reset(&t->scratch);
    return t->watch.driver->feed(t->decoder, (struct str){(const char *) c.p, c.left}, start, &t->scratch,
                           &out, e);
}

/* The server ended the stream: why. */
static int stream_end(struct tail *t, struct err *e)
{
    PGresult *res = PQgetResult(t->watch.stream);
    (void) pg_err(e, t->watch.stream, res, "read the stream");
    PQclear(res);
    return -1;
}

/* What has come so far, within a turn; *more when there may be more of it. */
static int take_messages(struct tail *t, bool *more, struct err *e)
{
    *more = false;
    for (int turn = 0; turn < MESSAGES_A_TURN && !t->done; turn++) {
        char *bytes = NULL;
        int len = PQgetCopyData(t->watch.stream, &bytes, 1);
        if (!len)
            return 0;
        if (len < 0)
            return stream_end(t, e);
        int rc = take_message(t, (struct str){bytes, (size_t) len}, e);
        PQfreemem(bytes);
        if (rc)
            return -1;
    }
    *more = true;
    return 0;
}

/* Until the count, the time, a signal, or an error. */
static int follow(struct tail *t, struct err *e)
{
    const struct env *env = t->watch.env;
    while (!t->done) {
        bool more;
        int rc = take_messages(t, &more, e);
        if (write_out(t, e) || rc)
            return -1;
        int64_t now_us = clock_mono_us(env->clock);
        int64_t wait_us = t->status_us + STATUS_US - now_us;
        if (wait_us <= 0) {
            if (send_status(t, e))
                return -1;
            wait_us = STATUS_US;
        }
        if (t->until_us && t->until_us - now_us < wait_us)
            wait_us = t->until_us - now_us;
        if (t->done || (t->until_us && now_us >= t->until_us))
            break;
        int mask = pg_wait(env, t->watch.stream, false, t->watch.signal_fd, more ? 0 : wait_us);
        if (mask & (PG_WAIT_EXTRA | PG_WAIT_STOP))
            break;
        if (mask & PG_WAIT_SOCKET && !PQconsumeInput(t->watch.stream))
            return pg_err(e, t->watch.stream, NULL, "read the stream");
    }
    return 0;
}

/* ---- the command ---- */

static int read_format(struct tail *t, struct err *e)
{
    const char *format = cli_flag(t->cli, "format"), *color = cli_flag(t->cli, "color");
    bool terminal = isatty(STDOUT_FILENO);
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    if (!format || !*format)
        t->format = terminal ? TAIL_TEXT : TAIL_JSON;
    else if (!strcmp(format, "text"))
        t->format = TAIL_TEXT;
    else if (!strcmp(format, "json"))
        t->format = TAIL_JSON;
    else if (!strcmp(format, "avro"))
        t->format = TAIL_AVRO;
    else
        return err_set(e, E_USAGE, "--format is \"%s\", not text, json or avro", format);
    if (!strcmp(color, "always"))
        t->color = true;
    else if (!strcmp(color, "auto"))
        t->color = terminal && !(no_color && *no_color) && !(term && !strcmp(term, "dumb"));
    else if (strcmp(color, "never") != 0)
        return err_set(e, E_USAGE, "--color is \"%s\", not auto, always or never", color);
    const char *decoder = cli_flag(t->cli, "decoder");
    if (strcmp(decoder, "auto") != 0 && !decoder_find(decoder))
        return err_set(e, E_USAGE, "--decoder is \"%s\", not auto, pgoutput or test_decoding", decoder);
    if (t->format == TAIL_AVRO && terminal)
        return err_set(e, E_USAGE, "an Avro file does not go to a terminal");
    return 0;
}

/* The patterns of --table, separated by commas. */
static struct config_list read_patterns(const char *text, struct arena *a)
{
    int count = 1;
    for (const char *at = text; *at; at++)
        count += *at == ',';
    const char **items = arena_zalloc(a, (size_t) count, sizeof *items);
    for (int at = 0; at < count; at++) {
        size_t len = strcspn(text, ",");
        items[at] = arena_str(a, (struct str){text, len}).p;
        text += len + (text[len] == ',');
    }
    return (struct config_list){.count = count, .items = items};
}

/* SIGINT and SIGTERM as a readable descriptor; output that nobody reads as an error of write. */
static int take_signals(struct tail *t, struct err *e)
{
    sigset_t set;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigaction(SIGPIPE, &ignore, NULL) || pthread_sigmask(SIG_BLOCK, &set, NULL))
        return err_set(e, E_SYSTEM, "cannot set signals");
    t->watch.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return t->watch.signal_fd >= 0 ? 0 : err_set(e, E_SYSTEM, "cannot make a signal descriptor");
}

/* The first signal asked for the end; from now on another one ends the process at once. */
static void release_signals(struct tail *t)
{
    struct signalfd_siginfo info;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (t->watch.signal_fd < 0)
        return;
    while (read(t->watch.signal_fd, &info, sizeof info) == (ssize_t) sizeof info)
        ; /* those that have come are answered */
    close(t->watch.signal_fd);
    t->watch.signal_fd = -1;
    (void) pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void tell_tables(const struct tail *t)
{
    const struct tail_watch *w = &t->watch;
    fprintf(stderr, "tailrace: watching %d table%s of database %s; Ctrl-C ends it\n",
            w->table_count, w->table_count == 1 ? "" : "s", PQdb(w->sql));
    for (int at = 0; at < w->table_count; at++)
        if (!w->tables[at].has_identity)
            fprintf(stderr, "tailrace: %.*s.%.*s has no replica identity: its %s cannot be shown\n",
                    STR_ARG(w->tables[at].space), STR_ARG(w->tables[at].name),
                    w->publications.len ? "updates and deletes" : "deletes");
}

static int run(struct tail *t, struct err *e)
{
    struct tail_watch *w = &t->watch;
    t->patterns = read_patterns(cli_flag(t->cli, "table"), &t->arena);
    if (tail_watch_open(w, t->cli->args[0], &t->patterns, e))
        return -1;
    if (t->format == TAIL_AVRO && w->table_count != 1)
        return err_set(e, E_USAGE, "an Avro file holds one table, and --table chooses %d",
                       w->table_count);
    if (take_signals(t, e) || tail_watch_start(w, cli_flag(t->cli, "decoder"), e))
        return -1;
    tell_tables(t);
    t->printer = tail_printer_open(t->format, t->color, str_of(PQdb(w->sql)), w->env->clock,
                                   &t->out);
    t->decoder = t->watch.driver->open();
    int rc = follow(t, e);
    const struct relation *rel;
    if (!rc && t->format == TAIL_AVRO &&
        (catalog_describe(w->env, w->sql, w->tables[0].oid, &w->arena, &rel, e) ||
         tail_print_end(t->printer, rel, e) || write_out(t, e)))
        rc = -1;
    return rc;
}

int cmd_tail(struct cli *c, struct err *e)
{
    struct tail t = {.cli = c, .watch = {.env = c->env, .signal_fd = -1}};
    int64_t seconds;
    if (read_format(&t, e) || cli_number(c, "count", 0, INT64_MAX, &t.count_left, e) ||
        cli_number(c, "seconds", 0, 1000000000, &seconds, e))
        return -1;
    if (seconds)
        t.until_us = clock_mono_us(c->env->clock) + seconds * 1000000;
    arena_init(&t.scratch, 0, "tail");
    arena_init(&t.arena, 0, "tail");
    int rc = run(&t, e);
    if (rc && e->code == E_STOPPED) {
        err_clear(e);
        rc = 0;
    }
    release_signals(&t);
    tail_watch_close(&t.watch);
    tail_printer_close(t.printer);
    if (t.decoder)
        t.watch.driver->close(t.decoder);
    buf_free(&t.out);
    arena_free(&t.scratch);
    arena_free(&t.arena);
    return rc;
}
