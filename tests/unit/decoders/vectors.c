/* SPDX-License-Identifier: Apache-2.0
 *
 * Split at tabs.
 */
#include "tests/unit/decoders/vectors.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/decoders/dump.h"

#define FIELDS 6

int vectors_load(const char *file, struct vector *vectors, int max, struct arena *a)
{
    int count = 0;
    struct buf path = BUF_INIT, hex = BUF_INIT;
    buf_addf(&path, "%s/tests/cases/%s", getenv("TR_SRCDIR"), file);
    FILE *in = fopen(path.p, "r");
    ck_assert_msg(in != NULL, "cannot open %s", path.p);
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    while ((len = getline(&line, &room, in)) > 0) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        struct str fields[FIELDS] = {{0}};
        size_t from = 0;
        for (int field = 0; field < FIELDS; field++) {
            size_t to = from + strcspn(line + from, "\t\n");
            fields[field] = (struct str){line + from, to - from};
            from = to + (line[to] == '\t');
        }
        ck_assert_int_lt(count, max);
        struct vector *v = &vectors[count++];
        buf_reset(&hex);
        ck_assert(hex_bytes(fields[3], &hex));
        ck_assert(str_to_u64(fields[2], &v->lsn));
        v->name = arena_str(a, fields[0]);
        v->server = arena_str(a, fields[1]);
        v->bytes = arena_str(a, buf_str(&hex));
        v->expected = arena_str(a, fields[4]);
    }
    free(line);
    fclose(in);
    buf_free(&path);
    buf_free(&hex);
    return count;
}
