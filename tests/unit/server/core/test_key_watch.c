/* Which watchers hear of which events, in which order, and when none of them does. */
#include "server/core/key_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/storage/base/dies.h"

struct trace {
    char text[256];
    struct db *db, *replacement;
};

struct fake {
    struct key_watch *kw;
    struct trace *trace;
    const char *name;
    int stops; /* enum key_watch_kind, or -1: what it takes its last watch from when it hears of a change */
};

static void note(struct fake *w, const char *event, struct bytes_view key)
{
    size_t len = strlen(w->trace->text);
    snprintf(w->trace->text + len, sizeof(w->trace->text) - len, "%s %s %.*s;", w->name, event, (int)key.len,
             key.data == NULL ? "" : key.data);
}
static void on_changed(void *ctx, struct db *db, struct bytes_view key)
{
    struct fake *w = ctx;
    w->trace->db = db;
    note(w, "changed", key);
    if (w->stops >= 0) key_watch_remove(w->kw, (enum key_watch_kind)w->stops);
}
static void on_created(void *ctx, struct db *db, struct bytes_view key)
{
    (void)db;
    note(ctx, "created", key);
}
static void on_flushed(void *ctx, struct db *db, struct db *replacement)
{
    struct fake *w = ctx;
    w->trace->db = db;
    w->trace->replacement = replacement;
    note(w, "flushed", (struct bytes_view){0});
}
static void on_expired(void *ctx, struct bytes_view key)
{
    note(ctx, "expired", key);
}

struct fixture {
    struct key_watch kw;
    struct trace trace;
    struct fake fakes[KEY_WATCHERS];
};

static void init(struct fixture *f)
{
    static const char *const names[KEY_WATCHERS] = {"multi", "waits", "migrate", "tracking"};
    memset(f, 0, sizeof(*f));
    for (int i = KEY_WATCHERS - 1; i >= 0; i--) { /* the order of registration does not matter */
        f->fakes[i] = (struct fake){.kw = &f->kw, .trace = &f->trace, .name = names[i], .stops = -1};
        key_watch_set(&f->kw, (enum key_watch_kind)i,
                      &(struct key_watcher){.ctx = &f->fakes[i],
                                            .changed = on_changed,
                                            .created = on_created,
                                            .flushed = on_flushed,
                                            .expired = on_expired});
    }
}

static void test_nobody_hears_without_a_watched_key(void **state)
{
    struct fixture f;
    struct db db = {0};
    (void)state;
    init(&f);
    key_watch_changed(&f.kw, &db, BYTES_LIT("k"));
    key_watch_created(&f.kw, &db, BYTES_LIT("k"));
    key_watch_flushed(&f.kw, &db, NULL);
    key_watch_expired(&f.kw, BYTES_LIT("k"));
    assert_string_equal(f.trace.text, "");
}

static void test_all_that_watch_hear_in_the_order_of_the_kinds(void **state)
{
    struct fixture f;
    struct db db = {0};
    (void)state;
    init(&f);
    key_watch_add(&f.kw, KEY_WATCH_TRACKING);
    key_watch_add(&f.kw, KEY_WATCH_TRANSACTIONS);
    key_watch_changed(&f.kw, &db, BYTES_LIT("k"));
    assert_string_equal(f.trace.text, "multi changed k;tracking changed k;");
    assert_ptr_equal(f.trace.db, &db);
}

static void test_each_event_goes_to_its_function(void **state)
{
    struct fixture f;
    struct db db = {0}, other = {0};
    (void)state;
    init(&f);
    key_watch_add(&f.kw, KEY_WATCH_WAITS);
    key_watch_created(&f.kw, &db, BYTES_LIT("k"));
    key_watch_expired(&f.kw, BYTES_LIT("e"));
    key_watch_flushed(&f.kw, &db, &other);
    assert_string_equal(f.trace.text, "waits created k;waits expired e;waits flushed ;");
    assert_ptr_equal(f.trace.replacement, &other);
    key_watch_flushed(&f.kw, NULL, NULL);
    assert_null(f.trace.db);
    assert_null(f.trace.replacement);
}

static void test_a_watcher_hears_until_its_last_key_goes(void **state)
{
    struct fixture f;
    struct db db = {0};
    (void)state;
    init(&f);
    key_watch_add(&f.kw, KEY_WATCH_MIGRATIONS);
    key_watch_add(&f.kw, KEY_WATCH_MIGRATIONS);
    key_watch_remove(&f.kw, KEY_WATCH_MIGRATIONS);
    key_watch_changed(&f.kw, &db, BYTES_LIT("1"));
    key_watch_remove(&f.kw, KEY_WATCH_MIGRATIONS);
    key_watch_changed(&f.kw, &db, BYTES_LIT("2"));
    assert_string_equal(f.trace.text, "migrate changed 1;");
    assert_int_equal(f.kw.total, 0);
}

/* Blocked clients hear only of created keys, say; a kind that nobody has registered may not be called either. */
static void test_functions_may_be_missing(void **state)
{
    struct key_watch kw = {0};
    struct db db = {0};
    (void)state;
    key_watch_add(&kw, KEY_WATCH_WAITS);
    key_watch_changed(&kw, &db, BYTES_LIT("k"));
    key_watch_created(&kw, &db, BYTES_LIT("k"));
    key_watch_flushed(&kw, &db, NULL);
    key_watch_expired(&kw, BYTES_LIT("k"));
    assert_int_equal(kw.total, 1);
}

/* What one watcher does about a change may end the watch of another, which is then not called any more. */
static void test_a_watch_may_end_while_it_is_told(void **state)
{
    struct fixture f;
    struct db db = {0};
    (void)state;
    init(&f);
    key_watch_add(&f.kw, KEY_WATCH_TRANSACTIONS);
    key_watch_add(&f.kw, KEY_WATCH_WAITS);
    key_watch_add(&f.kw, KEY_WATCH_TRACKING);
    f.fakes[KEY_WATCH_TRANSACTIONS].stops = KEY_WATCH_WAITS;
    key_watch_changed(&f.kw, &db, BYTES_LIT("k"));
    assert_string_equal(f.trace.text, "multi changed k;tracking changed k;");
}

static void remove_too_many(void)
{
    struct key_watch kw = {0};
    key_watch_add(&kw, KEY_WATCH_TRACKING);
    key_watch_remove(&kw, KEY_WATCH_WAITS);
}

static void test_counts_are_kept_apart(void **state)
{
    (void)state;
    assert_int_equal(signal_of(remove_too_many), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_hears_without_a_watched_key),
        cmocka_unit_test(test_all_that_watch_hear_in_the_order_of_the_kinds),
        cmocka_unit_test(test_each_event_goes_to_its_function),
        cmocka_unit_test(test_a_watcher_hears_until_its_last_key_goes),
        cmocka_unit_test(test_functions_may_be_missing),
        cmocka_unit_test(test_a_watch_may_end_while_it_is_told),
        cmocka_unit_test(test_counts_are_kept_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
