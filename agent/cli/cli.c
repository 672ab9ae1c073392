/* SPDX-License-Identifier: Apache-2.0
 *
 * The parser of the command line, and what commands ask it for.
 *
 * --flag=value and --flag value are the same; "--" ends the flags; flags of every command may stand
 * before the command. A flag given twice has its last value.
 */
#include "agent/cli/cli.h"

#include <stdio.h>

#include "agent/cli/command.h"
#include "agent/cli/config.h"
#include "agent/cli/nearest.h"

/* ---- faults ---- */

static int unknown_command(struct str name, struct err *e)
{
    struct nearest near = nearest_to(name);
    const struct command *row;
    for (int at = 0; (row = command_row(at)); at++)
        nearest_try(&near, row->name);
    const char *best = nearest_get(&near);
    (void) err_set(e, E_USAGE, "unknown command \"%.*s\"%s%s%s", STR_ARG(name),
                   best ? "; did you mean \"" : "", best ? best : "", best ? "\"?" : "");
    return err_hint(e, "tailrace help lists the commands");
}

static int unknown_flag(const struct command *command, struct str name, struct err *e)
{
    struct nearest near = nearest_to(name);
    const struct flag *row;
    for (int at = 0; (row = flag_row(at)); at++)
        if (flag_is_of(row, command))
            nearest_try(&near, row->name);
    const char *best = nearest_get(&near);
    (void) err_set(e, E_USAGE, "unknown flag \"--%.*s\"%s%s%s%s%s", STR_ARG(name),
                   command ? " of " : "", command ? command->name : "",
                   best ? "; did you mean \"--" : "", best ? best : "", best ? "\"?" : "");
    return err_hint(e, "tailrace help %s lists the flags", command ? command->name : "");
}

static int wrong_choice(const struct command *command, const struct command_argument *argument,
                        struct str given, struct err *e)
{
    struct nearest near = nearest_to(given);
    struct buf words = BUF_INIT, all = BUF_INIT;
    struct str word;
    for (int at = 0; (word = argument_choice(argument, at)).len; at++) {
        buf_addf(&all, "%s%.*s", at ? ", " : "", STR_ARG(word));
        buf_addf(&words, "%.*s%c", STR_ARG(word), 0);
    }
    for (size_t at = 0; at < words.len; at += strlen(words.p + at) + 1)
        nearest_try(&near, words.p + at);
    const char *best = nearest_get(&near);
    if (best)
        (void) err_set(e, E_USAGE, "%s cannot \"%.*s\"; did you mean \"%s\"?", command->name,
                       STR_ARG(given), best);
    else
        (void) err_set(e, E_USAGE, "%s cannot \"%.*s\"; it is one of: %s", command->name,
                       STR_ARG(given), all.p);
    buf_free(&words);
    buf_free(&all);
    return err_hint(e, "tailrace help %s shows how it is used", command->name);
}

/* ---- the parser ---- */

struct parse {
    struct cli *cli;
    const struct command *command; /* NULL until it is known */
    int argc, at;
    char **argv;
    bool help, version;
};

static int keep_flag(struct cli *c, const struct flag *flag, const char *value, struct err *e)
{
    for (int at = 0; at < c->flag_count; at++) {
        if (strcmp(c->flags[at].name, flag->name) == 0) {
            c->flags[at].value = value;
            return 0;
        }
    }
    if (c->flag_count == CLI_FLAGS_MAX)
        return err_set(e, E_USAGE, "more than %d flags", CLI_FLAGS_MAX);
    c->flags[c->flag_count++] = (struct cli_flag_value){flag->name, value};
    return 0;
}

/* argv[at] is "--name" or "--name=value". */
static int parse_flag(struct parse *p, struct err *e)
{
    const char *word = p->argv[p->at] + 2, *equals = strchr(word, '=');
    struct str name = {word, equals ? (size_t) (equals - word) : strlen(word)};
    const struct flag *flag = command_flag(p->command, name);
    const char *value = equals ? equals + 1 : NULL;
    if (!p->command && str_is(name, "version")) {
        p->version = true;
        return 0;
    }
    if (!flag)
        return unknown_flag(p->command, name, e);
    if (!*flag->metavar && value)
        return err_set(e, E_USAGE, "--%s takes no value", flag->name);
    if (!*flag->metavar)
        value = "";
    else if (!value && p->at + 1 < p->argc)
        value = p->argv[++p->at];
    if (!value)
        return err_set(e, E_USAGE, "--%s needs %s", flag->name, flag->metavar);
    if (strcmp(flag->name, "help") == 0)
        p->help = true;
    return keep_flag(p->cli, flag, value, e);
}

static int parse_word(struct parse *p, const char *word, struct err *e)
{
    if (!p->command) {
        p->command = command_find(str_of(word));
        if (!p->command)
            return unknown_command(str_of(word), e);
        p->cli->command = p->command->name;
        return 0;
    }
    if (p->cli->arg_count == CLI_ARGS_MAX)
        return err_set(e, E_USAGE, "more than %d arguments", CLI_ARGS_MAX);
    p->cli->args[p->cli->arg_count++] = word;
    return 0;
}

static int parse_words(struct parse *p, struct err *e)
{
    bool flags_ended = false;
    for (p->at = 1; p->at < p->argc; p->at++) {
        const char *word = p->argv[p->at];
        int rc = 0;
        if (flags_ended || word[0] != '-' || !word[1])
            rc = parse_word(p, word, e);
        else if (strcmp(word, "--") == 0)
            flags_ended = true;
        else if (strcmp(word, "-h") == 0)
            p->help = true;
        else if (strcmp(word, "-V") == 0 && !p->command)
            p->version = true;
        else if (word[1] == '-')
            rc = parse_flag(p, e);
        else
            rc = err_set(e, E_USAGE, "unknown flag \"%s\"; flags begin with two dashes", word);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* The arguments against the command's row. */
static int check_arguments(const struct parse *p, struct err *e)
{
    const struct cli *c = p->cli;
    struct command_argument argument;
    int at = 0;
    for (; command_argument(p->command, at, &argument); at++) {
        struct str given = at < c->arg_count ? str_of(c->args[at]) : STR_NONE, word;
        bool found = !argument.choice;
        if (at >= c->arg_count && !argument.optional) {
            (void) err_set(e, E_USAGE, "%s needs %.*s", c->command, STR_ARG(argument.name));
            return err_hint(e, "usage: tailrace %s %s", c->command, p->command->arguments);
        }
        for (int word_at = 0; !found && (word = argument_choice(&argument, word_at)).len; word_at++)
            found = str_eq(word, given);
        if (at < c->arg_count && !found)
            return wrong_choice(p->command, &argument, given, e);
    }
    if (c->arg_count > at) {
        (void) err_set(e, E_USAGE, "%s does not take \"%s\"", c->command, c->args[at]);
        return err_hint(e, "usage: tailrace %s %s", c->command, p->command->arguments);
    }
    return 0;
}

int cli_parse(struct env *env, int argc, char **argv, struct cli *out, struct err *e)
{
    *out = (struct cli){.env = env};
    struct parse p = {.cli = out, .argc = argc, .argv = argv};
    if (parse_words(&p, e) != 0)
        return -1;
    if (p.version) {
        out->command = "version";
        out->arg_count = 0;
        return 0;
    }
    if (p.help) {
        out->args[0] = out->command;
        out->arg_count = out->command ? 1 : 0;
        out->command = "help";
        return 0;
    }
    if (!p.command) {
        (void) err_set(e, E_USAGE, "no command given");
        return err_hint(e, "tailrace help lists the commands; tailrace tail postgresql://... is a "
                        "first one to try");
    }
    return check_arguments(&p, e);
}

/* ---- for commands ---- */

const char *cli_flag(const struct cli *c, const char *name)
{
    for (int at = 0; at < c->flag_count; at++)
        if (strcmp(c->flags[at].name, name) == 0)
            return c->flags[at].value;
    const struct flag *flag = command_flag(command_find(str_of(c->command)), str_of(name));
    return flag && *flag->metavar && *flag->default_value ? flag->default_value : NULL;
}

int cli_number(const struct cli *c, const char *name, int64_t low, int64_t high, int64_t *out,
               struct err *e)
{
    const char *text = cli_flag(c, name);
    if (!text || !str_to_i64(str_of(text), out))
        return err_set(e, E_USAGE, "--%s is \"%s\", not a whole number", name, text ? text : "");
    if (*out < low || *out > high)
        return err_set(e, E_USAGE, "--%s is %lld, not between %lld and %lld", name,
                       (long long) *out, (long long) low, (long long) high);
    return 0;
}

struct config *cli_config(const struct cli *c, struct err *e)
{
    struct buf faults = BUF_INIT;
    struct config *config = config_load(cli_flag(c, "config"), &faults, e);
    if (faults.len)
        fputs(faults.p, stderr);
    buf_free(&faults);
    return config;
}
