/* page_files.c -- the assembler reads the files, so the page needs no tool and no step of its own. The paths are those
 * of the folder that the compiler runs in. The Makefile knows that this object depends on them. */
#include "server/web/page_files.h"

/* Bytes from `name` up to `name`_end, in memory that is only read. */
#define EMBED(name, path)                                                                                              \
    __asm__(".section .rodata\n"                                                                                       \
            ".global " #name "\n.hidden " #name "\n"                                                                   \
            ".global " #name "_end\n.hidden " #name "_end\n" #name ":\n"                                               \
            ".incbin \"" path "\"\n" #name "_end:\n"                                                                   \
            ".previous\n");                                                                                            \
    extern const char name[], name##_end[]

EMBED(lockstep_page_html, "server/web/page.html");
EMBED(lockstep_page_css, "server/web/page.css");
EMBED(lockstep_page_js, "server/web/page.js");

static struct bytes_view between(const char *begin, const char *end)
{
    return bytes_view(begin, (size_t)((uintptr_t)end - (uintptr_t)begin));
}

struct bytes_view page_html(void)
{
    return between(lockstep_page_html, lockstep_page_html_end);
}
struct bytes_view page_css(void)
{
    return between(lockstep_page_css, lockstep_page_css_end);
}
struct bytes_view page_js(void)
{
    return between(lockstep_page_js, lockstep_page_js_end);
}
