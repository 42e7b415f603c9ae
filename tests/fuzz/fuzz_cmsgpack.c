/* fuzz_cmsgpack.c -- any bytes to cmsgpack.unpack() and its siblings. Their result can be packed and unpacked.
 * A second round has the same length as the first. (The first drops nil from arrays, and turns values that are nested
 * too deeply into nil.) */
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
