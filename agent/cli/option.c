/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/option.h"

/* The struct that a section's field is a member of. */
#define STRUCT_top struct config
#define STRUCT_source struct config
#define STRUCT_events struct config
#define STRUCT_column struct config_column
#define STRUCT_key struct config_key
#define STRUCT_registry struct config
#define STRUCT_kafka struct config
#define STRUCT_bus struct config
#define STRUCT_http struct config
#define STRUCT_log struct config
#define STRUCT_target struct config_target
#define STRUCT_route struct config_route

static const struct option rows[OPTION_ROWS] = {
#define OPTION(section, key, type, field, default_value, low, high, allowed, flags, help)          \
    {SECTION_##section,                                                                            \
     OPTION_##type,                                                                                \
     #key,                                                                                         \
     offsetof(STRUCT_##section, field),                                                            \
     default_value,                                                                                \
     low,                                                                                          \
     high,                                                                                         \
     allowed,                                                                                      \
     flags,                                                                                        \
     help},
#include "agent/options.def"
#undef OPTION
};

static const struct {
    const char *path, *title;
} sections[SECTION_COUNT] = {
    [SECTION_top] = {"", "Top level"},
    [SECTION_source] = {"source", "The database that is read"},
    [SECTION_events] = {"events", "How values travel"},
    [SECTION_column] = {"columns[]", "A rule for columns: what becomes of their values"},
    [SECTION_key] = {"keys[]", "A rule for keys: other columns as the record key"},
    [SECTION_registry] = {"registry", "The schema registry"},
    [SECTION_kafka] = {"kafka", "Kafka as the bus"},
    [SECTION_bus] = {"bus", "The embedded bus"},
    [SECTION_target] = {"targets.<name>", "A target"},
    [SECTION_route] = {"routes[]", "A route: which tables go to which target"},
    [SECTION_http] = {"http", "The read-only HTTP port"},
    [SECTION_log] = {"log", "The log on standard error"},
};

const struct option *option_row(int at)
{
    return &rows[at];
}

const struct option *option_find(enum option_section section, struct str name)
{
    for (int at = 0; at < OPTION_ROWS; at++)
        if (rows[at].section == section && str_is(name, rows[at].name))
            return &rows[at];
    return NULL;
}

const char *option_section_path(enum option_section section)
{
    return sections[section].path;
}

const char *option_section_title(enum option_section section)
{
    return sections[section].title;
}

/* Part number at of a text cut at sep; the empty string past the last. */
static struct str part_of(struct str text, char sep, int at)
{
    for (;;) {
        const char *cut = text.len ? memchr(text.p, sep, text.len) : NULL;
        size_t len = cut ? (size_t) (cut - text.p) : text.len;
        if (at-- == 0)
            return (struct str){text.p, len};
        if (!cut)
            return STR_NONE;
        text = (struct str){cut + 1, text.len - len - 1};
    }
}

struct str option_word(const struct option *o, int at)
{
    return part_of(str_of(o->allowed), ' ', at);
}

bool option_is_list(const struct option *o)
{
    return o->type == OPTION_LIST || o->type == OPTION_COLUMNS || o->type == OPTION_NAMES || o->type == OPTION_URLS ||
           o->type == OPTION_PROPERTIES;
}

const char *option_type_name(const struct option *o)
{
    switch (o->type) {
    case OPTION_TEXT:
        return "text";
    case OPTION_SECRET:
        return "text or !secret";
    case OPTION_LIST:
    case OPTION_COLUMNS:
        return "list of patterns";
    case OPTION_NAMES:
        return "list of names";
    case OPTION_URLS:
        return "list of addresses";
    case OPTION_PROPERTIES:
        return "list of name=value";
    case OPTION_BOOL:
        return "true or false";
    case OPTION_INT:
        return "number";
    case OPTION_ENUM:
    case OPTION_WORD:
        return "word";
    }
    return "";
}

struct str option_default_item(const struct option *o, int at)
{
    struct str list = str_of(o->default_value);
    if (list.len < 2)
        return STR_NONE;
    struct str item = part_of((struct str){list.p + 1, list.len - 2}, ',', at);
    while (item.len && (item.p[0] == ' ' || item.p[0] == '"'))
        item.p++, item.len--;
    while (item.len && (item.p[item.len - 1] == ' ' || item.p[item.len - 1] == '"'))
        item.len--;
    return item;
}
