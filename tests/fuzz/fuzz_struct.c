/* fuzz_struct.c -- the library `struct`: half of the bytes are a format, half are data.
 * A format of a fixed size unpacks that many bytes, or reports that the data are too short. */
#include <string.h>

#include "fuzz_lua.h"

static const char chunk[] = "local bytes = ...\n"
                            "local format, data = bytes:sub(1, #bytes / 2), bytes:sub(#bytes / 2 + 1)\n"
                            "pcall(struct.unpack, format, data, #data / 2)\n"
                            "pcall(struct.pack, format, 1, 'two', 3, 'four', -5, 6.5, data)\n"
                            "local sized, size = pcall(struct.size, format)\n"
                            "local results = {pcall(struct.unpack, format, data)}\n"
                            "if sized and results[1] then assert(results[#results] == size + 1) end\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_lua_run(lua_open_struct, "struct", chunk, data, size);
    return 0;
}
