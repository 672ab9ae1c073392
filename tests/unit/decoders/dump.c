/* SPDX-License-Identifier: Apache-2.0
 *
 * Forms: "begin XID LSN US", "origin NAME LSN", "relation vN SPACE.NAME IDENTITY(COLUMN:OID/TYPMOD ...)"
 * with a * at identity columns, "OP SPACE.NAME vN #SEQ [key(...)|old(...)] [new(...)]", "commit END".
 * A value is a JSON string, or null, unchanged (~), absent (-).
 */
#include "tests/unit/decoders/dump.h"

#include <inttypes.h>
#include <stdlib.h>

#define VALUE_SHOWN 24

static void separate(struct buf *out)
{
    if (out->len)
        buf_add_text(out, "; ");
}

static void dump_value(struct buf *out, const struct value *v)
{
    switch (v->state) {
    case VALUE_ABSENT:
        buf_add_char(out, '-');
        break;
    case VALUE_NULL:
        buf_add_text(out, "null");
        break;
    case VALUE_UNCHANGED:
        buf_add_char(out, '~');
        break;
    case VALUE_SET:
        if (v->text.len > VALUE_SHOWN + 8) {
            buf_add_json(out, (struct str){v->text.p, VALUE_SHOWN});
            buf_addf(out, "..%zu", v->text.len);
        } else {
            buf_add_json(out, v->text);
        }
        break;
    }
}

static void dump_row(struct buf *out, const char *what, const struct relation *rel,
                     const struct value *values)
{
    if (!values)
        return;
    buf_addf(out, " %s(", what);
    for (int at = 0; at < rel->column_count; at++) {
        buf_add_text(out, at ? " " : "");
        dump_value(out, &values[at]);
    }
    buf_add_char(out, ')');
}

static int dump_begin(void *self, const struct txn *txn, struct err *e)
{
    (void) e;
    separate(self);
    buf_addf(self, "begin %" PRIu32 " %s %" PRId64, txn->xid, LSN_STR(txn->commit_lsn),
             txn->commit_us);
    return 0;
}

static int dump_origin(void *self, const struct txn *txn, struct err *e)
{
    (void) e;
    separate(self);
    buf_addf(self, "origin %.*s %s", STR_ARG(txn->origin), LSN_STR(txn->origin_lsn));
    return 0;
}

static int dump_relation(void *self, const struct relation *wire, const struct relation **refined,
                         struct err *e)
{
    (void) e;
    (void) refined;
    separate(self);
    buf_addf(self, "relation v%" PRIu32 " %.*s.%.*s %c(", wire->version, STR_ARG(wire->space),
             STR_ARG(wire->name), wire->identity);
    for (int at = 0; at < wire->column_count; at++) {
        const struct column *c = &wire->columns[at];
        buf_addf(self, "%s%.*s%s:%" PRIu32 "/%" PRId32, at ? " " : "", STR_ARG(c->name),
                 c->identity ? "*" : "", c->type_oid, c->typmod);
    }
    buf_add_char(self, ')');
    return 0;
}

static int dump_change(void *self, const struct change *c, const struct txn *txn, struct err *e)
{
    (void) e;
    struct buf *out = self;
    separate(out);
    buf_add_char(out, (char) c->op);
    buf_add_char(out, ' ');
    if (c->op == OP_MESSAGE) {
        buf_addf(out, "%s @%s #%" PRIu64 " ", c->transactional ? "in" : "out", LSN_STR(c->lsn),
                 c->pos.seq);
        buf_add_json(out, c->prefix);
        buf_add_char(out, ' ');
        buf_add_json(out, c->content);
    } else {
        buf_addf(out, "%.*s.%.*s v%" PRIu32 " #%" PRIu64, STR_ARG(c->rel->space),
                 STR_ARG(c->rel->name), c->rel->version, c->pos.seq);
        dump_row(out, c->old == OLD_FULL ? "old" : "key", c->rel, c->before);
        dump_row(out, "new", c->rel, c->after);
    }
    if (c->truncate_cascade)
        buf_add_text(out, " cascade");
    if (c->truncate_restart)
        buf_add_text(out, " restart");
    if (txn->xid && c->pos.lsn != txn->commit_lsn)
        buf_add_text(out, " POSITION IS NOT THE TRANSACTION'S");
    return 0;
}

static int dump_commit(void *self, const struct txn *txn, struct err *e)
{
    (void) e;
    separate(self);
    buf_addf(self, "commit %s", LSN_STR(txn->end_lsn));
    if (txn->origin.len)
        buf_addf(self, " of %.*s", STR_ARG(txn->origin));
    return 0;
}

struct decoder_out dump_to(struct buf *out)
{
    return (struct decoder_out){.self = out, .begin = dump_begin, .origin = dump_origin,
                                .relation = dump_relation, .change = dump_change,
                                .commit = dump_commit};
}

/* ---- streamed transactions ---- */

static int keep_part(void *self, const struct decoder_part *part, struct err *e)
{
    struct keeper *k = self;
    if (k->count == KEEPER_PARTS)
        return err_set(e, E_DECODE, "the keeper is full");
    separate(&k->out);
    buf_addf(&k->out, "part %" PRIu32 "/%" PRIu32 " %c", part->xid, part->subxid,
             part->type < ' ' ? 'r' : part->type);
    char *bytes = malloc(part->rest.len + 1);
    bytes[0] = (char) part->type;
    if (part->rest.len)
        memcpy(bytes + 1, part->rest.p, part->rest.len);
    k->gone[k->count] = false;
    k->parts[k->count] = *part;
    k->parts[k->count++].rest = (struct str){bytes, part->rest.len + 1};
    return 0;
}

static int keep_abort(void *self, uint32_t xid, uint32_t subxid, struct err *e)
{
    struct keeper *k = self;
    (void) e;
    separate(&k->out);
    buf_addf(&k->out, "abort %" PRIu32 "/%" PRIu32, xid, subxid);
    for (int at = 0; at < k->count; at++)
        if (k->parts[at].xid == xid && (subxid == xid || k->parts[at].subxid == subxid))
            k->gone[at] = true;
    return 0;
}

static int keep_commit(void *self, uint32_t xid, struct str begin, struct str commit, struct err *e)
{
    struct keeper *k = self;
    struct decoder_out out = keeper_to(k);
    int rc = k->driver->feed(k->d, begin, 0, k->scratch, &out, e);
    for (int at = 0; at < k->count && !rc; at++) {
        const struct decoder_part *part = &k->parts[at];
        if (part->xid != xid || k->gone[at])
            continue;
        k->gone[at] = true;
        rc = k->driver->feed(k->d, part->rest, part->lsn, k->scratch, &out, e);
    }
    return rc ? rc : k->driver->feed(k->d, commit, 0, k->scratch, &out, e);
}

static int keep_prepare(void *self, const struct decoder_prepared *p, enum decoder_prepare step, struct err *e)
{
    static const char *const steps[] = {"begun", "ended", "streamed"};
    struct keeper *k = self;
    (void) e;
    separate(&k->out);
    buf_addf(&k->out, "prepare %s %" PRIu32 " %.*s %s", steps[step], p->xid, STR_ARG(p->gid), LSN_STR(p->end_lsn));
    return 0;
}

static int keep_prepared_end(void *self, const struct decoder_prepared *p, struct str begin, struct str commit, struct err *e)
{
    struct keeper *k = self;
    separate(&k->out);
    buf_addf(&k->out, "%s %" PRIu32 " %.*s", begin.len ? "commit prepared" : "rollback prepared", p->xid, STR_ARG(p->gid));
    return begin.len ? keep_commit(self, p->xid, begin, commit, e) : keep_abort(self, p->xid, p->xid, e);
}

struct decoder_out keeper_to(struct keeper *k)
{
    struct decoder_out out = dump_to(&k->out);
    out.part = keep_part;
    out.part_abort = keep_abort;
    out.part_commit = keep_commit;
    out.prepare = keep_prepare;
    out.prepared_end = keep_prepared_end;
    return out;
}

void keeper_clear(struct keeper *k)
{
    for (int at = 0; at < k->count; at++)
        free((char *) (uintptr_t) k->parts[at].rest.p);
    k->count = 0;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_bytes(struct str hex, struct buf *out)
{
    if (hex.len % 2)
        return false;
    for (size_t at = 0; at < hex.len; at += 2) {
        int high = nibble(hex.p[at]), low = nibble(hex.p[at + 1]);
        if (high < 0 || low < 0)
            return false;
        buf_add_char(out, (char) (high << 4 | low));
    }
    return true;
}
