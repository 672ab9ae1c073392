/* SPDX-License-Identifier: Apache-2.0
 *
 * What the state directory knows of the source, and whether the server still fits it.
 *
 * Facts are one value in STORE_META, so that they change as a whole. They are written before a
 * slot is made (phase creating), when it is there (copying) and when the first copy is durable
 * (ready); a start that finds an earlier phase takes the unfinished slot away and begins again.
 * state_decide is the one place that says whether going on would lose or mix up data.
 */
#ifndef TR_SOURCE_STATE_H
#define TR_SOURCE_STATE_H

#include "agent/base/store.h"

enum state_phase { PHASE_NONE, PHASE_CREATING, PHASE_COPYING, PHASE_READY };

#define STATE_KEY_LEN 32
#define STATE_INSTANCE_LEN 16

struct facts {
    enum state_phase phase;
    uint64_t system_id;
    uint32_t timeline;
    char slot[64];
    uint64_t start_lsn;  /* the slot's consistent point: nothing before it was ever streamed */
    bool inserts_publication; /* "<publication>_ins" was there before the slot: it may be read */
    uint8_t key[STATE_KEY_LEN]; /* of the sentinels; secret */
    char instance[STATE_INSTANCE_LEN + 1]; /* names this installation in sentinels */
};

/* The facts of store; phase none and all else empty when there are none. E_CORRUPT. */
int facts_load(struct store *store, struct facts *out, struct err *e) MUST_CHECK;
/* Durable when it returns 0. */
int facts_save(struct store *store, const struct facts *f, struct err *e) MUST_CHECK;
/* Key and instance from the system's random source. */
int facts_make_key(struct facts *f, struct err *e) MUST_CHECK;
/* Facts as text and back, for the store; false when the text is not ours. */
void facts_write(const struct facts *f, struct buf *out);
bool facts_read(struct str text, struct facts *f) MUST_CHECK;

/* What a server says of itself and of the slot; made by slot.c. */
struct server_view {
    uint64_t system_id;
    uint32_t timeline;
    uint64_t lsn;        /* end of its WAL */
    bool standby;
    bool left_known;     /* on another timeline: its history left ours at left_lsn */
    uint64_t left_lsn;
};

struct slot_view {
    bool exists, active, lost;
    bool foreign;        /* physical, of another plugin or of another database */
    bool failover;       /* standbys keep it in step */
    int active_pid;
    uint64_t confirmed_lsn; /* confirmed_flush_lsn, or restart_lsn when that is NULL */
    uint64_t restart_lsn, retained_bytes;
    int64_t safe_bytes;  /* safe_wal_size; -1 = no limit */
    char why[64];        /* invalidation_reason, wal_status or "conflicting" */
};

enum state_verdict {
    VERDICT_CREATE,   /* make the slot and copy */
    VERDICT_RECREATE, /* an unfinished one of ours: drop it first */
    VERDICT_STREAM,   /* go on from the durable position */
    VERDICT_WAIT,     /* somebody reads from it: be the standby */
    VERDICT_REFUSE,   /* err says why */
};

/* What a start may do. slot_name is the configured one; durable_lsn what the bus has durably (0 =
 * nothing). Pure. */
enum state_verdict state_decide(const struct facts *f, const char *slot_name,
                                const struct server_view *server, const struct slot_view *slot,
                                uint64_t durable_lsn, struct err *e) MUST_CHECK;

#endif
