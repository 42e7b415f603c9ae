/* connect_keyspace.c -- what the server does when keys change, appear, expire or go: struct keyspace_hooks. */
#include "server/clients/clients.h"
#include "server/clients/pubsub.h"
#include "server/config/settings.h"
#include "server/house.h"
#include "server/memory/expiry.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"

static void on_key_expired(void *ctx, struct db *db, struct bytes_view key)
{
    struct server *s = ctx;
    exec_begin(&s->core);
    exec_add_delete(&s->core, db->id, key, s->core.settings->memory.lazyfree_lazy_expire);
    notify_keyspace_event(s->clients->pubsub, NOTIFY_EXPIRED, "expired", key, db->id);
    key_watch_expired(&s->core.keys, key);
    exec_end(&s->core);
}

static void on_fields_expired(void *ctx, struct db *db, struct bytes_view key, const struct bytes_view *fields,
                              size_t count, bool emptied)
{
    struct server *s = ctx;
    struct bytes_view *argv = mem_alloc(checked_size_mul(count + 2, sizeof(*argv)));
    argv[0] = BYTES_LIT("HDEL");
    argv[1] = key;
    memcpy(argv + 2, fields, count * sizeof(*fields));
    exec_begin(&s->core);
    exec_add_before(&s->core, db->id, (int)count + 2, argv);
    notify_keyspace_event(s->clients->pubsub, NOTIFY_HASH, "hexpired", key, db->id);
    if (emptied) notify_keyspace_event(s->clients->pubsub, NOTIFY_GENERIC, "del", key, db->id);
    key_watch_expired(&s->core.keys, key);
    exec_end(&s->core);
    mem_free(argv);
}

static void on_key_changed(void *ctx, struct db *db, struct bytes_view key)
{
    struct server *s = ctx;
    key_watch_changed(&s->core.keys, db, key);
}

static void on_key_created(void *ctx, struct db *db, struct bytes_view key, enum value_type type)
{
    struct server *s = ctx;
    (void)type;
    if (s->core.settings->misc.notify_keyspace_events & NOTIFY_NEW)
        notify_keyspace_event(s->clients->pubsub, NOTIFY_NEW, "new", key, db->id);
    key_watch_created(&s->core.keys, db, key);
}

static void on_flushed(void *ctx, struct db *db, struct db *replacement)
{
    struct server *s = ctx;
    key_watch_flushed(&s->core.keys, db, replacement);
}

/* The key has an expiry that a client of this replica has set, so that its master never deletes the key. */
static void on_hidden_expiry(void *ctx, struct db *db, struct bytes_view key)
{
    struct server *s = ctx;
    expiry_note_own(s->expiry, db, key);
}

void connect_keyspace(struct server *s)
{
    s->core.keyspace->hooks = (struct keyspace_hooks){
        .ctx = s,
        .expired = on_key_expired,
        .fields_expired = on_fields_expired,
        .changed = on_key_changed,
        .created = on_key_created,
        .flushed = on_flushed,
        .hidden_expiry = on_hidden_expiry,
    };
}
