/* SPDX-License-Identifier: Apache-2.0
 *
 * Completions for bash, zsh and fish: commands, the choices of the first argument, flags. File
 * names for --config; nothing is run or asked while somebody types.
 */
#include "agent/cli/command.h"
#include "agent/cli/docs.h"

/* 'text' for a POSIX shell, where a quote inside is '\''. */
static void add_quoted(struct buf *out, const char *text)
{
    buf_add_char(out, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buf_add_text(out, "'\\''");
        else
            buf_add_char(out, *text);
    }
    buf_add_char(out, '\'');
}

/* Choices of the command's first argument, each behind sep. */
static void add_choices(struct buf *out, const struct command *command, const char *sep)
{
    struct command_argument argument;
    struct str word;
    const struct command *row;
    if (!command_argument(command, 0, &argument))
        return;
    for (int at = 0; argument.choice && (word = argument_choice(&argument, at)).len; at++)
        buf_addf(out, "%s%.*s", sep, STR_ARG(word));
    for (int at = 0; str_is(argument.name, "COMMAND") && (row = command_row(at)); at++)
        buf_addf(out, "%s%s", sep, row->name);
}

static void add_commands(struct buf *out)
{
    const struct command *row;
    for (int at = 0; (row = command_row(at)); at++)
        buf_addf(out, "%s%s", at ? " " : "", row->name);
}

static void complete_bash(struct buf *out)
{
    const struct command *command;
    const struct flag *flag;
    buf_add_text(out, "# SPDX-License-Identifier: Apache-2.0\n# bash completion of tailrace\n"
                      "_tailrace() {\n"
                      "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
                      "    local words= i command=\n"
                      "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                      "        [[ ${COMP_WORDS[i]} == -* || ${COMP_WORDS[i-1]} == --config ]] || "
                      "{ command=${COMP_WORDS[i]}; break; }\n"
                      "    done\n"
                      "    if [[ $before == --config || $before == = && "
                      "${COMP_WORDS[COMP_CWORD-2]} == --config ]]; then\n"
                      "        COMPREPLY=($(compgen -f -- \"${word#=}\"))\n"
                      "        return\n"
                      "    fi\n"
                      "    case $command in\n"
                      "    '') words='");
    add_commands(out);
    buf_add_text(out, " --config --help --version' ;;\n");
    for (int at = 0; (command = command_row(at)); at++) {
        buf_addf(out, "    %s) words='", command->name);
        for (int row = 0; (flag = flag_row(row)); row++)
            if (flag_is_of(flag, command))
                buf_addf(out, "%s--%s", row ? " " : "", flag->name);
        add_choices(out, command, " ");
        buf_add_text(out, "' ;;\n");
    }
    buf_add_text(out, "    esac\n"
                      "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
                      "}\n"
                      "complete -F _tailrace tailrace\n");
}

/* A text within [..] of zsh's _arguments: brackets and colons are escaped. */
static void add_zsh_text(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("[]:\\", *text))
            buf_add_char(out, '\\');
        if (*text == '\'')
            buf_add_text(out, "'\\''");
        else
            buf_add_char(out, *text);
    }
}

static void add_zsh_command(struct buf *out, const struct command *command)
{
    const struct flag *flag;
    struct buf choices = BUF_INIT;
    buf_addf(out, "    %s) _arguments", command->name);
    for (int row = 0; (flag = flag_row(row)); row++) {
        if (!flag_is_of(flag, command))
            continue;
        buf_addf(out, " \\\n        '--%s%s[", flag->name, *flag->metavar ? "=" : "");
        add_zsh_text(out, flag->help);
        buf_add_char(out, ']');
        if (*flag->metavar)
            buf_addf(out, ":%s:%s", flag->metavar,
                     strcmp(flag->metavar, "FILE") == 0 ? "_files" : " ");
        buf_add_char(out, '\'');
    }
    add_choices(&choices, command, " ");
    if (choices.len)
        buf_addf(out, " \\\n        '2:argument:(%s)'", choices.p + 1);
    buf_add_text(out, " ;;\n");
    buf_free(&choices);
}

static void complete_zsh(struct buf *out)
{
    const struct command *command;
    buf_add_text(out, "#compdef tailrace\n# SPDX-License-Identifier: Apache-2.0\n"
                      "local -a commands\ncommands=(\n");
    for (int at = 0; (command = command_row(at)); at++) {
        buf_addf(out, "    '%s:", command->name);
        add_zsh_text(out, command->summary);
        buf_add_text(out, "'\n");
    }
    buf_add_text(out, ")\nif (( CURRENT == 2 )); then\n    _describe command commands\n"
                      "else\n    case $words[2] in\n");
    for (int at = 0; (command = command_row(at)); at++)
        add_zsh_command(out, command);
    buf_add_text(out, "    esac\nfi\n");
}

/* fish quotes with backslashes inside '..'. */
static void add_fish_text(struct buf *out, const char *text)
{
    buf_add_char(out, '\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, *text);
    }
    buf_add_char(out, '\'');
}

static void complete_fish(struct buf *out)
{
    const struct command *command;
    const struct flag *flag;
    struct buf choices = BUF_INIT;
    buf_add_text(out, "# SPDX-License-Identifier: Apache-2.0\n# fish completion of tailrace\n"
                      "complete -c tailrace -f\n");
    for (int at = 0; (command = command_row(at)); at++) {
        buf_addf(out, "complete -c tailrace -n __fish_use_subcommand -a %s -d ", command->name);
        add_fish_text(out, command->summary);
        buf_add_char(out, '\n');
        buf_reset(&choices);
        add_choices(&choices, command, " ");
        if (choices.len) {
            buf_addf(out, "complete -c tailrace -n '__fish_seen_subcommand_from %s' -a ",
                     command->name);
            add_quoted(out, choices.p + 1);
            buf_add_char(out, '\n');
        }
    }
    for (int row = 0; (flag = flag_row(row)); row++) {
        buf_add_text(out, "complete -c tailrace");
        if (*flag->command)
            buf_addf(out, " -n '__fish_seen_subcommand_from %s'", flag->command);
        buf_addf(out, " -l %s%s%s -d ", flag->name, *flag->metavar ? " -x" : "",
                 strcmp(flag->metavar, "FILE") == 0 ? " -a '(__fish_complete_path)'" : "");
        add_fish_text(out, flag->help);
        buf_add_char(out, '\n');
    }
    buf_free(&choices);
}

bool completion(struct str shell, struct buf *out)
{
    if (str_is(shell, "bash"))
        complete_bash(out);
    else if (str_is(shell, "zsh"))
        complete_zsh(out);
    else if (str_is(shell, "fish"))
        complete_fish(out);
    else
        return false;
    return true;
}
