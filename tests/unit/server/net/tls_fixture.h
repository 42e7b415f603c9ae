/* tls_fixture.h -- certificates for tests of TLS, made in a directory of their own. */
#ifndef LOCKSTEP_TESTS_UNIT_SERVER_NET_TLS_FIXTURE_H
#define LOCKSTEP_TESTS_UNIT_SERVER_NET_TLS_FIXTURE_H

#include <dirent.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/net/tls.h"

struct files {
    char dir[32];
    X509 *ca;
    EVP_PKEY *ca_key;
    char cert[64], key[64], ca_file[64]; /* paths of the last certificate that was made, and of the authority */
};

static inline X509 *new_cert(EVP_PKEY *key, X509 *issuer, int days)
{
    X509 *cert = X509_new();
    assert_int_equal(X509_set_version(cert, X509_VERSION_3), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), rand());
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600L * 24 * 10);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600L * 24 * days);
    X509_set_pubkey(cert, key);
    X509_set_issuer_name(cert, X509_get_subject_name(issuer != NULL ? issuer : cert));
    return cert;
}

static inline void add_common_name(X509 *cert, const char *name, size_t len)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    assert_int_equal(X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, (const unsigned char *)name,
                                                (int)len, -1, 0),
                     1);
}

static inline void add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(cert, e, -1), 1);
    X509_EXTENSION_free(e);
}

static inline void write_cert(const char *path, X509 *cert)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, cert), 1);
    fclose(f);
}

static inline void write_key(const char *path, EVP_PKEY *key, const char *password)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_PKCS8PrivateKey(f, key, password != NULL ? EVP_aes_128_cbc() : NULL, password,
                                               password != NULL ? (int)strlen(password) : 0, NULL, NULL),
                     1);
    fclose(f);
}

/* Signs a certificate of `key` and writes both to NAME.crt and NAME.key, whose paths are then in f->cert and f->key. */
static inline void sign_and_write(struct files *f, X509 *cert, EVP_PKEY *key, const char *name)
{
    X509_set_issuer_name(cert, X509_get_subject_name(f->ca));
    assert_true(X509_sign(cert, f->ca_key, EVP_sha256()) > 0);
    snprintf(f->cert, sizeof(f->cert), "%s/%s.crt", f->dir, name);
    snprintf(f->key, sizeof(f->key), "%s/%s.key", f->dir, name);
    write_cert(f->cert, cert);
    write_key(f->key, key, NULL);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* A certificate with this common name. */
static inline void make_cert(struct files *f, const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = new_cert(key, f->ca, 30);
    add_common_name(cert, name, strlen(name));
    sign_and_write(f, cert, key, name);
}

static inline void make_authority(struct files *f)
{
    f->ca_key = EVP_EC_gen("P-256");
    f->ca = new_cert(f->ca_key, NULL, 30);
    add_common_name(f->ca, "authority", 9);
    X509_set_issuer_name(f->ca, X509_get_subject_name(f->ca));
    add_extension(f->ca, NID_basic_constraints, "critical,CA:TRUE");
    assert_true(X509_sign(f->ca, f->ca_key, EVP_sha256()) > 0);
    snprintf(f->ca_file, sizeof(f->ca_file), "%s/ca.crt", f->dir);
    write_cert(f->ca_file, f->ca);
}

static inline void files_init(struct files *f)
{
    memset(f, 0, sizeof(*f));
    strcpy(f->dir, "/tmp/lockstep-tls-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    make_authority(f);
    make_cert(f, "server");
}

static inline void files_release(struct files *f)
{
    char path[300];
    struct dirent *e;
    DIR *d = opendir(f->dir);
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof(path), "%s/%s", f->dir, e->d_name);
        assert_int_equal(unlink(path), 0);
    }
    closedir(d);
    assert_int_equal(rmdir(f->dir), 0);
    X509_free(f->ca);
    EVP_PKEY_free(f->ca_key);
}

/* Settings with the certificate that was made last. */
static inline struct tls_settings settings_of(const struct files *f)
{
    return (struct tls_settings){.cert_file = f->cert,
                                 .key_file = f->key,
                                 .ca_cert_file = f->ca_file,
                                 .auth_clients = TLS_AUTH_REQUIRED,
                                 .session_caching = true,
                                 .session_cache_size = 100,
                                 .session_cache_timeout_s = 300};
}

#endif
