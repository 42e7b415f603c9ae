/* fuzz_config.c -- any text as a configuration, and any pairs as CONFIG SET.
 * No crash. A configuration that loads can be written by CONFIG REWRITE, and has the same values when it is loaded
 * again. CONFIG SET changes all values or none. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "server/config/config.h"
#include "storage/base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- Files in memory ---- */

struct memory_files {
    struct bytes_view conf; /* the configuration file */
    struct bytes_buf temp;  /* the file being written */
    struct bytes_buf saved;
    size_t at;
};

static int memory_open(void *ctx, const char *path, int flags, int mode)
{
    struct memory_files *m = ctx;
    if (flags & O_CREAT) {
        m->temp.len = 0;
        return 2;
    }
    m->at = 0;
    return strcmp(path, "/fuzz.conf") == 0 ? 1 : -ENOENT;
}

static ssize_t memory_read(void *ctx, int fd, void *buf, size_t len)
{
    struct memory_files *m = ctx;
    size_t left = m->conf.len - m->at;
    if (len > left) len = left;
    if (len > 0) memcpy(buf, m->conf.data + m->at, len);
    m->at += len;
    return (ssize_t)len;
}

static ssize_t memory_write(void *ctx, int fd, const void *buf, size_t len)
{
    bytes_buf_append(&((struct memory_files *)ctx)->temp, buf, len);
    return (ssize_t)len;
}

static int memory_rename(void *ctx, const char *from, const char *to)
{
    struct memory_files *m = ctx;
    m->saved.len = 0;
    bytes_buf_append_view(&m->saved, bytes_buf_view(&m->temp));
    m->conf = bytes_buf_view(&m->saved);
    return 0;
}

static int succeed_fd(void *ctx, int fd)
{
    return 0;
}
static int succeed_path(void *ctx, const char *path)
{
    return 0;
}
static void zeros(void *ctx, void *buf, size_t len)
{
    memset(buf, 0, len);
}

static struct sys memory_sys(struct memory_files *m)
{
    return (struct sys){.ctx = m,
                        .open = memory_open,
                        .read = memory_read,
                        .write = memory_write,
                        .close = succeed_fd,
                        .fsync = succeed_fd,
                        .rename = memory_rename,
                        .unlink = succeed_path,
                        .fsync_dir = succeed_path,
                        .random = zeros};
}

/* ---- Values ---- */

static void gather(void *ctx, const char *name, struct bytes_view value)
{
    bytes_buf_printf(ctx, "%s=%.*s\n", name, (int)value.len, value.data);
}

static struct bytes_buf values(const struct config *cfg)
{
    struct bytes_view all = BYTES_LIT("*");
    struct bytes_buf out = {NULL, 0, 0};
    config_get(cfg, &all, 1, &out, gather);
    return out;
}

static void must_equal(const struct bytes_buf *a, const struct bytes_buf *b)
{
    if (!bytes_equal(bytes_buf_view(a), bytes_buf_view(b))) abort();
}

static struct config *loaded(struct settings *settings, const struct sys *sys)
{
    char *argv[] = {"fuzz", "/fuzz.conf"};
    struct config_start start;
    struct config *cfg = config_new(settings, sys, NULL);
    if (config_load(cfg, 2, argv, &start) == CONFIG_START_RUN) return cfg;
    config_free(cfg);
    return NULL;
}

static void round_trip(struct bytes_view text, bool force_all)
{
    struct memory_files files = {.conf = text};
    struct sys sys = memory_sys(&files);
    struct settings *settings = mem_calloc(2 * sizeof(*settings));
    struct config *first = loaded(&settings[0], &sys);
    if (first != NULL) {
        struct config_error err;
        if (force_all) config_rewrite_force_all(first);
        if (config_rewrite(first, &err) != 0) abort();
        struct config *second = loaded(&settings[1], &sys);
        if (second == NULL) abort();
        struct bytes_buf before = values(first), after = values(second);
        must_equal(&before, &after);
        bytes_buf_release(&before);
        bytes_buf_release(&after);
        config_free(second);
    }
    config_free(first);
    mem_free(settings);
    bytes_buf_release(&files.temp);
    bytes_buf_release(&files.saved);
}

/* Lines: name, value, name, value ... */
static void set_pairs(struct bytes_view text)
{
    struct bytes_view pairs[16];
    size_t count = 0;
    while (text.len > 0 && count < 16) {
        const char *stop = memchr(text.data, '\n', text.len);
        size_t len = stop != NULL ? (size_t)(stop - text.data) : text.len;
        pairs[count++] = bytes_view(text.data, len);
        size_t used = stop != NULL ? len + 1 : len;
        text = bytes_view(text.data + used, text.len - used);
    }
    struct settings *settings = mem_calloc(sizeof(*settings));
    struct config *cfg = config_new(settings, sys_real(), NULL);
    struct bytes_buf before = values(cfg);
    struct config_set_context all = {.protected_allowed = true};
    struct config_error err;
    if (count >= 2 && config_set_many(cfg, pairs, count / 2, &all, &err) != 0) {
        struct bytes_buf after = values(cfg);
        must_equal(&before, &after);
        bytes_buf_release(&after);
    }
    bytes_buf_release(&before);
    config_free(cfg);
    mem_free(settings);
}

/* An include would read real files. */
static bool names_files(struct bytes_view text)
{
    for (; text.len >= 7; text.data++, text.len--) {
        if (strncasecmp(text.data, "include", 7) == 0) return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct bytes_view text = bytes_view(data + 1, size - 1);
    if (names_files(text)) return 0;
    switch (data[0] % 3) {
    case 0: round_trip(text, false); break;
    case 1: round_trip(text, true); break;
    default: set_pairs(text); break;
    }
    return 0;
}
