/* config_load.c -- loading: the file, standard input and options, in that order, joined to one text. */
#include "server/config/config_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "server/config/config_foreign.h"
#include "server/process/process.h"
#include "storage/base/memory.h"

static int refuse_unknown(const char *name, struct config_error *err)
{
    const char *owner = config_foreign_owner(name);
    if (owner == NULL) return config_fail(err, "Bad directive or wrong number of arguments");
    return config_fail(err, "Bad directive: %s is of %s, and this server has nothing that it could mean", name, owner);
}

static int load_directive(void *ctx, char **words, size_t count, struct config_error *err)
{
    struct config *cfg = ctx;
    struct config_row *row = config_find(cfg, words[0]);
    if (row == NULL) return refuse_unknown(words[0], err);
    bool one_text = count == 2 && config_row_has(row, CONFIG_FLAG_MULTI_ARG); /* slaveof "host port" */
    int rc =
        one_text ? config_row_set_text(cfg, row, words[1], err) : config_row_set(cfg, row, words + 1, count - 1, err);
    if (rc == 0) row->seen = true;
    if (rc == 0 && cfg->including) row->included = true;
    return rc;
}

static void note_including(void *ctx, bool included)
{
    struct config *cfg = ctx;
    cfg->including = included;
}

static void forget_seen(struct config *cfg)
{
    for (size_t i = 0; i < cfg->row_count; i++) cfg->rows[i].seen = false;
}

int config_load_text(struct config *cfg, struct bytes_view text, struct config_failure *failure)
{
    struct config_visitor visitor = {.ctx = cfg, .each = load_directive, .included = note_including};
    forget_seen(cfg);
    cfg->including = false;
    int rc = config_text_visit(cfg->sys, text, &visitor, failure);
    forget_seen(cfg);
    return rc;
}

void config_failure_print(const struct config_failure *failure, struct bytes_buf *out)
{
    bytes_buf_printf(out, "\n*** FATAL CONFIG FILE ERROR (Lockstep %s, Redis %s) ***\n", LOCKSTEP_VERSION,
                     LOCKSTEP_REDIS_VERSION);
    if (failure->line > 0) {
        bytes_buf_printf(out, "Reading the configuration file%s%s, at line %d\n", failure->file[0] != '\0' ? " " : "",
                         failure->file, failure->line);
        bytes_buf_printf(out, ">>> '%s'\n", failure->text);
    }
    bytes_buf_printf(out, "%s\n", failure->error.text);
}

/* Reports a log file that cannot be opened on standard error, before the server goes into the background. */
static int check_logfile(struct config *cfg, struct config_failure *failure)
{
    const char *path = cfg->settings->log.logfile;
    if (*path == '\0') return 0;
    int fd = cfg->sys->open(cfg->sys->ctx, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0) {
        cfg->sys->close(cfg->sys->ctx, fd);
        return 0;
    }
    failure->line = 0;
    return config_fail(&failure->error, "Can't open the log file: %s", strerror(-fd));
}

/* Stores an absolute path, since `dir` may change the working directory. */
static void note_path(struct config *cfg, const char *file)
{
    char cwd[PATH_MAX];
    struct bytes_buf path = {NULL, 0, 0};
    if (file[0] != '/' && getcwd(cwd, sizeof(cwd)) != NULL) bytes_buf_printf(&path, "%s/", cwd);
    bytes_buf_append_view(&path, bytes_str(file));
    mem_free(cfg->path);
    cfg->path = bytes_to_cstr(bytes_buf_view(&path));
    bytes_buf_release(&path);
}

static int gather_text(struct config *cfg, const struct config_arguments *args, struct bytes_buf *text)
{
    int rc = 0;
    if (args->file != NULL) {
        note_path(cfg, args->file);
        rc = config_file_read(cfg->sys, args->file, text);
        if (rc != 0) fprintf(stderr, "# Fatal error, can't open config file '%s': %s\n", args->file, strerror(-rc));
    }
    if (rc == 0 && args->from_stdin) {
        bytes_buf_append(text, "\n", 1);
        rc = config_file_read(cfg->sys, "-", text);
        if (rc != 0)
            fprintf(stderr, "# Fatal error, can't read the configuration on standard input: %s\n", strerror(-rc));
    }
    bytes_buf_append(text, "\n", 1);
    bytes_buf_append_view(text, bytes_buf_view(&args->options));
    return rc;
}

static int load_all(struct config *cfg, const struct config_arguments *args)
{
    struct bytes_buf text = {NULL, 0, 0}, message = {NULL, 0, 0};
    struct config_failure failure;
    int rc = gather_text(cfg, args, &text);
    if (rc == 0) {
        rc = config_load_text(cfg, bytes_buf_view(&text), &failure);
        if (rc == 0) rc = check_logfile(cfg, &failure);
        if (rc != 0) config_failure_print(&failure, &message);
    }
    if (message.len > 0) fprintf(stderr, "%.*s", (int)message.len, message.data);
    bytes_buf_release(&text);
    bytes_buf_release(&message);
    return rc;
}

static int print(void (*what)(struct bytes_buf *))
{
    struct bytes_buf text = {NULL, 0, 0};
    what(&text);
    fprintf(stdout, "%.*s", (int)text.len, text.data);
    fflush(stdout);
    bytes_buf_release(&text);
    return 0;
}

static int check_system(void)
{
    struct log *lg = log_new();
    bool good = process_check_system(0, lg);
    log_free(lg);
    return good ? 0 : 1;
}

static int answer_action(enum config_action action)
{
    switch (action) {
    case CONFIG_ACTION_VERSION: return print(process_print_version);
    case CONFIG_ACTION_HELP: return print(process_print_help);
    case CONFIG_ACTION_CHECK_SYSTEM: return check_system();
    case CONFIG_ACTION_TEST_MEMORY:
        fprintf(stderr, "This program does not test memory: please use memtest86 or memtester, which do it better.\n");
        return 1;
    case CONFIG_ACTION_RUN: break;
    }
    return 0;
}

enum config_start_result config_load(struct config *cfg, int argc, char **argv, struct config_start *out)
{
    struct config_arguments args;
    config_arguments_parse(argc, argv, &args);
    *out = (struct config_start){.argc_options = argc > 1 ? argc - 1 : 0, .from_stdin = args.from_stdin};
    bool run = args.action == CONFIG_ACTION_RUN;
    if (!run)
        out->exit_code = answer_action(args.action);
    else if (load_all(cfg, &args) != 0)
        out->exit_code = 1;
    config_arguments_release(&args);
    return run && out->exit_code == 0 ? CONFIG_START_RUN : CONFIG_START_EXIT;
}
