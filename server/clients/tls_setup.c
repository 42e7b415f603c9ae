#include "server/clients/tls_setup.h"

#include <string.h>
#include <sys/stat.h>

#include "server/config/settings.h"
#include "server/core/core.h"
#include "storage/base/log.h"
#include "storage/base/memory.h"

_Static_assert((int)TLS_AUTH_NO == 0 && (int)TLS_AUTH_REQUIRED == 1 && (int)TLS_AUTH_OPTIONAL == 2,
               "the names in config_rows.c");

enum { FILES = 7 };

/* What tells that a file was replaced or written. All zero: it cannot be read. */
struct mark {
    uint64_t device, inode;
    int64_t size, written_s, written_ns, changed_s, changed_ns;
};

struct tls_setup {
    struct core *core;
    struct tls_transport *transport;
    struct mark marks[FILES]; /* of the files that were tried last */
    uint64_t reloads, reload_failures;
    bool files_refused;
};

static void on_failed(void *ctx, struct conn *c, const char *text)
{
    const struct tls_setup *ts = ctx;
    log_verbose(ts->core->log, "Error accepting a client connection: %s (addr=%s laddr=%s)", text, conn_peer_name(c),
                conn_local_name(c));
}

struct tls_setup *tls_setup_new(struct core *core)
{
    struct tls_setup *ts = mem_calloc(sizeof(*ts));
    ts->core = core;
    ts->transport = tls_transport_new(core->loop, core->sys);
    tls_transport_on_failed(ts->transport, on_failed, ts);
    return ts;
}

void tls_setup_free(struct tls_setup *ts)
{
    if (ts == NULL) return;
    tls_transport_free(ts->transport);
    mem_free(ts);
}

struct tls_transport *tls_setup_transport(const struct tls_setup *ts)
{
    return ts->transport;
}

bool tls_setup_is_on(const struct tls_setup *ts)
{
    const struct settings *st = ts->core->settings;
    bool has_port = st->net.tls_port != 0 || st->net.proxy_tls_port != 0 || (st->http.tls && st->http.port != 0);
    return has_port || st->replication.tls_replication || st->tls.cluster;
}

/* ---- Files ---- */

/* OpenSSL opens the files itself, so struct sys has no say here either. */
static void mark_file(const char *path, struct mark *m)
{
    struct stat st;
    memset(m, 0, sizeof(*m)); /* marks are compared as bytes */
    if (path == NULL || stat(path, &st) == -1) return;
    m->device = st.st_dev;
    m->inode = st.st_ino;
    m->size = st.st_size;
    m->written_s = st.st_mtim.tv_sec;
    m->written_ns = st.st_mtim.tv_nsec;
    m->changed_s = st.st_ctim.tv_sec;
    m->changed_ns = st.st_ctim.tv_nsec;
}

static void mark_files(const struct tls_setup *ts, struct mark marks[FILES])
{
    const struct settings_tls *st = &ts->core->settings->tls;
    const char *paths[FILES] = {st->cert_file,      st->key_file,     st->client_cert_file, st->client_key_file,
                                st->dh_params_file, st->ca_cert_file, st->ca_cert_dir};
    for (int i = 0; i < FILES; i++) mark_file(paths[i], &marks[i]);
}

/* ---- Contexts ---- */

static int use_new_context(struct tls_setup *ts, struct tls_error *err)
{
    const struct settings_tls *st = &ts->core->settings->tls;
    struct tls_settings from = {
        .cert_file = st->cert_file,
        .key_file = st->key_file,
        .key_file_pass = st->key_file_pass,
        .client_cert_file = st->client_cert_file,
        .client_key_file = st->client_key_file,
        .client_key_file_pass = st->client_key_file_pass,
        .dh_params_file = st->dh_params_file,
        .ca_cert_file = st->ca_cert_file,
        .ca_cert_dir = st->ca_cert_dir,
        .protocols = st->protocols,
        .ciphers = st->ciphers,
        .ciphersuites = st->ciphersuites,
        .auth_clients = (enum tls_auth)st->auth_clients,
        .verifies_servers = ts->core->settings->replication.tls_replication || st->cluster,
        .prefer_server_ciphers = st->prefer_server_ciphers,
        .session_caching = st->session_caching,
        .session_cache_size = st->session_cache_size,
        .session_cache_timeout_s = st->session_cache_timeout_s,
    };
    struct tls_context *context;
    mark_files(ts, ts->marks); /* before they are read: a change meanwhile is found by the next look */
    int rc = tls_context_new(&from, &context, err);
    ts->files_refused = rc != 0;
    if (rc == 0) tls_transport_use(ts->transport, context);
    return rc;
}

static void warn_of_expiry(const struct tls_setup *ts)
{
    const struct tls_context *context = tls_transport_context(ts->transport);
    int64_t now_s = ts->core->clock.now_ms / 1000, client_s = tls_context_client_not_after(context);
    if (tls_context_not_after(context) <= now_s)
        log_warning(ts->core->log, "WARNING The certificate in tls-cert-file has expired");
    if (client_s != 0 && client_s <= now_s)
        log_warning(ts->core->log, "WARNING The certificate in tls-client-cert-file has expired");
}

int tls_setup_apply(struct tls_setup *ts)
{
    struct tls_error err = {{0}};
    if (!tls_setup_is_on(ts)) return 0;
    int rc = use_new_context(ts, &err);
    if (rc != 0)
        log_warning(ts->core->log, "%s", err.text);
    else
        warn_of_expiry(ts);
    return rc;
}

void tls_setup_cron(struct tls_setup *ts)
{
    struct mark now[FILES];
    struct tls_error err = {{0}};
    if (LIKELY(!tls_setup_is_on(ts)) || !ts->core->settings->tls.auto_reload) return;
    mark_files(ts, now);
    if (memcmp(now, ts->marks, sizeof(now)) == 0) return;
    if (use_new_context(ts, &err) == 0) {
        ts->reloads++;
        log_notice(ts->core->log, "TLS certificates, keys or CA files have changed: new connections use the new ones");
        warn_of_expiry(ts);
    } else {
        ts->reload_failures++;
        log_warning(ts->core->log, "TLS files have changed and cannot be used, so the old ones stay in use: %s",
                    err.text);
    }
}

void tls_setup_describe(const struct tls_setup *ts, struct tls_setup_info *out)
{
    const struct tls_context *context = tls_transport_context(ts->transport);
    *out = (struct tls_setup_info){.not_after_s = context != NULL ? tls_context_not_after(context) : 0,
                                   .client_not_after_s = context != NULL ? tls_context_client_not_after(context) : 0,
                                   .reloads = ts->reloads,
                                   .reload_failures = ts->reload_failures,
                                   .files_refused = ts->files_refused};
    tls_transport_stats(ts->transport, &out->handshakes);
}
