#include "server/acl/acl_check.h"

#include "storage/base/checked.h"
#include "storage/base/memory.h"

enum { KEYS_ON_STACK = 32 };

/* A request. Its keys are looked up when the first selector needs them. */
struct request {
    const struct command_slot *slot;
    int argc;
    const struct bytes_view *argv;
    bool keys_known;
    int key_count;
    struct command_key *keys;
    struct command_key on_stack[KEYS_ON_STACK];
};

/* The result of one selector. */
struct verdict {
    enum acl_reason reason;
    int arg; /* index of the key or channel that it does not permit */
};

static void find_keys(struct request *rq)
{
    const struct command *cmd = rq->slot->command;
    rq->keys_known = true;
    rq->keys = rq->on_stack;
    rq->key_count = command_keys(cmd, rq->argc, rq->argv, rq->keys, KEYS_ON_STACK);
    if (rq->key_count <= KEYS_ON_STACK) return;
    rq->keys = mem_alloc(checked_size_mul((size_t)rq->key_count, sizeof(*rq->keys)));
    rq->key_count = command_keys(cmd, rq->argc, rq->argv, rq->keys, rq->key_count);
}

static void request_release(struct request *rq)
{
    if (rq->keys_known && rq->keys != rq->on_stack) mem_free(rq->keys);
}

/* The access that a key with these flags needs. 0: any permission on the key is enough to see that it exists. */
static unsigned needed_access(unsigned key_flags)
{
    unsigned access = 0;
    if (key_flags & KEY_ACCESS) access |= ACL_MAY_READ;
    if (key_flags & (KEY_UPDATE | KEY_INSERT | KEY_DELETE)) access |= ACL_MAY_WRITE;
    return access;
}

static struct verdict check_keys(const struct acl_selector *sel, struct request *rq)
{
    if (acl_selector_permits_all_keys(sel, ACL_MAY_BOTH)) return (struct verdict){ACL_PERMITTED, 0};
    if (!rq->keys_known) find_keys(rq);
    for (int i = 0; i < rq->key_count; i++) {
        const struct command_key *key = &rq->keys[i];
        if (!acl_selector_permits_key(sel, rq->argv[key->arg], needed_access(key->flags)))
            return (struct verdict){ACL_DENIED_KEY, key->arg};
    }
    return (struct verdict){ACL_PERMITTED, 0};
}

static struct verdict check_channels(const struct acl_selector *sel, const struct request *rq)
{
    enum command_channels channels = rq->slot->command->channels;
    if (channels == CHANNELS_NONE) return (struct verdict){ACL_PERMITTED, 0};
    int last = channels == CHANNELS_FIRST ? 1 : rq->argc - 1;
    for (int arg = 1; arg <= last; arg++)
        if (!acl_selector_permits_channel(sel, rq->argv[arg], channels == CHANNELS_PATTERNS))
            return (struct verdict){ACL_DENIED_CHANNEL, arg};
    return (struct verdict){ACL_PERMITTED, 0};
}

static struct verdict check_selector(const struct acl_selector *sel, struct request *rq)
{
    bool always = rq->slot->command->flags & CMD_NO_AUTH; /* AUTH, HELLO, RESET, QUIT: every user may log in or leave */
    if (!always && !acl_selector_permits_command(sel, rq->slot, rq->argc, rq->argv))
        return (struct verdict){ACL_DENIED_COMMAND, 0};
    struct verdict v = check_keys(sel, rq);
    return v.reason == ACL_PERMITTED ? check_channels(sel, rq) : v;
}

static bool got_further(struct verdict a, struct verdict b)
{
    return a.reason > b.reason || (a.reason == b.reason && a.arg > b.arg);
}

bool acl_check(const struct acl_user *user, const struct command_slot *slot, int argc, const struct bytes_view *argv,
               struct acl_denial *why)
{
    if (user == NULL) return true;
    struct request rq = {.slot = slot, .argc = argc, .argv = argv};
    struct verdict best = {ACL_DENIED_COMMAND, 0};
    bool permitted = false;
    for (size_t i = 0; !permitted && i < acl_user_selector_count(user); i++) {
        struct verdict v = check_selector(acl_user_selector(user, i), &rq);
        permitted = v.reason == ACL_PERMITTED;
        if (!permitted && got_further(v, best)) best = v;
    }
    request_release(&rq);
    if (permitted) return true;
    bool command = best.reason == ACL_DENIED_COMMAND;
    *why = (struct acl_denial){best.reason, command ? bytes_str(slot->full_name) : argv[best.arg]};
    return false;
}

bool acl_check_reading_all(const struct acl_user *user, const struct command_slot *slot, int argc,
                           const struct bytes_view *argv)
{
    if (user == NULL) return true;
    struct request rq = {.slot = slot, .argc = argc, .argv = argv};
    bool permitted = false;
    for (size_t i = 0; !permitted && i < acl_user_selector_count(user); i++) {
        const struct acl_selector *sel = acl_user_selector(user, i);
        permitted =
            acl_selector_permits_all_keys(sel, ACL_MAY_READ) && check_selector(sel, &rq).reason == ACL_PERMITTED;
    }
    request_release(&rq);
    return permitted;
}

void acl_denial_text(const struct acl_user *user, const struct acl_denial *why, bool verbose, struct bytes_buf *out)
{
    const char *name = acl_user_name_text(user);
    int len = bytes_shown(why->object, BYTES_WHOLE);
    switch (why->reason) {
    case ACL_DENIED_COMMAND:
        bytes_buf_printf(out, "User %s has no permissions to run the '%.*s' command", name, len, why->object.data);
        break;
    case ACL_DENIED_KEY:
        if (verbose)
            bytes_buf_printf(out, "User %s has no permissions to access the '%.*s' key", name, len, why->object.data);
        else
            bytes_buf_printf(out, "No permissions to access a key");
        break;
    case ACL_DENIED_CHANNEL:
        if (verbose)
            bytes_buf_printf(out, "User %s has no permissions to access the '%.*s' channel", name, len,
                             why->object.data);
        else
            bytes_buf_printf(out, "No permissions to access a channel");
        break;
    case ACL_PERMITTED:
    case ACL_DENIED_AUTH: break;
    }
}
