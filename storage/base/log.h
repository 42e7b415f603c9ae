/* log.h -- the server's log: Redis's line format and levels, written to a file, standard output or syslog.
 *
 * A log is an object that is passed to each module that writes to it. NULL is a valid log that drops all messages
 * (for unit tests); only log_set_file() and log_set_syslog() need a real one. */
#ifndef LOCKSTEP_STORAGE_BASE_LOG_H
#define LOCKSTEP_STORAGE_BASE_LOG_H

#include "storage/base/bytes.h"

enum log_level { LOG_LEVEL_DEBUG = 0, LOG_LEVEL_VERBOSE, LOG_LEVEL_NOTICE, LOG_LEVEL_WARNING, LOG_LEVEL_NOTHING };

struct log; /* opaque */

struct log *log_new(void); /* level notice, to standard output */
void log_free(struct log *lg);
void log_set_level(struct log *lg, enum log_level level);
enum log_level log_get_level(const struct log *lg);
/* "" is standard output. 0, or -errno if the file cannot be opened for appending; the old target stays. The file is
 * opened for each line, so an external log rotation needs no signal. */
NODISCARD int log_set_file(struct log *lg, const char *path);
void log_set_syslog(struct log *lg, bool enabled, const char *ident, int facility);
/* The letter behind the pid in each line: 'M' master, 'S' replica, 'C' child, 'X' sentinel. */
void log_set_role(struct log *lg, char role);
/* Drops what would go to standard output (after daemonizing). */
void log_set_quiet_stdout(struct log *lg, bool quiet);
int log_fd_for_crash(struct log *lg); /* a descriptor for a crash report; the caller closes it if > 2 */

void log_write(struct log *lg, enum log_level level, const char *fmt, ...) PRINTF(3, 4);
#define log_debug(lg, ...)   log_write(lg, LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_verbose(lg, ...) log_write(lg, LOG_LEVEL_VERBOSE, __VA_ARGS__)
#define log_notice(lg, ...)  log_write(lg, LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_warning(lg, ...) log_write(lg, LOG_LEVEL_WARNING, __VA_ARGS__)

#endif
