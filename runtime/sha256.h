/* SHA-256 (FIPS 180-4) for both sides: the shim names an attack by it and can load no library. Free of libc, no
 * allocation; all state is the caller's.
 */
#ifndef PINION_RUNTIME_SHA256_H
#define PINION_RUNTIME_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32
#define SHA256_BLOCK_BYTES 64

struct sha256 {
    uint32_t words[8];
    uint64_t length; /* bytes so far */
    uint8_t block[SHA256_BLOCK_BYTES];
};

void sha256_begin(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *data, size_t length);
void sha256_end(struct sha256 *hash, uint8_t digest[SHA256_BYTES]);

#endif
