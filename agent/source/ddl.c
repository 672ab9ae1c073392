/* SPDX-License-Identifier: Apache-2.0
 *
 * Forms of tables as an event trigger on the source told them (see ddl_script.c), so that defaults, NOT NULL and keys are
 * known as they were when a row was written, not as they are when it is read.
 *
 * A message tells one table after one command: "v1 NAME MAC JSON", where JSON holds the rows that catalog.c would have read
 * then. What was told is stored under (OID, commit LSN, number in its transaction); a RELATION takes the last one
 * before it, so that the same stream finds the same forms also after a restart. What lies before the newest that is durable goes.
 *
 * Any role may send a message with our prefix. MAC is SHA-256 of key, SHA-256 of key and JSON; the key is in a table that only we may
 * read, and JSON names its transaction, so that a message that was seen cannot be sent again.
 */
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "agent/source/inner.h"

#define KEY_BYTES 32
#define MAC_LEN 64
#define STORED_KEY_LEN 16
#define PENDING_MAX_BYTES ((size_t) 4 << 20)
#define ASK_AGAIN_US 10000000 /* the key is read again at most so often */

struct told {
    struct told *next;
    uint8_t key[STORED_KEY_LEN];
    size_t len;
    char json[];
};

struct ddl {
    bool has_key;
    uint8_t key[KEY_BYTES];
    int64_t asked_us;   /* mono: when the key was last read; 0 = not yet */
    struct told *first, **last;
    size_t bytes;
};

struct ddl *ddl_open(void)
{
    struct ddl *d = mem_zalloc(1, sizeof *d);
    d->last = &d->first;
    return d;
}

void ddl_drop(struct ddl *d)
{
    while (d->first) {
        struct told *next = d->first->next;
        free(d->first);
        d->first = next;
    }
    d->last = &d->first;
    d->bytes = 0;
}

void ddl_close(struct ddl *d)
{
    if (!d)
        return;
    ddl_drop(d);
    OPENSSL_cleanse(d->key, sizeof d->key);
    free(d);
}

/* ---- whose it is ---- */

/* The table of keys may not be there, or not be ours to read: then nothing is believed. */
static int read_key(struct source *s, struct err *e)
{
    struct ddl *d = s->ddl;
    const char *const values[] = {s->config->name};
    d->asked_us = clock_mono_us(s->env->clock);
    d->has_key = false;
    PGresult *res = pg_exec(s->env, s->sql, "look for captured DDL",
                            "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
                            " WHERE n.nspname = 'tailrace' AND c.relname = 'ddl' AND pg_catalog.has_table_privilege(c.oid, 'SELECT')"
                            " AND pg_catalog.has_schema_privilege(n.oid, 'USAGE'))", 10000, e);
    if (!res)
        return -1;
    bool there = pg_bool(res, 0, 0);
    PQclear(res);
    if (!there)
        return 0;
    res = pg_exec_params(s->env, s->sql, "read the key of captured DDL",
                         "SELECT pg_catalog.encode(key, 'hex') FROM tailrace.ddl WHERE name = $1", 1, values, 10000, e);
    if (!res)
        return -1;
    d->has_key = PQntuples(res) == 1 && str_to_bytes(pg_text(res, 0, 0), d->key, sizeof d->key);
    PQclear(res);
    return 0;
}

static bool digest(const uint8_t *key, const void *bytes, size_t len, uint8_t out[KEY_BYTES])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) && EVP_DigestUpdate(ctx, key, KEY_BYTES) &&
              EVP_DigestUpdate(ctx, bytes, len) && EVP_DigestFinal_ex(ctx, out, NULL);
    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool signed_by_us(const struct ddl *d, struct str mac, struct str json)
{
    uint8_t given[KEY_BYTES], inner[KEY_BYTES], right[KEY_BYTES];
    return d->has_key && str_to_bytes(mac, given, sizeof given) && digest(d->key, json.p, json.len, inner) &&
           digest(d->key, inner, sizeof inner, right) && CRYPTO_memcmp(given, right, sizeof right) == 0;
}

/* "v1 NAME MAC JSON" of our name; 1, or 0 for another installation's. */
static bool split(const struct source *s, struct str content, struct str *mac, struct str *json)
{
    size_t name = strlen(s->config->name), head = 3 + name + 1 + MAC_LEN + 1;
    if (content.len <= head || memcmp(content.p, "v1 ", 3) != 0 || memcmp(content.p + 3, s->config->name, name) != 0 ||
        content.p[3 + name] != ' ' || content.p[head - 1] != ' ')
        return false;
    *mac = (struct str){content.p + 3 + name + 1, MAC_LEN};
    *json = (struct str){content.p + head, content.len - head};
    return true;
}

/* A key that was made, or may be read, only lately is asked for. */
static int verify(struct source *s, struct str mac, struct str json, bool *ours, struct err *e)
{
    struct ddl *d = s->ddl;
    *ours = signed_by_us(d, mac, json);
    if (*ours || (d->asked_us && clock_mono_us(s->env->clock) - d->asked_us < ASK_AGAIN_US))
        return 0;
    if (read_key(s, e))
        return -1;
    *ours = signed_by_us(d, mac, json);
    return 0;
}

/* ---- taking ---- */

static void put_be(uint8_t *to, uint64_t value, int bytes)
{
    for (int at = bytes; at-- > 0; value >>= 8)
        to[at] = (uint8_t) value;
}

static void make_key(uint8_t key[STORED_KEY_LEN], uint32_t oid, uint64_t lsn, uint32_t number)
{
    put_be(key, oid, 4);
    put_be(key + 4, lsn, 8);
    put_be(key + 12, number, 4);
}

/* The smallest key behind it. */
static void next_key(uint8_t key[STORED_KEY_LEN])
{
    for (int at = STORED_KEY_LEN; at-- > 0 && ++key[at] == 0;)
        ;
}

static struct str key_str(const uint8_t key[STORED_KEY_LEN])
{
    return (struct str){(const char *) key, STORED_KEY_LEN};
}

static struct str cell(const json_t *rows, size_t row, size_t col)
{
    const json_t *value = json_array_get(json_array_get(rows, row), col);
    const char *text = json_string_value(value);
    return text ? (struct str){text, json_string_length(value)} : STR_NONE;
}

static int keep(struct source *s, uint32_t oid, struct str json, const struct txn *txn, struct err *e)
{
    struct ddl *d = s->ddl;
    struct told *t = mem_zalloc(1, sizeof *t + json.len + 1);
    make_key(t->key, oid, txn->commit_lsn, s->in.ddl_count);
    t->len = json.len;
    memcpy(t->json, json.p, json.len);
    *d->last = t;
    d->last = &t->next;
    d->bytes += sizeof *t + json.len;
    return d->bytes > PENDING_MAX_BYTES ? ddl_store(s, e) : 0;
}

/* A table that is gone leaves an empty text. */
static int take_table(struct source *s, const json_t *root, struct str json, const struct txn *txn, struct err *e)
{
    const json_t *columns = json_object_get(root, "columns");
    json_int_t oid = json_integer_value(json_object_get(root, "table"));
    const char *xid = json_string_value(json_object_get(root, "xid"));
    if (oid <= 0 || oid > UINT32_MAX || !xid || (uint32_t) strtoull(xid, NULL, 10) != txn->xid) {
        metric_add(s->env->metrics, M_SOURCE_FOREIGN_MESSAGES, 0, 1);
        return 0;
    }
    s->in.ddl_count++;
    if (s->driver->renew)
        s->driver->renew(s->decoder, (uint32_t) oid);
    if (s->in.skip)
        return 0;
    metric_add(s->env->metrics, M_SOURCE_DDL, 0, 1);
    if (!columns)
        return keep(s, (uint32_t) oid, STR(""), txn, e);
    if (!config_list_matches(s->tables, cell(columns, 0, 0), cell(columns, 0, 1)))
        return 0;
    return keep(s, (uint32_t) oid, json, txn, e);
}

int ddl_take(struct source *s, const struct change *change, const struct txn *txn, struct err *e)
{
    struct str mac, json;
    bool ours = false;
    if (!split(s, change->content, &mac, &json))
        return 0;
    if (change->transactional && verify(s, mac, json, &ours, e))
        return -1;
    json_t *root = ours ? json_loadb(json.p, json.len, JSON_ALLOW_NUL, NULL) : NULL;
    int rc = 0;
    if (root)
        rc = take_table(s, root, json, txn, e);
    else
        metric_add(s->env->metrics, M_SOURCE_FOREIGN_MESSAGES, 0, 1);
    json_decref(root);
    return rc;
}

/* ---- storing ---- */

/* Delete the entries of upto's table that lie before it. */
static int delete_before(struct source *s, struct store_txn *t, struct str upto, struct err *e)
{
    uint8_t bound[STORED_KEY_LEN] = {0};
    struct buf key = BUF_INIT;
    bool found = true;
    int rc = 0;
    memcpy(bound, upto.p, 4);
    while (!rc && found) {
        buf_reset(&key);
        rc = store_seek(s->parts.store, STORE_DDL, key_str(bound), false, &key, NULL, &found, e);
        if (rc || !found || key.len != STORED_KEY_LEN || memcmp(key.p, upto.p, STORED_KEY_LEN) >= 0)
            break;
        rc = store_delete(t, STORE_DDL, buf_str(&key), e);
        memcpy(bound, key.p, STORED_KEY_LEN);
        next_key(bound);
    }
    buf_free(&key);
    return rc;
}

/* What is older than the newest of its table that is durable will not be asked for again. */
static int prune(struct source *s, struct store_txn *t, const uint8_t of[STORED_KEY_LEN], struct err *e)
{
    uint8_t bound[STORED_KEY_LEN];
    struct buf newest = BUF_INIT;
    bool found = false;
    memcpy(bound, of, STORED_KEY_LEN);
    put_be(bound + 4, s->stream.durable_lsn, 8);
    put_be(bound + 12, 0, 4);
    int rc = store_seek(s->parts.store, STORE_DDL, key_str(bound), true, &newest, NULL, &found, e);
    if (!rc && found && newest.len == STORED_KEY_LEN && memcmp(newest.p, bound, 4) == 0)
        rc = delete_before(s, t, buf_str(&newest), e);
    buf_free(&newest);
    return rc;
}

int ddl_store(struct source *s, struct err *e)
{
    struct store_txn *t;
    int rc = 0;
    if (!s->ddl->first)
        return 0;
    if (store_begin(s->parts.store, &t, e))
        return -1;
    for (const struct told *told = s->ddl->first; told && !rc; told = told->next) {
        rc = prune(s, t, told->key, e);
        if (!rc)
            rc = store_put(t, STORE_DDL, key_str(told->key), (struct str){told->json, told->len}, e);
    }
    if (rc)
        store_abort(t);
    else
        rc = store_commit(t, e);
    if (!rc)
        ddl_drop(s->ddl);
    return rc;
}

/* Tables whose end is durable. */
static int sweep(struct source *s, struct store_txn *t, uint64_t durable_lsn, struct err *e)
{
    uint8_t bound[STORED_KEY_LEN] = {0}, durable[8];
    struct buf key = BUF_INIT, value = BUF_INIT;
    bool found = true;
    int rc = 0;
    put_be(durable, durable_lsn, 8);
    while (!rc && found) {
        buf_reset(&key);
        buf_reset(&value);
        rc = store_seek(s->parts.store, STORE_DDL, key_str(bound), false, &key, &value, &found, e);
        if (rc || !found || key.len != STORED_KEY_LEN)
            break;
        if (!value.len && memcmp(key.p + 4, durable, 8) < 0)
            rc = delete_before(s, t, buf_str(&key), e) || store_delete(t, STORE_DDL, buf_str(&key), e) ? -1 : 0;
        memcpy(bound, key.p, STORED_KEY_LEN);
        next_key(bound);
    }
    buf_free(&key);
    buf_free(&value);
    return rc;
}

int ddl_sweep(struct source *s, uint64_t durable_lsn, struct err *e)
{
    struct store_txn *t;
    if (store_begin(s->parts.store, &t, e))
        return -1;
    if (!sweep(s, t, durable_lsn, e))
        return store_commit(t, e);
    store_abort(t);
    return -1;
}

/* ---- using ---- */

static bool set_row(PGresult *res, int row, int fields, const json_t *rows)
{
    struct buf text = BUF_INIT;
    bool good = json_array_size(json_array_get(rows, (size_t) row)) == (size_t) fields;
    for (int col = 0; good && col < fields; col++) {
        struct str value = cell(rows, (size_t) row, (size_t) col);
        buf_reset(&text);
        buf_add_str(&text, value);
        buf_add_text(&text, ""); /* not NULL when it is empty */
        good = PQsetvalue(res, row, col, value.p ? text.p : NULL, value.p ? (int) value.len : -1);
    }
    buf_free(&text);
    return good;
}

/* Rows as libpq would have given them; NULL when the JSON holds others. */
static PGresult *rows_of(const json_t *rows, int fields)
{
    char name[] = "";
    PGresAttDesc attrs[CATALOG_COLUMNS_FIELDS] = {{.name = name}};
    for (int col = 0; col < fields; col++)
        attrs[col].name = name;
    PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    bool good = res && json_is_array(rows) && PQsetResultAttrs(res, fields, attrs);
    for (size_t row = 0; good && row < json_array_size(rows); row++)
        good = set_row(res, (int) row, fields, rows);
    if (good)
        return res;
    PQclear(res);
    return NULL;
}

static bool apply(struct str json, const struct relation *wire, struct arena *a, const struct relation **out)
{
    json_t *root = json_loadb(json.p, json.len, JSON_ALLOW_NUL, NULL);
    PGresult *columns = rows_of(json_object_get(root, "columns"), CATALOG_COLUMNS_FIELDS);
    PGresult *types = rows_of(json_object_get(root, "types"), CATALOG_TYPES_FIELDS);
    bool fits = columns && types && catalog_refine_told(columns, types, wire, a, out);
    PQclear(columns);
    PQclear(types);
    json_decref(root);
    return fits;
}

int ddl_refine(struct source *s, const struct relation *wire, struct arena *a, const struct relation **out,
               struct err *e)
{
    uint8_t bound[STORED_KEY_LEN];
    struct buf key = BUF_INIT, json = BUF_INIT;
    bool found = false, fits = false;
    if (!wire->oid || ddl_store(s, e))
        return wire->oid ? -1 : 0;
    make_key(bound, wire->oid, s->in.commit_lsn, s->in.ddl_count);
    int rc = store_seek(s->parts.store, STORE_DDL, key_str(bound), true, &key, &json, &found, e);
    found = found && key.len == STORED_KEY_LEN && memcmp(key.p, bound, 4) == 0;
    if (!rc && found && json.len)
        fits = apply(buf_str(&json), wire, a, out);
    buf_free(&key);
    buf_free(&json);
    return rc ? -1 : fits;
}
