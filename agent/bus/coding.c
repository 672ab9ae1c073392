/* SPDX-License-Identifier: Apache-2.0
 *
 * The form of an event in memory and in blocks. Numbers are little-endian: this is of one machine, and a
 * fixed width costs nothing once LZ4 has seen it.
 *
 * Length (4, all of it), kind (1), then for a row: flags (1), time (8), four lengths (4
 * each), topic, key, value, headers; for a mark: kind (1), flags (4), system (8), timeline (4),
 * lsn (8), seq (8), end (8), xid (4), commit (8), received (8), two lengths (4 each), topic,
 * origin.
 */
#include "agent/bus/coding.h"
#include "agent/bus/little.h"

#define ROW_HEAD ((size_t) 4 + 1 + 1 + 8 + 4 * 4)
#define MARK_HEAD ((size_t) 4 + 1 + 1 + 4 + 8 + 4 + 8 + 8 + 8 + 4 + 8 + 8 + 2 * 4)
#define ROW_TOMBSTONE 1u

/* ---- parts ---- */

static char *out_str(char *p, struct str s)
{
    if (s.len)
        memcpy(p, s.p, s.len);
    return p + s.len;
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

size_t bus_event_len(const struct event *ev)
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

void bus_event_write(char *out, const struct event *ev, size_t len)
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

size_t bus_event_skip(struct str bytes, size_t at)
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

bool bus_event_read(struct str bytes, size_t *at, struct event *out)
{
    size_t len = bus_event_skip(bytes, *at);
    if (len == 0)
        return false;
    const char *p = bytes.p + *at + 4, *end = bytes.p + *at + len;
    *at += len;
    *out = (struct event){.kind = (enum event_kind) in8(&p)};
    return out->kind == EVENT_ROW ? read_row(p, end, out) : read_mark(p, end, &out->mark);
}
