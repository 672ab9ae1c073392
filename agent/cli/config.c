/* SPDX-License-Identifier: Apache-2.0
 *
 * The document: bytes to nodes, sections to structs. libfyaml keeps the nodes only while this runs;
 * all that stays is copied into the configuration's arena.
 */
#include "agent/cli/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/cli/load.h"
#include "agent/cli/nearest.h"

#define FILE_MAX_BYTES ((size_t) 1024 * 1024)

/* ---- sections ---- */

struct section {
    enum option_section id;
    void *base;       /* the struct that its options are members of */
    const char *path; /* "source", "targets.warehouse"; "" for top */
    struct place at;  /* of the section, for what it lacks */
};

/* A map that is not one of options, at the top level. */
struct part {
    const char *name;
    void (*load)(struct loader *l, const struct load_item *item);
    bool optional; /* may be left out without a default of its own */
};

static void load_source(struct loader *l, const struct load_item *item);
static void load_events(struct loader *l, const struct load_item *item);
static void load_registry(struct loader *l, const struct load_item *item);
static void load_kafka(struct loader *l, const struct load_item *item);
static void load_bus(struct loader *l, const struct load_item *item);
static void load_columns(struct loader *l, const struct load_item *item);
static void load_keys(struct loader *l, const struct load_item *item);
static void load_targets(struct loader *l, const struct load_item *item);
static void load_routes(struct loader *l, const struct load_item *item);
static void load_http(struct loader *l, const struct load_item *item);
static void load_log(struct loader *l, const struct load_item *item);

static const struct part parts[] = {
    {"source", load_source, false}, {"events", load_events, false},   {"registry", load_registry, false}, {"kafka", load_kafka, false}, {"columns", load_columns, true},
    {"keys", load_keys, true},      {"bus", load_bus, false},         {"targets", load_targets, true},
    {"routes", load_routes, true},  {"http", load_http, false},       {"log", load_log, false},
};
#define PARTS (sizeof parts / sizeof *parts)

static const struct part *part_find(struct str name)
{
    for (size_t at = 0; at < PARTS; at++)
        if (str_is(name, parts[at].name))
            return &parts[at];
    return NULL;
}

static void fault_unknown(struct loader *l, const struct section *s, struct str key,
                          struct place at)
{
    struct nearest near = nearest_to(key);
    struct buf list = BUF_INIT;
    for (int row = 0; row < OPTION_ROWS; row++) {
        const struct option *o = option_row(row);
        if (o->section != s->id)
            continue;
        nearest_try(&near, o->name);
        buf_addf(&list, "%s%s", list.len ? ", " : "", o->name);
    }
    for (size_t part = 0; s->id == SECTION_top && part < PARTS; part++) {
        nearest_try(&near, parts[part].name);
        buf_addf(&list, ", %s", parts[part].name);
    }
    const char *best = nearest_get(&near);
    if (best)
        fault_add(l->faults, at, "unknown key \"%.*s\"%s%s; did you mean \"%s\"?", STR_ARG(key),
                  *s->path ? " in " : "", s->path, best);
    else
        fault_add(l->faults, at, "unknown key \"%.*s\"%s%s; supported: %s", STR_ARG(key),
                  *s->path ? " in " : "", s->path, list.p);
    buf_free(&list);
}

/* The text of a key; false after a fault. Keys are not expanded. */
static bool key_text(struct loader *l, struct fy_node *key, struct place at, struct str *out)
{
    size_t len = 0;
    const char *p = key && fy_node_is_scalar(key) && !fy_node_is_alias(key)
        ? fy_node_get_scalar(key, &len) : NULL;
    *out = (struct str){p, len};
    if (p && len && !memchr(p, 0, len))
        return true;
    fault_add(l->faults, at, "a key must be a plain word");
    return false;
}

/* Whether an earlier pair of the map has the same key; its line then. libfyaml would refuse these
 * itself, but then it would be the only fault told. */
static int line_of_same_key(struct fy_node *map, const struct fy_node_pair *until, struct str key)
{
    struct fy_node_pair *pair;
    void *prev = NULL;
    while ((pair = fy_node_mapping_iterate(map, &prev)) && pair != until) {
        struct fy_node *node = fy_node_pair_key((struct fy_node_pair *) (uintptr_t) pair);
        size_t len = 0;
        const char *p = node && fy_node_is_scalar(node) ? fy_node_get_scalar(node, &len) : NULL;
        if (p && str_eq((struct str){p, len}, key))
            return load_place(node, (struct place){0}).line;
    }
    return 0;
}

/* A pair of a map: its key, and its value (path is for the caller to fill). */
struct pair {
    struct str key;
    struct place at; /* of the key */
    struct load_item value;
};

/* The pair when it has a readable key which is not a repeat; false after a fault. */
static bool pair_read(struct loader *l, const struct load_item *map, struct fy_node_pair *node,
                      struct pair *out)
{
    out->at = load_place(fy_node_pair_key(node), map->at);
    if (!key_text(l, fy_node_pair_key(node), out->at, &out->key))
        return false;
    int line = line_of_same_key(map->node, node, out->key);
    if (line) {
        fault_add(l->faults, out->at, "\"%.*s\" is given twice; first in line %d",
                  STR_ARG(out->key), line);
        return false;
    }
    out->value.node = fy_node_pair_value(node);
    out->value.at = load_place(out->value.node, out->at);
    return true;
}

/* A map, where nothing stands for an empty one; false after a fault or when empty. */
static bool is_map(struct loader *l, const struct load_item *item)
{
    if (load_is_null(item->node))
        return false;
    if (fy_node_is_mapping(item->node) && !fy_node_get_tag_token(item->node))
        return true;
    fault_add(l->faults, item->at, "%s must be a map of options%s", item->path,
              fy_node_is_alias(item->node) ? "; aliases are not supported" : "");
    return false;
}

static void section_key(struct loader *l, const struct section *s, struct pair *pair, bool *given)
{
    const struct option *o = option_find(s->id, pair->key);
    const struct part *part = s->id == SECTION_top ? part_find(pair->key) : NULL;
    pair->value.path = *s->path
        ? arena_printf(l->arena, "%s.%.*s", s->path, STR_ARG(pair->key)).p
        : arena_str(l->arena, pair->key).p;
    if (part) {
        part->load(l, &pair->value);
    } else if (o) {
        given[o - option_row(0)] = true;
        load_option(l, o, s->base, &pair->value);
    } else {
        fault_unknown(l, s, pair->key, pair->at);
    }
}

/* All options of a section: those of the map (NULL = none), then the defaults of the others. */
static void load_section(struct loader *l, const struct section *s, const struct load_item *item)
{
    bool given[OPTION_ROWS] = {false};
    struct fy_node_pair *node;
    void *prev = NULL;
    if (item && is_map(l, item)) {
        while ((node = fy_node_mapping_iterate(item->node, &prev))) {
            struct pair pair = {0};
            if (pair_read(l, item, node, &pair))
                section_key(l, s, &pair, given);
        }
    }
    for (int row = 0; row < OPTION_ROWS; row++) {
        const struct option *o = option_row(row);
        if (o->section != s->id || given[row])
            continue;
        if (o->default_value)
            load_default(l, o, s->base);
        else
            fault_add(l->faults, s->at, "%s%s%s is missing: %s", s->path, *s->path ? "." : "",
                      o->name, o->help);
    }
}

static void load_part(struct loader *l, enum option_section id, const struct load_item *item)
{
    struct section s = {id, &l->out->config, option_section_path(id), item->at};
    load_section(l, &s, item);
}

static void load_source(struct loader *l, const struct load_item *item)
{
    load_part(l, SECTION_source, item);
}

static void load_events(struct loader *l, const struct load_item *item)
{
    load_part(l, SECTION_events, item);
}

static void load_registry(struct loader *l, const struct load_item *item)
{
    load_part(l, SECTION_registry, item);
}

static void load_kafka(struct loader *l, const struct load_item *item)
{
    load_part(l, SECTION_kafka, item);
}

static void load_http(struct loader *l, const struct load_item *item)
{
    load_part(l, SECTION_http, item);
}

static void load_log(struct loader *l, const struct load_item *item)
{
    load_part(l, SECTION_log, item);
}

/* "bus: local" is the embedded bus with its defaults. */
static void load_bus(struct loader *l, const struct load_item *item)
{
    struct load_item none = {NULL, item->at, item->path};
    struct str text;
    if (load_is_null(item->node) || !fy_node_is_scalar(item->node)) {
        load_part(l, SECTION_bus, item);
        return;
    }
    if (load_scalar(l, item, &text) && !str_is(text, "local"))
        fault_add(l->faults, item->at, "bus is \"%.*s\"; supported: local, or a map of its options",
                  STR_ARG(text));
    load_part(l, SECTION_bus, &none);
}

static void load_target(struct loader *l, struct pair *pair)
{
    struct config *c = &l->out->config;
    struct config_target *target = &c->targets[c->target_count++];
    target->name = arena_str(l->arena, pair->key).p;
    load_origin_set(l, &target->name, pair->at);
    pair->value.path = arena_printf(l->arena, "targets.%s", target->name).p;
    struct section s = {SECTION_target, target, pair->value.path, pair->at};
    load_section(l, &s, &pair->value);
}

static void load_targets(struct loader *l, const struct load_item *item)
{
    struct config *c = &l->out->config;
    struct fy_node_pair *node;
    void *prev = NULL;
    if (!is_map(l, item))
        return;
    int room = fy_node_mapping_item_count(item->node);
    if (room > LOAD_TARGETS_MAX) {
        fault_add(l->faults, item->at, "%d targets are more than %d", room, LOAD_TARGETS_MAX);
        return;
    }
    c->targets = arena_zalloc(l->arena, (size_t) (room > 0 ? room : 1), sizeof *c->targets);
    while (c->target_count < room && (node = fy_node_mapping_iterate(item->node, &prev))) {
        struct pair pair = {0};
        if (pair_read(l, item, node, &pair))
            load_target(l, &pair);
    }
}

/* A part that is a list of sections. */
struct items {
    enum option_section section;
    const char *name;
    size_t size; /* of one's struct */
    int max;
    const char *without; /* what holds when the part is left out */
};

/* The array of structs, *count of them; NULL when there are none or after a fault. */
static void *load_items(struct loader *l, const struct items *kind, const struct load_item *item, int *count)
{
    struct fy_node *each;
    void *prev = NULL;
    if (load_is_null(item->node))
        return NULL;
    int room = fy_node_is_sequence(item->node) ? fy_node_sequence_item_count(item->node) : -1;
    if (room < 1 || room > kind->max) {
        fault_add(l->faults, item->at, "%s must be a list of 1 to %d %s; without it %s", item->path, kind->max,
                  kind->name, kind->without);
        return NULL;
    }
    char *all = arena_zalloc(l->arena, (size_t) room, kind->size);
    while (*count < room && (each = fy_node_sequence_iterate(item->node, &prev))) {
        int at = (*count)++;
        struct place place = load_place(each, item->at);
        struct load_item value = {each, place, arena_printf(l->arena, "%s[%d]", item->path, at).p};
        struct section s = {kind->section, all + (size_t) at * kind->size, value.path, place};
        load_section(l, &s, &value);
    }
    return all;
}

static void load_columns(struct loader *l, const struct load_item *item)
{
    static const struct items kind = {SECTION_column, "rules", sizeof(struct config_column), LOAD_RULES_MAX,
                                      "all columns are sent as they are"};
    struct config *c = &l->out->config;
    c->columns = load_items(l, &kind, item, &c->column_count);
}

static void load_keys(struct loader *l, const struct load_item *item)
{
    static const struct items kind = {SECTION_key, "rules", sizeof(struct config_key), LOAD_RULES_MAX,
                                      "each table has its own key"};
    struct config *c = &l->out->config;
    c->keys = load_items(l, &kind, item, &c->key_count);
}

static void load_routes(struct loader *l, const struct load_item *item)
{
    static const struct items kind = {SECTION_route, "routes", sizeof(struct config_route), LOAD_ROUTES_MAX,
                                      "each target gets all tables"};
    struct config *c = &l->out->config;
    c->routes = load_items(l, &kind, item, &c->route_count);
}

/* ---- the document ---- */

/* Sections that the file does not have: the defaults, and what they lack. */
static void load_absent(struct loader *l, struct fy_node *root)
{
    for (size_t at = 0; at < PARTS; at++) {
        struct load_item none = {NULL, {0}, parts[at].name};
        struct str name = str_of(parts[at].name);
        if (!parts[at].optional && !line_of_same_key(root, NULL, name))
            parts[at].load(l, &none);
    }
}

static void load_root(struct loader *l, struct fy_node *root)
{
    struct place top = {1, 1, 1, false};
    struct load_item item = {root, top, "the file"};
    struct section s = {SECTION_top, &l->out->config, "", top};
    if (!root || load_is_null(root)) {
        fault_add(l->faults, top, "the file is empty");
        return;
    }
    if (!is_map(l, &item))
        return;
    load_section(l, &s, &item);
    load_absent(l, root);
    if (!l->out->config.target_count && !l->faults->errors)
        fault_add(l->faults, top, "no target: \"targets\" needs one, like "
                  "targets: {warehouse: {url: ...}}");
    load_derive(l);
    load_check(l);
}

/* What libfyaml found wrong with the text itself. */
static void keep_syntax_faults(struct faults *faults, struct fy_diag *diag)
{
    struct fy_diag_error *error;
    void *prev = NULL;
    int count = 0;
    while (count++ < 20 && (error = fy_diag_errors_iterate(diag, &prev)))
        fault_add(faults, (struct place){error->line > 0 ? error->line : 1,
                                         error->column > 0 ? error->column : 1, 1, false},
                  "%s", error->msg ? error->msg : "not YAML");
    if (!faults->errors)
        fault_add(faults, (struct place){1, 1, 1, false}, "not YAML");
}

/* The document of text, which the parser keeps; NULL with faults. A second document would be read
 * by nobody, so it is a fault. */
static struct fy_document *parse_yaml(struct fy_parser *parser, struct fy_diag *diag,
                                      struct str text, struct faults *faults)
{
    if (!parser || fy_parser_set_string(parser, text.len ? text.p : "", text.len) != 0) {
        keep_syntax_faults(faults, diag);
        return NULL;
    }
    struct fy_document *document = fy_parse_load_document(parser);
    if (fy_parser_get_stream_error(parser)) {
        keep_syntax_faults(faults, diag);
        fy_parse_document_destroy(parser, document);
        return NULL;
    }
    struct fy_document *second = document ? fy_parse_load_document(parser) : NULL;
    if (fy_parser_get_stream_error(parser))
        keep_syntax_faults(faults, diag);
    else if (second)
        fault_add(faults, load_place(fy_document_root(second), (struct place){1, 1, 1, false}),
                  "a second YAML document; there must be one");
    fy_parse_document_destroy(parser, second);
    return document;
}

static void load_text(struct loader *l, struct str text)
{
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    diag_config.colorize = false;
    struct fy_diag *diag = fy_diag_create(&diag_config);
    if (diag)
        fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg config = {.flags = FYPCF_COLLECT_DIAG | FYPCF_DEFAULT_VERSION_1_2
                                      | FYPCF_JSON_NONE | FYPCF_ALLOW_DUPLICATE_KEYS,
                                  .diag = diag};
    struct fy_parser *parser = diag ? fy_parser_create(&config) : NULL;
    struct fy_document *document = parse_yaml(parser, diag, text, l->faults);
    if (document || !l->faults->errors)
        load_root(l, document ? fy_document_root(document) : NULL);
    if (parser) {
        fy_parse_document_destroy(parser, document);
        fy_parser_destroy(parser);
    }
    fy_diag_destroy(diag);
}

static const char *directory_of(struct arena *a, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return "";
    return arena_str(a, (struct str){path, (size_t) (slash - path)}).p;
}

struct config *config_parse(struct str text, const char *name, struct buf *faults_out, struct err *e)
{
    struct loaded *loaded = mem_zalloc(1, sizeof *loaded);
    struct arena scratch;
    struct faults faults = {.arena = &scratch};
    struct loader l = {loaded, &loaded->config.arena, &faults, NULL};
    arena_init(&scratch, 0, "configuration");
    arena_init(&loaded->config.arena, 0, "configuration");
    loaded->config.path = arena_str(l.arena, str_of(name)).p;
    l.directory = directory_of(l.arena, name);
    load_text(&l, text);
    faults_write(&faults, name, text, faults_out);
    arena_free(&scratch);
    if (!faults.errors)
        return &loaded->config;
    config_free(&loaded->config);
    (void) err_set(e, E_CONFIG, "%s has %d fault%s", name, faults.errors,
                   faults.errors == 1 ? "" : "s");
    return NULL;
}

static int read_file(FILE *file, const char *name, struct buf *text, struct err *e)
{
    char part[4096];
    size_t got;
    while (!text->over && (got = fread(part, 1, sizeof part, file)) > 0)
        buf_add(text, part, got);
    if (ferror(file))
        return err_set(e, E_CONFIG, "cannot read %s: %s", name, strerror(errno));
    if (text->over)
        return err_set(e, E_CONFIG, "%s is larger than %zu bytes", name, FILE_MAX_BYTES);
    return 0;
}

struct config *config_load(const char *path, struct buf *faults, struct err *e)
{
    bool standard_input = strcmp(path, "-") == 0;
    const char *name = standard_input ? "<stdin>" : path;
    struct buf text = {.max = FILE_MAX_BYTES};
    struct config *config = NULL;
    FILE *file = standard_input ? stdin : fopen(path, "re");
    if (!file) {
        (void) err_set(e, E_CONFIG, "cannot open %s: %s", path, strerror(errno));
        (void) err_hint(e, "tailrace init DSN > tailrace.yaml makes one; --config FILE names another");
        return NULL;
    }
    if (read_file(file, name, &text, e) == 0)
        config = config_parse(buf_str(&text), name, faults, e);
    if (!standard_input)
        fclose(file);
    buf_free(&text);
    return config;
}

void config_free(struct config *c)
{
    struct loaded *loaded = (struct loaded *) c;
    if (!loaded)
        return;
    struct arena arena = c->arena; /* it holds itself only by value */
    arena_free(&arena);
    free(loaded);
}
