/* SPDX-License-Identifier: Apache-2.0
 *
 * The form of blocks: numbers are little-endian, as in events (coding.c).
 *
 * Block: "TRB1", version (1), codec (1: 0 as is, 1 LZ4), 2 of zero, epoch (4), count (4), first
 * (8), raw length (4), stored length (4), CRC32C (4) of the whole block with this field 0, body.
 */
#include <inttypes.h>
#include <lz4.h>

#include "agent/bus/little.h"
#include "agent/bus/local.h"

#define BLOCK_HEAD ((size_t) 36)
#define BLOCK_CRC_AT ((size_t) 32)
#define BLOCK_VERSION 1
#define CODEC_NONE 0
#define CODEC_LZ4 1

/* ---- blocks ---- */

static void write_head(char *p, const struct local_block *head, uint8_t codec, size_t raw, size_t stored)
{
    memcpy(p, "TRB1", 4);
    p = out8(p + 4, BLOCK_VERSION);
    p = out8(p, codec);
    p = out8(out8(p, 0), 0);
    p = out32(p, head->epoch);
    p = out32(p, head->count);
    p = out64(p, head->first);
    p = out32(p, (uint32_t) raw);
    p = out32(p, (uint32_t) stored);
    (void) out32(p, 0);
}

int local_block_write(struct buf *out, const struct local_block *head, struct str raw, struct err *e)
{
    size_t start = out->len;
    int bound = raw.len > BUS_EVENT_MAX ? 0 : LZ4_compressBound((int) raw.len);
    char *p = bound > 0 ? buf_grow(out, BLOCK_HEAD + (size_t) bound) : NULL;
    if (!p)
        return err_set(e, E_INTERNAL, "bus block at offset %" PRIu64 " of %zu bytes is too large",
                       head->first, raw.len);
    int packed = LZ4_compress_default(raw.p, p + BLOCK_HEAD, (int) raw.len, bound);
    bool smaller = packed > 0 && (size_t) packed < raw.len;
    size_t stored = smaller ? (size_t) packed : raw.len;
    if (!smaller)
        memcpy(p + BLOCK_HEAD, raw.p, raw.len);
    write_head(p, head, smaller ? CODEC_LZ4 : CODEC_NONE, raw.len, stored);
    (void) out32(p + BLOCK_CRC_AT, crc32c(0, p, BLOCK_HEAD + stored));
    out->len = start + BLOCK_HEAD + stored;
    return 0;
}

/* The block's checksum, its own field taken as 0. */
static uint32_t block_crc(struct str block)
{
    const char zero[4] = {0};
    uint32_t crc = crc32c(0, block.p, BLOCK_CRC_AT);
    crc = crc32c(crc, zero, sizeof zero);
    return crc32c(crc, block.p + BLOCK_HEAD, block.len - BLOCK_HEAD);
}

static int bad(uint64_t first, const char *why, struct err *e)
{
    return err_set(e, E_CORRUPT, "bus block at offset %" PRIu64 ": %s", first, why);
}

/* Take the head apart; codec and raw length go to the caller, the body is what follows. */
static int read_head(uint64_t first, struct str block, struct local_block *head, uint8_t *codec,
                     size_t *raw_len, struct err *e)
{
    if (block.len < BLOCK_HEAD || memcmp(block.p, "TRB1", 4) != 0)
        return bad(first, "it is no block", e);
    const char *p = block.p + 4;
    if (in8(&p) != BLOCK_VERSION)
        return bad(first, "its version is not known", e);
    *codec = in8(&p);
    p += 2;
    head->epoch = in32(&p);
    head->count = in32(&p);
    head->first = in64(&p);
    *raw_len = in32(&p);
    size_t stored = in32(&p);
    if (in32(&p) != block_crc(block))
        return bad(first, "checksum does not match", e);
    if (head->first != first || head->count == 0 || stored != block.len - BLOCK_HEAD
        || *codec > CODEC_LZ4 || *raw_len > BUS_EVENT_MAX
        || (*codec == CODEC_NONE && *raw_len != stored))
        return bad(first, "its head is wrong", e);
    return 0;
}

int local_block_head(uint64_t first, struct str block, struct local_block *head, struct err *e)
{
    uint8_t codec;
    size_t raw_len;
    return read_head(first, block, head, &codec, &raw_len, e);
}

int local_block_read(uint64_t first, struct str block, struct local_block *head, struct buf *raw,
                     struct err *e)
{
    uint8_t codec;
    size_t raw_len;
    if (read_head(first, block, head, &codec, &raw_len, e) != 0)
        return -1;
    struct str body = {block.p + BLOCK_HEAD, block.len - BLOCK_HEAD};
    buf_reset(raw);
    raw->max = BUS_EVENT_MAX;
    char *p = buf_grow(raw, raw_len);
    if (!p)
        return err_set(e, E_INTERNAL, "bus block at offset %" PRIu64 " does not fit in memory", first);
    if (codec == CODEC_NONE)
        memcpy(p, body.p, body.len);
    else if (LZ4_decompress_safe(body.p, p, (int) body.len, (int) raw_len) != (int) raw_len)
        return bad(first, "it cannot be unpacked", e);
    raw->len = raw_len;
    return 0;
}
