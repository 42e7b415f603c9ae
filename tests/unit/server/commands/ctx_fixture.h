/* ctx_fixture.h -- a command context made by hand, for functions that handlers share.
 *
 *     struct by_hand h;
 *     by_hand_init(f, &h, "LMPOP 1 k LEFT");            h.ctx has these arguments, and client 0's reply
 *     assert_true(parse_multi_pop(&h.ctx, 1, ...));
 *     CHECK_ANSWER(f, "");                          what was replied since the last look
 *
 * by_hand_release() ends the unit that by_hand_init() began. */
#ifndef LOCKSTEP_TESTS_UNIT_SERVER_COMMANDS_CTX_FIXTURE_H
#define LOCKSTEP_TESTS_UNIT_SERVER_COMMANDS_CTX_FIXTURE_H

#include "tests/unit/server/commands/fixture.h"

enum { BY_HAND_WORDS = 16 };

struct by_hand {
    struct cmd_ctx ctx;
    struct bytes_view argv[BY_HAND_WORDS];
    struct bytes_buf bytes[BY_HAND_WORDS];
};

static inline void by_hand_init(struct fixture *f, struct by_hand *h, const char *line)
{
    struct word_list w;
    *h = (struct by_hand){.ctx = {.server = f->server,
                                  .core = &f->server->core,
                                  .dispatcher = f->server->dispatcher,
                                  .client = f->clients[0],
                                  .caller = f->clients[0],
                                  .keyspace = f->server->core.keyspace,
                                  .db = f->clients[0]->db,
                                  .reply = &f->clients[0]->reply,
                                  .settings = &f->settings}};
    assert_int_equal(words_split(bytes_str(line), &w), 0);
    assert_true(w.count > 0 && w.count <= BY_HAND_WORDS);
    for (size_t i = 0; i < w.count; i++) {
        bytes_from_text(w.words[i], &h->bytes[i]);
        h->argv[i] = bytes_buf_view(&h->bytes[i]);
    }
    h->ctx.argc = (int)w.count;
    h->ctx.argv = h->argv;
    h->ctx.command = command_table_find(f->server->commands, h->argv[0])->command;
    words_release(&w);
    exec_begin(&f->server->core);
}

static inline void by_hand_release(struct fixture *f, struct by_hand *h)
{
    exec_end(&f->server->core);
    for (int i = 0; i < BY_HAND_WORDS; i++) bytes_buf_release(&h->bytes[i]);
}

static inline const char *by_hand_answer(struct fixture *f)
{
    f->raw.len = 0;
    outbuf_copy(&f->clients[0]->out, &f->raw);
    outbuf_clear(&f->clients[0]->out);
    return fixture_text(f);
}
#define CHECK_ANSWER(f, wanted) fixture_compare("the answer", by_hand_answer(f), wanted, __FILE__, __LINE__)

#endif
