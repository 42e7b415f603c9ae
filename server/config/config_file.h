/* config_file.h -- the text of a configuration: words, lines, includes, and the command line turned into such text.
 *
 * A configuration is a list of directives; a directive is a list of words: words[0] is its name, in lower case. Quoting
 * follows redis.conf: "..." with \n \r \t \b \a \\ \" and \xHH, '...' with \' only, and a closing quote must be
 * followed by a space or the end of the line. Lines starting with '#' and empty lines are skipped. `include PATTERN` is
 * replaced by the files that match, in order, wherever it stands. Not here: what the directives mean. */
#ifndef LOCKSTEP_SERVER_CONFIG_CONFIG_FILE_H
#define LOCKSTEP_SERVER_CONFIG_CONFIG_FILE_H

#include "storage/base/bytes.h"
#include "storage/base/sys.h"

/* Why a configuration was refused, in words for its owner. Every setter and hook fills one in when it fails. */
struct config_error {
    char text[512];
};
/* Fills in *err and returns -EINVAL, so that a check reads `return config_fail(err, "...")`. err may be NULL. */
int config_fail(struct config_error *err, const char *fmt, ...) PRINTF(2, 3);

/* The text of a file, of standard input ("-"), or -errno. No more than CONFIG_FILE_MAX bytes: -EFBIG. */
enum { CONFIG_FILE_MAX = 16 * 1024 * 1024, CONFIG_INCLUDE_DEPTH_MAX = 16 };
NODISCARD int config_file_read(const struct sys *sys, const char *path, struct bytes_buf *out);

/* Writes the file anew: a temporary file beside it, fsync, rename, fsync of the directory. Where the name is a link,
 * the file behind it is replaced. 0 or -errno, with the old file as it was. */
NODISCARD int config_file_replace(const struct sys *sys, const char *path, struct bytes_view text);

/* The line without blanks at both ends. */
struct bytes_view config_trim(struct bytes_view line);

/* Calls `each` for every directive of the text until one fails: 0, or the negative result of `each` (or of reading an
 * include) with *failure saying where and why. With `sys` NULL includes are not followed but handed to `each` like any
 * directive. */
struct config_visitor {
    void *ctx;
    int (*each)(void *ctx, char **words, size_t count, struct config_error *err);
    void (*included)(void *ctx, bool included); /* the words from here on are those of an included file, or not; may be
                                                   NULL */
};
struct config_failure {
    char file[1024]; /* "" for the main text */
    int line;        /* 0: no particular line */
    char text[512];  /* the line, shortened where necessary */
    struct config_error error;
};
NODISCARD int config_text_visit(const struct sys *sys, struct bytes_view text, const struct config_visitor *visitor,
                                struct config_failure *failure);

/* What a command line asks for. */
struct config_arguments {
    enum config_action {
        CONFIG_ACTION_RUN = 0,
        CONFIG_ACTION_VERSION,
        CONFIG_ACTION_HELP,
        CONFIG_ACTION_TEST_MEMORY,
        CONFIG_ACTION_CHECK_SYSTEM,
    } action;
    const char *file;         /* argv[1] where it is not an option, else NULL */
    bool from_stdin;          /* a final "-" */
    struct bytes_buf options; /* the rest, as configuration text */
};
void config_arguments_parse(int argc, char **argv, struct config_arguments *out);
void config_arguments_release(struct config_arguments *args);

#endif
