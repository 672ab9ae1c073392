/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this decoder share: its state, one line while it is read, and the relations by name.
 */
#ifndef TR_DECODERS_TEST_DECODING_LINE_H
#define TR_DECODERS_TEST_DECODING_LINE_H

#include "decoders/decoder.h"

#define COLUMNS_MAX 1600                       /* of a PostgreSQL table */
#define NAMES_MAX_BYTES ((size_t) 256 << 20)   /* descriptions of relations */

/* A column as a line has it. */
struct cell {
    struct str name, type;
    struct value value;
};

struct tuple {
    struct cell *cells; /* COLUMNS_MAX of them */
    int count;
    bool none;          /* "(no-tuple-data)" */
};

/* A relation by name. */
struct named {
    struct str space, name;        /* empty name: a free slot */
    const struct relation *wire;   /* as announced; NULL: not since the last restart */
    const struct relation *known;  /* what changes carry: wire, or refined by the caller */
    bool whole;                    /* all columns were seen, in a new row */
};

struct decoder {
    struct arena arena;     /* names and relations; nothing is evicted */
    struct named *slots;    /* open addressing */
    size_t slot_count, used;
    uint32_t version;       /* of the relation announced last, whichever it was */
    struct tuple new, old;
    bool in_txn;            /* begun at the callee */
    bool replayed;          /* the running transaction is fed from parts */
    uint32_t kept;          /* a transaction whose lines go to the callee as parts; else 0 */
    uint32_t released;      /* one that was committed, and is to be fed now; else 0 */
    struct txn txn;
    uint64_t seq;
};

struct line {
    struct decoder *d;
    struct str text;
    size_t at;
    uint64_t lsn;
    struct arena *scratch;
    const struct decoder_out *out;
};

/* Fill e with E_DECODE: "malformed test_decoding line at byte 17 of 40: " and the sentence. Returns -1. */
int line_bad(const struct line *l, struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Pass over word when it comes next. */
bool line_skip(struct line *l, const char *word);

/* 0 when the line ends here; else -1 and E_DECODE. */
int line_end(const struct line *l, struct err *e) MUST_CHECK;

/* A number of digits that comes next. */
int line_number(struct line *l, uint64_t *value, struct err *e) MUST_CHECK;

/* An identifier as quote_identifier() writes it. */
int line_ident(struct line *l, struct str *name, struct err *e) MUST_CHECK;

/* Columns up to the end of the line, or up to " new-tuple:". */
int line_tuple(struct line *l, struct tuple *t, struct err *e) MUST_CHECK;

/* "(at 2026-01-01 00:00:00.5+00)" as microseconds since 1970. */
int line_time(struct line *l, int64_t *us, struct err *e) MUST_CHECK;

/* What comes after "table ". */
int line_table(struct line *l, struct err *e) MUST_CHECK;

/* Give a change of the running transaction to the callee, with its number in it. */
int line_emit(const struct line *l, struct change *change, struct err *e) MUST_CHECK;

/* The place of a name, made when it is new; NULL and E_DECODE at the byte limit. */
struct named *names_place(struct line *l, struct str space, struct str name, struct err *e);

/* Tell the callee of n's columns: those of t, and, unless t is a new row, those known already. */
int names_announce(struct line *l, struct named *n, const struct tuple *t, bool whole, struct err *e) MUST_CHECK;

/* Forget what was announced. */
void names_restart(struct decoder *d);

#endif
