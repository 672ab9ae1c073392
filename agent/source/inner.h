/* SPDX-License-Identifier: Apache-2.0
 *
 * The source from within: what its files share. One thread (source_run) owns everything but the
 * members under lock and the atomics; the watch thread has a connection of its own.
 *
 *   source.c   states, reconnecting, the public calls
 *   session.c  one connected life: look, decide, make slot and copy, hand to the stream
 *   tables.c   the chosen tables against publications and copies
 *   chunk.c    rows of a snapshot to the bus
 *   snap.c     tables with a key, read in chunks beside the stream: lane.c reads one, place.c puts it
 *   copy.c     tables without a key, from an exported snapshot
 *   added.c    those of them that came later
 *   attached.c partitions that were attached
 *   stream.c   the replication connection: read, confirm, wait
 *   streamed.c transactions that come before they are committed
 *   prepared.c those that were prepared for two-phase commit
 *   feed.c     decoded changes to events on the bus
 *   ddl.c      forms of tables as the event trigger told them
 *   watch.c    sentinels and figures of the slot
 */
#ifndef TR_SOURCE_INNER_H
#define TR_SOURCE_INNER_H

#include <pthread.h>
#include <stdatomic.h>

#include "agent/source/catalog.h"
#include "agent/source/copies.h"
#include "agent/source/publication.h"
#include "agent/source/rels.h"
#include "agent/source/slot.h"
#include "agent/source/source.h"
#include "agent/source/state.h"
#include "decoders/decoder.h"

#define SOURCE_TURN_US 1000000 /* longest time without a turn of the loop, and between feedbacks */

/* Patterns of one configuration; kept until the source closes, since others may be reading them. */
struct patterns {
    struct patterns *before;
    struct config_list list;
};

/* The replication connection while it streams; begun anew with each session. */
struct stream {
    bool active;
    bool reply_wanted;      /* the server asked */
    bool publication_lost;  /* the server said that it skips changes */
    bool behind;            /* what arrives was committed a while ago */
    int64_t fed_us;         /* mono: last feedback sent */
    int64_t heard_us;       /* mono: last message of the server */
    int64_t turned_us;      /* mono: last turn */
    int64_t asked_us;       /* mono: last time we asked for a sign of life */
    int64_t moved_us;       /* mono: last time the position was moved without a transaction */
    uint64_t received_lsn;
    uint64_t fed_lsn;       /* confirmed to the server */
    uint64_t durable_lsn;   /* may be confirmed */
    uint64_t put_end_lsn;   /* end of the last transaction given to the bus */
    uint64_t move_lsn;      /* nothing of ours lies before it */
};

/* The transaction that is being received. */
struct incoming {
    bool in_txn, skip;      /* skip: it is on the bus already */
    bool visible;           /* the catalog shows what it did */
    uint32_t xid;
    uint64_t commit_lsn;
    bool opened;            /* its BEGIN is on the bus */
    bool sentinel;          /* holds one of ours */
    uint32_t preparing;     /* the transaction whose parts come, to be kept until it is committed by name; 0 = none */
    uint32_t ddl_count;     /* captured forms of tables in it so far */
    int64_t received_us;
    uint64_t last_commit_lsn; /* of the last one given to the bus, or found empty */
    bool touched;             /* holds changes of a table whose rows are being read, or will be */
    uint64_t dropped_lsn;     /* of the last one of which a table's coming copy is to hold changes */
    int64_t last_commit_us;
    const struct relation *rel; /* the last one looked up */
    struct rel_entry *entry;
};

/* A streamed or prepared transaction that was committed, while its parts are fed. */
struct release {
    bool active;
    struct spill *from;
    uint32_t xid;
    uint64_t lsn;            /* of the header that told */
    uint8_t commit[64];      /* the decoder's payload that ends it */
    size_t commit_len;
};

struct watch;
struct added;
struct snap;
struct spill;
struct ddl;
struct prepared;

struct source {
    struct source_parts parts;
    const struct env *env;
    const struct config *config;

    pthread_mutex_t lock;
    struct source_status status;       /* under lock */
    struct patterns *patterns;         /* under lock; newest first */
    struct facts signing;              /* under lock: facts as the watch thread signs with them */
    _Atomic bool over_budget;          /* the slot keeps too much WAL, and nothing moves */
    _Atomic bool tables_changed;       /* look at the tables at the next boundary */
    _Atomic bool streaming;            /* sentinels have a sense */
    _Atomic uint64_t tables_seen;      /* digest of the tables that were last looked at */
    int wake_fd;                       /* eventfd: tables_changed was set */
    int poll_fd;                       /* epoll of wake_fd, the bus and what else wakes the loop */

    struct facts facts;
    PGconn *repl, *sql;
    struct server_view server;
    const struct config_list *tables;  /* patterns in use */
    const struct decoder_driver *driver;
    struct decoder *decoder;
    struct envelope_writer *writer;
    struct arena scratch;              /* of one message */
    struct rels rels;
    struct stream stream;
    struct incoming in;
    struct spill *spill;               /* transactions that are not committed yet */
    struct prepared *prepared;         /* transactions that are prepared */
    struct release release;
    int64_t whole_until_us;            /* mono: until then the server keeps them, since we could not */
    struct added *added;               /* tables without a key waiting for their copy; NULL = none */
    struct snap *snap;                 /* tables with a key that are read beside the stream */
    struct ddl *ddl;                   /* captured forms that are not stored yet */
    struct position copied;            /* last position given to a chunk */
    char attached_xid[16];             /* oldest open transaction at the last look at partitions; empty = none yet */
    int64_t look_again_us;             /* mono: when tables without copy are looked at again; 0 = no */
    struct watch *watch;
    int64_t streaming_us;              /* mono: start of the last stream, for the pause after it */
    int streams;                       /* begun so far */
    int op_series[4];                  /* M_SOURCE_CHANGES of c, u, d, t */
};

/* ---- source.c ---- */

/* Tell a new state; the detail may be NULL. Logs changes of state or detail. */
void source_say(struct source *s, enum source_state state, const char *detail);
/* One turn of whatever loop runs: health, and feedback to the server when it is due. */
void source_turn(struct source *s);
/* Read what made poll_fd readable; the bus's descriptor and ours must be read to be quiet again. */
void source_quiet(struct source *s);
/* Wait until the bus may take more, with feedback going on. E_STOPPED. */
int source_hold(struct source *s, struct err *e) MUST_CHECK;
/* Fill e with E_WAL_BUDGET; -1. */
int source_over_budget(const struct source *s, struct err *e);
/* Wait for the bus, a reload or what else wakes the loop, a turn's part at most. E_STOPPED. */
int source_wait(struct source *s, struct err *e) MUST_CHECK;
/* Put an event, waiting for room. E_STOPPED and errors of the bus. */
int source_put(struct source *s, const struct event *ev, struct err *e) MUST_CHECK;
/* All commits so far durable, however long that takes, with feedback going on. */
int source_flush(struct source *s, struct err *e) MUST_CHECK;
/* E_CONFIG naming the table when a message is larger than source.row_max_mb. */
int source_check_size(const struct source *s, size_t bytes, struct str space, struct str name,
                      struct err *e) MUST_CHECK;
/* lsn on the system and timeline that are being read. */
struct position source_position(const struct source *s, uint64_t lsn);
/* Use the newest patterns from now on. */
void source_adopt_patterns(struct source *s);
/* Make the loop look at the tables soon. Any thread. */
void source_wake_tables(struct source *s);

/* ---- session.c ---- */

/* Connect, decide, prepare and stream until something ends it: 0 at a stop, -1 with the reason. */
int session_run(struct source *s, struct err *e) MUST_CHECK;

/* ---- tables.c ---- */

struct tables_view {
    struct arena arena;
    struct catalog_table *copy; /* chosen, published and not copied yet */
    int copy_count;
    bool inserts_exists;        /* "<publication>_ins" is there */
};

/* Bring publications in step with the chosen tables and tell which have no copy yet. first: E_PUBLICATION when
 * they do not serve; later a lack is only told. out->arena is the caller's to free. */
int tables_sync(struct source *s, bool first, struct tables_view *out, struct err *e) MUST_CHECK;
/* Begin the first copies of the tables that have a key; the others stay in view. */
int tables_copy(struct source *s, struct tables_view *view, struct err *e) MUST_CHECK;
/* Digest of the chosen tables and of the publications: another one means tables_sync has work. */
int tables_digest(const struct source *s, PGconn *c, const struct config_list *patterns,
                  uint64_t *digest, struct err *e) MUST_CHECK;

/* ---- attached.c ---- */

/* Begin reading the rows of partitions that were attached to one of the tables since the last look. */
int attached_read(struct source *s, const struct catalog_table *tables, int count, struct err *e) MUST_CHECK;

/* ---- copy.c ---- */

struct copy_order {
    PGconn *c;               /* ordinary session of its own */
    const char *snapshot;
    uint64_t lsn;            /* where the snapshot stands */
    const struct catalog_table *tables;
    int count;
};

/* Give the rows of the tables to the bus and wait until they are durable. E_STOPPED. */
int copy_run(struct source *s, const struct copy_order *order, struct err *e) MUST_CHECK;

/* ---- added.c ---- */

/* Begin the copies of view, from a temporary slot; takes view over. A reason that concerns these
 * tables only is told, and they are looked at again later; -1 is for the others. */
int added_begin(struct source *s, struct tables_view *view, struct err *e) MUST_CHECK;
/* Go on as far as goes without waiting; when the snapshot is there, the copy is made here. Between transactions only. */
int added_turn(struct source *s, struct err *e) MUST_CHECK;
/* The stream has to wait, so that no change comes before the snapshot that should hold it. */
bool added_holds(struct source *s);
void added_drop(struct source *s);

/* ---- snap.c ---- */

/* Nothing is read before snap_load; close gives all back. */
void snap_open(struct source *s);
void snap_close(struct source *s);
/* Before a session streams: what is stored, and from where on the snapshots have to see. */
int snap_load(struct source *s, struct err *e) MUST_CHECK;
int snap_session(struct source *s, struct err *e) MUST_CHECK;
/* The session is over: what was read and not put is given up. */
void snap_pause(struct source *s);
/* Go on as far as goes without waiting; between transactions, and (receive) within one. */
int snap_turn(struct source *s, struct err *e) MUST_CHECK;
void snap_receive(struct source *s);
/* Longest time until the next turn is due. */
int64_t snap_wait_us(struct source *s);
/* Make the list of runs that others see anew. */
void snap_show(struct source *s);
/* Begin the first copy of a table with a key. */
int snap_begin(struct source *s, const struct catalog_table *t, struct err *e) MUST_CHECK;
/* A first copy of the table is being made; begun: its first chunk is on the bus. */
bool snap_copies(struct source *s, uint32_t oid, bool *begun);
/* Any run of the table is there. */
bool snap_reads(struct source *s, uint32_t oid);
/* The table was not published for a while: begin again. Forget runs of tables that are not among these. */
int snap_restart(struct source *s, uint32_t oid, struct err *e) MUST_CHECK;
int snap_keep_only(struct source *s, const struct catalog_table *tables, int count, struct err *e) MUST_CHECK;
/* The stream told of a row (or a truncate) of a table that is noted; of another form of the table; of a commit
 * that held such changes. */
void snap_note(struct source *s, const struct change *change, const struct txn *txn);
void snap_spoil(struct source *s, uint32_t oid);
void snap_settle(struct source *s, const struct txn *txn);

/* ---- reread.c ---- */

struct reread {
    struct arena *a;     /* of the texts that are read */
    struct value *after; /* column_count values */
    bool gone;           /* the row is not there any more: later changes tell */
};

/* The new row of a change as a whole: its unchanged values from the old row or, as soon as the
 * transaction is visible there, from the table. E_STOPPED. */
int reread_row(struct source *s, const struct change *change, const struct txn *txn, struct reread *out,
               struct err *e) MUST_CHECK;

/* ---- stream.c ---- */

/* Ask the server for a sign of life that tells how far it is; at most every 20 ms. */
void stream_ask(struct source *s);

/* Stream from the durable position on: 0 at a stop, -1 with the reason. */
int stream_run(struct source *s, bool inserts_publication, struct err *e) MUST_CHECK;
/* Send feedback when it is due; asking the bus what is durable. */
void stream_feedback(struct source *s, bool now);

/* Give a message to the decoder, and through it to the bus. */
int stream_feed(struct source *s, struct str payload, uint64_t lsn, struct err *e) MUST_CHECK;

/* ---- streamed.c ---- */

/* Ask for open transactions now: wanted, and they could be kept of late. */
bool streamed_wanted(const struct source *s);
/* The calls of the decoder. */
int streamed_part(void *self, const struct decoder_part *part, struct err *e) MUST_CHECK;
/* catalog_refine for the transaction at hand, whose commit may not be visible yet. E_STOPPED when asked to stop meanwhile. */
int visible_refine(struct source *s, const struct relation *wire, struct arena *a, const struct relation **out,
                   struct err *e) MUST_CHECK;
int streamed_abort(void *self, uint32_t xid, uint32_t subxid, struct err *e) MUST_CHECK;
int streamed_commit(void *self, uint32_t xid, struct str begin, struct str commit, struct err *e) MUST_CHECK;
/* Begin to feed what lies in from of xid, between begin and commit. */
int streamed_begin(struct source *s, struct spill *from, uint32_t xid, const struct str ends[2], struct err *e) MUST_CHECK;
/* Feed at most max parts of the transaction that was committed; the number, or -1. */
int streamed_release(struct source *s, int max, struct err *e) MUST_CHECK;
/* Forget all: the server sends it again. */
void streamed_drop(struct source *s);
/* Bring the metrics up to date. */
void streamed_tell(const struct source *s);

/* ---- prepared.c ---- */

/* Begin with nothing known; close leaves what is stored. */
struct prepared *prepared_open(const struct config *config);
void prepared_close(struct prepared *p);
/* Before a session streams: what is stored, and nothing half. E_CORRUPT. */
int prepared_load(struct source *s, struct err *e) MUST_CHECK;
/* The calls of the decoder; and a part between them. */
int prepared_step(void *self, const struct decoder_prepared *p, enum decoder_prepare step, struct err *e) MUST_CHECK;
int prepared_end(void *self, const struct decoder_prepared *p, struct str begin, struct str commit, struct err *e) MUST_CHECK;
int prepared_part(struct source *s, const struct decoder_part *part, struct err *e) MUST_CHECK;
/* What has come of one so far comes again. */
void prepared_give_up(struct source *s);
/* Forget those whose end is durable. */
int prepared_turn(struct source *s, struct err *e) MUST_CHECK;
/* How many are kept, and their bytes. */
int prepared_count(const struct prepared *p);
uint64_t prepared_bytes(const struct prepared *p);

/* ---- feed.c ---- */

/* The calls of the decoder; self is the source. */
extern const struct decoder_out feed_out;
/* Give up the open transaction. */
void feed_abort(struct source *s);
/* Decide anew which known relations are chosen, and from where on. */
int feed_choose(struct source *s, struct err *e) MUST_CHECK;

/* ---- labels.c ---- */

/* A column of rel is an enum. */
bool labels_there(const struct relation *rel);
/* Give the change, of s->in.entry, a relation with the label that it has and that was not there when the table
 * was announced. */
int labels_follow(struct source *s, struct change *change, struct err *e) MUST_CHECK;

/* ---- ddl.c ---- */

#define DDL_PREFIX "tailrace.ddl" /* of the messages */

/* Begin with nothing, and give everything back. */
struct ddl *ddl_open(void);
void ddl_close(struct ddl *d);
/* Another connection, or another transaction than the one that was given up: forget what is not stored. */
void ddl_drop(struct ddl *d);
/* Take a message with our prefix; one that is not signed for us, or not of this transaction, is counted and ignored. */
int ddl_take(struct source *s, const struct change *change, const struct txn *txn, struct err *e) MUST_CHECK;
/* Store what was taken; before the transaction is committed on the bus. Durable when it returns 0. */
int ddl_store(struct source *s, struct err *e) MUST_CHECK;
/* Forget tables that were dropped before what is durable. */
int ddl_sweep(struct source *s, uint64_t durable_lsn, struct err *e) MUST_CHECK;
/* The relation as it was told of before this point of the stream: 1, 0 when nothing fitting was told, -1. */
int ddl_refine(struct source *s, const struct relation *wire, struct arena *a, const struct relation **out,
               struct err *e) MUST_CHECK;

/* ---- watch.c ---- */

/* Start and end the watch thread. */
int watch_start(struct source *s, struct err *e) MUST_CHECK;
void watch_stop(struct source *s);

#endif
