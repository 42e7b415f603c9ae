#include "server/core/exec.h"

#include "replication/replication.h"
#include "server/core/core.h"
#include "server/net/reply.h"
#include "storage/base/memory.h"

/* Buffers up to these sizes are kept from one unit to the next; larger ones are freed. */
enum { BYTES_KEPT = 1 << 20, PIECES_KEPT = 1 << 10 };

void exec_release(struct exec *x)
{
    bytes_buf_release(&x->bytes);
    mem_free(x->pieces);
    *x = (struct exec){0};
}

static bool exec_wanted(const struct core *core)
{
    return repl_stream_wanted(core->repl) && LIKELY(!core->exec.replaying);
}

static void encode_command(struct bytes_buf *out, int argc, const struct bytes_view *argv)
{
    char head[24];
    size_t total = 32;
    for (int i = 0; i < argc; i++) total += argv[i].len + 32;
    bytes_buf_reserve(out, total);
    bytes_buf_append(out, head, (size_t)(reply_put_header(head, '*', (uint64_t)argc) - head));
    for (int i = 0; i < argc; i++) {
        bytes_buf_append(out, head, (size_t)(reply_put_header(head, '$', argv[i].len) - head));
        bytes_buf_append_view(out, argv[i]);
        bytes_buf_append(out, "\r\n", 2);
    }
}

static struct exec_piece *exec_new_piece(struct exec *x, int db)
{
    if (x->count == x->cap) {
        x->cap = x->cap == 0 ? 16 : x->cap * 2;
        x->pieces = mem_realloc(x->pieces, x->cap * sizeof(*x->pieces));
    }
    x->pieces[x->count] = (struct exec_piece){.db = db, .offset = x->bytes.len};
    return &x->pieces[x->count++];
}

void exec_add(struct core *core, int db, int argc, const struct bytes_view *argv)
{
    struct exec *x = &core->exec;
    ASSERT(x->depth > 0);
    if (!exec_wanted(core)) return;
    struct exec_piece *piece = exec_new_piece(x, db);
    encode_command(&x->bytes, argc, argv);
    piece->len = x->bytes.len - piece->offset;
}

/* A command finds an expired key (or field) before it changes anything. So the deletion precedes the command in the
 * stream, even if the handler has already added its own pieces. */
void exec_add_before(struct core *core, int db, int argc, const struct bytes_view *argv)
{
    struct exec *x = &core->exec;
    size_t before = x->count;
    exec_add(core, db, argc, argv);
    if (x->count == before || x->command_start >= before) return;
    struct exec_piece added = x->pieces[before];
    memmove(&x->pieces[x->command_start + 1], &x->pieces[x->command_start],
            (before - x->command_start) * sizeof(*x->pieces));
    x->pieces[x->command_start++] = added;
}

void exec_add_delete(struct core *core, int db, struct bytes_view key, bool unlink)
{
    struct bytes_view argv[2] = {unlink ? BYTES_LIT("UNLINK") : BYTES_LIT("DEL"), key};
    exec_add_before(core, db, 2, argv);
}

void exec_no_wrap(struct core *core)
{
    struct exec *x = &core->exec;
    if (x->depth == 1) x->no_wrap = true; /* inside EXEC the unit has other commands, too */
}

void exec_drop_unit(struct core *core)
{
    core->exec.count = 0;
    core->exec.bytes.len = 0;
}

void exec_abandon(struct core *core)
{
    core->exec.abandoned = true;
}

void exec_drop_own(struct core *core)
{
    core->exec.count = core->exec.command_start;
}

void exec_begin(struct core *core)
{
    struct exec *x = &core->exec;
    if (x->depth++ == 0) x->command_start = SIZE_MAX; /* no command: exec_add_before() appends */
}

/* Feeds all pieces in one go, so that no other bytes come between them. */
static void exec_emit(struct core *core, struct exec *x)
{
    bool wrap = x->count > 1 && !x->no_wrap;
    if (UNLIKELY(x->abandoned)) x->count = 0, wrap = false;
    if (x->count == 1 && x->pieces[0].of_the_moment) {
        const struct exec_piece *only = &x->pieces[0];
        repl_feed_moment(core->repl, only->db, bytes_view(x->bytes.data + only->offset, only->len));
        x->count = 0;
    }
    if (wrap) repl_feed(core->repl, -1, BYTES_LIT("*1\r\n$5\r\nMULTI\r\n"));
    for (size_t i = 0; i < x->count; i++)
        repl_feed(core->repl, x->pieces[i].db, bytes_view(x->bytes.data + x->pieces[i].offset, x->pieces[i].len));
    if (wrap) repl_feed(core->repl, -1, BYTES_LIT("*1\r\n$4\r\nEXEC\r\n"));
    x->count = 0;
    x->bytes.len = 0;
    if (x->bytes.cap > BYTES_KEPT) bytes_buf_release(&x->bytes);
    if (x->cap > PIECES_KEPT) {
        mem_free(x->pieces);
        x->pieces = NULL;
        x->cap = 0;
    }
}

void exec_end(struct core *core)
{
    struct exec *x = &core->exec;
    ASSERT(x->depth > 0);
    if (--x->depth > 0) return;
    if (UNLIKELY(x->bytes.len > 0)) exec_emit(core, x);
    x->no_wrap = false;
}

void exec_add_moment(struct core *core, int db, int argc, const struct bytes_view *argv)
{
    struct exec *x = &core->exec;
    if (!exec_wanted(core) || !repl_moment_wanted(core->repl)) return;
    size_t before = x->count;
    exec_add(core, db, argc, argv);
    if (x->count > before) x->pieces[before].of_the_moment = true;
}

void exec_add_verbatim(struct core *core, int db, int argc, const struct bytes_view *argv, struct bytes_view raw)
{
    struct exec *x = &core->exec;
    if (!exec_wanted(core)) return;
    if (LIKELY(x->depth == 1 && x->count == 0 && raw.data != NULL)) {
        repl_feed(core->repl, db, raw);
        return;
    }
    exec_add(core, db, argc, argv);
}
