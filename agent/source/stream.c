/* SPDX-License-Identifier: Apache-2.0
 *
 * The replication connection: read what is there, confirm what is durable, wait for more.
 *
 * At the head of the WAL every message is acted on at once. Behind it the server would wake us for
 * each row, and each wake costs both sides more than the row; so a reader that is behind lets data
 * gather for a moment. Behind is told by the server's own clock: sent long after it was committed.
 * Confirmed is only what the bus has made durable. Between transactions, when nothing waits for
 * the disk, the position also follows the keepalives, so that WAL of others is not kept for us.
 */
#include "agent/source/inner.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/cursor.h"

#define TURN_MESSAGES 1024        /* messages taken before time is looked at */
#define TURN_US 10000             /* between looks at feedback and the like while rows arrive */
#define BEHIND_US 10000           /* sent this long after its commit */
#define GATHER_NS 100000
#define FEEDBACK_US SOURCE_TURN_US
#define SOON_US 50000             /* between feedbacks that tell of an idle end */
#define MOVE_US 100000            /* between moves of the position without a transaction */
#define ASK_US 5000000            /* silence after which a sign of life is asked for */
#define ASK_SOON_US 20000         /* between signs of life that somebody waits for */
#define SILENCE_US 60000000       /* silence after which the connection is given up */
#define STOP_FLUSH_MS 5000

/* ---- feedback ---- */

static int64_t now_us(const struct source *s)
{
    return clock_mono_us(s->env->clock);
}

/* What the bus has made durable, told to lag. */
static void note_durable(struct source *s)
{
    struct bus_status st;
    bus_get_status(s->parts.bus, &st);
    if (st.durable_end_lsn <= s->stream.durable_lsn)
        return;
    s->stream.durable_lsn = st.durable_end_lsn;
    lag_mark(s->parts.lag, LAG_DURABLE, 0, st.durable.lsn, st.durable_commit_us);
}

static bool all_durable(const struct source *s)
{
    return !s->in.in_txn && s->stream.durable_lsn >= s->stream.put_end_lsn;
}

static void send_feedback(struct source *s, bool ask)
{
    uint8_t msg[34] = {'r'};
    for (size_t at = 0; at < 3; at++)
        put_be(msg + 1 + 8 * at, s->stream.durable_lsn, 8);
    put_be(msg + 25, (uint64_t) (clock_wall_us(s->env->clock) - PG_EPOCH_US), 8);
    msg[33] = ask;
    s->stream.fed_us = now_us(s);
    if (ask)
        s->stream.asked_us = s->stream.fed_us;
    /* A connection that takes nothing is found out when it is read. */
    if (PQputCopyData(s->repl, (const char *) msg, sizeof msg) <= 0 || PQflush(s->repl) < 0)
        return;
    s->stream.fed_lsn = s->stream.durable_lsn;
    s->stream.reply_wanted = false;
    pthread_mutex_lock(&s->lock);
    s->status.confirmed_lsn = s->stream.fed_lsn;
    s->status.received_lsn = s->stream.received_lsn;
    pthread_mutex_unlock(&s->lock);
}

void stream_feedback(struct source *s, bool now)
{
    struct stream *st = &s->stream;
    if (!st->active)
        return;
    int64_t at_us = now_us(s), since_us = at_us - st->fed_us;
    note_durable(s);
    bool ask = at_us - st->heard_us >= ASK_US && at_us - st->asked_us >= ASK_US;
    bool idle_end = all_durable(s) && st->durable_lsn > st->fed_lsn && since_us >= SOON_US;
    if (now || ask || idle_end || st->reply_wanted || since_us >= FEEDBACK_US)
        send_feedback(s, ask);
}

void stream_ask(struct source *s)
{
    if (s->stream.active && now_us(s) - s->stream.asked_us >= ASK_SOON_US)
        send_feedback(s, true);
}

/* ---- moving without a transaction ---- */

static int move_position(struct source *s, struct err *e)
{
    struct stream *st = &s->stream;
    if (st->move_lsn <= st->put_end_lsn || !all_durable(s) || s->in.opened ||
        (now_us(s) - st->moved_us < MOVE_US && !st->reply_wanted))
        return 0;
    const struct mark mark = {
        .kind = MARK_STREAM,
        /* The transaction, not the end of WAL: a commit record may begin exactly there. */
        .pos = source_position(s, s->in.last_commit_lsn),
        .end_lsn = st->move_lsn,
        .commit_us = s->in.last_commit_us,
        .received_us = clock_wall_us(s->env->clock),
    };
    st->moved_us = now_us(s);
    if (bus_commit(s->parts.bus, &mark, e))
        return -1;
    st->put_end_lsn = st->move_lsn;
    return 0;
}

/* ---- messages ---- */

static int on_keepalive(struct source *s, struct cursor *c, struct err *e)
{
    uint64_t end_lsn = cursor_u64(c);
    (void) cursor_u64(c); /* the server's clock */
    bool reply = cursor_u8(c) != 0;
    if (c->failed)
        return err_set(e, E_PG_PROTOCOL, "keepalive message is cut off");
    if (end_lsn > s->stream.received_lsn)
        s->stream.received_lsn = end_lsn;
    s->stream.reply_wanted = s->stream.reply_wanted || reply;
    if (!s->in.in_txn && !s->in.preparing) {
        s->stream.behind = false;
        if (end_lsn > s->stream.move_lsn)
            s->stream.move_lsn = end_lsn;
    }
    lag_head(s->parts.lag, end_lsn, false, !s->in.in_txn);
    return 0;
}

/* The table that a row message is of, for an error about its size. */
static int check_size(struct source *s, struct str payload, struct err *e)
{
    uint32_t oid = s->driver->row_table(s->decoder, payload);
    const struct rel_entry *entry = oid ? rels_find(&s->rels, oid) : NULL;
    return source_check_size(s, payload.len, entry ? entry->rel->space : STR("?"),
                             entry ? entry->rel->name : STR("?"), e);
}

int stream_feed(struct source *s, struct str payload, uint64_t lsn, struct err *e)
{
    struct decoder_out out = feed_out;
    out.self = s;
    if (check_size(s, payload, e))
        return -1;
    int rc = s->driver->feed(s->decoder, payload, lsn, &s->scratch, &out, e);
    arena_reset(&s->scratch);
    return rc;
}

static int on_wal(struct source *s, struct cursor *c, struct err *e)
{
    uint64_t start_lsn = cursor_u64(c);
    uint64_t end_lsn = cursor_u64(c);
    int64_t sent_us = (int64_t) cursor_u64(c) + PG_EPOCH_US;
    if (c->failed)
        return err_set(e, E_PG_PROTOCOL, "WAL message is cut off");
    struct str payload = {(const char *) c->p, c->left};
    if (end_lsn > s->stream.received_lsn)
        s->stream.received_lsn = end_lsn;
    metric_add(s->env->metrics, M_SOURCE_BYTES, 0, (int64_t) payload.len);
    s->release.lsn = start_lsn;
    int rc = stream_feed(s, payload, start_lsn, e);
    if (!s->in.in_txn)
        s->stream.behind = sent_us - s->in.last_commit_us > BEHIND_US;
    return rc;
}

static int on_copy_data(struct source *s, const char *bytes, size_t len, struct err *e)
{
    struct cursor c = cursor_of((struct str){bytes, len});
    switch (cursor_u8(&c)) {
    case 'w':
        return on_wal(s, &c, e);
    case 'k':
        return on_keepalive(s, &c, e);
    default:
        return err_set(e, E_PG_PROTOCOL, "replication message of unknown type %#x", (uint8_t) bytes[0]);
    }
}

/* ---- ends ---- */

/* Why the server ended the stream. */
static int ended(struct source *s, struct err *e)
{
    PGresult *res = PQgetResult(s->repl);
    if (!res || PQresultStatus(res) != PGRES_FATAL_ERROR) {
        err_set(e, E_PG_RETRY, "server ended the stream");
    } else {
        pg_err(e, s->repl, res, "stream");
        if (strcmp(e->sqlstate, "42704") == 0) { /* servers before 18 refuse, later ones warn */
            char why[sizeof e->msg];
            memcpy(why, e->msg, sizeof why);
            err_set(e, E_PUBLICATION_LOST, "%s", why);
        } else if (strcmp(e->sqlstate, "55000") == 0) { /* the next look at the slot tells which */
            e->class = ERR_RETRY;
        } else if (!*e->sqlstate) {
            e->code = E_PG_CONNECT;
        }
    }
    PQclear(res);
    return -1;
}

static int publication_lost(const struct source *s, struct err *e)
{
    return err_set(e, E_PUBLICATION_LOST, "server skipped changes behind %s because publication %s "
                   "or %s" PUBLICATION_INSERTS_SUFFIX " was missing", LSN_STR(s->stream.received_lsn),
                   s->config->source.publication, s->config->source.publication);
}

/* Take what libpq holds, at most max messages; the number taken, -1 on error or end. */
static int take_messages(struct source *s, int max, struct err *e)
{
    int taken = 0;
    while (taken < max && !s->release.active) {
        char *bytes = NULL;
        int len = PQgetCopyData(s->repl, &bytes, 1);
        if (s->stream.publication_lost) {
            PQfreemem(bytes);
            return publication_lost(s, e);
        }
        if (len == 0)
            break;
        if (len < 0)
            return ended(s, e);
        int rc = on_copy_data(s, bytes, (size_t) len, e);
        PQfreemem(bytes);
        if (rc)
            return -1;
        taken++;
    }
    if (taken)
        s->stream.heard_us = now_us(s);
    return taken;
}

static void gather(void)
{
    const struct timespec pause = {0, GATHER_NS};
    nanosleep(&pause, NULL);
}

/* Wait for the server, the bus, a reload or a stop, as long as nothing else is due. */
static int wait_more(struct source *s, struct err *e)
{
    struct stream *st = &s->stream;
    int64_t wait_us = FEEDBACK_US;
    if (st->behind)
        gather();
    if (st->move_lsn > st->put_end_lsn)
        wait_us = MOVE_US;
    else if (st->durable_lsn > st->fed_lsn && all_durable(s))
        wait_us = SOON_US;
    if (wait_us > snap_wait_us(s))
        wait_us = snap_wait_us(s);
    int ready = pg_wait(s->env, s->repl, PQflush(s->repl) > 0, s->poll_fd, wait_us);
    if (ready & PG_WAIT_EXTRA)
        source_quiet(s);
    if (ready & PG_WAIT_EXTRA || !(ready & PG_WAIT_SOCKET))
        st->turned_us = 0; /* something is durable, or time has passed: look at once */
    if (ready & PG_WAIT_SOCKET && !PQconsumeInput(s->repl)) {
        pg_err(e, s->repl, NULL, "stream");
        return -1;
    }
    if (now_us(s) - st->heard_us > SILENCE_US)
        return err_set(e, E_PG_CONNECT, "server has been silent for %lld s",
                       (long long) (SILENCE_US / 1000000));
    return 0;
}

/* ---- between transactions ---- */

static int at_boundary(struct source *s, struct err *e)
{
    if (s->in.in_txn)
        return 0;
    if (!s->added && atomic_exchange(&s->tables_changed, false)) {
        struct tables_view view;
        int rc = tables_sync(s, false, &view, e);
        if (!rc)
            rc = tables_copy(s, &view, e);
        if (!rc && view.copy_count)
            return added_begin(s, &view, e);
        arena_free(&view.arena);
        if (rc)
            return -1;
    }
    if ((s->added && added_turn(s, e)) || snap_turn(s, e) || prepared_turn(s, e))
        return -1;
    return move_position(s, e);
}

/* Nothing is taken until the snapshot of new tables is there; keepalives are answered. */
static int turn_held(struct source *s, struct err *e)
{
    if (at_boundary(s, e))
        return -1;
    s->stream.heard_us = now_us(s);
    return source_wait(s, e);
}

static int turn(struct source *s, struct err *e)
{
    if (atomic_load(&s->over_budget))
        return source_over_budget(s, e);
    if (added_holds(s))
        return turn_held(s, e);
    if (bus_room(s->parts.bus) == 0 && source_hold(s, e))
        return -1;
    bool released = s->release.active;
    int taken = released ? streamed_release(s, TURN_MESSAGES, e) : take_messages(s, TURN_MESSAGES, e);
    if (s->in.in_txn)
        snap_receive(s);
    if (taken < 0 || at_boundary(s, e))
        return -1;
    int64_t at_us = now_us(s);
    if (s->stream.reply_wanted || at_us - s->stream.turned_us >= TURN_US) {
        s->stream.turned_us = at_us;
        source_turn(s);
        streamed_tell(s);
    }
    if (released)
        s->stream.heard_us = at_us;
    return taken == TURN_MESSAGES || released || s->release.active ? 0 : wait_more(s, e);
}

/* Make durable and confirm what was taken, so that a restart need not take it again. */
static void finish(struct source *s)
{
    struct err e = ERR_INIT;
    feed_abort(s);
    if (bus_flush(s->parts.bus, STOP_FLUSH_MS, &e))
        log_err(s->env->log, "source", &e);
    s->in.in_txn = false;
    stream_feedback(s, true);
    int64_t until_us = now_us(s) + SOURCE_TURN_US;
    while (PQflush(s->repl) > 0 && now_us(s) < until_us) {
        struct pollfd fd = {.fd = PQsocket(s->repl), .events = POLLOUT};
        (void) poll(&fd, 1, 100);
    }
}

/* ---- beginning ---- */

static void on_notice(void *self, const PGresult *res)
{
    struct source *s = self;
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (!severity || strcmp(severity, "WARNING") != 0)
        return;
    log_warn(s->env->log, "source", "server warns: %s", text ? text : "");
    /* pgoutput warns with this state of nothing else; the words may be translated. */
    if ((state && strcmp(state, "55000") == 0) || (text && strstr(text, "skipped loading publication")))
        s->stream.publication_lost = true;
}

static int start(struct source *s, bool inserts_publication, struct err *e)
{
    struct buf names = BUF_INIT, sql = BUF_INIT;
    const char *name = s->config->source.publication;
    pg_add_ident(&names, str_of(name));
    if (inserts_publication) {
        struct buf full = BUF_INIT;
        buf_addf(&full, "%s" PUBLICATION_INSERTS_SUFFIX, name);
        buf_add_char(&names, ',');
        pg_add_ident(&names, buf_str(&full));
        buf_free(&full);
    }
    buf_add_text(&sql, "START_REPLICATION SLOT ");
    pg_add_ident(&sql, str_of(s->config->source.slot));
    buf_addf(&sql, " LOGICAL %s (", LSN_STR(s->stream.durable_lsn));
    const struct decoder_wish wish = {buf_str(&names), PQserverVersion(s->repl), streamed_wanted(s), s->config->source.two_phase};
    s->driver->start_options(&wish, &sql);
    buf_add_char(&sql, ')');
    PGresult *res = pg_exec(s->env, s->repl, "start streaming", sql.p, 30000, e);
    buf_free(&names);
    buf_free(&sql);
    if (!res) {
        if (strcmp(e->sqlstate, "55006") == 0)
            err_set(e, E_SLOT_BUSY, "slot %s is in use", s->config->source.slot);
        else if (strcmp(e->sqlstate, "42704") == 0 || strcmp(e->sqlstate, "55000") == 0)
            e->class = ERR_RETRY; /* it went since we looked: the next look tells */
        return -1;
    }
    ExecStatusType status = PQresultStatus(res);
    PQclear(res);
    return status == PGRES_COPY_BOTH ? 0 : err_set(e, E_PG_PROTOCOL, "server did not start to stream");
}

int stream_run(struct source *s, bool inserts_publication, struct err *e)
{
    struct bus_status bus;
    int rc = 0;
    bus_get_status(s->parts.bus, &bus);
    uint64_t from_lsn = bus.durable_end_lsn > s->facts.start_lsn ? bus.durable_end_lsn
                                                                 : s->facts.start_lsn;
    s->stream = (struct stream){.durable_lsn = from_lsn, .put_end_lsn = from_lsn, .fed_lsn = from_lsn,
                                .move_lsn = from_lsn, .heard_us = now_us(s), .received_lsn = from_lsn};
    s->in = (struct incoming){.last_commit_lsn = bus.durable.lsn,
                              .last_commit_us = bus.durable_commit_us};
    s->driver->restart(s->decoder);
    streamed_drop(s);
    if (snap_session(s, e) || prepared_load(s, e))
        return -1;
    PQsetNoticeReceiver(s->repl, on_notice, s);
    if (start(s, inserts_publication, e))
        return -1;
    PQsetnonblocking(s->repl, 1);
    s->stream.heard_us = now_us(s);
    s->stream.active = true;
    atomic_store(&s->streaming, true);
    lag_connected(s->parts.lag, true);
    metric_set(s->env->metrics, M_SOURCE_CONNECTED, 0, 1);
    metric_add(s->env->metrics, M_SOURCE_RECONNECTS, 0, s->streams++ ? 1 : 0);
    s->streaming_us = now_us(s);
    source_say(s, SOURCE_STREAMING, NULL);
    while (!rc && env_stop(s->env) == STOP_NONE)
        rc = turn(s, e);
    if (env_stop(s->env) != STOP_NONE) {
        finish(s);
        rc = 0;
    }
    feed_abort(s);
    streamed_drop(s);
    streamed_tell(s);
    added_drop(s);
    snap_pause(s);
    s->stream.active = false;
    atomic_store(&s->streaming, false);
    lag_connected(s->parts.lag, false);
    metric_set(s->env->metrics, M_SOURCE_CONNECTED, 0, 0);
    return rc;
}
