/* SPDX-License-Identifier: Apache-2.0
 *
 * Masks and prefixes borrow their bytes, hashes have room in the shape: a row allocates nothing.
 * Hash: SHA-256 over salt, then value, in lower-case hexadecimal. Source: Debezium's MaskStrings
 * (column.mask.hash.v2), which cuts it to the column's length too.
 */
#include "schemas/shape.h"

#include <openssl/evp.h>
#include <stdlib.h>

#define HASH_BYTES 32
#define HASH_DIGITS 64

/* pg_type.dat; an extension's types have names only. */
#define OID_TEXT 25
#define OID_BPCHAR 1042
#define OID_VARCHAR 1043

/* One column that is sent. */
struct shaped {
    int from;           /* its place in the relation that came */
    enum shape_way way;
    int64_t length;     /* characters that may be there; 0 = any */
    EVP_MD_CTX *salted; /* hash: the salt is in it */
};

struct shape {
    struct arena arena;
    struct relation rel;
    const struct relation *given;
    enum shape_way *ways;   /* of given's columns */
    struct column *columns; /* rel's */
    struct shaped *shaped;  /* rel's */
    struct str mask;        /* as long as the longest one */
    EVP_MD_CTX *work;
    struct value *rows[2];       /* before, after */
    char (*hashes[2])[HASH_DIGITS];
    struct buf unable, left_out;
};

/* ---- rules ---- */

struct shape_rules shape_rules_of(const struct config *c)
{
    return (struct shape_rules){c->columns, c->column_count, c->keys, c->key_count};
}

static const struct config_column *column_rule(const struct shape_rules *rules, const struct relation *rel,
                                               struct str column)
{
    for (int at = 0; at < rules->column_count; at++)
        if (config_list_takes_column(&rules->columns[at].of, rel->space, rel->name, column))
            return &rules->columns[at];
    return NULL;
}

static const struct config_key *key_rule(const struct shape_rules *rules, const struct relation *rel)
{
    for (int at = 0; at < rules->key_count; at++)
        if (config_list_matches(&rules->keys[at].of, rel->space, rel->name))
            return &rules->keys[at];
    return NULL;
}

/* Types whose values are any characters. Domains are not among them: what they rest on, and allow, is not known here. */
static bool is_text(const struct column *c)
{
    if (c->kind != TYPE_TEXT || c->array)
        return false;
    return c->type_oid == OID_TEXT || c->type_oid == OID_BPCHAR || c->type_oid == OID_VARCHAR
        || str_is(c->type_name, "citext");
}

/* n of varchar(n) and char(n); 0 when it has none. */
static int64_t own_length(const struct column *c)
{
    return (c->type_oid == OID_BPCHAR || c->type_oid == OID_VARCHAR) && c->typmod > 4 ? c->typmod - 4 : 0;
}

static enum shape_way way_of(const struct config_column *rule, const struct column *column)
{
    if (!rule)
        return SHAPE_KEEP;
    if (rule->what == RULE_DROP || !is_text(column))
        return SHAPE_DROP;
    return rule->what == RULE_MASK ? SHAPE_MASK : rule->what == RULE_HASH ? SHAPE_HASH : SHAPE_TRUNCATE;
}

/* ---- the key ---- */

static int name_fault(const struct relation *rel, const char *column, const char *what, struct err *e)
{
    return err_set(e, E_CONFIG, "rule of keys for %.*s.%.*s: column %s %s", STR_ARG(rel->space), STR_ARG(rel->name),
                   column, what);
}

static bool any_identity(const struct relation *rel)
{
    for (int at = 0; at < rel->column_count; at++)
        if (rel->columns[at].identity)
            return true;
    return false;
}

/* Old rows hold the identity's columns alone, so that only these tell which row was changed. */
static int check_key_column(const struct relation *rel, int at, const char *name, struct err *e)
{
    if (at < 0)
        return name_fault(rel, name, "is not among those that are sent", e);
    if (rel->columns[at].identity || !any_identity(rel))
        return 0;
    (void) name_fault(rel, name, "is not in the replica identity, so that deletes would lack the key", e);
    return err_hint(e, "ALTER TABLE %.*s.%.*s REPLICA IDENTITY FULL, or USING INDEX of a unique index over these columns",
                    STR_ARG(rel->space), STR_ARG(rel->name));
}

static int take_key(struct shape *s, const struct config_key *rule, struct column *columns, struct err *e)
{
    for (int at = 0; at < s->given->column_count; at++)
        columns[at].key_position = 0;
    for (int position = 0; position < rule->columns.count; position++) {
        const char *name = rule->columns.items[position];
        int at = relation_find(s->given, str_of(name));
        if (check_key_column(s->given, at, name, e))
            return -1;
        columns[at].key_position = position + 1;
    }
    s->rel.key_count = rule->columns.count;
    return 0;
}

static const char *rule_word(enum config_rule what)
{
    static const char *const words[] = {"drop", "mask", "hash", "truncate"};
    return words[what];
}

static int check_key(const struct shape *s, const struct config_column *rule, const struct column *column,
                     enum shape_way way, struct err *e)
{
    int64_t length = own_length(column);
    if (!column->key_position || way == SHAPE_KEEP || (way == SHAPE_HASH && (!length || length >= SHAPE_KEY_DIGITS)))
        return 0;
    (void) err_set(e, E_CONFIG, "rule %s of columns takes %.*s.%.*s.%.*s, which is in the record key: rows could not be told "
                   "apart", rule_word(rule->what), STR_ARG(s->given->space), STR_ARG(s->given->name), STR_ARG(column->name));
    return err_hint(e, "hash a key of text with room for %d characters or more, take the column out of the rule, or give the "
                    "table another record key by keys", SHAPE_KEY_DIGITS);
}

/* ---- making ---- */

static void note_unable(struct shape *s, const struct column *column)
{
    buf_addf(&s->unable, "%s%.*s (%.*s)", s->unable.len ? ", " : "", STR_ARG(column->name), STR_ARG(column->type_sql));
}

static int salted(struct shape *s, struct shaped *to, const char *salt, struct err *e)
{
    if (!s->work)
        s->work = EVP_MD_CTX_new();
    to->salted = EVP_MD_CTX_new();
    if (s->work && to->salted && EVP_DigestInit_ex(to->salted, EVP_sha256(), NULL)
        && EVP_DigestUpdate(to->salted, salt, strlen(salt)))
        return 0;
    return err_set(e, E_INTERNAL, "no SHA-256 for columns of %.*s.%.*s", STR_ARG(s->given->space), STR_ARG(s->given->name));
}

static int64_t lesser(int64_t a, int64_t b)
{
    return !a || (b && b < a) ? b : a;
}

static struct str apply(struct shape *s, const struct shaped *to, struct str text, char *hash);

/* The column that is sent in its place. A default may hold what is to be hidden; what rows have that are older
 * than the column becomes what their values would. */
static int add_column(struct shape *s, const struct config_column *rule, int from, const struct column *column,
                      struct err *e)
{
    int at = s->rel.column_count++;
    struct shaped *to = &s->shaped[at];
    struct column *sent = &s->columns[at];
    *to = (struct shaped){.from = from, .way = s->ways[from], .length = own_length(column)};
    *sent = *column;
    if (to->way == SHAPE_KEEP)
        return 0;
    if (to->way == SHAPE_HASH && salted(s, to, rule->salt, e))
        return -1;
    if (to->way != SHAPE_HASH)
        to->length = lesser(to->length, rule->length);
    if (to->way == SHAPE_MASK && s->mask.len < (size_t) to->length) {
        char *stars = arena_alloc(&s->arena, (size_t) to->length);
        memset(stars, '*', (size_t) to->length);
        s->mask = (struct str){stars, (size_t) to->length};
    }
    sent->default_sql = STR_NONE;
    if (sent->has_missing) {
        char hash[HASH_DIGITS];
        struct str missing = apply(s, to, column->missing, hash);
        if (!missing.p)
            return err_set(e, E_INTERNAL, "column %.*s cannot be hashed", STR_ARG(column->name));
        sent->missing = arena_str(&s->arena, missing);
    }
    return 0;
}

/* Each column by its rule. columns are given's, with the key as it will be. */
static int take_columns(struct shape *s, const struct shape_rules *rules, const struct column *columns, struct err *e)
{
    const struct relation *rel = s->given;
    for (int at = 0; at < rel->column_count; at++) {
        const struct config_column *rule = column_rule(rules, rel, columns[at].name);
        enum shape_way way = s->ways[at] = way_of(rule, &columns[at]);
        if (check_key(s, rule, &columns[at], way, e))
            return -1;
        if (way == SHAPE_DROP)
            relation_add_left_out(&s->left_out, columns[at].attnum, columns[at].name);
        if (way == SHAPE_DROP && rule->what != RULE_DROP)
            note_unable(s, &columns[at]);
        if (way != SHAPE_DROP && add_column(s, rule, at, &columns[at], e))
            return -1;
    }
    return 0;
}

static int fill(struct shape *s, const struct shape_rules *rules, const struct config_key *key, struct err *e)
{
    const struct relation *rel = s->given;
    size_t count = (size_t) rel->column_count + 1;
    struct column *columns = arena_zalloc(&s->arena, count, sizeof *columns);
    s->rel = *rel;
    s->rel.column_count = 0;
    s->rel.columns = s->columns = arena_zalloc(&s->arena, count, sizeof *s->columns);
    s->shaped = arena_zalloc(&s->arena, count, sizeof *s->shaped);
    s->ways = arena_zalloc(&s->arena, count, sizeof *s->ways);
    for (int side = 0; side < 2; side++) {
        s->rows[side] = arena_zalloc(&s->arena, count, sizeof *s->rows[side]);
        s->hashes[side] = arena_zalloc(&s->arena, count, sizeof *s->hashes[side]);
    }
    if (rel->column_count)
        memcpy(columns, rel->columns, (count - 1) * sizeof *columns);
    if (rel->left_out.len > 2) /* by the publication */
        buf_add(&s->left_out, rel->left_out.p + 1, rel->left_out.len - 2);
    if ((key && take_key(s, key, columns, e)) || take_columns(s, rules, columns, e))
        return -1;
    s->rel.left_out = relation_left_out(&s->arena, &s->left_out);
    return 0;
}

static bool concerned(const struct relation *rel, const struct shape_rules *rules)
{
    for (int at = 0; rules->column_count && at < rel->column_count; at++)
        if (column_rule(rules, rel, rel->columns[at].name))
            return true;
    return false;
}

int shape_make(const struct relation *rel, const struct shape_rules *rules, struct shape **out, struct err *e)
{
    const struct config_key *key = key_rule(rules, rel);
    *out = NULL;
    if (!key && !concerned(rel, rules))
        return 0;
    struct shape *s = mem_zalloc(1, sizeof *s);
    arena_init(&s->arena, 0, "shape");
    s->given = relation_copy(&s->arena, rel);
    if (fill(s, rules, key, e)) {
        shape_free(s);
        return -1;
    }
    *out = s;
    return 0;
}

void shape_free(struct shape *s)
{
    if (!s)
        return;
    for (int at = 0; at < s->rel.column_count; at++)
        EVP_MD_CTX_free(s->shaped[at].salted);
    EVP_MD_CTX_free(s->work);
    buf_free(&s->unable);
    buf_free(&s->left_out);
    arena_free(&s->arena);
    free(s);
}

const struct relation *shape_relation(const struct shape *s)
{
    return &s->rel;
}

enum shape_way shape_way(const struct shape *s, int column)
{
    return s ? s->ways[column] : SHAPE_KEEP;
}

struct str shape_unable(const struct shape *s)
{
    return buf_str(&s->unable);
}

/* ---- rows ---- */

/* The first length characters of UTF-8. */
static struct str prefix(struct str text, int64_t length)
{
    size_t at = 0;
    for (; at < text.len; at++)
        if (((uint8_t) text.p[at] & 0xc0) != 0x80 && length-- == 0)
            break;
    return (struct str){text.p, at};
}

static struct str hash_of(struct shape *s, const struct shaped *to, struct str text, char *hash)
{
    uint8_t md[HASH_BYTES];
    if (!EVP_MD_CTX_copy_ex(s->work, to->salted) || !EVP_DigestUpdate(s->work, text.p ? text.p : "", text.len)
        || !EVP_DigestFinal_ex(s->work, md, NULL))
        return STR_NONE;
    for (int at = 0; at < HASH_BYTES; at++) {
        hash[2 * at] = "0123456789abcdef"[md[at] >> 4];
        hash[2 * at + 1] = "0123456789abcdef"[md[at] & 15];
    }
    bool cut = to->length && to->length < HASH_DIGITS;
    return (struct str){hash, cut ? (size_t) to->length : HASH_DIGITS};
}

/* What stands for a text; STR_NONE when it cannot be hashed. */
static struct str apply(struct shape *s, const struct shaped *to, struct str text, char *hash)
{
    switch (to->way) {
    case SHAPE_HASH: return hash_of(s, to, text, hash);
    case SHAPE_MASK: return (struct str){s->mask.p, (size_t) to->length};
    case SHAPE_TRUNCATE: return text.p ? prefix(text, to->length) : STR("");
    case SHAPE_KEEP: case SHAPE_DROP: break;
    }
    return text;
}

static int shape_row(struct shape *s, const struct value **row, int side, struct err *e)
{
    const struct value *given = *row;
    for (int at = 0; given && at < s->rel.column_count; at++) {
        const struct shaped *how = &s->shaped[at];
        struct value *to = &s->rows[side][at];
        *to = given[how->from];
        if (how->way == SHAPE_KEEP || to->state != VALUE_SET)
            continue;
        to->text = apply(s, how, to->text, s->hashes[side][at]);
        if (!to->text.p)
            return err_set(e, E_INTERNAL, "column %.*s of %.*s.%.*s cannot be hashed", STR_ARG(s->rel.columns[at].name),
                           STR_ARG(s->rel.space), STR_ARG(s->rel.name));
    }
    if (given)
        *row = s->rows[side];
    return 0;
}

int shape_change(struct shape *s, struct change *change, struct err *e)
{
    change->rel = &s->rel;
    return shape_row(s, &change->before, 0, e) || shape_row(s, &change->after, 1, e) ? -1 : 0;
}
