#include "server/acl/acl_log.h"

#include "storage/base/memory.h"

enum { MERGE_AMONG = 10 /* newest entries that a denial is compared with */ };

struct acl_log {
    struct acl_log_entry *newest, *oldest;
    size_t count;
    uint64_t next_id;
};

struct acl_log *acl_log_new(void)
{
    return mem_calloc(sizeof(struct acl_log));
}

void acl_log_free(struct acl_log *lg)
{
    if (lg == NULL) return;
    acl_log_trim(lg, 0);
    mem_free(lg);
}

size_t acl_log_count(const struct acl_log *lg)
{
    return lg->count;
}

const struct acl_log_entry *acl_log_newest(const struct acl_log *lg)
{
    return lg->newest;
}

const char *acl_reason_word(enum acl_reason reason)
{
    switch (reason) {
    case ACL_DENIED_COMMAND: return "command";
    case ACL_DENIED_KEY: return "key";
    case ACL_DENIED_CHANNEL: return "channel";
    case ACL_DENIED_AUTH: return "auth";
    case ACL_PERMITTED: break;
    }
    return "unknown";
}

const char *acl_context_word(enum acl_context context)
{
    static const char *const words[] = {[ACL_TOPLEVEL] = "toplevel", [ACL_IN_MULTI] = "multi", [ACL_IN_SCRIPT] = "lua"};
    return words[context];
}

/* ---- The list ---- */

static void link_newest(struct acl_log *lg, struct acl_log_entry *e)
{
    e->newer = NULL;
    e->older = lg->newest;
    if (lg->newest != NULL)
        lg->newest->newer = e;
    else
        lg->oldest = e;
    lg->newest = e;
    lg->count++;
}

static void unlink_entry(struct acl_log *lg, struct acl_log_entry *e)
{
    if (e->newer != NULL)
        e->newer->older = e->older;
    else
        lg->newest = e->older;
    if (e->older != NULL)
        e->older->newer = e->newer;
    else
        lg->oldest = e->newer;
    lg->count--;
}

static void free_entry(struct acl_log_entry *e)
{
    bytes_buf_release(&e->object);
    bytes_buf_release(&e->user);
    bytes_buf_release(&e->client);
    mem_free(e);
}

void acl_log_trim(struct acl_log *lg, size_t max)
{
    while (lg->count > max) {
        struct acl_log_entry *oldest = lg->oldest;
        unlink_entry(lg, oldest);
        free_entry(oldest);
    }
}

/* ---- Entries ---- */

static struct bytes_view cut(struct bytes_view text)
{
    return bytes_view(text.data, text.len < ACL_LOG_TEXT_MAX ? text.len : ACL_LOG_TEXT_MAX);
}

static struct acl_log_entry *find_same(const struct acl_log *lg, const struct acl_log_entry *e)
{
    struct acl_log_entry *at = lg->newest;
    for (int i = 0; at != NULL && i < MERGE_AMONG; i++, at = at->older) {
        if (at->reason == e->reason && at->context == e->context &&
            e->updated_ms - at->updated_ms <= ACL_LOG_MERGE_MS &&
            bytes_equal(bytes_buf_view(&at->object), bytes_buf_view(&e->object)) &&
            bytes_equal(bytes_buf_view(&at->user), bytes_buf_view(&e->user)))
            return at;
    }
    return NULL;
}

/* Counts `again` in the older entry e, which takes its client and time, and frees `again`. */
static void merge(struct acl_log *lg, struct acl_log_entry *e, struct acl_log_entry *again)
{
    struct bytes_buf client = e->client;
    e->client = again->client;
    again->client = client;
    e->updated_ms = again->updated_ms;
    e->count++;
    unlink_entry(lg, e);
    link_newest(lg, e);
    free_entry(again);
}

void acl_log_note(struct acl_log *lg, enum acl_context context, const struct acl_denial *what, struct bytes_view user,
                  struct bytes_view client, int64_t now_ms, size_t max)
{
    struct acl_log_entry *e = mem_calloc(sizeof(*e));
    e->count = 1;
    e->reason = what->reason;
    e->context = context;
    e->created_ms = e->updated_ms = now_ms;
    bytes_buf_append_view(&e->object, cut(what->object));
    bytes_buf_append_view(&e->user, cut(user));
    bytes_buf_append_view(&e->client, client);
    struct acl_log_entry *same = find_same(lg, e);
    if (same != NULL) {
        merge(lg, same, e);
        return;
    }
    e->id = lg->next_id++;
    link_newest(lg, e);
    acl_log_trim(lg, max);
}
