#include "storage/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "ASSERTION FAILED: %s at %s:%d\n", condition, file, line);
    abort();
}

void assert_unreachable(const char *file, int line)
{
    fprintf(stderr, "UNREACHABLE CODE reached at %s:%d\n", file, line);
    abort();
}
