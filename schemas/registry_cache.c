/* SPDX-License-Identifier: Apache-2.0 */
#include "schemas/registry_cache.h"

#include <openssl/evp.h>

#include "agent/base/cursor.h"

#define HASH_LEN 16
#define ID_LEN 4

/* ---- keys ---- */

static struct str id_key(uint8_t out[1 + ID_LEN], int id)
{
    out[0] = 'i';
    put_be(out + 1, (uint64_t) id, ID_LEN);
    return (struct str){(const char *) out, 1 + ID_LEN};
}

static int text_key(struct buf *out, struct str subject, struct str text, struct err *e)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    if (EVP_Digest(text.p ? text.p : "", text.len, hash, NULL, EVP_sha256(), NULL) != 1)
        return err_set(e, E_INTERNAL, "cannot hash a schema");
    buf_reset(out);
    buf_add_char(out, 's');
    buf_add_str(out, subject);
    buf_add_char(out, 0);
    buf_add(out, hash, HASH_LEN);
    return 0;
}

static void number_key(struct buf *out, struct str subject)
{
    buf_reset(out);
    buf_add_char(out, 'v');
    buf_add_str(out, subject);
}

/* A number of four bytes; 0 when it is none. */
static int number_of(struct str bytes)
{
    struct cursor c = cursor_of(bytes);
    uint32_t number = cursor_u32(&c);
    return c.failed || c.left || number > INT32_MAX ? 0 : (int) number;
}

/* The id of an 'i' key; 0 when it is none. */
static int id_of(struct str key)
{
    return key.len == 1 + ID_LEN && key.p[0] == 'i' ? number_of((struct str){key.p + 1, ID_LEN}) : 0;
}

/* ---- reading ---- */

static int get_number(struct registry_cache *c, struct str key, int *number, struct err *e)
{
    struct buf value = BUF_INIT;
    bool found;
    int rc = store_get(c->store, STORE_REGISTRY, key, &value, &found, e);
    if (rc == 0 && found) {
        *number = number_of(buf_str(&value));
        if (*number == 0)
            rc = err_set(e, E_CORRUPT, "an entry of the registry's cache is malformed");
    }
    buf_free(&value);
    return rc;
}

int cache_id(struct registry_cache *c, struct str subject, struct str text, int *id, struct err *e)
{
    struct buf key = BUF_INIT;
    *id = 0;
    int rc = text_key(&key, subject, text, e);
    if (rc == 0)
        rc = get_number(c, buf_str(&key), id, e);
    buf_free(&key);
    return rc;
}

int cache_number(struct registry_cache *c, struct str subject, int *number, struct err *e)
{
    struct buf key = BUF_INIT;
    *number = 1;
    number_key(&key, subject);
    int rc = get_number(c, buf_str(&key), number, e);
    buf_free(&key);
    return rc;
}

int cache_text(struct registry_cache *c, int id, struct buf *out, bool *found, struct err *e)
{
    uint8_t key[1 + ID_LEN];
    buf_reset(out);
    return store_get(c->store, STORE_REGISTRY, id_key(key, id), out, found, e);
}

int cache_last(struct registry_cache *c, int *id, struct err *e)
{
    struct buf key = BUF_INIT;
    uint8_t from[1 + ID_LEN];
    bool found;
    int rc = store_seek(c->store, STORE_REGISTRY, id_key(from, INT32_MAX), true, &key, NULL, &found, e);
    *id = rc == 0 && found ? id_of(buf_str(&key)) : 0;
    buf_free(&key);
    return rc;
}

/* ---- walking ---- */

/* Entries of one kind in the order of their keys: 1 with key and value (NULL: not wanted), 0 behind the last. */
static int next_entry(struct registry_cache *c, char kind, struct buf *key, struct buf *value, struct err *e)
{
    struct buf from = BUF_INIT;
    bool found;
    if (key->len) {
        buf_add_str(&from, buf_str(key));
        buf_add_char(&from, 0);
    } else {
        buf_add_char(&from, kind);
    }
    int rc = store_seek(c->store, STORE_REGISTRY, buf_str(&from), false, key, value, &found, e);
    buf_free(&from);
    if (rc)
        return -1;
    return found && key->len && key->p[0] == kind;
}

int cache_open(struct registry_cache *c, struct store *store, struct err *e)
{
    struct buf key = BUF_INIT, value = BUF_INIT;
    int rc;
    *c = (struct registry_cache){.store = store, .text_max = CACHE_TEXT_BYTES, .ids_max = CACHE_IDS};
    while ((rc = next_entry(c, 'i', &key, &value, e)) == 1)
        c->text_bytes += value.len;
    buf_reset(&key);
    while (rc == 0 && (rc = next_entry(c, 's', &key, NULL, e)) == 1) {
        c->ids++;
        rc = 0;
    }
    buf_free(&key);
    buf_free(&value);
    return rc;
}

int cache_each(struct registry_cache *c, void *self,
               int (*visit)(void *self, struct str subject, int version, int id), struct err *e)
{
    struct buf key = BUF_INIT, value = BUF_INIT, last = BUF_INIT;
    int rc = 0, version = 0;
    while (rc == 0 && (rc = next_entry(c, 's', &key, &value, e)) == 1) {
        struct str subject = {key.p + 1, key.len > 2 + HASH_LEN ? key.len - 2 - HASH_LEN : 0};
        version = str_eq(subject, buf_str(&last)) ? version + 1 : 1;
        buf_reset(&last);
        buf_add_str(&last, subject);
        rc = visit(self, buf_str(&last), version, number_of(buf_str(&value)));
    }
    buf_free(&key);
    buf_free(&value);
    buf_free(&last);
    return rc;
}

/* ---- room ---- */

static int drop(struct registry_cache *c, const struct buf *key, struct err *e)
{
    struct store_txn *t;
    if (store_begin(c->store, &t, e))
        return -1;
    if (store_delete(t, STORE_REGISTRY, buf_str(key), e)) {
        store_abort(t);
        return -1;
    }
    return store_commit(t, e);
}

/* Take away the texts of the lowest ids until len more fit. */
static int make_text_room(struct registry_cache *c, size_t len, struct err *e)
{
    struct buf key = BUF_INIT, value = BUF_INIT;
    int rc = 1;
    while (rc == 1 && c->text_bytes + len > c->text_max) {
        buf_reset(&key);
        rc = next_entry(c, 'i', &key, &value, e);
        if (rc == 1 && drop(c, &key, e))
            rc = -1;
        if (rc == 1)
            c->text_bytes -= value.len < c->text_bytes ? value.len : c->text_bytes;
    }
    buf_free(&key);
    buf_free(&value);
    return rc < 0 ? -1 : 0;
}

/* The entry behind key goes, the first one when there is none: hashes make that any one. */
static int make_id_room(struct registry_cache *c, const struct buf *key, struct err *e)
{
    struct buf other = BUF_INIT;
    int rc = 0;
    if (c->ids < c->ids_max)
        return 0;
    buf_add_str(&other, buf_str(key));
    rc = next_entry(c, 's', &other, NULL, e);
    if (rc == 0) {
        buf_reset(&other);
        rc = next_entry(c, 's', &other, NULL, e);
    }
    if (rc == 1)
        rc = drop(c, &other, e);
    if (rc == 0)
        c->ids--;
    buf_free(&other);
    return rc;
}

/* ---- adding ---- */

/* What an entry puts, each with an empty key when it is there already. */
struct puts {
    struct buf text_key, id_key, number_key;
};

static int has(struct registry_cache *c, struct str key, bool *found, struct err *e)
{
    struct buf old = BUF_INIT;
    int rc = store_get(c->store, STORE_REGISTRY, key, &old, found, e);
    buf_free(&old);
    return rc;
}

static int plan_puts(struct registry_cache *c, const struct cache_entry *entry, struct puts *p, struct err *e)
{
    uint8_t key[1 + ID_LEN];
    bool found;
    if (has(c, id_key(key, entry->id), &found, e))
        return -1;
    if (!found && entry->text.len <= c->text_max) {
        buf_add_str(&p->text_key, id_key(key, entry->id));
        if (make_text_room(c, entry->text.len, e))
            return -1;
    }
    if (!entry->subject.len)
        return 0;
    if (entry->number > 1)
        number_key(&p->number_key, entry->subject);
    if (text_key(&p->id_key, entry->subject, entry->text, e) || has(c, buf_str(&p->id_key), &found, e))
        return -1;
    if (!found)
        return make_id_room(c, &p->id_key, e);
    buf_reset(&p->id_key);
    return 0;
}

static int put_number(struct store_txn *t, const struct buf *key, int number, struct err *e)
{
    uint8_t bytes[ID_LEN];
    put_be(bytes, (uint64_t) number, ID_LEN);
    return key->len ? store_put(t, STORE_REGISTRY, buf_str(key), (struct str){(const char *) bytes, ID_LEN}, e) : 0;
}

static int put_all(struct registry_cache *c, const struct cache_entry *entry, const struct puts *p, struct err *e)
{
    struct store_txn *t;
    if (store_begin(c->store, &t, e))
        return -1;
    if ((p->text_key.len && store_put(t, STORE_REGISTRY, buf_str(&p->text_key), entry->text, e))
        || put_number(t, &p->id_key, entry->id, e) || put_number(t, &p->number_key, entry->number, e)) {
        store_abort(t);
        return -1;
    }
    return store_commit(t, e);
}

int cache_add(struct registry_cache *c, const struct cache_entry *entry, struct err *e)
{
    struct puts p = {.text_key = BUF_INIT};
    int rc = plan_puts(c, entry, &p, e);
    if (rc == 0)
        rc = put_all(c, entry, &p, e);
    if (rc == 0) {
        c->text_bytes += p.text_key.len ? entry->text.len : 0;
        c->ids += p.id_key.len > 0;
    }
    buf_free(&p.text_key);
    buf_free(&p.id_key);
    buf_free(&p.number_key);
    return rc;
}
