#include "server/clients/client_list.h"

#include "server/acl/users.h"
#include "server/catalog/command_table.h"
#include "server/clients/blocking.h"
#include "server/clients/clients.h"
#include "server/clients/multi.h"
#include "server/clients/pubsub.h"
#include "server/clients/tracking.h"
#include "server/core/core.h"

/* Letters of flags=, in the order in which Redis 7.2 writes them. */
static const struct {
    uint32_t flag, unless;
    char letter;
} letters[] = {
    {CLIENT_REPLICA, CLIENT_MONITOR, 'S'},
    {CLIENT_MONITOR, 0, 'O'},
    {CLIENT_MASTER, 0, 'M'},
    {CLIENT_SUBSCRIBED, 0, 'P'},
    {CLIENT_IN_MULTI, 0, 'x'},
    {CLIENT_BLOCKED, 0, 'b'},
    {CLIENT_TRACKING, 0, 't'},
    {CLIENT_TRACKING_BROKEN, 0, 'R'},
    {CLIENT_TRACKING_BCAST, 0, 'B'},
    {CLIENT_WATCH_BROKEN, 0, 'd'},
    {CLIENT_CLOSE_AFTER_REPLY, 0, 'c'},
    {CLIENT_CLOSING, 0, 'A'},
    {CLIENT_UNIX, 0, 'U'},
    {CLIENT_NO_EVICT, 0, 'e'},
    {CLIENT_NO_TOUCH, 0, 'T'},
};
enum { LETTERS = sizeof(letters) / sizeof(letters[0]), LETTERS_MAX = LETTERS + 2 /* "N" without flags, and the NUL */ };

static char *describe_flags(const struct client *c, char out[LETTERS_MAX])
{
    char *p = out;
    for (size_t i = 0; i < LETTERS; i++)
        if (client_has(c, letters[i].flag) && !client_has(c, letters[i].unless)) *p++ = letters[i].letter;
    if (p == out) *p++ = 'N';
    *p = '\0';
    return out;
}

static void describe_command(const struct client *c, struct bytes_buf *out)
{
    const struct command_slot *slot = c->last_slot;
    bytes_buf_printf(out, " cmd=%s", slot == NULL ? "NULL" : slot->full_name);
}

void client_describe(const struct client *c, struct bytes_buf *out)
{
    char flags[LETTERS_MAX];
    size_t channels, patterns, shard;
    struct outbuf_stats st;
    const struct core *core = c->core;
    size_t arguments, request = running_request_bytes(&c->core->running, c, &arguments);
    pubsub_client_counts(c, &channels, &patterns, &shard);
    outbuf_get_stats(&c->out, &st);
    bytes_buf_printf(
        out, "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld flags=%s db=%d sub=%zu psub=%zu ssub=%zu",
        (unsigned long long)c->id, c->peer, c->local, c->conn == NULL ? -1 : conn_fd(c->conn),
        c->name == NULL ? "" : c->name, (long long)(core->clock.mono_ms - c->created_ms) / 1000,
        (long long)(core->clock.mono_ms - c->last_active_ms) / 1000, describe_flags(c, flags), c->db->id, channels,
        patterns, shard);
    bytes_buf_printf(
        out, " multi=%d qbuf=%zu qbuf-free=%zu argv-mem=%zu multi-mem=%zu rbs=%zu rbp=%zu obl=%zu oll=%zu omem=%zu",
        multi_queued(c), resp_reader_unparsed(&c->reader) + request, resp_reader_room(&c->reader), arguments,
        multi_memory(c), st.rbs, st.rbp, st.obl, st.oll, client_output_memory(c));
    bytes_buf_printf(out, " tot-mem=%zu events=%s%s", client_memory(c), "r",
                     c->conn != NULL && conn_wants_write(c->conn) ? "w" : "");
    describe_command(c, out);
    bytes_buf_printf(out, " user=%s redir=%lld resp=%d lib-name=%s lib-ver=%s",
                     c->user == NULL ? "(superuser)" : acl_user_name_text(c->user),
                     client_has(c, CLIENT_TRACKING) ? (long long)tracking_redirect(c) : -1LL, c->reply.proto,
                     c->lib_name == NULL ? "" : c->lib_name, c->lib_ver == NULL ? "" : c->lib_ver);
    bytes_buf_printf(out, " watch=%zu",
                     multi_watch_count(c)); /* new in 7.4: last, so that the rest is the line of 7.2 */
}

void clients_summarize(const struct clients *cs, struct clients_summary *out)
{
    *out = (struct clients_summary){.connected = cs->count - cs->replica_count,
                                    .pubsub = pubsub_client_total(cs->pubsub),
                                    .blocked = blocking_client_count(cs->blocking),
                                    .watching = watches_client_count(cs->watches)};
    if (cs->count > CLIENTS_WALKED) {
        out->memory = cs->counted;
        return;
    }
    for (const struct client *c = cs->first; c != NULL; c = c->next) clients_memory_add(&out->memory, c);
}
