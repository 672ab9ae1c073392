/* SPDX-License-Identifier: Apache-2.0
 *
 * Forms: "begin XID LSN US", "origin NAME LSN", "relation vN SPACE.NAME IDENTITY(COLUMN:OID/TYPMOD ...)"
 * with a * at identity columns, "OP SPACE.NAME vN #SEQ [key(...)|old(...)] [new(...)]", "commit END".
 * A value is a JSON string, or null, unchanged (~), absent (-).
 */
#include "tests/unit/decoders/dump.h"

#include <inttypes.h>

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
