/* SPDX-License-Identifier: Apache-2.0
 *
 * Make what is missing: schema, enum types, table. In the transaction of the first rows, so that a
 * failure leaves nothing behind. Columns come plain: no defaults, identity or generation, because
 * the values come from the source; no secondary indexes or foreign keys (docs/postgres-target.md).
 */
#include <jansson.h>
#include <stdlib.h>

#include "agent/net/pg.h"
#include "sinks/postgres/session.h"

/* One yes or no about a name. */
static int ask_bool(struct pgs *s, const char *sql, struct str name, bool *yes, struct err *e)
{
    PGresult *res;
    char *text = mem_strndup(name);
    const char *values[] = {text, NULL};
    int done = pipe_query(&s->pipe, "look at names of the target", sql, values, &res, e);
    free(text);
    if (done)
        return -1;
    *yes = PQntuples(res) > 0 && pg_bool(res, 0, 0);
    PQclear(res);
    return 0;
}

/* quoted is SQL text. */
static int make_schema(struct pgs *s, struct str quoted, struct err *e)
{
    bool there;
    if (ask_bool(s, "SELECT pg_catalog.to_regnamespace($1) IS NOT NULL", quoted, &there, e))
        return -1;
    if (there)
        return 0;
    struct buf sql = BUF_INIT;
    buf_addf(&sql, "CREATE SCHEMA IF NOT EXISTS %.*s", STR_ARG(quoted));
    int done = pipe_run(&s->pipe, "create schema", sql.p, e);
    buf_free(&sql);
    return done;
}

/* The schema part of a type's SQL name, empty when it has none: up to the first dot outside of
 * quotes. */
static struct str type_space(struct str type)
{
    bool inside = false;
    for (size_t at = 0; at < type.len; at++) {
        if (type.p[at] == '"')
            inside = !inside;
        else if (type.p[at] == '.' && !inside)
            return (struct str){type.p, at};
    }
    return STR_NONE;
}

static int make_enum(struct pgs *s, const struct column *col, struct str type, struct err *e)
{
    json_error_t fault;
    json_t *labels = json_loadb(col->enum_labels.p ? col->enum_labels.p : "", col->enum_labels.len,
                                0, &fault);
    if (!json_is_array(labels)) {
        json_decref(labels);
        return err_set(e, E_TARGET_TABLE, "labels of enum %.*s are not known", STR_ARG(type));
    }
    struct buf sql = BUF_INIT;
    buf_addf(&sql, "CREATE TYPE %.*s AS ENUM (", STR_ARG(type));
    for (size_t at = 0; at < json_array_size(labels); at++) {
        buf_add_text(&sql, at ? ", " : "");
        pg_add_literal(&sql, str_of(json_string_value(json_array_get(labels, at))));
    }
    buf_add_char(&sql, ')');
    json_decref(labels);
    struct str space = type_space(type);
    int done = space.len ? make_schema(s, space, e) : 0;
    if (!done)
        done = pipe_run(&s->pipe, "create enum type", sql.p, e);
    buf_free(&sql);
    return done;
}

/* The extension that has the type, by the name of the type; NULL when it is none that we know. */
static const char *extension_of(struct str type_name)
{
    static const struct {
        const char *type, *extension;
    } known[] = {
        {"geometry", "postgis"}, {"geography", "postgis"}, {"box2d", "postgis"}, {"box3d", "postgis"},
        {"vector", "vector"}, {"halfvec", "vector"}, {"sparsevec", "vector"},
        {"hstore", "hstore"}, {"ltree", "ltree"}, {"lquery", "ltree"}, {"citext", "citext"}, {"isbn", "isn"},
    };
    if (str_starts(type_name, "_"))
        type_name = (struct str){type_name.p + 1, type_name.len - 1};
    for (size_t at = 0; at < sizeof known / sizeof *known; at++)
        if (str_is(type_name, known[at].type))
            return known[at].extension;
    return NULL;
}

/* What to do about a type that is not there: its extension is missing, or stands in another schema than the source's. */
static int missing_type(struct pgs *s, const struct column *col, struct str type, struct err *e)
{
    struct err fault = ERR_INIT;
    bool there = false;
    struct str space = type_space(type);
    const char *extension = extension_of(col->type_name);
    if (!extension)
        return err_hint(e, "create the type, domain or extension there; it then goes on by itself");
    if (ask_bool(s, "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_extension WHERE extname = $1)", str_of(extension), &there, &fault))
        there = false;
    if (there)
        return err_hint(e, "extension %s is there in another schema: make the table by hand, with its type; it then goes on by itself",
                        extension);
    return err_hint(e, "CREATE EXTENSION %s%s%.*s there; it then goes on by itself", extension, space.len ? " SCHEMA " : "", STR_ARG(space));
}

int pgs_need_type(struct pgs *s, const struct relation *rel, const struct column *col, struct err *e)
{
    bool there;
    struct str type = col->type_sql;
    while (type.len > 2 && !memcmp(type.p + type.len - 2, "[]", 2))
        type.len -= 2;
    if (ask_bool(s, "SELECT pg_catalog.to_regtype($1) IS NOT NULL", type, &there, e))
        return -1;
    if (there)
        return 0;
    if (col->kind == TYPE_ENUM && col->enum_labels.len)
        return make_enum(s, col, type, e);
    (void) err_set(e, E_TARGET_TABLE, "type %.*s of column %.*s of %.*s.%.*s is missing on the target",
                   STR_ARG(type), STR_ARG(col->name), STR_ARG(rel->space), STR_ARG(rel->name));
    return missing_type(s, col, type, e);
}

static void add_columns(struct buf *sql, const struct relation *rel)
{
    const char *glue = " (";
    for (int at = 0; at < rel->column_count; at++) {
        const struct column *col = &rel->columns[at];
        if (col->generated)
            continue;
        buf_add_text(sql, glue);
        pg_add_ident(sql, col->name);
        buf_addf(sql, " %.*s%s", STR_ARG(col->type_sql), col->not_null ? " NOT NULL" : "");
        glue = ", ";
    }
    if (rel->key_count)
        buf_add_text(sql, ", PRIMARY KEY");
    const char *open = rel->key_count ? " (" : "";
    for (int position = 1; position <= rel->key_count; position++)
        for (int at = 0; at < rel->column_count; at++)
            if (rel->columns[at].key_position == position) {
                buf_add_text(sql, open);
                pg_add_ident(sql, rel->columns[at].name);
                open = ", ";
            }
    if (rel->key_count)
        buf_add_char(sql, ')');
    buf_add_text(sql, *glue == ' ' ? " ()" : ")");
}

int pgs_create(struct pgs *s, const struct relation *rel, struct err *e)
{
    struct buf text = BUF_INIT;
    pg_add_ident(&text, pgs_space(s, rel));
    int done = make_schema(s, buf_str(&text), e);
    for (int at = 0; !done && at < rel->column_count; at++)
        if (!rel->columns[at].generated)
            done = pgs_need_type(s, rel, &rel->columns[at], e);
    if (!done) {
        buf_reset(&text);
        buf_add_text(&text, "CREATE TABLE IF NOT EXISTS ");
        pg_add_table(&text, pgs_space(s, rel), rel->name);
        add_columns(&text, rel);
        done = pipe_run(&s->pipe, "create table", text.p, e);
    }
    buf_free(&text);
    if (done)
        (void) err_prefix(e, "make table %.*s.%.*s", STR_ARG(pgs_space(s, rel)), STR_ARG(rel->name));
    return done;
}
