#include "server/net/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#include "server/net/tls_internal.h"
#include "storage/base/memory.h"

/* A certificate with its key, for one half of a context. */
struct identity {
    const char *cert_file, *key_file, *key_file_pass;
    const char *cert_directive, *key_directive, *pass_directive; /* for error texts */
};

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* ---- Errors ---- */

void tls_take_error(enum tls_which_error which, char *text, size_t cap, const char *otherwise)
{
    unsigned long code = which == TLS_OLDEST_ERROR ? ERR_peek_error() : ERR_peek_last_error();
    const char *reason = NULL;
    if (code != 0) reason = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    snprintf(text, cap, "%s", reason != NULL ? reason : otherwise);
    ERR_clear_error();
}

static PRINTF(2, 3) int fail(struct tls_error *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (err != NULL) vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    ERR_clear_error();
    return -EINVAL;
}

/* Appends OpenSSL's reason to the text. */
static int fail_with_reason(struct tls_error *err, const char *what, const char *which)
{
    char reason[160];
    tls_take_error(TLS_OLDEST_ERROR, reason, sizeof(reason), "unknown error");
    return fail(err, "%s: %s: %s", what, which, reason);
}

/* ---- Protocols and ciphers ---- */

static const struct {
    const char *name;
    int version;
    uint64_t off;
} protocols[] = {
    {"TLSv1", TLS1_VERSION, SSL_OP_NO_TLSv1},
    {"TLSv1.1", TLS1_1_VERSION, SSL_OP_NO_TLSv1_1},
    {"TLSv1.2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_2},
    {"TLSv1.3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_3},
};
enum { PROTOCOLS = sizeof(protocols) / sizeof(protocols[0]), PROTOCOLS_DEFAULT = 1 << 2 | 1 << 3 };

/* The bits of the named protocols, or 0 for a word that names none. */
static unsigned parse_protocols(const char *text)
{
    unsigned found = 0;
    if (!is_set(text)) return PROTOCOLS_DEFAULT;
    while (*(text += strspn(text, " \t")) != '\0') {
        size_t len = strcspn(text, " \t"), i = 0;
        while (i < PROTOCOLS && (strlen(protocols[i].name) != len || strncasecmp(protocols[i].name, text, len) != 0))
            i++;
        if (i == PROTOCOLS) return 0;
        found |= 1u << i;
        text += len;
    }
    return found;
}

static int set_protocols(SSL_CTX *ctx, const char *text, struct tls_error *err)
{
    unsigned chosen = parse_protocols(text);
    int lowest = 0;
    if (chosen == 0)
        return fail(err, "Invalid tls-protocols: a combination of TLSv1, TLSv1.1, TLSv1.2 and TLSv1.3 is expected");
    for (size_t i = 0; i < PROTOCOLS; i++) {
        if ((chosen & 1u << i) == 0)
            SSL_CTX_set_options(ctx, protocols[i].off);
        else if (lowest == 0)
            lowest = protocols[i].version;
    }
    /* The system's configuration may have a higher minimum: the directive decides. */
    SSL_CTX_set_min_proto_version(ctx, lowest);
    SSL_CTX_set_max_proto_version(ctx, 0);
    /* OpenSSL 3 uses TLS 1.0 and 1.1 at security level 0 only. */
    if (lowest < TLS1_2_VERSION) SSL_CTX_set_security_level(ctx, 0);
    return 0;
}

/* Elliptic curves. OpenSSL's default includes the group ffdhe8192, with which anybody can keep the server busy for more than
 * ten milliseconds. The second list is for providers that have the curves of NIST only. */
static int set_groups(SSL_CTX *ctx, struct tls_error *err)
{
    static const char *const lists[] = {"X25519:P-256:X448:P-384:P-521", "P-256:P-384:P-521"};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        if (SSL_CTX_set1_groups_list(ctx, lists[i]) == 1) return 0;
    return fail_with_reason(err, "Failed to configure the groups of the key exchange", lists[1]);
}

static int set_ciphers(SSL_CTX *ctx, const struct tls_settings *st, struct tls_error *err)
{
    if (is_set(st->ciphers) && SSL_CTX_set_cipher_list(ctx, st->ciphers) != 1)
        return fail_with_reason(err, "Failed to configure tls-ciphers", st->ciphers);
    if (is_set(st->ciphersuites) && SSL_CTX_set_ciphersuites(ctx, st->ciphersuites) != 1)
        return fail_with_reason(err, "Failed to configure tls-ciphersuites", st->ciphersuites);
    return 0;
}

static int set_dh_params(SSL_CTX *ctx, const char *path, struct tls_error *err)
{
    if (!is_set(path)) return 0;
    BIO *file = BIO_new_file(path, "r");
    EVP_PKEY *params = file != NULL ? PEM_read_bio_Parameters(file, NULL) : NULL;
    BIO_free(file);
    if (params != NULL && SSL_CTX_set0_tmp_dh_pkey(ctx, params) == 1) return 0; /* the context owns them */
    EVP_PKEY_free(params);
    return fail_with_reason(err, "Failed to load DH parameters", path);
}

/* ---- Files ---- */

struct password {
    const char *text;
    bool was_asked;
};

static int give_password(char *buf, int size, int for_writing, void *ctx)
{
    struct password *p = ctx;
    (void)for_writing;
    if (p == NULL) return -1;
    p->was_asked = true;
    size_t len = is_set(p->text) ? strlen(p->text) : 0;
    if (len == 0 || len > (size_t)size) return -1; /* never asks the terminal */
    memcpy(buf, p->text, len);
    return (int)len;
}

/* A key that was decrypted and does not fit the certificate is an error of X.509. */
static int fail_with_key(const struct identity *id, const struct password *p, struct tls_error *err)
{
    if (!p->was_asked || ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_X509)
        return fail_with_reason(err, "Failed to load private key", id->key_file);
    return fail(err, "Failed to load private key: %s is encrypted, and %s is empty or wrong", id->key_file,
                id->pass_directive);
}

static int load_identity(SSL_CTX *ctx, const struct identity *id, struct tls_error *err)
{
    if (!is_set(id->cert_file)) return fail(err, "No %s configured!", id->cert_directive);
    if (!is_set(id->key_file)) return fail(err, "No %s configured!", id->key_directive);
    struct password password = {.text = id->key_file_pass};
    SSL_CTX_set_default_passwd_cb(ctx, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, &password);
    int rc = 0;
    if (SSL_CTX_use_certificate_chain_file(ctx, id->cert_file) != 1)
        rc = fail_with_reason(err, "Failed to load certificate", id->cert_file);
    else if (SSL_CTX_use_PrivateKey_file(ctx, id->key_file, SSL_FILETYPE_PEM) != 1)
        rc = fail_with_key(id, &password, err);
    else if (SSL_CTX_check_private_key(ctx) != 1)
        rc = fail_with_reason(err, "The private key does not belong to the certificate", id->key_file);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL); /* the password is borrowed */
    return rc;
}

static int load_authorities(SSL_CTX *ctx, const struct tls_settings *st, struct tls_error *err)
{
    if (is_set(st->ca_cert_file) && SSL_CTX_load_verify_file(ctx, st->ca_cert_file) != 1)
        return fail_with_reason(err, "Failed to load CA certificates", st->ca_cert_file);
    if (!is_set(st->ca_cert_dir)) return 0;
    struct stat dir; /* OpenSSL would take a missing one for an empty one */
    if (stat(st->ca_cert_dir, &dir) == -1 || !S_ISDIR(dir.st_mode))
        return fail(err, "Failed to use tls-ca-cert-dir: %s is not a directory", st->ca_cert_dir);
    if (SSL_CTX_load_verify_dir(ctx, st->ca_cert_dir) == 1) return 0;
    return fail_with_reason(err, "Failed to use tls-ca-cert-dir", st->ca_cert_dir);
}

/* ---- Contexts ---- */

static int new_half(const struct tls_settings *st, const SSL_METHOD *method, const struct identity *id, SSL_CTX **out,
                    struct tls_error *err)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx == NULL) return fail_with_reason(err, "Cannot make a TLS context", "SSL_CTX_new");
    SSL_CTX_set_options(ctx, SSL_OP_NO_SSLv3 | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_SINGLE_DH_USE |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* conn_tls.c reads ahead and counts records. For that, OpenSSL reads the header of each record by itself, and a read
     * returns after each message of a handshake: with read-ahead of its own it would go on for as long as it has some. */
    SSL_CTX_set_read_ahead(ctx, 0);
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    int rc = set_groups(ctx, err);
    if (rc == 0) rc = set_protocols(ctx, st->protocols, err);
    if (rc == 0) rc = set_ciphers(ctx, st, err);
    if (rc == 0) rc = load_identity(ctx, id, err);
    if (rc == 0) rc = load_authorities(ctx, st, err);
    if (rc == 0)
        *out = ctx;
    else
        SSL_CTX_free(ctx);
    return rc;
}

static void set_session_cache(SSL_CTX *ctx, const struct tls_settings *st)
{
    static const unsigned char id[] = "lockstep"; /* required where client certificates are verified */
    SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
    if (!st->session_caching) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
        return;
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER);
    SSL_CTX_sess_set_cache_size(ctx, st->session_cache_size);
    if (st->session_cache_timeout_s > 0) SSL_CTX_set_timeout(ctx, st->session_cache_timeout_s);
    SSL_CTX_set_num_tickets(ctx, 1);
}

static int verify_mode(enum tls_auth auth)
{
    switch (auth) {
    case TLS_AUTH_NO: return SSL_VERIFY_NONE;
    case TLS_AUTH_REQUIRED: return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    case TLS_AUTH_OPTIONAL: return SSL_VERIFY_PEER;
    }
    return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

static int new_accepting(const struct tls_settings *st, SSL_CTX **out, struct tls_error *err)
{
    struct identity id = {st->cert_file,   st->key_file,   st->key_file_pass,
                          "tls-cert-file", "tls-key-file", "tls-key-file-pass"};
    SSL_CTX *ctx = NULL;
    int rc = new_half(st, TLS_server_method(), &id, &ctx, err);
    if (rc == 0) rc = set_dh_params(ctx, st->dh_params_file, err);
    if (rc != 0) {
        SSL_CTX_free(ctx);
        return rc;
    }
    if (st->prefer_server_ciphers) SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_verify(ctx, verify_mode(st->auth_clients), NULL);
    set_session_cache(ctx, st);
    *out = ctx;
    return 0;
}

static int new_connecting(const struct tls_settings *st, SSL_CTX **out, struct tls_error *err)
{
    struct identity id = {st->cert_file,   st->key_file,   st->key_file_pass,
                          "tls-cert-file", "tls-key-file", "tls-key-file-pass"};
    if (is_set(st->client_cert_file))
        id = (struct identity){st->client_cert_file,   st->client_key_file,   st->client_key_file_pass,
                               "tls-client-cert-file", "tls-client-key-file", "tls-client-key-file-pass"};
    int rc = new_half(st, TLS_client_method(), &id, out, err);
    if (rc != 0) return rc;
    SSL_CTX_set_verify(*out, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(*out, SSL_SESS_CACHE_OFF);
    return 0;
}

static int64_t expiry_of(const SSL_CTX *ctx)
{
    struct tm tm = {0};
    const X509 *cert = SSL_CTX_get0_certificate(ctx);
    if (cert == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1) return 0;
    return (int64_t)timegm(&tm);
}

int tls_context_new(const struct tls_settings *st, struct tls_context **out, struct tls_error *err)
{
    bool needs_ca = st->auth_clients != TLS_AUTH_NO || st->verifies_servers;
    if (needs_ca && !is_set(st->ca_cert_file) && !is_set(st->ca_cert_dir))
        return fail(err,
                    "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication "
                    "or tls-auth-clients are enabled!");
    struct tls_context made = {0};
    ERR_clear_error();
    int rc = new_accepting(st, &made.accepting, err);
    if (rc == 0) rc = new_connecting(st, &made.connecting, err);
    if (rc != 0) {
        SSL_CTX_free(made.accepting);
        return rc;
    }
    made.not_after = expiry_of(made.accepting);
    if (is_set(st->client_cert_file)) made.client_not_after = expiry_of(made.connecting);
    *out = mem_alloc(sizeof(**out));
    **out = made;
    return 0;
}

void tls_context_free(struct tls_context *t)
{
    if (t == NULL) return;
    SSL_CTX_free(t->accepting);
    SSL_CTX_free(t->connecting);
    mem_free(t);
}

int64_t tls_context_not_after(const struct tls_context *t)
{
    return t->not_after;
}

int64_t tls_context_client_not_after(const struct tls_context *t)
{
    return t->client_not_after;
}
