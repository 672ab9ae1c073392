/* SPDX-License-Identifier: Apache-2.0
 *
 * The replication slot: look at it, make it with a snapshot, drop it.
 *
 * Making a slot waits for every transaction that is open on the server; whoever waits is told
 * for whom.
 */
#ifndef TR_SOURCE_SLOT_H
#define TR_SOURCE_SLOT_H

#include "agent/net/pg.h"
#include "agent/source/state.h"

/* The slot as pg_replication_slots shows it; columns of newer servers are asked for only there. */
int slot_look(const struct env *env, PGconn *sql, const char *name, struct slot_view *out,
              struct err *e) MUST_CHECK;

/* Told while the wait goes on: what it is for, as a sentence, about once a second. */
struct slot_waiter {
    void *self;
    void (*waits)(void *self, const char *sentence);
};

struct slot_made {
    uint64_t lsn;        /* consistent point: commits from here on are streamed */
    char snapshot[64];   /* exported; dies with the next command on the replication connection */
};

struct slot_order {
    const char *name;
    bool temporary;      /* gone with its connection */
    bool failover;       /* standbys keep it in step; PostgreSQL 17 and later */
    const char *plugin;  /* output plugin; NULL = pgoutput */
};

/* Make a slot on repl and export its snapshot. sql is a second connection, to look whom
 * the server waits for. Ends with E_STOPPED at any wish to stop (repl is then of no further use).
 * E_SLOT_LIMIT; E_STATE when it exists. */
int slot_create(const struct env *env, PGconn *repl, PGconn *sql, const struct slot_order *order,
                const struct slot_waiter *waiter, struct slot_made *out, struct err *e) MUST_CHECK;

/* The same in steps, for who has other things to do meanwhile: send; until slot_create_done is 1
 * (0 = not yet, -1 = failed; call it when the socket of repl is readable) nothing is waited for;
 * slot_create_look tells the waiter whom the server waits for; slot_create_cancel gives up. */
int slot_create_send(PGconn *repl, const struct slot_order *order, struct err *e) MUST_CHECK;
int slot_create_done(PGconn *repl, const struct slot_order *order, struct slot_made *out,
                     struct err *e) MUST_CHECK;
int slot_create_look(const struct env *env, PGconn *repl, PGconn *sql,
                     const struct slot_waiter *waiter, struct err *e) MUST_CHECK;
void slot_create_cancel(PGconn *repl);

/* Make an existing slot, which nobody reads from, a failover slot. PostgreSQL 17 and later. */
int slot_set_failover(const struct env *env, PGconn *repl, const char *name, struct err *e) MUST_CHECK;

/* Drop it. E_SLOT_BUSY, naming the pid, when somebody reads from it; nothing is terminated. */
int slot_drop(const struct env *env, PGconn *sql, const char *name, struct err *e) MUST_CHECK;

#endif
