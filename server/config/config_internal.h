/* config_internal.h -- what config.c, config_special.c, config_rewrite.c and config_load.c share. */
#ifndef LOCKSTEP_SERVER_CONFIG_CONFIG_INTERNAL_H
#define LOCKSTEP_SERVER_CONFIG_CONFIG_INTERNAL_H

#include "server/config/config.h"

/* A directive as registered: the data, and where its value lives. */
struct config_row {
    const struct config_directive *dir;
    void *target;       /* of the registration */
    const void *hooks;  /* of the registration; NULL: none */
    char *default_text; /* what get gives at the default */
    bool seen;          /* set in the load under way: a VARIADIC row appends from the second time on */
    bool included;      /* a file that the configuration includes has a line of it: so a rewrite must write its own */
};

struct config {
    struct settings *settings;
    const struct sys *sys;
    struct config_hooks hooks;
    struct config_row *rows;
    size_t row_count;
    char *path;      /* or NULL */
    bool including;  /* the line being loaded is one of an included file */
    bool appending;  /* a special set() adds to the value instead of replacing it */
    bool by_command; /* CONFIG SET, not a line of a file */
    bool force_all;  /* for the next rewrite */
    bool users_noted;
    struct user_line *users; /* what CONFIG REWRITE writes as users */
    size_t user_count;
};

static inline bool config_row_has(const struct config_row *row, unsigned flag)
{
    return (row->dir->flags & flag) != 0;
}
struct config_row *config_find(const struct config *cfg,
                               const char *name); /* by name or alias; NULL when there is none */
void *config_row_field(const struct config_row *row);
/* The value as CONFIG GET shows it, appended. */
void config_row_get(const struct config *cfg, const struct config_row *row, struct bytes_buf *out);
/* The words after the name, as a file has them. */
int config_row_set(struct config *cfg, struct config_row *row, char **words, size_t count, struct config_error *err);
/* One text, as CONFIG SET has it: split for MULTI_ARG rows. */
int config_row_set_text(struct config *cfg, struct config_row *row, char *text, struct config_error *err);
void config_replace_string(char **field, const char *text); /* text may be NULL */

/* The rows of struct settings. */
extern const struct config_directive config_builtin_rows[];
extern const size_t config_builtin_row_count;

#endif
