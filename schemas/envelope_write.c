/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes to events. A row is one pass over its plan into a buffer that is kept between rows: after
 * the first events nothing is allocated. What a row's Avro type cannot say goes into headers:
 * columns not sent (HEADER_UNCHANGED), not there (HEADER_ABSENT), or not representable
 * (HEADER_SPECIAL), by their names on the source.
 */
#include <stdio.h>

#include "schemas/envelope_local.h"

#define KEEP_BYTES ((size_t) 1 << 20) /* a buffer that grew larger for one row is given back */

/* ---- one row ---- */

struct job {
    struct envelope_writer *w;
    struct envelope_schema *s;
    const struct change *change;
    const struct txn *txn;
    int64_t now_us;
    const struct event_out *out;
    struct str extra_name, extra_value; /* a header in front of the others */
};

static void note(struct buf *list, struct str name)
{
    if (list->len)
        buf_add_char(list, ',');
    buf_add_json(list, name);
}

static void note_special(struct buf *list, struct str name, const struct value *value)
{
    note(list, name);
    buf_add_char(list, ':');
    if (value->state == VALUE_SET)
        buf_add_json(list, value->text);
    else
        buf_add_text(list, "null");
}

/* A SET value's Avro bytes behind its branch; false when it has none and nothing was written. Where w->types.inexact is
 * set, a header must tell the real value. */
static bool put_set(struct envelope_writer *w, const struct column_plan *p, struct str text, bool required)
{
    struct buf *out = w->types.out;
    size_t begin = out->len;
    w->types.inexact = false;
    if (!required)
        buf_add_char(out, (char) p->set_branch);
    if (codec_write(&w->types, &p->codec, text))
        return true;
    out->len = begin;
    return false;
}

/* NULL; the header tells where the bytes say something else. */
static void put_null(struct envelope_writer *w, const struct column_plan *p, const struct value *value, bool after)
{
    bool told = p->required || p->null.len > 1 || value->state == VALUE_SET;
    if (told)
        note_special(&w->special[after], p->listed, value);
    buf_add_str(w->types.out, p->required ? p->zero : p->null);
}

static void put_column(struct envelope_writer *w, const struct column_plan *p, const struct value *value,
                       bool after)
{
    struct buf *out = w->types.out;
    enum value_state state = value->state;
    if (state == VALUE_UNCHANGED && !after)
        state = VALUE_ABSENT;
    if (p->unstreamed && !w->copying && state == VALUE_SET)
        state = VALUE_NULL;
    switch (state) {
    case VALUE_SET:
        if (!put_set(w, p, value->text, p->required)) {
            buf_add_str(out, p->refused);
            note_special(&w->special[after], p->listed, value);
        } else if (w->types.inexact) {
            note_special(&w->special[after], p->listed, value);
        }
        break;
    case VALUE_NULL: /* a NOT NULL column: the row is older than the catalog that said so */
        put_null(w, p, value, after);
        break;
    case VALUE_UNCHANGED:
        buf_add_str(out, p->unchanged);
        note(&w->unchanged, p->listed);
        break;
    case VALUE_ABSENT:
        buf_add_str(out, p->absent);
        note(&w->absent[after], p->listed);
        break;
    }
}

static void put_row(struct job *j, const struct value *row, bool after)
{
    const struct plan *plan = &j->s->plan;
    buf_add_char(j->w->types.out, row ? 2 : 0);
    for (int at = 0; row && at < plan->rel->column_count; at++)
        if (!plan->columns[at].omitted)
            put_column(j->w, &plan->columns[at], &row[at], after);
}

/* ---- source and the end of the envelope ---- */

static void put_optional_long(struct buf *out, bool set, int64_t value)
{
    buf_add_char(out, set ? 2 : 0);
    if (set)
        avro_put_long(out, value);
}

static char *put_number(char *at, uint64_t value)
{
    char digits[20];
    size_t len = 0;
    do
        digits[len++] = (char) ('0' + value % 10);
    while (value /= 10);
    while (len > 0)
        *at++ = digits[--len];
    return at;
}

/* ["<lastCommitLsn>","<lsn>"]. Debezium's first number is of the transaction that was committed
 * before, which depends on where its process began; in sane it is of this transaction, which sorts
 * the same and is the same each time. */
static void put_sequence(struct job *j, struct buf *out, uint64_t lsn)
{
    char text[64], *at = text;
    uint64_t commit = j->w->options.strict ? j->w->last_lsn : j->txn ? j->txn->commit_lsn : 0;
    *at++ = '[';
    if (commit && j->change->op != OP_READ) {
        *at++ = '"';
        at = put_number(at, commit);
        *at++ = '"';
    } else {
        memcpy(at, "null", 4);
        at += 4;
    }
    *at++ = ',';
    *at++ = '"';
    at = put_number(at, lsn);
    *at++ = '"';
    *at++ = ']';
    buf_add_char(out, 2);
    avro_put_bytes(out, (struct str){text, (size_t) (at - text)});
}

static int64_t source_us(const struct job *j)
{
    bool committed = j->txn && j->txn->commit_us && j->change->op != OP_READ;
    if (j->change->op == OP_MESSAGE && !j->change->transactional)
        committed = false;
    return committed ? j->txn->commit_us : j->now_us;
}

static void put_source(struct job *j, struct buf *out)
{
    const struct change *change = j->change;
    const struct txn *txn = j->txn;
    uint64_t lsn = change->lsn ? change->lsn : change->pos.lsn;
    int64_t us = source_us(j);
    bool in_txn = txn && txn->xid && (change->op != OP_MESSAGE || change->transactional);
    bool foreign = txn && txn->origin.len;
    buf_add_str(out, j->w->source_head);
    avro_put_long(out, us / 1000);
    buf_add_char(out, 0);
    avro_put_bytes(out, change->op == OP_READ ? STR("true") : STR("false"));
    buf_add_str(out, j->w->source_db);
    put_sequence(j, out, lsn);
    put_optional_long(out, true, us);
    put_optional_long(out, true, us * 1000);
    buf_add_str(out, j->s ? j->s->source_table : STR("\0\0"));
    put_optional_long(out, in_txn, txn ? txn->xid : 0);
    put_optional_long(out, true, (int64_t) lsn);
    buf_add_char(out, 0); /* xmin */
    buf_add_char(out, foreign ? 2 : 0);
    if (foreign)
        avro_put_bytes(out, txn->origin);
    put_optional_long(out, foreign, foreign ? (int64_t) txn->origin_lsn : 0);
}

/* "<xid>:<LSN>". Debezium's LSN is that of the record at hand, so that only the part before the colon is the
 * same in a transaction; in sane it is the commit's. */
static void put_txn_id(const struct envelope_writer *w, const struct txn *txn, uint64_t lsn, struct buf *out)
{
    char text[48];
    int len = snprintf(text, sizeof text, "%u:%llu", txn->xid,
                       (unsigned long long) (w->options.strict ? lsn : txn->commit_lsn));
    avro_put_bytes(out, (struct str){text, (size_t) len});
}

/* The event's place in its transaction, and among those of its table. */
static void put_place(struct job *j, struct buf *out)
{
    struct envelope_writer *w = j->w;
    const struct change *change = j->change;
    bool placed = w->options.transactions && j->txn && j->txn->xid && change->op != OP_READ;
    buf_add_char(out, placed ? 2 : 0);
    if (!placed)
        return;
    put_txn_id(w, j->txn, change->lsn ? change->lsn : change->pos.lsn, out);
    if (j->s && !j->s->txn_count) {
        j->s->next_touched = w->touched;
        w->touched = j->s;
    }
    avro_put_long(out, (int64_t) ++w->txn_total);
    avro_put_long(out, (int64_t) (j->s ? ++j->s->txn_count : ++w->txn_messages));
}

static void put_end(struct job *j, struct buf *out, enum change_op op)
{
    put_source(j, out);
    put_place(j, out);
    buf_add_char(out, 2); /* op's length */
    buf_add_char(out, (char) op);
    put_optional_long(out, true, j->now_us / 1000);
    put_optional_long(out, true, j->now_us);
    put_optional_long(out, true, j->now_us * 1000);
}

/* ---- headers ---- */

static void add_list(struct envelope_writer *w, const char *name, const char *open, const struct buf *lists)
{
    const char *close = open[0] == '[' ? "]" : "}";
    buf_reset(&w->json);
    buf_add_char(&w->json, '{');
    for (int side = 0; side < 2; side++)
        if (lists[side].len)
            buf_addf(&w->json, "%s\"%s\":%s%s%s", w->json.len > 1 ? "," : "", side ? "after" : "before",
                     open, lists[side].p, close);
    buf_add_char(&w->json, '}');
    headers_add(&w->headers, str_of(name), buf_str(&w->json));
}

/* Whether before has exactly the identity columns. */
static bool is_key_row(const struct plan *plan, const struct value *before)
{
    for (int at = 0; at < plan->rel->column_count; at++)
        if ((before[at].state != VALUE_ABSENT) != plan->rel->columns[at].identity)
            return false;
    return true;
}

static void add_absent(struct job *j, const struct value *before)
{
    struct envelope_writer *w = j->w;
    if (before && j->change->old == OLD_KEY && !w->options.strict && !w->absent[1].len
        && is_key_row(&j->s->plan, before))
        headers_add(&w->headers, STR(HEADER_ABSENT), STR("key"));
    else if (w->absent[0].len || w->absent[1].len || (before && j->change->old == OLD_KEY))
        add_list(w, HEADER_ABSENT, "[", w->absent);
}

static void add_headers(struct job *j, const struct value *before)
{
    struct envelope_writer *w = j->w;
    const struct change *change = j->change;
    if (w->options.strict) {
        headers_add(&w->headers, STR("__debezium.context.connectorLogicalName"), w->options.prefix);
        headers_add(&w->headers, STR("__debezium.context.connectorName"), STR("postgresql"));
    }
    if (j->extra_name.len)
        headers_add(&w->headers, j->extra_name, j->extra_value);
    if (w->unchanged.len) {
        buf_reset(&w->json);
        buf_addf(&w->json, "[%s]", w->unchanged.p);
        headers_add(&w->headers, STR(HEADER_UNCHANGED), buf_str(&w->json));
    }
    if (w->special[0].len || w->special[1].len)
        add_list(w, HEADER_SPECIAL, "{", w->special);
    add_absent(j, before);
    if (change->op == OP_TRUNCATE && (change->truncate_cascade || change->truncate_restart))
        headers_add(&w->headers, STR(HEADER_TRUNCATE),
                    !change->truncate_cascade ? STR("restart")
                    : change->truncate_restart ? STR("cascade,restart") : STR("cascade"));
}

/* ---- key ---- */

/* The record key of a row into w->key; left empty when the row does not have all of it (an old row
 * of an identity other than the key). strict fills in, as Debezium does. */
static void put_key(struct job *j, const struct value *row)
{
    struct envelope_writer *w = j->w;
    const struct plan *plan = &j->s->plan;
    buf_reset(&w->key);
    if (!plan->key_count || !row)
        return;
    avro_put_wire(&w->key, j->s->key_id);
    w->types.out = &w->key;
    for (int at = 0; at < plan->key_count; at++) {
        const struct column_plan *p = &plan->columns[plan->key_columns[at]];
        const struct value *value = &row[plan->key_columns[at]];
        bool set = value->state == VALUE_SET;
        if (!set && value->state != VALUE_NULL && !w->options.strict) {
            buf_reset(&w->key);
            return;
        }
        if (set && put_set(w, p, value->text, p->key_required))
            continue;
        if (!p->key_required)
            buf_add_char(&w->key, (char) (set ? p->set_branch : p->null_branch));
        if (set) /* the row itself tells what does not fit */
            buf_add_str(&w->key, p->zero);
        else if (p->key_required)
            buf_add_str(&w->key, p->required ? p->absent : p->zero);
    }
}

/* The key as JSON text: integers and booleans plain, all others as their PostgreSQL text. */
static struct str key_json(struct envelope_writer *w, const struct plan *plan, const struct value *row,
                           struct arena *a)
{
    buf_reset(&w->json);
    for (int at = 0; at < plan->key_count; at++) {
        const struct column_plan *p = &plan->columns[plan->key_columns[at]];
        const struct value *value = &row[plan->key_columns[at]];
        bool number = !p->codec.array && p->column->kind >= TYPE_INT2 && p->column->kind <= TYPE_OID;
        int64_t ignored;
        buf_add_char(&w->json, at ? ',' : '{');
        buf_add_json(&w->json, p->field);
        buf_add_char(&w->json, ':');
        if (value->state != VALUE_SET)
            buf_add_text(&w->json, "null");
        else if (number && str_to_i64(value->text, &ignored))
            buf_add_str(&w->json, value->text);
        else if (p->column->kind == TYPE_BOOL && !p->codec.array)
            buf_add_text(&w->json, str_is(value->text, "t") ? "true" : "false");
        else
            buf_add_json(&w->json, value->text);
    }
    buf_add_char(&w->json, '}');
    return arena_str(a, buf_str(&w->json));
}

/* ---- events ---- */

static void begin_event(struct envelope_writer *w)
{
    struct buf *all[] = {&w->value, &w->headers, &w->unchanged, &w->special[0], &w->special[1],
                         &w->absent[0], &w->absent[1]};
    for (size_t at = 0; at < sizeof all / sizeof *all; at++) {
        if (all[at]->room > KEEP_BYTES)
            buf_free(all[at]);
        buf_reset(all[at]);
    }
    type_writer_reset(&w->types, KEEP_BYTES);
}

static int put_event(struct job *j, struct str topic, bool tombstone, struct err *e)
{
    struct envelope_writer *w = j->w;
    if (w->value.over || w->key.over || w->headers.over || w->json.over)
        return err_set(e, E_VALUE, "event of %.*s is too large", STR_ARG(topic));
    struct event ev = {
        .kind = EVENT_ROW,
        .topic = topic,
        .key = buf_str(&w->key),
        .value = tombstone ? STR_NONE : buf_str(&w->value),
        .tombstone = tombstone,
        .headers = buf_str(&w->headers),
        .timestamp_us = source_us(j),
    };
    return j->out->put(j->out->self, &ev, e);
}

/* One envelope, and the tombstone behind it when it is a delete. */
static int emit(struct job *j, enum change_op op, const struct value *before, const struct value *after,
                struct err *e)
{
    struct envelope_writer *w = j->w;
    begin_event(w);
    w->copying = op == OP_READ;
    put_key(j, after ? after : before);
    w->types.out = &w->value;
    avro_put_wire(&w->value, j->s->value_id);
    put_row(j, before, false);
    put_row(j, after, true);
    put_end(j, &w->value, op);
    add_headers(j, before);
    if (put_event(j, j->s->plan.topic, false, e))
        return -1;
    if (op == OP_DELETE && w->options.tombstones && (w->key.len || w->options.strict))
        return put_event(j, j->s->plan.topic, true, e);
    return 0;
}

/* ---- changes ---- */

/* The new row, unchanged values taken from the old row where that has them. */
static const struct value *new_row(struct job *j)
{
    const struct change *change = j->change;
    int count = j->s->plan.rel->column_count;
    bool merge = false;
    for (int at = 0; change->before && at < count; at++)
        merge |= change->after[at].state == VALUE_UNCHANGED && change->before[at].state == VALUE_SET;
    if (!merge)
        return change->after;
    for (int at = 0; at < count; at++) {
        bool old = change->after[at].state == VALUE_UNCHANGED && change->before[at].state == VALUE_SET;
        j->s->merged[at] = old ? change->before[at] : change->after[at];
    }
    return j->s->merged;
}

/* The key changed when the old row has all of it and one text differs. */
static bool key_changed(const struct job *j, const struct value *after)
{
    const struct plan *plan = &j->s->plan;
    bool changed = false;
    for (int at = 0; j->change->before && at < plan->key_count; at++) {
        const struct value *old = &j->change->before[plan->key_columns[at]];
        const struct value *new = &after[plan->key_columns[at]];
        if (old->state != VALUE_SET && old->state != VALUE_NULL)
            return false;
        changed |= new->state != old->state || (new->state == VALUE_SET && !str_eq(old->text, new->text));
    }
    return changed;
}

static int write_key_change(struct job *j, const struct value *after, struct err *e)
{
    struct envelope_writer *w = j->w;
    const struct plan *plan = &j->s->plan;
    struct arena keys;
    arena_init(&keys, 0, "envelope");
    struct str old_key = key_json(w, plan, j->change->before, &keys);
    struct str new_key = key_json(w, plan, after, &keys);
    j->extra_name = STR(HEADER_NEWKEY);
    j->extra_value = new_key;
    int result = emit(j, OP_DELETE, j->change->before, NULL, e);
    if (!result) {
        j->extra_name = STR(HEADER_OLDKEY);
        j->extra_value = old_key;
        result = emit(j, OP_CREATE, NULL, after, e);
    }
    arena_free(&keys);
    return result;
}

static int check_rows(const struct change *change, struct err *e)
{
    bool after = change->op == OP_READ || change->op == OP_CREATE || change->op == OP_UPDATE;
    if ((after && !change->after) || (change->op == OP_DELETE && !change->before))
        return err_set(e, E_VALUE, "change '%c' of %.*s.%.*s comes without its row", (char) change->op,
                       STR_ARG(change->rel->space), STR_ARG(change->rel->name));
    return 0;
}

static int write_row(struct job *j, struct err *e)
{
    const struct change *change = j->change;
    if (check_rows(change, e) || envelope_schema_find(j->w, change->rel, &j->s, e))
        return -1;
    if (j->s->shape) { /* the one place where rules act: nothing behind it has the row as it came */
        j->w->shaped = *change;
        if (shape_change(j->s->shape, &j->w->shaped, e))
            return -1;
        change = j->change = &j->w->shaped;
    }
    if (change->op == OP_TRUNCATE)
        return emit(j, OP_TRUNCATE, NULL, NULL, e);
    if (change->op == OP_DELETE)
        return emit(j, OP_DELETE, change->before, NULL, e);
    if (change->op != OP_UPDATE)
        return emit(j, change->op, NULL, change->after, e);
    const struct value *after = new_row(j);
    if (key_changed(j, after))
        return write_key_change(j, after, e);
    return emit(j, OP_UPDATE, change->before, after, e);
}

static int message_schemas(struct envelope_writer *w, struct err *e)
{
    struct buf text = BUF_INIT;
    if (w->message_value_id)
        return 0;
    schema_build_message_key(&text);
    int result = envelope_register(w, w->message_topic, "key", &text, &w->message_key_id, e);
    if (!result) {
        buf_reset(&text);
        schema_build_message_value(&text);
        result = envelope_register(w, w->message_topic, "value", &text, &w->message_value_id, e);
    }
    buf_free(&text);
    return result;
}

static int write_message(struct job *j, struct err *e)
{
    struct envelope_writer *w = j->w;
    if (message_schemas(w, e))
        return -1;
    begin_event(w);
    buf_reset(&w->key);
    avro_put_wire(&w->key, w->message_key_id);
    buf_add_char(&w->key, 2);
    avro_put_bytes(&w->key, j->change->prefix);
    struct buf *out = &w->value;
    avro_put_wire(out, w->message_value_id);
    avro_put_bytes(out, STR("m"));
    put_optional_long(out, true, j->now_us / 1000);
    put_source(j, out);
    put_place(j, out);
    buf_add_char(out, 2);
    avro_put_bytes(out, j->change->prefix);
    buf_add_char(out, 2);
    avro_put_bytes(out, j->change->content);
    return put_event(j, w->message_topic, false, e);
}

/* ---- transaction marks ---- */

static int mark_schemas(struct envelope_writer *w, struct err *e)
{
    struct buf text = BUF_INIT;
    if (w->mark_value_id)
        return 0;
    schema_build_transaction_key(&text);
    int result = envelope_register(w, w->mark_topic, "key", &text, &w->mark_key_id, e);
    if (!result) {
        buf_reset(&text);
        schema_build_transaction_value(&text);
        result = envelope_register(w, w->mark_topic, "value", &text, &w->mark_value_id, e);
    }
    buf_free(&text);
    return result;
}

static void put_collection(struct buf *out, struct str name, uint64_t count)
{
    buf_add_char(out, 2);
    avro_put_bytes(out, name);
    avro_put_long(out, (int64_t) count);
}

/* Counts of the transaction, by table; they begin anew. */
static void put_counts(struct envelope_writer *w, struct buf *out)
{
    int64_t tables = w->txn_messages ? 1 : 0;
    for (struct envelope_schema *s = w->touched; s; s = s->next_touched)
        tables++;
    put_optional_long(out, true, (int64_t) w->txn_total);
    buf_add_char(out, 2);
    if (tables)
        avro_put_long(out, tables);
    for (struct envelope_schema *s = w->touched; s; s = s->next_touched) {
        buf_reset(&w->json);
        buf_addf(&w->json, "%.*s.%.*s", STR_ARG(s->plan.rel->space), STR_ARG(s->plan.rel->name));
        put_collection(out, buf_str(&w->json), s->txn_count);
    }
    if (w->txn_messages)
        put_collection(out, STR("LOGICAL_DECODING_MESSAGE"), w->txn_messages);
    avro_put_long(out, 0);
}

static void forget_counts(struct envelope_writer *w)
{
    for (struct envelope_schema *s = w->touched; s; s = s->next_touched)
        s->txn_count = 0;
    w->touched = NULL;
    w->txn_total = w->txn_messages = 0;
}

void envelope_passed(struct envelope_writer *w, uint64_t end_lsn)
{
    w->last_lsn = end_lsn;
}

/* LSN in the id of a mark; see put_txn_id. */
static uint64_t mark_lsn(const struct txn *txn, bool end)
{
    if (end)
        return txn->end_lsn;
    return txn->first_lsn ? txn->first_lsn : txn->commit_lsn;
}

int envelope_mark(struct envelope_writer *w, const struct txn *txn, bool end, const struct event_out *out,
                  struct err *e)
{
    struct change none = {.op = OP_NONE};
    struct job j = {.w = w, .change = &none, .txn = txn, .now_us = txn->commit_us, .out = out};
    if (!w->options.transactions || !txn->xid)
        return 0;
    if (mark_schemas(w, e))
        return -1;
    if (!end)
        forget_counts(w); /* of one that was given up */
    begin_event(w);
    buf_reset(&w->key);
    avro_put_wire(&w->key, w->mark_key_id);
    put_txn_id(w, txn, mark_lsn(txn, end), &w->key);
    avro_put_wire(&w->value, w->mark_value_id);
    avro_put_bytes(&w->value, end ? STR("END") : STR("BEGIN"));
    put_txn_id(w, txn, mark_lsn(txn, end), &w->value);
    if (end)
        put_counts(w, &w->value);
    else
        buf_add(&w->value, "\0", 2); /* no counts */
    avro_put_long(&w->value, txn->commit_us / 1000);
    forget_counts(w);
    return put_event(&j, w->mark_topic, false, e);
}

int envelope_write(struct envelope_writer *w, const struct change *change, const struct txn *txn,
                   int64_t now_us, const struct event_out *out, struct err *e)
{
    struct job j = {.w = w, .change = change, .txn = txn, .now_us = now_us, .out = out};
    switch (change->op) {
    case OP_NONE: return 0;
    case OP_MESSAGE: return write_message(&j, e);
    case OP_READ: case OP_CREATE: case OP_UPDATE: case OP_DELETE: case OP_TRUNCATE:
        return write_row(&j, e);
    }
    return err_set(e, E_VALUE, "change of an unknown kind");
}
