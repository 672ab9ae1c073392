/* SPDX-License-Identifier: Apache-2.0
 *
 * The positions topic. Values are big-endian: of the position version (1), epoch (4), system id (8), timeline (4), commit LSN (8),
 * sequence (8), LSN that may be confirmed (8), commit time (8), offset of the next event (8); of a counter version (1), epoch (4),
 * counter (8).
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/bus/kafka.h"

#define VERSION 1
#define COUNTER_KEY "counter "
#define TIP_LEN 57
#define COUNTER_LEN 13

void kafka_state_free(struct kafka_state *s)
{
    for (size_t at = 0; at < s->count; at++)
        free(s->counters[at].topic);
    free(s->counters);
    *s = (struct kafka_state){.count = 0};
}

void kafka_tip_write(const struct kafka_tip *tip, struct buf *out)
{
    buf_add_char(out, VERSION);
    buf_add_be(out, tip->epoch, 4);
    buf_add_be(out, tip->pos.system_id, 8);
    buf_add_be(out, tip->pos.timeline, 4);
    buf_add_be(out, tip->pos.lsn, 8);
    buf_add_be(out, tip->pos.seq, 8);
    buf_add_be(out, tip->end_lsn, 8);
    buf_add_be(out, (uint64_t) tip->commit_us, 8);
    buf_add_be(out, tip->offset, 8);
}

static bool read_tip(struct str value, struct kafka_tip *tip)
{
    struct cursor c = cursor_of(value);
    if (value.len != TIP_LEN || cursor_u8(&c) != VERSION)
        return false;
    tip->epoch = cursor_u32(&c);
    tip->pos.system_id = cursor_u64(&c);
    tip->pos.timeline = cursor_u32(&c);
    tip->pos.lsn = cursor_u64(&c);
    tip->pos.seq = cursor_u64(&c);
    tip->end_lsn = cursor_u64(&c);
    tip->commit_us = (int64_t) cursor_u64(&c);
    tip->offset = cursor_u64(&c);
    return !c.failed;
}

void kafka_counter_key(struct str topic, int part, struct buf *out)
{
    buf_addf(out, COUNTER_KEY "%d %.*s", part, STR_ARG(topic));
}

static struct kafka_counter *counter_of(struct kafka_state *s, struct str topic, int part)
{
    for (size_t at = 0; at < s->count; at++)
        if (s->counters[at].part == part && str_is(topic, s->counters[at].topic))
            return &s->counters[at];
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 64;
        s->counters = mem_realloc(s->counters, s->room * sizeof *s->counters);
    }
    struct kafka_counter *c = &s->counters[s->count++];
    *c = (struct kafka_counter){.topic = mem_alloc(topic.len + 1), .part = part};
    memcpy(c->topic, topic.p, topic.len);
    c->topic[topic.len] = 0;
    return c;
}

/* "counter PART TOPIC" */
static bool read_counter(struct str key, struct str value, struct kafka_state *s)
{
    size_t head = sizeof COUNTER_KEY - 1;
    const char *blank = memchr(key.p + head, ' ', key.len - head);
    uint64_t part;
    struct cursor c = cursor_of(value);
    if (!blank || value.len != COUNTER_LEN || cursor_u8(&c) != VERSION ||
        !str_to_u64((struct str){key.p + head, (size_t) (blank - key.p) - head}, &part) || part > INT32_MAX)
        return false;
    (void) cursor_u32(&c);
    counter_of(s, (struct str){blank + 1, key.len - (size_t) (blank + 1 - key.p)}, (int) part)->counter = cursor_u64(&c);
    return true;
}

static int take(const rd_kafka_message_t *m, struct kafka_state *s, struct err *e)
{
    struct str key = {m->key, m->key_len}, value = {m->payload, m->len};
    bool good = str_eq(key, KAFKA_POSITION_KEY) ? read_tip(value, &s->tip)
                : str_starts(key, COUNTER_KEY) && read_counter(key, value, s);
    return good ? 0 : err_set(e, E_CORRUPT, "record %lld of topic %s cannot be read", (long long) m->offset, rd_kafka_topic_name(m->rkt));
}

static bool is_absent(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
           code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
}

/* Records up to the end that is visible: 0, -1. */
static int take_all(struct kafka_bus *b, rd_kafka_t *rk, struct kafka_state *s, struct err *e)
{
    int64_t until_us = kafka_now_us() + (int64_t) KAFKA_WAIT_MS * 1000;
    int rc = 0;
    bool ended = false;
    while (!rc && !ended) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 200);
        if (env_stop(b->env) == STOP_NOW)
            rc = err_set(e, E_STOPPED, "asked to stop");
        else if (!m && kafka_now_us() > until_us)
            rc = err_set(e, E_KAFKA, "Kafka: nothing came of the positions topic for %d s", KAFKA_WAIT_MS / 1000);
        else if (m && (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF || is_absent(m->err)))
            ended = true;
        else if (m && m->err)
            rc = kafka_err_code(e, "read positions", m->err);
        else if (m)
            rc = take(m, s, e);
        if (m)
            rd_kafka_message_destroy(m);
    }
    return rc;
}

static int assign(rd_kafka_t *rk, const char *topic, struct err *e)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_resp_err_t code = rd_kafka_assign(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code ? kafka_err_code(e, topic, code) : 0;
}

int kafka_state_read(struct kafka_bus *b, struct kafka_state *out, struct err *e)
{
    char group[160], why[128];
    snprintf(group, sizeof group, "tailrace.%s.positions", b->o.prefix);
    kafka_state_free(out);
    rd_kafka_conf_t *conf = kafka_conf(b, 'c', group, e);
    if (!conf)
        return -1;
    if (rd_kafka_conf_set(conf, "enable.partition.eof", "true", why, sizeof why) != RD_KAFKA_CONF_OK) {
        rd_kafka_conf_destroy(conf);
        return err_set(e, E_CONFIG, "Kafka property enable.partition.eof: %s", why);
    }
    rd_kafka_t *rk = kafka_client(RD_KAFKA_CONSUMER, conf, e);
    if (!rk)
        return -1;
    rd_kafka_poll_set_consumer(rk);
    int rc = assign(rk, b->positions, e) || take_all(b, rk, out, e) ? -1 : 0;
    rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return rc;
}
