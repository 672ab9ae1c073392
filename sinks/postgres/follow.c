/* SPDX-License-Identifier: Apache-2.0
 *
 * What was altered on the source, done on the target too.
 *
 * tailrace.columns remembers, in the transaction of the rows, which columns of the source stand in a
 * table: number, name, type. A column keeps its number when it is renamed or gets another type, and
 * never comes again when it is dropped, so the difference to a relation tells what was done,
 * whatever happened to this process in between. Rows that are older than what is remembered (parked
 * ones) change nothing. What the target has already is left alone: whoever did it by hand is not
 * in the way. A column that the source has and only no longer sends (a rule, a column list) is left alone too.
 */
#include <jansson.h>
#include <stdlib.h>

#include "agent/net/pg.h"
#include "sinks/postgres/session.h"

#define LOCK_MS "5s"

/* A column that the target has, or will have when what is planned so far was done. */
struct have {
    struct str name, type;
    bool needed; /* an insert has to give it */
    bool gone;
};

struct follow {
    struct pgs *s;
    const struct pgs_table *t;
    struct arena a;
    struct have *have;
    int have_count;
    json_t *known;           /* [[number, name, type], ...]; NULL when nothing is remembered */
    json_t *left_out;        /* [[number, name], ...] of those that are not sent; NULL when all are */
    int *number;             /* of each column of the relation; 0 = not known */
    struct buf sql;          /* what has to be done: statements, each ended by a NUL */
    struct buf what;         /* the same in words */
    bool adds_only;
    struct str unsure;       /* a new column with a default, of which nobody knows what older rows hold */
};

/* ---- looking ---- */

static int known_number(const json_t *one)
{
    return (int) json_integer_value(json_array_get(one, 0));
}

static struct str known_text(const json_t *one, size_t at)
{
    const char *text = json_string_value(json_array_get(one, at));
    return str_of(text ? text : "");
}

static const json_t *known_of(const struct follow *f, int number)
{
    for (size_t at = 0; number && at < json_array_size(f->known); at++)
        if (known_number(json_array_get(f->known, at)) == number)
            return json_array_get(f->known, at);
    return NULL;
}

static int known_by_name(const struct follow *f, struct str name)
{
    for (size_t at = 0; at < json_array_size(f->known); at++)
        if (str_eq(known_text(json_array_get(f->known, at), 1), name))
            return known_number(json_array_get(f->known, at));
    return 0;
}

/* The source still has it. */
static bool is_left_out(const struct follow *f, const json_t *known)
{
    for (size_t at = 0; at < json_array_size(f->left_out); at++) {
        const json_t *one = json_array_get(f->left_out, at);
        if (known_number(one) ? known_number(one) == known_number(known) : str_eq(known_text(one, 1), known_text(known, 1)))
            return true;
    }
    return false;
}

static struct have *have_of(const struct follow *f, struct str name)
{
    for (int at = 0; at < f->have_count; at++)
        if (!f->have[at].gone && str_eq(f->have[at].name, name))
            return &f->have[at];
    return NULL;
}

static int column_of(const struct follow *f, int number)
{
    for (int at = 0; at < f->t->rel->column_count; at++)
        if (f->number[at] == number && !f->t->rel->columns[at].generated)
            return at;
    return -1;
}

/* A column of the target that the source does not have: somebody's own, or one under a name that it had
 * before. */
static bool has_stranger(const struct follow *f)
{
    for (int at = 0; at < f->have_count; at++)
        if (!f->have[at].gone && relation_find(f->t->rel, f->have[at].name) < 0)
            return true;
    return false;
}

static void take_columns(struct follow *f, const PGresult *columns)
{
    f->have = arena_zalloc(&f->a, (size_t) PQntuples(columns) + 1, sizeof *f->have);
    for (int row = 0; row < PQntuples(columns); row++)
        if (!PQgetisnull(columns, row, TARGET_NAME))
            f->have[f->have_count++] = (struct have){.name = pg_text(columns, row, TARGET_NAME),
                                                     .type = pg_text(columns, row, TARGET_FULL_TYPE),
                                                     .needed = pg_bool(columns, row, TARGET_NEEDED)};
}

/* ---- numbers ---- */

static bool grows(const struct follow *f)
{
    int last = 0;
    for (int at = 0; at < f->t->rel->column_count; at++) {
        if (f->number[at] && f->number[at] <= last)
            return false;
        last = f->number[at] ? f->number[at] : last;
    }
    return true;
}

static bool take_numbers(struct follow *f, bool known_first)
{
    for (int at = 0; at < f->t->rel->column_count; at++) {
        const struct column *col = &f->t->rel->columns[at];
        int known = known_by_name(f, col->name);
        f->number[at] = (known_first && known) || !col->attnum ? known : col->attnum;
    }
    return grows(f);
}

/* A column that was there and whose place none of those that came has. */
static bool is_free(const struct follow *f, int number)
{
    const json_t *known = known_of(f, number);
    return known && column_of(f, number) < 0 && !is_left_out(f, known);
}

/* Between two columns that are known, as many lie as were there before: they have other names now. */
static void fill_gap(struct follow *f, int from, int to)
{
    int low = from ? f->number[from - 1] : 0, high = f->number[to], count = 0, at = from;
    for (int number = low + 1; number < high; number++)
        count += is_free(f, number);
    for (int number = low + 1; number < high && count == to - from; number++)
        if (is_free(f, number))
            f->number[at++] = number;
}

/* The catalog was read when the rows were decoded, maybe long after they were written: it may lack
 * a name of then, or give it to another column. Numbers grow along a row, so those that do not are wrong.
 * What is remembered goes first, since names mostly stay. */
static void number_columns(struct follow *f)
{
    int count = f->t->rel->column_count;
    f->number = arena_zalloc(&f->a, (size_t) count + 1, sizeof *f->number);
    if (!take_numbers(f, true) && !take_numbers(f, false)) {
        memset(f->number, 0, (size_t) count * sizeof *f->number);
        return;
    }
    for (int at = 0, from = -1; at < count; at++) {
        if (!f->number[at] && from < 0)
            from = at;
        if (f->number[at] && from >= 0) {
            fill_gap(f, from, at);
            from = -1;
        }
    }
}

/* ---- planning ---- */

/* Say in words what was done to a column; the words go on behind the name. */
static void tell_column(struct follow *f, bool adds, struct str name)
{
    f->adds_only = f->adds_only && adds;
    buf_addf(&f->what, "%scolumn %.*s ", f->what.len ? ", " : "", STR_ARG(name));
}

static void begin_statement(struct follow *f)
{
    buf_addf(&f->sql, "ALTER TABLE %.*s", STR_ARG(f->t->sql));
}

static void end_statement(struct follow *f)
{
    buf_add_char(&f->sql, 0);
}

static void plan_rename(struct follow *f, struct have *have, struct str to)
{
    begin_statement(f);
    buf_add_text(&f->sql, " RENAME COLUMN ");
    pg_add_ident(&f->sql, have->name);
    buf_add_text(&f->sql, " TO ");
    pg_add_ident(&f->sql, to);
    end_statement(f);
    have->name = to;
}

/* Rows that are there get what those of the source have got: the value that a default gave them then. */
static void plan_add(struct follow *f, const struct column *col, bool sure)
{
    tell_column(f, sure, col->name);
    buf_addf(&f->what, "of type %.*s is new", STR_ARG(col->type_sql));
    begin_statement(f);
    buf_add_text(&f->sql, " ADD COLUMN ");
    pg_add_ident(&f->sql, col->name);
    buf_addf(&f->sql, " %.*s", STR_ARG(col->type_sql));
    if (col->has_missing) {
        buf_add_text(&f->sql, " DEFAULT ");
        pg_add_literal(&f->sql, col->missing);
        buf_addf(&f->sql, "::%.*s%s", STR_ARG(col->type_sql), col->not_null ? " NOT NULL" : "");
        end_statement(f);
        begin_statement(f);
        buf_add_text(&f->sql, " ALTER COLUMN ");
        pg_add_ident(&f->sql, col->name);
        buf_add_text(&f->sql, " DROP DEFAULT");
    } else if (col->default_sql.len) {
        f->unsure = col->name;
    }
    end_statement(f);
}

/* The source names schemas always, the target those that its search_path lacks. */
static bool same_type(struct str target, struct str source)
{
    const char *dot = source.len ? memchr(source.p, '.', source.len) : NULL;
    size_t skip = dot && source.p[0] != '"' ? (size_t) (dot + 1 - source.p) : 0;
    return str_eq(target, source) || (skip && str_eq(target, (struct str){source.p + skip, source.len - skip}));
}

static bool is_one_of(struct str type, const char *list)
{
    char word[40];
    int len = snprintf(word, sizeof word, "|%.*s|", STR_ARG(type));
    return len > 0 && len < (int) sizeof word && strstr(list, word) != NULL;
}

/* N of "name(N)" or "name(N,M)"; -1 when the type is not that one, 0 when it has no length. */
static long length_of(struct str type, const char *name)
{
    char text[64];
    size_t len = strlen(name);
    if (type.len >= sizeof text)
        return -1;
    memcpy(text, type.p, type.len);
    text[type.len] = 0;
    if (strncmp(text, name, len) != 0 || (text[len] && text[len] != '('))
        return -1;
    return text[len] ? strtol(text + len + 1, NULL, 10) : 0;
}

/* Every value of the one type is one of the other, with the same text. */
static bool widens(struct str from, struct str to)
{
    long a = length_of(from, "character varying"), b = length_of(to, "character varying");
    if (str_is(from, "smallint"))
        return is_one_of(to, "|integer|bigint|numeric|");
    if (str_is(from, "integer"))
        return is_one_of(to, "|bigint|numeric|");
    if (str_is(from, "bigint"))
        return str_is(to, "numeric");
    if (length_of(from, "numeric") > 0)
        return str_is(to, "numeric");
    return a >= 0 && (str_is(to, "text") || b == 0 || (a > 0 && b > a));
}

static void plan_type(struct follow *f, const struct column *col, struct have *have)
{
    tell_column(f, widens(have->type, col->type_sql), col->name);
    buf_addf(&f->what, "has now type %.*s", STR_ARG(col->type_sql));
    begin_statement(f);
    buf_add_text(&f->sql, " ALTER COLUMN ");
    pg_add_ident(&f->sql, col->name);
    buf_addf(&f->sql, " TYPE %.*s USING ", STR_ARG(col->type_sql));
    pg_add_ident(&f->sql, col->name);
    buf_addf(&f->sql, "::%.*s", STR_ARG(col->type_sql));
    end_statement(f);
}

/* Still there on the source, but not sent: it stays, and may not be asked for. */
static void plan_unsent(struct follow *f, const json_t *known)
{
    const struct have *have = have_of(f, known_text(known, 1));
    if (!have || !have->needed)
        return;
    tell_column(f, false, have->name);
    buf_add_text(&f->what, "is no longer sent");
    begin_statement(f);
    buf_add_text(&f->sql, " ALTER COLUMN ");
    pg_add_ident(&f->sql, have->name);
    buf_add_text(&f->sql, " DROP NOT NULL");
    end_statement(f);
}

/* Gone on the source: it goes here too, or may at least not be asked for. One whose name another column
 * has got is in the way. */
static void plan_gone(struct follow *f, const json_t *known)
{
    struct str name = known_text(known, 1);
    struct have *have = have_of(f, name);
    int now = relation_find(f->t->rel, name);
    bool in_the_way = now >= 0 && !known_of(f, f->number[now]);
    bool drop = f->s->env.target->ddl == DDL_APPLY || in_the_way;
    if (!have || (!drop && !have->needed))
        return;
    tell_column(f, false, name);
    buf_add_text(&f->what, "is gone");
    begin_statement(f);
    buf_add_text(&f->sql, drop ? " DROP COLUMN " : " ALTER COLUMN ");
    pg_add_ident(&f->sql, name);
    buf_add_text(&f->sql, drop ? "" : " DROP NOT NULL");
    end_statement(f);
    have->gone = drop;
}

/* The column of the target that bears the name which this one had; NULL when it needs no other. */
static struct have *to_rename(const struct follow *f, int at)
{
    const json_t *known = known_of(f, f->number[at]);
    struct str was = known ? known_text(known, 1) : STR_NONE;
    return known && !str_eq(was, f->t->rel->columns[at].name) ? have_of(f, was) : NULL;
}

/* Names may pass from one column to another, also in a ring: each gets one that nobody has, then its own. */
static void plan_renames(struct follow *f)
{
    int count = f->t->rel->column_count;
    struct have **from = arena_zalloc(&f->a, (size_t) count + 1, sizeof *from);
    for (int at = 0; at < count; at++)
        from[at] = to_rename(f, at);
    for (int at = 0; at < count; at++) {
        if (!from[at])
            continue;
        tell_column(f, false, from[at]->name);
        buf_addf(&f->what, "is now %.*s", STR_ARG(f->t->rel->columns[at].name));
        if (have_of(f, f->t->rel->columns[at].name))
            plan_rename(f, from[at], arena_printf(&f->a, "tailrace_renamed_%d", f->number[at]));
    }
    for (int at = 0; at < count; at++)
        if (from[at])
            plan_rename(f, from[at], f->t->rel->columns[at].name);
}

static void plan_column(struct follow *f, int at)
{
    const struct column *col = &f->t->rel->columns[at];
    struct have *have = have_of(f, col->name);
    const json_t *known = known_of(f, f->number[at]);
    if (!have)
        plan_add(f, col, (f->known && f->number[at]) || !has_stranger(f));
    else if (known && !str_eq(known_text(known, 2), col->type_sql) && same_type(have->type, known_text(known, 2)))
        plan_type(f, col, have);
}

/* Those that were there and did not come. Only when all that came have their number is another one gone; and events
 * in strict, which have no OID, do not tell what they leave out. */
static void plan_missing(struct follow *f)
{
    bool all = f->t->rel->oid;
    for (int at = 0; at < f->t->rel->column_count; at++)
        all = all && f->number[at];
    for (size_t at = 0; at < json_array_size(f->known); at++) {
        const json_t *known = json_array_get(f->known, at);
        if (!known_number(known) || column_of(f, known_number(known)) >= 0)
            continue;
        if (is_left_out(f, known))
            plan_unsent(f, known);
        else if (all)
            plan_gone(f, known);
    }
}

static void plan(struct follow *f)
{
    int count = f->t->rel->column_count;
    number_columns(f);
    plan_missing(f);
    plan_renames(f);
    for (int at = 0; at < count; at++)
        if (!f->t->rel->columns[at].generated)
            plan_column(f, at);
}

/* ---- doing ---- */

static bool allowed(const struct follow *f)
{
    const struct config_target *target = f->s->env.target;
    return target->ddl == DDL_APPLY || (f->adds_only && target->create);
}

/* The statements as one line, for people. */
static struct str in_one_line(struct follow *f)
{
    for (size_t at = 0; at < f->sql.len; at++)
        if (!f->sql.p[at])
            f->sql.p[at] = ';';
    return buf_str(&f->sql);
}

static int refuse(struct follow *f, struct err *e)
{
    (void) err_set(e, E_TARGET_TABLE, "table %.*s was altered on the source: %.*s", STR_ARG(f->t->label),
                   STR_ARG(buf_str(&f->what)));
    return err_hint(e, "on the target: %.*s it then goes on by itself", STR_ARG(in_one_line(f)));
}

/* The server forgets the value that a default gave to older rows when the table is written anew. */
static void tell_unsure(const struct follow *f)
{
    if (f->unsure.len)
        log_warn(f->s->env.env->log, f->s->part, "column %.*s of %.*s is new and has a default, and what older rows hold of it is not known (the table "
                 "was written anew since, the default came later, or it differs from row to row): they have NULL here until "
                 "`tailrace snapshot %.*s` reads them again", STR_ARG(f->unsure), STR_ARG(f->t->label), STR_ARG(f->t->label));
}

static int carry_out(struct follow *f, struct err *e)
{
    const struct relation *rel = f->t->rel;
    for (int at = 0; at < rel->column_count; at++)
        if (!rel->columns[at].generated && pgs_need_type(f->s, rel, &rel->columns[at], e))
            return -1;
    int done = pipe_run(&f->s->pipe, "alter table", "SET LOCAL lock_timeout = '" LOCK_MS "'", e);
    for (size_t at = 0; !done && at < f->sql.len; at += strlen(f->sql.p + at) + 1)
        done = pipe_run(&f->s->pipe, "alter table", f->sql.p + at, e);
    if (done)
        (void) err_prefix(e, "follow the source's ALTER TABLE %.*s", STR_ARG(f->t->label));
    if (done && e->code == E_PG_RIGHT)
        return err_hint(e, "let its owner run: %.*s it then goes on by itself", STR_ARG(in_one_line(f)));
    if (!done)
        log_each(f->s->env.env->log, LOG_LEVEL_INFO, f->s->part, "altered table %.*s as on the source: %.*s",
                 STR_ARG(f->t->label), STR_ARG(in_one_line(f)));
    if (!done)
        tell_unsure(f);
    return done;
}

/* ---- enum labels ---- */

/* A label can be used only once its transaction has ended, so it is made by a session of its own. */
static int add_label(struct pgs *s, struct str type, const char *label, const char *after, struct err *e)
{
    struct buf sql = BUF_INIT;
    buf_addf(&sql, "ALTER TYPE %.*s ADD VALUE IF NOT EXISTS ", STR_ARG(type));
    pg_add_literal(&sql, str_of(label));
    if (after) {
        buf_add_text(&sql, " AFTER ");
        pg_add_literal(&sql, str_of(after));
    }
    PGconn *c = pg_connect(s->env.env, s->env.target->url, PG_SQL, s->env.route, e);
    int done = !c || pg_run(s->env.env, c, "alter type", "SET lock_timeout = '" LOCK_MS "'", e) ||
               pg_run(s->env.env, c, "alter type", sql.p, e) ? -1 : 0;
    if (!done)
        log_each(s->env.env->log, LOG_LEVEL_INFO, s->part, "altered type %.*s as on the source: label '%s' is new", STR_ARG(type), label);
    PQfinish(c);
    buf_free(&sql);
    return done;
}

static bool has_label(const json_t *labels, const char *label)
{
    for (size_t at = 0; at < json_array_size(labels); at++)
        if (strcmp(json_string_value(json_array_get(labels, at)), label) == 0)
            return true;
    return false;
}

static int follow_labels(struct pgs *s, struct str type, const struct column *col, struct err *e)
{
    char *name = mem_strndup(type);
    const char *values[] = {name, NULL};
    PGresult *res;
    int done = pipe_query(&s->pipe, "look at an enum of the target",
                          "SELECT pg_catalog.json_agg(enumlabel) FROM pg_catalog.pg_enum"
                          " WHERE enumtypid = pg_catalog.to_regtype($1)", values, &res, e);
    free(name);
    if (done)
        return -1;
    json_t *have = json_loads(PQgetvalue(res, 0, 0), 0, NULL), *want = NULL;
    PQclear(res);
    if (have) /* else it is no enum there */
        want = json_loadb(col->enum_labels.p, col->enum_labels.len, 0, NULL);
    for (size_t at = 0; !done && at < json_array_size(want); at++) {
        const char *label = json_string_value(json_array_get(want, at));
        const char *before = at ? json_string_value(json_array_get(want, at - 1)) : NULL;
        if (label && !has_label(have, label))
            done = add_label(s, type, label, before, e);
    }
    json_decref(have);
    json_decref(want);
    return done;
}

static int follow_enums(struct follow *f, struct err *e)
{
    for (int at = 0; at < f->t->rel->column_count; at++) {
        const struct column *col = &f->t->rel->columns[at];
        struct str type = col->type_sql;
        const struct have *have = have_of(f, col->name);
        if (col->kind != TYPE_ENUM || !col->enum_labels.len || !have || !same_type(have->type, type))
            continue;
        while (type.len > 2 && !memcmp(type.p + type.len - 2, "[]", 2))
            type.len -= 2;
        if (follow_labels(f->s, type, col, e))
            return -1;
    }
    return 0;
}

/* ---- what is remembered ---- */

static int load(struct follow *f, uint64_t *lsn, struct err *e)
{
    char *space = mem_strndup(pgs_space(f->s, f->t->rel)), *name = mem_strndup(f->t->rel->name);
    const char *values[] = {f->s->env.route, space, name, NULL};
    PGresult *res;
    int done = pipe_query(&f->s->pipe, "look what stands in a table",
                          "SELECT columns, lsn FROM tailrace.columns WHERE route = $1 AND table_schema = $2"
                          " AND table_name = $3", values, &res, e);
    free(space);
    free(name);
    if (done)
        return -1;
    *lsn = 0;
    if (PQntuples(res) > 0) {
        f->known = json_loads(PQgetvalue(res, 0, 0), 0, NULL);
        *lsn = pg_lsn(res, 0, 1);
    }
    PQclear(res);
    return 0;
}

static json_t *columns_now(const struct follow *f)
{
    json_t *all = json_array();
    for (int at = 0; at < f->t->rel->column_count; at++) {
        const struct column *col = &f->t->rel->columns[at];
        if (!col->generated)
            json_array_append_new(all, json_pack("[i,s%,s%]", f->number[at], col->name.p, col->name.len,
                                                 col->type_sql.p ? col->type_sql.p : "", col->type_sql.len));
    }
    return all;
}

static int save(struct follow *f, uint64_t lsn, struct err *e)
{
    json_t *now = columns_now(f);
    if (f->known && json_equal(f->known, now)) {
        json_decref(now);
        return 0;
    }
    char *space = mem_strndup(pgs_space(f->s, f->t->rel)), *name = mem_strndup(f->t->rel->name);
    char *text = json_dumps(now, JSON_COMPACT), at[LSN_TEXT_LEN];
    const char *values[] = {f->s->env.route, space, name, text, lsn_text(lsn, at), NULL};
    PGresult *res;
    int done = pipe_query(&f->s->pipe, "remember what stands in a table",
                          "INSERT INTO tailrace.columns VALUES ($1, $2, $3, $4::pg_catalog.jsonb,"
                          " $5::pg_catalog.pg_lsn, pg_catalog.clock_timestamp()) ON CONFLICT"
                          " (route, table_schema, table_name) DO UPDATE SET columns = EXCLUDED.columns,"
                          " lsn = EXCLUDED.lsn, updated_at = EXCLUDED.updated_at RETURNING lsn", values, &res, e);
    if (!done)
        PQclear(res);
    free(text);
    free(space);
    free(name);
    json_decref(now);
    return done;
}

int pgs_follow(struct pgs *s, const struct pgs_table *t, uint64_t lsn, const PGresult *columns, bool *altered,
               struct err *e)
{
    struct follow f = {.s = s, .t = t, .adds_only = true};
    uint64_t known_lsn;
    arena_init(&f.a, 0, "columns of a table");
    f.left_out = t->rel->left_out.len ? json_loadb(t->rel->left_out.p, t->rel->left_out.len, 0, NULL) : NULL;
    take_columns(&f, columns);
    int done = load(&f, &known_lsn, e);
    *altered = false;
    if (!done && lsn >= known_lsn) {
        plan(&f);
        if (f.sql.len && !allowed(&f))
            done = refuse(&f, e);
        else if (f.sql.len)
            done = carry_out(&f, e);
        *altered = !done && f.sql.len;
        if (!done && (s->env.target->create || s->env.target->ddl == DDL_APPLY))
            done = follow_enums(&f, e);
        if (!done)
            done = save(&f, lsn, e);
    }
    json_decref(f.known);
    json_decref(f.left_out);
    arena_free(&f.a);
    buf_free(&f.sql);
    buf_free(&f.what);
    return done;
}

int pgs_follow_forget(struct pgs *s, const struct relation *rel, struct err *e)
{
    char *space = mem_strndup(pgs_space(s, rel)), *name = mem_strndup(rel->name);
    const char *values[] = {s->env.route, space, name, NULL};
    PGresult *res;
    int done = pipe_query(&s->pipe, "forget what stood in a table",
                          "DELETE FROM tailrace.columns WHERE route = $1 AND table_schema = $2"
                          " AND table_name = $3 RETURNING lsn", values, &res, e);
    free(space);
    free(name);
    if (!done)
        PQclear(res);
    return done;
}

int pgs_follow_key(struct pgs *s, const struct pgs_table *t, bool *altered, struct err *e)
{
    *altered = false;
    if (s->env.target->ddl != DDL_APPLY)
        return 0;
    char *space = mem_strndup(pgs_space(s, t->rel)), *name = mem_strndup(t->rel->name);
    const char *values[] = {space, name, NULL};
    PGresult *res;
    int done = pipe_query(&s->pipe, "look for the primary key",
                          "SELECT pg_catalog.quote_ident(k.conname) FROM pg_catalog.pg_constraint k"
                          " JOIN pg_catalog.pg_class c ON c.oid = k.conrelid"
                          " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
                          " WHERE n.nspname = $1 AND c.relname = $2 AND k.contype = 'p'", values, &res, e);
    free(space);
    free(name);
    if (done)
        return -1;
    struct buf sql = BUF_INIT;
    buf_addf(&sql, "ALTER TABLE %.*s ", STR_ARG(t->sql));
    if (PQntuples(res) > 0)
        buf_addf(&sql, "DROP CONSTRAINT %s, ", PQgetvalue(res, 0, 0));
    PQclear(res);
    buf_add_text(&sql, "ADD PRIMARY KEY (");
    for (int position = 1; position <= t->rel->key_count; position++)
        for (int at = 0; at < t->rel->column_count; at++)
            if (t->rel->columns[at].key_position == position) {
                buf_add_text(&sql, position > 1 ? ", " : "");
                pg_add_ident(&sql, t->rel->columns[at].name);
            }
    buf_add_char(&sql, ')');
    done = pipe_run(&s->pipe, "alter table", sql.p, e);
    if (done)
        (void) err_prefix(e, "follow the source's key of %.*s", STR_ARG(t->label));
    else
        log_each(s->env.env->log, LOG_LEVEL_INFO, s->part, "altered table %.*s as on the source: %s", STR_ARG(t->label), sql.p);
    *altered = !done;
    buf_free(&sql);
    return done;
}
