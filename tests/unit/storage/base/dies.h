/* dies.h -- runs a function in a child process and reports how the child ended, for tests of failing assertions. */
#ifndef LOCKSTEP_TESTS_DIES_H
#define LOCKSTEP_TESTS_DIES_H

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* The signal that ended the child, or 0 if fn returned. text[] gets what the child wrote to standard error. */
static inline int dies_of(void (*fn)(void), char *text, size_t size)
{
    int fds[2], status = 0;
    size_t len = 0;
    ssize_t n;
    if (pipe(fds) != 0) abort();
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &no_core); /* a core file would only be in the way */
        signal(SIGABRT, SIG_DFL);
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        fn();
        _exit(0);
    }
    close(fds[1]);
    while (len + 1 < size && (n = read(fds[0], text + len, size - len - 1)) > 0) len += (size_t)n;
    text[len] = '\0';
    close(fds[0]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid) abort();
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static inline int signal_of(void (*fn)(void))
{
    char text[512];
    return dies_of(fn, text, sizeof(text));
}

#endif
