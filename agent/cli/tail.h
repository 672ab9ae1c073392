/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of `tailrace tail` share: the watch on a database, and the printer of changes.
 */
#ifndef TR_CLI_TAIL_H
#define TR_CLI_TAIL_H

#include "agent/source/catalog.h"
#include "decoders/decoder.h"
#include "schemas/envelope.h"

/* ---- the watch (tail_watch.c) ---- */

/* Two sessions of one database: one for SQL, one that streams. */
struct tail_watch {
    const struct env *env;
    int signal_fd;        /* readable when a person wants the end; -1 = none */
    PGconn *sql, *stream;
    struct arena arena;   /* what lives as long as the watch */
    struct catalog_table *tables;
    int table_count;
    char name[64];        /* of the slot, and of the publications that were made */
    const struct decoder_driver *driver; /* what the slot was made with */
    struct buf publications; /* quoted, with commas between, for START_REPLICATION */
    bool made;            /* the publications are ours to drop */
    char told[320];       /* what was said last of a wait */
    uint64_t system_id;
    uint32_t timeline;
};

/* Log in and find the tables that the patterns choose; E_USAGE when there are none. Changes nothing
 * on the server. The caller closes w, also after a failure. */
int tail_watch_open(struct tail_watch *w, const char *dsn, const struct config_list *patterns,
                    struct err *e) MUST_CHECK;

/* Make publications, slot and stream. Tables without a replica identity go into a publication of
 * inserts and truncates only: publishing their updates would make the application's own updates
 * fail. A role that may not make them uses tailrace_tail and tailrace_tail_ins when these exist;
 * otherwise test_decoding is used, which needs none, unless decoder is "pgoutput": then the SQL that makes them goes to
 * standard error and E_PG_RIGHT is returned. With decoder "test_decoding" none are made. w->driver tells. A wait for
 * open transactions is told on standard error with their pids. E_STOPPED when signal_fd becomes
 * readable meanwhile. */
int tail_watch_start(struct tail_watch *w, const char *decoder, struct err *e) MUST_CHECK;

/* Take away slot and publications, and log out. What could not be taken away is told on standard
 * error by name. Harmless after a failed open. */
void tail_watch_close(struct tail_watch *w);

/* ---- publications (tail_publish.c) ---- */

/* Drop the publications of tails that ended without doing so: those whose session is gone. */
int tail_publish_sweep(struct tail_watch *w, struct err *e) MUST_CHECK;

/* Make the publications, or find those that stand ready; see tail_watch_start. Where there are none and needed is false, 0 with
 * w->publications empty. */
int tail_publish_make(struct tail_watch *w, bool needed, struct err *e) MUST_CHECK;

/* Drop those that were made. */
int tail_publish_drop(struct tail_watch *w, struct err *e) MUST_CHECK;

/* ---- printers (tail_text.c, tail_event.c) ---- */

enum tail_format { TAIL_TEXT, TAIL_JSON, TAIL_AVRO };

struct tail_printer;

/* A printer that appends to out. For JSON and Avro the envelope is made with a registry in memory;
 * database is the source's name in it. */
struct tail_printer *tail_printer_open(enum tail_format format, bool color, struct str database,
                                       const struct clock *clock, struct buf *out);
void tail_printer_close(struct tail_printer *p);

/* One change. Text is one line, cut at long values; JSON one line an event, as its Debezium
 * envelope; Avro a block of an object container file, whose header goes first. E_SCHEMA when the
 * columns change under Avro: such a file holds one schema. */
int tail_print(struct tail_printer *p, const struct change *change, const struct txn *txn,
               struct err *e) MUST_CHECK;

/* The Avro header for a table of which nothing came, so that an empty file is one too; nothing in
 * other formats or when it has been written. */
int tail_print_end(struct tail_printer *p, const struct relation *rel, struct err *e) MUST_CHECK;

/* A change as a line for people, its colours by ANSI codes. */
void tail_text_add(struct buf *out, const struct change *change, const struct txn *txn, bool color);

#endif
