/* aof_disk.c -- the append-only file while its disk takes no writes: what it owes, letting go, waiting for room. */
#include <inttypes.h>

#include "server/dispatch/command.h"
#include "server/dispatch/dispatch.h"
#include "server/persistence/aof_internal.h"
#include "server/persistence/aof_load.h"
#include "storage/aof_reader.h"

enum {
    ROOM_MIN = 1024 * 1024,      /* so many more free bytes than at the last failure are worth another try */
    ROOM_SHARE = 8,              /* and at least this fraction of what was free then */
    SETTLE_US = 1000 * 1000,     /* the file system is still deleting what a failed rewrite wrote */
    RETRY_US = 60 * 1000 * 1000, /* free_bytes() does not show quotas and the like: try again anyway */
    RETRY_SOON_US = 5 * 1000 * 1000,
};

/* ---- What the log owes ---- */

/* Commands that only group or place the commands around them. */
static bool is_frame(const struct command *cmd)
{
    return strcmp(cmd->name, "select") == 0 || strcmp(cmd->name, "multi") == 0 || strcmp(cmd->name, "exec") == 0;
}

/* `units` are whole units. True if none of their commands changes data. */
static bool are_of_the_moment(struct dispatcher *dispatcher, struct bytes_view units)
{
    struct aof_reader reader = {0};
    struct aof_item item;
    bool so = true;
    while (so && units.len > 0) {
        enum aof_status status = aof_reader_next(&reader, units, &item);
        struct command_slot *slot = status == AOF_COMMAND ? dispatch_find(dispatcher, item.argc, item.argv) : NULL;
        so = slot != NULL && (aof_is_of_the_moment(slot->command) || is_frame(slot->command));
        units = bytes_view(units.data + item.len, units.len - item.len);
    }
    aof_reader_release(&reader);
    return so;
}

static void copy_pending(const struct aof *a, uint64_t from, struct bytes_buf *out)
{
    struct iovec iov[64];
    for (int n; (n = repl_stream_peek_from(&a->reader, from, iov, 64)) > 0;)
        for (int i = 0; i < n; i++) {
            bytes_buf_append(out, iov[i].iov_base, iov[i].iov_len);
            from += iov[i].iov_len;
        }
}

bool aof_owes(struct aof *a)
{
    struct bytes_buf units = {0};
    uint64_t end = repl_offset(a->core->repl), from = a->reader.pos;
    if (a->of_the_moment_to > from && a->of_the_moment_to <= end) from = a->of_the_moment_to;
    copy_pending(a, from, &units);
    bool owes = !are_of_the_moment(a->uses.load.dispatcher, bytes_buf_view(&units));
    if (!owes) a->of_the_moment_to = end;
    bytes_buf_release(&units);
    return owes;
}

/* ---- Letting go ---- */

bool aof_pins_too_much(const struct aof *a)
{
    int64_t backlog = a->core->settings->replication.repl_backlog_size; /* the backlog keeps that much in any case */
    return repl_stream_pending(&a->reader) > (uint64_t)(backlog > a->pinned_max ? backlog : a->pinned_max);
}

static uint64_t free_bytes(const struct aof *a)
{
    const struct sys *sys = a->core->sys;
    int64_t bytes = sys->free_bytes(sys->ctx, aof_settings(a)->appenddirname);
    return bytes > 0 ? (uint64_t)bytes : 0;
}

void aof_measure_room(struct aof *a)
{
    a->room.bytes = free_bytes(a);
}

void aof_found_no_room(struct aof *a)
{
    a->room.failed_us = a->core->clock.mono_us;
    a->room.retry_us = a->core->clock.mono_us + RETRY_US;
}

void aof_try_soon(struct aof *a)
{
    a->room.retry_us = a->core->clock.mono_us + RETRY_SOON_US;
}

bool aof_has_room(struct aof *a)
{
    struct room *room = &a->room;
    int64_t now = a->core->clock.mono_us;
    if (now >= room->retry_us) return true;
    if (now - room->failed_us < SETTLE_US) return false;
    uint64_t bytes = free_bytes(a), share = room->bytes / ROOM_SHARE;
    if (bytes < room->bytes) room->bytes = bytes;
    return bytes - room->bytes >= (share > ROOM_MIN ? share : ROOM_MIN);
}

void aof_let_go(struct aof *a)
{
    struct core *core = a->core;
    log_warning(core->log,
                "The AOF is let go: %" PRIu64 " bytes wait for a disk that does not take them (%s). Its files stay as "
                "they are. Writes are refused until a rewrite has begun it anew, which is tried when there is more "
                "room.",
                repl_stream_pending(&a->reader), strerror(a->write_error));
    a->let_go_error = a->write_error;
    if (!a->let_go) a->let_go_owes = false;
    a->let_go = true;
    aof_note_obstacle(a);
    if (a->rewrite.running) aof_cancel_rewrite(a); /* the log would lack the stream after its base */
    if (a->state == AOF_ON) {
        aof_retire_file(a);
        aof_forget_synced(a);
        aof_set_state(a, AOF_WAITS);
    }
    a->rewrite.scheduled = true;
    aof_measure_room(a);
    aof_found_no_room(a);
}

/* False with `always` if data would be missing from the log should the rewrite fail. */
static bool keeps_promise(struct aof *a)
{
    if (aof_settings(a)->appendfsync != APPENDFSYNC_ALWAYS) return true;
    return !a->let_go_owes && !aof_owes(a);
}

bool aof_pass_by(struct aof *a)
{
    if (!repl_stream_reader_active(&a->reader)) return true; /* a load is replacing the data set */
    if (!keeps_promise(a)) return false;
    repl_stream_advance(&a->reader, repl_stream_pending(&a->reader));
    return true;
}
