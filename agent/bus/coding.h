/* SPDX-License-Identifier: Apache-2.0
 *
 * Events as bytes, for drivers of the bus: in segments of memory, and in blocks on disk.
 */
#ifndef TR_BUS_CODING_H
#define TR_BUS_CODING_H

#include "schemas/event.h"

#define BUS_EVENT_MAX ((size_t) 0x7D000000) /* LZ4 takes 0x7E000000 */

/* Bytes that ev takes in encoded form. */
size_t bus_event_len(const struct event *ev);
/* Write it to out, which has len = bus_event_len(ev) bytes. */
void bus_event_write(char *out, const struct event *ev, size_t len);
/* The event at *at, which moves behind it; false when malformed. Borrows from bytes. */
bool bus_event_read(struct str bytes, size_t *at, struct event *out);
/* Length of the event at `at` by its own word; 0 when it does not fit into bytes. */
size_t bus_event_skip(struct str bytes, size_t at);

#endif
