/* SPDX-License-Identifier: Apache-2.0
 *
 * librdkafka's configuration: ours first, then what the user's properties say, then what exactly-once rests on, which nobody
 * may change.
 */
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#include "agent/bus/kafka.h"

static int set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *e)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK)
        return 0;
    return err_set(e, E_CONFIG, "Kafka property %s: %s", name, why); /* the value may be a secret */
}

/* Rows of name and value, ended by NULL. */
static int set_all(rd_kafka_conf_t *conf, const char *const *rows, struct err *e)
{
    for (; rows[0]; rows += 2)
        if (set(conf, rows[0], rows[1], e))
            return -1;
    return 0;
}

static int set_properties(struct kafka_bus *b, rd_kafka_conf_t *conf, struct err *e)
{
    for (int at = 0; at < b->properties.count; at++) {
        const char *text = b->properties.items[at], *equals = strchr(text, '=');
        if (!equals)
            return err_set(e, E_CONFIG, "Kafka property \"%s\" is not of the form name=value", text);
        struct str name = {text, (size_t) (equals - text)};
        if (set(conf, arena_str(&b->arena, name).p, equals + 1, e))
            return -1;
    }
    return 0;
}

/* ---- what librdkafka tells ---- */

/* After a request that timed out, or a connection that broke, while a transaction was open, nobody knows which of its ends a broker
 * will still see: the instance is not used again (KIP-890; librdkafka#5423). */
static void on_log(const rd_kafka_t *rk, int level, const char *fac, const char *text)
{
    struct kafka_bus *b = rd_kafka_opaque(rk);
    if (strcmp(fac, "REQTMOUT") == 0 || strcmp(fac, "FAIL") == 0)
        atomic_store(&b->doubtful, true);
    if (level <= LOG_WARNING)
        log_warn(b->env->log, "kafka", "%s: %s", fac, text);
    else
        log_debug(b->env->log, "kafka", "%s: %s", fac, text);
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct kafka_bus *b = opaque;
    (void) rk;
    atomic_store(&b->doubtful, true);
    log_warn(b->env->log, "kafka", "%s: %s", rd_kafka_err2name((rd_kafka_resp_err_t) code), reason);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct kafka_bus *b = opaque;
    (void) rk;
    if (m->err && m->err != RD_KAFKA_RESP_ERR__PURGE_QUEUE && m->err != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
        log_warn(b->env->log, "kafka", "a record of topic %s was not taken: %s", rd_kafka_topic_name(m->rkt), rd_kafka_err2str(m->err));
}

/* ---- clients ---- */

static int set_producer(struct kafka_bus *b, rd_kafka_conf_t *conf, struct err *e)
{
    char id[160], ms[24], kbytes[24];
    snprintf(kbytes, sizeof kbytes, "%llu", (unsigned long long) (b->o.memory_bytes < ((uint64_t) 1 << 20) ? 1024 : b->o.memory_bytes >> 10));
    snprintf(id, sizeof id, "tailrace.%s", b->o.prefix);
    snprintf(ms, sizeof ms, "%lld", (long long) b->o.transaction_ms);
    const char *const fixed[] = {"transactional.id", id, "enable.idempotence", "true", "transaction.timeout.ms", ms,
                                 "queue.buffering.max.kbytes", kbytes, NULL};
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return set_all(conf, fixed, e);
}

static int set_consumer(rd_kafka_conf_t *conf, const char *group, struct err *e)
{
    const char *const fixed[] = {"group.id", group, "isolation.level", "read_committed", "enable.auto.commit", "false",
                                 "enable.auto.offset.store", "false", "auto.offset.reset", "error", NULL};
    return set_all(conf, fixed, e);
}

rd_kafka_conf_t *kafka_conf(struct kafka_bus *b, char role, const char *group, struct err *e)
{
    static const char *const common[] = {"client.id", "tailrace", "log.connection.close", "false", NULL};
    static const char *const producer[] = {"compression.type", "lz4", "linger.ms", "2", "queue.buffering.max.messages", "1000000", NULL};
    static const char *const consumer[] = {"queued.max.messages.kbytes", "1024", "fetch.wait.max.ms", "100", "queued.min.messages", "10000", NULL};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_opaque(conf, b);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    int rc = set_all(conf, common, e) || set_all(conf, role == 'p' ? producer : consumer, e) ||
             set_properties(b, conf, e) ||
             (*b->o.password && set(conf, "sasl.password", b->o.password, e)) || set(conf, "bootstrap.servers", b->o.brokers, e);
    if (!rc)
        rc = role == 'p' ? set_producer(b, conf, e) : set_consumer(conf, group, e);
    if (!rc)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

rd_kafka_t *kafka_client(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct err *e)
{
    char why[256];
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
    if (rk)
        return rk;
    rd_kafka_conf_destroy(conf);
    (void) err_set(e, E_CONFIG, "Kafka client: %s", why);
    return NULL;
}

/* ---- errors ---- */

static enum err_code class_of(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__FENCED: case RD_KAFKA_RESP_ERR_PRODUCER_FENCED: case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
        return E_KAFKA_FENCED;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION: case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED: case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED: case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        return E_KAFKA_AUTH;
    default:
        return E_KAFKA;
    }
}

int kafka_err_code(struct err *e, const char *what, rd_kafka_resp_err_t code)
{
    return err_set(e, class_of(code), "Kafka: %s: %s", what, rd_kafka_err2str(code));
}

int kafka_err(struct err *e, const char *what, rd_kafka_error_t *error)
{
    (void) err_set(e, class_of(rd_kafka_error_code(error)), "Kafka: %s: %s", what, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return -1;
}
