/* Any bytes to cmsgpack.unpack() and its siblings. What they answer can be packed and unpacked; once more, and it is as
 * long as before (the first time round nil vanishes from arrays, and what is nested too deep turns into nil). */
#include <string.h>

#include "fuzz_lua.h"

static const char chunk[] = "local bytes = ...\n"
                            "pcall(cmsgpack.unpack_one, bytes, #bytes / 2)\n"
                            "pcall(cmsgpack.unpack_limit, bytes, 3, 1)\n"
                            "local values = {cmsgpack.unpack(bytes)}\n"
                            "local packed = cmsgpack.pack(values)\n"
                            "packed = cmsgpack.pack(cmsgpack.unpack(packed))\n"
                            "assert(#cmsgpack.pack(cmsgpack.unpack(packed)) == #packed)\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_lua_run(lua_open_cmsgpack, "cmsgpack", chunk, data, size);
    return 0;
}
