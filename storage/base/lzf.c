#include "storage/base/lzf.h"

#include <errno.h>
#include <liblzf/lzf.h>

size_t lzf_pack(struct bytes_view in, void *out, size_t cap)
{
    if (in.len == 0 || cap == 0 || in.len > UINT32_MAX) return 0;
    if (cap > UINT32_MAX) cap = UINT32_MAX;
    return lzf_compress(in.data, (unsigned)in.len, out, (unsigned)cap);
}

/* The library stops at both ends; what is left to check is that the lengths fit its 32 bits and that the output is
 * full. */
int lzf_unpack(struct bytes_view in, void *out, size_t len)
{
    if (in.len == 0 || in.len > UINT32_MAX || len == 0 || len > UINT32_MAX) return -EINVAL;
    return lzf_decompress(in.data, (unsigned)in.len, out, (unsigned)len) == len ? 0 : -EINVAL;
}
