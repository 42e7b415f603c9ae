/* fuzz_cjson.c -- any bytes to cjson.decode(). Its result can be encoded and decoded again, and so can any string. */
#include <string.h>

#include "fuzz_lua.h"

static const char chunk[] = "local bytes = ...\n"
                            "assert(cjson.decode(cjson.encode(bytes)) == bytes)\n"
                            "cjson.encode_sparse_array(true)\n"
                            "cjson.encode_invalid_numbers(true)\n"
                            "local text = cjson.encode(cjson.decode(bytes))\n"
                            "assert(pcall(cjson.decode, text))\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_lua_run(lua_open_cjson, "cjson", chunk, data, size);
    return 0;
}
