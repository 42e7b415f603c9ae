#include "storage/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/assert.h"
#include "storage/base/json.h"
#include "storage/base/memory.h"
#include "storage/base/sys.h"

enum { PREFIX_MAX = 160 };

struct log {
    enum log_level level;
    enum log_format format;
    enum log_stamp stamp;
    long utc_offset_s; /* of local time, as of the last message: a signal handler must not ask the C library */
    char *path;        /* NULL: standard output */
    bool quiet_stdout;
    bool to_syslog;
    char *ident; /* openlog() keeps the pointer */
    char role;
    log_sink_fn *sink; /* NULL: none */
    void *sink_ctx;
};

static void note_utc_offset(struct log *lg)
{
    time_t seconds = (time_t)(sys_wall_us(sys_real()) / 1000000);
    struct tm tm;
    localtime_r(&seconds, &tm);
    lg->utc_offset_s = tm.tm_gmtoff;
}

struct log *log_new(void)
{
    struct log *lg = mem_calloc(sizeof(*lg));
    lg->level = LOG_LEVEL_NOTICE;
    lg->role = 'M';
    tzset(); /* localtime_r() need not call it */
    note_utc_offset(lg);
    return lg;
}

void log_free(struct log *lg)
{
    if (lg == NULL) return;
    log_set_syslog(lg, false, NULL, 0);
    mem_free(lg->path);
    mem_free(lg);
}

void log_set_level(struct log *lg, enum log_level level)
{
    if (lg != NULL) lg->level = level;
}
enum log_level log_get_level(const struct log *lg)
{
    return lg == NULL ? LOG_LEVEL_NOTHING : lg->level;
}
void log_set_format(struct log *lg, enum log_format format, enum log_stamp stamp)
{
    if (lg == NULL) return;
    lg->format = format;
    lg->stamp = stamp;
}
void log_set_role(struct log *lg, char role)
{
    if (lg != NULL) lg->role = role;
}
void log_set_sink(struct log *lg, log_sink_fn *sink, void *ctx)
{
    if (lg == NULL) return;
    lg->sink = sink;
    lg->sink_ctx = ctx;
}
void log_set_quiet_stdout(struct log *lg, bool quiet)
{
    if (lg != NULL) lg->quiet_stdout = quiet;
}

static int open_for_append(const char *path)
{
    const struct sys *sys = sys_real();
    return sys->open(sys->ctx, path, O_WRONLY | O_APPEND | O_CREAT, 0644);
}

static void close_file(int fd)
{
    const struct sys *sys = sys_real();
    (void)sys->close(sys->ctx, fd); /* there is nowhere to report it */
}

int log_set_file(struct log *lg, const char *path)
{
    char *copy = NULL;
    if (path[0] != '\0') {
        int fd = open_for_append(path);
        if (fd < 0) return fd;
        close_file(fd);
        copy = mem_strdup(path);
    }
    mem_free(lg->path);
    lg->path = copy;
    return 0;
}

void log_set_syslog(struct log *lg, bool enabled, const char *ident, int facility)
{
    if (lg->to_syslog) closelog();
    mem_free(lg->ident);
    lg->ident = enabled ? mem_strdup(ident) : NULL;
    lg->to_syslog = enabled;
    if (enabled) openlog(lg->ident, LOG_PID | LOG_NDELAY | LOG_NOWAIT, facility);
}

int log_fd_for_crash(struct log *lg)
{
    if (lg == NULL || lg->path == NULL) return STDOUT_FILENO;
    int fd = open_for_append(lg->path);
    return fd < 0 ? STDERR_FILENO : fd;
}

bool log_is_structured(const struct log *lg)
{
    return lg != NULL && lg->format != LOG_FORMAT_LEGACY;
}

/* ---- Prefixes: all that stands before the message. Safe in a signal handler ---- */

/* The date of a day since 1970-01-01 in the Gregorian calendar. Years are counted from March: leap days end them. */
static void civil_date(int64_t days, int *year, int *month, int *day)
{
    int64_t shifted = days + 719468; /* days since 0000-03-01 */
    int64_t era = shifted / 146097;  /* of 400 years; times before that year do not occur */
    int64_t day_of_era = shifted % 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t from_march = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * from_march + 2) / 5 + 1);
    *month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
    *year = (int)(era * 400 + year_of_era + (*month <= 2 ? 1 : 0));
}

static void format_stamp(const struct log *lg, enum log_stamp stamp, char *out, size_t cap)
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t now_ms = sys_wall_us(sys_real()) / 1000, local_s = now_ms / 1000 + lg->utc_offset_s;
    int year, month, day, second = (int)(local_s % 86400), ms = (int)(now_ms % 1000);
    long offset_minutes = lg->utc_offset_s / 60, magnitude = offset_minutes < 0 ? -offset_minutes : offset_minutes;
    civil_date(local_s / 86400, &year, &month, &day);
    int hour = second / 3600, minute = second / 60 % 60;
    switch (stamp) {
    case LOG_STAMP_LEGACY:
        snprintf(out, cap, "%02d %s %d %02d:%02d:%02d.%03d", day, months[month - 1], year, hour, minute, second % 60,
                 ms);
        break;
    case LOG_STAMP_ISO8601:
        snprintf(out, cap, "%04d-%02d-%02dT%02d:%02d:%02d.%03d%c%02ld:%02ld", year, month, day, hour, minute,
                 second % 60, ms, offset_minutes < 0 ? '-' : '+', magnitude / 60, magnitude % 60);
        break;
    case LOG_STAMP_MILLISECONDS: snprintf(out, cap, "%lld", (long long)now_ms); break;
    }
}

static const char *role_name(char role)
{
    switch (role) {
    case 'M': return "master";
    case 'S': return "replica";
    case 'C': return "child";
    case 'X': return "sentinel";
    default: return "unknown";
    }
}

static size_t format_prefix(const struct log *lg, enum log_level level, char *out, size_t cap)
{
    static const char *const levels[] = {"debug", "verbose", "notice", "warning"};
    bool json = lg->format == LOG_FORMAT_JSON;
    enum log_stamp kind = json && lg->stamp == LOG_STAMP_LEGACY ? LOG_STAMP_ISO8601 : lg->stamp;
    const char *quote = kind == LOG_STAMP_MILLISECONDS ? "" : "\"", *role = role_name(lg->role);
    char stamp[64];
    int len = 0;
    format_stamp(lg, kind, stamp, sizeof(stamp));
    switch (lg->format) {
    case LOG_FORMAT_LEGACY:
        len = snprintf(out, cap, "%ld:%c %s %c ", (long)getpid(), lg->role, stamp, ".-*#"[level]);
        break;
    case LOG_FORMAT_LOGFMT:
        len = snprintf(out, cap, "pid=%ld role=%s timestamp=%s%s%s level=%s message=\"", (long)getpid(), role, quote,
                       stamp, quote, levels[level]);
        break;
    case LOG_FORMAT_JSON:
        len = snprintf(out, cap, "{\"pid\":%ld,\"role\":\"%s\",\"timestamp\":%s%s%s,\"level\":\"%s\",\"message\":\"",
                       (long)getpid(), role, quote, stamp, quote, levels[level]);
        break;
    }
    ASSERT(len > 0 && (size_t)len < cap);
    return (size_t)len;
}

static const char *line_end(const struct log *lg)
{
    switch (lg->format) {
    case LOG_FORMAT_LEGACY: break;
    case LOG_FORMAT_LOGFMT: return "\"\n";
    case LOG_FORMAT_JSON: return "\"}\n";
    }
    return "\n";
}

/* ---- Crash reports ---- */

static void crash_line(const struct log *lg, int fd, struct bytes_view text)
{
    char line[PREFIX_MAX + LOG_CRASH_LINE_MAX * JSON_ESCAPED_MAX + 4];
    const char *end = line_end(lg);
    size_t len = format_prefix(lg, LOG_LEVEL_WARNING, line, PREFIX_MAX);
    while (text.len > 0) {
        size_t escaped, used = json_escape_next(text, line + len, &escaped);
        text = bytes_view(text.data + used, text.len - used);
        len += escaped;
    }
    memcpy(line + len, end, strlen(end));
    ssize_t ignored = write(fd, line, len + strlen(end)); /* there is nowhere to report an error */
    (void)ignored;
}

size_t log_crash_lines(const struct log *lg, int fd, const char *text, size_t len)
{
    size_t done = 0;
    for (;;) {
        size_t cap = len - done < LOG_CRASH_LINE_MAX ? len - done : LOG_CRASH_LINE_MAX;
        const char *feed = memchr(text + done, '\n', cap);
        if (feed == NULL && cap < LOG_CRASH_LINE_MAX) return done;
        size_t line_len = feed != NULL ? (size_t)(feed - text) - done : cap, shown = line_len;
        if (feed != NULL && shown > 0 && feed[-1] == '\r') shown--; /* INFO has CR LF */
        if (shown > 0) crash_line(lg, fd, bytes_view(text + done, shown));
        done += line_len + (feed != NULL ? 1 : 0);
    }
}

/* ---- Messages ---- */

/* Writes the whole line at once, so that lines of a forked child and its parent do not mix. */
static void write_line(const struct log *lg, const char *line, size_t len)
{
    if (lg->path == NULL && lg->quiet_stdout) return;
    int fd = lg->path == NULL ? STDOUT_FILENO : open_for_append(lg->path);
    if (fd < 0) return;
    int rc = sys_write_all(sys_real(), fd, line, len);
    (void)rc; /* the server goes on without a log, and there is nowhere else to report it */
    if (lg->path != NULL) close_file(fd);
}

static void write_message(struct log *lg, enum log_level level, const char *text, size_t len)
{
    char prefix[PREFIX_MAX];
    const char *end = line_end(lg);
    struct bytes_buf line = {0};
    note_utc_offset(lg);
    size_t prefix_len = format_prefix(lg, level, prefix, sizeof(prefix));
    bytes_buf_reserve(&line, prefix_len + len + 3);
    bytes_buf_append(&line, prefix, prefix_len);
    if (log_is_structured(lg))
        json_append_escaped(&line, bytes_view(text, len));
    else
        bytes_buf_append(&line, text, len);
    bytes_buf_append(&line, end, strlen(end));
    write_line(lg, line.data, line.len);
    bytes_buf_release(&line);
}

static void emit(struct log *lg, enum log_level level, const char *text, size_t len)
{
    static const int priorities[] = {LOG_DEBUG, LOG_INFO, LOG_NOTICE, LOG_WARNING};
    if (lg->sink != NULL)
        lg->sink(lg->sink_ctx, level, text, len);
    else
        write_message(lg, level, text, len);
    if (lg->to_syslog) syslog(priorities[level], "%.*s", (int)len, text);
}

void log_write(struct log *lg, enum log_level level, const char *fmt, ...)
{
    enum { LONGEST = 64 * 1024 }; /* longest message; the rest is cut off */
    if (lg == NULL || level < lg->level || level >= LOG_LEVEL_NOTHING) return;
    int saved_errno = errno; /* callers log between a failure and the use of errno */
    char small[1024], *text = small;
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(small, sizeof(small), fmt, args);
    va_end(args);
    if (len >= (int)sizeof(small)) {
        if (len > LONGEST) len = LONGEST;
        text = mem_alloc((size_t)len + 1);
        va_start(args, fmt);
        vsnprintf(text, (size_t)len + 1, fmt, args);
        va_end(args);
    }
    if (len >= 0) emit(lg, level, text, (size_t)len);
    if (text != small) mem_free(text);
    errno = saved_errno;
}
