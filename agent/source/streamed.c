/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions that come before they are committed: kept on disk, fed at their commit.
 *
 * At the commit its parts go through the decoder as if the server sent them just then, a turn's part
 * at a time, and nothing is read from the server meanwhile: order is that of commits, as ever. A
 * connection that breaks leaves nothing: until the commit is confirmed the server sends everything
 * again. When the parts cannot be kept, the session ends and the next ones ask for whole
 * transactions, which the server keeps on its own disk: slower, and nothing is lost.
 */
#include "agent/source/inner.h"
#include "agent/source/spill.h"

#define WHOLE_US INT64_C(600000000) /* how long the server keeps them after we could not */

bool streamed_wanted(const struct source *s)
{
    return s->config->source.streaming && clock_mono_us(s->env->clock) >= s->whole_until_us;
}

/* What could not be kept is left to the server. */
static int give_up(struct source *s, const struct err *e)
{
    if (e->code == E_SPILL)
        s->whole_until_us = clock_mono_us(s->env->clock) + WHOLE_US;
    return -1;
}

int streamed_part(void *self, const struct decoder_part *part, struct err *e)
{
    struct source *s = self;
    return spill_add(s->spill, part, e) ? give_up(s, e) : 0;
}

int streamed_abort(void *self, uint32_t xid, uint32_t subxid, struct err *e)
{
    struct source *s = self;
    return spill_abort(s->spill, xid, subxid, e) ? give_up(s, e) : 0;
}

int streamed_commit(void *self, uint32_t xid, struct str begin, struct str commit, struct err *e)
{
    struct source *s = self;
    struct release *r = &s->release;
    if (commit.len > sizeof r->commit)
        return err_set(e, E_INTERNAL, "end of a transaction has %zu bytes", commit.len);
    if (spill_read(s->spill, xid, e))
        return give_up(s, e);
    r->active = true;
    r->xid = xid;
    memcpy(r->commit, commit.p, commit.len);
    r->commit_len = commit.len;
    metric_add(s->env->metrics, M_STREAMED_TXNS, 0, 1);
    return stream_feed(s, begin, r->lsn, e);
}

static int end_release(struct source *s, struct err *e)
{
    struct release *r = &s->release;
    r->active = false;
    spill_drop(s->spill, r->xid);
    return stream_feed(s, (struct str){(const char *) r->commit, r->commit_len}, r->lsn, e);
}

int streamed_release(struct source *s, int max, struct err *e)
{
    struct spill_part part;
    int fed = 0;
    for (; s->release.active && fed < max; fed++) {
        int rc = spill_next(s->spill, &part, e);
        if (rc < 0)
            return give_up(s, e);
        if (rc > 0 ? stream_feed(s, part.payload, part.lsn, e) : end_release(s, e))
            return -1;
    }
    return fed;
}

void streamed_drop(struct source *s)
{
    s->release.active = false;
    spill_clear(s->spill);
}

void streamed_tell(const struct source *s)
{
    metric_set(s->env->metrics, M_SPILL_BYTES, 0, (int64_t) spill_bytes(s->spill));
    metric_set(s->env->metrics, M_SPILL_TXNS, 0, spill_count(s->spill));
}
