/* SPDX-License-Identifier: Apache-2.0
 *
 * Faults of a file, collected first and written in the order of the file.
 *
 * A fault is shown with its source line and a caret. The line is what a person typed, so it may
 * hold a password; what looks like one is written as ***.
 */
#ifndef TR_CLI_FAULT_H
#define TR_CLI_FAULT_H

#include "agent/base/arena.h"

#define FAULTS_MAX 200 /* more are counted, not kept */

/* Where a thing stands in the file; line 0 = nowhere (a default). */
struct place {
    int line, column; /* from 1, column in characters */
    int width;        /* characters to underline; at least 1 */
    bool hide;        /* what stands here may be a secret of any form: do not show it */
};

struct fault {
    struct place at;
    bool warning;
    struct str text;
};

struct faults {
    struct arena *arena; /* of the texts; belongs to the caller */
    int count, errors, warnings, dropped;
    struct fault list[FAULTS_MAX];
};

/* Keep a fault (or a warning) at its place; texts are lower case and hold no secret. */
void fault_add(struct faults *f, struct place at, const char *fmt, ...) PRINTF_LIKE(3, 4);
void fault_warn(struct faults *f, struct place at, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* All of them: "name:line:column: error: text", the line, the caret. source is the whole file. */
void faults_write(struct faults *f, const char *name, struct str source, struct buf *out);

/* A line of the file with everything that looks like a password masked. */
void fault_add_masked(struct buf *out, struct str line);

#endif
