/* SPDX-License-Identifier: Apache-2.0
 *
 * From a parsed call to the function of its command. Apart from cli.c, since this file alone needs
 * every command to be linked.
 */
#include <errno.h>
#include <stdio.h>

#include "agent/cli/cli.h"

static const struct {
    const char *name;
    int (*run)(struct cli *c, struct err *e);
} functions[] = {
#define COMMAND(name, function, arguments, summary, description) {name, function},
#define FLAG(command, name, metavar, default_value, help)
#define EXAMPLE(command, line, what)
#include "agent/commands.def"
#undef COMMAND
#undef FLAG
#undef EXAMPLE
};

static int run_command(struct cli *c, struct err *e)
{
    for (size_t at = 0; at < sizeof functions / sizeof *functions; at++)
        if (strcmp(functions[at].name, c->command) == 0)
            return functions[at].run(c, e);
    return err_set(e, E_INTERNAL, "command %s has no function", c->command);
}

/* Data that did not reach its reader is a failure; a reader that went away wanted no more. */
static int flush_output(struct err *e)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    if (errno == EPIPE)
        return 1;
    return err_set(e, E_SYSTEM, "cannot write to standard output: %s", strerror(errno));
}

static int report(const struct err *e)
{
    fprintf(stderr, "tailrace: %s\n", e->msg);
    if (e->hint[0])
        fprintf(stderr, "hint: %s\n", e->hint);
    return err_exit_code(e);
}

int cli_main(struct env *env, int argc, char **argv)
{
    struct err e = ERR_INIT, output = ERR_INIT;
    struct cli c;
    int rc = cli_parse(env, argc, argv, &c, &e);
    if (rc == 0)
        rc = run_command(&c, &e);
    int written = flush_output(&output);
    if (rc < 0)
        return report(&e);
    if (rc == 0 && written < 0)
        return report(&output);
    return rc ? rc : written;
}
