#include "storage/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/time.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/memory.h"

enum { LOG_LINE_MAX = 4096 };

struct log {
    enum log_level level;
    char role;
    bool syslog;
    bool quiet_stdout;
    char *path;  /* "": standard output */
    char *ident; /* syslog keeps the pointer */
};

struct log *log_new(void)
{
    struct log *lg = mem_calloc(sizeof(*lg));
    lg->level = LOG_LEVEL_NOTICE;
    lg->role = 'M';
    lg->path = mem_strdup("");
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
    return lg != NULL ? lg->level : LOG_LEVEL_NOTHING;
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
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

int log_set_file(struct log *lg, const char *path)
{
    if (lg == NULL) return 0;
    if (*path != '\0') {
        int fd = open_for_append(path);
        if (fd == -1) return -errno;
        close(fd);
    }
    char *copy = mem_strdup(path);
    mem_free(lg->path);
    lg->path = copy;
    return 0;
}

void log_set_syslog(struct log *lg, bool enabled, const char *ident, int facility)
{
    if (lg == NULL) return;
    if (lg->syslog) closelog();
    mem_free(lg->ident);
    lg->ident = enabled ? mem_strdup(ident) : NULL;
    lg->syslog = enabled;
    if (enabled) openlog(lg->ident, LOG_PID | LOG_NDELAY | LOG_NOWAIT, facility);
}

int log_fd_for_crash(struct log *lg)
{
    if (lg == NULL) return STDERR_FILENO;
    if (*lg->path == '\0') return STDOUT_FILENO;
    int fd = open_for_append(lg->path);
    return fd != -1 ? fd : STDERR_FILENO;
}

/* "pid:role 02 Jan 2006 15:04:05.678 # " */
static size_t format_prefix(const struct log *lg, enum log_level level, char *buf, size_t cap)
{
    static const char marks[] = ".-*#";
    struct timeval now;
    struct tm tm;
    char date[32];
    gettimeofday(&now, NULL);
    localtime_r(&now.tv_sec, &tm);
    strftime(date, sizeof(date), "%d %b %Y %H:%M:%S", &tm);
    int n =
        snprintf(buf, cap, "%d:%c %s.%03d %c ", (int)getpid(), lg->role, date, (int)(now.tv_usec / 1000), marks[level]);
    return n > 0 ? (size_t)n : 0;
}

static void write_out(int fd, const char *line, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, line, len);
        if (n == -1 && errno == EINTR) continue;
        if (n <= 0) return; /* there is nowhere left to say so */
        line += n;
        len -= (size_t)n;
    }
}

static void write_line(struct log *lg, const char *line, size_t len)
{
    if (*lg->path == '\0') {
        if (!lg->quiet_stdout) write_out(STDOUT_FILENO, line, len);
        return;
    }
    int fd = open_for_append(lg->path);
    if (fd == -1) return;
    write_out(fd, line, len);
    close(fd);
}

static int syslog_priority(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_DEBUG: return LOG_DEBUG;
    case LOG_LEVEL_VERBOSE: return LOG_INFO;
    case LOG_LEVEL_NOTICE: return LOG_NOTICE;
    case LOG_LEVEL_WARNING:
    case LOG_LEVEL_NOTHING: break;
    }
    return LOG_WARNING;
}

void log_write(struct log *lg, enum log_level level, const char *fmt, ...)
{
    if (lg == NULL || level < lg->level || level >= LOG_LEVEL_NOTHING) return;
    char line[LOG_LINE_MAX + 1];
    size_t start = format_prefix(lg, level, line, sizeof(line));
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line + start, LOG_LINE_MAX - start, fmt, ap);
    va_end(ap);
    if (n < 0) return;
    size_t len = start + (size_t)n;
    if (len > LOG_LINE_MAX - 1) len = LOG_LINE_MAX - 1; /* a longer message is cut */
    if (lg->syslog) syslog(syslog_priority(level), "%s", line + start);
    line[len] = '\n';
    write_line(lg, line, len + 1);
}
