/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of schemas share: a registry in memory, a list of events, relations by hand.
 */
#ifndef TR_TESTS_SCHEMAS_SUPPORT_H
#define TR_TESTS_SCHEMAS_SUPPORT_H

#include <check.h>

#include "schemas/envelope.h"

#define TEXTS_MAX 512
#define EVENTS_MAX 8

/* A registry whose id is the index of the text. */
struct fake_registry {
    struct registry registry;
    struct arena arena;
    struct str texts[TEXTS_MAX];
    struct str subjects[TEXTS_MAX];
    int count;
};
void fake_open(struct fake_registry *f);
void fake_close(struct fake_registry *f);

/* Events as they were put, copied. */
struct sink_list {
    struct arena *arena;
    struct event events[EVENTS_MAX];
    int count;
};
struct event_out list_out(struct sink_list *l);

/* A text of hexadecimal digits as bytes, and back, in the arena. */
struct str hex_bytes(struct arena *a, struct str hex);
struct str bytes_hex(struct arena *a, struct str bytes);

/* The lines of a file under tests/cases without comments; split takes one line apart at tabs. */
struct lines {
    char *text;
    char *next;
};
struct lines lines_open(const char *name);
bool lines_next(struct lines *l, struct str *fields, int count);
void lines_close(struct lines *l);

/* A column of a kind, the other facts as a catalog would give them. */
struct column column_of(const char *name, enum type_kind kind, bool array, int32_t typmod);

/* The same row, state by state and text by text; fails the test where it differs. */
void rows_equal(const struct relation *rel, const struct value *have, const struct value *want);

/* part stands somewhere in s. */
bool str_holds(struct str s, const char *part);

/* The cases of the other files. */
TCase *case_envelope(void);
TCase *case_types(void);
TCase *case_forms(void);
TCase *case_extension(void);
TCase *case_property(void);
TCase *case_malformed(void);
TCase *case_shape(void);

#endif
