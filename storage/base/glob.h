/* glob.h -- Redis's glob patterns: * ? [abc] [a-z] [^a-z] and \ to take the next character as it is.
 * Bytes, not characters; the pattern covers the whole string. Odd spellings are read as Redis reads them: a class
 * without its ']' ends with the pattern, a range written backwards is turned round, a '\' at the end stands for itself.
 * So nothing but the empty pattern matches the empty string, which whoever takes "*" for everything (KEYS, SCAN) treats
 * apart. The work is bounded by the product of the two lengths, whatever the pattern, and there is no recursion. */
#ifndef LOCKSTEP_STORAGE_BASE_GLOB_H
#define LOCKSTEP_STORAGE_BASE_GLOB_H

#include "storage/base/bytes.h"

/* What needs more stars (runs of them, but for one at the end) than this matches nothing, as in Redis. */
enum { GLOB_STARS_MAX = 1000 };

bool glob_match(struct bytes_view pattern, struct bytes_view s, bool nocase);
/* Nothing in the pattern is special: it matches just the string it is. */
bool glob_is_literal(struct bytes_view pattern);

#endif
