/* lzf.h -- LZF compression of strings in RDB files: packed by liblzf, unpacked here.
 *
 * Packed bytes are a sequence of instructions in the format of liblzf. The first byte tells which:
 *
 *      000LLLLL                            copy the L + 1 bytes that follow
 *      LLLDDDDD  dddddddd                  repeat L + 2 bytes (L is 1 to 6) from D * 256 + d + 1 bytes back
 *      111DDDDD  llllllll  dddddddd        repeat l + 9 bytes from there
 *
 * A repetition may overlap its own output: a zero and its repetition make a run of zeros. */
#ifndef LOCKSTEP_STORAGE_BASE_LZF_H
#define LOCKSTEP_STORAGE_BASE_LZF_H

#include "storage/base/bytes.h"

/* Returns the compressed length, or 0 if it would exceed `cap` bytes; such strings are stored uncompressed. Inputs
 * and outputs over 4 GB are never compressed. */
size_t lzf_pack(struct bytes_view in, void *out, size_t cap);
/* Unpacks exactly `len` bytes. 0, or -EINVAL for any other input, which is not trusted; `out` is then undefined. */
NODISCARD int lzf_unpack(struct bytes_view in, void *out, size_t len);

#endif
