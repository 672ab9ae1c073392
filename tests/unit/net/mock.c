/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/net/mock.h"

#include <check.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/arena.h"

struct mock {
    struct MHD_Daemon *daemon;
    mock_handler *handler;
    void *self;
    pthread_mutex_t lock;
    int port, requests, connections;
    char url[80];
    struct buf key, cert; /* PEM */
};

/* ---- a certificate ---- */

static void take_pem(BIO *from, struct buf *out)
{
    char *p = NULL;
    long len = BIO_get_mem_data(from, &p);
    buf_add(out, p, (size_t) len);
    buf_add_char(out, 0);
    BIO_free(from);
}

static void add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ck_assert(extension && X509_add_ext(x, extension, -1));
    X509_EXTENSION_free(extension);
}

static void make_certificate(struct mock *m, const char *host)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    X509 *x = X509_new();
    BIO *key_out = BIO_new(BIO_s_mem()), *cert_out = BIO_new(BIO_s_mem());
    char names[120];
    ck_assert(key && x && key_out && cert_out);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *) host, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    snprintf(names, sizeof names, "DNS:%s", host);
    add_extension(x, NID_subject_alt_name, names);
    add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
    ck_assert(X509_sign(x, key, EVP_sha256()));
    ck_assert(PEM_write_bio_PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL) && PEM_write_bio_X509(cert_out, x));
    take_pem(key_out, &m->key);
    take_pem(cert_out, &m->cert);
    X509_free(x);
    EVP_PKEY_free(key);
}

void mock_write_ca(const struct mock *m, const char *path)
{
    FILE *f = fopen(path, "w");
    ck_assert(f && fputs(m->cert.p, f) >= 0 && fclose(f) == 0);
}

/* ---- requests ---- */

static ssize_t read_piece(void *self, uint64_t at, char *out, size_t room)
{
    const struct buf *body = self;
    size_t left = body->len - (size_t) at;
    if (!left)
        return MHD_CONTENT_READER_END_OF_STREAM;
    memcpy(out, body->p + at, left < room ? left : room);
    return (ssize_t) (left < room ? left : room);
}

static void free_body(void *self)
{
    buf_free(self);
    free(self);
}

static struct MHD_Response *response_of(const struct mock_answer *a)
{
    if (!a->no_length)
        return MHD_create_response_from_buffer(a->body.len, a->body.p ? a->body.p : (void *) (uintptr_t) "", MHD_RESPMEM_MUST_COPY);
    struct buf *body = mem_zalloc(1, sizeof *body);
    buf_add_str(body, buf_str(&a->body));
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, read_piece, body, free_body);
}

static enum MHD_Result answer(struct mock *m, struct MHD_Connection *c, const struct mock_request *rq)
{
    struct mock_answer a = {.status = 500};
    pthread_mutex_lock(&m->lock);
    m->requests++;
    m->handler(m->self, rq, &a);
    pthread_mutex_unlock(&m->lock);
    (void) poll(NULL, 0, a.delay_ms);
    if (!a.status) {
        buf_free(&a.body);
        return MHD_NO;
    }
    struct MHD_Response *r = response_of(&a);
    if (a.header)
        (void) MHD_add_response_header(r, a.header, a.header_value);
    enum MHD_Result rc = MHD_queue_response(c, (unsigned) a.status, r);
    MHD_destroy_response(r);
    buf_free(&a.body);
    return rc;
}

static enum MHD_Result take_argument(void *self, enum MHD_ValueKind kind, const char *key, const char *value)
{
    (void) kind;
    buf_addf(self, "%s=%s", key, value ? value : "");
    return MHD_YES;
}

static enum MHD_Result on_request(void *self, struct MHD_Connection *c, const char *path, const char *method, const char *version,
                                  const char *bytes, size_t *len, void **state)
{
    struct buf *body = *state, query = BUF_INIT;
    (void) version;
    if (!body) {
        *state = mem_zalloc(1, sizeof *body);
        return MHD_YES;
    }
    if (*len) {
        buf_add(body, bytes, *len);
        *len = 0;
        return MHD_YES;
    }
    MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, take_argument, &query);
    const struct mock_request rq = {.method = method, .path = path, .query = buf_str(&query),
                                    .authorization = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization"),
                                    .content_type = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Type"),
                                    .body = buf_str(body)};
    enum MHD_Result rc = answer(self, c, &rq);
    buf_free(&query);
    return rc;
}

static void on_end(void *self, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why)
{
    (void) self, (void) c, (void) why;
    if (*state)
        free_body(*state);
}

static void on_connection(void *self, struct MHD_Connection *c, void **state, enum MHD_ConnectionNotificationCode what)
{
    struct mock *m = self;
    (void) c, (void) state;
    if (what != MHD_CONNECTION_NOTIFY_STARTED)
        return;
    pthread_mutex_lock(&m->lock);
    m->connections++;
    pthread_mutex_unlock(&m->lock);
}

static void on_log(void *self, const char *fmt, va_list args)
{
    (void) self, (void) fmt, (void) args; /* clients that break off are meant to */
}

/* ---- the server ---- */

struct mock *mock_open(mock_handler *handler, void *self, const char *tls, int port)
{
    struct mock *m = mem_zalloc(1, sizeof *m);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    m->handler = handler;
    m->self = self;
    pthread_mutex_init(&m->lock, NULL);
    if (tls)
        make_certificate(m, tls);
    struct MHD_OptionItem secure[] = {{MHD_OPTION_HTTPS_MEM_KEY, 0, m->key.p}, {MHD_OPTION_HTTPS_MEM_CERT, 0, m->cert.p}, {MHD_OPTION_END, 0, NULL}};
    m->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, m, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
                                 MHD_OPTION_SOCK_ADDR, &a, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u,
                                 MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, m,
                                 MHD_OPTION_ARRAY, tls ? secure : &secure[2], MHD_OPTION_END);
    ck_assert_msg(m->daemon != NULL, "the mock does not start");
    m->port = MHD_get_daemon_info(m->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    snprintf(m->url, sizeof m->url, "%s://%s:%d", tls ? "https" : "http", tls ? tls : "127.0.0.1", m->port);
    return m;
}

void mock_close(struct mock *m)
{
    MHD_stop_daemon(m->daemon);
    pthread_mutex_destroy(&m->lock);
    buf_free(&m->key);
    buf_free(&m->cert);
    free(m);
}

int mock_port(const struct mock *m)
{
    return m->port;
}

const char *mock_url(const struct mock *m)
{
    return m->url;
}

int mock_requests(struct mock *m)
{
    pthread_mutex_lock(&m->lock);
    int n = m->requests;
    pthread_mutex_unlock(&m->lock);
    return n;
}

int mock_connections(struct mock *m)
{
    pthread_mutex_lock(&m->lock);
    int n = m->connections;
    pthread_mutex_unlock(&m->lock);
    return n;
}

int mock_free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert(fd >= 0 && bind(fd, (struct sockaddr *) &a, len) == 0 && getsockname(fd, (struct sockaddr *) &a, &len) == 0);
    close(fd);
    return ntohs(a.sin_port);
}
