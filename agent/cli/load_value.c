/* SPDX-License-Identifier: Apache-2.0
 *
 * One value of the file into one field, by the type of its row.
 */
#include "agent/cli/expand.h"
#include "agent/cli/load.h"
#include "agent/cli/nearest.h"
#include "agent/cli/secret.h"
#include "agent/net/http_client.h"

#define ARGV_MAX 32

struct place load_place(struct fy_node *node, struct place fallback)
{
    struct fy_node *first = node;
    /* A map or list starts where its first scalar does; two steps reach it in every file we take. */
    for (int depth = 0; depth < 3 && first && !fy_node_is_scalar(first); depth++) {
        void *prev = NULL;
        if (fy_node_is_mapping(first)) {
            struct fy_node_pair *pair = fy_node_mapping_iterate(first, &prev);
            first = pair ? fy_node_pair_key(pair) : NULL;
        } else {
            first = fy_node_sequence_iterate(first, &prev);
        }
    }
    struct fy_token *token = first && fy_node_is_scalar(first) ? fy_node_get_scalar_token(first) : NULL;
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    if (!mark)
        return fallback;
    const struct fy_mark *end = fy_token_end_mark(token);
    int width = end && end->line == mark->line && end->column > mark->column
        ? end->column - mark->column : 1;
    if (width == 1 && load_is_null(first))
        return fallback;
    return (struct place){mark->line + 1, mark->column + 1, width, false};
}

bool load_is_null(struct fy_node *node)
{
    size_t len = 0;
    if (!node)
        return true;
    if (!fy_node_is_scalar(node) || fy_node_get_style(node) != FYNS_PLAIN)
        return false;
    struct str text = {fy_node_get_scalar(node, &len), 0};
    text.len = text.p ? len : 0;
    return !text.len || str_is(text, "~") || str_is(text, "null");
}

static struct str tag_of(struct fy_node *node)
{
    size_t len = 0;
    const char *tag = node ? fy_node_get_tag(node, &len) : NULL;
    return (struct str){tag, tag ? len : 0};
}

static bool tag_is_plain(struct loader *l, const struct load_item *item)
{
    struct str tag = tag_of(item->node);
    if (!tag.len)
        return true;
    if (str_is(tag, "!secret"))
        fault_add(l->faults, item->at, "%s cannot be a secret: !secret is for connection strings, passwords, tokens and salts",
                  item->path);
    else
        fault_add(l->faults, item->at, "%s has the unknown tag \"%.*s\"; the only one is !secret",
                  item->path, STR_ARG(tag));
    return false;
}

/* The text of a scalar whatever its tag, expanded. */
static bool scalar_text(struct loader *l, const struct load_item *item, struct str *out)
{
    struct err e = ERR_INIT;
    size_t len = 0;
    if (item->node && fy_node_is_alias(item->node)) {
        fault_add(l->faults, item->at, "%s: aliases are not supported; write the value out",
                  item->path);
        return false;
    }
    if (load_is_null(item->node)) {
        fault_add(l->faults, item->at, "%s has no value", item->path);
        return false;
    }
    if (!fy_node_is_scalar(item->node)) {
        fault_add(l->faults, item->at, "%s must be one value, not a %s", item->path,
                  fy_node_is_mapping(item->node) ? "map" : "list");
        return false;
    }
    const char *p = fy_node_get_scalar(item->node, &len);
    if (expand_text(l->arena, (struct str){p, p ? len : 0}, out, &e) != 0) {
        fault_add(l->faults, item->at, "%s: %s", item->path, e.msg);
        return false;
    }
    for (size_t at = 0; at < out->len; at++) {
        if ((unsigned char) out->p[at] < ' ') {
            fault_add(l->faults, item->at, "%s holds a line break or control character",
                      item->path);
            return false;
        }
    }
    return true;
}

bool load_scalar(struct loader *l, const struct load_item *item, struct str *out)
{
    return tag_is_plain(l, item) && scalar_text(l, item, out);
}

struct origin *load_origin_set(struct loader *l, const void *field, struct place at)
{
    struct origin *origin = arena_zalloc(l->arena, 1, sizeof *origin);
    *origin = (struct origin){.next = l->out->origins, .field = field, .at = at};
    l->out->origins = origin;
    return origin;
}

const struct origin *load_origin(const struct loaded *loaded, const void *field)
{
    const struct origin *origin = loaded->origins;
    while (origin && origin->field != field)
        origin = origin->next;
    return origin;
}

/* ---- secrets ---- */

/* !secret {command: [path, argument ...]} */
static bool secret_from_command(struct loader *l, const struct load_item *item, struct str *out,
                                struct err *e)
{
    char *argv[ARGV_MAX + 1] = {0};
    int count = 0;
    void *prev = NULL;
    struct fy_node *each;
    if (!fy_node_is_sequence(item->node)) {
        fault_add(l->faults, item->at, "%s must be a list: [path, argument ...]", item->path);
        return false;
    }
    while ((each = fy_node_sequence_iterate(item->node, &prev))) {
        struct load_item argument = {each, load_place(each, item->at), item->path};
        struct str text;
        if (!load_scalar(l, &argument, &text))
            return false;
        if (count == ARGV_MAX) {
            fault_add(l->faults, item->at, "%s has more than %d words", item->path, ARGV_MAX);
            return false;
        }
        argv[count++] = (char *) (uintptr_t) text.p;
    }
    if (!count) {
        fault_add(l->faults, item->at, "%s is empty", item->path);
        return false;
    }
    return secret_command(l->arena, argv, out, e) == 0;
}

/* !secret {file: path} or !secret {command: [...]} */
static bool secret_from_map(struct loader *l, const struct load_item *item, struct str *out,
                            struct err *e)
{
    void *prev = NULL;
    struct fy_node_pair *pair = fy_node_mapping_iterate(item->node, &prev);
    size_t len = 0;
    const char *key = pair ? fy_node_get_scalar(fy_node_pair_key(pair), &len) : NULL;
    struct str name = {key, key ? len : 0}, path;
    bool more = pair && fy_node_mapping_iterate(item->node, &prev);
    struct load_item value = {pair ? fy_node_pair_value(pair) : NULL, item->at,
                              arena_printf(l->arena, "%s !secret", item->path).p};
    if (!more && str_is(name, "file"))
        return load_scalar(l, &value, &path)
            && secret_file(l->arena, l->directory, path, out, e) == 0;
    if (!more && str_is(name, "command"))
        return secret_from_command(l, &value, out, e);
    fault_add(l->faults, item->at, "%s: !secret takes a credential's name, {file: PATH} or "
              "{command: [PATH, ARGUMENT ...]}", item->path);
    return false;
}

/* A value tagged !secret; false after a fault. */
static bool load_secret(struct loader *l, const struct load_item *item, struct str *out)
{
    struct err e = ERR_INIT;
    struct str name;
    bool ok;
    if (fy_node_is_mapping(item->node))
        ok = secret_from_map(l, item, out, &e);
    else
        ok = scalar_text(l, item, &name) && secret_credential(l->arena, name, out, &e) == 0;
    if (!ok && e.class)
        fault_add(l->faults, item->at, "%s: %s", item->path, e.msg);
    return ok;
}

/* ---- types ---- */

static void load_bool(struct loader *l, const struct load_item *item, struct str text, bool *field)
{
    if (str_is(text, "true") || str_is(text, "false"))
        *field = str_is(text, "true");
    else
        fault_add(l->faults, item->at, "%s is \"%.*s\", not true or false", item->path,
                  STR_ARG(text));
}

static void load_int(struct loader *l, const struct option *o, const struct load_item *item,
                     struct str text, int64_t *field)
{
    int64_t value;
    if (!str_to_i64(text, &value))
        fault_add(l->faults, item->at, "%s is \"%.*s\", not a whole number", item->path,
                  STR_ARG(text));
    else if (value < o->low || value > o->high)
        fault_add(l->faults, item->at, "%s is %lld, not between %lld and %lld", item->path,
                  (long long) value, (long long) o->low, (long long) o->high);
    else
        *field = value;
}

static void fault_word(struct loader *l, const struct option *o, const struct load_item *item,
                       struct str text)
{
    struct nearest near = nearest_to(text);
    struct buf list = BUF_INIT;
    struct str word;
    for (int at = 0; (word = option_word(o, at)).len; at++) {
        nearest_try(&near, arena_str(l->arena, word).p);
        buf_addf(&list, "%s%.*s", at ? ", " : "", STR_ARG(word));
    }
    const char *best = nearest_get(&near);
    if (best)
        fault_add(l->faults, item->at, "%s is \"%.*s\"; did you mean \"%s\"? It is one of: %s",
                  item->path, STR_ARG(text), best, list.p);
    else
        fault_add(l->faults, item->at, "%s is \"%.*s\", not one of: %s", item->path, STR_ARG(text),
                  list.p);
    buf_free(&list);
}

/* The number of the word, or -1 after a fault. */
static int load_word(struct loader *l, const struct option *o, const struct load_item *item,
                     struct str text)
{
    struct str word;
    for (int at = 0; (word = option_word(o, at)).len; at++)
        if (str_eq(word, text))
            return at;
    fault_word(l, o, item, text);
    return -1;
}

static bool pattern_ok(struct loader *l, const struct load_item *item, struct str pattern)
{
    struct str bare = str_starts(pattern, "!") ? (struct str){pattern.p + 1, pattern.len - 1}
                                               : pattern;
    const char *dot = bare.len ? memchr(bare.p, '.', bare.len) : NULL;
    bool blank = bare.len && (bare.p[0] == ' ' || bare.p[bare.len - 1] == ' ');
    if (dot && dot != bare.p && dot + 1 != bare.p + bare.len && !blank && bare.len <= 256)
        return true;
    fault_add(l->faults, item->at, "%s: \"%.*s\" is no pattern; write schema.table with * and ?, "
              "\"!schema.table\" to exclude", item->path, STR_ARG(pattern));
    return false;
}

static bool column_pattern_ok(struct loader *l, const struct load_item *item, struct str pattern)
{
    const char *one = pattern.len ? memchr(pattern.p, '.', pattern.len) : NULL;
    size_t left = one ? pattern.len - (size_t) (one + 1 - pattern.p) : 0;
    const char *two = left ? memchr(one + 1, '.', left) : NULL;
    size_t last = two ? pattern.len - (size_t) (two + 1 - pattern.p) : 0;
    bool blank = pattern.len && (pattern.p[0] == ' ' || pattern.p[pattern.len - 1] == ' ');
    if (last && !memchr(two + 1, '.', last) && one != pattern.p && two != one + 1 && pattern.p[0] != '!' && !blank
        && pattern.len <= 256)
        return true;
    fault_add(l->faults, item->at, "%s: \"%.*s\" is no pattern of columns; write schema.table.column with * and ?, and ? "
              "for a dot within a name", item->path, STR_ARG(pattern));
    return false;
}

static bool name_ok(struct loader *l, const struct load_item *item, struct str name)
{
    if (name.len >= 1 && name.len <= 63)
        return true;
    fault_add(l->faults, item->at, "%s: a column's name has 1 to 63 bytes", item->path);
    return false;
}

static bool url_ok(struct loader *l, const struct load_item *item, struct str url)
{
    struct err e = ERR_INIT;
    struct place at = item->at;
    if (http_url_check(url.p, &e) == 0)
        return true;
    at.hide = true; /* it may hold a password */
    fault_add(l->faults, at, "%s: %s", item->path, e.msg);
    return false;
}

/* A secret among them would be printed with the others. */
static bool property_ok(struct loader *l, const struct load_item *item, struct str text)
{
    const char *equals = text.len ? memchr(text.p, '=', text.len) : NULL;
    if (equals && equals != text.p && !str_starts(text, "sasl.password="))
        return true;
    struct place at = item->at;
    at.hide = equals != NULL;
    fault_add(l->faults, at, equals ? "%s: sasl.password is given as kafka.password" : "%s: a property is written name=value", item->path);
    return false;
}

static bool list_item_ok(struct loader *l, const struct option *o, const struct load_item *item, struct str text)
{
    return o->type == OPTION_COLUMNS ? column_pattern_ok(l, item, text)
         : o->type == OPTION_NAMES   ? name_ok(l, item, text)
         : o->type == OPTION_URLS    ? url_ok(l, item, text)
         : o->type == OPTION_PROPERTIES ? property_ok(l, item, text)
                                     : pattern_ok(l, item, text);
}

/* Items of the list, or the one scalar; those that are no good are faults. */
static void load_items(struct loader *l, const struct option *o, const struct load_item *item, struct config_list *field)
{
    void *prev = NULL;
    bool alone = fy_node_is_scalar(item->node);
    struct fy_node *each = alone ? item->node : fy_node_sequence_iterate(item->node, &prev);
    while (each) {
        struct load_item one = {each, load_place(each, item->at), item->path};
        struct str text;
        if (load_scalar(l, &one, &text) && list_item_ok(l, o, &one, text))
            field->items[field->count++] = text.p;
        each = alone ? NULL : fy_node_sequence_iterate(item->node, &prev);
    }
}

/* A list; one scalar is a list of one. */
static void load_list(struct loader *l, const struct option *o, const struct load_item *item, struct config_list *field)
{
    bool may_be_empty = o->type == OPTION_URLS || o->type == OPTION_PROPERTIES;
    const char *things = o->type == OPTION_URLS ? "addresses" : o->type == OPTION_NAMES ? "names" : may_be_empty ? "properties" : "patterns";
    int low = may_be_empty ? 0 : 1, included = 0, faults_before = l->faults->errors;
    bool alone = fy_node_is_scalar(item->node);
    if (!alone && !fy_node_is_sequence(item->node)) {
        fault_add(l->faults, item->at, "%s must be a list of %s, not a map", item->path, things);
        return;
    }
    int room = alone ? 1 : fy_node_sequence_item_count(item->node);
    if (room < low || room > LOAD_LIST_MAX) {
        fault_add(l->faults, item->at, "%s has %d %s, not %d to %d", item->path, room, things, low, LOAD_LIST_MAX);
        return;
    }
    field->items = arena_zalloc(l->arena, (size_t) room + 1, sizeof *field->items);
    field->count = 0;
    load_items(l, o, item, field);
    for (int at = 0; at < field->count; at++)
        included += o->type != OPTION_LIST || field->items[at][0] != '!';
    if (low && !included && l->faults->errors == faults_before)
        fault_add(l->faults, item->at, "%s only excludes, so nothing is chosen; begin with \"*.*\"",
                  item->path);
}

/* ---- an option ---- */

static void *field_of(const struct option *o, void *base)
{
    return (char *) base + o->offset;
}

/* The enums of config.h start at 0 and have no negative values; gcc and clang make them unsigned. */
static void set_enum(void *field, int word)
{
    unsigned value = (unsigned) word;
    _Static_assert(sizeof(enum config_decimal) == sizeof value, "an enum has the size of unsigned");
    memcpy(field, &value, sizeof value);
}

static void load_text(struct loader *l, const struct option *o, const struct load_item *item,
                      struct str text, void *field)
{
    int word;
    switch (o->type) {
    case OPTION_TEXT:
    case OPTION_SECRET:
        if (!text.len && !o->default_value)
            fault_add(l->faults, item->at, "%s must not be empty", item->path);
        else
            memcpy(field, &text.p, sizeof text.p);
        break;
    case OPTION_BOOL:
        load_bool(l, item, text, field);
        break;
    case OPTION_INT:
        load_int(l, o, item, text, field);
        break;
    case OPTION_ENUM:
    case OPTION_WORD:
        word = load_word(l, o, item, text);
        if (word >= 0 && o->type == OPTION_ENUM)
            set_enum(field, word);
        else if (word >= 0)
            memcpy(field, &text.p, sizeof text.p);
        break;
    case OPTION_LIST:
    case OPTION_COLUMNS:
    case OPTION_NAMES:
    case OPTION_URLS:
    case OPTION_PROPERTIES:
        break; /* not a scalar, see load_option */
    }
}

void load_option(struct loader *l, const struct option *o, void *base, const struct load_item *item)
{
    void *field = field_of(o, base);
    struct origin *origin = load_origin_set(l, field, item->at);
    struct str text;
    bool ok;
    origin->secret = o->type == OPTION_SECRET && str_is(tag_of(item->node), "!secret");
    if (option_is_list(o) && !load_is_null(item->node)) {
        if (tag_is_plain(l, item))
            load_list(l, o, item, field);
        return;
    }
    ok = origin->secret ? load_secret(l, item, &text) : load_scalar(l, item, &text);
    if (ok)
        load_text(l, o, item, text, field);
}

void load_default(struct loader *l, const struct option *o, void *base)
{
    void *field = field_of(o, base);
    struct load_item item = {.path = o->name};
    struct config_list *list = field;
    (void) load_origin_set(l, field, (struct place){0});
    if (!option_is_list(o)) {
        load_text(l, o, &item, str_of(o->default_value), field);
        return;
    }
    while (option_default_item(o, list->count).len)
        list->count++;
    list->items = arena_zalloc(l->arena, (size_t) list->count + 1, sizeof *list->items);
    for (int at = 0; at < list->count; at++)
        list->items[at] = arena_str(l->arena, option_default_item(o, at)).p;
}

bool load_is_name(const char *name, size_t max)
{
    size_t len = 0;
    for (; name[len]; len++) {
        char c = name[len];
        if (!((c >= 'a' && c <= 'z') || (len && ((c >= '0' && c <= '9') || c == '_'))))
            return false;
    }
    return len >= 1 && len <= max;
}
