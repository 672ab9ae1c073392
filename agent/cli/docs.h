/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference pages from the tables of the program: Markdown, man pages, completions. Nothing of them
 * is written by hand, so none can be out of date.
 */
#ifndef TR_CLI_DOCS_H
#define TR_CLI_DOCS_H

#include "agent/base/str.h"

/* docs/metrics.md, docs/errors.md, docs/cli.md (docs/options.md is config_docs). */
void docs_metrics(struct buf *out);
void docs_errors(struct buf *out);
void docs_cli(struct buf *out);

/* A text as a cell of a Markdown table. */
void docs_add_cell(struct buf *out, const char *text);

/* A man page in mdoc: "tailrace", "tailrace-run" and so on, "tailrace.yaml"; false when there is no
 * such page. */
bool man_page(struct str name, struct buf *out);

/* Completion for bash, zsh or fish; false for another shell. */
bool completion(struct str shell, struct buf *out);

#endif
