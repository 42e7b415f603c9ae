#include "storage/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "storage/base/sys.h"

struct log {
    enum log_level level;
    char *path; /* NULL: standard output */
    bool quiet_stdout;
    bool to_syslog;
    char *ident; /* openlog() keeps the pointer */
    char role;
};

struct log *log_new(void)
{
    struct log *lg = mem_calloc(sizeof(*lg));
    lg->level = LOG_LEVEL_NOTICE;
    lg->role = 'M';
    tzset(); /* localtime_r() need not call it */
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
void log_set_role(struct log *lg, char role)
{
    if (lg != NULL) lg->role = role;
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

/* Formats "1234:M 22 Nov 2026 19:29:33.123 * ". */
static size_t format_prefix(const struct log *lg, enum log_level level, char *out, size_t cap)
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t now_us = sys_wall_us(sys_real());
    time_t seconds = (time_t)(now_us / 1000000);
    struct tm tm;
    localtime_r(&seconds, &tm);
    int len = snprintf(out, cap, "%ld:%c %02d %s %d %02d:%02d:%02d.%03d %c ", (long)getpid(), lg->role, tm.tm_mday,
                       months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
                       (int)(now_us / 1000 % 1000), ".-*#"[level]);
    ASSERT(len > 0 && (size_t)len < cap);
    return (size_t)len;
}

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

static void emit(const struct log *lg, enum log_level level, const char *text, size_t len)
{
    static const int priorities[] = {LOG_DEBUG, LOG_INFO, LOG_NOTICE, LOG_WARNING};
    char prefix[96];
    size_t prefix_len = format_prefix(lg, level, prefix, sizeof(prefix));
    struct bytes_buf line = {0};
    bytes_buf_reserve(&line, prefix_len + len + 1);
    bytes_buf_append(&line, prefix, prefix_len);
    bytes_buf_append(&line, text, len);
    bytes_buf_append(&line, "\n", 1);
    write_line(lg, line.data, line.len);
    if (lg->to_syslog) syslog(priorities[level], "%.*s", (int)len, text);
    bytes_buf_release(&line);
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
