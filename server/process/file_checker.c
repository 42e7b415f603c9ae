#include "server/process/file_checker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "server/process/process.h"
#include "storage/aof_check.h"
#include "storage/base/num.h"
#include "storage/rdb_check.h"

enum { PROGRESS_EVERY_US = 200 * 1000 };

struct terminal {
    const struct sys *sys;
    bool shows_progress; /* on standard error, if that is a terminal */
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

/* ---- lockstep-check-rdb ---- */

static int run_check_rdb(const struct sys *sys, const char *name, int count, char **args)
{
    if (count == 1 && (strcmp(args[0], "--version") == 0 || strcmp(args[0], "-v") == 0)) {
        printf("lockstep-check-rdb %s (as redis-check-rdb %s)\n", LOCKSTEP_VERSION, LOCKSTEP_REDIS_VERSION);
        return 0;
    }
    if (count == 1) return check_rdb(sys, args[0]);
    fprintf(stderr, "Usage: %s <rdb-file-name>\n", name);
    return 1;
}

/* ---- lockstep-check-aof ---- */

static bool ask(void *ctx, const char *prompt)
{
    char answer[16];
    (void)ctx;
    fputs(prompt, stdout);
    fflush(stdout);
    return fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y') &&
           (answer[1] == '\n' || answer[1] == '\0');
}

static int run_check_aof(const struct sys *sys, const char *name, int count, char **args)
{
    struct terminal t = {.sys = sys};
    struct aof_check_options options = {.truncate_to = -1};
    struct aof_check_output out = {.ctx = &t, .line = print_line, .confirm = ask};
    if (count == 1 && (strcmp(args[0], "--version") == 0 || strcmp(args[0], "-v") == 0)) {
        printf("lockstep-check-aof %s (as redis-check-aof %s)\n", LOCKSTEP_VERSION, LOCKSTEP_REDIS_VERSION);
        return 0;
    }
    if (count == 1) return aof_check(sys, args[0], &options, &out);
    if (count == 2 && strcmp(args[0], "--fix") == 0) {
        options.fix = true;
        return aof_check(sys, args[1], &options, &out);
    }
    if (count != 3 || strcmp(args[0], "--truncate-to-timestamp") != 0) {
        printf("Usage: %s [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>\n", name);
        return 1;
    }
    if (!num_parse_i64(bytes_str(args[1]), &options.truncate_to) || options.truncate_to < 0) {
        printf("Invalid timestamp, aborting...\n");
        return 1;
    }
    return aof_check(sys, args[2], &options, &out);
}

/* ---- Selection ---- */

struct file_checker {
    const char *name;   /* part of argv[0] */
    const char *option; /* or the first argument */
    int (*run)(const struct sys *sys, const char *name, int count, char **args);
};

bool file_checker_run(const struct sys *sys, int argc, char **argv, int *code)
{
    static const struct file_checker checkers[] = {{"check-rdb", "--check-rdb", run_check_rdb},
                                                   {"check-aof", "--check-aof", run_check_aof}};
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL, *called = slash != NULL ? slash + 1 : argv[0];
    for (size_t i = 0; i < sizeof(checkers) / sizeof(checkers[0]) && argc > 0; i++) {
        const struct file_checker *c = &checkers[i];
        char name[64];
        if (strstr(called, c->name) != NULL) {
            *code = c->run(sys, argv[0], argc - 1, argv + 1);
            return true;
        }
        if (argc < 2 || strcmp(argv[1], c->option) != 0) continue;
        snprintf(name, sizeof(name), "lockstep-server %s", c->option);
        *code = c->run(sys, name, argc - 2, argv + 2);
        return true;
    }
    return false;
}
