/* SPDX-License-Identifier: Apache-2.0
 *
 * Rule of the text: PostgreSQL documentation, pg_snapshot ("Transaction ID and Snapshot Information
 * Functions"). The stream tells xids of 32 bits, snapshots tell the whole number.
 */
#include "agent/source/view.h"

#define PAGE_BYTES 8192 /* of WAL, as servers are built */

static bool take_number(struct str *text, char until, uint64_t *out)
{
    const char *end = text->len ? memchr(text->p, until, text->len) : NULL;
    struct str number = {text->p, end ? (size_t) (end - text->p) : text->len};
    if (!str_to_u64(number, out))
        return false;
    size_t used = number.len + (end != NULL);
    text->p += used;
    text->len -= used;
    return true;
}

bool view_parse(struct str text, struct arena *a, struct view *out)
{
    if (!take_number(&text, ':', &out->xmin) || !take_number(&text, ':', &out->xmax))
        return false;
    out->open_count = 0;
    out->open = arena_zalloc(a, text.len / 2 + 1, sizeof *out->open);
    while (text.len)
        if (!take_number(&text, ',', &out->open[out->open_count++]))
            return false;
    return out->xmin <= out->xmax;
}

/* The whole xid of one that is within two thousand million of xmax. */
static uint64_t widen(const struct view *v, uint32_t xid)
{
    return v->xmax + (uint64_t) (int64_t) (int32_t) (xid - (uint32_t) v->xmax);
}

static bool is_open(const struct view *v, uint64_t xid)
{
    int low = 0, high = v->open_count;
    while (low < high) {
        int mid = low + (high - low) / 2;
        if (v->open[mid] < xid)
            low = mid + 1;
        else
            high = mid;
    }
    return low < v->open_count && v->open[low] == xid;
}

bool view_sees(const struct view *v, uint32_t xid, uint64_t commit_lsn)
{
    if (v->by_lsn)
        return commit_lsn < v->low_lsn;
    uint64_t whole = widen(v, xid);
    return whole < v->xmin || (whole < v->xmax && !is_open(v, whole));
}

bool view_behind(const struct view *v, uint64_t fence_xid, uint64_t fence_lsn)
{
    return v->by_lsn ? v->low_lsn >= fence_lsn : v->xmin >= fence_xid;
}

uint64_t view_record_end(uint64_t insert_lsn)
{
    uint64_t in_page = insert_lsn % PAGE_BYTES;
    return in_page == 24 || in_page == 40 ? insert_lsn - in_page : insert_lsn;
}
