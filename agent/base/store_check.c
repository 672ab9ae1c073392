/* SPDX-License-Identifier: Apache-2.0
 *
 * The data file walked before LMDB maps it.
 *
 * LMDB 0.9 keeps no checksum of its pages and follows their numbers on trust. So each open reads
 * the two meta pages and every page of every tree (not the values, which carry a checksum each),
 * and checks what LMDB itself keeps true: a page says its own number; offsets lie inside it; keys
 * ascend through the whole tree and fit the separators above; the counts in the tree's record are
 * right; each page is used once, by one tree or the list of free pages; the two meta pages are of
 * neighbouring transactions in their right places. Cost: about one page in 150 of a full bus.
 * The layout is that of LMDB's mdb.c (struct MDB_meta, MDB_db, MDB_page, MDB_node), data format 1.
 */
#include "agent/base/store_local.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/arena.h"

#define META_MAGIC 0xBEEFC0DEu
#define HEAD 16
#define DEPTH_MAX 32
#define NO_PAGE UINT64_MAX
#define PAGE_BRANCH 0x01
#define PAGE_LEAF 0x02
#define PAGE_OVERFLOW 0x04
#define PAGE_META 0x08
#define NODE_BIG 0x01
#define NODE_TREE 0x02
#define TREES_MAX 16
#define FREE_KEYS 0x08 /* MDB_INTEGERKEY */

/* struct MDB_db */
struct tree {
    uint32_t pad;
    uint16_t flags, depth;
    uint64_t branches, leaves, overflows, entries, root;
};

/* struct MDB_meta */
struct meta {
    uint32_t magic, version;
    uint64_t address, map_bytes;
    struct tree list, main;
    uint64_t last_page, txn;
};

struct walk {
    int fd;
    const char *dir;
    struct err *e;
    uint64_t page_bytes, next_page, file_bytes;
    uint8_t *used;               /* a bit a page */
    uint8_t *pages;              /* DEPTH_MAX pages: the path to where we are */
    struct tree trees[TREES_MAX]; /* found in the main tree */
    int tree_count;
};

/* One tree being walked. */
struct path {
    struct tree seen;    /* counted so far */
    bool is_list, is_main;
    int depth;           /* of the page in use, from 0 */
    unsigned next[DEPTH_MAX]; /* index of the node to look at next */
    char key[512];       /* the last key or separator passed */
    size_t key_len;
    bool any, equal_allowed;
};

static int bad(struct walk *w, uint64_t page, const char *why)
{
    return err_set(w->e, E_CORRUPT, "%s/data.mdb, page %" PRIu64 ": %s", w->dir, page, why);
}

static int read_at(struct walk *w, void *out, size_t len, uint64_t at)
{
    ssize_t got = pread(w->fd, out, len, (off_t) at);
    if (got == (ssize_t) len)
        return 0;
    if (got < 0)
        return err_set(w->e, E_SYSTEM, "reading %s/data.mdb: %s", w->dir, strerror(errno));
    return err_set(w->e, E_CORRUPT, "%s/data.mdb ends at %" PRIu64 " bytes, inside of what it says "
                   "it holds: truncated", w->dir, w->file_bytes);
}

/* Mark count pages from page on as used; each may be used once and must be in the file's range. */
static int use(struct walk *w, uint64_t page, uint64_t count)
{
    if (page < 2 || page >= w->next_page || count > w->next_page - page)
        return bad(w, page, "number out of range");
    for (uint64_t at = page; at < page + count; at++) {
        if (w->used[at / 8] & 1u << at % 8)
            return bad(w, at, "used twice");
        w->used[at / 8] = (uint8_t) (w->used[at / 8] | 1u << at % 8);
    }
    return 0;
}

/* ---- pages and nodes ---- */

static uint16_t u16_at(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t u64_at(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static unsigned node_count(const uint8_t *page)
{
    return (unsigned) (u16_at(page + 12) - HEAD) / 2;
}

/* struct MDB_node: two halves of a size, flags, key length, key, data. */
struct node {
    uint64_t child;    /* in a branch */
    uint32_t data_len; /* in a leaf */
    uint16_t flags;
    struct str key;
    const uint8_t *data;
};

static int node_at(struct walk *w, const uint8_t *page, unsigned index, struct node *out)
{
    uint64_t number = u64_at(page);
    unsigned at = u16_at(page + HEAD + 2 * index);
    if (at < u16_at(page + 14) || at + 8 > w->page_bytes)
        return bad(w, number, "a node lies outside of it");
    const uint8_t *p = page + at;
    uint16_t low = u16_at(p), high = u16_at(p + 2), key_len = u16_at(p + 6);
    out->flags = u16_at(p + 4);
    out->data_len = (uint32_t) low | (uint32_t) high << 16;
    out->child = (uint64_t) out->data_len | (uint64_t) out->flags << 32;
    uint64_t stored = u16_at(page + 10) & PAGE_BRANCH ? 0 : out->flags & NODE_BIG ? 8 : out->data_len;
    if (key_len > 511 || at + 8 + key_len + stored > w->page_bytes)
        return bad(w, number, "a node reaches out of it");
    out->key = (struct str){(const char *) p + 8, key_len};
    out->data = p + 8 + key_len;
    return 0;
}

static int read_page(struct walk *w, struct path *path, uint64_t number)
{
    if (path->depth >= DEPTH_MAX)
        return bad(w, number, "tree is too deep");
    uint8_t *page = w->pages + (uint64_t) path->depth * w->page_bytes;
    if (use(w, number, 1) != 0 || read_at(w, page, w->page_bytes, number * w->page_bytes) != 0)
        return -1;
    unsigned lower = u16_at(page + 12), upper = u16_at(page + 14), flags = u16_at(page + 10);
    if (u64_at(page) != number)
        return bad(w, number, "it says another number");
    if (flags != PAGE_BRANCH && flags != PAGE_LEAF)
        return bad(w, number, "it is neither branch nor leaf");
    if (lower < HEAD + 2 || lower % 2 != 0 || lower > upper || upper > w->page_bytes)
        return bad(w, number, "its bounds are wrong");
    if ((flags == PAGE_BRANCH) != (path->depth + 1 < path->seen.depth))
        return bad(w, number, "it lies at the wrong depth");
    path->next[path->depth] = 0;
    if (flags == PAGE_BRANCH)
        path->seen.branches++;
    else
        path->seen.leaves++;
    return 0;
}

static int key_order(const struct path *path, struct str key)
{
    if (!path->is_list)
        return str_cmp((struct str){path->key, path->key_len}, key);
    uint64_t a = u64_at((const uint8_t *) path->key), b = u64_at((const uint8_t *) key.p);
    return a < b ? -1 : a > b;
}

/* Keys and separators ascend in the order in which the tree is walked; the first key below a
 * separator may be equal to it. */
static int pass_key(struct walk *w, struct path *path, uint64_t page, struct str key, bool separator)
{
    if (path->is_list && key.len != 8)
        return bad(w, page, "key of a wrong length");
    int order = path->any ? key_order(path, key) : -1;
    if (order > 0 || (order == 0 && !path->equal_allowed))
        return bad(w, page, "keys are out of order");
    memcpy(path->key, key.p, key.len);
    path->key_len = key.len;
    path->any = true;
    path->equal_allowed = separator;
    return 0;
}

/* ---- what leaves hold ---- */

/* One entry of the list of free pages: a count, then numbers descending; unused places are 0. */
static int pass_free(struct walk *w, uint64_t page, const uint8_t *data, uint64_t len)
{
    uint64_t count = len >= 8 ? u64_at(data) : UINT64_MAX, last = NO_PAGE;
    if (len % 8 != 0 || count > len / 8 - 1)
        return bad(w, page, "list of free pages has a wrong count");
    for (uint64_t at = 1; at <= count; at++) {
        uint64_t free_page = u64_at(data + 8 * at);
        if (free_page == 0)
            continue;
        if (free_page >= last)
            return bad(w, page, "list of free pages is out of order");
        last = free_page;
        if (use(w, free_page, 1) != 0)
            return -1;
    }
    return 0;
}

static int pass_big(struct walk *w, struct path *path, uint64_t page, const struct node *node)
{
    uint64_t number = u64_at(node->data);
    uint64_t pages = (HEAD - 1 + (uint64_t) node->data_len) / w->page_bytes + 1;
    if (use(w, number, pages) != 0)
        return -1;
    path->seen.overflows += pages;
    if ((number + pages) * w->page_bytes > w->file_bytes)
        return read_at(w, w->pages, 1, w->file_bytes);
    if (!path->is_list)
        return 0;
    uint8_t *list = mem_alloc(pages * w->page_bytes);
    int rc = read_at(w, list, pages * w->page_bytes, number * w->page_bytes);
    if (rc == 0 && (u64_at(list) != number || u16_at(list + 10) != PAGE_OVERFLOW))
        rc = bad(w, number, "it should hold a list of free pages");
    if (rc == 0)
        rc = pass_free(w, page, list + HEAD, node->data_len);
    free(list);
    return rc;
}

static int pass_entry(struct walk *w, struct path *path, uint64_t page, const struct node *node)
{
    path->seen.entries++;
    if (pass_key(w, path, page, node->key, false) != 0)
        return -1;
    if (node->flags != (path->is_main ? NODE_TREE : 0) && (path->is_main || node->flags != NODE_BIG))
        return bad(w, page, "an entry has unknown flags");
    if (path->is_main) {
        if (node->data_len != sizeof(struct tree) || w->tree_count == TREES_MAX)
            return bad(w, page, "a table's record is malformed");
        memcpy(&w->trees[w->tree_count++], node->data, sizeof(struct tree));
        return 0;
    }
    if (node->flags == NODE_BIG)
        return pass_big(w, path, page, node);
    return path->is_list ? pass_free(w, page, node->data, node->data_len) : 0;
}

/* ---- trees ---- */

/* Look at the next node of the page in use: go down, take an entry, or go up at its end. */
static int step(struct walk *w, struct path *path)
{
    const uint8_t *page = w->pages + (uint64_t) path->depth * w->page_bytes;
    unsigned index = path->next[path->depth]++;
    struct node node = {0};
    if (index >= node_count(page)) {
        path->depth--;
        return 0;
    }
    if (node_at(w, page, index, &node) != 0)
        return -1;
    if (u16_at(page + 10) == PAGE_LEAF)
        return pass_entry(w, path, u64_at(page), &node);
    /* The first separator of a branch is not used by LMDB and may be empty. */
    if (index > 0 && pass_key(w, path, u64_at(page), node.key, true) != 0)
        return -1;
    path->depth++;
    return read_page(w, path, node.child);
}

static int walk_tree(struct walk *w, const struct tree *t, bool is_list, bool is_main)
{
    struct path *path = mem_zalloc(1, sizeof *path);
    path->is_list = is_list;
    path->is_main = is_main;
    path->seen = (struct tree){.pad = t->pad, .flags = t->flags, .depth = t->depth, .root = t->root};
    int rc = 0;
    if (t->flags != (is_list ? FREE_KEYS : 0) || (t->root == NO_PAGE) != (t->depth == 0))
        rc = bad(w, t->root, "a table's record is malformed");
    if (rc == 0 && t->root != NO_PAGE) {
        rc = read_page(w, path, t->root);
        /* Bounded: each page is entered once, see use(), and holds finitely many nodes. */
        while (rc == 0 && path->depth >= 0)
            rc = step(w, path);
    }
    if (rc == 0 && memcmp(&path->seen, t, sizeof *t) != 0)
        rc = bad(w, t->root, "the table below holds another number of entries than it says");
    free(path);
    return rc;
}

/* ---- meta pages ---- */

static int read_meta(struct walk *w, unsigned index, struct meta *out)
{
    uint8_t page[HEAD + sizeof *out];
    if (read_at(w, page, sizeof page, index * w->page_bytes) != 0)
        return -1;
    memcpy(out, page + HEAD, sizeof *out);
    if (u64_at(page) != index || u16_at(page + 10) != PAGE_META || out->magic != META_MAGIC)
        return bad(w, index, "it is no meta page");
    uint64_t size = out->list.pad;
    if (out->version != 1 || size < 512 || size > 32768 || (size & (size - 1)) != 0)
        return bad(w, index, "its format is not known");
    if (out->address != 0 || out->main.pad != 0)
        return bad(w, index, "its fields are wrong");
    return 0;
}

static int read_metas(struct walk *w, struct meta *newest)
{
    struct meta meta[2];
    w->page_bytes = 0;
    if (read_meta(w, 0, &meta[0]) != 0)
        return -1;
    w->page_bytes = meta[0].list.pad;
    if (read_meta(w, 1, &meta[1]) != 0)
        return -1;
    if (meta[1].list.pad != meta[0].list.pad)
        return bad(w, 1, "its page size is not that of page 0");
    const struct meta *new = &meta[meta[1].txn > meta[0].txn], *old = &meta[new == &meta[0]];
    /* Transactions take turns; only the first two, in a new file, have the same number. */
    bool turns = new->txn == old->txn + 1 && meta[0].txn % 2 == 0;
    if (!turns && !(new->txn == 0 && old->txn == 0))
        return bad(w, new == &meta[1], "its transaction does not follow that of its neighbour");
    if (new->last_page > w->file_bytes / w->page_bytes + (UINT64_C(1) << 28))
        return bad(w, new == &meta[1], "its last page is out of range");
    *newest = *new;
    return 0;
}

static int walk_file(struct walk *w, uint64_t *txn)
{
    struct meta meta;
    if (read_metas(w, &meta) != 0)
        return -1;
    *txn = meta.txn;
    w->next_page = meta.last_page + 1;
    w->used = mem_zalloc(w->next_page / 8 + 1, 1);
    w->pages = mem_alloc(DEPTH_MAX * w->page_bytes);
    /* The list's record keeps the page size in a field that other trees have at 0. */
    int rc = walk_tree(w, &meta.list, true, false);
    if (rc == 0)
        rc = walk_tree(w, &meta.main, false, true);
    for (int at = 0; rc == 0 && at < w->tree_count; at++)
        rc = walk_tree(w, &w->trees[at], false, false);
    free(w->used);
    free(w->pages);
    return rc;
}

int store_check_file(const char *dir, bool *empty, uint64_t *txn, struct err *e)
{
    char path[PATH_MAX];
    struct stat st;
    struct walk w = {.dir = dir, .e = e};
    snprintf(path, sizeof path, "%s/data.mdb", dir);
    w.fd = open(path, O_RDONLY | O_CLOEXEC);
    *empty = w.fd < 0 && errno == ENOENT;
    if (*empty)
        return 0;
    if (w.fd < 0)
        return err_set(e, E_STATE_DIR, "cannot open %s: %s", path, strerror(errno));
    int rc = fstat(w.fd, &st) == 0 ? 0 : err_set(e, E_SYSTEM, "%s: %s", path, strerror(errno));
    w.file_bytes = rc == 0 ? (uint64_t) st.st_size : 0;
    *empty = rc == 0 && st.st_size == 0;
    if (rc == 0 && !*empty)
        rc = walk_file(&w, txn);
    close(w.fd);
    return rc;
}
