/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/docs.h"

#include <stdio.h>

#include "agent/base/metric.h"
#include "agent/cli/cli.h"
#include "agent/cli/config.h"
#include "agent/cli/help.h"

/* In a table a pipe ends the cell, and < begins a tag. */
void docs_add_cell(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|' || *text == '<')
            buf_add_char(out, '\\');
        buf_add_char(out, *text);
    }
}

static const char *kind_name(enum metric_kind kind)
{
    switch (kind) {
    case METRIC_COUNTER:
        return "counter";
    case METRIC_GAUGE:
        return "gauge";
    case METRIC_HISTOGRAM:
        return "histogram";
    }
    return "";
}

void docs_metrics(struct buf *out)
{
    buf_add_text(out, "# Metrics\n\nMade by `tailrace docs metrics` from `agent/metrics.def`; "
                      "`make docs` writes it anew.\nServed at `/metrics` of `http.listen` in the "
                      "text format of Prometheus.\nA metric has at most 64 values of its label; "
                      "those past the limit are counted as `other`.\n\n"
                      "| Metric | Kind | Label | Meaning |\n|---|---|---|---|\n");
    for (int id = 0; id < METRIC_COUNT; id++) {
        enum metric_id metric = (enum metric_id) id;
        const char *label = metric_label(metric);
        buf_addf(out, "| `%s` | %s | %s%s%s | ", metric_name(metric),
                 kind_name(metric_row_kind(metric)), *label ? "`" : "", label, *label ? "`" : "");
        docs_add_cell(out, metric_help(metric));
        buf_add_text(out, " |\n");
    }
}

static void add_exit_codes(struct buf *out)
{
    const char *meaning;
    int code;
    buf_add_text(out, "| Exit code | Meaning |\n|---|---|\n");
    for (int at = 0; help_exit_code(at, &code, &meaning); at++)
        buf_addf(out, "| %d | %s |\n", code, meaning);
}

void docs_errors(struct buf *out)
{
    buf_add_text(out, "# Errors\n\nMade by `tailrace docs errors` from `agent/errors.def`; `make "
                      "docs` writes it anew.\nThe class says what happens next: retry and rate are "
                      "tried again by tailrace itself; item concerns one row, which is parked; "
                      "conflict waits for another process; auth, gone, config and fatal need a "
                      "person.\n\n"
                      "| Error | Class | Exit code | What | What to do |\n|---|---|---|---|---|\n");
    for (int code = 1; code < ERR_CODES; code++) {
        struct err e = ERR_INIT;
        (void) err_set(&e, (enum err_code) code, " ");
        buf_addf(out, "| `%s` | %s | %d | ", err_name(e.code), err_class_name(e.class),
                 err_exit_code(&e));
        docs_add_cell(out, err_title(e.code));
        buf_add_text(out, " | ");
        docs_add_cell(out, err_default_hint(e.code));
        buf_add_text(out, " |\n");
    }
    buf_add_char(out, '\n');
    add_exit_codes(out);
}

void docs_cli(struct buf *out)
{
    const struct command *command;
    buf_add_text(out, "# Command line\n\nMade by `tailrace docs cli` from `agent/commands.def`; "
                      "`make docs` writes it anew.\nData goes to standard output, messages to "
                      "standard error. `--json` has a field `version` that grows when the form "
                      "changes.\n\n```text\n");
    help_program(out);
    buf_add_text(out, "```\n");
    for (int at = 0; (command = command_row(at)); at++) {
        buf_addf(out, "\n## tailrace %s\n\n```text\n", command->name);
        help_command(command, out);
        buf_add_text(out, "```\n");
    }
    buf_add_text(out, "\n## Exit codes\n\n");
    add_exit_codes(out);
}

static int print_named(struct cli *c, struct buf *out, struct err *e)
{
    bool man = strcmp(c->args[0], "man") == 0;
    if (c->arg_count < 2) {
        (void) err_set(e, E_USAGE, "docs %s needs a name", c->args[0]);
        return err_hint(e, man ? "tailrace, tailrace-run and so on, tailrace.yaml"
                               : "bash, zsh or fish");
    }
    if (man ? man_page(str_of(c->args[1]), out) : completion(str_of(c->args[1]), out))
        return 0;
    (void) err_set(e, E_USAGE, "there is no %s \"%s\"", man ? "man page" : "completion for",
                   c->args[1]);
    return err_hint(e, man ? "tailrace, tailrace-run and so on, tailrace.yaml"
                           : "bash, zsh or fish");
}

int cmd_docs(struct cli *c, struct err *e)
{
    struct buf out = BUF_INIT;
    const char *page = c->args[0];
    int rc = 0;
    if (strcmp(page, "options") == 0)
        config_docs(&out);
    else if (strcmp(page, "metrics") == 0)
        docs_metrics(&out);
    else if (strcmp(page, "errors") == 0)
        docs_errors(&out);
    else if (strcmp(page, "cli") == 0)
        docs_cli(&out);
    else
        rc = print_named(c, &out, e);
    if (rc == 0)
        fwrite(out.p, 1, out.len, stdout);
    buf_free(&out);
    return rc;
}
