/* SPDX-License-Identifier: Apache-2.0
 *
 * The form of events and blocks. Numbers are little-endian: this is a file of one machine, and a
 * fixed width costs nothing once LZ4 has seen it.
 *
 * Event: length (4, all of it), kind (1), then for a row: flags (1), time (8), four lengths (4
 * each), topic, key, value, headers; for a mark: kind (1), flags (4), system (8), timeline (4),
 * lsn (8), seq (8), end (8), xid (4), commit (8), received (8), two lengths (4 each), topic,
 * origin.
 *
 * Block: "TRB1", version (1), codec (1: 0 as is, 1 LZ4), 2 of zero, epoch (4), count (4), first
 * (8), raw length (4), stored length (4), CRC32C (4) of the whole block with this field 0, body.
 */
#include <endian.h>
#include <inttypes.h>
#include <lz4.h>

#include "agent/bus/local.h"

#define ROW_HEAD ((size_t) 4 + 1 + 1 + 8 + 4 * 4)
#define MARK_HEAD ((size_t) 4 + 1 + 1 + 4 + 8 + 4 + 8 + 8 + 8 + 4 + 8 + 8 + 2 * 4)
#define ROW_TOMBSTONE 1u
#define BLOCK_HEAD ((size_t) 36)
#define BLOCK_CRC_AT ((size_t) 32)
#define BLOCK_VERSION 1
#define CODEC_NONE 0
#define CODEC_LZ4 1

/* ---- little-endian in and out ---- */

static char *out8(char *p, uint8_t v)
{
    *p = (char) v;
    return p + 1;
}

static char *out32(char *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static char *out64(char *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static char *out_str(char *p, struct str s)
{
    if (s.len)
        memcpy(p, s.p, s.len);
    return p + s.len;
}

static uint8_t in8(const char **p)
{
    return (uint8_t) *(*p)++;
}

static uint32_t in32(const char **p)
{
    uint32_t v;
    memcpy(&v, *p, sizeof v);
    *p += sizeof v;
    return le32toh(v);
}

static uint64_t in64(const char **p)
{
    uint64_t v;
    memcpy(&v, *p, sizeof v);
    *p += sizeof v;
    return le64toh(v);
}

/* The next len bytes before end; false when there are fewer. */
static bool in_str(const char **p, const char *end, uint32_t len, struct str *out)
{
    if (len > (size_t) (end - *p))
        return false;
    *out = (struct str){len ? *p : NULL, len};
    *p += len;
    return true;
}

/* ---- events ---- */

size_t local_event_len(const struct event *ev)
{
    if (ev->kind == EVENT_ROW)
        return ROW_HEAD + ev->topic.len + ev->key.len + ev->value.len + ev->headers.len;
    return MARK_HEAD + ev->mark.topic.len + ev->mark.origin.len;
}

static void write_row(char *p, const struct event *ev)
{
    p = out8(p, ev->tombstone ? ROW_TOMBSTONE : 0);
    p = out64(p, (uint64_t) ev->timestamp_us);
    p = out32(p, (uint32_t) ev->topic.len);
    p = out32(p, (uint32_t) ev->key.len);
    p = out32(p, (uint32_t) ev->value.len);
    p = out32(p, (uint32_t) ev->headers.len);
    p = out_str(p, ev->topic);
    p = out_str(p, ev->key);
    p = out_str(p, ev->value);
    (void) out_str(p, ev->headers);
}

static void write_mark(char *p, const struct mark *m)
{
    p = out8(p, (uint8_t) m->kind);
    p = out32(p, m->flags);
    p = out64(p, m->pos.system_id);
    p = out32(p, m->pos.timeline);
    p = out64(p, m->pos.lsn);
    p = out64(p, m->pos.seq);
    p = out64(p, m->end_lsn);
    p = out32(p, m->xid);
    p = out64(p, (uint64_t) m->commit_us);
    p = out64(p, (uint64_t) m->received_us);
    p = out32(p, (uint32_t) m->topic.len);
    p = out32(p, (uint32_t) m->origin.len);
    p = out_str(p, m->topic);
    (void) out_str(p, m->origin);
}

void local_event_write(char *out, const struct event *ev, size_t len)
{
    char *p = out32(out, (uint32_t) len);
    p = out8(p, (uint8_t) ev->kind);
    if (ev->kind == EVENT_ROW)
        write_row(p, ev);
    else
        write_mark(p, &ev->mark);
}

static bool read_row(const char *p, const char *end, struct event *out)
{
    out->tombstone = (in8(&p) & ROW_TOMBSTONE) != 0;
    out->timestamp_us = (int64_t) in64(&p);
    uint32_t topic = in32(&p), key = in32(&p), value = in32(&p), headers = in32(&p);
    return in_str(&p, end, topic, &out->topic) && in_str(&p, end, key, &out->key)
        && in_str(&p, end, value, &out->value) && in_str(&p, end, headers, &out->headers)
        && p == end;
}

static bool read_mark(const char *p, const char *end, struct mark *m)
{
    m->kind = (enum mark_kind) in8(&p);
    m->flags = in32(&p);
    m->pos.system_id = in64(&p);
    m->pos.timeline = in32(&p);
    m->pos.lsn = in64(&p);
    m->pos.seq = in64(&p);
    m->end_lsn = in64(&p);
    m->xid = in32(&p);
    m->commit_us = (int64_t) in64(&p);
    m->received_us = (int64_t) in64(&p);
    uint32_t topic = in32(&p), origin = in32(&p);
    return (m->kind == MARK_STREAM || m->kind == MARK_COPY) && in_str(&p, end, topic, &m->topic)
        && in_str(&p, end, origin, &m->origin) && p == end;
}

size_t local_event_skip(struct str bytes, size_t at)
{
    if (at > bytes.len || bytes.len - at < ROW_HEAD)
        return 0;
    const char *p = bytes.p + at;
    size_t len = in32(&p);
    uint8_t kind = in8(&p);
    size_t least = kind == EVENT_ROW ? ROW_HEAD : MARK_HEAD;
    bool known = kind == EVENT_ROW || kind == EVENT_BEGIN || kind == EVENT_COMMIT;
    return known && len >= least && len <= bytes.len - at ? len : 0;
}

bool local_event_read(struct str bytes, size_t *at, struct event *out)
{
    size_t len = local_event_skip(bytes, *at);
    if (len == 0)
        return false;
    const char *p = bytes.p + *at + 4, *end = bytes.p + *at + len;
    *at += len;
    *out = (struct event){.kind = (enum event_kind) in8(&p)};
    return out->kind == EVENT_ROW ? read_row(p, end, out) : read_mark(p, end, &out->mark);
}

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
    int bound = raw.len > LOCAL_EVENT_MAX ? 0 : LZ4_compressBound((int) raw.len);
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
        || *codec > CODEC_LZ4 || *raw_len > LOCAL_EVENT_MAX
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
    raw->max = LOCAL_EVENT_MAX;
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
