/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/help.h"

#include <stdio.h>

#include "agent/cli/cli.h"

static const struct {
    int code;
    const char *meaning;
} exit_codes[] = {
    {0, "All is well."},
    {1, "It failed; the message says why."},
    {2, "Wrong command line."},
    {3, "A threshold was exceeded."},
    {4, "Rows are parked, or a value cannot be represented."},
    {69, "A server, a running tailrace or an address is unavailable."},
    {70, "A state that must not happen."},
    {71, "The operating system refused."},
    {73, "The state directory cannot be used."},
    {74, "Reading or writing a disk failed."},
    {75, "It may work later."},
    {76, "The other side sent what the protocol does not allow."},
    {77, "A login or a right is missing."},
    {78, "The configuration, or the set-up of a server, must be changed."},
};

bool help_exit_code(int at, int *code, const char **meaning)
{
    if (at < 0 || (size_t) at >= sizeof exit_codes / sizeof *exit_codes)
        return false;
    *code = exit_codes[at].code;
    *meaning = exit_codes[at].meaning;
    return true;
}

/* Words of text from column indent on, at most 79 wide; ends the line. */
static void add_wrapped(struct buf *out, const char *text, int indent)
{
    int column = indent;
    while (*text) {
        int len = (int) strcspn(text, " ");
        if (column > indent && column + 1 + len > 79) {
            buf_addf(out, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            buf_add_char(out, ' ');
            column++;
        }
        buf_add(out, text, (size_t) len);
        column += len;
        text += len;
        text += strspn(text, " ");
    }
    buf_add_char(out, '\n');
}

void help_program(struct buf *out)
{
    const struct command *row;
    buf_add_text(out, "tailrace replicates the changes of a PostgreSQL database, with lag.\n\n"
                      "First steps:\n"
                      "  tailrace tail postgresql://localhost/shop     see changes at once\n"
                      "  tailrace init postgresql://localhost/shop > tailrace.yaml\n"
                      "  tailrace check\n"
                      "  tailrace run\n\n"
                      "Usage: tailrace COMMAND [FLAGS]\n\nCommands:\n");
    for (int at = 0; (row = command_row(at)); at++) {
        buf_addf(out, "  %-10s ", row->name);
        add_wrapped(out, row->summary, 13);
    }
    buf_add_text(out, "\nFlags:\n"
                      "  -h, --help     Show help for the program or a command.\n"
                      "  -V, --version  Print the version and the libraries in use.\n\n"
                      "tailrace help COMMAND tells more. Options of the file: tailrace docs "
                      "options.\n");
}

void help_usage(const struct command *command, struct buf *out)
{
    buf_addf(out, "tailrace %s%s%s [FLAGS]", command->name, *command->arguments ? " " : "",
             command->arguments);
}

static void add_examples(const struct command *command, struct buf *out)
{
    const struct example *row;
    bool any = false;
    for (int at = 0; (row = example_row(at)); at++) {
        if (strcmp(row->command, command->name) != 0)
            continue;
        buf_addf(out, "%s  %s\n      ", any ? "" : "\nExamples:\n", row->line);
        add_wrapped(out, row->what, 6);
        any = true;
    }
}

static void add_flag(const struct flag *flag, struct buf *out)
{
    int column = 2 + 2 + (int) strlen(flag->name);
    buf_addf(out, "  --%s", flag->name);
    if (*flag->metavar) {
        buf_addf(out, "=%s", flag->metavar);
        column += 1 + (int) strlen(flag->metavar);
    }
    buf_addf(out, "%*s", column < 22 ? 22 - column : 1, "");
    add_wrapped(out, flag->help, 22);
    if (*flag->metavar && *flag->default_value)
        buf_addf(out, "%22sDefault: %s\n", "", flag->default_value);
}

void help_command(const struct command *command, struct buf *out)
{
    const struct flag *row;
    buf_addf(out, "%s.\n\nUsage: ", command->summary);
    help_usage(command, out);
    buf_add_char(out, '\n');
    add_examples(command, out);
    if (*command->description) {
        buf_add_char(out, '\n');
        add_wrapped(out, command->description, 0);
    }
    /* Its own flags first, then those of every command. */
    buf_add_text(out, "\nFlags:\n");
    for (int at = 0; (row = flag_row(at)); at++)
        if (*row->command && flag_is_of(row, command))
            add_flag(row, out);
    for (int at = 0; (row = flag_row(at)); at++)
        if (!*row->command)
            add_flag(row, out);
}

int cmd_help(struct cli *c, struct err *e)
{
    struct buf out = BUF_INIT;
    const struct command *command = NULL;
    if (c->arg_count && !(command = command_find(str_of(c->args[0])))) {
        char *words[] = {(char[]){"tailrace"}, (char *) (uintptr_t) c->args[0], NULL};
        struct cli unused;
        return cli_parse(c->env, 2, words, &unused, e); /* says which command was meant */
    }
    if (command)
        help_command(command, &out);
    else
        help_program(&out);
    fwrite(out.p, 1, out.len, stdout);
    buf_free(&out);
    return 0;
}
