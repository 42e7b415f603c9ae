/* config_foreign.h -- directives of other Redis versions and of forks, which this server refuses by name.
 *
 * The error message names the product that has the directive. Directives that are accepted without effect are rows in
 * config_rows.c instead. */
#ifndef LOCKSTEP_SERVER_CONFIG_CONFIG_FOREIGN_H
#define LOCKSTEP_SERVER_CONFIG_CONFIG_FOREIGN_H

/* The product that has this directive, such as "Redis 6.0 and 6.2"; NULL if unknown. */
const char *config_foreign_owner(const char *name);

#endif
