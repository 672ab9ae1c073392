/* SPDX-License-Identifier: Apache-2.0
 *
 * The state directory: one LMDB environment, one process.
 *
 * Keys and values are bytes; every value is kept with a CRC32C and a format version, and a read
 * that does not match is E_CORRUPT naming the table and key. Writes happen in a write transaction
 * that is durable when store_commit returns 0. LMDB's EIO on a full disk is told as E_DISK_FULL
 * (statvfs decides); a failed sync is E_SYNC and the caller must end the process. No read
 * transaction is held between calls (a held one keeps freed pages: reference "reader pinned").
 * Network file systems are refused. Thread-safe; write transactions are serialised by LMDB and
 * belong to the thread that began them.
 */
#ifndef TR_BASE_STORE_H
#define TR_BASE_STORE_H

#include "agent/base/err.h"

struct store;
struct store_txn;

enum store_table {
    STORE_META,     /* names of single facts */
    STORE_BLOCKS,   /* bus: first offset (8 bytes, big-endian) -> block */
    STORE_READERS,  /* bus: group -> offset and the reader's note */
    STORE_SCHEMAS,  /* registry: id (4, big-endian) -> text */
    STORE_SUBJECTS, /* registry: subject \0 version (4) -> id */
    STORE_PARKED,   /* hub: route \0 number (8) -> parked row */
    STORE_COPIES,   /* source: relation -> state of its copy */
    STORE_DDL,      /* source: OID (4, big-endian), commit LSN (8), number (4) -> form of a table as captured */
    STORE_REGISTRY, /* what a registry elsewhere told: see schemas/registry_cache.h */
    STORE_TABLES
};

/* Open or make dir (0700) and the environment; takes the directory's lock (E_STATE_LOCKED).
 * map_bytes is the address space, LMDB's hard limit. read_only opens an existing one without the
 * lock, for commands beside a running process. */
int store_open(const char *dir, uint64_t map_bytes, bool read_only, struct store **out, struct err *e) MUST_CHECK;
void store_close(struct store *s);

/* Bytes that live data occupies in the map (pages in use times page size). */
uint64_t store_used_bytes(struct store *s);
uint64_t store_map_bytes(struct store *s);

/* Let the map grow to at least bytes for as long as the store is open; it never shrinks. Waits for
 * transactions of other threads. Not within one of this thread. */
int store_reserve(struct store *s, uint64_t bytes, struct err *e) MUST_CHECK;

/* One value, copied into out; *found tells. */
int store_get(struct store *s, enum store_table t, struct str key, struct buf *out, bool *found, struct err *e) MUST_CHECK;

/* The first entry with a key >= from: key and value copied; *found false at the end. With last,
 * the last entry with a key <= from. A value of NULL asks for the key alone, unchecked. An empty
 * from is before all keys. */
int store_seek(struct store *s, enum store_table t, struct str from, bool last, struct buf *key, struct buf *value,
               bool *found, struct err *e) MUST_CHECK;

/* A write transaction of this thread; ends by store_commit or store_abort. Puts replace what was
 * there, and are seen by others once committed. */
int store_begin(struct store *s, struct store_txn **t, struct err *e) MUST_CHECK;
int store_put(struct store_txn *t, enum store_table table, struct str key, struct str value, struct err *e) MUST_CHECK;
/* Deleting what is not there is no error. */
int store_delete(struct store_txn *t, enum store_table table, struct str key, struct err *e) MUST_CHECK;
/* As store_get, within the write transaction. */
int store_txn_get(struct store_txn *t, enum store_table table, struct str key, struct buf *out, bool *found, struct err *e) MUST_CHECK;
/* Durable when it returns 0; otherwise nothing of it happened (or, for E_SYNC, nobody knows: end
 * the process). t is gone either way. */
int store_commit(struct store_txn *t, struct err *e) MUST_CHECK;
void store_abort(struct store_txn *t);

/* begin, put, commit in one. */
int store_put_one(struct store *s, enum store_table table, struct str key, struct str value, struct err *e) MUST_CHECK;

/* The name of the network file system that path is on; NULL when it is on none that is known, or
 * cannot be looked at. Nothing is opened. */
const char *store_network_fs(const char *path);

/* CRC32C (Castagnoli), hardware when there; crc is that of the bytes before, 0 at the start. Any
 * thread. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t len);
/* The same without special instructions: what crc32c falls back to, and its test's other opinion. */
uint32_t crc32c_portable(uint32_t crc, const void *bytes, size_t len);

#endif
