/* web_request.h -- one HTTP request: its head as a peer sent it, checked and taken apart.
 *
 *     bytes --web_head_length()--> a whole head --web_request_parse()--+--> 0: path, query, fields
 *                                                                      `--> status of the error to answer
 *
 * libhttp-parser does the parsing. What it tolerates and a proxy in front of this server may read otherwise is refused
 * first: a bare CR or LF, another control byte, a folded line, a blank in the name of a field, a second Host. So both agree
 * where a request ends.
 * A request has no body. One with a body, or with a Transfer-Encoding, is refused, and its connection is closed: so the
 * bytes behind a head are always the next request.
 * Limits:     WEB_HEAD_MAX for a head, WEB_TARGET_MAX for what it asks for, WEB_FIELDS_MAX for its lines.
 * Ownership:  the views of a request point into the head. */
#ifndef LOCKSTEP_SERVER_WEB_WEB_REQUEST_H
#define LOCKSTEP_SERVER_WEB_WEB_REQUEST_H

#include <sys/types.h>

#include "storage/base/bytes.h"

enum { WEB_HEAD_MAX = 8 * 1024, WEB_TARGET_MAX = 2 * 1024, WEB_FIELDS_MAX = 64 };

struct web_request {
    bool head_only;  /* HEAD: the answer has no body */
    bool keep_alive; /* the peer wants to send another request */
    /* As sent, from its '/' on, without the query. Routes are compared byte by byte, so %-escapes fit none. */
    struct bytes_view path;
    struct bytes_view query; /* behind '?'; empty without one */
    /* Values of fields, without blanks around them; data NULL: the request has no such field. */
    struct bytes_view host; /* or the host and port of an absolute URL, which must be the same */
    struct bytes_view origin;
    struct bytes_view authorization;
    struct bytes_view fetch_site, fetch_mode; /* Sec-Fetch-Site and -Mode: what a browser says of the page that asks */
};

/* How many bytes of the input are a whole head, with the empty line at its end; empty lines in front of the request line
 * belong to it. 0: the end has not arrived. -EPROTO: this cannot become a request. */
NODISCARD ssize_t web_head_length(struct bytes_view in);
/* 0 with *out filled, or the status of the answer: 400, 405, 413, 414, 431, 505. The connection is closed after it. */
NODISCARD int web_request_parse(struct bytes_view head, struct web_request *out);
/* The status for a head that has exceeded WEB_HEAD_MAX and is not whole: 414 or 431. */
int web_request_too_long(struct bytes_view in);

/* Takes the next "name=value" off a query. False: there is none left. A pair without '=' has an empty value. */
bool web_query_next(struct bytes_view *query, struct bytes_view *name, struct bytes_view *value);

/* The host of "host:port", "[v6]:port" or "host", without port and brackets. False if it is malformed. */
bool web_host_split(struct bytes_view authority, struct bytes_view *host);

#endif
