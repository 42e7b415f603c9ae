/* acl_log.h -- the log of denied requests, newest first: ACL LOG.
 *
 *     newest <-> entry <-> ... <-> oldest        at most `max` entries
 *
 *   1. A denial equal to one of the ten newest entries (reason, context, object and user), not more than a minute after
 *      its last time, makes no new entry: the old one counts it and moves to the front.
 *   2. Texts that a peer chose are truncated to ACL_LOG_TEXT_MAX, so the number of entries bounds the memory. */
#ifndef LOCKSTEP_SERVER_ACL_ACL_LOG_H
#define LOCKSTEP_SERVER_ACL_ACL_LOG_H

#include "server/acl/acl_check.h"

enum { ACL_LOG_TEXT_MAX = 1024, ACL_LOG_MERGE_MS = 60000 };

enum acl_context { ACL_TOPLEVEL = 0, ACL_IN_MULTI, ACL_IN_SCRIPT };

struct acl_log; /* opaque */
struct acl_log_entry {
    struct acl_log_entry *newer, *older;
    uint64_t id, count;
    enum acl_reason reason;
    enum acl_context context;
    struct bytes_buf object, user;
    struct bytes_buf client; /* its line of CLIENT LIST */
    int64_t created_ms, updated_ms;
};

struct acl_log *acl_log_new(void);
void acl_log_free(struct acl_log *lg);
/* Adds or counts a denial, then drops the oldest entries beyond `max`. */
void acl_log_note(struct acl_log *lg, enum acl_context context, const struct acl_denial *what, struct bytes_view user,
                  struct bytes_view client, int64_t now_ms, size_t max);
void acl_log_trim(struct acl_log *lg, size_t max);
size_t acl_log_count(const struct acl_log *lg);
const struct acl_log_entry *acl_log_newest(const struct acl_log *lg); /* then ->older */
const char *acl_reason_word(enum acl_reason reason);                  /* "command" */
const char *acl_context_word(enum acl_context context);               /* "toplevel" */

#endif
