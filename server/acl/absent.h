/* absent.h -- the commands of Redis 7.2 that this server does not have, since rules may speak of them: a configuration
 * that takes CLUSTER SLOTS away from somebody is to load. Such a rule is kept and saved, and permits nothing. */
#ifndef LOCKSTEP_SERVER_ACL_ABSENT_H
#define LOCKSTEP_SERVER_ACL_ABSENT_H

#include <stdbool.h>

bool acl_command_is_absent(const char *name); /* in lower case: "cluster|slots" */

#endif
