/* redis.conf.example against the registry: each names what the other has, with the same default and the same promise.
 */
#include "server/config/config.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/memory.h"

static const char example_path[] = "redis.conf.example";

/* A directive of the file, with the paragraph of comments above it. */
struct documented {
    char *line;
    char *name;
    char *paragraph;
    bool active; /* not commented out */
};

struct fixture {
    struct settings settings;
    struct config *cfg;
    struct bytes_buf text;
    struct documented *docs;
    size_t count;
};

static char *paragraph_text(const struct bytes_buf *b)
{
    return b->len > 0 ? bytes_to_cstr(bytes_buf_view(b)) : mem_strdup("");
}

static void add_directive(struct fixture *f, char *line, const struct bytes_buf *paragraph)
{
    bool active = line[0] != '#';
    if (!active) line++;
    size_t name = strcspn(line, " ");
    f->docs = mem_realloc(f->docs, (f->count + 1) * sizeof(*f->docs));
    f->docs[f->count++] = (struct documented){.line = mem_strdup(line),
                                              .name = bytes_to_cstr(bytes_view(line, name)),
                                              .paragraph = paragraph_text(paragraph),
                                              .active = active};
}

static void read_example(struct fixture *f)
{
    struct bytes_buf paragraph = {NULL, 0, 0};
    char *copy = bytes_to_cstr(bytes_buf_view(&f->text)), *rest = copy, *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (line[0] == '\0')
            paragraph.len = 0;
        else if (line[0] == '#' && !isalpha((unsigned char)line[1]))
            bytes_buf_printf(&paragraph, "%s ", line + strspn(line, "# "));
        else
            add_directive(f, line, &paragraph);
    }
    bytes_buf_release(&paragraph);
    mem_free(copy);
}

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    f->cfg = config_new(&f->settings, sys_real(), NULL);
    if (config_file_read(sys_real(), example_path, &f->text) != 0) return -1;
    read_example(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < f->count; i++) {
        mem_free(f->docs[i].line);
        mem_free(f->docs[i].name);
        mem_free(f->docs[i].paragraph);
    }
    mem_free(f->docs);
    bytes_buf_release(&f->text);
    config_free(f->cfg);
    mem_free(f);
    return 0;
}

/* ---- Rows ---- */

struct lookup {
    const char *name;
    const struct config_directive *row;
};

static void compare_name(void *ctx, const struct config_directive *row)
{
    struct lookup *l = ctx;
    if (strcmp(row->name, l->name) == 0) l->row = row;
}

static const struct config_directive *row_named(struct fixture *f, const char *name)
{
    struct lookup l = {.name = name};
    config_each_row(f->cfg, &l, compare_name);
    return l.row;
}

static const struct documented *documented_as(const struct fixture *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++) {
        if (strcmp(f->docs[i].name, name) == 0) return &f->docs[i];
    }
    return NULL;
}

static void test_every_line_names_a_directive(void **state)
{
    struct fixture *f = *state;
    assert_true(f->count > 150);
    for (size_t i = 0; i < f->count; i++) {
        if (strcmp(f->docs[i].name, "include") == 0) continue; /* part of the file format, not a directive */
        if (row_named(f, f->docs[i].name) == NULL) fail_msg("%s is not registered", f->docs[i].name);
    }
}

static void check_documented(void *ctx, const struct config_directive *row)
{
    const struct fixture *f = ctx;
    bool of_other_versions = row->special == NULL && row->kind == CONFIG_SPECIAL && row->refusal == NULL;
    if (of_other_versions && memmem(f->text.data, f->text.len, row->name, strlen(row->name)) == NULL)
        fail_msg("%s is not listed", row->name);
    if (row->flags & CONFIG_FLAG_HIDDEN) return;
    const struct documented *doc = documented_as(f, row->name);
    if (doc == NULL) fail_msg("%s is not explained", row->name);
    if (strlen(doc->paragraph) < 20) fail_msg("%s has no paragraph", row->name);
    bool refused = row->refusal != NULL, no_effect = (row->flags & CONFIG_FLAG_NO_EFFECT) != 0;
    if (refused != (strstr(doc->paragraph, "Refused.") != NULL)) fail_msg("%s: refused or not?", row->name);
    if (no_effect != (strstr(doc->paragraph, "No effect.") != NULL)) fail_msg("%s: effect or none?", row->name);
    bool start_only = (row->flags & (CONFIG_FLAG_IMMUTABLE | CONFIG_FLAG_FILE_ONLY)) != 0;
    bool says_so = strstr(doc->paragraph, "Start only.") != NULL;
    if (start_only && !refused && !says_so) fail_msg("%s can be set at the start only", row->name);
}

static void test_every_directive_is_explained_truthfully(void **state)
{
    config_each_row(((struct fixture *)*state)->cfg, *state, check_documented);
}

/* ---- Values ---- */

static void load(struct config *cfg, struct bytes_view text)
{
    struct config_failure failure;
    if (config_load_text(cfg, text, &failure) != 0) fail_msg("[%s]: %s", failure.text, failure.error.text);
}

static void gather(void *ctx, const char *name, struct bytes_view value)
{
    bytes_buf_printf(ctx, "%s=%.*s\n", name, (int)value.len, value.data);
}

static void values(const struct config *cfg, struct bytes_buf *out)
{
    struct bytes_view all = BYTES_LIT("*");
    config_get(cfg, &all, 1, out, gather);
    bytes_buf_append(out, "", 1);
}

/* Lines that show an example instead of a default. */
static bool shows_no_default(const struct documented *doc)
{
    static const char *const names[] = {"include", "user", "rename-command", "replicaof", "loadmodule", "sentinel"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(doc->name, names[i]) == 0) return true;
    }
    return false;
}

static void test_what_it_shows_are_the_defaults(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf before = {NULL, 0, 0}, after = {NULL, 0, 0}, text = {NULL, 0, 0};
    load(f->cfg, BYTES_LIT("dir ./"));
    values(f->cfg, &before);
    for (size_t i = 0; i < f->count; i++) {
        if (!f->docs[i].active && !shows_no_default(&f->docs[i])) bytes_buf_printf(&text, "%s\n", f->docs[i].line);
    }
    load(f->cfg, bytes_buf_view(&text));
    values(f->cfg, &after);
    assert_string_equal(before.data, after.data);
    bytes_buf_release(&before);
    bytes_buf_release(&after);
    bytes_buf_release(&text);
}

static void test_it_loads(void **state)
{
    struct fixture *f = *state;
    load(f->cfg, bytes_buf_view(&f->text));
    assert_string_equal(f->settings.net.bind.addresses[0], "127.0.0.1");
    assert_true(f->settings.net.protected_mode);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_line_names_a_directive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_directive_is_explained_truthfully, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_it_shows_are_the_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_loads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
