/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows of options.def as a table: what a key is called, where its value goes, what it may be.
 *
 * Everything that knows an option by name (parser, print, schema, reference pages) walks this
 * table, so that a new row needs no code.
 */
#ifndef TR_CLI_OPTION_H
#define TR_CLI_OPTION_H

#include "agent/base/config.h"

enum option_section {
    SECTION_top,
    SECTION_source,
    SECTION_events,
    SECTION_column,
    SECTION_key,
    SECTION_registry,
    SECTION_kafka,
    SECTION_bus,
    SECTION_target,
    SECTION_route,
    SECTION_http,
    SECTION_log,
    SECTION_COUNT
};

enum option_type {
    OPTION_TEXT,
    OPTION_SECRET, /* a text that is never printed and may come from !secret */
    OPTION_LIST,   /* of patterns of tables */
    OPTION_COLUMNS, /* of patterns of columns */
    OPTION_NAMES,  /* of names */
    OPTION_URLS,   /* list of http addresses, may be empty */
    OPTION_PROPERTIES, /* list of name=value, may be empty */
    OPTION_BOOL,
    OPTION_INT,
    OPTION_ENUM, /* word kept as its number */
    OPTION_WORD, /* word kept as text */
};

#define OPT_RELOAD 1u /* SIGHUP takes it */

struct option {
    enum option_section section;
    enum option_type type;
    const char *name;
    size_t offset;             /* in the struct of its section */
    const char *default_value; /* text as in YAML; NULL = must be given */
    int64_t low, high;         /* of INT */
    const char *allowed;       /* words with a blank between */
    unsigned flags;
    const char *help;
};

enum option_id {
#define OPTION(section, key, type, field, default_value, low, high, allowed, flags, help)          \
    OPTION_ID_##section##_##key,
#include "agent/options.def"
#undef OPTION
    OPTION_ROWS
};

/* The rows in the order of the file; OPTION_ROWS of them. */
const struct option *option_row(int at);

/* The option of this name in a section, or NULL. */
const struct option *option_find(enum option_section section, struct str name);

/* How the section is written in the file ("targets.<name>"; "" for top) and what it is about. */
const char *option_section_path(enum option_section section);
const char *option_section_title(enum option_section section);

/* Word number at (from 0) of the option's allowed words; the empty string past the last. */
struct str option_word(const struct option *o, int at);

/* The type is one of the lists: its field is a struct config_list. */
bool option_is_list(const struct option *o);

/* Name of the type for people: "number", "true or false", ... */
const char *option_type_name(const struct option *o);

/* Items of a default of such a type, as "[a, \"b\"]"; item number at, empty past the last. */
struct str option_default_item(const struct option *o, int at);

#endif
