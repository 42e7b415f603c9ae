/* log.h -- the server's log: lines in Redis's format, logfmt or JSON, to a file, standard output or syslog.
 *
 *     legacy   1234:M 22 Nov 2026 19:29:33.123 * Ready to accept connections
 *     logfmt   pid=1234 role=master timestamp="22 Nov 2026 19:29:33.123" level=notice message="Ready to ..."
 *     json     {"pid":1234,"role":"master","timestamp":"2026-11-22T19:29:33.123+01:00","level":"notice","message":"..."}
 *
 * In logfmt and JSON each message is one line, whatever bytes it has (json.h says how they are escaped); the legacy
 * format writes them as they are. The system log gets the message alone in all formats.
 *
 * A log is an object that is passed to each module that writes to it. NULL is a valid log that drops all messages
 * (for unit tests); only log_set_file() and log_set_syslog() need a real one. */
#ifndef LOCKSTEP_STORAGE_BASE_LOG_H
#define LOCKSTEP_STORAGE_BASE_LOG_H

#include "storage/base/bytes.h"

enum log_level { LOG_LEVEL_DEBUG = 0, LOG_LEVEL_VERBOSE, LOG_LEVEL_NOTICE, LOG_LEVEL_WARNING, LOG_LEVEL_NOTHING };
enum log_format { LOG_FORMAT_LEGACY = 0, LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };
/* "22 Nov 2026 19:29:33.123" in local time (JSON has ISO 8601 then); "2026-11-22T19:29:33.123+01:00"; 1795372173123. */
enum log_stamp { LOG_STAMP_LEGACY = 0, LOG_STAMP_ISO8601, LOG_STAMP_MILLISECONDS };

struct log; /* opaque */

struct log *log_new(void); /* level notice, to standard output */
void log_free(struct log *lg);
void log_set_level(struct log *lg, enum log_level level);
enum log_level log_get_level(const struct log *lg);
void log_set_format(struct log *lg, enum log_format format, enum log_stamp stamp);
/* "" is standard output. 0, or -errno if the file cannot be opened for appending; the old target stays. The file is
 * opened for each line, so an external log rotation needs no signal. */
NODISCARD int log_set_file(struct log *lg, const char *path);
void log_set_syslog(struct log *lg, bool enabled, const char *ident, int facility);
/* The letter behind the pid in each line: 'M' master, 'S' replica, 'C' child, 'X' sentinel. */
void log_set_role(struct log *lg, char role);
/* Lines go to this function as level and message, without a prefix, instead of a file: for tests and for a program around
 * the server. NULL: to the file again. The text ends with a NUL that len does not count, and dies with the call. */
typedef void log_sink_fn(void *ctx, enum log_level level, const char *text, size_t len);
void log_set_sink(struct log *lg, log_sink_fn *sink, void *ctx);
/* Drops what would go to standard output (after daemonizing). */
void log_set_quiet_stdout(struct log *lg, bool quiet);

/* A crash report: a descriptor to write it to; the caller closes it if > 2. In the legacy format the report is written
 * there as it is. If log_is_structured(), it goes through log_crash_lines(), which writes each line that is not empty as
 * a message of level warning, and returns how many bytes of `text` are done: up to the last line feed, or all if there
 * is none in LOG_CRASH_LINE_MAX bytes. log_crash_lines() allocates nothing and takes no lock. */
enum { LOG_CRASH_LINE_MAX = 1024 };
int log_fd_for_crash(struct log *lg);
bool log_is_structured(const struct log *lg);
size_t log_crash_lines(const struct log *lg, int fd, const char *text, size_t len);

void log_write(struct log *lg, enum log_level level, const char *fmt, ...) PRINTF(3, 4);
#define log_debug(lg, ...)   log_write(lg, LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_verbose(lg, ...) log_write(lg, LOG_LEVEL_VERBOSE, __VA_ARGS__)
#define log_notice(lg, ...)  log_write(lg, LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_warning(lg, ...) log_write(lg, LOG_LEVEL_WARNING, __VA_ARGS__)

#endif
