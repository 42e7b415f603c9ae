/* glob.h -- the glob patterns of Redis: * ? [abc] [a-z] [^a-z] and \ to escape a character.
 *
 * It matches bytes, not characters, and the pattern must match the whole string. Malformed patterns are read as
 * Redis reads them: a class without ']' ends with the pattern, a reversed range is swapped, a '\' at the end is
 * literal. Only the empty pattern matches the empty string; callers for which "*" means everything (KEYS, SCAN)
 * handle it separately.
 * The cost is bounded by the product of the two lengths for every pattern, and there is no recursion. */
#ifndef LOCKSTEP_STORAGE_BASE_GLOB_H
#define LOCKSTEP_STORAGE_BASE_GLOB_H

#include "storage/base/bytes.h"

/* A match that needs more runs of stars than this (not counting one at the end) fails, as in Redis. */
enum { GLOB_STARS_MAX = 1000 };

bool glob_match(struct bytes_view pattern, struct bytes_view s, bool nocase);
/* True if the pattern has no special character, so that it matches only itself. */
bool glob_is_literal(struct bytes_view pattern);

#endif
