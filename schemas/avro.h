/* SPDX-License-Identifier: Apache-2.0
 *
 * Avro's binary primitives: writers that append to a buf, and a bounded reader over a cursor.
 *
 * Written here instead of taken from avro-c because values go straight from a tuple to bytes with
 * no tree between, and because foreign bytes need caps that avro-c does not have. A read that does
 * not fit sets the cursor's failed flag, which stays set, and gives zero or an empty text.
 * Source: Avro specification 1.11, "Binary Encoding".
 */
#ifndef TR_SCHEMAS_AVRO_H
#define TR_SCHEMAS_AVRO_H

#include "agent/base/cursor.h"
#include "agent/base/str.h"

#define AVRO_LONG_MAX_LEN 10
#define AVRO_DEPTH_MAX 32           /* nested records, arrays and maps that a reader follows */
#define AVRO_WIRE_LEN 5             /* 0x00 and the schema id in front of every body */

/* int and long have one form: zig-zag, seven bits a byte. Returns the bytes written to out. */
size_t avro_long_bytes(int64_t value, uint8_t out[AVRO_LONG_MAX_LEN]);
void avro_put_long(struct buf *b, int64_t value);
void avro_put_bool(struct buf *b, bool value);
void avro_put_float(struct buf *b, float value);   /* any NaN is written as the quiet one Java has */
void avro_put_double(struct buf *b, double value);
/* string and bytes have one form: length, then the bytes. */
void avro_put_bytes(struct buf *b, struct str bytes);
/* Confluent's five bytes in front of a body. */
void avro_put_wire(struct buf *b, int schema_id);

/* An int or long; more than 64 bits is refused. */
int64_t avro_get_long(struct cursor *c);
/* A long that must fit 32 bits. */
int32_t avro_get_int(struct cursor *c);
/* A long from 0 to less than limit: a union's branch, an enum's symbol. */
int avro_get_index(struct cursor *c, int limit);
bool avro_get_bool(struct cursor *c);
float avro_get_float(struct cursor *c);
double avro_get_double(struct cursor *c);
/* Borrowed from what the cursor reads. */
struct str avro_get_bytes(struct cursor *c);
/* Items in the next block of an array or map, 0 at its end. A count above the bytes left is
 * refused: items without bytes would let a few bytes ask for any amount of work. */
int64_t avro_get_block(struct cursor *c);
/* The schema id of a body in wire form, which is passed over; 0 with failed set when there is none. */
int avro_get_wire(struct cursor *c);

#endif
