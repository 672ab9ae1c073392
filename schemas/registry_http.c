/* SPDX-License-Identifier: Apache-2.0
 *
 * The driver: cache first, then questions. One lock holds all that asks, so that the registry sees one question at a
 * time; what the cache knows is answered beside it.
 */
#include "schemas/registry_http.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "schemas/registry_cache.h"
#include "schemas/registry_call.h"

struct remote {
    struct registry base;
    const struct env *env;
    const struct config_registry *config;
    struct caller *caller;
    struct registry_cache cache;
    pthread_mutex_t lock; /* caller, adding to the cache, and proved */
    bool proved;          /* the registry has what the cache says, as far as one schema tells */
};

static struct remote *remote_of(struct registry *r)
{
    return (struct remote *) r;
}

/* ---- subjects ---- */

/* A record's full name by Avro's rules ("Names"): namespace.name, or a name with dots as it is. */
static bool add_record_name(struct str text, struct buf *out)
{
    json_t *json = json_loadb(text.p ? text.p : "", text.len, 0, NULL);
    const char *name = json_string_value(json_object_get(json, "name"));
    const char *space = json_string_value(json_object_get(json, "namespace"));
    if (name && space && *space && !strchr(name, '.'))
        buf_addf(out, "%s.", space);
    if (name)
        buf_add_text(out, name);
    bool named = name != NULL;
    json_decref(json);
    return named;
}

void registry_http_subject(enum config_subjects how, struct str topic_subject, struct str text, struct buf *out)
{
    struct buf name = BUF_INIT;
    size_t suffix = topic_subject.len;
    while (suffix > 0 && topic_subject.p[suffix - 1] != '-')
        suffix--;
    buf_reset(out);
    if (how == SUBJECTS_TOPIC || !add_record_name(text, &name))
        buf_add_str(out, topic_subject);
    else if (how == SUBJECTS_TOPIC_RECORD)
        buf_addf(out, "%.*s%s", (int) suffix, topic_subject.p, name.p);
    else
        buf_add_str(out, buf_str(&name));
    buf_free(&name);
}

/* ---- bodies and answers ---- */

/* {"schema":"..."}: schemaType is AVRO by default, and older registries do not know the word. */
static void add_body(struct buf *out, struct str text)
{
    buf_add_text(out, "{\"schema\":");
    buf_add_json(out, text);
    buf_add_char(out, '}');
}

static int read_id(const struct call_answer *a, int *id, struct err *e)
{
    json_int_t number = json_integer_value(json_object_get(a->json, "id"));
    if (number < 1 || number > INT32_MAX)
        return err_set(e, E_HTTP_ANSWER, "the registry's answer has no id of a schema");
    *id = (int) number;
    return 0;
}

/* The same schema, however it is printed. */
static bool same_schema(struct str a, struct str b)
{
    if (str_eq(a, b))
        return true;
    json_t *x = json_loadb(a.p ? a.p : "", a.len, JSON_DECODE_ANY, NULL), *y = json_loadb(b.p ? b.p : "", b.len, JSON_DECODE_ANY, NULL);
    bool same = x && y && json_equal(x, y);
    json_decref(x);
    json_decref(y);
    return same;
}

/* ---- questions ---- */

enum found { FOUND, ABSENT, INCOMPATIBLE };

/* The schema under the subject as it stands there, or as it is added. */
static int ask_subject(struct remote *r, struct call *call, struct str subject, int *id, enum found *found, struct err *e)
{
    struct call_answer answer;
    if (call_ask(r->caller, call, &answer, e))
        return err_prefix(e, "subject %.*s", STR_ARG(subject));
    int rc = 0;
    *found = answer.status == 404 ? ABSENT : answer.status == 409 ? INCOMPATIBLE : FOUND;
    if (answer.status == 200)
        rc = read_id(&answer, id, e);
    else if (*found == INCOMPATIBLE)
        (void) err_set(e, E_SCHEMA_INCOMPATIBLE, "subject %.*s: %s", STR_ARG(subject), answer.words);
    else if (*found == FOUND)
        rc = err_set(e, E_HTTP_REFUSED, "subject %.*s: the registry answers %d: %s", STR_ARG(subject), answer.error_code, answer.words);
    call_answer_free(&answer);
    return rc;
}

/* {"is_compatible":false,"messages":["...","..."]} of the verbose form. */
static void take_reasons(const json_t *json, struct str subject, struct err *e)
{
    struct buf words = BUF_INIT;
    const json_t *messages = json_object_get(json, "messages");
    size_t count = json_array_size(messages);
    for (size_t at = 0; at < count && words.len < sizeof e->msg; at++) {
        const char *one = json_string_value(json_array_get(messages, at));
        if (one && *one)
            buf_addf(&words, "%s%s", words.len ? "; " : "", one);
    }
    if (words.len)
        (void) err_set(e, E_SCHEMA_INCOMPATIBLE, "subject %.*s: %s", STR_ARG(subject), words.p);
    buf_free(&words);
}

/* Registries that say little with 409 say more when they are asked. e stays as it is when this one does not. */
static void ask_reasons(struct remote *r, struct call *call, struct str subject, struct err *e)
{
    struct buf path = BUF_INIT;
    struct call_answer answer;
    struct err ignored = ERR_INIT;
    buf_add_text(&path, "/compatibility/subjects/");
    http_add_escaped(&path, subject);
    buf_add_text(&path, "/versions/latest?verbose=true");
    call->path = path.p;
    if (call_ask(r->caller, call, &answer, &ignored) == 0)
        take_reasons(answer.json, subject, e);
    call_answer_free(&answer);
    buf_free(&path);
}

/* E_SCHEMA_INCOMPATIBLE when the registry refuses it so. Asking first lets a role that may only read go on with what
 * others registered. */
static int add_under(struct remote *r, struct call *call, struct str subject, int *id, struct err *e)
{
    struct buf path = BUF_INIT;
    enum found found;
    buf_add_text(&path, "/subjects/");
    http_add_escaped(&path, subject);
    call->path = path.p;
    int rc = ask_subject(r, call, subject, id, &found, e);
    if (rc == 0 && found == ABSENT) {
        buf_add_text(&path, "/versions");
        call->path = path.p;
        rc = ask_subject(r, call, subject, id, &found, e);
        if (rc == 0 && found == ABSENT)
            rc = err_set(e, E_HTTP_REFUSED, "subject %.*s: the registry knows no such address", STR_ARG(subject));
    }
    if (rc == 0 && found == INCOMPATIBLE) {
        ask_reasons(r, call, subject, e);
        rc = -1;
    }
    buf_free(&path);
    return rc;
}

static void add_numbered(struct buf *out, struct str subject, int number)
{
    buf_reset(out);
    buf_add_str(out, subject);
    if (number > 1)
        buf_addf(out, "-v%d", number);
}

/* The first of subject, subject-v2 ... from *number on that takes the schema. */
static int add_under_any(struct remote *r, struct call *call, struct str subject, int *number, int *id, struct err *e)
{
    struct buf name = BUF_INIT;
    int first = *number, rc = -1;
    int last = r->config->on_incompatible == INCOMPATIBLE_NEW_SUBJECT ? first + REGISTRY_SUBJECTS_MAX - 1 : first;
    for (int at = first; rc && at <= last; at++) {
        add_numbered(&name, subject, at);
        rc = add_under(r, call, buf_str(&name), id, e);
        if (rc && e->code != E_SCHEMA_INCOMPATIBLE)
            break;
        if (rc == 0 && at > first)
            log_warn(r->env->log, "registry", "schemas go under subject %s from now on, since %s", name.p, e->msg);
        *number = at;
    }
    if (rc == 0)
        err_clear(e);
    buf_free(&name);
    return rc;
}

/* ---- texts ---- */

static int read_text(const struct call_answer *a, int id, struct buf *out, struct err *e)
{
    json_t *schema = json_object_get(a->json, "schema");
    const char *type = json_string_value(json_object_get(a->json, "schemaType"));
    if (a->status == 404)
        return err_set(e, E_SCHEMA, "the registry does not know schema %d", id);
    if (a->status != 200)
        return err_set(e, E_HTTP_REFUSED, "schema %d: the registry answers %d: %s", id, a->error_code, a->words);
    if (!json_is_string(schema))
        return err_set(e, E_HTTP_ANSWER, "the registry's answer has no text of schema %d", id);
    if (type && strcmp(type, "AVRO") != 0)
        return err_set(e, E_SCHEMA, "schema %d is of type %s, not Avro", id, type);
    if (json_array_size(json_object_get(a->json, "references")))
        return err_set(e, E_SCHEMA, "schema %d refers to others, which is not supported", id);
    buf_reset(out);
    buf_add(out, json_string_value(schema), json_string_length(schema));
    return 0;
}

static int ask_text(struct remote *r, int id, int64_t until_us, struct buf *out, struct err *e)
{
    char path[40];
    struct call_answer answer;
    snprintf(path, sizeof path, "/schemas/ids/%d", id);
    const struct call call = {.method = "GET", .path = path, .drain = true, .until_us = until_us};
    int rc = call_ask(r->caller, &call, &answer, e);
    if (rc == 0)
        rc = read_text(&answer, id, out, e);
    call_answer_free(&answer);
    return rc;
}

/* Before the first schema is added: ids on the bus are the registry's, and one that was emptied would give them to
 * other schemas. The newest known one tells. */
static int prove(struct remote *r, int64_t until_us, struct err *e)
{
    struct buf known = BUF_INIT, there = BUF_INIT;
    bool found = false;
    int id = 0;
    int rc = r->proved ? 0 : cache_last(&r->cache, &id, e);
    if (rc == 0 && id)
        rc = cache_text(&r->cache, id, &known, &found, e);
    if (rc == 0 && found) {
        rc = ask_text(r, id, until_us, &there, e);
        if ((rc && e->code == E_SCHEMA) || (rc == 0 && !same_schema(buf_str(&known), buf_str(&there))))
            rc = err_set(e, E_REGISTRY_OTHER, "schema %d is not in the registry as it was: it was emptied, or is another one", id);
    }
    r->proved = rc == 0;
    buf_free(&known);
    buf_free(&there);
    return rc;
}

/* ---- the driver ---- */

/* Keep what the registry said; an id that is known with another text would be given to two schemas. */
static int keep(struct remote *r, const struct cache_entry *entry, struct err *e)
{
    struct buf known = BUF_INIT;
    bool found = false;
    int rc = cache_text(&r->cache, entry->id, &known, &found, e);
    if (rc == 0 && found && !same_schema(buf_str(&known), entry->text))
        rc = err_set(e, E_REGISTRY_OTHER, "the registry gave id %d, which is another schema's, to subject %.*s", entry->id, STR_ARG(entry->subject));
    if (rc == 0)
        rc = cache_add(&r->cache, entry, e);
    buf_free(&known);
    return rc;
}

static int add_locked(struct remote *r, struct str subject, struct str text, int *id, struct err *e)
{
    struct buf body = BUF_INIT;
    struct call call = {.method = "POST", .until_us = call_until(r->caller)};
    struct cache_entry entry = {.subject = subject, .text = text};
    add_body(&body, text);
    call.body = buf_str(&body);
    int rc = prove(r, call.until_us, e);
    if (rc == 0)
        rc = cache_number(&r->cache, subject, &entry.number, e);
    if (rc == 0)
        rc = add_under_any(r, &call, subject, &entry.number, &entry.id, e);
    if (rc == 0)
        rc = keep(r, &entry, e);
    *id = entry.id;
    buf_free(&body);
    return rc;
}

static int add_subject(struct remote *r, struct str subject, struct str text, int *id, struct err *e)
{
    if (subject.len == 0 || subject.len > CACHE_SUBJECT_MAX || memchr(subject.p, 0, subject.len))
        return err_set(e, E_SCHEMA, "subject of %zu bytes is not possible", subject.len);
    if (cache_id(&r->cache, subject, text, id, e))
        return -1;
    if (*id) {
        metric_add(r->env->metrics, M_REGISTRY_HITS, 0, 1);
        return 0;
    }
    pthread_mutex_lock(&r->lock);
    int rc = add_locked(r, subject, text, id, e);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

static int remote_add(struct registry *base, struct str topic_subject, struct str text, int *id, struct err *e)
{
    struct remote *r = remote_of(base);
    struct buf subject = BUF_INIT;
    registry_http_subject(r->config->subjects, topic_subject, text, &subject);
    int rc = add_subject(r, buf_str(&subject), text, id, e);
    buf_free(&subject);
    return rc;
}

/* A state that cannot be written does not keep a text from being read. */
static int fetch_text(struct remote *r, int id, struct buf *out, struct err *e)
{
    struct err ignored = ERR_INIT;
    pthread_mutex_lock(&r->lock);
    int rc = ask_text(r, id, call_until(r->caller), out, e);
    const struct cache_entry entry = {.text = buf_str(out), .id = id};
    if (rc == 0 && cache_add(&r->cache, &entry, &ignored))
        log_debug(r->env->log, "registry", "schema %d is not kept: %s", id, ignored.msg);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

static int remote_text(struct registry *base, int id, struct arena *a, struct str *text, struct err *e)
{
    struct remote *r = remote_of(base);
    struct buf out = BUF_INIT;
    bool found = false;
    int rc = id < 1 ? err_set(e, E_SCHEMA, "schema %d is not known", id) : cache_text(&r->cache, id, &out, &found, e);
    if (rc == 0 && found)
        metric_add(r->env->metrics, M_REGISTRY_HITS, 0, 1);
    else if (rc == 0)
        rc = fetch_text(r, id, &out, e);
    if (rc == 0)
        *text = arena_str(a, buf_str(&out));
    buf_free(&out);
    return rc;
}

static int remote_each(struct registry *base, void *self,
                       int (*visit)(void *self, struct str subject, int version, int id), struct err *e)
{
    return cache_each(&remote_of(base)->cache, self, visit, e);
}

static void remote_close(struct registry *base)
{
    struct remote *r = remote_of(base);
    caller_close(r->caller);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static const struct registry_driver remote_driver = {
    .add = remote_add, .text = remote_text, .each = remote_each, .close = remote_close};

struct registry *registry_http_open(const struct env *env, struct store *store, const struct config_registry *config,
                                    struct err *e)
{
    struct registry_cache cache;
    if (config->url.count < 1) {
        (void) err_set(e, E_CONFIG, "registry.url is empty");
        return NULL;
    }
    if (cache_open(&cache, store, e))
        return NULL;
    struct caller *caller = caller_open(env, config, e);
    if (!caller)
        return NULL;
    struct remote *r = mem_zalloc(1, sizeof *r);
    r->base.driver = &remote_driver;
    r->env = env;
    r->config = config;
    r->caller = caller;
    r->cache = cache;
    pthread_mutex_init(&r->lock, NULL);
    return &r->base;
}

struct registry *registry_open(const struct env *env, struct store *store, const struct config *config, struct err *e)
{
    return config->registry.url.count ? registry_http_open(env, store, &config->registry, e)
                                      : registry_local_open(store, COMPAT_NONE, e);
}

int registry_http_level(const struct env *env, const struct config_registry *config, int at, struct buf *level, struct err *e)
{
    struct call_answer answer;
    struct caller *caller = caller_open(env, config, e);
    if (!caller)
        return -1;
    const struct call call = {.method = "GET", .path = "/config", .until_us = call_until(caller)};
    int rc = call_ask_at(caller, at, &call, &answer, e);
    const char *word = rc == 0 ? json_string_value(json_object_get(answer.json, "compatibilityLevel")) : NULL;
    if (rc == 0 && !word)
        rc = err_set(e, E_HTTP_ANSWER, "the registry's answer has no compatibility level");
    if (rc == 0)
        buf_add_text(level, word);
    call_answer_free(&answer);
    caller_close(caller);
    return rc;
}
