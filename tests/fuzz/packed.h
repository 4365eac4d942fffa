/* For fuzzers of packed files: a fuzzer does not find the digest at their end.
 */
#ifndef PINION_TESTS_FUZZ_PACKED_H
#define PINION_TESTS_FUZZ_PACKED_H

#include <string.h>

#include "runtime/sha256.h"
#include "runtime/util.h"

/* A file of this head, the fuzzer's bytes and the right digest; the caller frees. */
static inline uint8_t *packed_file(const void *head, size_t head_size, const uint8_t *data, size_t size,
                                   size_t *file_size) {
    struct sha256 hash;
    uint8_t *file = xmalloc(head_size + size + SHA256_BYTES);
    memcpy(file, head, head_size);
    if (size > 0)
        memcpy(file + head_size, data, size);
    sha256_begin(&hash);
    sha256_add(&hash, file, head_size + size);
    sha256_end(&hash, file + head_size + size);
    *file_size = head_size + size + SHA256_BYTES;
    return file;
}

#endif
