/* SPDX-License-Identifier: Apache-2.0
 *
 * Key: schema, a NUL, table. Value: "OID LSN" as text.
 */
#include "agent/source/copies.h"

static void make_key(struct buf *out, struct str space, struct str name)
{
    buf_add_str(out, space);
    buf_add_char(out, 0);
    buf_add_str(out, name);
}

static bool take(struct str text, struct copy_fact *out)
{
    const char *blank = text.len ? memchr(text.p, ' ', text.len) : NULL;
    uint64_t oid;
    if (!blank || !str_to_u64((struct str){text.p, (size_t) (blank - text.p)}, &oid) ||
        oid > UINT32_MAX)
        return false;
    out->oid = (uint32_t) oid;
    return str_to_lsn((struct str){blank + 1, text.len - (size_t) (blank + 1 - text.p)}, &out->lsn);
}

int copies_get(struct store *store, struct str space, struct str name, struct copy_fact *out,
               struct err *e)
{
    struct buf key = BUF_INIT, value = BUF_INIT;
    make_key(&key, space, name);
    *out = (struct copy_fact){.found = false};
    int rc = store_get(store, STORE_COPIES, buf_str(&key), &value, &out->found, e);
    if (!rc && out->found && !take(buf_str(&value), out))
        rc = err_set(e, E_CORRUPT, "fact about the copy of %.*s.%.*s cannot be read",
                     STR_ARG(space), STR_ARG(name));
    buf_free(&key);
    buf_free(&value);
    return rc;
}

int copies_put(struct store *store, struct str space, struct str name, const struct copy_fact *fact,
               struct err *e)
{
    struct buf key = BUF_INIT, value = BUF_INIT;
    make_key(&key, space, name);
    buf_addf(&value, "%u %s", fact->oid, LSN_STR(fact->lsn));
    int rc = store_put_one(store, STORE_COPIES, buf_str(&key), buf_str(&value), e);
    buf_free(&key);
    buf_free(&value);
    return rc;
}

int copies_forget(struct store *store, struct str space, struct str name, struct err *e)
{
    struct buf key = BUF_INIT;
    struct store_txn *t;
    make_key(&key, space, name);
    int rc = store_begin(store, &t, e);
    if (!rc && store_delete(t, STORE_COPIES, buf_str(&key), e)) {
        store_abort(t);
        rc = -1;
    } else if (!rc) {
        rc = store_commit(t, e);
    }
    buf_free(&key);
    return rc;
}

int copies_each(struct store *store, void *self,
                int (*visit)(void *self, struct str space, struct str name, struct err *e),
                struct err *e)
{
    struct buf from = BUF_INIT, key = BUF_INIT, value = BUF_INIT;
    bool found = true;
    int rc = 0;
    buf_add_char(&from, 0); /* no schema has an empty name */
    while (!rc && found) {
        rc = store_seek(store, STORE_COPIES, buf_str(&from), false, &key, &value, &found, e);
        if (rc || !found)
            break;
        const char *nul = memchr(key.p, 0, key.len);
        if (!nul) {
            rc = err_set(e, E_CORRUPT, "name of a copied table cannot be read");
            break;
        }
        struct str space = {key.p, (size_t) (nul - key.p)};
        struct str name = {nul + 1, key.len - space.len - 1};
        rc = visit(self, space, name, e);
        buf_reset(&from);
        buf_add_str(&from, buf_str(&key));
        buf_add_char(&from, 0); /* the smallest key behind it */
        buf_reset(&key);
        buf_reset(&value);
    }
    buf_free(&from);
    buf_free(&key);
    buf_free(&value);
    return rc;
}
