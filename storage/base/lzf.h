/* lzf.h -- LZF compression of strings in RDB files, on top of liblzf. */
#ifndef LOCKSTEP_STORAGE_BASE_LZF_H
#define LOCKSTEP_STORAGE_BASE_LZF_H

#include "storage/base/bytes.h"

/* The compressed length, or 0 when the result would not fit in `cap` bytes (what cannot be shrunk is stored as it is).
 * Inputs and outputs over 4 GB are never compressed. */
size_t lzf_pack(struct bytes_view in, void *out, size_t cap);
/* Exactly `len` bytes must come out: 0, or -EINVAL for anything else in the input, which is not trusted. */
NODISCARD int lzf_unpack(struct bytes_view in, void *out, size_t len);

#endif
