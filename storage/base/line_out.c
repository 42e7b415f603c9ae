#include "storage/base/line_out.h"

#include <stdarg.h>
#include <stdio.h>

void line_out_say(const struct line_out *out, const char *fmt, ...)
{
    char text[LINE_OUT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    out->line(out->ctx, text);
}
