#include "storage/base/allocator.h"

#ifdef LOCKSTEP_SANITIZE

bool allocator_get_usage(struct allocator_usage *out)
{
    return false;
}
void allocator_purge(void) {}
int allocator_set_background_thread(bool on)
{
    return 0;
}
void allocator_describe(struct bytes_buf *out)
{
    bytes_buf_printf(out, "Stats not supported for the current allocator");
}
bool allocator_control_number(const char *name, const int64_t *set, int64_t *out)
{
    return false;
}
bool allocator_control_text(const char *name, const char *set, const char **out)
{
    return false;
}

#else

#include <jemalloc/jemalloc.h>
#include <stdio.h>

static size_t read_size(const char *name)
{
    size_t value = 0, len = sizeof(value);
    return mallctl(name, &value, &len, NULL, 0) == 0 ? value : 0;
}

bool allocator_get_usage(struct allocator_usage *out)
{
    uint64_t epoch = 1;
    size_t len = sizeof(epoch);
    if (mallctl("epoch", &epoch, &len, &epoch, len) != 0) return false; /* refreshes the statistics */
    *out = (struct allocator_usage){.allocated = read_size("stats.allocated"),
                                    .active = read_size("stats.active"),
                                    .resident = read_size("stats.resident")};
    return true;
}

void allocator_purge(void)
{
    char name[32];
    snprintf(name, sizeof(name), "arena.%u.purge", (unsigned)MALLCTL_ARENAS_ALL);
    (void)mallctl(name, NULL, NULL, NULL, 0); /* best effort */
}

int allocator_set_background_thread(bool on)
{
    return -mallctl("background_thread", NULL, NULL, &on, sizeof(on));
}

static void take_text(void *ctx, const char *text)
{
    bytes_buf_append(ctx, text, strlen(text));
}
void allocator_describe(struct bytes_buf *out)
{
    malloc_stats_print(take_text, out, NULL);
}

/* Controls have different sizes. A wrong size is refused, so the callers try each size. */
static bool control(const char *name, void *old, size_t size, void *fresh)
{
    size_t len = size;
    return mallctl(name, old, &len, fresh, fresh != NULL ? size : 0) == 0 && len == size;
}

bool allocator_control_number(const char *name, const int64_t *set, int64_t *out)
{
    int64_t wide = 0, wide_set = set != NULL ? *set : 0;
    uint32_t half = 0, half_set = (uint32_t)wide_set;
    bool flag = false, flag_set = wide_set != 0;
    if (control(name, &wide, sizeof(wide), set != NULL ? &wide_set : NULL))
        *out = wide;
    else if (control(name, &half, sizeof(half), set != NULL ? &half_set : NULL))
        *out = half;
    else if (control(name, &flag, sizeof(flag), set != NULL ? &flag_set : NULL))
        *out = flag;
    else
        return false;
    return true;
}

bool allocator_control_text(const char *name, const char *set, const char **out)
{
    size_t len = sizeof(*out);
    *out = NULL;
    if (set != NULL && strcmp(set, "VOID") == 0) return mallctl(name, NULL, NULL, NULL, 0) == 0;
    if (set != NULL) return mallctl(name, out, &len, &set, sizeof(set)) == 0;
    return mallctl(name, out, &len, NULL, 0) == 0;
}

#endif
