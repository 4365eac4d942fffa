/* Rows of floats that are padded with zeros to whole vectors, so that every loop over them runs over vectors only. The
 * order of additions is fixed: the same rows give the same sums.
 */
#ifndef PINION_TOOLS_VECTORS_H
#define PINION_TOOLS_VECTORS_H

#include <stddef.h>

#define VECTOR_FLOATS 8

typedef float vector __attribute__((vector_size(VECTOR_FLOATS * sizeof(float)), aligned(4)));

/* The length of a padded row. */
static inline size_t padded(size_t floats) {
    return (floats + VECTOR_FLOATS - 1) / VECTOR_FLOATS * VECTOR_FLOATS;
}

static inline float dot(const float *a, const float *b, size_t stride) {
    vector sum = {0};
    for (size_t i = 0; i < stride; i += VECTOR_FLOATS)
        sum += *(const vector *)(a + i) * *(const vector *)(b + i);
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

static inline void add_scaled(float *to, const float *from, float factor, size_t stride) {
    for (size_t i = 0; i < stride; i += VECTOR_FLOATS)
        *(vector *)(to + i) += *(const vector *)(from + i) * factor;
}

#endif
