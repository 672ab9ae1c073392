/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration as every part sees it: made by agent/cli/config.c from YAML by the rows of
 * options.def, immutable, freed as a whole. Strings are NUL-terminated and belong to it.
 */
#ifndef TR_BASE_CONFIG_H
#define TR_BASE_CONFIG_H

#include "agent/base/arena.h"
#include "agent/base/err.h"

enum config_on_fk { TARGET_TRIGGERS_OFF, TARGET_TRIGGERS_ON };
enum config_over { CONFIG_OVER_WARN, CONFIG_OVER_STOP };
enum config_decimal { CONFIG_DECIMAL_PRECISE, CONFIG_DECIMAL_DOUBLE, CONFIG_DECIMAL_STRING };
enum config_time { CONFIG_TIME_ADAPTIVE, CONFIG_TIME_MICROSECONDS, CONFIG_TIME_NANOSECONDS, CONFIG_TIME_CONNECT, CONFIG_TIME_ISOSTRING };
enum config_interval { CONFIG_INTERVAL_AUTO, CONFIG_INTERVAL_NUMERIC, CONFIG_INTERVAL_STRING, CONFIG_INTERVAL_POSTGRES };
enum config_binary { CONFIG_BINARY_BYTES, CONFIG_BINARY_BASE64, CONFIG_BINARY_BASE64_URL, CONFIG_BINARY_HEX };
enum config_hstore { CONFIG_HSTORE_AUTO, CONFIG_HSTORE_JSON, CONFIG_HSTORE_MAP, CONFIG_HSTORE_TEXT };
enum config_ddl { DDL_STOP, DDL_PARK, DDL_APPLY };
enum config_rule { RULE_DROP, RULE_MASK, RULE_HASH, RULE_TRUNCATE };
enum config_subjects { SUBJECTS_TOPIC, SUBJECTS_RECORD, SUBJECTS_TOPIC_RECORD };
enum config_incompatible { INCOMPATIBLE_STOP, INCOMPATIBLE_NEW_SUBJECT };
enum config_existing { EXISTING_REFUSE, EXISTING_KEEP, EXISTING_CLEAR };

struct config_list {
    int count;
    const char **items;
};

struct config_source {
    const char *postgres;      /* libpq connection string; secret */
    struct config_list tables; /* patterns schema.table; '!' excludes; later ones win */
    const char *slot;          /* default: tailrace_<name> */
    const char *publication;   /* default: tailrace_<name>; "<it>_ins" holds tables without identity */
    bool failover;             /* the slot is a failover slot */
    const char *primary;       /* of a source that is a standby, for sentinels; secret; empty = none */
    bool create_publication;
    bool copy;                 /* first copy of rows that exist before the slot */
    const char *messages;      /* patterns of prefixes of logical messages that are passed on; empty = none */
    int64_t sentinel_ms;
    int64_t wal_budget_mb;     /* check and status warn when the slot keeps more; 0 = none */
    enum config_over wal_over_budget;
    int64_t backoff_max_ms;
    int64_t snapshot_parallel; /* tables read at once */
    const char *snapshot_postgres; /* of a standby to read rows from; NULL or empty = the source; secret */
    int64_t row_max_mb;        /* largest single message taken */
    bool streaming;            /* take transactions while they are open */
    bool two_phase;            /* take prepared transactions when they are prepared */
    int64_t spill_max_mb;      /* disk for those */
};

struct config_kafka {
    const char *brokers;       /* empty: the embedded bus */
    struct config_list properties; /* of librdkafka: name=value */
    const char *password;      /* sasl.password; secret */
    int64_t partitions, replication; /* of topics that are made; replication -1: the brokers' */
    const char *cleanup;       /* delete | compact */
    int64_t commit_ms;         /* least pause between two Kafka transactions */
    int64_t transaction_ms;    /* longest one */
};

struct config_bus {
    int64_t max_mb, memory_mb, sync_ms;
    int64_t large_txn_max_mb;  /* of one transaction beyond max_mb */
};

struct config_target {
    const char *name;
    const char *connector;     /* "postgres" */
    const char *url;           /* secret */
    bool create;               /* make missing tables */
    enum config_on_fk triggers; /* fire triggers and foreign keys on the target (needs no right) or not (session_replication_role = replica) */
    enum config_ddl ddl;       /* follow what was altered on the source */
    enum config_existing existing; /* first copy into a table that has rows */
    const char *synchronous_commit; /* of the target session: on, off, local, remote_write, remote_apply */
    const char *schema;        /* put all tables into this schema; NULL = same as source */
    int64_t batch_kb;          /* a batch is committed at this size at the latest */
    int64_t parked_max;
    int64_t statement_timeout_ms;
};

struct config_route {
    const char *name;          /* consumer group; default: the target's name */
    struct config_list from;   /* patterns */
    const char *to;            /* target name */
};

struct config_events {
    const char *mode;          /* sane | strict */
    enum config_decimal decimal; /* this and the next four: schemas/envelope.h */
    enum config_time time;
    enum config_interval interval;
    enum config_binary binary;
    enum config_hstore hstore;
    bool transactions;
    const char *placeholder;   /* of unchanged large values */
    bool tombstones;
};

/* What becomes of columns before they are written anywhere; see schemas/shape.h. */
struct config_column {
    struct config_list of;     /* patterns schema.table.column; of several rules the first that matches decides */
    enum config_rule what;
    int64_t length;            /* of what mask writes and truncate leaves, in characters */
    const char *salt;          /* of hash; secret */
};

/* Other columns as the record key. */
struct config_key {
    struct config_list of;      /* patterns schema.table; of several rules the first that matches decides */
    struct config_list columns; /* names, in the order of the key */
};

struct config_registry {
    struct config_list url;    /* none: the embedded registry */
    const char *user, *password; /* Basic; password is secret */
    const char *token;         /* Bearer; secret */
    const char *ca_file, *cert_file, *key_file; /* PEM; empty = none */
    bool verify;               /* certificates */
    enum config_subjects subjects;
    enum config_incompatible on_incompatible;
    int64_t timeout_ms;        /* of one request */
};

struct config {
    struct arena arena;
    const char *path;          /* file it came from */
    const char *name;
    const char *state;         /* state directory */
    struct config_source source;
    struct config_events events;
    int column_count;
    struct config_column *columns;
    int key_count;
    struct config_key *keys;
    struct config_registry registry;
    struct config_kafka kafka;
    struct config_bus bus;
    int target_count;
    struct config_target *targets;
    int route_count;
    struct config_route *routes;
    const char *http_listen;   /* "127.0.0.1:8088"; empty = off */
    const char *log_level, *log_format;
    int64_t shutdown_timeout_ms;
};

/* A table is chosen by the patterns: the last one that matches decides; no match is no. */
bool config_list_matches(const struct config_list *patterns, struct str space, struct str table);
/* A pattern without * and ? is this very table. */
bool config_list_names(const struct config_list *patterns, struct str space, struct str table);

/* One of the patterns schema.table.column takes this column. A dot parts, also one that a name holds: ? stands
 * for that. */
bool config_list_takes_column(const struct config_list *patterns, struct str space, struct str table,
                              struct str column);

/* The target with this name, or NULL. */
const struct config_target *config_target_find(const struct config *c, const char *name);

#endif
