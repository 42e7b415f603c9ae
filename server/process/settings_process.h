/* settings_process.h -- the directives that concern the process, a part of struct settings.
 *
 * As in all of struct settings, the configuration writes the fields, owns the strings and names each field after its
 * directive (server/config/settings.h). The struct stands here because process.c reads it. */
#ifndef LOCKSTEP_SERVER_PROCESS_SETTINGS_PROCESS_H
#define LOCKSTEP_SERVER_PROCESS_SETTINGS_PROCESS_H

#include <stdbool.h>

enum settings_supervised { SUPERVISED_NO = 0, SUPERVISED_AUTO, SUPERVISED_SYSTEMD, SUPERVISED_UPSTART };
enum settings_oom { OOM_SCORE_NO = 0, OOM_SCORE_RELATIVE, OOM_SCORE_ABSOLUTE };
/* Bits of shutdown-on-sigint and shutdown-on-sigterm; none is "default". The same bits serve the SHUTDOWN command. */
enum settings_shutdown { SHUTDOWN_SAVE = 1, SHUTDOWN_NOSAVE = 2, SHUTDOWN_NOW = 4, SHUTDOWN_FORCE = 8 };

struct settings_process {
    bool daemonize;
    char *pidfile; /* or NULL */
    int supervised;
    bool set_proc_title;
    char *proc_title_template;
    char *locale_collate;
    bool disable_thp;
    int oom_score_adj;           /* enum settings_oom */
    int oom_score_adj_values[3]; /* master, replica, background child */
    char *server_cpulist;        /* or NULL, as the three below */
    char *bio_cpulist;
    char *aof_rewrite_cpulist;
    char *bgsave_cpulist;
    char *ignore_warnings; /* or NULL */
    int shutdown_timeout_s;
    bool shutdown_failover;
    int shutdown_on_sigint;  /* bits of enum settings_shutdown */
    int shutdown_on_sigterm; /* the same */
    int io_threads;          /* without effect, as the one below */
    bool io_threads_do_reads;
    bool jemalloc_bg_thread;
};

#endif
