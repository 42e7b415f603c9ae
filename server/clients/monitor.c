#include "server/clients/monitor.h"

#include "server/catalog/command_row.h"
#include "server/clients/clients.h"
#include "server/core/core.h"

/* Quotes and escapes the argument as C does, so that it cannot end the line. */
static void append_quoted(struct bytes_buf *out, struct bytes_view v)
{
    bytes_buf_append(out, "\"", 1);
    for (size_t i = 0; i < v.len; i++) {
        unsigned char ch = (unsigned char)v.data[i];
        switch (ch) {
        case '\\':
        case '"': bytes_buf_printf(out, "\\%c", ch); break;
        case '\n': bytes_buf_append(out, "\\n", 2); break;
        case '\r': bytes_buf_append(out, "\\r", 2); break;
        case '\t': bytes_buf_append(out, "\\t", 2); break;
        case '\a': bytes_buf_append(out, "\\a", 2); break;
        case '\b': bytes_buf_append(out, "\\b", 2); break;
        default:
            if (ch >= ' ' && ch < 0x7f)
                bytes_buf_append(out, &ch, 1);
            else
                bytes_buf_printf(out, "\\x%02x", ch);
        }
    }
    bytes_buf_append(out, "\"", 1);
}

void monitor_feed(const struct client *from, const struct command *cmd, int argc, const struct bytes_view *argv)
{
    struct bytes_buf line = {0};
    const struct clients *cs = from->clients;
    int64_t us = sys_wall_us(cs->core->sys);
    bool local = client_has(from, CLIENT_UNIX);
    bytes_buf_printf(&line, "+%lld.%06lld [%d %s%s]", (long long)(us / 1000000), (long long)(us % 1000000),
                     from->db->id, local ? "unix:" : "", local ? cs->core->settings->net.unixsocket : from->peer);
    for (int i = 0; i < argc; i++) {
        bytes_buf_append(&line, " ", 1);
        append_quoted(&line, command_shown_arg(cs->config, cmd, argc, argv, i));
    }
    bytes_buf_append(&line, "\r\n", 2);
    for (struct client *c = cs->first; c != NULL; c = c->next) {
        if (!client_has(c, CLIENT_MONITOR) || client_has(c, CLIENT_CLOSING)) continue;
        reply_raw(&c->reply, bytes_buf_view(&line));
        client_wants_flush(c);
    }
    bytes_buf_release(&line);
}

void monitor_start(struct client *c)
{
    if (client_has(c, CLIENT_MONITOR)) return;
    client_flag_set(c, CLIENT_MONITOR);
    c->core->monitor_count++;
}

static void stop(struct client *c)
{
    if (!client_has(c, CLIENT_MONITOR)) return;
    client_flag_clear(c, CLIENT_MONITOR);
    c->core->monitor_count--;
}

const struct client_part monitor_part = {.reset = stop, .free = stop};
