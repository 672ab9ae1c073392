/* SPDX-License-Identifier: Apache-2.0
 *
 * The effective configuration as YAML, each value with where it came from. It loads again, except
 * for secrets, which are never written.
 */
#include "agent/cli/config.h"
#include "agent/cli/load.h"

/* Plain when it is surely plain, else as JSON, which is YAML; a $ is doubled against expansion. */
void config_add_scalar(struct buf *out, const char *text)
{
    struct buf doubled = BUF_INIT;
    size_t plain = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/.");
    bool letter = (text[0] >= 'a' && text[0] <= 'z') || (text[0] >= 'A' && text[0] <= 'Z');
    bool word = strcmp(text, "null") == 0;
    if ((letter || text[0] == '/') && !text[plain] && !word) {
        buf_add_text(out, text);
        return;
    }
    for (const char *p = text; *p; p++) {
        if (*p == '$')
            buf_add_char(&doubled, '$');
        buf_add_char(&doubled, *p);
    }
    buf_add_json(out, buf_str(&doubled));
    buf_free(&doubled);
}

static const void *field_of(const struct option *o, const void *base)
{
    return (const char *) base + o->offset;
}

static void add_list(struct buf *out, const struct config_list *list)
{
    buf_add_char(out, '[');
    for (int at = 0; at < list->count; at++) {
        buf_add_text(out, at ? ", " : "");
        config_add_scalar(out, list->items[at]);
    }
    buf_add_char(out, ']');
}

static void add_value(struct buf *out, const struct option *o, const void *field)
{
    const char *text = NULL;
    unsigned word;
    switch (o->type) {
    case OPTION_SECRET:
        memcpy(&text, field, sizeof text);
        buf_add_text(out, text && *text ? "\"‹set›\"" : "\"\"");
        break;
    case OPTION_TEXT:
    case OPTION_WORD:
        memcpy(&text, field, sizeof text);
        config_add_scalar(out, text ? text : "");
        break;
    case OPTION_BOOL:
        buf_add_text(out, *(const bool *) field ? "true" : "false");
        break;
    case OPTION_INT:
        buf_addf(out, "%lld", (long long) *(const int64_t *) field);
        break;
    case OPTION_ENUM:
        memcpy(&word, field, sizeof word);
        buf_addf(out, "%.*s", STR_ARG(option_word(o, (int) word)));
        break;
    case OPTION_LIST:
    case OPTION_COLUMNS:
    case OPTION_NAMES:
    case OPTION_URLS:
    case OPTION_PROPERTIES:
        add_list(out, field);
        break;
    }
}

static void add_origin(struct buf *out, const struct loaded *loaded, const void *field)
{
    const struct origin *origin = load_origin(loaded, field);
    if (!origin || (!origin->at.line && !origin->derived))
        buf_add_text(out, " # default\n");
    else if (origin->derived)
        buf_add_text(out, " # derived\n");
    else
        buf_addf(out, " # %s:%d%s\n", loaded->config.path, origin->at.line,
                 origin->secret ? ", !secret" : "");
}

/* All options of a section; indent stands in front of its lines, "- " begins an item of a list. */
static void add_section(struct buf *out, const struct loaded *loaded, enum option_section section,
                        const void *base, const char *indent)
{
    bool any = false;
    for (int row = 0; row < OPTION_ROWS; row++) {
        const struct option *o = option_row(row);
        if (o->section != section)
            continue;
        for (const char *p = indent; *p; p++)
            buf_add_char(out, any && *p == '-' ? ' ' : *p);
        buf_addf(out, "%s: ", o->name);
        add_value(out, o, field_of(o, base));
        add_origin(out, loaded, field_of(o, base));
        any = true;
    }
}

static void add_part(struct buf *out, const struct loaded *loaded, enum option_section section)
{
    buf_addf(out, "%s:\n", option_section_path(section));
    add_section(out, loaded, section, &loaded->config, "  ");
}

static void add_rules(struct buf *out, const struct loaded *loaded)
{
    const struct config *c = &loaded->config;
    buf_add_text(out, c->column_count ? "columns:\n" : "");
    for (int at = 0; at < c->column_count; at++)
        add_section(out, loaded, SECTION_column, &c->columns[at], "  - ");
    buf_add_text(out, c->key_count ? "keys:\n" : "");
    for (int at = 0; at < c->key_count; at++)
        add_section(out, loaded, SECTION_key, &c->keys[at], "  - ");
}

void config_print(const struct config *c, struct buf *out)
{
    const struct loaded *loaded = (const struct loaded *) c;
    add_section(out, loaded, SECTION_top, c, "");
    add_part(out, loaded, SECTION_source);
    add_part(out, loaded, SECTION_events);
    add_rules(out, loaded);
    add_part(out, loaded, SECTION_registry);
    add_part(out, loaded, SECTION_kafka);
    add_part(out, loaded, SECTION_bus);
    buf_add_text(out, "targets:\n");
    for (int at = 0; at < c->target_count; at++) {
        buf_addf(out, "  %s:\n", c->targets[at].name);
        add_section(out, loaded, SECTION_target, &c->targets[at], "    ");
    }
    buf_add_text(out, "routes:\n");
    for (int at = 0; at < c->route_count; at++)
        add_section(out, loaded, SECTION_route, &c->routes[at], "  - ");
    add_part(out, loaded, SECTION_http);
    add_part(out, loaded, SECTION_log);
}
