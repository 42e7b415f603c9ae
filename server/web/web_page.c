#include "server/web/web_page.h"

#include "server/operation/status.h"
#include "server/web/page_files.h"
#include "server/web/web.h"
#include "storage/base/num.h"

static const char page_policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                                  "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static void answer_html(void *ctx, const struct web_request *request, struct web_reply *reply)
{
    (void)ctx, (void)request;
    reply->type = "text/html; charset=utf-8";
    reply->content_policy = page_policy;
    bytes_buf_append_view(&reply->body, page_html());
}

static void answer_css(void *ctx, const struct web_request *request, struct web_reply *reply)
{
    (void)ctx, (void)request;
    reply->type = "text/css; charset=utf-8";
    bytes_buf_append_view(&reply->body, page_css());
}

static void answer_js(void *ctx, const struct web_request *request, struct web_reply *reply)
{
    (void)ctx, (void)request;
    reply->type = "text/javascript; charset=utf-8";
    bytes_buf_append_view(&reply->body, page_js());
}

/* Takes "after=NUMBER", at most once. */
static bool parse_after(struct bytes_view query, const uint64_t **after, uint64_t *number)
{
    struct bytes_view name, value;
    *after = NULL;
    while (web_query_next(&query, &name, &value)) {
        if (*after != NULL || !bytes_equal(name, BYTES_LIT("after")) || !num_parse_u64(value, number)) return false;
        *after = number;
    }
    return true;
}

static void answer_status(void *ctx, const struct web_request *request, struct web_reply *reply)
{
    const uint64_t *after;
    uint64_t number;
    if (!parse_after(request->query, &after, &number)) {
        web_reply_line(reply, 400, "bad request: the only parameter is after=NUMBER");
        return;
    }
    reply->type = "application/json";
    status_write(ctx, after, &reply->body);
}

void web_page_add(struct web *w, struct server *s)
{
    web_add(w, &(struct web_route){.path = "/", .group = HTTP_GROUP_PAGE, .handle = answer_html});
    web_add(w, &(struct web_route){.path = "/page.css", .group = HTTP_GROUP_PAGE, .handle = answer_css});
    web_add(w, &(struct web_route){.path = "/page.js", .group = HTTP_GROUP_PAGE, .handle = answer_js});
    web_add(w,
            &(struct web_route){.path = "/status.json", .group = HTTP_GROUP_PAGE, .handle = answer_status, .ctx = s});
}
