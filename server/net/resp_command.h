/* resp_command.h -- writes a command as RESP: an array of bulk strings, as clients send it. */
#ifndef LOCKSTEP_SERVER_NET_RESP_COMMAND_H
#define LOCKSTEP_SERVER_NET_RESP_COMMAND_H

#include <stddef.h>

#include "storage/base/bytes.h"

void resp_command_append(struct bytes_buf *out, size_t argc, const struct bytes_view *argv);

#endif
