/* Principal components by subspace iteration. */
#include "tools/components.h"

#include <math.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/vectors.h"

#define ROUNDS 60

static void orthonormalise(float *basis, size_t count, size_t stride) {
    for (size_t i = 0; i < count; i++) {
        float *row = basis + i * stride;
        for (size_t j = 0; j < i; j++)
            add_scaled(row, basis + j * stride, -dot(row, basis + j * stride, stride), stride);
        float length = sqrtf(dot(row, row, stride));
        for (size_t k = 0; k < stride; k++)
            row[k] = length > 1e-6f ? row[k] / length : 0;
    }
}

static float *covariance(const float *rows, size_t count, size_t stride) {
    float *matrix = xcalloc(stride * stride, sizeof *matrix);
    for (size_t row = 0; row < count; row++) {
        const float *x = rows + row * stride;
        for (size_t i = 0; i < stride; i++)
            if (x[i] != 0)
                add_scaled(matrix + i * stride, x, x[i] / (float)count, stride);
    }
    return matrix;
}

void principal_components(const float *rows, size_t count, size_t inputs, size_t components, struct random *random,
                          float *basis) {
    size_t stride = padded(inputs);
    cleanup_free float *matrix = covariance(rows, count, stride);
    cleanup_free float *next = xcalloc(components * stride, sizeof *next);
    memset(basis, 0, components * stride * sizeof *basis);
    for (size_t i = 0; i < components; i++)
        for (size_t k = 0; k < inputs; k++)
            basis[i * stride + k] = (float)(random_draw(random) >> 40) / (1 << 24) - 0.5f;
    for (int round = 0; round < ROUNDS; round++) {
        orthonormalise(basis, components, stride);
        for (size_t i = 0; i < components; i++)
            for (size_t k = 0; k < stride; k++)
                next[i * stride + k] = dot(matrix + k * stride, basis + i * stride, stride);
        memcpy(basis, next, components * stride * sizeof *next);
    }
    orthonormalise(basis, components, stride);
}
