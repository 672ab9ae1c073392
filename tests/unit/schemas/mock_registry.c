/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/schemas/mock_registry.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static int find(const struct script *s, const char *subject, const char *text)
{
    for (int at = 0; at < s->count; at++)
        if ((!subject || strcmp(s->versions[at].subject, subject) == 0) && (!text || strcmp(s->versions[at].text, text) == 0))
            return at;
    return -1;
}

static void refuse(struct mock_answer *out, int status, int code, const char *message)
{
    out->status = status;
    buf_addf(&out->body, "{\"error_code\":%d,\"message\":\"%s\"}", code, message);
}

static void lookup(struct script *s, const char *subject, const char *text, struct mock_answer *out)
{
    int at = find(s, subject, text);
    s->lookups++;
    if (at >= 0)
        buf_addf(&out->body, "{\"subject\":\"%s\",\"version\":1,\"id\":%d}", subject, s->versions[at].id);
    else
        refuse(out, 404, find(s, subject, NULL) >= 0 ? 40403 : 40401, "not found");
}

static void add_version(struct script *s, const char *subject, const char *text, struct mock_answer *out)
{
    int same = find(s, NULL, text);
    s->registers++;
    if (s->read_only) {
        refuse(out, 403, 40301, "you may only read");
        return;
    }
    if (strstr(text, "invalid")) {
        refuse(out, 422, 42201, "Either the input schema or one its references is invalid");
        return;
    }
    if (strcmp(s->level, "BACKWARD") == 0 && find(s, subject, NULL) >= 0 && find(s, subject, text) < 0) {
        refuse(out, 409, 409, s->silent ? "" : "Schema being registered is incompatible");
        return;
    }
    ck_assert_int_lt(s->count, ROOM);
    struct version *v = &s->versions[s->count++];
    snprintf(v->subject, sizeof v->subject, "%s", subject);
    snprintf(v->text, sizeof v->text, "%s", text);
    v->id = same >= 0 ? s->versions[same].id : ++s->ids;
    buf_addf(&out->body, "{\"id\":%d}", v->id);
}

static void tell_text(struct script *s, const char *id, struct mock_answer *out)
{
    s->texts++;
    for (int at = 0; at < s->count; at++)
        if (s->versions[at].id == (int) strtol(id, NULL, 10)) {
            buf_add_text(&out->body, "{\"schema\":");
            buf_add_json(&out->body, str_of(s->versions[at].text));
            buf_add_char(&out->body, '}');
            return;
        }
    refuse(out, 404, 40403, "Schema not found");
}

static void act(struct script *s, const struct mock_request *rq, struct mock_answer *out)
{
    char subject[200];
    json_t *json = json_loadb(rq->body.p ? rq->body.p : "", rq->body.len, 0, NULL);
    const char *text = json_string_value(json_object_get(json, "schema"));
    ck_assert(!rq->body.len || (text && strcmp(rq->content_type, "application/vnd.schemaregistry.v1+json") == 0));
    snprintf(subject, sizeof subject, "%s", strncmp(rq->path, "/subjects/", 10) == 0 ? rq->path + 10 : "");
    char *versions = strstr(subject, "/versions");
    if (strcmp(rq->path, "/config") == 0)
        buf_addf(&out->body, "{\"compatibilityLevel\":\"%s\"}", s->level);
    else if (strncmp(rq->path, "/schemas/ids/", 13) == 0)
        tell_text(s, rq->path + 13, out);
    else if (strncmp(rq->path, "/compatibility/", 15) == 0) {
        s->compatibilities++;
        ck_assert(str_is(rq->query, "verbose=true"));
        buf_add_text(&out->body, "{\"is_compatible\":false,\"messages\":[\"reader type STRING\",\"writer type LONG\"]}");
    } else if (versions) {
        *versions = 0;
        add_version(s, subject, text, out);
    } else
        lookup(s, subject, text, out);
    json_decref(json);
}

void registry_handle(void *self, const struct mock_request *rq, struct mock_answer *out)
{
    struct script *s = self;
    out->status = 200;
    out->delay_ms = s->delay_ms;
    if (s->status_times) {
        s->status_times -= s->status_times > 0;
        out->status = s->status == -1 ? 0 : s->status;
        if (s->body)
            buf_add_text(&out->body, s->body);
        out->header = out->status == 302 ? "Location" : NULL;
        out->header_value = "http://127.0.0.1:1/";
        return;
    }
    if (s->authorization && (!rq->authorization || strcmp(rq->authorization, s->authorization) != 0)) {
        refuse(out, 401, 40101, "Unauthorized");
        return;
    }
    act(s, rq, out);
}
