/* expiry_options.h -- the options that SET, GETEX and the EXPIRE family share, and the rules for times of expiry. */
#ifndef LOCKSTEP_SERVER_COMMANDS_EXPIRY_OPTIONS_H
#define LOCKSTEP_SERVER_COMMANDS_EXPIRY_OPTIONS_H

#include "server/dispatch/command.h"

struct set_options {
    bool nx, xx, get, keep_ttl, persist;
    bool has_expiry;
    bool expiry_in_seconds, expiry_is_absolute; /* how it was given */
    int expiry_arg;
};

enum set_options_of { SET_OPTIONS_SET, SET_OPTIONS_GETEX };
/* From this argument on. False: the syntax error has been answered. */
bool parse_set_options(struct cmd_ctx *ctx, int arg, enum set_options_of command, struct set_options *out);
/* The time in Unix milliseconds. False: that it is none, or "invalid expire time in 'set' command", has been answered.
 */
bool set_options_expiry(struct cmd_ctx *ctx, const struct set_options *options, int64_t *at_ms);
/* A key with this expiry is to be deleted at once. Never when applying a master's stream, or while loading. */
bool expiry_is_past(const struct cmd_ctx *ctx, int64_t at_ms);
/* Deletes a key that was to expire at such a time, here and in the stream. */
void expire_at_once(struct cmd_ctx *ctx, struct keyref key);
/* value, in seconds or milliseconds, from `base_ms` on, as Unix milliseconds. False: it does not fit; nothing is
 * answered. */
bool expiry_to_ms(int64_t value, bool seconds, int64_t base_ms, int64_t *at_ms);

#endif
