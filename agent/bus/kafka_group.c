/* SPDX-License-Identifier: Apache-2.0
 *
 * Readers: coming, places, going. A partition is assigned when a transaction has records in it for the first time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/bus/kafka_reader.h"

#define ASK_MS 10000
#define FIRST_WAIT_MS 3000
#define STORE_US 50000 /* least pause between two messages about the place */

/* ---- entries ---- */

void kafka_entry_free(struct kafka_entry *entry)
{
    free(entry->touched);
    free(entry);
}

void kafka_entry_add(struct kafka_reader *r, struct kafka_entry *entry)
{
    if (r->last)
        r->last->next = entry;
    else
        r->first = entry;
    r->last = r->current = entry;
}

static void free_from(struct kafka_entry *entry)
{
    while (entry) {
        struct kafka_entry *next = entry->next;
        kafka_entry_free(entry);
        entry = next;
    }
}

void kafka_entries_cut(struct kafka_reader *r, struct kafka_entry *from)
{
    struct kafka_entry **link = &r->first;
    r->last = NULL;
    while (*link != from) {
        r->last = *link;
        link = &(*link)->next;
    }
    *link = NULL;
    free_from(from);
}

void kafka_entries_take(struct kafka_reader *r, uint64_t offset)
{
    while (r->first && r->first != r->current && r->first->base + r->first->count <= offset) {
        struct kafka_entry *done = r->first;
        r->control_taken = done->at + 1;
        for (size_t at = 0; at < done->touched_count; at++)
            if (done->touched[at].from >= 0)
                done->touched[at].part->taken = done->touched[at].to;
        r->first = done->next;
        if (!r->first)
            r->last = NULL;
        kafka_entry_free(done);
    }
}

/* ---- partitions ---- */

static rd_kafka_queue_t *assign(struct kafka_reader *r, const char *topic, int number, int64_t offset, struct err *e)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, number)->offset = offset >= 0 ? offset : RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_error_t *error = rd_kafka_incremental_assign(r->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_queue_t *queue = error ? NULL : rd_kafka_queue_get_partition(r->rk, topic, number);
    if (error)
        (void) kafka_err(e, topic, error);
    else if (!queue)
        (void) err_set(e, E_KAFKA, "Kafka: topic %s has no partition %d", topic, number);
    else
        rd_kafka_queue_forward(queue, NULL);
    return queue;
}

static int64_t place_of(const struct kafka_reader *r, const char *topic, int number)
{
    const rd_kafka_topic_partition_t *place = rd_kafka_topic_partition_list_find(r->places, topic, number);
    return place && !place->err ? place->offset : RD_KAFKA_OFFSET_INVALID;
}

static struct kafka_source *add_source(struct kafka_reader *r, struct str topic, int number, struct err *e)
{
    struct kafka_source *part = mem_zalloc(1, sizeof *part);
    part->topic = mem_alloc(topic.len + 1);
    memcpy(part->topic, topic.p, topic.len);
    part->topic[topic.len] = 0;
    part->number = number;
    part->taken = -1;
    part->queue = assign(r, part->topic, number, place_of(r, part->topic, number), e);
    if (!part->queue) {
        free(part->topic);
        free(part);
        return NULL;
    }
    part->next = r->parts;
    r->parts = part;
    return part;
}

struct kafka_source *kafka_source_of(struct kafka_reader *r, struct str topic, int number, struct err *e)
{
    struct kafka_source *part = r->found;
    if (part && part->number == number && str_is(topic, part->topic))
        return part;
    for (part = r->parts; part && (part->number != number || !str_is(topic, part->topic)); part = part->next)
        ;
    if (!part)
        part = add_source(r, topic, number, e);
    return r->found = part;
}

/* ---- the place ---- */

static void add_place(rd_kafka_topic_partition_list_t *list, const struct kafka_reader *r)
{
    struct buf text = BUF_INIT;
    rd_kafka_topic_partition_t *place = rd_kafka_topic_partition_list_add(list, r->b->transactions, 0);
    place->offset = r->control_taken >= 0 ? r->control_taken : 0;
    buf_addf(&text, "%llu ", (unsigned long long) r->taken);
    for (size_t at = 0; at < r->note_len; at++)
        buf_addf(&text, "%02x", (uint8_t) r->note[at]);
    place->metadata = text.p; /* freed with the list */
    place->metadata_size = text.len;
}

int kafka_place_store(struct kafka_reader *r, bool last, struct err *e)
{
    int64_t now_us = kafka_now_us();
    bool told = !r->dirty && !r->stored_us; /* nothing was ever taken */
    if (last ? told : !r->dirty || now_us - r->stored_us < STORE_US)
        return 0; /* the last one is waited for: what was told before may still be on its way */
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    add_place(list, r);
    for (const struct kafka_source *part = r->parts; part; part = part->next)
        if (part->taken >= 0)
            rd_kafka_topic_partition_list_add(list, part->topic, part->number)->offset = part->taken;
    rd_kafka_resp_err_t code = rd_kafka_commit(r->rk, list, !last);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_poll(r->rk, 0);
    r->stored_us = now_us;
    r->dirty = code != 0;
    return code ? kafka_err_code(e, "store the place of a group", code) : 0;
}

/* "TAKEN HEX" */
static bool read_place_text(struct kafka_reader *r, struct str text)
{
    const char *blank = text.len ? memchr(text.p, ' ', text.len) : NULL;
    if (!blank || !str_to_u64((struct str){text.p, (size_t) (blank - text.p)}, &r->taken))
        return false;
    struct str note = {blank + 1, text.len - (size_t) (blank + 1 - text.p)};
    r->note_len = note.len / 2;
    return r->note_len <= BUS_NOTE_MAX && str_to_bytes(note, (uint8_t *) r->note, r->note_len);
}

/* Every partition of our topics, to ask for the group's offsets. */
static int list_partitions(struct kafka_reader *r, struct err *e)
{
    const struct rd_kafka_metadata *md;
    rd_kafka_resp_err_t code = rd_kafka_metadata(r->rk, 1, NULL, &md, ASK_MS);
    char prefix[200];
    if (code)
        return kafka_err_code(e, "list topics", code);
    snprintf(prefix, sizeof prefix, "%s.", r->b->o.prefix);
    for (int at = 0; at < md->topic_cnt; at++)
        for (int part = 0; strncmp(md->topics[at].topic, prefix, strlen(prefix)) == 0 && part < md->topics[at].partition_cnt; part++)
            rd_kafka_topic_partition_list_add(r->places, md->topics[at].topic, part);
    rd_kafka_metadata_destroy(md);
    return 0;
}

static int read_places(struct kafka_reader *r, struct err *e)
{
    r->places = rd_kafka_topic_partition_list_new(64);
    if (list_partitions(r, e))
        return -1;
    rd_kafka_resp_err_t code = r->places->cnt ? rd_kafka_committed(r->rk, r->places, ASK_MS) : 0;
    return code ? kafka_err_code(e, "read the place of a group", code) : 0;
}

/* A group that is new starts at the oldest transaction that is there. */
static int find_oldest(struct kafka_reader *r, struct err *e)
{
    struct bus_status st;
    rd_kafka_message_t *m = rd_kafka_consume_queue(r->control, FIRST_WAIT_MS);
    bus_get_status(&r->b->base, &st);
    r->taken = st.durable_offset;
    if (!m)
        return 0;
    int rc = m->err ? kafka_err_code(e, "read the oldest transaction", m->err) : kafka_entry_open(r, m, e);
    rd_kafka_message_destroy(m);
    if (!rc)
        r->taken = r->first->base;
    return rc;
}

static int begin(struct kafka_reader *r, struct err *e)
{
    if (read_places(r, e))
        return -1;
    const rd_kafka_topic_partition_t *place = rd_kafka_topic_partition_list_find(r->places, r->b->transactions, 0);
    int64_t offset = place_of(r, r->b->transactions, 0);
    if (!place)
        return err_set(e, E_KAFKA, "Kafka: topic %s is not there: no agent has written yet", r->b->transactions);
    r->control = assign(r, r->b->transactions, 0, offset, e);
    if (!r->control)
        return -1;
    r->control_taken = offset >= 0 ? offset : -1;
    if (offset < 0)
        return find_oldest(r, e);
    return read_place_text(r, (struct str){place->metadata, place->metadata_size}) ? 0
        : err_set(e, E_CORRUPT, "the place of group %s in Kafka has metadata that tailrace did not write", r->group);
}

/* ---- coming and going ---- */

static void free_reader(struct kafka_reader *r)
{
    free_from(r->first);
    while (r->parts) {
        struct kafka_source *next = r->parts->next;
        if (r->parts->head)
            rd_kafka_message_destroy(r->parts->head);
        rd_kafka_queue_destroy(r->parts->queue);
        free(r->parts->topic);
        free(r->parts);
        r->parts = next;
    }
    if (r->given.head)
        rd_kafka_message_destroy(r->given.head);
    if (r->control)
        rd_kafka_queue_destroy(r->control);
    if (r->places)
        rd_kafka_topic_partition_list_destroy(r->places);
    if (r->rk)
        rd_kafka_destroy_flags(r->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    buf_free(&r->commit);
    buf_free(&r->headers);
    free(r->group);
    free(r);
}

static bool join(struct kafka_bus *b, struct kafka_reader *r)
{
    bool there = false;
    pthread_mutex_lock(&b->lock);
    for (const struct kafka_reader *other = b->readers; other; other = other->next_reader)
        there |= strcmp(other->group, r->group) == 0;
    if (!there) {
        r->next_reader = b->readers;
        b->readers = r;
    }
    pthread_mutex_unlock(&b->lock);
    return !there;
}

static void part_from(struct kafka_bus *b, struct kafka_reader *r)
{
    pthread_mutex_lock(&b->lock);
    struct kafka_reader **link = &b->readers;
    while (*link && *link != r)
        link = &(*link)->next_reader;
    if (*link)
        *link = r->next_reader;
    pthread_mutex_unlock(&b->lock);
}

static char *group_name(const struct kafka_bus *b, const char *group)
{
    size_t len = strlen(b->o.prefix) + strlen(group) + 2;
    char *name = mem_alloc(len);
    snprintf(name, len, "%s.%s", b->o.prefix, group);
    return name;
}

struct bus_reader *kafka_reader(struct bus *base, const char *group, bool ahead, struct err *e)
{
    struct kafka_bus *b = kafka_of(base);
    struct kafka_reader *r = mem_zalloc(1, sizeof *r);
    (void) ahead; /* nothing can be read before it is durable */
    r->base.bus = base;
    r->b = b;
    r->group = group_name(b, group);
    r->control_taken = -1;
    if (!join(b, r)) {
        (void) err_set(e, E_INTERNAL, "group %s is being read already", group);
        free_reader(r);
        return NULL;
    }
    rd_kafka_conf_t *conf = kafka_conf(b, 'c', r->group, e);
    r->rk = conf ? kafka_client(RD_KAFKA_CONSUMER, conf, e) : NULL;
    if (r->rk)
        rd_kafka_poll_set_consumer(r->rk);
    if (!r->rk || begin(r, e)) {
        part_from(b, r);
        free_reader(r);
        return NULL;
    }
    r->next = r->taken;
    return &r->base;
}

void kafka_leave(struct bus_reader *base)
{
    struct kafka_reader *r = kafka_reader_of(base);
    struct err e = ERR_INIT;
    if (kafka_place_store(r, true, &e))
        log_err(r->b->env->log, "kafka", &e);
    part_from(r->b, r);
    free_reader(r);
}

static bool is_read(struct kafka_bus *b, const char *name)
{
    bool there = false;
    pthread_mutex_lock(&b->lock);
    for (const struct kafka_reader *other = b->readers; other; other = other->next_reader)
        there |= strcmp(other->group, name) == 0;
    pthread_mutex_unlock(&b->lock);
    return there;
}

static int delete_group(rd_kafka_t *rk, const char *name, struct err *e)
{
    rd_kafka_DeleteGroup_t *group = rd_kafka_DeleteGroup_new(name);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    size_t count = 0;
    rd_kafka_DeleteGroups(rk, &group, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ASK_MS);
    const rd_kafka_DeleteGroups_result_t *result = event ? rd_kafka_event_DeleteGroups_result(event) : NULL;
    const rd_kafka_group_result_t **groups = result ? rd_kafka_DeleteGroups_result_groups(result, &count) : NULL;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (count == 1) {
        const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[0]);
        code = error ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteGroup_destroy(group);
    bool gone = !code || code == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND;
    return gone ? 0 : kafka_err_code(e, "forget a group", code);
}

int kafka_forget(struct bus *base, const char *group, struct err *e)
{
    struct kafka_bus *b = kafka_of(base);
    char *name = group_name(b, group);
    int rc = is_read(b, name) ? err_set(e, E_INTERNAL, "group %s is being read", group) : 0;
    rd_kafka_conf_t *conf = rc ? NULL : kafka_conf(b, 'c', name, e);
    rd_kafka_t *rk = conf ? kafka_client(RD_KAFKA_CONSUMER, conf, e) : NULL;
    if (!rc)
        rc = rk ? delete_group(rk, name, e) : -1;
    if (rk)
        rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(name);
    return rc;
}
