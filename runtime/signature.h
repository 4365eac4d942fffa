/* What names an attack: the SHA-256 over the names of the most frequent calls of the intervals in alarm, in descending
 * order, and the calls that were never seen in training; with it goes how much each call rose. Free of libc, no allocation: the shim makes it as well.
 */
#ifndef PINION_RUNTIME_SIGNATURE_H
#define PINION_RUNTIME_SIGNATURE_H

#include <stdint.h>

#include "runtime/sha256.h"

#define SIGNATURE_TOP 5 /* calls in the digest, unless told otherwise */
#define SIGNATURE_TOP_MOST 8
#define SIGNATURE_NEVER_SEEN_MOST 16

/* Counts of calls, added up over the intervals in alarm, in any order. */
struct signature_input {
    unsigned count;
    const char *(*name)(const void *context, unsigned call);
    const void *context; /* of `name` */
    const uint64_t *counts;
    const uint8_t *seen; /* not zero: the call occurred in training */
};

/* Calls are indices of the input. */
struct signature {
    uint8_t digest[SHA256_BYTES];
    uint8_t top_count; /* fewer than asked for where fewer calls occurred */
    uint8_t never_seen_count;
    uint16_t never_seen_total; /* there may have been more than there is room for */
    uint16_t top[SIGNATURE_TOP_MOST];
    uint16_t never_seen[SIGNATURE_NEVER_SEEN_MOST]; /* the most frequent first */
};

/* `top` is from 1 to SIGNATURE_TOP_MOST. Calls that are equally frequent stand in the order of their names, so that the
 * order of the input does not matter. The digest is over the names, each with a newline behind it. */
void signature_make(struct signature *signature, const struct signature_input *input, unsigned top);

/* How much a call rose, in hundredths: RISE_FULL when the logarithm of its count is 11.5 standard deviations or more
 * above what training knows, 0 at 1.5. Arguments as in runtime/model.h, with 16 fractional bits: log2(1 + count), and
 * mean and inverse deviation of that; for a call never seen in training 0 and INT32_MAX. */
#define RISE_FULL 100
unsigned signature_rise(int32_t log_count, int32_t mean, int32_t inverse_deviation);

#endif
