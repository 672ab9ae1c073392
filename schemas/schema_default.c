/* SPDX-License-Identifier: Apache-2.0
 *
 * Column defaults as Debezium sees them (strict only): it parses literals and puts a constant of
 * the type in the place of a function.
 */
#include "schemas/plan.h"

static const char *placeholder(const struct column *column)
{
    switch (column->kind) {
    case TYPE_BOOL: return "f";
    case TYPE_INT2: case TYPE_INT4: case TYPE_INT8: case TYPE_FLOAT4: case TYPE_FLOAT8:
    case TYPE_NUMERIC: return "0";
    case TYPE_TEXT: case TYPE_ENUM: return "";
    case TYPE_JSON: return "{}";
    case TYPE_UUID: return "00000000-0000-0000-0000-000000000000";
    case TYPE_DATE: return "1970-01-01";
    case TYPE_TIME: case TYPE_INTERVAL: return "00:00:00";
    case TYPE_TIMESTAMP: return "1970-01-01 00:00:00";
    case TYPE_TIMESTAMPTZ: return "1970-01-01 00:00:00+00";
    case TYPE_BIT: case TYPE_VARBIT: return "0";
    case TYPE_XML: return "";
    case TYPE_OTHER: case TYPE_OID: case TYPE_BYTEA: case TYPE_TIMETZ: case TYPE_MONEY: case TYPE_TSVECTOR:
    case TYPE_LTREE: case TYPE_HSTORE: case TYPE_POINT: case TYPE_GEOMETRY: case TYPE_GEOGRAPHY: case TYPE_VECTOR:
    case TYPE_HALFVEC: case TYPE_SPARSEVEC: return NULL;
    }
    return NULL;
}

/* Types whose defaults Debezium reads; "char", name and citext are not among them. */
static bool covered(const struct column *column)
{
    if (column->array || column->generated || !placeholder(column))
        return false;
    return column->kind != TYPE_TEXT || str_is(column->type_name, "text")
        || str_is(column->type_name, "varchar") || str_is(column->type_name, "bpchar");
}

/* What may follow a literal: closing brackets and a cast. */
static bool only_cast(struct str rest)
{
    while (rest.len && rest.p[0] == ')')
        rest = (struct str){rest.p + 1, rest.len - 1};
    if (rest.len && !str_starts(rest, "::"))
        return false;
    for (size_t at = 2; at < rest.len; at++) {
        char c = rest.p[at];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && !memchr("_ .\"(),[]", c, 9))
            return false;
    }
    return true;
}

/* '...' or E'...' at the front of sql. */
static bool take_quoted(struct arena *a, struct str sql, struct str *text)
{
    bool escapes = str_starts(sql, "E'");
    size_t at = escapes ? 2 : 1;
    char *out = arena_alloc(a, sql.len + 1);
    size_t len = 0;
    for (; at < sql.len; at++) {
        if (sql.p[at] == '\'') {
            if (at + 1 >= sql.len || sql.p[at + 1] != '\'')
                break;
            at++;
        } else if (escapes && sql.p[at] == '\\' && at + 1 < sql.len) {
            at++;
        }
        out[len++] = sql.p[at];
    }
    *text = (struct str){out, len};
    return at < sql.len && only_cast((struct str){sql.p + at + 1, sql.len - at - 1});
}

static bool take_word(struct str sql, struct str *text)
{
    size_t len = 0;
    while (len < sql.len && sql.p[len] != ')' && sql.p[len] != ':')
        len++;
    *text = (struct str){sql.p, len};
    if (!only_cast((struct str){sql.p + len, sql.len - len}))
        return false;
    double number;
    if (str_is(*text, "true") || str_is(*text, "false")) {
        text->len = 1;
        return true;
    }
    return text_to_double(*text, &number);
}

bool schema_default(struct arena *a, const struct column *column, struct str *text)
{
    struct str sql = column->default_sql;
    if (!sql.len || !covered(column))
        return false;
    while (sql.len && sql.p[0] == '(')
        sql = (struct str){sql.p + 1, sql.len - 1};
    if (str_is(sql, "NULL") || str_starts(sql, "NULL::"))
        return false;
    if (str_starts(sql, "'") || str_starts(sql, "E'")) {
        if (take_quoted(a, sql, text))
            return true;
    } else if (take_word(sql, text)) {
        return true;
    }
    *text = str_of(placeholder(column));
    return true;
}

struct str schema_rescale(struct arena *a, struct str number, int scale)
{
    const char *point = number.len ? memchr(number.p, '.', number.len) : NULL;
    size_t have = point ? number.len - 1 - (size_t) (point - number.p) : 0;
    if (scale <= 0 || have >= (size_t) scale)
        return number;
    size_t len = number.len;
    char *out = arena_alloc(a, len + 2 + (size_t) scale);
    memcpy(out, number.p, len);
    if (!point)
        out[len++] = '.';
    for (; have < (size_t) scale; have++)
        out[len++] = '0';
    return (struct str){out, len};
}
