/* config_special.h -- the directives that need code of their own, for the table in config_rows.c. */
#ifndef LOCKSTEP_SERVER_CONFIG_CONFIG_SPECIAL_H
#define LOCKSTEP_SERVER_CONFIG_CONFIG_SPECIAL_H

#include "server/config/config.h"

enum { CONFIG_HZ_MIN = 1, CONFIG_HZ_MAX = 500 };

/* `target` is the area's struct (struct settings_net and so on), unless the comment names a field. */
extern const struct config_special config_special_bind;   /* a struct settings_bind */
extern const struct config_special config_special_ranges; /* a struct settings_ranges */
extern const struct config_special config_special_save;
extern const struct config_special config_special_output_limits;
extern const struct config_special config_special_oom_values;
extern const struct config_special config_special_notify; /* the flags */
extern const struct config_special config_special_percentiles;
extern const struct config_special config_special_replicaof;
extern const struct config_special config_special_dir; /* the string */
extern const struct config_special config_special_rename;
extern const struct config_special config_special_user;
extern const struct config_special config_special_sentinel; /* config_sentinel.c */

int config_check_dbfilename(const struct config *cfg, const char *text, int64_t *number, struct config_error *err);
int config_check_appendfilename(const struct config *cfg, const char *text, int64_t *number, struct config_error *err);
int config_check_appenddirname(const struct config *cfg, const char *text, int64_t *number, struct config_error *err);
int config_check_title(const struct config *cfg, const char *text, int64_t *number, struct config_error *err);
int config_check_hostname(const struct config *cfg, const char *text, int64_t *number, struct config_error *err);
/* Names of hosts between blanks, or "*". */
int config_check_hosts(const struct config *cfg, const char *text, int64_t *number, struct config_error *err);
int config_check_hz(const struct config *cfg, const char *text, int64_t *number, struct config_error *err);
int config_check_backlog(const struct config *cfg, const char *text, int64_t *number, struct config_error *err);

#endif
