/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules of columns and keys against the tables as they are: what would stop a run, what a rule does
 * otherwise than it says, and what no rule takes because its name is not written right.
 */
#include <stdlib.h>

#include "agent/source/narrow.h"
#include "agent/source/preflight_local.h"
#include "schemas/shape.h"

struct look {
    const struct preflight *p;
    struct shape_rules rules;
    bool *taken;         /* of the patterns of all rules for columns, one after the other */
    struct buf unable;   /* columns that are dropped instead */
    int columns, keys, faults, unable_count;
};

static void note_patterns(struct look *l, const struct relation *rel)
{
    int number = 0;
    for (int rule = 0; rule < l->rules.column_count; rule++) {
        const struct config_list *of = &l->rules.columns[rule].of;
        for (int at = 0; at < of->count; at++, number++) {
            const struct config_list one = {1, &of->items[at]};
            for (int column = 0; column < rel->column_count; column++)
                l->taken[number] |= config_list_takes_column(&one, rel->space, rel->name, rel->columns[column].name);
        }
    }
}

/* A unique index over some of the columns makes them unique together. */
static const char unique_sql[] =
    "SELECT NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1::pg_catalog.oid"
    " AND a.attname = ANY ($2::pg_catalog.text[]) AND NOT a.attnotnull)"
    " AND EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = $1::pg_catalog.oid"
    "  AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL"
    "  AND NOT EXISTS (SELECT 1 FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) k(n)"
    "   JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.n]"
    "   WHERE a.attname <> ALL (SELECT u::pg_catalog.name FROM unnest($2::pg_catalog.text[]) u)))";

static void add_keys(struct buf *out, const struct relation *rel, const char *open, const char *close)
{
    buf_add_text(out, open);
    for (int position = 1; position <= rel->key_count; position++)
        for (int at = 0; at < rel->column_count; at++)
            if (rel->columns[at].key_position == position) {
                buf_add_text(out, position > 1 ? "," : "");
                buf_add_json(out, rel->columns[at].name);
            }
    buf_add_text(out, close);
}

/* A JSON string is an element of an array's text too, for all that names are made of. */
static void look_unique(struct look *l, const struct relation *rel)
{
    struct buf oid = BUF_INIT, names = BUF_INIT;
    buf_addf(&oid, "%u", rel->oid);
    add_keys(&names, rel, "{", "}");
    const char *const values[] = {oid.p, names.p};
    PGresult *res = preflight_ask(l->p, "rules", unique_sql, 2, values);
    buf_reset(&names);
    add_keys(&names, rel, "(", ")");
    l->faults += !res;
    if (res && !pg_bool(res, 0, 0)) {
        preflight_say(l->p, FINDING_WARN, E_NONE, "rules", "give the table such an index, or choose other columns",
                      "the record key %s of %.*s.%.*s is not unique by an index over NOT NULL columns: a PostgreSQL target takes "
                      "rows with the same key for one, and refuses NULL", names.p, STR_ARG(rel->space), STR_ARG(rel->name));
        l->faults++;
    }
    PQclear(res);
    buf_free(&oid);
    buf_free(&names);
}

static void count(struct look *l, const struct shape *s, const struct relation *rel)
{
    struct str unable = shape_unable(s);
    for (int at = 0; at < rel->column_count; at++)
        l->columns += shape_way(s, at) != SHAPE_KEEP;
    if (unable.len) {
        preflight_add_name(&l->unable, l->unable_count++, rel->space, rel->name);
        if (l->unable_count <= PREFLIGHT_NAMES_MAX)
            buf_addf(&l->unable, ": %.*s", STR_ARG(unable));
    }
}

static bool has_key_rule(const struct look *l, const struct relation *rel)
{
    for (int at = 0; at < l->rules.key_count; at++)
        if (config_list_matches(&l->rules.keys[at].of, rel->space, rel->name))
            return true;
    return false;
}

static void look_shape(struct look *l, const struct relation *rel)
{
    struct err e = ERR_INIT;
    struct shape *s = NULL;
    if (shape_make(rel, &l->rules, &s, &e)) {
        preflight_error(l->p, "rules", &e);
        l->faults++;
    } else if (s) {
        count(l, s, rel);
        if (has_key_rule(l, rel)) {
            l->keys++;
            look_unique(l, shape_relation(s));
        }
    }
    shape_free(s);
}

/* As the stream and the copy would; a table that goes away meanwhile is left out. */
static void look_table(struct look *l, const struct catalog_table *t)
{
    const struct preflight *p = l->p;
    struct err e = ERR_INIT;
    struct arena a;
    const struct relation *rel;
    struct str filter;
    arena_init(&a, 0, "source.tables");
    if (!catalog_describe(p->env, p->sql, t->oid, &a, &rel, &e)
        && !narrow_relation(p->env, p->sql, p->config->source.publication, &a, &rel, &filter, &e)) {
        note_patterns(l, rel);
        look_shape(l, rel);
    } else if (e.class != ERR_GONE) {
        preflight_error(p, "rules", &e);
        l->faults++;
    }
    arena_free(&a);
}

static void tell_untaken(struct look *l)
{
    struct buf names = BUF_INIT;
    int number = 0, untaken = 0;
    for (int rule = 0; rule < l->rules.column_count; rule++) {
        const struct config_list *of = &l->rules.columns[rule].of;
        for (int at = 0; at < of->count; at++, number++)
            if (!l->taken[number] && untaken++ < PREFLIGHT_NAMES_MAX)
                buf_addf(&names, "%s%s", names.len ? ", " : "", of->items[at]);
    }
    preflight_end_names(&names, untaken);
    if (untaken)
        preflight_say(l->p, FINDING_WARN, E_NONE, "rules", "correct the names, or take the patterns out",
                      "patterns of columns that take no column of a chosen table: %s", names.p);
    l->faults += untaken > 0;
    buf_free(&names);
}

void preflight_check_rules(const struct preflight *p)
{
    struct look l = {.p = p, .rules = shape_rules_of(p->config)};
    size_t patterns = 1;
    if (!l.rules.column_count && !l.rules.key_count)
        return;
    for (int at = 0; at < l.rules.column_count; at++)
        patterns += (size_t) l.rules.columns[at].of.count;
    l.taken = mem_zalloc(patterns, sizeof *l.taken);
    for (int at = 0; at < p->table_count; at++)
        look_table(&l, &p->tables[at]);
    preflight_end_names(&l.unable, l.unable_count);
    if (l.unable_count)
        preflight_say(p, FINDING_WARN, E_NONE, "rules", "mask, hash and truncate act on text, varchar, char(n) and citext; say drop where "
                      "that is meant", "columns that are dropped because their rule cannot act on their type: %s", l.unable.p);
    tell_untaken(&l);
    if (!l.faults && !l.unable_count)
        preflight_pass(p, "rules", "rules take %d columns, and give %d tables another record key", l.columns, l.keys);
    buf_free(&l.unable);
    free(l.taken);
}
