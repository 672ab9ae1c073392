/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/bus/kafka.h"

/* ---- the partition of a key ---- */

static uint32_t murmur2(struct str key)
{
    const uint32_t m = 0x5bd1e995;
    uint32_t hash = 0x9747b28c ^ (uint32_t) key.len;
    const uint8_t *p = (const uint8_t *) key.p;
    size_t len = key.len;
    for (; len >= 4; len -= 4, p += 4) {
        uint32_t k = (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 24;
        k *= m;
        k ^= k >> 24;
        hash = hash * m ^ k * m;
    }
    if (len > 2)
        hash ^= (uint32_t) p[2] << 16;
    if (len > 1)
        hash ^= (uint32_t) p[1] << 8;
    if (len > 0)
        hash = (hash ^ p[0]) * m;
    hash ^= hash >> 13;
    hash *= m;
    return hash ^ hash >> 15;
}

int kafka_partition(struct str key, int count)
{
    return key.len ? (int) ((murmur2(key) & 0x7fffffff) % (uint32_t) count) : 0;
}

/* ---- making topics ---- */

/* Partitions of a topic; 0 when there is none. */
static int look(rd_kafka_t *rk, const char *name, int *partitions, struct err *e)
{
    const struct rd_kafka_metadata *md;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, name, NULL);
    *partitions = 0;
    if (!handle)
        return kafka_err_code(e, name, rd_kafka_last_error());
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 0, handle, &md, KAFKA_WAIT_MS);
    rd_kafka_topic_destroy(handle);
    if (code)
        return kafka_err_code(e, name, code);
    rd_kafka_resp_err_t its = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
    if (!its)
        *partitions = md->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(md);
    if (its && its != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && its != RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC &&
        its != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
        return kafka_err_code(e, name, its);
    return 0;
}

static rd_kafka_NewTopic_t *new_topic(struct kafka_bus *b, const struct kafka_wish *wish, struct err *e)
{
    char why[256];
    rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(wish->name, wish->partitions, b->o.replication, why, sizeof why);
    if (!t) {
        (void) err_set(e, E_CONFIG, "Kafka topic %s: %s", wish->name, why);
        return NULL;
    }
    rd_kafka_NewTopic_set_config(t, "cleanup.policy", wish->cleanup);
    if (wish->ours && strcmp(wish->cleanup, "compact") == 0) { /* read as a whole at each start */
        rd_kafka_NewTopic_set_config(t, "segment.bytes", "16777216");
        rd_kafka_NewTopic_set_config(t, "min.cleanable.dirty.ratio", "0.1");
    }
    return t;
}

static int take_result(rd_kafka_event_t *event, const char *name, struct err *e)
{
    size_t count;
    const rd_kafka_CreateTopics_result_t *result = event ? rd_kafka_event_CreateTopics_result(event) : NULL;
    if (!result)
        return err_set(e, E_KAFKA, "Kafka: making topic %s took longer than %d s", name, KAFKA_WAIT_MS / 1000);
    const rd_kafka_topic_result_t **topics = rd_kafka_CreateTopics_result_topics(result, &count);
    rd_kafka_resp_err_t code = count == 1 ? rd_kafka_topic_result_error(topics[0]) : rd_kafka_event_error(event);
    if (!code || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return 0;
    (void) kafka_err_code(e, name, code);
    const char *why = count == 1 ? rd_kafka_topic_result_error_string(topics[0]) : rd_kafka_event_error_string(event);
    return err_set(e, e->code, "Kafka: making topic %s: %s", name, why ? why : rd_kafka_err2str(code));
}

static int make(struct kafka_bus *b, rd_kafka_t *rk, const struct kafka_wish *wish, struct err *e)
{
    rd_kafka_NewTopic_t *t = new_topic(b, wish, e);
    if (!t)
        return -1;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_CreateTopics(rk, &t, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, KAFKA_WAIT_MS);
    int rc = take_result(event, wish->name, e);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(t);
    if (!rc)
        log_info(b->env->log, "kafka", "made topic %s with %d partitions, cleanup.policy %s", wish->name, wish->partitions, wish->cleanup);
    return rc;
}

int kafka_topic_ensure(struct kafka_bus *b, rd_kafka_t *rk, const struct kafka_wish *wish, int *partitions, struct err *e)
{
    int64_t until_us = kafka_now_us() + (int64_t) KAFKA_WAIT_MS * 1000;
    if (look(rk, wish->name, partitions, e))
        return -1;
    if (*partitions)
        return 0;
    if (make(b, rk, wish, e))
        return -1;
    while (!*partitions && kafka_now_us() < until_us) { /* brokers hear of it one after the other */
        if (env_sleep(b->env, 20) || look(rk, wish->name, partitions, e))
            return -1;
    }
    return *partitions ? 0 : err_set(e, E_KAFKA, "Kafka: topic %s was made and is not there", wish->name);
}

/* ---- topics of rows ---- */

static void take_counters(const struct kafka_state *s, struct kafka_topic *t)
{
    for (size_t at = 0; at < s->count; at++)
        if (s->counters[at].part < t->part_count && strcmp(s->counters[at].topic, t->name) == 0)
            t->parts[s->counters[at].part].counter = t->parts[s->counters[at].part].committed = s->counters[at].counter;
}

static struct kafka_topic **bucket_of(struct kafka_writer *w, struct str name)
{
    return &w->topics[crc32c(0, name.p, name.len) % KAFKA_BUCKETS];
}

static struct kafka_topic *open_topic(struct kafka_bus *b, struct str name, struct err *e)
{
    struct kafka_writer *w = &b->w;
    struct kafka_topic *t = mem_zalloc(1, sizeof *t);
    t->name = mem_alloc(name.len + 1);
    memcpy(t->name, name.p, name.len);
    t->name[name.len] = 0;
    const struct kafka_wish wish = {t->name, b->o.partitions, b->o.cleanup, false};
    if (kafka_topic_ensure(b, w->rk, &wish, &t->part_count, e) || !(t->handle = rd_kafka_topic_new(w->rk, t->name, NULL))) {
        free(t->name);
        free(t);
        return NULL;
    }
    t->parts = mem_zalloc((size_t) t->part_count, sizeof *t->parts);
    take_counters(&w->state, t);
    struct kafka_topic **bucket = bucket_of(w, name);
    t->next = *bucket;
    return *bucket = t;
}

struct kafka_topic *kafka_topic_of(struct kafka_bus *b, struct str name, struct err *e)
{
    struct kafka_writer *w = &b->w;
    if (w->last && str_is(name, w->last->name))
        return w->last;
    struct kafka_topic *t = *bucket_of(w, name);
    while (t && !str_is(name, t->name))
        t = t->next;
    if (!t)
        t = open_topic(b, name, e);
    return w->last = t;
}

static void free_topic(struct kafka_topic *t)
{
    rd_kafka_topic_destroy(t->handle);
    free(t->parts);
    free(t->name);
    free(t);
}

void kafka_topics_free(struct kafka_writer *w)
{
    for (size_t at = 0; at < KAFKA_BUCKETS; at++)
        while (w->topics[at]) {
            struct kafka_topic *gone = w->topics[at];
            w->topics[at] = gone->next;
            free_topic(gone);
        }
    w->last = NULL;
    w->touched.count = w->dirty.count = 0;
}
