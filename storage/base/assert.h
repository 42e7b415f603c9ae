/* assert.h -- assertions that stay enabled in release builds.
 *
 * They check what only a bug of ours can break. A failed assertion prints to standard error and aborts; the server's
 * crash handler adds its report. */
#ifndef LOCKSTEP_STORAGE_BASE_ASSERT_H
#define LOCKSTEP_STORAGE_BASE_ASSERT_H

_Noreturn void assert_failed(const char *condition, const char *file, int line);
_Noreturn void assert_unreachable(const char *file, int line);

#define ASSERT(cond)  (__builtin_expect(!!(cond), 1) ? (void)0 : assert_failed(#cond, __FILE__, __LINE__))
#define UNREACHABLE() assert_unreachable(__FILE__, __LINE__)

#endif
