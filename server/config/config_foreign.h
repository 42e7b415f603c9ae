/* config_foreign.h -- directives of other versions of Redis and of its forks that this server refuses, so that the
 * refusal can say whose they are. Those that are taken without effect are rows (config_rows.c), as is all that works.
 */
#ifndef LOCKSTEP_SERVER_CONFIG_CONFIG_FOREIGN_H
#define LOCKSTEP_SERVER_CONFIG_CONFIG_FOREIGN_H

/* "Redis 6.0 and 6.2", or NULL: nobody's that we know. */
const char *config_foreign_owner(const char *name);

#endif
