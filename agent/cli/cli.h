/* SPDX-License-Identifier: Apache-2.0
 *
 * Command line: rows of commands.def to a parsed call. Data goes to standard output, messages to
 * standard error. A command is one function in a file of its own here.
 */
#ifndef TR_CLI_CLI_H
#define TR_CLI_CLI_H

#include "agent/base/config.h"
#include "agent/base/env.h"

#define CLI_FLAGS_MAX 16
#define CLI_ARGS_MAX 8

struct cli_flag_value {
    const char *name, *value;
};

struct cli {
    struct env *env;
    const char *command;
    int arg_count, flag_count;
    const char *args[CLI_ARGS_MAX];
    struct cli_flag_value flags[CLI_FLAGS_MAX]; /* those given */
};

/* Parse argv and run the command; prints errors ("tailrace: sentence", "hint: ...") to standard
 * error. Returns the exit code: 0 ok, 1 failure, 2 usage, 3 threshold, 4 parked rows present,
 * others as in errors.def. */
int cli_main(struct env *env, int argc, char **argv);

/* Argv to a call, without running it: E_USAGE with the nearest right name. A wish for help is command
 * "help" with the name of the command meant, --version is command "version". */
int cli_parse(struct env *env, int argc, char **argv, struct cli *out, struct err *e) MUST_CHECK;

/* Value of a flag: as given, else its default; NULL when it is neither. A switch that was given is "". */
const char *cli_flag(const struct cli *c, const char *name);
/* A flag's value as a number in [low, high]; E_USAGE otherwise. */
int cli_number(const struct cli *c, const char *name, int64_t low, int64_t high, int64_t *out, struct err *e) MUST_CHECK;
/* The configuration named by --config, loaded; its faults are printed. NULL and err when it does not hold. */
struct config *cli_config(const struct cli *c, struct err *e) MUST_CHECK;

/* Each returns 0, a positive exit code, or -1 with err filled. */
#define COMMAND(name, function, arguments, summary, description) int function(struct cli *c, struct err *e);
#define FLAG(command, name, metavar, default_value, help)
#define EXAMPLE(command, line, what)
#include "agent/commands.def"
#undef COMMAND
#undef FLAG
#undef EXAMPLE

#endif
