/* process_fixture.h -- tests that change the process: in a child, with a directory of their own. */
#ifndef LOCKSTEP_TESTS_UNIT_SERVER_PROCESS_PROCESS_FIXTURE_H
#define LOCKSTEP_TESTS_UNIT_SERVER_PROCESS_PROCESS_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Tests that change the process run in a child, whose exit code is the result. */
static inline int in_child(int (*body)(void *ctx), void *ctx)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) _exit(body(ctx));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static inline void child_agrees(int (*body)(void *ctx), void *ctx)
{
    int status = in_child(body, ctx);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static inline size_t read_text(const char *path, char *buf, size_t cap)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(buf, 1, cap - 1, file);
    fclose(file);
    buf[n] = '\0';
    return n;
}

static inline int make_dir(void **state)
{
    *state = strdup("/tmp/lockstep-process-XXXXXX");
    return mkdtemp(*state) != NULL ? 0 : -1;
}

static inline int remove_dir(void **state)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", (char *)*state);
    int rc = system(command);
    free(*state);
    return rc;
}

#endif
