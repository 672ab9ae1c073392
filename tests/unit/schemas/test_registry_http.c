/* SPDX-License-Identifier: Apache-2.0
 * schemas: the registry elsewhere, against one in this process that can be made to fail in every way. */
#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/base/arena.h"
#include "schemas/registry_cache.h"
#include "schemas/registry_http.h"
#include "tests/unit/schemas/mock_registry.h"

#define RECORD(name, type) "{\"type\":\"record\",\"name\":\"" name "\",\"namespace\":\"shop.public\",\"fields\":[{\"name\":\"id\",\"type\":\"" type "\"}]}"

static struct script script, other; /* other: of a second address */

/* ---- a test's world ---- */

static char dir[64], address[80];
static struct env env;
static struct store *store;
static struct mock *server;
static const char *urls[3];
static struct config_registry config;
static struct registry *registry;

static void open_registry(void)
{
    struct err e = ERR_INIT;
    registry = registry_http_open(&env, store, &config, &e);
    ck_assert_msg(registry != NULL, "%s", e.msg);
}

static void setup(void)
{
    struct err e = ERR_INIT;
    setenv("no_proxy", "*", 1);
    script = (struct script){.level = "NONE"};
    other = (struct script){.level = "NONE"};
    env = (struct env){.clock = &clock_system, .stop_fd = eventfd(0, 0), .log = log_open(2, &clock_system), .metrics = metrics_open()};
    snprintf(dir, sizeof dir, "/tmp/test_registry_http.XXXXXX");
    ck_assert(mkdtemp(dir) != NULL);
    ck_assert_msg(store_open(dir, (uint64_t) 64 << 20, false, &store, &e) == 0, "%s", e.msg);
    server = mock_open(registry_handle, &script, NULL, 0);
    snprintf(address, sizeof address, "%s", mock_url(server)); /* outlives the server */
    urls[0] = address;
    config = (struct config_registry){.url = {1, urls}, .user = "", .password = "", .token = "", .ca_file = "", .cert_file = "",
                                      .key_file = "", .verify = true, .timeout_ms = 1000};
    open_registry();
}

static void teardown(void)
{
    char command[128];
    registry_close(registry);
    store_close(store);
    if (server)
        mock_close(server);
    log_close(env.log);
    metrics_close(env.metrics);
    close(env.stop_fd);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}

static void restart(void)
{
    registry_close(registry);
    open_registry();
}

static void server_down(void)
{
    mock_close(server);
    server = NULL;
}

static int add(const char *subject, const char *text)
{
    struct err e = ERR_INIT;
    int id = -1;
    ck_assert_msg(registry_add(registry, str_of(subject), str_of(text), &id, &e) == 0, "%s (%s)", e.msg, err_name(e.code));
    return id;
}

static struct err add_fails(const char *subject, const char *text, enum err_code code)
{
    struct err e = ERR_INIT;
    int id = -1;
    ck_assert_int_eq(registry_add(registry, str_of(subject), str_of(text), &id, &e), -1);
    ck_assert_msg(e.code == code, "%s (%s), not %s", e.msg, err_name(e.code), err_name(code));
    return e;
}

static int text_of(int id, struct buf *out, struct err *e)
{
    struct arena a;
    struct str text;
    arena_init(&a, 0, "test");
    int rc = registry_text(registry, id, &a, &text, e);
    buf_reset(out);
    if (rc == 0)
        buf_add_str(out, text);
    arena_free(&a);
    return rc;
}

static void expect_text(int id, const char *want)
{
    struct err e = ERR_INIT;
    struct buf out = BUF_INIT;
    ck_assert_msg(text_of(id, &out, &e) == 0, "%s", e.msg);
    ck_assert_str_eq(out.p, want);
    buf_free(&out);
}

static int64_t requests(const char *result)
{
    return metric_get(env.metrics, M_REGISTRY_REQUESTS, metric_series(env.metrics, M_REGISTRY_REQUESTS, str_of(result)));
}

#define LONG_C RECORD("C", "long")
#define TEXT_C RECORD("C", "string")

/* ---- what is asked ---- */

START_TEST(a_schema_is_registered_once)
{
    int id = add("shop.public.c-value", LONG_C);
    ck_assert_str_eq(script.versions[0].subject, "shop.public.c-value");
    ck_assert_str_eq(script.versions[0].text, LONG_C);
    ck_assert_int_eq(add("shop.public.c-value", LONG_C), id);
    ck_assert_int_eq(add("shop.public.d-value", LONG_C), id); /* one text, one id */
    ck_assert_int_ne(add("shop.public.c-value", TEXT_C), id);
    ck_assert_int_eq(script.registers, 3);
    expect_text(id, LONG_C);
    ck_assert_int_eq(script.texts, 0);
    ck_assert_int_eq(requests("ok"), 6);
    ck_assert_int_eq(requests("refused"), 0); /* 404 to a look is an answer */
    ck_assert_int_eq(metric_get(env.metrics, M_REGISTRY_HITS, 0), 2);
}
END_TEST

START_TEST(what_is_registered_already_needs_no_right_to_write)
{
    int id = add("s-value", LONG_C);
    script.read_only = true;
    struct config_registry fresh = config;
    char path[80];
    struct err e = ERR_INIT;
    struct store *empty;
    snprintf(path, sizeof path, "%s/other", dir);
    ck_assert_int_eq(store_open(path, (uint64_t) 64 << 20, false, &empty, &e), 0);
    registry_close(registry);
    registry = registry_http_open(&env, empty, &fresh, &e);
    ck_assert_int_eq(add("s-value", LONG_C), id);
    ck_assert_int_eq(add_fails("s-value", TEXT_C, E_HTTP_AUTH).class, ERR_AUTH);
    registry_close(registry);
    store_close(empty);
    open_registry();
}
END_TEST

START_TEST(subjects_follow_the_strategy)
{
    static const struct {
        enum config_subjects how;
        const char *subject, *text, *want;
    } rows[] = {
        {SUBJECTS_TOPIC, "shop.public.c-key", LONG_C, "shop.public.c-key"},
        {SUBJECTS_RECORD, "shop.public.c-key", LONG_C, "shop.public.C"},
        {SUBJECTS_TOPIC_RECORD, "a-b-value", LONG_C, "a-b-shop.public.C"},
        {SUBJECTS_RECORD, "t-value", "{\"type\":\"record\",\"name\":\"a.B\",\"namespace\":\"x\",\"fields\":[]}", "a.B"},
        {SUBJECTS_RECORD, "t-value", "{\"type\":\"record\",\"name\":\"B\",\"fields\":[]}", "B"},
        {SUBJECTS_RECORD, "t-value", "\"string\"", "t-value"},
        {SUBJECTS_TOPIC_RECORD, "t-value", "no JSON", "t-value"},
    };
    struct buf out = BUF_INIT;
    for (size_t at = 0; at < sizeof rows / sizeof *rows; at++) {
        registry_http_subject(rows[at].how, str_of(rows[at].subject), str_of(rows[at].text), &out);
        ck_assert_str_eq(out.p, rows[at].want);
    }
    buf_free(&out);
    config.subjects = SUBJECTS_TOPIC_RECORD;
    add("t-value", LONG_C);
    ck_assert_str_eq(script.versions[0].subject, "t-shop.public.C");
}
END_TEST

START_TEST(texts_of_others_are_fetched_once)
{
    struct buf out = BUF_INIT;
    struct err e = ERR_INIT;
    script.versions[0] = (struct version){"x-value", LONG_C, 77};
    script.count = 1;
    expect_text(77, LONG_C);
    expect_text(77, LONG_C);
    restart();
    expect_text(77, LONG_C);
    ck_assert_int_eq(script.texts, 1);
    ck_assert(text_of(78, &out, &e) == -1 && e.code == E_SCHEMA);
    ck_assert(text_of(0, &out, &e) == -1 && e.code == E_SCHEMA);
    ck_assert(text_of(-1, &out, &e) == -1 && e.code == E_SCHEMA);
    buf_free(&out);
}
END_TEST

/* ---- refusals ---- */

START_TEST(incompatible_stops_with_the_reason)
{
    script.level = "BACKWARD";
    add("s-value", LONG_C);
    struct err e = add_fails("s-value", TEXT_C, E_SCHEMA_INCOMPATIBLE);
    ck_assert_int_eq(e.class, ERR_CONFIG);
    ck_assert_str_eq(e.msg, "subject s-value: reader type STRING; writer type LONG");
    ck_assert_ptr_nonnull(strstr(e.hint, "new_subject"));
    ck_assert_int_eq(script.compatibilities, 1);
    add("s-value", LONG_C); /* the old one goes on */
}
END_TEST

START_TEST(incompatible_goes_under_a_new_subject)
{
    script.level = "BACKWARD";
    config.on_incompatible = INCOMPATIBLE_NEW_SUBJECT;
    int first = add("s-value", LONG_C), second = add("s-value", TEXT_C), third = add("s-value", RECORD("C", "int"));
    ck_assert(first != second && second != third);
    ck_assert_str_eq(script.versions[1].subject, "s-value-v2");
    ck_assert_str_eq(script.versions[2].subject, "s-value-v3");
    restart();
    int before = script.registers;
    add("s-value", RECORD("C", "double")); /* -v3 is remembered, and refuses */
    ck_assert_str_eq(script.versions[3].subject, "s-value-v4");
    ck_assert_int_eq(script.registers, before + 2);
    ck_assert_int_eq(add("s-value", LONG_C), first);
    ck_assert_int_eq(add("s-value", TEXT_C), second);
    add("t-value", LONG_C); /* others keep theirs */
    ck_assert_str_eq(script.versions[4].subject, "t-value");
}
END_TEST

START_TEST(new_subjects_come_to_an_end)
{
    script.level = "BACKWARD";
    config.on_incompatible = INCOMPATIBLE_NEW_SUBJECT;
    for (int at = 1; at <= REGISTRY_SUBJECTS_MAX; at++) {
        struct version *v = &script.versions[script.count++];
        *v = (struct version){.text = LONG_C, .id = 1};
        if (at == 1)
            snprintf(v->subject, sizeof v->subject, "s-value");
        else
            snprintf(v->subject, sizeof v->subject, "s-value-v%d", at);
    }
    (void) add_fails("s-value", TEXT_C, E_SCHEMA_INCOMPATIBLE);
    ck_assert_int_eq(script.registers, REGISTRY_SUBJECTS_MAX);
}
END_TEST

START_TEST(answers_have_their_class)
{
    static const struct {
        int status;
        const char *body;
        enum err_code code;
        enum err_class class;
        int requests;
    } rows[] = {
        {401, "", E_HTTP_AUTH, ERR_AUTH, 1},
        {403, "{\"error_code\":40301,\"message\":\"no\"}", E_HTTP_AUTH, ERR_AUTH, 1},
        {404, "<html>", E_HTTP_REFUSED, ERR_CONFIG, 1},
        {405, "{\"error_code\":405,\"message\":\"HTTP 405\"}", E_HTTP_REFUSED, ERR_CONFIG, 1},
        {422, "{\"error_code\":42201,\"message\":\"bad\"}", E_SCHEMA, ERR_CONFIG, 1},
        {302, "", E_HTTP_REFUSED, ERR_CONFIG, 1},
        {204, "", E_HTTP_REFUSED, ERR_CONFIG, 1},
        {429, "", E_HTTP_RATE, ERR_RATE, 3},
        {500, "{\"error_code\":50001,\"message\":\"store\"}", E_HTTP_STATUS, ERR_RETRY, 3},
        {503, "down", E_HTTP_STATUS, ERR_RETRY, 3},
        {200, "{garbage", E_HTTP_ANSWER, ERR_RETRY, 3},
        {200, "", E_HTTP_ANSWER, ERR_RETRY, 3},
        {200, "{}", E_HTTP_ANSWER, ERR_RETRY, 1},
        {200, "[]", E_HTTP_ANSWER, ERR_RETRY, 1},
        {200, "{\"id\":0}", E_HTTP_ANSWER, ERR_RETRY, 1},
        {200, "{\"id\":99999999999}", E_HTTP_ANSWER, ERR_RETRY, 1},
        {-1, NULL, E_HTTP_CONNECT, ERR_RETRY, 3},
    };
    for (size_t at = 0; at < sizeof rows / sizeof *rows; at++) {
        int before = mock_requests(server);
        script.status = rows[at].status;
        script.body = rows[at].body;
        script.status_times = -1;
        struct err e = add_fails("s-value", LONG_C, rows[at].code);
        ck_assert_msg(e.class == rows[at].class, "row %zu", at);
        ck_assert_ptr_nonnull(strstr(e.msg, "egistry"));
        /* libcurl asks again by itself when a kept connection breaks before a byte came. */
        if (rows[at].status != -1)
            ck_assert_msg(mock_requests(server) - before == rows[at].requests, "row %zu: %d", at, mock_requests(server) - before);
        script.status_times = 0;
    }
    add("s-value", LONG_C);
    ck_assert_int_gt(requests("failed"), 10);
    ck_assert_int_eq(requests("refused"), 4);
    (void) add_fails("i-value", "{\"type\":\"invalid\"}", E_SCHEMA);
}
END_TEST

START_TEST(texts_are_looked_at)
{
    static const char *const bodies[] = {"{}", "{\"schema\":7}", "{\"schema\":\"x\",\"schemaType\":\"PROTOBUF\"}",
                                         "{\"schema\":\"x\",\"references\":[{\"name\":\"y\"}]}"};
    struct buf out = BUF_INIT;
    script.status = 200;
    script.status_times = -1;
    for (size_t at = 0; at < sizeof bodies / sizeof *bodies; at++) {
        struct err e = ERR_INIT;
        script.body = bodies[at];
        ck_assert_int_eq(text_of(5, &out, &e), -1);
        ck_assert_int_eq(e.code, at < 2 ? E_HTTP_ANSWER : E_SCHEMA);
    }
    script.body = "{\"schema\":\"\\\"int\\\"\",\"schemaType\":\"AVRO\",\"references\":[]}";
    expect_text(5, "\"int\"");
    buf_free(&out);
}
END_TEST

START_TEST(a_huge_answer_is_not_taken)
{
    char *huge = mem_alloc(9 << 20);
    memset(huge, ' ', (9 << 20) - 1);
    huge[(9 << 20) - 1] = 0;
    script.body = huge;
    script.status = 200;
    script.status_times = -1;
    (void) add_fails("s-value", LONG_C, E_HTTP_ANSWER);
    free(huge);
}
END_TEST

/* ---- credentials ---- */

START_TEST(credentials_are_sent_and_not_told)
{
    script.authorization = "Basic bWU6Z2VoZWlt";
    struct err e = add_fails("s-value", LONG_C, E_HTTP_AUTH);
    ck_assert_ptr_nonnull(strstr(e.msg, "401"));
    config.user = "me";
    config.password = "geheim2";
    restart();
    e = add_fails("s-value", LONG_C, E_HTTP_AUTH);
    ck_assert_ptr_null(strstr(e.msg, "geheim"));
    config.password = "geheim";
    restart();
    add("s-value", LONG_C);
    script.authorization = "Bearer t0ken";
    config.token = "t0ken";
    restart();
    add("t-value", LONG_C);
}
END_TEST

START_TEST(tls_wants_a_trusted_certificate)
{
    char ca[80];
    struct mock *secure = mock_open(registry_handle, &script, "localhost", 0);
    snprintf(ca, sizeof ca, "%s/ca.pem", dir);
    mock_write_ca(secure, ca);
    urls[0] = mock_url(secure);
    restart();
    struct err e = add_fails("s-value", LONG_C, E_HTTP_TLS);
    ck_assert_int_eq(e.class, ERR_CONFIG);
    config.ca_file = ca;
    restart();
    add("s-value", LONG_C);
    config.ca_file = "";
    config.verify = false;
    restart();
    add("t-value", LONG_C);
    registry_close(registry);
    mock_close(secure);
    urls[0] = mock_url(server);
    open_registry();
}
END_TEST

/* ---- outages ---- */

START_TEST(what_is_known_survives_an_outage_and_a_restart)
{
    int id = add("s-value", LONG_C);
    server_down();
    restart();
    ck_assert_int_eq(add("s-value", LONG_C), id);
    expect_text(id, LONG_C);
    int64_t from = clock_mono_us(&clock_system);
    struct err e = add_fails("s-value", TEXT_C, E_HTTP_CONNECT);
    ck_assert_int_eq(e.class, ERR_RETRY);
    ck_assert_int_lt(clock_mono_us(&clock_system) - from, 5000000);
}
END_TEST

START_TEST(a_passing_failure_is_asked_again)
{
    script.status = 503;
    script.status_times = 2;
    add("s-value", LONG_C);
    ck_assert_int_eq(script.registers, 1);
}
END_TEST

START_TEST(slow_answers_end_within_the_budget)
{
    script.delay_ms = 1500;
    int64_t from = clock_mono_us(&clock_system);
    (void) add_fails("s-value", LONG_C, E_TIMEOUT);
    ck_assert_int_lt(clock_mono_us(&clock_system) - from, 5000000);
}
END_TEST

START_TEST(another_address_stands_in)
{
    char dead[80];
    struct mock *second = mock_open(registry_handle, &other, NULL, 0);
    snprintf(dead, sizeof dead, "http://127.0.0.1:%d", mock_free_port());
    urls[0] = dead;
    urls[1] = mock_url(second);
    config.url.count = 2;
    restart();
    int64_t from = clock_mono_us(&clock_system);
    add("s-value", LONG_C);
    ck_assert_int_eq(other.registers, 1);
    ck_assert_int_lt(clock_mono_us(&clock_system) - from, 1000000);
    ck_assert_int_eq(requests("failed"), 1); /* then it is left alone */
    /* The first works, fails with 500, and the second is asked. */
    urls[0] = mock_url(server);
    script.status = 500;
    script.status_times = -1;
    script.versions[0] = other.versions[0];
    restart();
    add("t-value", TEXT_C);
    ck_assert_int_eq(other.registers, 2);
    ck_assert_int_eq(mock_requests(server), 1);
    registry_close(registry);
    mock_close(second);
    config.url.count = 1;
    open_registry();
}
END_TEST

START_TEST(a_refusal_is_not_asked_elsewhere)
{
    struct mock *second = mock_open(registry_handle, &other, NULL, 0);
    urls[1] = mock_url(second);
    config.url.count = 2;
    restart();
    script.authorization = "x";
    (void) add_fails("s-value", LONG_C, E_HTTP_AUTH);
    ck_assert_int_eq(mock_requests(second), 0);
    registry_close(registry);
    mock_close(second);
    config.url.count = 1;
    open_registry();
}
END_TEST

static void *stop_soon(void *arg)
{
    uint64_t one = 1;
    (void) arg;
    (void) poll(NULL, 0, 300);
    atomic_store(&env.stop, STOP_DRAIN);
    ck_assert_int_eq(write(env.stop_fd, &one, sizeof one), sizeof one);
    return NULL;
}

START_TEST(a_wish_to_stop_ends_the_wait)
{
    pthread_t thread;
    config.timeout_ms = 10000;
    script.delay_ms = 3000;
    ck_assert_int_eq(pthread_create(&thread, NULL, stop_soon, NULL), 0);
    int64_t from = clock_mono_us(&clock_system);
    (void) add_fails("s-value", LONG_C, E_STOPPED);
    ck_assert_int_lt(clock_mono_us(&clock_system) - from, 2000000);
    pthread_join(thread, NULL);
    script.delay_ms = 0;
    script.versions[0] = (struct version){"x-value", LONG_C, 77};
    script.count = 1;
    expect_text(77, LONG_C); /* a drain still reads */
}
END_TEST

/* ---- the registry's identity ---- */

START_TEST(an_emptied_registry_is_not_gone_on_with)
{
    int id = add("s-value", LONG_C);
    script.count = script.ids = 0;
    /* Within one life: the id comes a second time. */
    struct err e = add_fails("s-value", TEXT_C, E_REGISTRY_OTHER);
    ck_assert_int_eq(e.class, ERR_CONFIG);
    /* After a restart: the id has another schema, or none. */
    restart();
    (void) add_fails("s-value", RECORD("C", "int"), E_REGISTRY_OTHER);
    script.count = 0;
    restart();
    (void) add_fails("s-value", RECORD("C", "int"), E_REGISTRY_OTHER);
    ck_assert_int_eq(add("s-value", LONG_C), id);
    expect_text(id, LONG_C);
}
END_TEST

START_TEST(the_same_schema_may_be_printed_otherwise)
{
    add("s-value", LONG_C);
    snprintf(script.versions[0].text, sizeof script.versions[0].text, "%s",
             "{ \"namespace\":\"shop.public\", \"name\":\"C\",\"type\":\"record\",\"fields\":[{\"type\":\"long\",\"name\":\"id\"}] }");
    restart();
    add("t-value", TEXT_C);
}
END_TEST

/* ---- the cache ---- */

static int list(void *self, struct str subject, int version, int id)
{
    buf_addf(self, "%.*s %d %d\n", STR_ARG(subject), version, id);
    return 0;
}

START_TEST(the_cache_is_bounded)
{
    struct registry_cache c;
    struct err e = ERR_INIT;
    struct buf text = BUF_INIT, out = BUF_INIT;
    bool found;
    int id;
    ck_assert_int_eq(cache_open(&c, store, &e), 0);
    c.text_max = 1000;
    c.ids_max = 5;
    for (int at = 1; at <= 20; at++) {
        buf_reset(&text);
        buf_addf(&text, "%0100d", at);
        const struct cache_entry entry = {.subject = STR("s"), .text = buf_str(&text), .id = at, .number = 1};
        ck_assert_msg(cache_add(&c, &entry, &e) == 0, "%s", e.msg);
        ck_assert_int_le(c.text_bytes, 1000);
        ck_assert_int_le(c.ids, 5);
        ck_assert(cache_id(&c, STR("s"), buf_str(&text), &id, &e) == 0 && id == at);
    }
    ck_assert(cache_text(&c, 20, &out, &found, &e) == 0 && found && str_eq(buf_str(&out), buf_str(&text)));
    ck_assert(cache_text(&c, 10, &out, &found, &e) == 0 && !found);
    ck_assert(cache_text(&c, 11, &out, &found, &e) == 0 && found);
    ck_assert(cache_last(&c, &id, &e) == 0 && id == 20);
    struct registry_cache again;
    ck_assert_int_eq(cache_open(&again, store, &e), 0);
    ck_assert_int_eq(again.text_bytes, 1000);
    ck_assert_int_eq(again.ids, 5);
    buf_free(&text);
    buf_free(&out);
}
END_TEST

START_TEST(what_is_known_is_listed_by_subject)
{
    struct buf out = BUF_INIT;
    struct err e = ERR_INIT;
    add("b-value", LONG_C);
    add("a-value", TEXT_C);
    add("a-key", LONG_C);
    ck_assert_int_eq(registry->driver->each(registry, &out, list, &e), 0);
    ck_assert_str_eq(out.p, "a-key 1 1\na-value 1 2\nb-value 1 1\n");
    buf_free(&out);
}
END_TEST

START_TEST(odd_subjects_are_refused)
{
    char name[600];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    (void) add_fails(name, LONG_C, E_SCHEMA);
    (void) add_fails("", LONG_C, E_SCHEMA);
    ck_assert_int_eq(mock_requests(server), 0);
    add("a/b c%-value", LONG_C);
    ck_assert_str_eq(script.versions[0].subject, "a/b c%-value");
}
END_TEST

START_TEST(the_level_is_told)
{
    struct buf level = BUF_INIT;
    struct err e = ERR_INIT;
    script.level = "FULL";
    ck_assert_int_eq(registry_http_level(&env, &config, 0, &level, &e), 0);
    ck_assert_str_eq(level.p, "FULL");
    script.authorization = "x";
    ck_assert(registry_http_level(&env, &config, 0, &level, &e) == -1 && e.code == E_HTTP_AUTH);
    buf_free(&level);
}
END_TEST

static void *add_many(void *arg)
{
    (void) arg;
    for (int at = 0; at < 20; at++) {
        char text[40];
        struct err e = ERR_INIT;
        struct buf out = BUF_INIT;
        int id = 0;
        snprintf(text, sizeof text, "{\"type\":\"%d\"}", at);
        if (registry_add(registry, STR("s-value"), str_of(text), &id, &e) || text_of(id, &out, &e) || strcmp(out.p, text) != 0)
            return &registry;
        buf_free(&out);
    }
    return NULL;
}

START_TEST(threads_agree)
{
    pthread_t threads[4];
    void *failed = NULL;
    for (int at = 0; at < 4; at++)
        ck_assert_int_eq(pthread_create(&threads[at], NULL, add_many, NULL), 0);
    for (int at = 0; at < 4; at++) {
        pthread_join(threads[at], &failed);
        ck_assert_ptr_null(failed);
    }
    ck_assert_int_eq(script.count, 20);
}
END_TEST

static void add_tests(TCase *t)
{
    tcase_add_test(t, a_schema_is_registered_once);
    tcase_add_test(t, what_is_registered_already_needs_no_right_to_write);
    tcase_add_test(t, subjects_follow_the_strategy);
    tcase_add_test(t, texts_of_others_are_fetched_once);
    tcase_add_test(t, incompatible_stops_with_the_reason);
    tcase_add_test(t, incompatible_goes_under_a_new_subject);
    tcase_add_test(t, new_subjects_come_to_an_end);
    tcase_add_test(t, answers_have_their_class);
    tcase_add_test(t, texts_are_looked_at);
    tcase_add_test(t, a_huge_answer_is_not_taken);
    tcase_add_test(t, credentials_are_sent_and_not_told);
    tcase_add_test(t, tls_wants_a_trusted_certificate);
    tcase_add_test(t, what_is_known_survives_an_outage_and_a_restart);
    tcase_add_test(t, a_passing_failure_is_asked_again);
    tcase_add_test(t, slow_answers_end_within_the_budget);
    tcase_add_test(t, another_address_stands_in);
    tcase_add_test(t, a_refusal_is_not_asked_elsewhere);
    tcase_add_test(t, a_wish_to_stop_ends_the_wait);
    tcase_add_test(t, an_emptied_registry_is_not_gone_on_with);
    tcase_add_test(t, the_same_schema_may_be_printed_otherwise);
    tcase_add_test(t, the_cache_is_bounded);
    tcase_add_test(t, what_is_known_is_listed_by_subject);
    tcase_add_test(t, odd_subjects_are_refused);
    tcase_add_test(t, the_level_is_told);
    tcase_add_test(t, threads_agree);
}

int main(void)
{
    Suite *s = suite_create("registry_http");
    TCase *t = tcase_create("registry_http");
    tcase_set_timeout(t, 40);
    tcase_add_checked_fixture(t, setup, teardown);
    add_tests(t);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
