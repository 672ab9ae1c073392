/* SPDX-License-Identifier: Apache-2.0
 *
 * Help texts, from the rows of commands.def.
 */
#ifndef TR_CLI_HELP_H
#define TR_CLI_HELP_H

#include "agent/base/err.h"
#include "agent/cli/command.h"

/* All commands, one line each. */
void help_program(struct buf *out);
/* One command: examples, flags, description. */
void help_command(const struct command *command, struct buf *out);
/* "tailrace run [--flag ...] ARGUMENTS" */
void help_usage(const struct command *command, struct buf *out);

/* Exit codes that mean something, in order: code number at and its meaning; false past the last. */
bool help_exit_code(int at, int *code, const char **meaning);

#endif
