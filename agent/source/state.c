/* SPDX-License-Identifier: Apache-2.0
 *
 * A slot has no identity of its own that a client could remember. What tells it from a new one of
 * the same name is its position: a slot that was dropped and made again stands at the server's
 * WAL of that moment, which is ahead of anything that we made durable from the old one. The same
 * look catches a state directory that was restored from a backup, and an agent that ran on a copy
 * of it: in each case the WAL between our position and the slot's will not be sent again.
 */
#include "agent/source/state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define FACTS_KEY STR("source")

static const char *const phases[] = {"none", "creating", "copying", "ready"};

/* ---- facts ---- */

static void add_hex(struct buf *out, const uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at < len; at++)
        buf_addf(out, "%02x", bytes[at]);
}

static bool take_text(struct str text, char *out, size_t room)
{
    if (text.len >= room)
        return false;
    memcpy(out, text.p ? text.p : "", text.len);
    out[text.len] = 0;
    return true;
}

void facts_write(const struct facts *f, struct buf *out)
{
    buf_addf(out, "phase=%s\nsystem_id=%llu\ntimeline=%u\nslot=%s\nstart_lsn=%s\nins=%d\nkey=",
             phases[f->phase], (unsigned long long) f->system_id, f->timeline, f->slot,
             LSN_STR(f->start_lsn), f->inserts_publication);
    add_hex(out, f->key, sizeof f->key);
    buf_addf(out, "\ninstance=%s\n", f->instance);
}

static bool take_phase(struct str text, enum state_phase *out)
{
    for (size_t at = 0; at < sizeof phases / sizeof *phases; at++)
        if (str_is(text, phases[at])) {
            *out = (enum state_phase) at;
            return true;
        }
    return false;
}

/* Unknown names are of a newer version: passed over. */
static bool take_fact(struct facts *f, struct str name, struct str value)
{
    uint64_t number;
    if (str_is(name, "phase"))
        return take_phase(value, &f->phase);
    if (str_is(name, "system_id"))
        return str_to_u64(value, &f->system_id);
    if (str_is(name, "timeline")) {
        bool ok = str_to_u64(value, &number) && number <= UINT32_MAX;
        f->timeline = ok ? (uint32_t) number : 0;
        return ok;
    }
    if (str_is(name, "slot"))
        return take_text(value, f->slot, sizeof f->slot);
    if (str_is(name, "start_lsn"))
        return str_to_lsn(value, &f->start_lsn);
    if (str_is(name, "ins")) {
        f->inserts_publication = str_is(value, "1");
        return true;
    }
    if (str_is(name, "key"))
        return str_to_bytes(value, f->key, sizeof f->key);
    return !str_is(name, "instance") || take_text(value, f->instance, sizeof f->instance);
}

bool facts_read(struct str text, struct facts *f)
{
    *f = (struct facts){.phase = PHASE_NONE};
    while (text.len) {
        const char *nl = memchr(text.p, '\n', text.len);
        const char *eq = nl ? memchr(text.p, '=', (size_t) (nl - text.p)) : NULL;
        if (!eq)
            return false;
        struct str name = {text.p, (size_t) (eq - text.p)};
        struct str value = {eq + 1, (size_t) (nl - eq - 1)};
        if (!take_fact(f, name, value))
            return false;
        text = (struct str){nl + 1, text.len - (size_t) (nl + 1 - text.p)};
    }
    return f->phase != PHASE_NONE;
}

int facts_load(struct store *store, struct facts *out, struct err *e)
{
    struct buf text = BUF_INIT;
    bool found;
    int rc = store_get(store, STORE_META, FACTS_KEY, &text, &found, e);
    *out = (struct facts){.phase = PHASE_NONE};
    if (!rc && found && !facts_read(buf_str(&text), out))
        rc = err_set(e, E_CORRUPT, "facts about the source cannot be read from the state");
    buf_free(&text);
    return rc;
}

int facts_save(struct store *store, const struct facts *f, struct err *e)
{
    struct buf text = BUF_INIT;
    facts_write(f, &text);
    int rc = store_put_one(store, STORE_META, FACTS_KEY, buf_str(&text), e);
    explicit_bzero(text.p, text.len);
    buf_free(&text);
    return rc;
}

int facts_make_key(struct facts *f, struct err *e)
{
    uint8_t name[STATE_INSTANCE_LEN / 2];
    if (getrandom(f->key, sizeof f->key, 0) != (ssize_t) sizeof f->key ||
        getrandom(name, sizeof name, 0) != (ssize_t) sizeof name)
        return err_set(e, E_SYSTEM, "getrandom failed with errno %d", errno);
    for (size_t at = 0; at < sizeof name; at++)
        snprintf(f->instance + 2 * at, 3, "%02x", name[at]);
    return 0;
}

/* ---- the decision ---- */

static enum state_verdict refuse(int rc)
{
    (void) rc;
    return VERDICT_REFUSE;
}

static enum state_verdict decide_unknown(const char *slot_name, const struct slot_view *slot,
                                         uint64_t durable_lsn, struct err *e)
{
    if (durable_lsn)
        return refuse(err_set(e, E_STATE, "state has events up to %s but no facts about the source",
                              LSN_STR(durable_lsn)));
    if (!slot->exists)
        return VERDICT_CREATE;
    return refuse(err_set(e, E_STATE, "slot %s exists, at %s, but the state directory knows nothing "
                          "of it", slot_name, LSN_STR(slot->confirmed_lsn)));
}

/* Whether the server's WAL still holds our position. */
static int check_branch(const struct facts *f, const struct server_view *server, uint64_t durable_lsn,
                        struct err *e)
{
    if (server->timeline != f->timeline && !server->left_known)
        return err_set(e, E_TIMELINE, "server is on timeline %u, which does not come from our "
                       "timeline %u", server->timeline, f->timeline);
    if (server->timeline != f->timeline && server->left_lsn < durable_lsn)
        return err_set(e, E_TIMELINE, "server left timeline %u at %s, behind our position %s",
                       f->timeline, LSN_STR(server->left_lsn), LSN_STR(durable_lsn));
    if (server->lsn >= durable_lsn)
        return 0;
    if (server->standby) /* it may still be fetching what it lost on a restart */
        return err_set(e, E_PG_RETRY, "standby has WAL up to %s, behind our position %s",
                       LSN_STR(server->lsn), LSN_STR(durable_lsn));
    return err_set(e, E_TIMELINE, "server has WAL up to %s, behind our position %s",
                   LSN_STR(server->lsn), LSN_STR(durable_lsn));
}

/* What the server says of an invalidated slot, and what keeps it from happening again. */
static const struct {
    const char *why, *sentence, *cure;
} invalidations[] = {
    {"wal_removed", "WAL that it needed was removed", "raise max_slot_wal_keep_size on the source"},
    {"lost", "WAL that it needed was removed", "raise max_slot_wal_keep_size on the source"},
    {"rows_removed", "rows of the catalog that it needed were removed",
     "on the standby set hot_standby_feedback = on, and let it follow the primary through a physical slot"},
    {"conflicting", "the primary removed rows of the catalog that it needed, or its wal_level",
     "on the standby set hot_standby_feedback = on, and let it follow the primary through a physical slot"},
    {"wal_level_insufficient", "wal_level of the primary went below logical",
     "set wal_level = logical on the primary, and leave it so"},
    {"idle_timeout", "nobody read from it for longer than idle_replication_slot_timeout",
     "raise idle_replication_slot_timeout on the source, or let tailrace run"},
};

static int tell_invalid(const struct facts *f, const char *why, struct err *e)
{
    for (size_t at = 0; at < sizeof invalidations / sizeof *invalidations; at++)
        if (strcmp(invalidations[at].why, why) == 0) {
            (void) err_set(e, E_SLOT_INVALID, "slot %s was invalidated by the server (%s): %s", f->slot, why,
                           invalidations[at].sentence);
            return err_hint(e, "%s; tailrace remove, then copy again", invalidations[at].cure);
        }
    return err_set(e, E_SLOT_INVALID, "slot %s was invalidated by the server: %s", f->slot, why);
}

static enum state_verdict decide_ready(const struct facts *f, const struct slot_view *slot,
                                       uint64_t durable_lsn, struct err *e)
{
    if (!slot->exists)
        return refuse(err_set(e, E_SLOT_GONE, "slot %s is gone; our position is %s", f->slot,
                              LSN_STR(durable_lsn)));
    if (slot->lost)
        return refuse(tell_invalid(f, slot->why, e));
    if (slot->foreign)
        return refuse(err_set(e, E_SLOT_OTHER, "slot %s is of another kind, plugin or database",
                              f->slot));
    if (slot->confirmed_lsn > durable_lsn)
        return refuse(err_set(e, E_SLOT_OTHER, "slot %s stands at %s, ahead of our position %s: it "
                              "was made anew or moved, or the state directory is older than it",
                              f->slot, LSN_STR(slot->confirmed_lsn), LSN_STR(durable_lsn)));
    return slot->active ? VERDICT_WAIT : VERDICT_STREAM;
}

enum state_verdict state_decide(const struct facts *f, const char *slot_name,
                                const struct server_view *server, const struct slot_view *slot,
                                uint64_t durable_lsn, struct err *e)
{
    if (f->phase == PHASE_NONE)
        return decide_unknown(slot_name, slot, durable_lsn, e);
    if (server->system_id != f->system_id)
        return refuse(err_set(e, E_OTHER_SERVER, "server has system id %llu, the state is of %llu",
                              (unsigned long long) server->system_id,
                              (unsigned long long) f->system_id));
    if (strcmp(f->slot, slot_name) != 0)
        return refuse(err_set(e, E_STATE, "state is of slot %s, configured is %s", f->slot,
                              slot_name));
    if (durable_lsn < f->start_lsn)
        durable_lsn = f->start_lsn;
    if (check_branch(f, server, durable_lsn, e))
        return VERDICT_REFUSE;
    if (f->phase == PHASE_READY)
        return decide_ready(f, slot, durable_lsn, e);
    if (!slot->exists)
        return VERDICT_CREATE;
    return slot->active ? VERDICT_WAIT : VERDICT_RECREATE;
}
