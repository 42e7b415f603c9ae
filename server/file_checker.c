#include "server/file_checker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "server/process.h"
#include "storage/rdb_check.h"

enum { PROGRESS_EVERY_US = 200 * 1000 };

struct terminal {
    const struct sys *sys;
    bool shows_progress; /* on standard error, when that is somebody who watches */
    uint64_t total;
    int64_t next_us;
};

static void clear_progress(const struct terminal *t)
{
    if (t->shows_progress) fputs("\r\x1b[K", stderr);
}

static void print_line(void *ctx, const char *text)
{
    clear_progress(ctx);
    puts(text);
    fflush(stdout);
}

static void print_progress(void *ctx, uint64_t offset, uint64_t keys_read)
{
    struct terminal *t = ctx;
    int64_t now = sys_mono_us(t->sys);
    if (!t->shows_progress || now < t->next_us) return;
    t->next_us = now + PROGRESS_EVERY_US;
    double share = t->total > 0 ? 100.0 * (double)offset / (double)t->total : 100;
    fprintf(stderr, "\r\x1b[K[offset %" PRIu64 "] %.1f%% checked, %" PRIu64 " keys read", offset, share, keys_read);
    fflush(stderr);
}

static int check_rdb(const struct sys *sys, const char *path)
{
    int64_t size = sys->file_size(sys->ctx, path);
    struct terminal t = {
        .sys = sys, .shows_progress = isatty(STDERR_FILENO) == 1, .total = size > 0 ? (uint64_t)size : 0};
    struct rdb_check_output out = {.ctx = &t, .line = print_line, .progress = print_progress};
    printf("[offset 0] Checking RDB file %s\n", path);
    fflush(stdout);
    int rc = rdb_check_file(sys, path, &out);
    clear_progress(&t);
    if (rc != 0 && rc != -EINVAL) fprintf(stderr, "Cannot read %s: %s\n", path, strerror(-rc));
    return rc == 0 ? 0 : 1;
}

static bool is_called_check_rdb(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strstr(slash != NULL ? slash + 1 : path, "check-rdb") != NULL;
}

static int run(const struct sys *sys, const char *name, int count, char **args)
{
    if (count == 1 && (strcmp(args[0], "--version") == 0 || strcmp(args[0], "-v") == 0)) {
        printf("lockstep-check-rdb %s (as redis-check-rdb %s)\n", LOCKSTEP_VERSION, LOCKSTEP_REDIS_VERSION);
        return 0;
    }
    if (count == 1) return check_rdb(sys, args[0]);
    fprintf(stderr, "Usage: %s <rdb-file-name>\n", name);
    return 1;
}

bool file_checker_run(const struct sys *sys, int argc, char **argv, int *code)
{
    if (argc > 0 && is_called_check_rdb(argv[0])) {
        *code = run(sys, argv[0], argc - 1, argv + 1);
        return true;
    }
    if (argc < 2 || strcmp(argv[1], "--check-rdb") != 0) return false;
    *code = run(sys, "lockstep-server --check-rdb", argc - 2, argv + 2);
    return true;
}
