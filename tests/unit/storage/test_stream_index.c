#include "storage/stream_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/sys.h"

enum { MODEL_MAX = 8000, NAME_SIZE = 48 };

/* The model: the same keys in a sorted array. An index by name uses the name of an item as its key. */
struct item {
    struct stream_id id;
    char name[NAME_SIZE];
};

struct model {
    bool by_name;
    struct rng rng;
    struct stream_index index;
    struct item *items[MODEL_MAX];
    size_t count;
};

static struct stream_key key_of(const struct model *m, const struct item *item)
{
    return m->by_name ? stream_key_name(bytes_str(item->name)) : stream_key_id(item->id);
}

static int compare(const struct model *m, const struct item *a, const struct item *b)
{
    return m->by_name ? bytes_compare(bytes_str(a->name), bytes_str(b->name)) : stream_id_compare(a->id, b->id);
}

static size_t rank(const struct model *m, const struct item *item)
{
    size_t i = 0;
    while (i < m->count && compare(m, m->items[i], item) < 0) i++;
    return i;
}

/* The same number gives the same key; key order differs from number order. */
static void item_init(struct item *item, uint64_t n)
{
    item->id = (struct stream_id){n * 7919 % 97, n};
    snprintf(item->name, sizeof(item->name), "a-prefix-of-more-than-16-bytes-%llu", (unsigned long long)n);
}

static void insert(struct model *m, uint64_t n)
{
    struct item *item = mem_alloc(sizeof(*item));
    item_init(item, n);
    size_t at = rank(m, item);
    if (m->count == MODEL_MAX || (at < m->count && compare(m, m->items[at], item) == 0)) {
        mem_free(item);
        return;
    }
    memmove(&m->items[at + 1], &m->items[at], (m->count - at) * sizeof(item));
    m->items[at] = item;
    m->count++;
    struct stream_pos pos = stream_index_insert(&m->index, key_of(m, item), item);
    assert_ptr_equal(stream_pos_value(pos), item);
}

static void remove_key(struct model *m, const struct item *key)
{
    size_t at = rank(m, key);
    bool there = at < m->count && compare(m, m->items[at], key) == 0;
    struct item *removed = stream_index_remove(&m->index, key_of(m, key));
    assert_ptr_equal(removed, there ? m->items[at] : NULL);
    if (!there) return;
    m->count--;
    memmove(&m->items[at], &m->items[at + 1], (m->count - at) * sizeof(removed));
    memset(removed, 'x', sizeof(*removed)); /* an index that still reads the name fails now */
    mem_free(removed);
}

static void assert_pos(struct stream_pos pos, const struct item *expected)
{
    assert_int_equal(pos.leaf != NULL, expected != NULL);
    if (pos.leaf != NULL) assert_ptr_equal(stream_pos_value(pos), expected);
}

static void check_look_ups(const struct model *m, const struct item *key)
{
    size_t at = rank(m, key);
    bool there = at < m->count && compare(m, m->items[at], key) == 0;
    assert_ptr_equal(stream_index_find(&m->index, key_of(m, key)), there ? m->items[at] : NULL);
    assert_pos(stream_index_ceiling(&m->index, key_of(m, key)), at < m->count ? m->items[at] : NULL);
    if (!there) at--;
    assert_pos(stream_index_floor(&m->index, key_of(m, key)), at < m->count ? m->items[at] : NULL);
}

static void check_order(const struct model *m)
{
    size_t n = 0;
    stream_index_check(&m->index);
    assert_int_equal(m->index.count, m->count);
    for (struct stream_pos pos = stream_index_first(&m->index); pos.leaf != NULL; stream_pos_next(&pos))
        assert_ptr_equal(stream_pos_value(pos), m->items[n++]);
    assert_int_equal(n, m->count);
    for (struct stream_pos pos = stream_index_last(&m->index); pos.leaf != NULL; stream_pos_prev(&pos))
        assert_ptr_equal(stream_pos_value(pos), m->items[--n]);
    assert_int_equal(n, 0);
}

static void random_operations(bool by_name, uint64_t keys, int steps)
{
    struct model *m = mem_calloc(sizeof(*m));
    m->by_name = by_name;
    rng_seed(&m->rng, keys);
    stream_index_init(&m->index, by_name);
    for (int i = 0; i < steps; i++) {
        struct item key;
        bool shrinking = i / 1000 % 3 == 2;
        item_init(&key, rng_below(&m->rng, keys));
        if (rng_below(&m->rng, 10) < (shrinking ? 2 : 7))
            insert(m, rng_below(&m->rng, keys));
        else
            remove_key(m, &key);
        check_look_ups(m, &key);
        if (i % 100 == 0) check_order(m);
    }
    check_order(m);
    stream_index_release(&m->index, mem_free);
    assert_int_equal(m->index.count, 0);
    mem_free(m);
}

static void test_random_operations_by_id(void **state)
{
    random_operations(false, 20, 2000);
    random_operations(false, 300, 20000);
    random_operations(false, 5000, 20000);
}

static void test_random_operations_by_name(void **state)
{
    random_operations(true, 40, 3000);
    random_operations(true, 1500, 10000);
}

static struct stream_key number(uint64_t n)
{
    return stream_key_id((struct stream_id){0, n});
}

/* Entries are added at the end and removed from the start. */
static void test_a_queue_stays_dense(void **state)
{
    static char value;
    struct stream_index x;
    stream_index_init(&x, false);
    for (uint64_t n = 0; n < 100000; n++) stream_index_insert(&x, number(n), &value);
    stream_index_check(&x);
    assert_in_range(stream_index_memory(&x), 100000 * 24, 100000 * 27);
    for (uint64_t n = 0; n < 99990; n++) assert_ptr_equal(stream_index_remove(&x, number(n)), &value);
    stream_index_check(&x);
    assert_in_range(stream_index_memory(&x), 1, 2000);
    for (uint64_t n = 99990; n < 100000; n++) assert_ptr_equal(stream_index_remove(&x, number(n)), &value);
    assert_int_equal(stream_index_memory(&x), 0);
    assert_null(stream_index_remove(&x, number(5)));
    stream_index_release(&x, NULL);
}

static void test_few_keys_take_little(void **state)
{
    static char value;
    struct stream_index x;
    stream_index_init(&x, false);
    assert_int_equal(stream_index_memory(&x), 0);
    stream_index_insert(&x, number(1), &value);
    assert_in_range(stream_index_memory(&x), 48, 64);
    stream_index_insert(&x, number(2), &value);
    assert_in_range(stream_index_memory(&x), 72, 96);
    stream_index_release(&x, NULL);
}

static void test_changes_are_counted(void **state)
{
    static char value, other;
    struct stream_index x;
    stream_index_init(&x, false);
    struct stream_pos pos = stream_index_insert(&x, number(1), &value);
    assert_int_equal(x.changes, 1);
    stream_pos_set_value(pos, &other);
    assert_ptr_equal(stream_index_find(&x, number(1)), &other);
    assert_null(stream_index_remove(&x, number(2)));
    assert_int_equal(x.changes, 1);
    assert_ptr_equal(stream_index_remove(&x, number(1)), &other);
    assert_int_equal(x.changes, 2);
    stream_index_release(&x, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations_by_id), cmocka_unit_test(test_random_operations_by_name),
        cmocka_unit_test(test_a_queue_stays_dense),     cmocka_unit_test(test_few_keys_take_little),
        cmocka_unit_test(test_changes_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
