/* acl_log.h -- what users were refused, newest first: ACL LOG.
 *
 * The same refusal again (reason, context, object and user) within a minute of the last is no new entry: the entry
 * counts, and comes to the front. Texts that a peer chose are cut, so that the log's size is bounded by its length. */
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
    struct bytes_buf client; /* as CLIENT LIST describes it */
    int64_t created_ms, updated_ms;
};

struct acl_log *acl_log_new(void);
void acl_log_free(struct acl_log *lg);
/* At most `max` entries stay. */
void acl_log_note(struct acl_log *lg, enum acl_context context, const struct acl_denial *what, struct bytes_view user,
                  struct bytes_view client, int64_t now_ms, size_t max);
void acl_log_trim(struct acl_log *lg, size_t max);
size_t acl_log_count(const struct acl_log *lg);
const struct acl_log_entry *acl_log_newest(const struct acl_log *lg); /* then ->older */
const char *acl_reason_word(enum acl_reason reason);                  /* "command" */
const char *acl_context_word(enum acl_context context);               /* "toplevel" */

#endif
