/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/command.h"

#define COMMAND(name, function, arguments, summary, description)
#define FLAG(command, name, metavar, default_value, help)
#define EXAMPLE(command, line, what)

#undef COMMAND
#define COMMAND(name, function, arguments, summary, description)                                   \
    {name, arguments, summary, description},
static const struct command commands[] = {
#include "agent/commands.def"
};
#undef COMMAND
#define COMMAND(name, function, arguments, summary, description)

#undef FLAG
#define FLAG(command, name, metavar, default_value, help)                                          \
    {command, name, metavar, default_value, help},
static const struct flag flags[] = {
#include "agent/commands.def"
};
#undef FLAG
#define FLAG(command, name, metavar, default_value, help)

#undef EXAMPLE
#define EXAMPLE(command, line, what) {command, line, what},
static const struct example examples[] = {
#include "agent/commands.def"
};

const struct command *command_row(int at)
{
    return at >= 0 && (size_t) at < sizeof commands / sizeof *commands ? &commands[at] : NULL;
}

const struct flag *flag_row(int at)
{
    return at >= 0 && (size_t) at < sizeof flags / sizeof *flags ? &flags[at] : NULL;
}

const struct example *example_row(int at)
{
    return at >= 0 && (size_t) at < sizeof examples / sizeof *examples ? &examples[at] : NULL;
}

const struct command *command_find(struct str name)
{
    const struct command *row;
    for (int at = 0; (row = command_row(at)); at++)
        if (str_is(name, row->name))
            return row;
    return NULL;
}

bool flag_is_of(const struct flag *flag, const struct command *command)
{
    return !*flag->command || (command && strcmp(flag->command, command->name) == 0);
}

const struct flag *command_flag(const struct command *command, struct str name)
{
    const struct flag *row;
    for (int at = 0; (row = flag_row(at)); at++)
        if (flag_is_of(row, command) && str_is(name, row->name))
            return row;
    return NULL;
}

/* Part number at of a text cut at sep. */
static struct str part_of(struct str text, char sep, int at)
{
    while (text.len) {
        const char *cut = memchr(text.p, sep, text.len);
        size_t len = cut ? (size_t) (cut - text.p) : text.len;
        if (at-- == 0)
            return (struct str){text.p, len};
        text = cut ? (struct str){cut + 1, text.len - len - 1} : STR_NONE;
    }
    return STR_NONE;
}

bool command_argument(const struct command *command, int at, struct command_argument *out)
{
    struct str word = part_of(str_of(command->arguments), ' ', at);
    if (!word.len)
        return false;
    out->optional = word.p[0] == '[';
    if (out->optional)
        word = (struct str){word.p + 1, word.len - 2};
    out->name = word;
    out->choice = memchr(word.p, '|', word.len) != NULL;
    return true;
}

struct str argument_choice(const struct command_argument *argument, int at)
{
    return part_of(argument->name, '|', at);
}
