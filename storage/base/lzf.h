/* lzf.h -- LZF compression of strings in RDB files: packed by liblzf, unpacked here.
 *
 * Packed bytes are a sequence of instructions in liblzf's format. The first byte tells which one it is:
 *
 *     000LLLLL                            L + 1 bytes follow, and are copied
 *     LLLDDDDD  dddddddd                  L + 2 bytes are repeated (L is 1 to 6), from D * 256 + d + 1 bytes before
 * here 111DDDDD  llllllll  dddddddd        l + 9 bytes are repeated
 *
 * A repetition may overlap what it writes: one zero, and its repetition, are a run of zeros. */
#ifndef LOCKSTEP_STORAGE_BASE_LZF_H
#define LOCKSTEP_STORAGE_BASE_LZF_H

#include "storage/base/bytes.h"

/* The compressed length, or 0 when the result would not fit in `cap` bytes (what cannot be shrunk is stored as it is).
 * Inputs and outputs over 4 GB are never compressed. */
size_t lzf_pack(struct bytes_view in, void *out, size_t cap);
/* Exactly `len` bytes must come out: 0, or -EINVAL for anything else in the input, which is not trusted; `out` is then
 * in any state. */
NODISCARD int lzf_unpack(struct bytes_view in, void *out, size_t len);

#endif
