/* SPDX-License-Identifier: Apache-2.0
 *
 * A reader: source transactions whole and in order, whatever the number of topics and partitions. The record of a transaction
 * says which counters it took of which partitions; these are read, each partition from a queue of its own, and put in order by
 * their number in the transaction. A counter below is one that was taken already, one above a loss.
 *
 * Its place is kept as offsets of its consumer group: of the transactions topic, with the logical offset and the reader's note as
 * metadata, and of each partition. Nobody else is a member of the group: partitions are assigned by hand.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/bus/kafka.h"
#include "agent/bus/kafka_reader.h"

#define SEEK_MS 10000

static int failed(struct kafka_reader *r, struct err *e)
{
    r->broken = true;
    return e->code ? -1 : err_set(e, E_INTERNAL, "reader failed without a reason");
}

/* ---- parts ---- */

static void drop_head(struct kafka_source *part)
{
    if (part->head)
        rd_kafka_message_destroy(part->head);
    part->head = NULL;
}

/* The next record of a queue; NULL when none came in time. */
static int take_message(struct kafka_reader *r, rd_kafka_queue_t *queue, int wait_ms, rd_kafka_message_t **out, struct err *e)
{
    *out = rd_kafka_consume_queue(queue, wait_ms);
    if (!*out || !(*out)->err)
        return 0;
    rd_kafka_resp_err_t code = (*out)->err;
    (void) err_set(e, code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE ? E_READER_LOST : E_KAFKA,
                   "Kafka: reading %s for group %s: %s", (*out)->rkt ? rd_kafka_topic_name((*out)->rkt) : "", r->group, rd_kafka_message_errstr(*out));
    rd_kafka_message_destroy(*out);
    *out = NULL;
    return code == RD_KAFKA_RESP_ERR__PARTITION_EOF ? 0 : -1;
}

static bool header(const rd_kafka_message_t *m, const char *name, size_t len, struct cursor *out)
{
    rd_kafka_headers_t *all;
    const void *value;
    size_t size;
    if (rd_kafka_message_headers(m, &all) || rd_kafka_header_get_last(all, name, &value, &size) || size != len)
        return false;
    *out = cursor_of((struct str){value, size});
    return true;
}

static int read_place(struct kafka_source *part, struct err *e)
{
    struct cursor seq, order;
    if (!header(part->head, KAFKA_SEQ, TR_SEQ_LEN, &seq) || !header(part->head, KAFKA_ORDER, 4, &order))
        return err_set(e, E_CORRUPT, "record %lld of topic %s partition %d is not of tailrace: it lacks " KAFKA_SEQ, (long long) part->head->offset,
                       part->topic, part->number);
    part->head_epoch = cursor_u32(&seq);
    part->head_counter = cursor_u64(&seq);
    part->head_order = cursor_u32(&order);
    return 0;
}

/* Have the head of a partition be the counter that is needed next. */
static int need_head(struct kafka_reader *r, struct kafka_source *part, struct err *e)
{
    int64_t until_us = kafka_now_us() + (int64_t) KAFKA_WAIT_MS * 1000;
    while (!part->head || part->head_counter < part->need) {
        drop_head(part);
        if (take_message(r, part->queue, 100, &part->head, e))
            return -1;
        if (part->head && read_place(part, e))
            return -1;
        if (!part->head && (env_stop(r->b->env) == STOP_NOW || kafka_now_us() > until_us))
            return err_set(e, E_KAFKA, "Kafka: record %llu of topic %s partition %d does not come", (unsigned long long) part->need, part->topic,
                           part->number);
    }
    if (part->head_counter > part->need)
        return err_set(e, E_READER_LOST, "topic %s partition %d goes from record %llu to %llu: what lies between is gone (retention?)", part->topic,
                       part->number, (unsigned long long) (part->need - 1), (unsigned long long) part->head_counter);
    return 0;
}

/* ---- the record of a transaction ---- */

static int take_touch(struct kafka_reader *r, struct cursor *c, struct kafka_entry *entry, struct err *e)
{
    uint32_t len = cursor_u16(c);
    struct str topic = cursor_bytes(c, len);
    uint32_t number = cursor_u32(c);
    uint64_t first = cursor_u64(c);
    uint32_t count = cursor_u32(c);
    if (c->failed || !topic.len || !count)
        return err_set(e, E_CORRUPT, "a record of topic %s is malformed", r->b->transactions);
    struct kafka_source *part = kafka_source_of(r, topic, (int) number, e);
    if (!part)
        return -1;
    part->need = first;
    part->left = count;
    entry->touched[entry->touched_count++] = (struct kafka_range){.part = part, .from = -1};
    return 0;
}

static int take_vector(struct kafka_reader *r, struct cursor *c, struct kafka_entry *entry, struct err *e)
{
    uint32_t count = cursor_u32(c);
    if (c->failed || count > c->left / 19)
        return err_set(e, E_CORRUPT, "a record of topic %s is malformed", r->b->transactions);
    entry->touched = mem_zalloc((size_t) count + 1, sizeof *entry->touched);
    for (uint32_t at = 0; at < count; at++)
        if (take_touch(r, c, entry, e))
            return -1;
    return c->left ? err_set(e, E_CORRUPT, "a record of topic %s is longer than it says", r->b->transactions) : 0;
}

int kafka_entry_open(struct kafka_reader *r, const rd_kafka_message_t *m, struct err *e)
{
    struct cursor c = cursor_of((struct str){m->payload, m->len});
    struct kafka_entry *entry = mem_zalloc(1, sizeof *entry);
    size_t at = 0;
    uint8_t version = cursor_u8(&c);
    entry->at = m->offset;
    entry->base = cursor_u64(&c);
    entry->count = cursor_u32(&c);
    r->epoch = cursor_u32(&c);
    uint32_t len = cursor_u32(&c);
    buf_reset(&r->commit);
    buf_add_str(&r->commit, cursor_bytes(&c, len));
    bool good = !c.failed && version == 1 && entry->count >= 2 && bus_event_read(buf_str(&r->commit), &at, &r->end) && r->end.kind == EVENT_COMMIT;
    if (!good || take_vector(r, &c, entry, e)) {
        kafka_entry_free(entry);
        return good ? -1 : err_set(e, E_CORRUPT, "record %lld of topic %s cannot be read", (long long) m->offset, r->b->transactions);
    }
    kafka_entry_add(r, entry);
    r->row = 0;
    r->begun = false;
    return 0;
}

/* ---- reading ---- */

static void fill_mark(const struct kafka_reader *r, enum event_kind kind, uint64_t offset, struct event *ev)
{
    *ev = r->end;
    ev->kind = kind;
    ev->offset = offset;
    ev->epoch = r->epoch;
}

/* Kafka's headers in our form, without those of this file. */
static void copy_headers(struct kafka_reader *r, const rd_kafka_message_t *m)
{
    rd_kafka_headers_t *all;
    const char *name;
    const void *value;
    size_t size;
    buf_reset(&r->headers);
    if (rd_kafka_message_headers(m, &all))
        return;
    for (size_t at = 0; !rd_kafka_header_get_all(all, at, &name, &value, &size); at++)
        if (strcmp(name, KAFKA_SEQ) != 0 && strcmp(name, KAFKA_ORDER) != 0)
            headers_add(&r->headers, str_of(name), (struct str){value, size});
}

static int fill_row(struct kafka_reader *r, struct kafka_range *range, uint64_t offset, struct event *ev)
{
    struct kafka_source *part = range->part;
    drop_head(&r->given);
    r->given.head = part->head;
    part->head = NULL;
    if (range->from < 0)
        range->from = r->given.head->offset;
    range->to = r->given.head->offset + 1;
    part->need++;
    part->left--;
    copy_headers(r, r->given.head);
    rd_kafka_timestamp_type_t type;
    *ev = (struct event){.kind = EVENT_ROW, .offset = offset, .epoch = part->head_epoch,
                         .topic = str_of(part->topic),
                         .key = {r->given.head->key, r->given.head->key_len},
                         .value = {r->given.head->payload, r->given.head->len},
                         .tombstone = !r->given.head->payload,
                         .headers = buf_str(&r->headers),
                         .timestamp_us = rd_kafka_message_timestamp(r->given.head, &type) * 1000};
    return 1;
}

/* The row that is next in the transaction is the head of one of its partitions. */
static int next_row(struct kafka_reader *r, struct kafka_entry *entry, struct event *ev, struct err *e)
{
    for (size_t at = 0; at < entry->touched_count; at++) {
        struct kafka_range *range = &entry->touched[(entry->last + at) % entry->touched_count];
        if (!range->part->left)
            continue;
        if (need_head(r, range->part, e))
            return -1;
        if (range->part->head_order != r->row)
            continue;
        entry->last = (entry->last + at) % entry->touched_count;
        return fill_row(r, range, entry->base + 1 + r->row++, ev);
    }
    return err_set(e, E_CORRUPT, "row %u of the transaction at offset %llu is in none of its partitions", r->row, (unsigned long long) entry->base);
}

static int next_of(struct kafka_reader *r, struct event *ev, struct err *e)
{
    struct kafka_entry *entry = r->current;
    if (!r->begun) {
        r->begun = true;
        fill_mark(r, EVENT_BEGIN, entry->base, ev);
        return 1;
    }
    if (r->row + 2 < entry->count)
        return next_row(r, entry, ev, e);
    fill_mark(r, EVENT_COMMIT, entry->base + entry->count - 1, ev);
    r->current = NULL;
    return 1;
}

/* Have a transaction at hand: 1, 0 none came, -1. */
static int next_entry(struct kafka_reader *r, int wait_ms, struct err *e)
{
    rd_kafka_message_t *m;
    if (take_message(r, r->control, wait_ms, &m, e))
        return -1;
    if (kafka_place_store(r, false, e))
        return -1;
    if (!m)
        return 0;
    int rc = kafka_entry_open(r, m, e);
    rd_kafka_message_destroy(m);
    return rc ? -1 : 1;
}

int kafka_next(struct bus_reader *base, int64_t wait_us, struct event *ev, struct err *e)
{
    struct kafka_reader *r = kafka_reader_of(base);
    if (r->broken)
        return err_set(e, E_READER_LOST, "reader of group %s failed before", r->group);
    for (;;) {
        int rc = r->current ? 1 : next_entry(r, (int) ((wait_us + 999) / 1000), e);
        if (rc > 0)
            rc = next_of(r, ev, e);
        if (rc < 0 && e->class != ERR_RETRY)
            return failed(r, e);
        if (rc <= 0)
            return rc;
        if (ev->offset >= r->next) {
            r->next = ev->offset + 1;
            return 1;
        }
    }
}

/* ---- places ---- */

/* A head that was not given stays: the queue does not have it any more. */
static void drop_sought(struct kafka_reader *r, rd_kafka_topic_partition_list_t *list)
{
    for (struct kafka_source *part = r->parts; part; part = part->next)
        if (rd_kafka_topic_partition_list_find(list, part->topic, part->number))
            drop_head(part);
}

static int seek_lists(struct kafka_reader *r, const struct kafka_entry *from, struct err *e)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    rd_kafka_topic_partition_list_add(list, r->b->transactions, 0)->offset = from->at;
    for (const struct kafka_entry *entry = from; entry; entry = entry->next)
        for (size_t at = 0; at < entry->touched_count; at++) {
            const struct kafka_range *range = &entry->touched[at];
            if (range->from >= 0 && !rd_kafka_topic_partition_list_find(list, range->part->topic, range->part->number))
                rd_kafka_topic_partition_list_add(list, range->part->topic, range->part->number)->offset = range->from;
        }
    rd_kafka_error_t *error = rd_kafka_seek_partitions(r->rk, list, SEEK_MS);
    int rc = error ? kafka_err(e, "seek", error) : 0;
    for (int at = 0; !rc && at < list->cnt; at++)
        if (list->elems[at].err)
            rc = kafka_err_code(e, "seek", list->elems[at].err);
    drop_sought(r, list);
    rd_kafka_topic_partition_list_destroy(list);
    return rc;
}

int kafka_seek(struct bus_reader *base, uint64_t offset, struct err *e)
{
    struct kafka_reader *r = kafka_reader_of(base);
    struct kafka_entry *from = r->first;
    if (offset < r->taken)
        return err_set(e, E_READER_LOST, "offset %llu of group %s lies before %llu, which it has taken", (unsigned long long) offset, r->group,
                       (unsigned long long) r->taken);
    while (from && from->base + from->count <= offset)
        from = from->next;
    if (from && seek_lists(r, from, e))
        return -1;
    if (from) {
        for (struct kafka_source *part = r->parts; part; part = part->next)
            part->left = 0;
        kafka_entries_cut(r, from);
        r->current = NULL;
    }
    r->next = offset;
    return 0;
}

uint64_t kafka_taken(struct bus_reader *base)
{
    return kafka_reader_of(base)->taken;
}

struct str kafka_note(struct bus_reader *base)
{
    struct kafka_reader *r = kafka_reader_of(base);
    return (struct str){r->note, r->note_len};
}

int kafka_take(struct bus_reader *base, uint64_t offset, struct str note, struct err *e)
{
    struct kafka_reader *r = kafka_reader_of(base);
    if (offset > r->next || offset < r->taken || note.len > BUS_NOTE_MAX)
        return err_set(e, E_INTERNAL, "group %s takes offset %llu, and has read from %llu to %llu", r->group, (unsigned long long) offset,
                       (unsigned long long) r->taken, (unsigned long long) r->next);
    r->taken = offset;
    memcpy(r->note, note.len ? note.p : "", note.len);
    r->note_len = note.len;
    r->dirty = true;
    kafka_entries_take(r, offset);
    return kafka_place_store(r, false, e);
}
