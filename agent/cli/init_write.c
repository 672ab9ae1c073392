/* SPDX-License-Identifier: Apache-2.0
 *
 * The file that tailrace init prints: what the server needs first, as comments, then every option
 * with its meaning, those with a default commented out.
 *
 * Names of tables come from the database and may hold anything: they stand in comments only, and
 * every line of a comment begins with #.
 */
#include <libpq-fe.h>
#include <unistd.h>

#include "agent/cli/config.h"
#include "agent/cli/init.h"
#include "agent/cli/load.h"
#include "agent/source/publication.h"

#define TABLES_SHOWN_MAX 100
#define OWN_ROLE "tailrace"

/* ---- names ---- */

const char *init_name(struct arena *a, const char *database)
{
    char name[LOAD_NAME_MAX + 1];
    size_t len = 0;
    for (const char *p = database; *p && len < LOAD_NAME_MAX; p++) {
        char c = *p >= 'A' && *p <= 'Z' ? (char) (*p - 'A' + 'a') : *p;
        bool letter = c >= 'a' && c <= 'z', digit = c >= '0' && c <= '9';
        if (letter || (len && digit))
            name[len++] = c;
        else if (len && name[len - 1] != '_')
            name[len++] = '_';
    }
    while (len && name[len - 1] == '_')
        len--;
    return len ? arena_str(a, (struct str){name, len}).p : "tailrace";
}

/* value in quotes of a keyword connection string */
static void add_conninfo(struct buf *out, const char *keyword, const char *value)
{
    buf_addf(out, "%s%s=", out->len ? " " : "", keyword);
    bool plain = *value && !value[strcspn(value, " '\\")];
    if (!plain)
        buf_add_char(out, '\'');
    for (; *value; value++) {
        if (*value == '\'' || *value == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, *value);
    }
    if (!plain)
        buf_add_char(out, '\'');
}

const char *init_dsn_shown(struct arena *a, const char *dsn, bool *had)
{
    struct buf out = BUF_INIT;
    PQconninfoOption *options = PQconninfoParse(dsn, NULL);
    *had = false;
    if (!options)
        return NULL;
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        bool set = o->val && *o->val;
        if (set && o->dispchar[0] == '*')
            *had = true;
        else if (set)
            add_conninfo(&out, o->keyword, o->val);
    }
    PQconninfoFree(options);
    const char *shown = *had ? arena_str(a, buf_str(&out)).p : arena_str(a, str_of(dsn)).p;
    buf_free(&out);
    return shown;
}

/* ---- comments ---- */

/* "# " in front of every line of text, and no other control character. */
static void comment(struct buf *out, const char *text)
{
    buf_add_text(out, *text && *text != '\n' ? "# " : "#");
    for (const char *p = text; *p; p++) {
        if (*p == '\n')
            buf_add_text(out, p[1] && p[1] != '\n' ? "\n# " : "\n#");
        else
            buf_add_char(out, (unsigned char) *p < ' ' || *p == 0x7f ? '?' : *p);
    }
    buf_add_char(out, '\n');
}

static void commentf(struct buf *out, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void commentf(struct buf *out, const char *fmt, ...)
{
    struct buf text = BUF_INIT;
    va_list args;
    va_start(args, fmt);
    buf_vaddf(&text, fmt, args);
    va_end(args);
    comment(out, text.len ? text.p : "");
    buf_free(&text);
}

/* A statement as comment: it is a person who runs it. */
static void sql(struct buf *out, struct buf *statement)
{
    commentf(out, "      %s;", statement->p);
    buf_reset(statement);
}

/* The role that the file is meant to run as: the one given, but not a superuser. */
static const char *role_of(const struct init_facts *f)
{
    return f->superuser ? OWN_ROLE : f->role;
}

static void write_server(const struct init_facts *f, struct buf *out)
{
    comment(out, "Server:");
    if (f->standby)
        comment(out, "  todo  this is a standby: give the connection string of the primary");
    if (strcmp(f->wal_level, "logical") == 0) {
        comment(out, "  ok    wal_level is logical");
    } else {
        commentf(out, "  todo  wal_level is %s; as a superuser, then restart the server:",
                 f->wal_level);
        comment(out, "      ALTER SYSTEM SET wal_level = logical;");
    }
    if (f->slots_max - f->slots_used >= 2) {
        commentf(out, "  ok    %lld of %lld replication slots are free",
                 (long long) (f->slots_max - f->slots_used), (long long) f->slots_max);
    } else {
        commentf(out, "  todo  %lld of %lld replication slots are used, two are needed; then restart:",
                 (long long) f->slots_used, (long long) f->slots_max);
        commentf(out, "      ALTER SYSTEM SET max_replication_slots = %lld;",
                 (long long) f->slots_used + 5);
    }
    if (f->senders_max - f->senders_used >= 2) {
        commentf(out, "  ok    %lld of %lld WAL senders are free",
                 (long long) (f->senders_max - f->senders_used), (long long) f->senders_max);
    } else {
        commentf(out, "  todo  %lld of %lld WAL senders are used, two are needed; then restart:",
                 (long long) f->senders_used, (long long) f->senders_max);
        commentf(out, "      ALTER SYSTEM SET max_wal_senders = %lld;",
                 (long long) f->senders_used + 5);
    }
    if (f->slot_wal_keep_mb < 0)
        comment(out, "  note  max_slot_wal_keep_size is -1: while tailrace is stopped, the slot keeps"
                     " all WAL\n        on the primary. A limit loses the slot instead of filling the"
                     " disk.");
    if (strcmp(f->encoding, "SQL_ASCII") == 0)
        comment(out, "  todo  the database is SQL_ASCII, whose bytes have no known meaning:"
                     " convert it to UTF8");
    comment(out, "");
}

static void add_role(struct buf *out, const struct init_facts *f)
{
    pg_add_ident(out, str_of(role_of(f)));
}

/* GRANT SELECT on the tables that the role cannot read, a statement a schema. */
static void write_grants(const struct init_facts *f, struct buf *out)
{
    struct buf s = BUF_INIT;
    for (int at = 0; at < f->table_count;) {
        struct str space = f->tables[at].space;
        int listed = 0, end = at;
        for (; end < f->table_count && str_eq(f->tables[end].space, space); end++) {
            if (f->readable[end] && !f->superuser)
                continue;
            buf_add_text(&s, listed++ ? ", " : "GRANT SELECT ON ");
            pg_add_table(&s, space, f->tables[end].name);
        }
        if (listed > TABLES_SHOWN_MAX) {
            buf_reset(&s);
            buf_add_text(&s, "GRANT SELECT ON ALL TABLES IN SCHEMA ");
            pg_add_ident(&s, space);
        }
        if (listed) {
            struct buf usage = BUF_INIT;
            buf_add_text(&usage, "GRANT USAGE ON SCHEMA ");
            pg_add_ident(&usage, space);
            buf_add_text(&usage, " TO ");
            add_role(&usage, f);
            sql(out, &usage);
            buf_free(&usage);
            buf_add_text(&s, " TO ");
            add_role(&s, f);
            sql(out, &s);
        }
        at = end;
    }
    buf_free(&s);
}

static void write_role_rights(const struct init_facts *f, struct buf *out)
{
    struct buf s = BUF_INIT;
    if (f->superuser) {
        buf_add_text(&s, "CREATE ROLE ");
        add_role(&s, f);
        buf_addf(&s, " LOGIN REPLICATION%s PASSWORD '...'", f->row_security ? " BYPASSRLS" : "");
        sql(out, &s);
        buf_add_text(&s, "GRANT CONNECT ON DATABASE ");
        pg_add_ident(&s, str_of(f->database));
        buf_add_text(&s, " TO ");
        add_role(&s, f);
        sql(out, &s);
    } else if (!f->replication || (f->row_security && !f->bypass_rls)) {
        buf_add_text(&s, "ALTER ROLE ");
        add_role(&s, f);
        buf_addf(&s, "%s%s", f->replication ? "" : " REPLICATION",
                 f->row_security && !f->bypass_rls ? " BYPASSRLS" : "");
        sql(out, &s);
    }
    write_grants(f, out);
    if (f->snapshot_function && (f->superuser || !f->snapshot_granted)) {
        buf_add_text(&s, "GRANT EXECUTE ON FUNCTION pg_catalog.pg_log_standby_snapshot() TO ");
        add_role(&s, f);
        sql(out, &s);
    }
    buf_free(&s);
}

static void write_role(const struct init_facts *f, struct buf *out)
{
    struct buf rights = BUF_INIT;
    write_role_rights(f, &rights);
    if (f->superuser)
        commentf(out, "Role: \"%s\" is a superuser. Better a role with these rights only, and its name "
                 "in\nthe connection string below:", f->role);
    else if (rights.len)
        commentf(out, "Role: \"%s\" lacks rights; as a superuser or the tables' owner:", f->role);
    else
        commentf(out, "Role: \"%s\" has the rights that are needed.", f->role);
    if (rights.len)
        buf_add_str(out, buf_str(&rights));
    commentf(out, "  note  in pg_hba.conf it needs a line for database \"%s\", and none for"
             " \"replication\":\n        that one would let it copy the whole cluster.", f->database);
    comment(out, "");
    buf_free(&rights);
}

/* ---- tables and publications ---- */

static void write_tables(const struct init_facts *f, struct buf *out)
{
    int hidden = f->table_count - TABLES_SHOWN_MAX;
    commentf(out, "Tables: %d", f->table_count);
    for (int at = 0; at < f->table_count && at < TABLES_SHOWN_MAX; at++) {
        const struct catalog_table *t = &f->tables[at];
        struct buf line = BUF_INIT;
        pg_add_table(&line, t->space, t->name);
        if (t->rows >= 0)
            buf_addf(&line, ", about %lld rows", (long long) t->rows);
        buf_addf(&line, "%s%s%s", t->has_key ? "" : ", no primary key",
                 t->partitioned ? ", partitioned" : "",
                 t->has_identity ? "" : ", no replica identity");
        commentf(out, "  %s", line.p);
        buf_free(&line);
    }
    if (hidden > 0)
        commentf(out, "  and %d more", hidden);
    comment(out, "");
}

/* Only inserts of a table without identity can be published. */
static void write_identities(const struct init_facts *f, struct buf *out)
{
    struct buf s = BUF_INIT;
    int lacking = 0;
    for (int at = 0; at < f->table_count; at++) {
        if (f->tables[at].has_identity)
            continue;
        if (!lacking++)
            comment(out, "Tables without replica identity: their updates and deletes are not seen "
                         "until they\nhave a primary key, or (every old row goes into the WAL then):");
        if (lacking <= TABLES_SHOWN_MAX) {
            buf_add_text(&s, "ALTER TABLE ");
            pg_add_table(&s, f->tables[at].space, f->tables[at].name);
            buf_add_text(&s, " REPLICA IDENTITY FULL");
            sql(out, &s);
        }
    }
    if (lacking > TABLES_SHOWN_MAX)
        commentf(out, "  and %d more", lacking - TABLES_SHOWN_MAX);
    if (lacking)
        comment(out, "");
    buf_free(&s);
}

/* Tables with identity go into NAME, the others into NAME_ins: publishing updates of a table
 * without identity would make the application's own updates fail. */
static void write_publication(const struct init_facts *f, const char *name, bool identity,
                              struct buf *out)
{
    struct buf s = BUF_INIT, options = BUF_INIT;
    int listed = 0;
    for (int at = 0; at < f->table_count; at++) {
        if (f->tables[at].has_identity != identity)
            continue;
        buf_add_text(&s, listed++ ? ", " : " FOR TABLE ");
        if (!f->tables[at].partitioned) /* tables that inherit from it are tables of their own */
            buf_add_text(&s, "ONLY ");
        pg_add_table(&s, f->tables[at].space, f->tables[at].name);
    }
    publication_add_options(&options, !identity, f->version_num);
    commentf(out, "      CREATE PUBLICATION %s%s%s\n          WITH %s", name, identity ? "" : "_ins",
             listed ? s.p : "", options.p);
    buf_free(&options);
    buf_free(&s);
}

static void write_publications(const struct init_facts *f, const char *name, struct arena *a,
                               struct buf *out)
{
    const char *publication = arena_printf(a, "tailrace_%s", name).p;
    bool may = f->may_create && !f->superuser;
    for (int at = 0; at < f->table_count; at++)
        may &= f->tables[at].owned;
    if (f->publication_exists) {
        commentf(out, "Publication: %s exists; tailrace check tells whether it holds all tables.",
                 publication);
    } else if (may) {
        commentf(out, "Publication: tailrace creates %s itself; the role may.", publication);
    } else if (f->table_count) {
        comment(out, "Publications: the role must own the tables, and have CREATE on the database, to "
                     "make them\nitself. Otherwise their owner makes them, before tailrace runs:");
        write_publication(f, publication, true, out);
        write_publication(f, publication, false, out);
    }
}

/* ---- the YAML ---- */

/* Help of an option, wrapped, as comment at this indent. */
static void write_help(struct buf *out, const struct option *o, const char *indent)
{
    size_t column = 0;
    for (const char *p = o->help; *p;) {
        size_t len = strcspn(p, " ");
        if (column && column + 1 + len > 76) {
            buf_add_char(out, '\n');
            column = 0;
        }
        buf_addf(out, "%s%.*s", column ? " " : "", (int) len, p);
        if (!column)
            column = strlen(indent) + 2;
        column += len + 1;
        p += len;
        p += strspn(p, " ");
    }
    buf_add_char(out, '\n');
}

/* The lines of write_help, each behind indent and "# ". */
static void write_help_comment(struct buf *out, const struct option *o, const char *indent)
{
    struct buf text = BUF_INIT;
    write_help(&text, o, indent);
    for (struct str left = buf_str(&text); left.len;) {
        const char *end = memchr(left.p, '\n', left.len);
        size_t len = end ? (size_t) (end - left.p) : left.len;
        buf_addf(out, "%s# %.*s\n", indent, (int) len, left.p);
        left = end ? (struct str){end + 1, left.len - len - 1} : STR_NONE;
    }
    buf_free(&text);
}

struct given {
    const char *name, *value; /* value is YAML */
};

/* All options of a section: those given, and the others commented out with their defaults. */
static void write_section(struct buf *out, enum option_section section, const char *indent,
                          const struct given *given)
{
    for (int row = 0; row < OPTION_ROWS; row++) {
        const struct option *o = option_row(row);
        const struct given *g = given;
        if (o->section != section)
            continue;
        while (g->name && strcmp(g->name, o->name) != 0)
            g++;
        write_help_comment(out, o, indent);
        if (g->name)
            buf_addf(out, "%s%s: %s\n", indent, o->name, g->value);
        else if (o->default_value)
            buf_addf(out, "%s# %s: %s\n", indent, o->name,
                     *o->default_value ? o->default_value : "\"\"");
    }
}

static const struct given nothing[] = {{NULL, NULL}};

static void write_part(struct buf *out, enum option_section section)
{
    buf_addf(out, "\n%s:\n", option_section_path(section));
    write_section(out, section, "  ", nothing);
}

/* Patterns: one a schema, so that tables made later are taken too. */
static const char *patterns_of(const struct init_facts *f, struct arena *a)
{
    struct buf list = BUF_INIT, one = BUF_INIT;
    for (int at = 0; at < f->table_count; at++) {
        struct str space = f->tables[at].space;
        if (at && str_eq(space, f->tables[at - 1].space))
            continue;
        buf_reset(&one);
        /* What no pattern can name exactly, ? stands for: a dot, a star, a control character. */
        for (size_t byte = 0; byte < space.len; byte++) {
            bool odd = strchr(".*!", space.p[byte]) || (unsigned char) space.p[byte] < ' ';
            buf_add_char(&one, odd ? '?' : space.p[byte]);
        }
        buf_add_text(&one, ".*");
        buf_add_text(&list, list.len ? ", " : "[");
        config_add_scalar(&list, one.p);
    }
    buf_add_text(&list, list.len ? "]" : "[\"public.*\"]");
    const char *text = arena_str(a, buf_str(&list)).p;
    buf_free(&list);
    buf_free(&one);
    return text;
}

static const char *scalar_of(struct arena *a, const char *text)
{
    struct buf out = BUF_INIT;
    config_add_scalar(&out, text);
    const char *copy = arena_str(a, buf_str(&out)).p;
    buf_free(&out);
    return copy;
}

static void write_source(const struct init_facts *f, struct arena *a, struct buf *out)
{
    struct given given[] = {
        {"postgres", scalar_of(a, f->dsn)}, {"tables", patterns_of(f, a)}, {NULL, NULL}};
    buf_add_text(out, "\nsource:\n");
    if (f->had_password)
        buf_add_text(out,
                     "  # The password was left out. It may stand in ~/.pgpass, or the whole string in a\n"
                     "  # file of mode 0600 or a systemd credential:\n"
                     "  #   postgres: !secret {file: source.dsn}\n"
                     "  #   postgres: !secret source_dsn\n");
    write_section(out, SECTION_source, "  ", given);
}

static void write_targets(const struct init_facts *f, struct arena *a, struct buf *out)
{
    struct buf url = BUF_INIT;
    buf_add_text(&url, "host=TARGET_HOST user=tailrace sslmode=verify-full");
    add_conninfo(&url, "dbname", f->database);
    struct given given[] = {{"url", scalar_of(a, url.p)}, {"create", "true"}, {NULL, NULL}};
    buf_add_text(out, "\ntargets:\n  warehouse: # a name of your choice\n"
                      "    # Fill in the target; a password belongs into ~/.pgpass or !secret.\n");
    write_section(out, SECTION_target, "    ", given);
    buf_free(&url);
    buf_add_text(out, "\n# Which tables go where. Without it every target gets all tables.\n"
                      "# routes:\n#   - to: warehouse\n#     from: [\"*.*\"]\n");
}

void init_write(const struct init_facts *f, struct arena *a, struct buf *out)
{
    const char *name = init_name(a, f->database);
    struct given top[] = {
        {"name", name},
        {"state", geteuid() == 0 ? "/var/lib/tailrace" : "./tailrace-state"},
        {NULL, NULL},
    };
    buf_add_text(out, "# yaml-language-server: $schema=./tailrace.schema.json\n"
                      "# (made by: tailrace config schema > tailrace.schema.json)\n#\n");
    commentf(out, "Configuration of tailrace for database \"%s\" of PostgreSQL %s.", f->database,
             f->version);
    comment(out, "Next: do what is said here, fill in the target, then tailrace check, then tailrace "
                 "run.\n");
    write_server(f, out);
    write_role(f, out);
    write_tables(f, out);
    write_identities(f, out);
    write_publications(f, name, a, out);
    buf_add_char(out, '\n');
    write_section(out, SECTION_top, "", top);
    write_source(f, a, out);
    write_part(out, SECTION_events);
    buf_add_text(out, "\n# Columns that are not to leave the database as they are, and other columns as the record key.\n"
                      "# columns:\n#   - of: [\"public.*.ssn\"]\n#     do: drop # or mask, hash, truncate\n"
                      "# keys:\n#   - of: [public.orders]\n#     columns: [customer_id, number]\n");
    write_part(out, SECTION_registry);
    write_part(out, SECTION_kafka);
    write_part(out, SECTION_bus);
    write_targets(f, a, out);
    write_part(out, SECTION_http);
    write_part(out, SECTION_log);
}
