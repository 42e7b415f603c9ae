#include "server/web/web_reply.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

const char *web_status_text(int status)
{
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 431: return "Request Header Fields Too Large";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Status";
    }
}

void web_reply_line(struct web_reply *reply, int status, const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (len < 0) len = 0;
    if ((size_t)len >= sizeof(line)) len = (int)sizeof(line) - 1;
    reply->status = status;
    reply->body.len = 0;
    bytes_buf_append(&reply->body, line, (size_t)len);
    bytes_buf_append(&reply->body, "\n", 1);
}

/* strftime() would name days in the language of the locale. */
static void append_date(int64_t now_s, struct bytes_buf *out)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = (time_t)now_s;
    struct tm tm;
    if (gmtime_r(&now, &tm) == NULL) return;
    bytes_buf_printf(out, "Date: %.3s, %02d %.3s %d %02d:%02d:%02d GMT\r\n", days + 3 * (size_t)tm.tm_wday, tm.tm_mday,
                     months + 3 * (size_t)tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void web_reply_head(const struct web_reply *reply, bool keep_alive, int64_t now_s, struct bytes_buf *out)
{
    int status = reply->status == 0 ? 200 : reply->status;
    bytes_buf_printf(out, "HTTP/1.1 %d %s\r\n", status, web_status_text(status));
    append_date(now_s, out);
    bytes_buf_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n",
                     reply->type != NULL ? reply->type : "text/plain; charset=utf-8", reply->body.len);
    if (reply->asks_login) bytes_buf_printf(out, "WWW-Authenticate: Basic realm=\"lockstep\", charset=\"UTF-8\"\r\n");
    if (status == 405) bytes_buf_printf(out, "Allow: GET, HEAD\r\n");
    bytes_buf_printf(out,
                     "Cache-Control: no-store\r\n"
                     "X-Content-Type-Options: nosniff\r\n"
                     "X-Frame-Options: DENY\r\n"
                     "Referrer-Policy: no-referrer\r\n"
                     "Cross-Origin-Resource-Policy: same-origin\r\n"
                     "Content-Security-Policy: %s\r\n"
                     "Connection: %s\r\n\r\n",
                     reply->content_policy != NULL ? reply->content_policy
                                                   : "default-src 'none'; frame-ancestors 'none'",
                     keep_alive ? "keep-alive" : "close");
}
