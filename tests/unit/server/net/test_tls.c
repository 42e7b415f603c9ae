#include "server/net/tls.h"

#include <errno.h>
#include <sys/stat.h>
#include <time.h>

#include "server/net/tls_internal.h"
#include "tests/unit/server/net/tls_fixture.h"

struct fixture {
    struct files files;
    struct tls_settings st;
};

static int setup(void **state)
{
    static struct fixture f;
    files_init(&f.files);
    f.st = settings_of(&f.files);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    files_release(&((struct fixture *)*state)->files);
    return 0;
}

static struct tls_context *accepted(const struct fixture *f)
{
    struct tls_context *t = NULL;
    struct tls_error err = {{0}};
    if (tls_context_new(&f->st, &t, &err) != 0) fail_msg("%s", err.text);
    return t;
}

static void refused(const struct fixture *f, const char *text)
{
    struct tls_context *t = (struct tls_context *)f; /* stays untouched */
    struct tls_error err = {{0}};
    assert_int_equal(tls_context_new(&f->st, &t, &err), -EINVAL);
    assert_ptr_equal(t, f);
    if (strstr(err.text, text) == NULL) fail_msg("[%s] has no [%s]", err.text, text);
    assert_int_equal(tls_context_new(&f->st, &t, NULL), -EINVAL);
}

static void test_both_halves(void **state)
{
    struct fixture *f = *state;
    struct tls_context *t = accepted(f);
    int64_t left_s = tls_context_not_after(t) - (int64_t)time(NULL);
    assert_true(left_s > 29 * 24 * 3600 && left_s <= 30 * 24 * 3600);
    assert_int_equal(tls_context_client_not_after(t), 0); /* no certificate of its own */
    assert_int_equal(SSL_CTX_get_verify_mode(t->accepting), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
    assert_int_equal(SSL_CTX_get_verify_mode(t->connecting), SSL_VERIFY_PEER);
    for (int i = 0; i < 2; i++) {
        SSL_CTX *half = i == 0 ? t->accepting : t->connecting;
        uint64_t needed = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION;
        assert_true((SSL_CTX_get_options(half) & needed) == needed);
        assert_int_equal(SSL_CTX_get_min_proto_version(half), TLS1_2_VERSION);
        assert_non_null(SSL_CTX_get0_privatekey(half));
    }
    tls_context_free(t);
    tls_context_free(NULL);
}

static void test_expiry_of_a_certificate_of_its_own(void **state)
{
    struct fixture *f = *state;
    char server_cert[64], server_key[64];
    strcpy(server_cert, f->files.cert);
    strcpy(server_key, f->files.key);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = new_cert(key, f->files.ca, 60);
    add_common_name(cert, "replica", 7);
    sign_and_write(&f->files, cert, key, "replica");
    f->st.cert_file = server_cert;
    f->st.key_file = server_key;
    f->st.client_cert_file = f->files.cert;
    f->st.client_key_file = f->files.key;
    struct tls_context *t = accepted(f);
    int64_t longer_s = tls_context_client_not_after(t) - tls_context_not_after(t);
    assert_true(longer_s > 29 * 24 * 3600 && longer_s < 31 * 24 * 3600);
    tls_context_free(t);
}

static void test_missing_settings(void **state)
{
    struct fixture *f = *state;
    f->st.cert_file = "";
    refused(f, "No tls-cert-file configured!");
    f->st = settings_of(&f->files);
    f->st.key_file = NULL;
    refused(f, "No tls-key-file configured!");
    f->st = settings_of(&f->files);
    f->st.ca_cert_file = NULL;
    refused(f, "Either tls-ca-cert-file or tls-ca-cert-dir must be specified");
    f->st.auth_clients = TLS_AUTH_NO;
    tls_context_free(accepted(f));
    f->st.verifies_servers = true;
    refused(f, "Either tls-ca-cert-file or tls-ca-cert-dir must be specified");
    f->st = settings_of(&f->files);
    f->st.client_cert_file = f->files.cert;
    refused(f, "No tls-client-key-file configured!");
}

static void test_files_that_do_not_fit(void **state)
{
    struct fixture *f = *state;
    char old_key[64];
    strcpy(old_key, f->files.key);
    make_cert(&f->files, "other");
    f->st = settings_of(&f->files);
    f->st.key_file = old_key;
    refused(f, "Failed to load private key");
    f->st = settings_of(&f->files);
    f->st.cert_file = "/nonexistent/cert";
    refused(f, "Failed to load certificate: /nonexistent/cert: No such file or directory");
    f->st = settings_of(&f->files);
    f->st.ca_cert_file = f->files.key;
    refused(f, "Failed to load CA certificates");
    f->st = settings_of(&f->files);
    f->st.ca_cert_dir = f->files.key;
    refused(f, "is not a directory");
    f->st.ca_cert_dir = f->files.dir;
    tls_context_free(accepted(f));
    f->st.dh_params_file = f->files.cert;
    refused(f, "Failed to load DH parameters");
}

static void test_password_of_a_key(void **state)
{
    struct fixture *f = *state;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    EVP_PKEY_up_ref(key);
    X509 *cert = new_cert(key, f->files.ca, 30);
    add_common_name(cert, "locked", 6);
    sign_and_write(&f->files, cert, key, "locked");
    write_key(f->files.key, key, "secret");
    EVP_PKEY_free(key);
    f->st = settings_of(&f->files);
    refused(f, "is encrypted, and tls-key-file-pass is empty or wrong");
    f->st.key_file_pass = "wrong";
    refused(f, "is encrypted, and tls-key-file-pass is empty or wrong");
    f->st.key_file_pass = "secret";
    tls_context_free(accepted(f));
    char locked[64];
    strcpy(locked, f->files.key);
    make_cert(&f->files, "other");
    f->st.client_cert_file = f->files.cert;
    f->st.client_key_file = locked;
    refused(f, "is empty");
    f->st.client_key_file_pass = "secret"; /* it is another key */
    refused(f, "key values mismatch");
}

static void test_protocols(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        int lowest;
        uint64_t off;
    } cases[] = {
        {"", TLS1_2_VERSION, SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1},
        {"TLSv1.3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_2},
        {" tlsv1.3  TLSV1.2 ", TLS1_2_VERSION, SSL_OP_NO_TLSv1_1},
        {"TLSv1.2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_3},
        {"TLSv1 TLSv1.2", TLS1_VERSION, SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_3},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        f->st.protocols = cases[i].text;
        struct tls_context *t = accepted(f);
        assert_int_equal(SSL_CTX_get_min_proto_version(t->accepting), cases[i].lowest);
        assert_true((SSL_CTX_get_options(t->accepting) & cases[i].off) == cases[i].off);
        tls_context_free(t);
    }
    static const char *const bad[] = {"TLSv1.4", "TLSv1.2,TLSv1.3", "SSLv3", "TLSv", "TLSv1.33", " "};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        f->st.protocols = bad[i];
        refused(f, "Invalid tls-protocols");
    }
}

static void test_ciphers(void **state)
{
    struct fixture *f = *state;
    f->st.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384";
    f->st.ciphersuites = "TLS_AES_128_GCM_SHA256";
    f->st.prefer_server_ciphers = true;
    struct tls_context *t = accepted(f);
    assert_true((SSL_CTX_get_options(t->accepting) & SSL_OP_CIPHER_SERVER_PREFERENCE) != 0);
    assert_int_equal(sk_SSL_CIPHER_num(SSL_CTX_get_ciphers(t->accepting)), 2);
    tls_context_free(t);
    f->st.ciphers = "NONSENSE";
    refused(f, "Failed to configure tls-ciphers: NONSENSE");
    f->st.ciphers = NULL;
    f->st.ciphersuites = "NONSENSE";
    refused(f, "Failed to configure tls-ciphersuites: NONSENSE");
}

static void test_sessions(void **state)
{
    struct fixture *f = *state;
    struct tls_context *t = accepted(f);
    assert_int_equal(SSL_CTX_get_session_cache_mode(t->accepting), SSL_SESS_CACHE_SERVER);
    assert_int_equal(SSL_CTX_sess_get_cache_size(t->accepting), 100);
    assert_int_equal(SSL_CTX_get_timeout(t->accepting), 300);
    tls_context_free(t);
    f->st.session_caching = false;
    t = accepted(f);
    assert_int_equal(SSL_CTX_get_session_cache_mode(t->accepting), SSL_SESS_CACHE_OFF);
    assert_int_equal(SSL_CTX_get_num_tickets(t->accepting), 0);
    assert_true((SSL_CTX_get_options(t->accepting) & SSL_OP_NO_TICKET) != 0);
    tls_context_free(t);
}

static void test_verification_of_clients(void **state)
{
    struct fixture *f = *state;
    f->st.auth_clients = TLS_AUTH_OPTIONAL;
    struct tls_context *t = accepted(f);
    assert_int_equal(SSL_CTX_get_verify_mode(t->accepting), SSL_VERIFY_PEER);
    tls_context_free(t);
    f->st.auth_clients = TLS_AUTH_NO;
    t = accepted(f);
    assert_int_equal(SSL_CTX_get_verify_mode(t->accepting), SSL_VERIFY_NONE);
    assert_int_equal(SSL_CTX_get_verify_mode(t->connecting), SSL_VERIFY_PEER);
    tls_context_free(t);
}

static void test_client_certificate(void **state)
{
    struct fixture *f = *state;
    char server_cert[64], server_key[64];
    strcpy(server_cert, f->files.cert);
    strcpy(server_key, f->files.key);
    make_cert(&f->files, "client");
    f->st.cert_file = server_cert;
    f->st.key_file = server_key;
    f->st.client_cert_file = f->files.cert;
    f->st.client_key_file = f->files.key;
    struct tls_context *t = accepted(f);
    char name[64];
    X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_CTX_get0_certificate(t->accepting)), NID_commonName, name,
                              sizeof(name));
    assert_string_equal(name, "server");
    X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_CTX_get0_certificate(t->connecting)), NID_commonName, name,
                              sizeof(name));
    assert_string_equal(name, "client");
    tls_context_free(t);
    f->st.client_key_file = server_key;
    refused(f, "Failed to load private key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_halves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expiry_of_a_certificate_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_settings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_that_do_not_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_password_of_a_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_protocols, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ciphers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sessions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_verification_of_clients, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_certificate, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
