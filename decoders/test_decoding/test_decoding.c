/* SPDX-License-Identifier: Apache-2.0
 *
 * test_decoding: transactions, logical messages, the driver.
 *
 * BEGIN has no position of the commit; the header of COMMIT has its end. So where the callee keeps parts, every
 * transaction goes to it as parts, and is fed when its commit has told where it stands. Where it does not (a look at what
 * happens), changes come at once: commit_lsn is then where the transaction began, and commit_us is known at the commit.
 * The position is the last byte of the commit record, which lies behind all before it as a start of the record would.
 * Streamed and prepared transactions are not asked for; their lines are refused as unknown.
 */
#include "decoders/test_decoding/test_decoding.h"

#include <stdlib.h>

#include "agent/base/cursor.h"
#include "decoders/test_decoding/line.h"

/* Payloads that this decoder makes for itself, by their first byte; no line begins so. */
enum { REPLAY_BEGIN = 1, REPLAY_COMMIT = 2 };
#define REPLAY_BEGIN_LEN 21
#define REPLAY_COMMIT_LEN 9

static int begin_now(struct line *l, const struct txn *txn, struct err *e)
{
    struct decoder *d = l->d;
    d->txn = *txn;
    d->in_txn = true;
    d->seq = 0;
    return l->out->begin(l->out->self, &d->txn, e);
}

static int read_xid(struct line *l, uint32_t *xid, struct err *e)
{
    uint64_t value;
    if (line_number(l, &value, e))
        return -1;
    if (!value || value > UINT32_MAX)
        return line_bad(l, e, "no number of a transaction");
    *xid = (uint32_t) value;
    return 0;
}

static int read_begin(struct line *l, struct err *e)
{
    struct decoder *d = l->d;
    struct txn txn = {.commit_lsn = l->lsn};
    if (read_xid(l, &txn.xid, e) || line_end(l, e))
        return -1;
    if (d->in_txn || d->kept)
        return line_bad(l, e, "transaction %u begins within another one", (unsigned) txn.xid);
    if (!l->out->part)
        return begin_now(l, &txn, e);
    d->kept = txn.xid;
    return 0;
}

/* Give what was kept back to be fed. */
static int release(struct line *l, int64_t commit_us, struct err *e)
{
    struct decoder *d = l->d;
    uint8_t begin[REPLAY_BEGIN_LEN] = {REPLAY_BEGIN}, commit[REPLAY_COMMIT_LEN] = {REPLAY_COMMIT};
    uint32_t xid = d->kept;
    if (!l->lsn)
        return line_bad(l, e, "commit without a position");
    put_be(begin + 1, l->lsn - 1, 8);
    put_be(begin + 9, (uint64_t) commit_us, 8);
    put_be(begin + 17, xid, 4);
    put_be(commit + 1, l->lsn, 8);
    d->kept = 0;
    d->released = xid;
    return l->out->part_commit(l->out->self, xid, (struct str){(const char *) begin, sizeof begin},
                               (struct str){(const char *) commit, sizeof commit}, e);
}

static int end_now(struct line *l, uint64_t end_lsn, struct err *e)
{
    l->d->in_txn = l->d->replayed = false;
    l->d->txn.end_lsn = end_lsn;
    return l->out->commit(l->out->self, &l->d->txn, e);
}

static int read_commit(struct line *l, struct err *e)
{
    struct decoder *d = l->d;
    uint32_t xid = 0;
    int64_t commit_us;
    if (read_xid(l, &xid, e))
        return -1;
    if (!line_skip(l, " "))
        return line_bad(l, e, "no time of commit");
    if (line_time(l, &commit_us, e) || line_end(l, e))
        return -1;
    if (xid != (d->in_txn ? d->txn.xid : d->kept) || d->replayed)
        return line_bad(l, e, "commit of transaction %u, which has not begun", (unsigned) xid);
    if (d->kept)
        return release(l, commit_us, e);
    d->txn.commit_us = commit_us;
    return end_now(l, l->lsn, e);
}

static int replay_begin(struct line *l, struct cursor *c, struct err *e)
{
    struct txn txn = {.commit_lsn = cursor_u64(c)};
    txn.commit_us = (int64_t) cursor_u64(c);
    txn.xid = cursor_u32(c);
    if (c->failed || c->left || !l->d->released || txn.xid != l->d->released)
        return line_bad(l, e, "no transaction is to be fed");
    l->d->released = 0;
    l->d->replayed = true;
    return begin_now(l, &txn, e);
}

static int replay_commit(struct line *l, struct cursor *c, struct err *e)
{
    uint64_t end_lsn = cursor_u64(c);
    if (c->failed || c->left || !l->d->replayed)
        return line_bad(l, e, "no transaction is being fed");
    return end_now(l, end_lsn, e);
}

/* Between prefix and content stands what a prefix may hold, too: the size tells which is meant. */
static int split_message(struct line *l, struct change *change, struct err *e)
{
    size_t from = l->at;
    for (; l->at < l->text.len; l->at++) {
        size_t at = l->at;
        uint64_t size = 0;
        if (!line_skip(l, ", sz: "))
            continue;
        size_t digits = l->at;
        while (digits < l->text.len && l->text.p[digits] >= '0' && l->text.p[digits] <= '9')
            digits++;
        bool number = str_to_u64((struct str){l->text.p + l->at, digits - l->at}, &size);
        l->at = digits;
        if (number && line_skip(l, " content:") && l->text.len - l->at == size) {
            change->prefix = (struct str){l->text.p + from, at - from};
            change->content = (struct str){l->text.p + l->at, size};
            return 0;
        }
        l->at = at;
    }
    return line_bad(l, e, "no content");
}

static int read_message(struct line *l, struct err *e)
{
    struct change change = {.op = OP_MESSAGE, .transactional = line_skip(l, "1")};
    struct txn none = {0};
    if ((!change.transactional && !line_skip(l, "0")) || !line_skip(l, " prefix: "))
        return line_bad(l, e, "a message that does not tell whether it is transactional");
    if (split_message(l, &change, e))
        return -1;
    if (change.transactional)
        return l->d->in_txn ? line_emit(l, &change, e) : line_bad(l, e, "outside of a transaction");
    change.lsn = change.pos.lsn = l->lsn;
    return l->out->change(l->out->self, &change, &none, e);
}

static int keep(struct line *l, struct err *e)
{
    const struct decoder_part part = {.xid = l->d->kept, .subxid = l->d->kept, .lsn = l->lsn,
                                      .type = (uint8_t) l->text.p[0],
                                      .rest = {l->text.p + 1, l->text.len - 1}};
    return l->out->part(l->out->self, &part, e);
}

static int read_line(struct line *l, struct err *e)
{
    bool outside = line_skip(l, "message: transactional: 0");
    l->at = 0;
    if (l->d->kept && !outside && l->text.p[0] != 'B' && l->text.p[0] != 'C')
        return keep(l, e);
    if (line_skip(l, "BEGIN "))
        return read_begin(l, e);
    if (line_skip(l, "COMMIT "))
        return read_commit(l, e);
    if (line_skip(l, "message: transactional: "))
        return read_message(l, e);
    if (!line_skip(l, "table "))
        return line_bad(l, e, "unknown line");
    return l->d->in_txn ? line_table(l, e) : line_bad(l, e, "outside of a transaction");
}

static int test_decoding_feed(struct decoder *d, struct str payload, uint64_t start_lsn, struct arena *scratch,
                              const struct decoder_out *out, struct err *e)
{
    struct line l = {.d = d, .text = payload, .lsn = start_lsn, .scratch = scratch, .out = out};
    struct cursor c = cursor_of(payload);
    uint8_t type = cursor_u8(&c);
    if (!payload.len)
        return line_bad(&l, e, "empty");
    if (d->released && type != REPLAY_BEGIN)
        return line_bad(&l, e, "transaction %u is to be fed first", (unsigned) d->released);
    if (type == REPLAY_BEGIN)
        return replay_begin(&l, &c, e);
    return type == REPLAY_COMMIT ? replay_commit(&l, &c, e) : read_line(&l, e);
}

/* It knows no publications, and sends open transactions only when asked for them. Skipping empty transactions would
 * save lines, but PostgreSQL 14 then leaves out the BEGIN of one that holds nothing but a message. */
static void test_decoding_start_options(const struct decoder_wish *wish, struct buf *out)
{
    (void) wish;
    buf_add_text(out, "\"include-xids\" 'true', \"include-timestamp\" 'true', \"skip-empty-xacts\" 'false'");
}

/* Its lines name the table, and no OID. */
static uint32_t test_decoding_row_table(const struct decoder *d, struct str payload)
{
    (void) d;
    (void) payload;
    return 0;
}

static struct decoder *test_decoding_open(void)
{
    struct decoder *d = mem_zalloc(1, sizeof *d);
    arena_init(&d->arena, 0, "descriptions of relations");
    d->new.cells = mem_zalloc(COLUMNS_MAX, sizeof *d->new.cells);
    d->old.cells = mem_zalloc(COLUMNS_MAX, sizeof *d->old.cells);
    return d;
}

static void test_decoding_restart(struct decoder *d)
{
    d->in_txn = d->replayed = false;
    d->kept = d->released = 0;
    names_restart(d);
}

static void test_decoding_close(struct decoder *d)
{
    if (!d)
        return;
    arena_free(&d->arena);
    free(d->slots);
    free(d->new.cells);
    free(d->old.cells);
    free(d);
}

const struct decoder_driver decoder_test_decoding = {
    .name = "test_decoding",
    .start_options = test_decoding_start_options,
    .open = test_decoding_open,
    .feed = test_decoding_feed,
    .row_table = test_decoding_row_table,
    .restart = test_decoding_restart,
    .close = test_decoding_close,
};
