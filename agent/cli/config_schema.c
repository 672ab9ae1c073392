/* SPDX-License-Identifier: Apache-2.0
 *
 * What the rows of options.def say, for editors (JSON Schema 2020-12) and for readers (Markdown).
 *
 * The schema takes a ${VARIABLE} wherever the loader does, and both forms of a secret: editors show
 * the tag's value.
 */
#include "agent/cli/config.h"
#include "agent/cli/docs.h"
#include "agent/cli/option.h"

#define SCHEMA_VARIABLE "{\"type\":\"string\",\"pattern\":\"\\\\$\\\\{\"}"

static void add_words(struct buf *out, const struct option *o)
{
    struct str word;
    buf_add_text(out, "\"anyOf\":[{\"enum\":[");
    for (int at = 0; (word = option_word(o, at)).len; at++) {
        buf_add_text(out, at ? "," : "");
        buf_add_json(out, word);
        /* An editor reads a bare on or off as its YAML 1.1 truth value. */
        if (str_is(word, "on") || str_is(word, "off"))
            buf_add_text(out, str_is(word, "on") ? ",true" : ",false");
    }
    buf_add_text(out, "]}," SCHEMA_VARIABLE "]");
}

static void add_type(struct buf *out, const struct option *o)
{
    switch (o->type) {
    case OPTION_TEXT:
        buf_add_text(out, "\"type\":\"string\"");
        break;
    case OPTION_SECRET:
        buf_add_text(out, "\"$ref\":\"#/$defs/secret\"");
        break;
    case OPTION_LIST:
        buf_add_text(out, "\"$ref\":\"#/$defs/patterns\"");
        break;
    case OPTION_COLUMNS:
        buf_add_text(out, "\"$ref\":\"#/$defs/columns\"");
        break;
    case OPTION_NAMES:
        buf_add_text(out, "\"$ref\":\"#/$defs/names\"");
        break;
    case OPTION_URLS:
    case OPTION_PROPERTIES:
        buf_add_text(out, "\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"items\":{\"type\":\"string\"}}]");
        break;
    case OPTION_BOOL:
        buf_add_text(out, "\"anyOf\":[{\"type\":\"boolean\"}," SCHEMA_VARIABLE "]");
        break;
    case OPTION_INT:
        buf_addf(out, "\"anyOf\":[{\"type\":\"integer\",\"minimum\":%lld,\"maximum\":%lld},"
                 SCHEMA_VARIABLE "]", (long long) o->low, (long long) o->high);
        break;
    case OPTION_ENUM:
    case OPTION_WORD:
        add_words(out, o);
        break;
    }
}

static void add_default(struct buf *out, const struct option *o)
{
    struct str item;
    if (!o->default_value || (!*o->default_value && o->type != OPTION_TEXT))
        return;
    buf_add_text(out, ",\"default\":");
    if (o->type == OPTION_INT || o->type == OPTION_BOOL) {
        buf_add_text(out, o->default_value);
    } else if (option_is_list(o)) {
        buf_add_char(out, '[');
        for (int at = 0; (item = option_default_item(o, at)).len; at++) {
            buf_add_text(out, at ? "," : "");
            buf_add_json(out, item);
        }
        buf_add_char(out, ']');
    } else {
        buf_add_json(out, str_of(o->default_value));
    }
}

/* A section of which nothing must be given may be empty: "events:" alone. */
static bool may_be_empty(enum option_section section)
{
    for (int row = 0; row < OPTION_ROWS; row++)
        if (option_row(row)->section == section && !option_row(row)->default_value)
            return false;
    return true;
}

/* The members of an object schema for a section, without its braces; more are further properties. */
static void add_object(struct buf *out, enum option_section section, const char *more,
                       const char *required_too)
{
    bool any = false;
    buf_addf(out, "\"type\":%s,\"additionalProperties\":false,\"properties\":{",
             may_be_empty(section) ? "[\"object\",\"null\"]" : "\"object\"");
    for (int row = 0; row < OPTION_ROWS; row++) {
        const struct option *o = option_row(row);
        if (o->section != section)
            continue;
        buf_addf(out, "%s\n\"%s\":{", any ? "," : "", o->name);
        add_type(out, o);
        add_default(out, o);
        buf_add_text(out, ",\"description\":");
        buf_add_json(out, str_of(o->help));
        buf_add_char(out, '}');
        any = true;
    }
    buf_addf(out, "%s},\"required\":[", more);
    any = false;
    for (int row = 0; row < OPTION_ROWS; row++) {
        const struct option *o = option_row(row);
        if (o->section != section || o->default_value)
            continue;
        buf_addf(out, "%s\"%s\"", any ? "," : "", o->name);
        any = true;
    }
    buf_addf(out, "%s]", required_too);
}

static void add_section(struct buf *out, enum option_section section)
{
    buf_addf(out, ",\n\"%s\":{", option_section_path(section));
    if (section == SECTION_bus)
        buf_add_text(out, "\"anyOf\":[{\"const\":\"local\"},{");
    add_object(out, section, "", "");
    buf_add_text(out, section == SECTION_bus ? "}]}" : "}");
}

/* A part that is a list of sections. */
static void add_items(struct buf *out, enum option_section section, const char *name)
{
    buf_addf(out, ",\n\"%s\":{\"type\":\"array\",\"minItems\":1,\"items\":{", name);
    add_object(out, section, "", "");
    buf_add_text(out, "}}");
}

/* A list of what one definition says, or one of it alone. */
static void add_list_def(struct buf *out, const char *name, const char *item)
{
    buf_addf(out, "\"%s\":{\"anyOf\":[{\"$ref\":\"#/$defs/%s\"},{\"type\":\"array\",\"minItems\":1,"
             "\"items\":{\"$ref\":\"#/$defs/%s\"}}]},\n", name, item, item);
}

void config_schema(struct buf *out)
{
    struct buf more = BUF_INIT;
    add_section(&more, SECTION_source);
    add_section(&more, SECTION_events);
    add_items(&more, SECTION_column, "columns");
    add_items(&more, SECTION_key, "keys");
    add_section(&more, SECTION_registry);
    add_section(&more, SECTION_kafka);
    add_section(&more, SECTION_bus);
    add_section(&more, SECTION_http);
    add_section(&more, SECTION_log);
    buf_add_text(&more, ",\n\"targets\":{\"type\":\"object\",\"minProperties\":1,\"propertyNames\":"
                        "{\"pattern\":\"^[a-z][a-z0-9_]{0,39}$\"},\"additionalProperties\":{");
    add_object(&more, SECTION_target, "", "");
    buf_add_text(&more, "}}");
    add_items(&more, SECTION_route, "routes");
    buf_add_text(out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\n"
                      "\"title\":\"tailrace.yaml\",\n");
    add_object(out, SECTION_top, more.len ? more.p : "", ",\"source\",\"targets\"");
    buf_add_text(out, ",\n\"$defs\":{\n\"secret\":{\"anyOf\":[{\"type\":\"string\",\"minLength\":1},"
                      "{\"type\":\"object\",\"additionalProperties\":false,\"maxProperties\":1,"
                      "\"minProperties\":1,\"properties\":{\"file\":{\"type\":\"string\"},"
                      "\"command\":{\"type\":\"array\",\"minItems\":1,\"items\":"
                      "{\"type\":\"string\"}}}}]},\n");
    add_list_def(out, "patterns", "pattern");
    add_list_def(out, "columns", "column");
    add_list_def(out, "names", "name");
    buf_add_text(out, "\"pattern\":{\"type\":\"string\",\"pattern\":"
                      "\"^!?[^.]+\\\\..+$|\\\\$\\\\{\"},\n"
                      "\"column\":{\"type\":\"string\",\"pattern\":"
                      "\"^[^.!][^.]*\\\\.[^.]+\\\\.[^.]+$|\\\\$\\\\{\"},\n"
                      "\"name\":{\"type\":\"string\",\"minLength\":1}}}\n");
    buf_free(&more);
}

/* ---- the reference page ---- */

static void add_value_column(struct buf *out, const struct option *o)
{
    struct str word;
    if (o->type == OPTION_INT) {
        buf_addf(out, "%lld to %lld", (long long) o->low, (long long) o->high);
    } else if (o->type == OPTION_ENUM || o->type == OPTION_WORD) {
        for (int at = 0; (word = option_word(o, at)).len; at++)
            buf_addf(out, "%s`%.*s`", at ? ", " : "", STR_ARG(word));
    } else {
        buf_add_text(out, option_type_name(o));
    }
}

static void add_row(struct buf *out, const struct option *o)
{
    buf_addf(out, "| `%s` | ", o->name);
    add_value_column(out, o);
    buf_add_text(out, " | ");
    if (!o->default_value)
        buf_add_text(out, "required");
    else if (*o->default_value)
        buf_addf(out, "`%s`", o->default_value);
    buf_addf(out, " | %s | ", o->flags & OPT_RELOAD ? "yes" : "");
    docs_add_cell(out, o->help);
    buf_add_text(out, " |\n");
}

void config_docs(struct buf *out)
{
    buf_add_text(out, "# Options of tailrace.yaml\n\n"
                      "Made by `tailrace docs options` from `agent/options.def`; `make docs` writes "
                      "it anew. How the file works is told in [configuration.md](configuration.md)."
                      "\nReload: taken by SIGHUP; the others need a restart.\n");
    for (int section = 0; section < SECTION_COUNT; section++) {
        const char *path = option_section_path((enum option_section) section);
        buf_addf(out, "\n## %s%s%s%s\n\n| Option | Value | Default | Reload | Meaning |\n"
                 "|---|---|---|---|---|\n", option_section_title((enum option_section) section),
                 *path ? " (`" : "", path, *path ? "`)" : "");
        for (int row = 0; row < OPTION_ROWS; row++)
            if (option_row(row)->section == (enum option_section) section)
                add_row(out, option_row(row));
    }
}
