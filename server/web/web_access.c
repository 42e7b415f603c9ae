#include "server/web/web_access.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <strings.h>

#include "server/acl/acl_log.h"
#include "server/acl/users.h"
#include "server/clients/clients.h"
#include "server/clients/session.h"

/* ---- Hosts and origins ---- */

static bool is_address(struct bytes_view host)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char address[16];
    if (host.len >= sizeof(text)) return false;
    memcpy(text, host.data, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

/* `names`: http-hosts. */
static bool is_listed(const char *names, struct bytes_view host)
{
    if (names == NULL) return false;
    if (strcmp(names, "*") == 0) return true;
    for (size_t len; *names != '\0'; names += len) {
        names += strspn(names, " ");
        len = strcspn(names, " ");
        if (len == host.len && len > 0 && strncasecmp(names, host.data, len) == 0) return true;
    }
    return false;
}

/* A request of HTTP/1.0 may come without a Host. Browsers send none of those. */
static bool is_our_host(const struct settings_http *st, struct bytes_view authority)
{
    struct bytes_view host;
    if (authority.data == NULL) return true;
    return web_host_split(authority, &host) &&
           (is_address(host) || bytes_equal_nocase(host, "localhost") || is_listed(st->hosts, host));
}

static bool is_our_origin(const struct web_request *rq)
{
    static const char *const schemes[] = {"http://", "https://"}; /* a proxy in front may add TLS */
    if (rq->origin.data == NULL) return true;
    for (size_t i = 0; i < 2 && rq->host.data != NULL; i++) {
        size_t len = strlen(schemes[i]);
        if (rq->origin.len == len + rq->host.len && strncasecmp(rq->origin.data, schemes[i], len) == 0 &&
            strncasecmp(rq->origin.data + len, rq->host.data, rq->host.len) == 0)
            return true;
    }
    return false;
}

/* A link on another site may lead to the page; nothing else of another site may ask. */
static bool is_our_page(const struct web_request *rq)
{
    if (rq->fetch_site.data == NULL || bytes_equal_nocase(rq->fetch_site, "same-origin") ||
        bytes_equal_nocase(rq->fetch_site, "none"))
        return true;
    return bytes_equal_nocase(rq->fetch_mode, "navigate");
}

static bool is_our_site(const struct settings_http *st, const struct web_request *rq, struct web_reply *reply)
{
    if (!is_our_host(st, rq->host)) {
        web_reply_line(reply, 403, "forbidden: the name of this host is not in http-hosts");
        return false;
    }
    if (is_our_origin(rq) && is_our_page(rq)) return true;
    web_reply_line(reply, 403, "forbidden: the request comes from another site");
    return false;
}

/* ---- Users ---- */

static const char *group_name(enum settings_http_group group)
{
    return group == HTTP_GROUP_HEALTH ? "http|health" : group == HTTP_GROUP_METRICS ? "http|metrics" : "http|page";
}

/* The fields of CLIENT LIST, which programs look for in ACL LOG. A request is no client, so most are constant. */
static void describe(const struct conn *conn, enum settings_http_group group, struct bytes_buf *out)
{
    bytes_buf_printf(out,
                     "id=0 addr=%s laddr=%s fd=%d name= age=0 idle=0 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=0 "
                     "qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=%s "
                     "user=(none) redir=-1 resp=2 lib-name= lib-ver=",
                     conn_peer_name(conn), conn_local_name(conn), conn_fd(conn), group_name(group));
}

static void note_denial(struct clients *cs, const struct conn *conn, enum settings_http_group group,
                        enum acl_reason reason, struct bytes_view user)
{
    struct core *core = cs->core;
    struct acl_denial why = {reason, bytes_str(group_name(group))};
    struct bytes_buf client = {0};
    *(reason == ACL_DENIED_AUTH ? &core->stats.acl_denied_auth : &core->stats.acl_denied_cmd) += 1;
    describe(conn, group, &client);
    acl_log_note(cs->acl_log, ACL_TOPLEVEL, &why, user, bytes_buf_view(&client), core->clock.now_ms,
                 (size_t)core->settings->security.acllog_max_len);
    bytes_buf_release(&client);
}

static void ask_login(struct web_reply *reply, const char *text)
{
    web_reply_line(reply, 401, "%s", text);
    reply->asks_login = true;
}

/* Decodes "Basic BASE64" into `text`, which has WEB_HEAD_MAX bytes. False: it is something else. */
static bool decode_basic(struct bytes_view value, unsigned char *text, struct bytes_view *name,
                         struct bytes_view *password)
{
    static const char scheme[] = "Basic ";
    size_t skip = sizeof(scheme) - 1;
    if (value.len < skip || strncasecmp(value.data, scheme, skip) != 0) return false;
    while (skip < value.len && value.data[skip] == ' ') skip++;
    struct bytes_view code = bytes_view(value.data + skip, value.len - skip);
    if (code.len == 0 || code.len % 4 != 0) return false;
    int len = EVP_DecodeBlock(text, (const unsigned char *)code.data, (int)code.len);
    if (len < 0) return false;
    len -= (code.data[code.len - 1] == '=') + (code.data[code.len - 2] == '='); /* the padding was decoded, too */
    const unsigned char *colon = memchr(text, ':', (size_t)len);
    if (colon == NULL) return false;
    *name = bytes_view(text, (size_t)(colon - text));
    *password = bytes_view(colon + 1, (size_t)len - name->len - 1);
    return true;
}

static struct acl_user *log_in(struct clients *cs, const struct conn *conn, const struct web_request *rq,
                               enum settings_http_group group, struct web_reply *reply)
{
    unsigned char text[WEB_HEAD_MAX];
    struct bytes_view name, password;
    if (!decode_basic(rq->authorization, text, &name, &password)) {
        ask_login(reply, "unauthorized: this is no login of the kind Basic");
        return NULL;
    }
    struct acl_user *user = acl_users_find(cs->users, name);
    if (user == NULL || !acl_user_accepts(user, password)) {
        note_denial(cs, conn, group, ACL_DENIED_AUTH, name);
        ask_login(reply, "unauthorized: wrong user name or password, or the user is disabled");
        reply->delay_ms = WEB_ACCESS_DELAY_MS;
        user = NULL;
    }
    explicit_bzero(text, sizeof(text));
    return user;
}

static struct acl_user *anonymous(struct clients *cs, const struct conn *conn, struct web_reply *reply)
{
    struct acl_user *user = acl_session_user_of_certificate(cs, conn);
    if (user != NULL) return user;
    if (!acl_session_is_open(cs))
        ask_login(reply, "unauthorized: a user with a password is required");
    else if (cs->core->settings->net.protected_mode && !conn_is_local(conn))
        ask_login(reply, "unauthorized: protected-mode is on, and the default user has no password");
    else
        return acl_users_default(cs->users);
    return NULL;
}

static bool has_permission(struct clients *cs, const struct acl_user *user, enum settings_http_group group)
{
    struct bytes_view full = bytes_str(group_name(group));
    struct bytes_view argv[2] = {BYTES_LIT("http"), bytes_view(full.data + 5, full.len - 5)};
    struct acl_denial why;
    return acl_check(user, command_table_find_documented(cs->commands, full), 2, argv, &why);
}

bool web_access_permits(struct clients *cs, const struct conn *conn, const struct web_request *rq,
                        enum settings_http_group group, struct web_reply *reply)
{
    const struct settings_http *st = &cs->core->settings->http;
    if (!is_our_site(st, rq, reply)) return false;
    if ((unsigned)st->public_groups & group) return true;
    const struct acl_user *user =
        rq->authorization.data != NULL ? log_in(cs, conn, rq, group, reply) : anonymous(cs, conn, reply);
    if (user == NULL) return false;
    if (has_permission(cs, user, group)) return true;
    note_denial(cs, conn, group, ACL_DENIED_COMMAND, acl_user_name(user));
    web_reply_line(reply, 403, "forbidden: the user lacks the permission +%s", group_name(group));
    return false;
}
