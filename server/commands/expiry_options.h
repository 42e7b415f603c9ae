/* expiry_options.h -- the expiry options of SET, GETEX and the EXPIRE family, and the rules for times. */
#ifndef LOCKSTEP_SERVER_COMMANDS_EXPIRY_OPTIONS_H
#define LOCKSTEP_SERVER_COMMANDS_EXPIRY_OPTIONS_H

#include "server/dispatch/command.h"

struct set_options {
    bool nx, xx, get, keep_ttl, persist;
    bool has_expiry;
    bool expiry_in_seconds, expiry_is_absolute; /* the form in which the client gave it */
    int expiry_arg;
};

enum set_options_of { SET_OPTIONS_SET, SET_OPTIONS_GETEX };
/* Parses the options from this argument on. False: a syntax error has been answered. */
bool parse_set_options(struct cmd_ctx *ctx, int arg, enum set_options_of command, struct set_options *out);
/* The expiry in Unix milliseconds. False: it is no number, or "invalid expire time in 'set' command"; the error has
 * been answered. */
bool set_options_expiry(struct cmd_ctx *ctx, const struct set_options *options, int64_t *at_ms);
/* Whether a key with this expiry must be deleted at once. Never in a master's stream or while loading. */
bool expiry_is_past(const struct cmd_ctx *ctx, int64_t at_ms);
/* Deletes a key whose expiry has passed, here and in the stream. */
void expire_at_once(struct cmd_ctx *ctx, struct keyref key);
/* Adds a value in seconds or milliseconds to `base_ms`. False: the result does not fit; nothing is answered. */
bool expiry_to_ms(int64_t value, bool seconds, int64_t base_ms, int64_t *at_ms);

#endif
