/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages about relations and rows.
 *
 * A tuple is believed only when it has as many columns as its relation: PostgreSQL 15.0 could send
 * fewer after a column list, and values must never slide into other columns. Counts and lengths
 * are checked against the bytes that are left before anything is allocated for them.
 */
#include "decoders/pgoutput/message.h"

#define RELATION_COLUMN_MIN 10 /* flags, an empty name, type, typmod */

static int column_read(struct message *m, struct column *column, struct err *e)
{
    uint8_t flags = cursor_u8(&m->c);
    column->name = cursor_cstr(&m->c);
    column->type_oid = cursor_u32(&m->c);
    column->typmod = (int32_t) cursor_u32(&m->c);
    column->identity = flags & 1;
    column->kind = type_kind_of_oid(column->type_oid, &column->array);
    if (message_whole(m, "a column", e))
        return -1;
    if (flags & ~1)
        return message_bad(m, e, "unknown column flags %#x", (unsigned) flags);
    return 0;
}

static int relation_read(struct message *m, struct relation *rel, struct err *e)
{
    rel->oid = cursor_u32(&m->c);
    rel->space = cursor_cstr(&m->c);
    rel->name = cursor_cstr(&m->c);
    rel->identity = (char) cursor_u8(&m->c);
    rel->column_count = cursor_u16(&m->c);
    if (message_whole(m, "the relation", e))
        return -1;
    if (!rel->space.len) /* how the protocol writes pg_catalog */
        rel->space = STR("pg_catalog");
    if (!rel->oid || !rel->name.len)
        return message_bad(m, e, "relation without an OID or a name");
    if (!strchr("dnfi", rel->identity) || !rel->identity)
        return message_bad(m, e, "unknown replica identity %#x", (unsigned) (uint8_t) rel->identity);
    if ((size_t) rel->column_count > m->c.left / RELATION_COLUMN_MIN)
        return message_bad(m, e, "%d columns do not fit into %zu bytes", rel->column_count,
                           m->c.left);
    struct column *columns = arena_zalloc(m->scratch, (size_t) rel->column_count + 1,
                                          sizeof *columns);
    for (int at = 0; at < rel->column_count; at++)
        if (column_read(m, &columns[at], e))
            return -1;
    rel->columns = columns;
    return message_end(m, e);
}

/* Tell of what relcache_add took; changes carry it from then on. */
static int tell(struct message *m, const struct relation *added, struct err *e)
{
    const struct relation *refined = NULL;
    if (m->out->relation(m->out->self, added, &refined, e))
        return -1;
    if (refined && refined->column_count != added->column_count)
        return err_set(e, E_INTERNAL, "refined relation %.*s.%.*s has %d columns, the stream %d",
                       STR_ARG(added->space), STR_ARG(added->name), refined->column_count,
                       added->column_count);
    relcache_set(&m->d->relations, added, refined ? refined : added);
    return 0;
}

int message_announce(struct message *m, const struct relation *wire, uint64_t heard, struct err *e)
{
    const struct relation *added;
    if (relcache_add(&m->d->relations, wire, heard, &added, e))
        return -1;
    return added ? tell(m, added, e) : 0;
}

int message_relation_ahead(struct message *m, struct err *e)
{
    struct relation wire = {0};
    const struct relation *added;
    if (relation_read(m, &wire, e) || relcache_add(&m->d->relations, &wire, ++m->d->heard, &added, e))
        return -1;
    if (added)
        relcache_set_ahead(&m->d->relations, added);
    return 0;
}

int message_relation(struct message *m, struct err *e)
{
    struct relation wire = {0};
    return relation_read(m, &wire, e) ? -1 : message_announce(m, &wire, ++m->d->heard, e);
}

/* What a streamed transaction knew of a table may be older than what others have told meanwhile;
 * the server takes that for known afterwards. */
static int note_newer(struct message *m, uint32_t oid, uint64_t heard, struct err *e)
{
    struct decoder *d = m->d;
    struct announced now = {.heard = 0};
    now.wire = relcache_wire(&d->relations, oid, &now.heard);
    if (now.wire && now.heard > heard)
        buf_add(&d->newer, &now, sizeof now);
    return d->newer.over ? message_bad(m, e, "too many tables were altered beside a large transaction") : 0;
}

int message_replay_relation(struct message *m, struct err *e)
{
    struct relation wire = {0};
    uint64_t heard = cursor_u64(&m->c);
    if (!m->d->replayed)
        return message_bad(m, e, "unknown type of message");
    if (relation_read(m, &wire, e) || note_newer(m, wire.oid, heard, e))
        return -1;
    return message_announce(m, &wire, heard, e);
}

int message_replay_end(struct message *m, struct err *e)
{
    struct decoder *d = m->d;
    d->replayed = false;
    for (size_t at = 0; at < d->newer.len; at += sizeof(struct announced)) {
        struct announced one;
        memcpy(&one, d->newer.p + at, sizeof one);
        if (message_announce(m, one.wire, one.heard, e))
            return -1;
    }
    buf_reset(&d->newer);
    return 0;
}

/* The relation that the next four bytes name. */
static const struct relation *relation_of(struct message *m, struct err *e)
{
    uint32_t oid = cursor_u32(&m->c);
    if (message_whole(m, "the relation's OID", e))
        return NULL;
    const struct relation *rel = relcache_find(&m->d->relations, oid);
    if (rel)
        return rel;
    const struct relation *ahead = relcache_ahead(&m->d->relations, oid);
    if (ahead)
        return tell(m, ahead, e) ? NULL : relcache_find(&m->d->relations, oid);
    (void) message_bad(m, e, "relation %u was not announced", (unsigned) oid);
    return NULL;
}

static int value_read(struct message *m, bool old, struct value *value, struct err *e)
{
    uint8_t kind = cursor_u8(&m->c);
    if (message_whole(m, "a value", e))
        return -1;
    *value = (struct value){VALUE_NULL, STR_NONE};
    if (kind == 'n')
        return 0;
    if (kind == 'u') {
        /* old rows are logged whole, so that there it would hide a value */
        if (old)
            return message_bad(m, e, "unchanged value in an old row");
        value->state = VALUE_UNCHANGED;
        return 0;
    }
    if (kind == 'b')
        return message_bad(m, e, "binary value, which was not asked for");
    if (kind != 't')
        return message_bad(m, e, "unknown kind of value %#x", (unsigned) kind);
    uint32_t len = cursor_u32(&m->c);
    value->state = VALUE_SET;
    value->text = cursor_bytes(&m->c, len);
    if (m->c.failed)
        return message_bad(m, e, "value of %u bytes, %zu are left", (unsigned) len, m->c.left);
    return 0;
}

/* A tuple with all columns of rel, in the scratch arena; NULL and err otherwise. */
static struct value *tuple_read(struct message *m, const struct relation *rel, bool old,
                                struct err *e)
{
    int count = cursor_u16(&m->c);
    if (message_whole(m, "the number of columns", e))
        return NULL;
    if (count != rel->column_count) {
        (void) message_bad(m, e, "tuple has %d columns, relation %.*s.%.*s has %d", count,
                           STR_ARG(rel->space), STR_ARG(rel->name), rel->column_count);
        return NULL;
    }
    if ((size_t) count > m->c.left) {
        (void) message_bad(m, e, "%d columns do not fit into %zu bytes", count, m->c.left);
        return NULL;
    }
    struct value *values = arena_alloc(m->scratch, ((size_t) count + 1) * sizeof *values);
    for (int at = 0; at < count; at++)
        if (value_read(m, old, &values[at], e))
            return NULL;
    return values;
}

/* The old row whose kind byte ('K' or 'O') has been read. In a key the server writes the other
 * columns as NULL, which they need not have been: they are absent. */
static int old_read(struct message *m, struct change *change, uint8_t kind, struct err *e)
{
    const struct relation *rel = change->rel;
    struct value *values = tuple_read(m, rel, true, e);
    if (!values)
        return -1;
    change->before = values;
    change->old = kind == 'O' ? OLD_FULL : OLD_KEY;
    if (kind == 'K')
        for (int at = 0; at < rel->column_count; at++)
            if (!rel->columns[at].identity)
                values[at] = (struct value){VALUE_ABSENT, STR_NONE};
    return 0;
}

static int new_read(struct message *m, struct change *change, struct err *e)
{
    struct value *values = tuple_read(m, change->rel, false, e);
    if (!values)
        return -1;
    change->after = values;
    if (!change->before)
        return 0;
    for (int at = 0; at < change->rel->column_count; at++)
        if (values[at].state == VALUE_UNCHANGED && change->before[at].state != VALUE_ABSENT)
            values[at] = change->before[at];
    return 0;
}

/* The byte that says which tuple follows. */
static int tuple_kind(struct message *m, const char *allowed, uint8_t *kind, struct err *e)
{
    *kind = cursor_u8(&m->c);
    if (message_whole(m, "the kind of tuple", e))
        return -1;
    if (!*kind || !strchr(allowed, *kind))
        return message_bad(m, e, "unknown kind of tuple %#x", (unsigned) *kind);
    return 0;
}

/* What all three row messages begin with. */
static int row_begin(struct message *m, struct change *change, enum change_op op, struct err *e)
{
    *change = (struct change){.op = op};
    if (message_in_txn(m, e))
        return -1;
    change->rel = relation_of(m, e);
    return change->rel ? 0 : -1;
}

int message_insert(struct message *m, struct err *e)
{
    struct change change;
    uint8_t kind;
    if (row_begin(m, &change, OP_CREATE, e) || tuple_kind(m, "N", &kind, e) ||
        new_read(m, &change, e) || message_end(m, e))
        return -1;
    return message_emit(m, &change, e);
}

int message_update(struct message *m, struct err *e)
{
    struct change change;
    uint8_t kind;
    if (row_begin(m, &change, OP_UPDATE, e) || tuple_kind(m, "KON", &kind, e))
        return -1;
    if (kind != 'N' && (old_read(m, &change, kind, e) || tuple_kind(m, "N", &kind, e)))
        return -1;
    if (new_read(m, &change, e) || message_end(m, e))
        return -1;
    return message_emit(m, &change, e);
}

int message_delete(struct message *m, struct err *e)
{
    struct change change;
    uint8_t kind;
    if (row_begin(m, &change, OP_DELETE, e) || tuple_kind(m, "KO", &kind, e) ||
        old_read(m, &change, kind, e) || message_end(m, e))
        return -1;
    return message_emit(m, &change, e);
}

/* One change for each relation of the list, in its order. All of the list is looked at first, so
 * that a bad message gives no change at all. */
int message_truncate(struct message *m, struct err *e)
{
    if (message_in_txn(m, e))
        return -1;
    uint32_t count = cursor_u32(&m->c);
    uint8_t options = cursor_u8(&m->c);
    if (message_whole(m, "the options", e))
        return -1;
    if (options & ~3)
        return message_bad(m, e, "unknown options %#x", (unsigned) options);
    if (count > m->c.left / 4)
        return message_bad(m, e, "%u relations do not fit into %zu bytes", (unsigned) count,
                           m->c.left);
    const struct relation **rels = arena_zalloc(m->scratch, (size_t) count + 1, sizeof *rels);
    for (uint32_t at = 0; at < count; at++)
        if (!(rels[at] = relation_of(m, e)))
            return -1;
    if (message_end(m, e))
        return -1;
    for (uint32_t at = 0; at < count; at++) {
        struct change change = {.op = OP_TRUNCATE, .rel = rels[at],
                                .truncate_cascade = options & 1, .truncate_restart = options & 2};
        if (message_emit(m, &change, e))
            return -1;
    }
    return 0;
}
