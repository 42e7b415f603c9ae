#include "storage/libraries.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/base/crc64.h"
#include "storage/rdb_reader.h"
#include "storage/rdb_writer.h"

enum { NAMES = 20 };

static struct bytes_view name_of(int i, char buf[16])
{
    return bytes_view(buf, (size_t)snprintf(buf, 16, "lib%d", i));
}

/* Random changes, compared with an array of flags. */
static void test_against_a_model(void **state)
{
    struct libraries *l = libraries_new();
    int versions[NAMES] = {0};
    char name[16], source[32];
    (void)state;
    srand(1);
    for (int step = 0; step < 20000; step++) {
        int i = rand() % NAMES;
        size_t at;
        switch (rand() % 4) {
        case 0:
        case 1:
            versions[i] = step + 1;
            libraries_set(l, name_of(i, name), bytes_view(source, (size_t)snprintf(source, 32, "source %d", step + 1)));
            break;
        case 2:
            assert_int_equal(libraries_remove(l, name_of(i, name)), versions[i] != 0);
            versions[i] = 0;
            break;
        case 3:
            assert_int_equal(libraries_find(l, name_of(i, name), &at), versions[i] != 0);
            if (versions[i] == 0) break;
            assert_true(bytes_equal(libraries_name(l, at), name_of(i, name)));
            snprintf(source, sizeof(source), "source %d", versions[i]);
            assert_true(bytes_equal(libraries_source(l, at), bytes_str(source)));
        }
    }
    for (size_t i = 1; i < libraries_count(l); i++)
        assert_true(bytes_compare(libraries_name(l, i - 1), libraries_name(l, i)) < 0);
    assert_true(libraries_memory(l) > 0);
    libraries_clear(l);
    assert_int_equal(libraries_count(l), 0);
    libraries_free(l);
}

static int keep(void *ctx, struct bytes_view source)
{
    libraries_set(ctx, rdb_library_name(source), source);
    return 0;
}

static void test_dump_and_restore(void **state)
{
    struct libraries *from = libraries_new(), *to = libraries_new();
    struct bytes_buf payload = {0}, why = {0};
    char big[5000];
    (void)state;
    memset(big, '-', sizeof(big));
    memcpy(big, "#!lua name=b\n", 13);
    libraries_set(from, BYTES_LIT("b"), bytes_view(big, sizeof(big)));
    libraries_set(from, BYTES_LIT("a"), BYTES_LIT("#!lua name=a\nx"));
    rdb_dump_libraries(from, 9, &payload);
    assert_int_equal(rdb_restore_libraries(bytes_buf_view(&payload), keep, to, &why), 0);
    assert_int_equal(libraries_count(to), 2);
    for (size_t i = 0; i < 2; i++) assert_true(bytes_equal(libraries_source(from, i), libraries_source(to, i)));
    for (size_t i = 0; i < payload.len; i++) { /* any changed byte is noticed */
        payload.data[i] ^= 1;
        assert_int_equal(rdb_restore_libraries(bytes_buf_view(&payload), keep, to, &why), -EBADMSG);
        payload.data[i] ^= 1;
        assert_int_equal(rdb_restore_libraries(bytes_view(payload.data, i), keep, to, &why), -EBADMSG);
    }
    libraries_clear(from);
    payload.len = 0;
    rdb_dump_libraries(from, 10, &payload);
    assert_int_equal(rdb_restore_libraries(bytes_buf_view(&payload), keep, to, &why), 0);
    bytes_buf_release(&payload);
    bytes_buf_release(&why);
    libraries_free(from);
    libraries_free(to);
}

/* A value where a library should be: the payload of a DUMP. */
static void test_other_payloads_are_refused(void **state)
{
    static const char dump[] = "\x00\xc0\x01\x0a\x00"; /* the string 1, version 10 */
    struct bytes_buf payload = {0}, why = {0};
    struct libraries *to = libraries_new();
    uint64_t crc = crc64(0, dump, sizeof(dump) - 1);
    (void)state;
    bytes_buf_append(&payload, dump, sizeof(dump) - 1);
    bytes_buf_append(&payload, &crc, sizeof(crc));
    assert_int_equal(rdb_restore_libraries(bytes_buf_view(&payload), keep, to, &why), -EINVAL);
    assert_non_null(strstr(bytes_buf_view(&why).data, "given type is not a function"));
    bytes_buf_release(&payload);
    bytes_buf_release(&why);
    libraries_free(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_a_model),
        cmocka_unit_test(test_dump_and_restore),
        cmocka_unit_test(test_other_payloads_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
