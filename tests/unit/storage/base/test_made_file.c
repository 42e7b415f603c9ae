#include "storage/base/made_file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char dir[40], path[64];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    strcpy(f->dir, "/tmp/lockstep-made-XXXXXX");
    if (mkdtemp(f->dir) == NULL) return -1;
    snprintf(f->path, sizeof(f->path), "%s/name", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    (void)unlink(f->path); /* most tests have none left */
    int rc = rmdir(f->dir);
    free(f);
    return rc;
}

static int make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static void test_fault_17_own_name_is_removed(void **state)
{
    struct fixture *f = *state;
    struct made_file made;
    assert_int_equal(made_file_begin(&made, f->path), 0);
    int fd = make_file(f->path);
    assert_int_equal(made_file_note(&made), 0);
    assert_true(made_file_is_ours(&made));
    assert_true(made_file_remove(&made));
    assert_int_equal(access(f->path, F_OK), -1);
    assert_false(made_file_remove(&made));
    close(fd);
}

static void test_fault_17_name_that_is_another_file_by_now_stays(void **state)
{
    struct fixture *f = *state;
    struct made_file made;
    assert_int_equal(made_file_begin(&made, f->path), 0);
    int fd = make_file(f->path);
    assert_int_equal(made_file_note(&made), 0);
    assert_int_equal(unlink(f->path), 0);
    close(make_file(f->path));
    assert_false(made_file_is_ours(&made));
    assert_false(made_file_remove(&made));
    assert_int_equal(access(f->path, F_OK), 0);
    close(fd);
}

static void test_fault_17_what_was_never_noted_stays(void **state)
{
    struct fixture *f = *state;
    struct made_file made;
    close(make_file(f->path));
    assert_int_equal(made_file_begin(&made, f->path), 0);
    assert_false(made_file_remove(&made));
    assert_int_equal(access(f->path, F_OK), 0);
    assert_int_equal(made_file_begin(&made, "/nonexistent/name"), -ENOENT);
    assert_int_equal(made_file_begin(&made, f->dir), 0); /* the name is that of a directory, which is not removed
                                                          * either */
    assert_int_equal(made_file_note(&made), 0);
    assert_false(made_file_remove(&made));
}

/* Between begin and note no other process gets past begin. */
static void test_fault_17_directory_is_locked_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct made_file made;
    int dir = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(made_file_begin(&made, f->path), 0);
    assert_int_equal(flock(dir, LOCK_EX | LOCK_NB), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    assert_int_equal(made_file_note(&made), -ENOENT);
    assert_int_equal(flock(dir, LOCK_EX | LOCK_NB), 0);
    made_file_forget(&made);
    close(dir);
}

/* A lock that is never released delays the start but does not prevent it. */
static void test_fault_17_lock_is_done_without_in_the_end(void **state)
{
    struct fixture *f = *state;
    struct made_file made;
    int dir = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(dir, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(made_file_begin(&made, f->path), 0);
    int fd = make_file(f->path);
    assert_int_equal(made_file_note(&made), 0);
    assert_true(made_file_remove(&made));
    close(fd);
    close(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fault_17_own_name_is_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_17_name_that_is_another_file_by_now_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_17_what_was_never_noted_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_17_directory_is_locked_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_17_lock_is_done_without_in_the_end, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
