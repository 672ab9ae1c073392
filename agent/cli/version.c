/* SPDX-License-Identifier: Apache-2.0
 *
 * tailrace version: what runs, and on which libraries. They are asked at run time, since a
 * distribution replaces them without a build of ours.
 */
#include <config.h> /* the version of the package, see configure.ac */

#include <jansson.h>
#include <libfyaml.h>
#include <libpq-fe.h>
#include <lmdb.h>
#include <lz4.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <stdio.h>

#include "agent/cli/cli.h"

struct library {
    const char *name, *version;
};

#define LIBRARIES 7

/* pq_text holds libpq's number, as text; it has room for 32 bytes. */
static void find_libraries(struct library out[LIBRARIES], char *pq_text)
{
    int pq = PQlibVersion();
    snprintf(pq_text, 32, "%d.%d", pq / 10000, pq % 10000);
    out[0] = (struct library){"libpq", pq_text};
    out[1] = (struct library){"lmdb", mdb_version(NULL, NULL, NULL)};
    out[2] = (struct library){"lz4", LZ4_versionString()};
    out[3] = (struct library){"libfyaml", fy_library_version()};
    out[4] = (struct library){"jansson", jansson_version_str()};
    out[5] = (struct library){"libmicrohttpd", MHD_get_version()};
    out[6] = (struct library){"openssl", OpenSSL_version(OPENSSL_FULL_VERSION_STRING)};
}

/* "LMDB 0.9.24: (July 24, 2019)" tells its name again. */
static struct str bare_version(const char *text)
{
    struct str s = str_of(text);
    if (str_starts(s, "LMDB "))
        s = (struct str){s.p + 5, s.len - 5};
    const char *end = s.len ? memchr(s.p, ':', s.len) : NULL;
    return end ? (struct str){s.p, (size_t) (end - s.p)} : s;
}

int cmd_version(struct cli *c, struct err *e)
{
    struct library libraries[LIBRARIES];
    struct buf out = BUF_INIT;
    char pq_text[32];
    bool json = cli_flag(c, "json") != NULL;
    (void) e;
    find_libraries(libraries, pq_text);
    if (json)
        buf_addf(&out, "{\"version\":1,\"tailrace\":\"%s\",\"libraries\":{", PACKAGE_VERSION);
    else
        buf_addf(&out, "tailrace %s\n", PACKAGE_VERSION);
    for (int at = 0; at < LIBRARIES; at++) {
        struct str version = bare_version(libraries[at].version);
        if (json) {
            buf_addf(&out, "%s\"%s\":", at ? "," : "", libraries[at].name);
            buf_add_json(&out, version);
        } else {
            buf_addf(&out, "%-14s %.*s\n", libraries[at].name, STR_ARG(version));
        }
    }
    if (json)
        buf_add_text(&out, "}}\n");
    fwrite(out.p, 1, out.len, stdout);
    buf_free(&out);
    return 0;
}
