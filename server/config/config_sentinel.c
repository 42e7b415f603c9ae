/* config_sentinel.c -- the lines "sentinel ..." of a sentinel's file, and the defaults that a sentinel has. */
#include "server/config/config_internal.h"

#include "server/config/config_special.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

static int sentinel_set(struct config *cfg, void *target, char **words, size_t count, struct config_error *err)
{
    struct settings_sentinel *st = target;
    if (!st->mode) return config_fail(err, "sentinel directive while not in sentinel mode");
    if (count == 0) return 0; /* the option --sentinel */
    if (cfg->including)
        return config_fail(err, "sentinel directives cannot stand in an included file, which is never rewritten");
    struct sentinel_line line = {.words = mem_alloc(count * sizeof(char *)), .count = count};
    for (size_t i = 0; i < count; i++) line.words[i] = mem_strdup(words[i]);
    st->lines = mem_realloc(st->lines, (st->line_count + 1) * sizeof(*st->lines));
    st->lines[st->line_count++] = line;
    return 0;
}

static void sentinel_release(void *target)
{
    struct settings_sentinel *st = target;
    for (size_t i = 0; i < st->line_count; i++) {
        for (size_t j = 0; j < st->lines[i].count; j++) mem_free(st->lines[i].words[j]);
        mem_free(st->lines[i].words);
    }
    mem_free(st->lines);
    st->lines = NULL;
    st->line_count = 0;
}

static bool sentinel_rewrites(const struct config *cfg)
{
    return cfg->settings->sentinel.mode && cfg->hooks.sentinel_lines != NULL;
}

/* ---- Rewriting ---- */

struct gathered {
    struct bytes_view *lines; /* owned, as are their bytes */
    size_t count;
};

static void gather(void *to, const char *text)
{
    struct gathered *g = to;
    g->lines = mem_realloc(g->lines, (g->count + 1) * sizeof(*g->lines));
    g->lines[g->count++] = bytes_str(mem_strdup(text));
}

static void sentinel_rewrite(const struct config *cfg, const void *target, const char *name, struct config_rewriter *rw)
{
    struct gathered g = {.count = 0};
    cfg->hooks.sentinel_lines(cfg->hooks.ctx, &g, gather);
    config_rewrite_lines(rw, g.lines, g.count);
    for (size_t i = 0; i < g.count; i++) mem_free((char *)g.lines[i].data);
    mem_free(g.lines);
}

const struct config_special config_special_sentinel = {
    .set = sentinel_set, .rewrite = sentinel_rewrite, .release = sentinel_release, .rewrites = sentinel_rewrites};

/* ---- Defaults ---- */

static void change_default(struct config *cfg, const char *name, const char *value)
{
    struct config_row *row = config_find(cfg, name);
    char *text = mem_strdup(value);
    int rc = config_row_set_text(cfg, row, text, NULL);
    ASSERT(rc == 0);
    mem_free(text);
    mem_free(row->default_text);
    row->default_text = mem_strdup(value);
}

void config_be_sentinel(struct config *cfg)
{
    cfg->settings->sentinel.mode = true;
    change_default(cfg, "port", "26379");
    change_default(cfg, "protected-mode", "no");
    change_default(cfg, "save", "");
}
