/* config_file.h -- configuration text: words, lines, includes, and the command line turned into such text.
 *
 * A configuration is a list of directives. A directive is a list of words; words[0] is its name, in lower case. Words
 * are quoted as words.h describes. Empty lines and lines that begin with '#' are skipped. `include PATTERN` is replaced
 * by the matching files, in order. Not here: the meaning of directives. */
#ifndef LOCKSTEP_SERVER_CONFIG_CONFIG_FILE_H
#define LOCKSTEP_SERVER_CONFIG_CONFIG_FILE_H

#include "storage/base/bytes.h"
#include "storage/base/sys.h"

/* Why a value or a configuration was refused, as text for the user. Every setter and hook that fails fills it in. */
struct config_error {
    char text[512];
};
/* Fills in *err and returns -EINVAL, so that a check reads `return config_fail(err, "...")`. err may be NULL. */
int config_fail(struct config_error *err, const char *fmt, ...) PRINTF(2, 3);

/* Reads a file, or standard input if path is "-". 0 or -errno; -EFBIG above CONFIG_FILE_MAX bytes. */
enum { CONFIG_FILE_MAX = 16 * 1024 * 1024, CONFIG_INCLUDE_DEPTH_MAX = 16 };
NODISCARD int config_file_read(const struct sys *sys, const char *path, struct bytes_buf *out);

/* Replaces the file: temporary file in the same directory, fsync, rename, fsync of the directory. A symbolic link stays
 * and its target is replaced. 0, or -errno with the old file unchanged. */
NODISCARD int config_file_replace(const struct sys *sys, const char *path, struct bytes_view text);

/* The line without white space at both ends. */
struct bytes_view config_trim(struct bytes_view line);

/* Calls `each` for every directive of the text until one fails. 0, or the negative result of `each` or of reading an
 * include, with place and reason in *failure. If `sys` is NULL, `include` is passed to `each` like any directive. */
struct config_visitor {
    void *ctx;
    int (*each)(void *ctx, char **words, size_t count, struct config_error *err);
    void (*included)(void *ctx, bool included); /* the next directives come from an included file or not; or NULL */
};
struct config_failure {
    char file[1024]; /* "" for the main text */
    int line;        /* 0: no particular line */
    char text[512];  /* the line, truncated if it is longer */
    struct config_error error;
};
NODISCARD int config_text_visit(const struct sys *sys, struct bytes_view text, const struct config_visitor *visitor,
                                struct config_failure *failure);

/* A parsed command line. */
struct config_arguments {
    enum config_action {
        CONFIG_ACTION_RUN = 0,
        CONFIG_ACTION_VERSION,
        CONFIG_ACTION_HELP,
        CONFIG_ACTION_TEST_MEMORY,
        CONFIG_ACTION_CHECK_SYSTEM,
    } action;
    const char *file;         /* argv[1] if it is not an option, else NULL */
    bool from_stdin;          /* the last argument is "-" */
    struct bytes_buf options; /* the other arguments, as configuration text */
};
void config_arguments_parse(int argc, char **argv, struct config_arguments *out);
void config_arguments_release(struct config_arguments *args);

#endif
