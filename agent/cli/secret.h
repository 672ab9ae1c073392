/* SPDX-License-Identifier: Apache-2.0
 *
 * Where secrets come from: a file, or what a command prints.
 *
 * A secret file that others can read is refused, as ssh does with keys: it is found out on the
 * first start and not after the leak. Group read is allowed, since systemd credentials and
 * Kubernetes volumes come so. A trailing line break is cut off. No message holds any of it.
 */
#ifndef TR_CLI_SECRET_H
#define TR_CLI_SECRET_H

#include "agent/base/arena.h"
#include "agent/base/err.h"

#define SECRET_MAX_BYTES ((size_t) 64 * 1024)
#define SECRET_COMMAND_MS 10000

/* The systemd credential of this name: $CREDENTIALS_DIRECTORY/name. */
int secret_credential(struct arena *a, struct str name, struct str *out, struct err *e) MUST_CHECK;

/* A file; a path that does not start with / is taken from directory ("" = where the process is). */
int secret_file(struct arena *a, const char *directory, struct str path, struct str *out,
                struct err *e) MUST_CHECK;

/* Standard output of argv (NULL at its end), run without a shell and with our environment, within
 * SECRET_COMMAND_MS; argv[0] is a path. Its standard error is ours. */
int secret_command(struct arena *a, char *const *argv, struct str *out, struct err *e) MUST_CHECK;

#endif
