#include "server/web/web_request.h"

#include <ctype.h>
#include <errno.h>
#include <http_parser.h>
#include <strings.h>

/* ---- Where a head ends ---- */

static bool is_control(char c)
{
    return ((unsigned char)c < ' ' && c != '\r' && c != '\t') || c == '\x7f';
}

/* A request line begins with a letter. So a TLS handshake, or a request in the Redis protocol, is recognised at once. */
static bool may_begin_line(struct bytes_view in, size_t at)
{
    return at == in.len || (in.data[at] >= 'A' && in.data[at] <= 'Z');
}

static size_t skip_empty_lines(struct bytes_view in)
{
    size_t at = 0;
    while (in.len - at >= 2 && in.data[at] == '\r' && in.data[at + 1] == '\n') at += 2;
    return at;
}

ssize_t web_head_length(struct bytes_view in)
{
    size_t start = skip_empty_lines(in), line = start;
    bool in_name = false; /* of a field: no blank stands there */
    if (start + 1 == in.len && in.data[start] == '\r') return 0;
    if (!may_begin_line(in, start)) return -EPROTO;
    for (size_t i = start; i < in.len; i++) {
        char c = in.data[i];
        if (is_control(c) || (in_name && (c == ' ' || c == '\t'))) return -EPROTO;
        if (c == ':') in_name = false;
        if (c != '\r' || i + 1 == in.len) continue;
        if (in.data[i + 1] != '\n') return -EPROTO;
        if (i == line) return (ssize_t)i + 2;
        line = ++i + 1;
        in_name = true;
    }
    return 0;
}

int web_request_too_long(struct bytes_view in)
{
    size_t start = skip_empty_lines(in);
    return memchr(in.data + start, '\n', in.len - start) == NULL ? 414 : 431;
}

/* ---- Parsing one ---- */

/* What the callbacks of the parser collect. */
struct head {
    struct web_request *out;
    struct bytes_view url, name, value;
    size_t fields;
    int status; /* the first error, or 0 */
    bool complete;
};

static void extend(struct bytes_view *view, const char *at, size_t len)
{
    if (view->data == NULL) view->data = at;
    view->len += len; /* pieces of one text are neighbours: the head is parsed in one go */
}

static int refuse(struct head *h, int status)
{
    if (h->status == 0) h->status = status;
    return -1;
}

/* Keeps the last field, if it is one that is asked for. One that comes twice is an error: others might take the other
 * one. */
static int end_field(struct head *h)
{
    const struct {
        const char *name;
        struct bytes_view *value;
    } kept[] = {
        {"host", &h->out->host},
        {"origin", &h->out->origin},
        {"authorization", &h->out->authorization},
        {"sec-fetch-site", &h->out->fetch_site},
        {"sec-fetch-mode", &h->out->fetch_mode},
    };
    if (h->name.data == NULL) return 0;
    while (h->value.len > 0 && strchr(" \t", h->value.data[h->value.len - 1]) != NULL) h->value.len--;
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        if (!bytes_equal_nocase(h->name, kept[i].name)) continue;
        if (kept[i].value->data != NULL) return refuse(h, 400);
        *kept[i].value = bytes_view(h->value.data != NULL ? h->value.data : "", h->value.len);
    }
    h->name = h->value = (struct bytes_view){0};
    return 0;
}

static int on_url(http_parser *p, const char *at, size_t len)
{
    struct head *h = p->data;
    extend(&h->url, at, len);
    return h->url.len > WEB_TARGET_MAX ? refuse(h, 414) : 0;
}

static int on_field(http_parser *p, const char *at, size_t len)
{
    struct head *h = p->data;
    if (h->value.data != NULL || h->name.data == NULL) {
        if (end_field(h) != 0) return -1;
        if (++h->fields > WEB_FIELDS_MAX) return refuse(h, 431);
    }
    extend(&h->name, at, len);
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t len)
{
    struct head *h = p->data;
    extend(&h->value, at, len);
    return 0;
}

static int on_head_complete(http_parser *p)
{
    struct head *h = p->data;
    if (end_field(h) != 0) return -1;
    if (p->http_major != 1 || p->http_minor > 1) return refuse(h, 505);
    if (p->method != HTTP_GET && p->method != HTTP_HEAD) return refuse(h, 405);
    if (p->uses_transfer_encoding || ((p->flags & F_CONTENTLENGTH) && p->content_length > 0)) return refuse(h, 413);
    if (p->http_minor == 1 && h->out->host.data == NULL) return refuse(h, 400);
    h->out->head_only = p->method == HTTP_HEAD;
    h->out->keep_alive = http_should_keep_alive(p) && !p->upgrade;
    h->complete = true;
    return 0;
}

/* ---- What it asks for ---- */

/* The part of an absolute URL between "//" and the path. */
static struct bytes_view authority_of(struct bytes_view url)
{
    const char *start = memmem(url.data, url.len, "//", 2), *end = url.data + url.len;
    if (start == NULL) return (struct bytes_view){0};
    start += 2;
    size_t len = 0;
    while (start + len < end && strchr("/?#", start[len]) == NULL) len++;
    return bytes_view(start, len);
}

static struct bytes_view url_part(struct bytes_view url, const struct http_parser_url *u, int part)
{
    if (!(u->field_set & 1u << part)) return bytes_view("", 0);
    return bytes_view(url.data + u->field_data[part].off, u->field_data[part].len);
}

static bool same_host(struct bytes_view a, struct bytes_view b)
{
    return a.len == b.len && strncasecmp(a.data, b.data, a.len) == 0;
}

static int take_url(const struct head *h)
{
    struct web_request *out = h->out;
    struct http_parser_url u;
    if (memchr(h->url.data, '#', h->url.len) != NULL) return 400;
    http_parser_url_init(&u);
    if (http_parser_parse_url(h->url.data, h->url.len, 0, &u) != 0) return 400;
    if (u.field_set & 1u << UF_USERINFO) return 400;
    out->path = url_part(h->url, &u, UF_PATH);
    out->query = url_part(h->url, &u, UF_QUERY);
    if (u.field_set & 1u << UF_HOST) {
        struct bytes_view authority = authority_of(h->url);
        if (authority.data == NULL || (out->host.data != NULL && !same_host(out->host, authority))) return 400;
        out->host = authority;
        if (out->path.len == 0) out->path = BYTES_LIT("/");
    }
    return out->path.len > 0 && out->path.data[0] == '/' ? 0 : 400;
}

/* The parser knows a list of methods. Another word in front of a blank is a method, too. */
static int status_of_error(const http_parser *p, struct bytes_view head)
{
    size_t at = skip_empty_lines(head), len = 0;
    if (HTTP_PARSER_ERRNO(p) != HPE_INVALID_METHOD) return 400;
    while (at + len < head.len && isupper((unsigned char)head.data[at + len])) len++;
    return len > 0 && at + len < head.len && head.data[at + len] == ' ' ? 405 : 400;
}

int web_request_parse(struct bytes_view head, struct web_request *out)
{
    static const http_parser_settings callbacks = {.on_url = on_url,
                                                   .on_header_field = on_field,
                                                   .on_header_value = on_value,
                                                   .on_headers_complete = on_head_complete};
    struct web_request request = {0};
    struct head h = {.out = &request};
    http_parser p;
    http_parser_init(&p, HTTP_REQUEST);
    p.data = &h;
    size_t parsed = http_parser_execute(&p, &callbacks, head.data, head.len);
    if (h.status != 0) return h.status;
    if (HTTP_PARSER_ERRNO(&p) != HPE_OK) return status_of_error(&p, head);
    if (!h.complete || parsed != head.len) return 400;
    int status = take_url(&h);
    if (status == 0) *out = request;
    return status;
}

/* ---- Queries and hosts ---- */

bool web_query_next(struct bytes_view *query, struct bytes_view *name, struct bytes_view *value)
{
    if (query->len == 0) return false;
    const char *end = memchr(query->data, '&', query->len);
    size_t len = end != NULL ? (size_t)(end - query->data) : query->len;
    struct bytes_view pair = bytes_view(query->data, len);
    *query = bytes_view(query->data + len + (end != NULL), query->len - len - (end != NULL));
    const char *equals = memchr(pair.data, '=', pair.len);
    size_t name_len = equals != NULL ? (size_t)(equals - pair.data) : pair.len;
    *name = bytes_view(pair.data, name_len);
    *value = equals != NULL ? bytes_view(equals + 1, pair.len - name_len - 1) : bytes_view("", 0);
    return true;
}

static bool is_port(struct bytes_view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (!isdigit((unsigned char)v.data[i])) return false;
    return v.len >= 1 && v.len <= 5;
}

bool web_host_split(struct bytes_view authority, struct bytes_view *host)
{
    if (authority.len == 0) return false;
    bool is_v6 = authority.data[0] == '[';
    const char *end = memchr(authority.data, is_v6 ? ']' : ':', authority.len);
    if (is_v6 && end == NULL) return false;
    size_t len = end != NULL ? (size_t)(end - authority.data) : authority.len;
    size_t behind = len + is_v6; /* where ":port" begins, if there is one */
    *host = bytes_view(authority.data + is_v6, len - is_v6);
    if (behind < authority.len && (authority.data[behind] != ':' ||
                                   !is_port(bytes_view(authority.data + behind + 1, authority.len - behind - 1))))
        return false;
    return host->len > 0;
}
