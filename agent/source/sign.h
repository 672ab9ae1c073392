/* SPDX-License-Identifier: Apache-2.0
 *
 * Sentinels: logical messages that we alone can write.
 *
 * Any role that can log in may emit a message with our prefix, so a message counts only with our
 * signature: "v1 INSTANCE NONCE MAC" where MAC is the first 16 bytes, in hex, of HMAC-SHA256 over
 * what stands before it, with the key that the state holds.
 */
#ifndef TR_SOURCE_SIGN_H
#define TR_SOURCE_SIGN_H

#include "agent/source/state.h"

#define SENTINEL_PREFIX "tailrace"
#define SENTINEL_NONCE_LEN 16
/* "v1", instance, nonce and MAC in hex, three blanks */
#define SENTINEL_LEN (2 + 1 + STATE_INSTANCE_LEN + 1 + SENTINEL_NONCE_LEN + 1 + 32)

/* The text of a sentinel; nonce is any number that is not used twice. Any thread. */
void sentinel_write(const struct facts *f, uint64_t nonce, char out[SENTINEL_LEN + 1]);
/* Whether content is a sentinel of ours. Compares in constant time. Any thread. */
bool sentinel_verify(const struct facts *f, struct str content) MUST_CHECK;

#endif
