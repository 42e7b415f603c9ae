#include "server/core/running.h"

#include "server/catalog/command_row.h"
#include "server/net/resp_reader.h"

void running_init(struct running *r)
{
    *r = (struct running){0};
    outbuf_init(&r->pushes);
}

void running_release(struct running *r)
{
    outbuf_release(&r->pushes);
}

/* SUBSCRIBE, UNSUBSCRIBE and the like: their push messages are their reply. */
static bool pushes_its_reply(const struct command *cmd)
{
    const unsigned flags = CMD_PUBSUB | CMD_SUBSCRIBED;
    return (cmd->flags & flags) == flags;
}

struct outbuf *running_push_queue(struct running *r, const struct client *c)
{
    for (; r != NULL; r = r->outer)
        if (UNLIKELY(c == r->client)) return pushes_its_reply(r->command) ? NULL : &r->pushes;
    return NULL;
}

size_t running_request_bytes(const struct running *r, const struct client *c, size_t *arguments)
{
    *arguments = 0;
    while (r != NULL && r->client != c) r = r->outer;
    if (r == NULL || r->request == NULL) return 0;
    for (uint32_t i = 0; i < r->request->argc; i++) *arguments += r->request->argv[i].len;
    return r->request->raw.len;
}
