/* SPDX-License-Identifier: Apache-2.0
 *
 * YAML to struct config by the rows of options.def, all faults at once.
 *
 * Each fault is a line for people: "file:line:col: what" with the source line, a caret and the
 * nearest right name. ${NAME} and ${NAME:-default} expand after parsing, in scalars only. `!secret name` reads
 * $CREDENTIALS_DIRECTORY/name; `!secret {file: path}` a file; `!secret {command: [..]}` a command's output.
 */
#ifndef TR_CLI_CONFIG_H
#define TR_CLI_CONFIG_H

#include "agent/base/config.h"

/* Load and check path ("-" = standard input). NULL and E_CONFIG when there are faults; faults gets
 * them all. Warnings (secret given inline and so on) go to faults too, without failing. */
struct config *config_load(const char *path, struct buf *faults, struct err *e) MUST_CHECK;
/* The same from text; name stands for the file. */
struct config *config_parse(struct str text, const char *name, struct buf *faults, struct err *e) MUST_CHECK;
void config_free(struct config *c);

/* Effective configuration as YAML with origins (value, file:line or default); secrets print as ‹set›. */
void config_print(const struct config *c, struct buf *out);
/* A text as a YAML value that the loader reads back as the same text: quoted where needed, a $
 * doubled. */
void config_add_scalar(struct buf *out, const char *text);
/* JSON Schema of the file. */
void config_schema(struct buf *out);
/* Reference page (Markdown) of all options. */
void config_docs(struct buf *out);

#endif
