/* SPDX-License-Identifier: Apache-2.0
 *
 * A schema registry in memory for the mock of tests/unit/net, which can be made to fail in every way.
 */
#ifndef TR_TESTS_MOCK_REGISTRY_H
#define TR_TESTS_MOCK_REGISTRY_H

#include "tests/unit/net/mock.h"

#define ROOM 64

struct version {
    char subject[200], text[300];
    int id;
};

struct script {
    struct version versions[ROOM];
    int count, ids;
    const char *level;         /* BACKWARD: a subject takes one text only */
    const char *authorization; /* wanted; NULL = none */
    int status;                /* of every answer, 0 = as it should be */
    int status_times;          /* for so many requests, then as it should be; -1 = always */
    const char *body;          /* of these */
    int delay_ms;
    bool read_only, silent;    /* silent: 409 without a reason */
    int lookups, registers, texts, compatibilities;
};

/* Answers as the script that self is says. */
mock_handler registry_handle;

#endif
