#include "server/net/resp_command.h"

void resp_command_append(struct bytes_buf *out, size_t argc, const struct bytes_view *argv)
{
    bytes_buf_printf(out, "*%zu\r\n", argc);
    for (size_t i = 0; i < argc; i++) {
        bytes_buf_printf(out, "$%zu\r\n", argv[i].len);
        bytes_buf_append_view(out, argv[i]);
        bytes_buf_append(out, "\r\n", 2);
    }
}
