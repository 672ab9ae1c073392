/* SPDX-License-Identifier: Apache-2.0
 *
 * Man pages in mdoc(7). A page is one buffer of lines; texts from the rows are escaped and a new
 * sentence begins a new line, as mandoc's lint asks.
 */
#include "agent/cli/docs.h"

#include <stdio.h>

#include "agent/cli/help.h"
#include "agent/cli/option.h"

/* The date of the texts, not of the build: the same source gives the same page. */
#define MAN_DATE "November 24, 2026"

/* A text as it is, within a line: backslashes doubled up, macros and quotes kept from meaning. */
static void add_escaped(struct buf *out, const char *text, size_t len)
{
    for (size_t at = 0; at < len; at++) {
        if (text[at] == '\\')
            buf_add_text(out, "\\e");
        else if (text[at] == '"')
            buf_add_text(out, "\\(dq");
        else
            buf_add_char(out, text[at]);
    }
}

/* Sentences, one a line and at most 78 wide; a word that looks like a macro is protected. */
static void add_text(struct buf *out, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t len = strcspn(text, " ");
        if (column && column + 1 + len > 78) {
            buf_add_char(out, '\n');
            column = 0;
        }
        if (column)
            buf_add_char(out, ' ');
        else if (*text == '.' || *text == '\'')
            buf_add_text(out, "\\&");
        add_escaped(out, text, len);
        column += len + 1;
        bool sentence = len > 1 && strchr(".:?!", text[len - 1]) && text[len - 1] != ':';
        text += len;
        text += strspn(text, " ");
        if (sentence && *text) {
            buf_add_char(out, '\n');
            column = 0;
        }
    }
    if (column)
        buf_add_char(out, '\n');
}

static void add_head(struct buf *out, const char *title, int section, const char *name,
                     const char *what)
{
    buf_add_text(out, ".\\\" SPDX-License-Identifier: Apache-2.0\n.Dd " MAN_DATE "\n.Dt ");
    for (const char *p = title; *p; p++)
        buf_add_char(out, *p >= 'a' && *p <= 'z' ? (char) (*p - 'a' + 'A') : *p);
    buf_addf(out, " %d\n.Os\n.Sh NAME\n.Nm %s\n.Nd ", section, name);
    add_escaped(out, what, strlen(what));
    buf_add_char(out, '\n');
}

static void add_flag_item(struct buf *out, const struct flag *flag)
{
    buf_addf(out, ".It Fl \\-%s", flag->name);
    if (*flag->metavar)
        buf_addf(out, " Ns = Ns Ar %s", flag->metavar);
    buf_add_char(out, '\n');
    add_text(out, flag->help);
    if (*flag->metavar && *flag->default_value) {
        buf_add_text(out, "The default is\n.Ql ");
        add_escaped(out, flag->default_value, strlen(flag->default_value));
        buf_add_text(out, " .\n");
    }
}

static void add_exit_status(struct buf *out)
{
    const char *meaning;
    int code;
    buf_add_text(out, ".Sh EXIT STATUS\n.Bl -tag -width Ds\n");
    for (int at = 0; help_exit_code(at, &code, &meaning); at++) {
        buf_addf(out, ".It %d\n", code);
        add_text(out, meaning);
    }
    buf_add_text(out, ".El\n");
}

/* ".Xr tailrace-check 1 ,": all commands but the one of the page, then the file. */
static void add_see_also(struct buf *out, const struct command *but)
{
    const struct command *row;
    buf_add_text(out, ".Sh SEE ALSO\n");
    if (but) {
        buf_add_text(out, ".Xr tailrace 1 ,\n.Xr tailrace.yaml 5\n");
        return;
    }
    /* In the order of their names, as the lint asks. */
    const char *last = "";
    for (int done = 0; command_row(done); done++) {
        const char *next = NULL;
        for (int at = 0; (row = command_row(at)); at++)
            if (strcmp(row->name, last) > 0 && (!next || strcmp(row->name, next) < 0))
                next = row->name;
        if (next)
            buf_addf(out, ".Xr tailrace-%s 1 ,\n", next);
        last = next ? next : last;
    }
    buf_add_text(out, ".Xr tailrace.yaml 5\n");
}

static void man_program(struct buf *out)
{
    const struct command *command;
    add_head(out, "tailrace", 1, "tailrace",
             "replicate the changes of a PostgreSQL database, with lag");
    buf_add_text(out, ".Sh SYNOPSIS\n.Nm\n.Ar command\n.Op Ar flags\n.Sh DESCRIPTION\n.Nm\n"
                      "reads the write-ahead log of a PostgreSQL database by logical decoding,\n"
                      "keeps every change on a bus of its own,\n"
                      "and applies it to the targets that\n.Xr tailrace.yaml 5\nnames.\n.Pp\n"
                      "Data goes to standard output, messages to standard error.\n"
                      "The commands are:\n.Bl -tag -width Ds\n");
    for (int at = 0; (command = command_row(at)); at++) {
        buf_addf(out, ".It Cm %s", command->name);
        if (*command->arguments)
            buf_addf(out, " Ar %s", command->arguments);
        buf_add_char(out, '\n');
        add_text(out, command->summary);
        buf_addf(out, "See\n.Xr tailrace-%s 1 .\n", command->name);
    }
    buf_add_text(out, ".El\n");
    add_exit_status(out);
    buf_add_text(out, ".Sh EXAMPLES\nSee the changes of a database at once:\n.Pp\n"
                      ".Dl $ tailrace tail postgresql://localhost/shop\n.Pp\n"
                      "Replicate it:\n.Bd -literal -offset indent\n"
                      "$ tailrace init postgresql://localhost/shop > tailrace.yaml\n"
                      "$ tailrace check\n$ tailrace run\n.Ed\n");
    add_see_also(out, NULL);
}

static void add_synopsis(struct buf *out, const struct command *command)
{
    struct command_argument argument;
    buf_addf(out, ".Sh SYNOPSIS\n.Nm tailrace %s\n", command->name);
    for (int at = 0; command_argument(command, at, &argument); at++)
        buf_addf(out, ".%sAr %.*s\n", argument.optional ? "Op " : "", STR_ARG(argument.name));
    buf_add_text(out, ".Op Ar flags\n");
}

static void man_command(const struct command *command, struct buf *out)
{
    const struct flag *flag;
    const struct example *example;
    char title[64];
    bool any = false;
    struct buf lower = BUF_INIT;
    snprintf(title, sizeof title, "tailrace-%s", command->name);
    buf_add_text(&lower, command->summary);
    if (lower.p[0] >= 'A' && lower.p[0] <= 'Z')
        lower.p[0] = (char) (lower.p[0] - 'A' + 'a');
    add_head(out, title, 1, title, lower.p);
    buf_free(&lower);
    add_synopsis(out, command);
    buf_add_text(out, ".Sh DESCRIPTION\n");
    add_text(out, command->summary);
    out->p[out->len - 1] = '.';
    buf_add_char(out, '\n');
    add_text(out, command->description);
    buf_add_text(out, ".Pp\nThe flags are:\n.Bl -tag -width Ds\n");
    for (int own = 1; own >= 0; own--)
        for (int at = 0; (flag = flag_row(at)); at++)
            if (flag_is_of(flag, command) && (*flag->command != 0) == own)
                add_flag_item(out, flag);
    buf_add_text(out, ".El\n.Sh EXIT STATUS\nSee\n.Xr tailrace 1 .\n");
    for (int at = 0; (example = example_row(at)); at++) {
        if (strcmp(example->command, command->name) != 0)
            continue;
        buf_add_text(out, any ? ".Pp\n" : ".Sh EXAMPLES\n");
        add_text(out, example->what);
        out->p[out->len - 1] = ':';
        buf_add_char(out, '\n');
        buf_add_text(out, ".Pp\n.Dl $ ");
        add_escaped(out, example->line, strlen(example->line));
        buf_add_char(out, '\n');
        any = true;
    }
    add_see_also(out, command);
}

static void add_option(struct buf *out, const struct option *o)
{
    struct str word;
    buf_addf(out, ".It Cm %s", o->name);
    if (o->type == OPTION_ENUM || o->type == OPTION_WORD) {
        for (int at = 0; (word = option_word(o, at)).len; at++)
            buf_addf(out, "%s Cm %.*s", at ? " |" : "", STR_ARG(word));
    } else {
        buf_addf(out, " Ar %s", option_type_name(o));
    }
    buf_add_char(out, '\n');
    add_text(out, o->help);
    if (o->type == OPTION_INT)
        buf_addf(out, "From %lld to %lld.\n", (long long) o->low, (long long) o->high);
    if (!o->default_value)
        buf_add_text(out, "It must be given.\n");
    if (o->default_value && *o->default_value) {
        buf_add_text(out, "The default is\n.Ql ");
        add_escaped(out, o->default_value, strlen(o->default_value));
        buf_add_text(out, " .\n");
    }
    if (o->flags & OPT_RELOAD)
        buf_add_text(out, "A reload takes it.\n");
}

static void man_file(struct buf *out)
{
    add_head(out, "tailrace.yaml", 5, "tailrace.yaml", "configuration of tailrace");
    buf_add_text(
        out,
        ".Sh DESCRIPTION\nThe file is one YAML document; JSON is a subset of it.\n"
        "All its faults are told at once, with file, line and column.\n.Pp\n"
        "In a value,\n.Ql ${NAME}\nis the environment variable of that name,\n"
        ".Ql ${NAME:-default}\ngives a default,\n.Ql ${NAME:?message}\n"
        "an error of its own, and\n.Ql $$\nis a dollar sign.\n.Pp\n"
        "A connection string may come from elsewhere:\n.Ql !secret name\n"
        "is the file of that name in the directory that systemd gives as\n"
        ".Ev CREDENTIALS_DIRECTORY ,\n.Ql !secret {file: PATH}\n"
        "is a file that no other user may read, and\n"
        ".Ql !secret {command: [PATH, ARGUMENT]}\n"
        "is what a command prints within 10 seconds; no shell is used.\n.Pp\n"
        "The section\n.Cm bus\nmay also be the word\n.Cm local ,\nwhich takes all defaults.\n"
        "Without\n.Cm routes\nevery target gets all tables.\n.Pp\n"
        "SIGHUP reloads the file: an option that a reload takes says so below;\n"
        "the others need a restart.\n");
    for (int section = 0; section < SECTION_COUNT; section++) {
        const char *path = option_section_path((enum option_section) section);
        buf_addf(out, ".Ss %s%s%s%s\n.Bl -tag -width Ds\n",
                 option_section_title((enum option_section) section), *path ? " (" : "", path,
                 *path ? ")" : "");
        for (int row = 0; row < OPTION_ROWS; row++)
            if (option_row(row)->section == (enum option_section) section)
                add_option(out, option_row(row));
        buf_add_text(out, ".El\n");
    }
    buf_add_text(out, ".Sh SEE ALSO\n.Xr tailrace 1 ,\n.Xr tailrace-config 1\n");
}

bool man_page(struct str name, struct buf *out)
{
    const struct command *command = NULL;
    if (str_is(name, "tailrace")) {
        man_program(out);
        return true;
    }
    if (str_is(name, "tailrace.yaml")) {
        man_file(out);
        return true;
    }
    if (str_starts(name, "tailrace-"))
        command = command_find((struct str){name.p + 9, name.len - 9});
    if (command)
        man_command(command, out);
    return command != NULL;
}
