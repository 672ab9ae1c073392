/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC32C: reflected polynomial 0x82F63B78, as in iSCSI (RFC 3720), ext4 and Kafka.
 *
 * The SSE4.2 instruction takes 8 bytes a step; without it a table takes 4 bits a step, which needs
 * 64 bytes of table and no start-up work. Which one runs is asked of the processor at each call:
 * the compiler's builtin reads a word that libgcc filled before main, so no state of ours is kept.
 */
#include "agent/base/store.h"

static uint32_t crc_portable(uint32_t crc, const uint8_t *p, size_t len)
{
    static const uint32_t nibble[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362,
        0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab,
        0xe330a81a, 0xf36e6f75,
    };
    for (size_t at = 0; at < len; at++) {
        crc ^= p[at];
        crc = crc >> 4 ^ nibble[crc & 15];
        crc = crc >> 4 ^ nibble[crc & 15];
    }
    return crc;
}

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t crc, const uint8_t *p, size_t len)
{
    uint64_t wide = crc;
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t) wide;
    for (; len > 0; p++, len--)
        crc = _mm_crc32_u8(crc, *p);
    return crc;
}

uint32_t crc32c(uint32_t crc, const void *bytes, size_t len)
{
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_sse42(~crc, bytes, len);
    return ~crc_portable(~crc, bytes, len);
}
#else
uint32_t crc32c(uint32_t crc, const void *bytes, size_t len)
{
    return ~crc_portable(~crc, bytes, len);
}
#endif

uint32_t crc32c_portable(uint32_t crc, const void *bytes, size_t len)
{
    return ~crc_portable(~crc, bytes, len);
}
