/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files of the store: what LMDB's file may hold, looked at before LMDB maps it.
 */
#ifndef TR_BASE_STORE_LOCAL_H
#define TR_BASE_STORE_LOCAL_H

#include "agent/base/store.h"

/* Walk the data file dir/data.mdb by reading it: meta pages, every branch and leaf page, the list
 * of free pages. LMDB trusts these bytes once they are mapped: a wrong page number there is a
 * crash, or data overwritten later. E_CORRUPT names the page; *txn is the last transaction's
 * number. *empty is true when there is nothing to walk: no file yet, or one without a byte. The
 * caller holds the directory's lock. */
int store_check_file(const char *dir, bool *empty, uint64_t *txn, struct err *e) MUST_CHECK;

/* Pages that a value of len bytes occupies on its own; 0 when it lies in a leaf. */
uint64_t store_value_pages(size_t len, size_t key_len, size_t page_bytes);

#endif
