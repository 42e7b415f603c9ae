/* config_internal.h -- what config.c, config_special.c, config_rewrite.c and config_load.c share. */
#ifndef LOCKSTEP_SERVER_CONFIG_CONFIG_INTERNAL_H
#define LOCKSTEP_SERVER_CONFIG_CONFIG_INTERNAL_H

#include "server/config/config.h"

/* A directive as registered: the data, and where its value lives. */
struct config_row {
    const struct config_directive *dir;
    void *target;       /* as registered */
    const void *hooks;  /* as registered, or NULL */
    char *default_text; /* the default as CONFIG GET prints it */
    bool seen;          /* the current load has set it: another line of a VARIADIC row appends */
    bool included;      /* an included file has a line of it: CONFIG REWRITE must write one too */
};

/* Slots of the index of names: a power of two, twice the number of names or more. */
enum { CONFIG_INDEX_SIZE = 1024 };

struct config {
    struct settings *settings;
    const struct sys *sys;
    struct config_hooks hooks;
    struct config_row *rows;
    size_t row_count;
    size_t name_count;                 /* of rows and their aliases */
    uint16_t index[CONFIG_INDEX_SIZE]; /* of names: open addressing by hash; 0 is free, else 1 + 2 * row + (1: alias) */
    char *path;                        /* or NULL */
    bool including;                    /* the current line is from an included file */
    bool appending;                    /* a special set() adds to the value instead of replacing it */
    bool by_command;                   /* the value comes from CONFIG SET, not from a file */
    bool force_all;                    /* the next rewrite writes every directive */
    bool users_noted;                  /* config_note_users() was called */
    struct user_line *users;           /* the lines "user ..." for CONFIG REWRITE */
    size_t user_count;
};

static inline bool config_row_has(const struct config_row *row, unsigned flag)
{
    return (row->dir->flags & flag) != 0;
}
/* By name or alias; NULL if there is none. */
struct config_row *config_find(const struct config *cfg, const char *name);
void *config_row_field(const struct config_row *row);
/* Appends the value as CONFIG GET shows it. */
void config_row_get(const struct config *cfg, const struct config_row *row, struct bytes_buf *out);
/* Sets the value from the words after the name in a file. */
int config_row_set(struct config *cfg, struct config_row *row, char **words, size_t count, struct config_error *err);
/* Sets the value from one argument of CONFIG SET, which is split into words for MULTI_ARG rows. */
int config_row_set_text(struct config *cfg, struct config_row *row, char *text, struct config_error *err);
void config_replace_string(char **field, const char *text); /* text may be NULL */

/* The rows of struct settings. */
extern const struct config_directive config_builtin_rows[];
extern const size_t config_builtin_row_count;

#endif
