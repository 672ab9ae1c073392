/* SPDX-License-Identifier: Apache-2.0
 *
 * Events to records. A row has its place among those of its partition (tr-seq) and of its source transaction (tr-ord) as headers;
 * the record of a transaction says which counters it took in which partitions, so that a reader can put it together again:
 * version (1), offset of its BEGIN (8), events (4), epoch (4), length (4) and bytes of its COMMIT as in coding.c, then for each
 * partition: length of the topic's name (2), name, partition (4), first counter (8), records (4). All big-endian but the COMMIT.
 */
#include <stdlib.h>

#include "agent/bus/kafka.h"

#define VERSION 1
#define FULL_WAIT_MS 20

/* ---- one record ---- */

struct record {
    rd_kafka_topic_t *topic;
    int part;
    struct str key, value;
    bool null;             /* no value */
    rd_kafka_headers_t *headers; /* NULL = none; taken over */
};

/* librdkafka's queue is full: wait for the brokers. */
static bool wait_for_room(struct kafka_bus *b, rd_kafka_resp_err_t code, int64_t until_us)
{
    if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || kafka_now_us() > until_us || env_stop(b->env) == STOP_NOW)
        return false;
    rd_kafka_poll(b->w.rk, FULL_WAIT_MS);
    return true;
}

/* Its time is now, not that of the commit: brokers delete by it, and what was committed long ago must still be read. */
static int give(struct kafka_bus *b, const struct record *r, struct err *e)
{
    int64_t until_us = kafka_now_us() + (int64_t) KAFKA_WAIT_MS * 1000;
    rd_kafka_resp_err_t code;
    do {
        code = rd_kafka_producev(b->w.rk, RD_KAFKA_V_RKT(r->topic), RD_KAFKA_V_PARTITION(r->part), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                 RD_KAFKA_V_KEY(r->key.len ? r->key.p : NULL, r->key.len),
                                 RD_KAFKA_V_VALUE(r->null ? NULL : (void *) (uintptr_t) (r->value.len ? r->value.p : ""), r->value.len),
                                 RD_KAFKA_V_HEADERS(r->headers), RD_KAFKA_V_END);
    } while (code && wait_for_room(b, code, until_us));
    if (!code)
        return 0;
    if (r->headers)
        rd_kafka_headers_destroy(r->headers);
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return err_set(e, E_VALUE, "event of %zu bytes on topic %s is larger than message.max.bytes of the client", r->value.len,
                       rd_kafka_topic_name(r->topic));
    return kafka_err_code(e, rd_kafka_topic_name(r->topic), code);
}

/* ---- rows ---- */

/* A key change goes as a whole to the partition of the old key. */
static int part_of(struct kafka_writer *w, const struct event *ev, const struct kafka_topic *t)
{
    struct str ignored;
    int part = kafka_partition(ev->key, t->part_count);
    if (t->part_count == 1)
        return 0;
    if (headers_find(ev->headers, HEADER_NEWKEY, &ignored)) {
        w->old_key_part = part;
    } else if (headers_find(ev->headers, HEADER_OLDKEY, &ignored) && w->old_key_part >= 0 && w->old_key_part < t->part_count) {
        part = w->old_key_part;
        w->old_key_part = -1;
    }
    return part;
}

static rd_kafka_headers_t *headers_of(const struct kafka_writer *w, const struct event *ev, uint64_t counter)
{
    rd_kafka_headers_t *out = rd_kafka_headers_new(8);
    uint8_t seq[TR_SEQ_LEN], order[4];
    struct str name, value;
    for (size_t at = 0; headers_next(ev->headers, &at, &name, &value);)
        rd_kafka_header_add(out, name.p, (ssize_t) name.len, value.p, (ssize_t) value.len);
    put_be(seq, w->tip.epoch, 4);
    put_be(seq + 4, counter, 8);
    put_be(order, w->rows, sizeof order);
    rd_kafka_header_add(out, KAFKA_SEQ, -1, seq, sizeof seq);
    rd_kafka_header_add(out, KAFKA_ORDER, -1, order, sizeof order);
    return out;
}

static void note(struct kafka_touches *list, struct kafka_topic *topic, int part)
{
    if (list->count == list->room) {
        list->room = list->room ? list->room * 2 : 16;
        list->items = mem_realloc(list->items, list->room * sizeof *list->items);
    }
    list->items[list->count++] = (struct kafka_touch){topic, part};
}

static void touch(struct kafka_writer *w, struct kafka_topic *t, int at)
{
    struct kafka_part *part = &t->parts[at];
    if (!part->dirty)
        note(&w->dirty, t, at);
    part->dirty = true;
    if (part->count++)
        return;
    part->first = part->counter;
    note(&w->touched, t, at);
}

static int send_row(struct kafka_bus *b, const struct event *ev, struct err *e)
{
    struct kafka_writer *w = &b->w;
    struct kafka_topic *t = kafka_topic_of(b, ev->topic, e);
    if (!t)
        return -1;
    int part = part_of(w, ev, t);
    struct record r = {.topic = t->handle, .part = part, .key = ev->key, .value = ev->value, .null = ev->tombstone,
                       .headers = headers_of(w, ev, t->parts[part].counter + 1)};
    if (give(b, &r, e))
        return -1;
    t->parts[part].counter++;
    w->rows++;
    touch(w, t, part);
    return 0;
}

/* ---- the record of a transaction ---- */

static void write_vector(struct kafka_writer *w, struct buf *out)
{
    buf_add_be(out, w->touched.count, 4);
    for (size_t at = 0; at < w->touched.count; at++) {
        const struct kafka_touch *touch = &w->touched.items[at];
        struct kafka_part *part = &touch->topic->parts[touch->part];
        struct str name = str_of(touch->topic->name);
        buf_add_be(out, name.len, 2);
        buf_add_str(out, name);
        buf_add_be(out, (uint64_t) touch->part, 4);
        buf_add_be(out, part->first, 8);
        buf_add_be(out, part->count, 4);
        part->count = 0;
    }
    w->touched.count = 0;
}

static int give_own(struct kafka_bus *b, rd_kafka_topic_t *topic, struct str key, struct err *e)
{
    const struct record r = {.topic = topic, .key = key, .value = buf_str(&b->w.record)};
    return give(b, &r, e);
}

static void move_tip(struct kafka_tip *tip, const struct mark *m)
{
    if (m->kind == MARK_STREAM) {
        tip->pos = m->pos;
        tip->commit_us = m->commit_us;
    }
    if (m->end_lsn > tip->end_lsn)
        tip->end_lsn = m->end_lsn;
}

static int send_end(struct kafka_bus *b, struct str bytes, const struct event *ev, struct err *e)
{
    struct kafka_writer *w = &b->w;
    struct buf *out = &w->record;
    buf_reset(out);
    buf_add_char(out, VERSION);
    buf_add_be(out, w->begin_offset, 8);
    buf_add_be(out, w->rows + 2, 4);
    buf_add_be(out, w->tip.epoch, 4);
    buf_add_be(out, bytes.len, 4);
    buf_add_str(out, bytes);
    write_vector(w, out);
    move_tip(&w->tip, &ev->mark);
    w->tip.offset = w->begin_offset + w->rows + 2;
    return give_own(b, w->transactions, STR_NONE, e);
}

int kafka_send(struct kafka_bus *b, struct str bytes, struct err *e)
{
    struct kafka_writer *w = &b->w;
    struct event ev;
    size_t at = 0;
    if (!bus_event_read(bytes, &at, &ev))
        return err_set(e, E_INTERNAL, "an event in memory cannot be read");
    switch (ev.kind) {
    case EVENT_BEGIN:
        w->begin_offset = w->tip.offset;
        w->rows = 0;
        w->old_key_part = -1;
        return 0;
    case EVENT_ROW: return send_row(b, &ev, e);
    case EVENT_COMMIT: break;
    }
    return send_end(b, bytes, &ev, e);
}

/* ---- where the source stands ---- */

static int send_counter(struct kafka_bus *b, const struct kafka_touch *touch, struct err *e)
{
    struct kafka_writer *w = &b->w;
    buf_reset(&w->name);
    kafka_counter_key(str_of(touch->topic->name), touch->part, &w->name);
    buf_reset(&w->record);
    buf_add_char(&w->record, VERSION);
    buf_add_be(&w->record, w->tip.epoch, 4);
    buf_add_be(&w->record, touch->topic->parts[touch->part].counter, 8);
    return give_own(b, w->positions, buf_str(&w->name), e);
}

int kafka_send_state(struct kafka_bus *b, struct err *e)
{
    for (size_t at = 0; at < b->w.dirty.count; at++)
        if (send_counter(b, &b->w.dirty.items[at], e))
            return -1;
    buf_reset(&b->w.record);
    kafka_tip_write(&b->w.tip, &b->w.record);
    return give_own(b, b->w.positions, KAFKA_POSITION_KEY, e);
}
