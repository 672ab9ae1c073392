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
    if (s->in.preparing && part->xid == s->in.preparing)
        return prepared_part(s, part, e);
    return spill_add(s->spill, part, e) ? give_up(s, e) : 0;
}

int streamed_abort(void *self, uint32_t xid, uint32_t subxid, struct err *e)
{
    struct source *s = self;
    return spill_abort(s->spill, xid, subxid, e) ? give_up(s, e) : 0;
}

int streamed_begin(struct source *s, struct spill *from, uint32_t xid, const struct str ends[2], struct err *e)
{
    struct release *r = &s->release;
    if (ends[1].len > sizeof r->commit)
        return err_set(e, E_INTERNAL, "end of a transaction has %zu bytes", ends[1].len);
    if (spill_read(from, xid, e))
        return -1;
    r->active = true;
    r->from = from;
    r->xid = xid;
    memcpy(r->commit, ends[1].p, ends[1].len);
    r->commit_len = ends[1].len;
    return stream_feed(s, ends[0], r->lsn, e);
}

int streamed_commit(void *self, uint32_t xid, struct str begin, struct str commit, struct err *e)
{
    struct source *s = self;
    metric_add(s->env->metrics, M_STREAMED_TXNS, 0, 1);
    return streamed_begin(s, s->spill, xid, (const struct str[]){begin, commit}, e) ? give_up(s, e) : 0;
}

static int end_release(struct source *s, struct err *e)
{
    struct release *r = &s->release;
    r->active = false;
    if (r->from == s->spill)
        spill_drop(r->from, r->xid);
    return stream_feed(s, (struct str){(const char *) r->commit, r->commit_len}, r->lsn, e);
}

/* Prepared transactions are nowhere else. */
static int unreadable(struct source *s, struct err *e)
{
    char why[sizeof e->msg];
    if (s->release.from == s->spill)
        return give_up(s, e);
    memcpy(why, e->msg, sizeof why);
    return err_set(e, E_CORRUPT, "%s", why);
}

int streamed_release(struct source *s, int max, struct err *e)
{
    struct spill_part part;
    int fed = 0;
    for (; s->release.active && fed < max; fed++) {
        int rc = spill_next(s->release.from, &part, e);
        if (rc < 0)
            return unreadable(s, e);
        if (rc > 0 ? stream_feed(s, part.payload, part.lsn, e) : end_release(s, e))
            return -1;
    }
    return fed;
}

void streamed_drop(struct source *s)
{
    s->release.active = false;
    spill_clear(s->spill);
    prepared_give_up(s);
}

void streamed_tell(const struct source *s)
{
    metric_set(s->env->metrics, M_SPILL_BYTES, 0, (int64_t) (spill_bytes(s->spill) + prepared_bytes(s->prepared)));
    metric_set(s->env->metrics, M_SPILL_TXNS, 0, spill_count(s->spill));
    metric_set(s->env->metrics, M_PREPARED_TXNS, 0, prepared_count(s->prepared));
}
