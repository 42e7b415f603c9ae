#include "server/config/config_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/memory.h"
#include "storage/base/words.h"

int config_fail(struct config_error *err, const char *fmt, ...)
{
    if (err == NULL) return -EINVAL;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    return -EINVAL;
}

/* ---- Files ---- */

static int read_all(const struct sys *sys, int fd, struct bytes_buf *out)
{
    for (;;) {
        char chunk[16384];
        ssize_t n = sys->read(sys->ctx, fd, chunk, sizeof(chunk));
        if (n == -EINTR) continue;
        if (n < 0) return (int)n;
        if (n == 0) return 0;
        if (out->len + (size_t)n > CONFIG_FILE_MAX) return -EFBIG;
        bytes_buf_append(out, chunk, (size_t)n);
    }
}

int config_file_read(const struct sys *sys, const char *path, struct bytes_buf *out)
{
    if (strcmp(path, "-") == 0) return read_all(sys, STDIN_FILENO, out);
    int fd = sys->open(sys->ctx, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return fd;
    int rc = read_all(sys, fd, out);
    sys->close(sys->ctx, fd);
    return rc;
}

/* The file keeps its permissions, since it may hold passwords. */
static int mode_like(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (int)(st.st_mode & 0777) : 0644;
}

static int write_and_sync(const struct sys *sys, int fd, struct bytes_view text)
{
    int rc = sys_write_all(sys, fd, text.data, text.len);
    if (rc == 0) rc = sys->fsync(sys->ctx, fd);
    int closed = sys->close(sys->ctx, fd);
    return rc < 0 ? rc : closed < 0 ? closed : 0;
}

static int replace_by(const struct sys *sys, const char *temp, const char *path, struct bytes_view text)
{
    int fd = sys->open(sys->ctx, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_like(path));
    if (fd < 0) return fd; /* with -EEXIST, the file belongs to another process: it is not removed */
    int rc = write_and_sync(sys, fd, text);
    if (rc == 0) rc = sys->rename(sys->ctx, temp, path);
    if (rc == 0) return sys->fsync_dir(sys->ctx, path);
    (void)sys->unlink(sys->ctx, temp); /* the first error is reported, not this one */
    return rc;
}

static int replace_resolved(const struct sys *sys, const char *path, struct bytes_view text)
{
    uint64_t unique;
    sys_random(sys, &unique, sizeof(unique));
    struct bytes_buf temp = {NULL, 0, 0};
    bytes_buf_printf(&temp, "%s.%d.tmp-%08x", path, (int)sys->getpid(sys->ctx), (unsigned)unique);
    bytes_buf_append(&temp, "", 1);
    int rc = replace_by(sys, temp.data, path, text);
    bytes_buf_release(&temp);
    return rc < 0 ? rc : 0;
}

/* A symbolic link stays and its target is replaced. */
static char *resolved(const char *path)
{
    char *real = realpath(path, NULL);
    char *copy = mem_strdup(real != NULL ? real : path);
    free(real);
    return copy;
}

int config_file_replace(const struct sys *sys, const char *path, struct bytes_view text)
{
    char *real = resolved(path);
    int rc = replace_resolved(sys, real, text);
    mem_free(real);
    return rc;
}

/* ---- Directives of a text ---- */

struct visit {
    const struct sys *sys;
    const struct config_visitor *visitor;
    struct config_failure *failure;
    int depth;
};

static int visit_text(struct visit *v, const char *file, struct bytes_view text);

static void copy_shortened(char *dst, size_t cap, struct bytes_view src)
{
    size_t n = src.len < cap - 1 ? src.len : cap - 1;
    if (n > 0) memcpy(dst, src.data, n);
    dst[n] = '\0';
}

static int visit_file(struct visit *v, const char *path, struct config_error *err)
{
    struct bytes_buf text = {NULL, 0, 0};
    int rc = config_file_read(v->sys, path, &text);
    if (rc != 0)
        (void)config_fail(err, "can't open config file '%s': %s", path, strerror(-rc)); /* rc is what the caller gets */
    else
        rc = visit_text(v, path, bytes_buf_view(&text));
    bytes_buf_release(&text);
    return rc;
}

/* A pattern without a match is no error, so that directories of optional files can be included. */
static int visit_pattern(struct visit *v, const char *pattern, struct config_error *err)
{
    if (strpbrk(pattern, "*?[") == NULL) return visit_file(v, pattern, err);
    glob_t found;
    int rc = glob(pattern, 0, NULL, &found);
    if (rc == GLOB_NOMATCH) return 0;
    if (rc != 0) return config_fail(err, "can't expand the pattern '%s'", pattern);
    for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++) rc = visit_file(v, found.gl_pathv[i], err);
    globfree(&found);
    return rc;
}

static void tell_included(const struct visit *v, int depth)
{
    if (v->visitor->included != NULL) v->visitor->included(v->visitor->ctx, depth > 0);
}

static int visit_include(struct visit *v, const struct word_list *w, struct config_error *err)
{
    if (w->count != 2) return config_fail(err, "Bad directive or wrong number of arguments");
    if (v->depth == CONFIG_INCLUDE_DEPTH_MAX) return config_fail(err, "includes are nested too deeply");
    tell_included(v, ++v->depth);
    int rc = visit_pattern(v, w->words[1], err);
    tell_included(v, --v->depth);
    return rc;
}

static int visit_words(struct visit *v, const struct word_list *w, struct config_error *err)
{
    for (char *p = w->words[0]; *p != '\0'; p++) *p = (char)tolower((unsigned char)*p);
    if (v->sys != NULL && strcmp(w->words[0], "include") == 0) return visit_include(v, w, err);
    return v->visitor->each(v->visitor->ctx, w->words, w->count, err);
}

static int visit_line(struct visit *v, struct bytes_view line, struct config_error *err)
{
    struct word_list w;
    if (words_split(line, &w) != 0) return config_fail(err, "Unbalanced quotes in configuration line");
    int rc = w.count == 0 ? 0 : visit_words(v, &w, err);
    words_release(&w);
    return rc;
}

struct bytes_view config_trim(struct bytes_view line)
{
    while (line.len > 0 && isspace((unsigned char)line.data[0])) line.data++, line.len--;
    while (line.len > 0 && isspace((unsigned char)line.data[line.len - 1])) line.len--;
    return line;
}

/* Keeps a place that is already set: a line of an included file is reported, not the line that includes the file. */
static void note_place(struct config_failure *f, const char *file, int number, struct bytes_view line)
{
    if (f->line != 0) return;
    f->line = number;
    copy_shortened(f->file, sizeof(f->file), bytes_str(file));
    copy_shortened(f->text, sizeof(f->text), line);
}

static int visit_text(struct visit *v, const char *file, struct bytes_view text)
{
    struct config_failure *f = v->failure;
    const char *at = text.data, *end = text.data + text.len;
    for (int number = 1; at < end; number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        struct bytes_view line = config_trim(bytes_view(at, (size_t)(stop - at)));
        at = newline != NULL ? newline + 1 : end;
        if (line.len == 0 || line.data[0] == '#') continue;
        int rc = visit_line(v, line, &f->error);
        if (rc == 0) continue;
        note_place(f, file, number, line);
        return rc;
    }
    return 0;
}

int config_text_visit(const struct sys *sys, struct bytes_view text, const struct config_visitor *visitor,
                      struct config_failure *failure)
{
    failure->file[0] = failure->text[0] = failure->error.text[0] = '\0';
    failure->line = 0;
    struct visit v = {.sys = sys, .visitor = visitor, .failure = failure};
    return visit_text(&v, "", text);
}

/* ---- Command line ---- */

static enum config_action action_of(int argc, char **argv)
{
    if (argc < 2) return CONFIG_ACTION_RUN;
    static const struct {
        const char *word;
        enum config_action action;
    } actions[] = {
        {"-v", CONFIG_ACTION_VERSION},
        {"--version", CONFIG_ACTION_VERSION},
        {"-h", CONFIG_ACTION_HELP},
        {"--help", CONFIG_ACTION_HELP},
        {"--test-memory", CONFIG_ACTION_TEST_MEMORY},
        {"--check-system", CONFIG_ACTION_CHECK_SYSTEM},
    };
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(argv[1], actions[i].word) == 0) return actions[i].action;
    }
    return CONFIG_ACTION_RUN;
}

static bool is_option(const char *arg)
{
    return arg[0] == '-' && arg[1] == '-';
}

/* Whether the argument is a name alone ("--port"). The next argument is then its value, even if it starts with "--". */
static bool is_bare_name(const char *arg)
{
    struct word_list w;
    if (words_split(bytes_str(arg), &w) != 0) return false;
    bool bare = w.count == 1;
    words_release(&w);
    return bare;
}

/* "--save" at the end or before another option means "--save ''"; "--sentinel" has no value. Returns whether the option
 * is complete. */
static bool complete_valueless(struct bytes_buf *options, const char *arg, const char *next)
{
    bool save = strcasecmp(arg, "--save") == 0;
    if (!save && strcasecmp(arg, "--sentinel") != 0) return false;
    if (next != NULL && !is_option(next)) return false;
    if (save) bytes_buf_append(options, "\"\"", 2);
    return true;
}

/* Writes each option on its own line, followed by its values as quoted words. A value that follows a bare name may
 * start with "--". */
static void append_options(struct bytes_buf *options, char **args, int count)
{
    bool wants_value = false;
    for (int i = 0; i < count; i++) {
        if (!wants_value && is_option(args[i])) {
            if (options->len > 0) bytes_buf_append(options, "\n", 1);
            bytes_buf_printf(options, "%s ", args[i] + 2);
            const char *next = i + 1 < count ? args[i + 1] : NULL;
            wants_value = is_bare_name(args[i]) && !complete_valueless(options, args[i], next);
        } else {
            word_append_quoted(options, args[i]);
            bytes_buf_append(options, " ", 1);
            wants_value = false;
        }
    }
}

void config_arguments_parse(int argc, char **argv, struct config_arguments *out)
{
    *out = (struct config_arguments){.action = action_of(argc, argv)};
    if (out->action != CONFIG_ACTION_RUN || argc < 2) return;
    int first = 1, end = argc;
    if (argv[1][0] != '-') out->file = argv[first++];
    if (first < end && strcmp(argv[end - 1], "-") == 0) {
        out->from_stdin = true;
        end--;
    }
    if (first < end && first == 1 && strcmp(argv[1], "-") == 0) {
        out->from_stdin = true;
        first++;
    }
    append_options(&out->options, argv + first, end - first);
}

void config_arguments_release(struct config_arguments *args)
{
    bytes_buf_release(&args->options);
}
