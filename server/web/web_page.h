/* web_page.h -- the routes of the page: /, its style and its script, and /status.json, which the script asks for.
 *
 *     /                           page.html. It loads nothing but the two below, and nothing else may be loaded or run
 *     /page.css /page.js
 *     /status.json                the state as it is now (operation/status.h)
 *     /status.json?after=NUMBER   and the samples that come after this one
 *
 * All of them belong to the group "page". An unknown or malformed parameter gets 400. */
#ifndef LOCKSTEP_SERVER_WEB_WEB_PAGE_H
#define LOCKSTEP_SERVER_WEB_WEB_PAGE_H

struct server;
struct web;

void web_page_add(struct web *w, struct server *s);

#endif
