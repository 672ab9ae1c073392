/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a server left the timeline that we know.
 *
 * After a failover the new primary's WAL goes on from a point of the old one's. A position behind
 * that point is on a branch that the new primary never had, and the server does not object to it:
 * it would silently send nothing until its WAL has grown past it.
 */
#ifndef TR_SOURCE_TIMELINE_H
#define TR_SOURCE_TIMELINE_H

#include "agent/base/str.h"

/* The LSN at which the history (text of a .history file: "timeline TAB LSN TAB reason" a line, '#'
 * begins a comment) leaves timeline known; false when it never was on it. Any thread. */
bool timeline_left(struct str history, uint32_t known, uint64_t *lsn) MUST_CHECK;

#endif
