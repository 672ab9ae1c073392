/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows of commands.def as tables, without the functions: the parser, the help and the
 * reference pages need names only, and their tests should not link the whole program.
 */
#ifndef TR_CLI_COMMAND_H
#define TR_CLI_COMMAND_H

#include "agent/base/str.h"

struct command {
    const char *name, *arguments, *summary, *description;
};

struct flag {
    const char *command; /* "" = of every command */
    const char *name, *metavar, *default_value, *help;
};

struct example {
    const char *command, *line, *what;
};

/* Row number at, NULL past the last. */
const struct command *command_row(int at);
const struct flag *flag_row(int at);
const struct example *example_row(int at);

/* By name; NULL when there is none. command_flag also finds the flags of every command. */
const struct command *command_find(struct str name);
const struct flag *command_flag(const struct command *command, struct str name);

/* The flag belongs to the command, or to every command. */
bool flag_is_of(const struct flag *flag, const struct command *command);

/* Argument number at of a command. */
struct command_argument {
    struct str name;   /* "DSN", "check|print|schema" */
    bool optional, choice;
};
/* false past the last */
bool command_argument(const struct command *command, int at, struct command_argument *out);
/* Choice number at of an argument with choices; the empty string past the last. */
struct str argument_choice(const struct command_argument *argument, int at);

#endif
