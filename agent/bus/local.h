/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files of the embedded bus.
 *
 * Events are encoded once, into a segment of memory that never moves, and lie on disk in the same
 * form, so that a reader does not care where they come from. Segments form a list in offset order
 * that the producer alone changes, under the lock; the writer thread turns ranges of them into
 * blocks; readers hold a reference on the one they read. A segment goes only when all of it is on
 * disk and memory is needed.
 */
#ifndef TR_BUS_LOCAL_H
#define TR_BUS_LOCAL_H

#include <pthread.h>

#include "agent/bus/bus.h"
#include "agent/bus/coding.h"

#define LOCAL_GROUPS_MAX 64
#define LOCAL_OFFSET_LEN 8

/* ---- the form of blocks (local_block.c) ---- */

struct local_block {
    uint64_t first;
    uint32_t count, epoch;
};

/* Append head and LZ4 of raw to out. */
int local_block_write(struct buf *out, const struct local_block *head, struct str raw, struct err *e) MUST_CHECK;
/* Check a block found under the key first and unpack it. E_CORRUPT names first. */
int local_block_read(uint64_t first, struct str block, struct local_block *head, struct buf *raw,
                     struct err *e) MUST_CHECK;
/* Its head alone, with the checksum verified. */
int local_block_head(uint64_t first, struct str block, struct local_block *head, struct err *e) MUST_CHECK;

/* ---- state ---- */

struct local_seg {
    struct local_seg *next;
    unsigned refs;      /* under the lock */
    bool closed;        /* the producer adds no more; set under the lock */
    uint64_t first;     /* offset of its first event */
    size_t cap, used;   /* used and count are the producer's until closed */
    uint32_t count;
    size_t committed;   /* bytes up to the last commit made while it was the newest segment */
    uint32_t committed_count;
    size_t written;     /* bytes that are on disk */
    uint32_t written_count;
    char bytes[];
};

/* How far the source has come. */
struct local_tip {
    struct position pos;
    uint64_t end_lsn;
    int64_t commit_us;
    uint64_t turn; /* counts bus_commit */
};

struct local_group {
    char *name;
    uint64_t taken;
    char note[BUS_NOTE_MAX]; /* of the reader, kept with taken */
    size_t note_len;
    bool reading;
    bool forgotten; /* to be deleted with the next group commit */
};

struct local_bus {
    struct bus base;
    const struct env *env;
    struct store *store;
    struct bus_options o;
    size_t seg_bytes, spill_bytes, block_bytes;
    uint32_t epoch;
    int notify;
    pthread_t writer;

    /* the producer's own */
    bool open;          /* a transaction has begun */
    bool open_closed;   /* a segment was closed in it: parts may be on disk */
    uint64_t next;      /* offset of the next event */
    uint64_t open_bytes;

    _Atomic uint64_t limit;   /* bytes that may be stored: the budget, or more for one transaction alone */
    _Atomic uint64_t pending; /* bytes put but not on disk */
    _Atomic uint64_t stored;  /* bytes on disk */
    _Atomic int state;        /* enum bus_state; BUS_AT_BUDGET here: the map is full, not the budget */

    pthread_mutex_t lock; /* all below */
    pthread_cond_t work, readable, synced;
    struct local_seg *head, *tail;
    size_t seg_total;
    size_t closed_unwritten;
    uint64_t first, committed, durable, ahead, copy_end;
    struct local_tip tip, durable_tip;
    int64_t pending_since_us, takes_since_us, last_sync_us, retry_at_us;
    unsigned map_full_times; /* since a round wrote blocks */
    unsigned waiting_ahead, waiting_durable, waiting_flush;
    bool takes_dirty, drop_tail, more_to_trim, trim_only, blocked, stop;
    uint64_t drop_from;  /* with drop_tail: blocks from here on are of aborted transactions */
    uint64_t abort_turn; /* counts aborts: what the writer has in hand of an open one is void */
    struct err error;
    struct local_group groups[LOCAL_GROUPS_MAX];
    int group_count;
};

struct local_reader {
    struct bus_reader base;
    struct local_bus *b;
    struct local_group *group;
    bool ahead;
    uint64_t next;          /* offset of the next event to give */
    uint64_t stop;          /* where what is in hand ends, or may be seen */
    uint64_t at;            /* offset of the event at pos */
    size_t pos;
    struct local_seg *seg;  /* in hand: memory ... */
    struct local_block block; /* ... or a block, unpacked in raw */
    struct buf key, value, raw;
};

static inline struct local_bus *local_of(struct bus *b)
{
    return (struct local_bus *) b;
}

/* Real monotonic time: waits on conditions know no other clock. */
int64_t local_now_us(void);
/* Wait on cond until deadline_us (INT64_MAX = for ever). The lock is held. */
void local_wait(struct local_bus *b, pthread_cond_t *cond, int64_t deadline_us);

/* local_put.c */
int local_put(struct bus *base, const struct event *ev, struct err *e) MUST_CHECK;
int local_commit(struct bus *base, const struct mark *mark, struct err *e) MUST_CHECK;
void local_abort(struct bus *base);
uint64_t local_room(struct bus *base);
/* A reference less; the lock is held. */
void local_seg_leave(struct local_seg *seg);
/* No room because of the byte budget. Any thread. */
bool local_at_budget(struct local_bus *b);

/* local_write.c: the body of the writer thread, and what it stores. */
void *local_writer(void *bus);
void local_meta_write(struct buf *out, uint32_t epoch, uint64_t first, uint64_t committed,
                      const struct local_tip *tip);
bool local_meta_read(struct str value, uint32_t *epoch, uint64_t *first, uint64_t *committed,
                     struct local_tip *tip);
struct str local_key(uint8_t out[LOCAL_OFFSET_LEN], uint64_t offset);
bool local_key_read(struct str key, uint64_t *offset);
/* The value of a group's record: its offset, then its note. */
struct str local_place(char out[LOCAL_OFFSET_LEN + BUS_NOTE_MAX], uint64_t offset, struct str note);
bool local_place_read(struct str value, struct local_group *group);
#define LOCAL_META_KEY STR("bus")

/* local_read.c */
struct bus_reader *local_reader(struct bus *base, const char *group, bool ahead, struct err *e);
int local_next(struct bus_reader *base, int64_t wait_us, struct event *ev, struct err *e) MUST_CHECK;
int local_seek(struct bus_reader *base, uint64_t offset, struct err *e) MUST_CHECK;
uint64_t local_taken(struct bus_reader *base);
int local_take(struct bus_reader *base, uint64_t offset, struct str note, struct err *e) MUST_CHECK;
struct str local_note(struct bus_reader *base);
void local_leave(struct bus_reader *base);
int local_forget(struct bus *base, const char *group, struct err *e) MUST_CHECK;
struct local_group *local_group_find(struct local_bus *b, struct str name);
/* A new group at taken, or NULL when there are too many. The lock is held. */
struct local_group *local_group_add(struct local_bus *b, struct str name, uint64_t taken);

#endif
