#include "server/clients/session.h"

#include "server/acl/users.h"
#include "server/clients/client_list.h"
#include "server/clients/clients.h"
#include "server/clients/pubsub.h"
#include "server/core/core.h"
#include "server/net/conn_tls.h"
#include "storage/base/log.h"

bool acl_session_is_open(const struct clients *cs)
{
    const struct acl_user *user = acl_users_default(cs->users);
    return acl_user_is_enabled(user) && acl_user_has_nopass(user);
}

/* ---- The user of a client ---- */

static void update_restricted(struct client *c)
{
    client_flag_put(c, CLIENT_RESTRICTED, !acl_user_permits_all(c->user));
}

static void become(struct client *c, struct acl_user *user, bool authenticated)
{
    acl_user_ref(user); /* before the unref: it may be the same user */
    acl_user_unref(c->user);
    c->user = user;
    update_restricted(c);
    client_flag_put(c, CLIENT_AUTHENTICATED, authenticated);
    clients_auth_changed(c);
}

static void open_session(struct client *c)
{
    if (c->conn == NULL)
        client_flag_set(c, CLIENT_AUTHENTICATED);
    else
        become(c, acl_users_default(c->clients->users), acl_session_is_open(c->clients));
}

static void reset_session(struct client *c)
{
    if (c->user != NULL) become(c, acl_users_default(c->clients->users), acl_session_is_open(c->clients));
}

static void close_session(struct client *c)
{
    acl_user_unref(c->user);
    c->user = NULL;
}

const struct client_part session_part = {.open = open_session, .reset = reset_session, .free = close_session};

void acl_session_borrow(struct client *script, const struct client *caller)
{
    script->user = caller->user;
    client_flag_put(script, CLIENT_RESTRICTED, client_has(caller, CLIENT_RESTRICTED));
}

void acl_session_return(struct client *script)
{
    script->user = NULL;
}

static void note(struct client *c, enum acl_context context, const struct acl_denial *why, struct bytes_view user)
{
    struct core *core = c->core;
    struct bytes_buf client = {0};
    client_describe(c, &client);
    acl_log_note(c->clients->acl_log, context, why, user, bytes_buf_view(&client), core->clock.now_ms,
                 (size_t)core->settings->security.acllog_max_len);
    bytes_buf_release(&client);
}

bool acl_session_login(struct client *c, struct bytes_view name, struct bytes_view password, struct bytes_view object)
{
    struct acl_user *user = acl_users_find(c->clients->users, name);
    if (user != NULL && acl_user_accepts(user, password)) {
        become(c, user, true);
        return true;
    }
    c->core->stats.acl_denied_auth++;
    note(c, client_has(c, CLIENT_IN_MULTI) ? ACL_IN_MULTI : ACL_TOPLEVEL, &(struct acl_denial){ACL_DENIED_AUTH, object},
         name);
    return false;
}

/* The default user is left out: a client without a user has it already, and may need its password. */
static struct acl_user *find_by_names(struct acl_users *users, const struct conn *conn, enum tls_name kind,
                                      struct bytes_buf *name)
{
    enum { NAMES_MAX = 64 };
    for (size_t i = 0; i < NAMES_MAX; i++) {
        name->len = 0;
        if (!conn_tls_peer_cert_name(conn, kind, i, name)) return NULL;
        struct acl_user *user = acl_users_find(users, bytes_buf_view(name));
        if (user != NULL && user != acl_users_default(users) && acl_user_is_enabled(user)) return user;
    }
    return NULL;
}

struct acl_user *acl_session_user_of_certificate(const struct clients *cs, const struct conn *conn)
{
    int by = cs->core->settings->tls.auth_clients_user;
    struct bytes_buf name = {0};
    if (by == TLS_USER_OFF) return NULL;
    struct acl_user *user = find_by_names(cs->users, conn, by == TLS_USER_CN ? TLS_NAME_CN : TLS_NAME_SAN, &name);
    bytes_buf_release(&name);
    return user;
}

void acl_session_login_by_certificate(struct client *c)
{
    struct acl_user *user = acl_session_user_of_certificate(c->clients, c->conn);
    if (user != NULL)
        become(c, user, true);
    else if (c->core->settings->tls.auth_clients_user != TLS_USER_OFF)
        log_verbose(c->core->log, "The certificate of client %s names no user that is on", c->peer);
}

/* ---- Refused requests ---- */

void acl_session_denied(struct client *c, enum acl_context context, const struct acl_denial *why)
{
    struct stats *st = &c->core->stats;
    switch (why->reason) {
    case ACL_DENIED_COMMAND: st->acl_denied_cmd++; break;
    case ACL_DENIED_KEY: st->acl_denied_key++; break;
    case ACL_DENIED_CHANNEL: st->acl_denied_channel++; break;
    case ACL_PERMITTED:
    case ACL_DENIED_AUTH: break;
    }
    note(c, context, why, acl_user_name(c->user));
}

/* ---- Changes of users ---- */

static bool may_hear_all_it_listens_to(const struct client *c)
{
    for (int kind = 0; kind < PUBSUB_KINDS; kind++) {
        struct bytes_view name;
        struct table_iter it;
        for (bool first = true; pubsub_client_each(c, (enum pubsub_kind)kind, &name, &it, first); first = false)
            if (!acl_user_permits_channel(c->user, name, kind == PUBSUB_PATTERN)) return false;
    }
    return true;
}

static void end(struct client *c, const struct client *current)
{
    if (c == current)
        client_close_after_reply(c);
    else
        client_close_later(c);
}

/* Applies the present rules of the client's user to the client. */
static void follow_user(struct client *c, const struct client *current)
{
    const struct clients *cs = c->clients;
    bool opened = c->user == acl_users_default(cs->users) && acl_session_is_open(cs);
    update_restricted(c);
    if (opened && !client_has(c, CLIENT_AUTHENTICATED)) become(c, c->user, true);
    if (client_has(c, CLIENT_RESTRICTED) && !may_hear_all_it_listens_to(c)) end(c, current);
}

void acl_session_user_changed(struct clients *cs, struct acl_user *user, struct client *current)
{
    for (struct client *c = clients_first(cs); c != NULL; c = c->next)
        if (c->user == user) follow_user(c, current);
}

void acl_session_users_changed(struct clients *cs, struct client *current)
{
    for (struct client *c = clients_first(cs); c != NULL; c = c->next)
        if (c->user != NULL) follow_user(c, current);
}

void acl_session_user_gone(struct clients *cs, struct acl_user *user, struct client *current)
{
    for (struct client *c = clients_first(cs); c != NULL; c = c->next)
        if (c->user == user) end(c, current);
}
