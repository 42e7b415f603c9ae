/* page_files.h -- the files of the page at /, as they stand in this folder, inside the program. */
#ifndef LOCKSTEP_SERVER_WEB_PAGE_FILES_H
#define LOCKSTEP_SERVER_WEB_PAGE_FILES_H

#include "storage/base/bytes.h"

struct bytes_view page_html(void);
struct bytes_view page_css(void);
struct bytes_view page_js(void);

#endif
