/* main.c -- the program: one server in a process of its own. */
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "server/catalog/command_table.h"
#include "server/clients/listening.h"
#include "server/clients/tls_setup.h"
#include "server/commands/tables.h"
#include "server/house.h"
#include "server/net/resolver.h"
#include "server/operation/report.h"
#include "server/process/file_checker.h"
#include "server/process/process.h"
#include "server/process/process_crash.h"
#include "server/process/process_title.h"
#include "storage/base/memory.h"

struct program {
    struct settings settings;
    struct config *config;
    struct config_start start;
    const struct command *const *rows;
    struct log *log;
    struct process_title *title;
    enum process_supervisor supervisor;
    bool daemonized;
};

static int open_log(struct program *p)
{
    const struct settings_log *st = &p->settings.log;
    log_set_level(p->log, (enum log_level)st->loglevel);
    log_set_format(p->log, (enum log_format)st->format, (enum log_stamp)st->stamp);
    log_set_syslog(p->log, st->syslog_enabled, st->syslog_ident, st->syslog_facility);
    int rc = log_set_file(p->log, st->logfile);
    if (rc == 0) return 0;
    fprintf(stderr, "Can't open the log file %s: %s\n", st->logfile, strerror(-rc));
    return -1;
}

static void enter_background(struct program *p)
{
    p->supervisor = process_supervise(p->settings.process.supervised, p->log);
    if (!p->settings.process.daemonize || p->supervisor != PROCESS_UNSUPERVISED) return;
    int rc = process_daemonize();
    if (rc != 0) {
        log_warning(p->log, "Cannot run in the background: %s", strerror(-rc));
        return;
    }
    p->daemonized = true;
    log_set_quiet_stdout(p->log, true);
}

static void say_hello(struct program *p)
{
    log_notice(p->log, "oO0OoO0OoO0Oo Lockstep is starting oO0OoO0OoO0Oo");
    log_notice(p->log, "Lockstep version=%s, bits=64, behaves as Redis %s, pid=%d, just started", LOCKSTEP_VERSION,
               LOCKSTEP_REDIS_VERSION, (int)getpid());
    if (p->start.argc_options == 0)
        log_warning(p->log,
                    "Warning: no config file specified, using the default config. In order to specify a config file "
                    "use lockstep-server /path/to/redis.conf");
    else
        log_notice(p->log, "Configuration loaded");
}

/* Ignores two signals and installs the crash report. */
static void prepare_signals(struct program *p, struct server *s)
{
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    process_crash_install(&(struct process_crash_hooks){.ctx = s, .log = p->log, .report = server_crash_report},
                          p->settings.log.crash_log_enabled);
}

static int listen_somewhere(struct server *s)
{
    if (tls_setup_apply(s->tls) != 0) {
        log_warning(s->core.log, "Failed to configure TLS. Check logs for more info.");
        return -1;
    }
    const struct listening_kind *failed;
    if (listening_open(s->listening, &failed) != 0) {
        if (failed->port == NULL)
            log_warning(s->core.log, "Failed listening on the Unix socket %s, aborting.",
                        s->core.settings->net.unixsocket);
        else
            log_warning(s->core.log, "Failed listening on port %d (%s), aborting.", *failed->port, failed->name);
        return -1;
    }
    if (listening_for_clients(s->listening)) return 0;
    log_warning(s->core.log, "Configured to not listen anywhere, exiting.");
    return -1;
}

static int serve(struct program *p)
{
    struct server *s = server_new(p->config, &p->settings, p->rows, sys_real(), p->log);
    int code = 1;
    if (s == NULL) return code; /* the reason is logged */
    prepare_signals(p, s);
    s->supervisor = p->supervisor;
    if (server_take_process(s, p->title) == 0 && listen_somewhere(s) == 0) {
        struct process_pidfile pidfile = {.fd = -1};
        if (p->daemonized || p->settings.process.pidfile != NULL)
            process_pidfile_write(&pidfile, p->settings.process.pidfile, p->log);
        log_notice(p->log, "Running mode=%s, port=%d, PID: %d", p->settings.sentinel.mode ? "sentinel" : "standalone",
                   p->settings.net.port, (int)getpid());
        log_notice(p->log, "Server initialized");
        code = server_run(s);
        /* After a failure the last line of the log should be its reason. */
        process_pidfile_remove(&pidfile, code == 0 ? p->log : NULL);
    }
    server_free(s);
    return code;
}

/* By its name, lockstep-sentinel or redis-sentinel, or by the option --sentinel. */
static bool is_sentinel(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL, *called = slash != NULL ? slash + 1 : argv[0];
    if (argc > 0 && strstr(called, "sentinel") != NULL) return true;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--sentinel") == 0) return true;
    return false;
}

int main(int argc, char **argv)
{
    int code = 0;
    if (file_checker_run(sys_real(), argc, argv, &code)) return code;
    struct program *p = mem_calloc(sizeof(*p));
    bool sentinel = is_sentinel(argc, argv);
    p->rows = sentinel ? sentinel_row_tables() : command_row_tables();
    struct config_hooks hooks = {
        .ctx = (void *)p->rows, .change_dir = process_change_dir, .renamed = command_table_rename};
    tzset();
    resolver_prepare_process();
    p->title = process_title_new(argc, argv);
    p->log = log_new();
    if (sentinel) log_set_role(p->log, 'X');
    p->config = config_new(&p->settings, sys_real(), &hooks);
    if (sentinel) config_be_sentinel(p->config);
    if (config_load(p->config, argc, argv, &p->start) == CONFIG_START_EXIT) {
        code = p->start.exit_code;
    } else if (open_log(p) != 0) {
        code = 1;
    } else {
        enter_background(p);
        say_hello(p);
        code = serve(p);
    }
    config_free(p->config);
    log_free(p->log);
    process_title_free(p->title);
    mem_free(p);
    return code;
}
