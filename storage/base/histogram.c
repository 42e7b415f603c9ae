#include "storage/base/histogram.h"

uint64_t histogram_bucket_limit(unsigned bucket)
{
    if (bucket < 4) return bucket;
    unsigned log2 = (bucket + 4) / 4;
    uint64_t quarter = (bucket + 4) % 4;
    return (UINT64_C(1) << log2) + ((quarter + 1) << (log2 - 2)) - 1;
}
