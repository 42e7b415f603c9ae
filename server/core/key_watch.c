#include "server/core/key_watch.h"

#define FOR_EACH_WATCHER(kw, which, call)                                                                              \
    for (int i_ = 0; (kw)->total > 0 && i_ < KEY_WATCHERS; i_++) {                                                     \
        const struct key_watcher *w_ = &(kw)->watchers[i_];                                                            \
        if ((kw)->counts[i_] > 0 && w_->which != NULL) w_->which call;                                                 \
    }

void key_watch_call_changed(struct key_watch *kw, struct db *db, struct bytes_view key)
{
    FOR_EACH_WATCHER(kw, changed, (w_->ctx, db, key))
}

void key_watch_created(struct key_watch *kw, struct db *db, struct bytes_view key)
{
    FOR_EACH_WATCHER(kw, created, (w_->ctx, db, key))
}

void key_watch_flushed(struct key_watch *kw, struct db *db, struct db *replacement)
{
    FOR_EACH_WATCHER(kw, flushed, (w_->ctx, db, replacement))
}

void key_watch_expired(struct key_watch *kw, struct bytes_view key)
{
    FOR_EACH_WATCHER(kw, expired, (w_->ctx, key))
}
