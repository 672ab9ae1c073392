/* SPDX-License-Identifier: Apache-2.0
 *
 * A message is verified by writing it anew: there is no parser that could be misled.
 */
#include "agent/source/sign.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#define SIGNED_LEN (SENTINEL_LEN - 33)

/* False, with an empty MAC, when the library refuses: then nothing is sent or believed. */
static bool add_mac(const struct facts *f, char out[SENTINEL_LEN + 1])
{
    uint8_t mac[EVP_MAX_MD_SIZE] = {0};
    unsigned len = 0;
    bool ok = HMAC(EVP_sha256(), f->key, (int) sizeof f->key, (const uint8_t *) out, SIGNED_LEN,
                   mac, &len) && len >= 16;
    out[SIGNED_LEN] = ' ';
    for (size_t at = 0; at < 16; at++)
        snprintf(out + SIGNED_LEN + 1 + 2 * at, 3, "%02x", mac[at]);
    return ok;
}

void sentinel_write(const struct facts *f, uint64_t nonce, char out[SENTINEL_LEN + 1])
{
    snprintf(out, SENTINEL_LEN + 1, "v1 %.16s %016llx", f->instance, (unsigned long long) nonce);
    (void) add_mac(f, out);
}

bool sentinel_verify(const struct facts *f, struct str content)
{
    char right[SENTINEL_LEN + 1];
    if (content.len != SENTINEL_LEN || f->phase == PHASE_NONE)
        return false;
    memcpy(right, content.p, SENTINEL_LEN);
    right[SENTINEL_LEN] = 0;
    if (memcmp(right, "v1 ", 3) != 0 || memcmp(right + 3, f->instance, STATE_INSTANCE_LEN) != 0)
        return false;
    return add_mac(f, right) && CRYPTO_memcmp(right, content.p, SENTINEL_LEN) == 0;
}
