/* Standardising log counts. */
#include "tools/scaling.h"

#include <math.h>

#include "runtime/util.h"
#include "tools/vectors.h"

/* No call is held to be steadier than this (log2 of its count): a few more or less are nothing. */
#define LEAST_DEVIATION 0.1

void scaling_make(const struct dataset *data, const size_t *rows, size_t count, struct scaling *scaling) {
    scaling->calls = 0;
    for (size_t column = 0; column < data->call_count; column++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < count; i++) {
            double x = log_count(dataset_row(data, rows[i])[column]);
            sum += x;
            squares += x * x;
        }
        if (sum == 0)
            continue;
        double mean = sum / (double)count, variance = squares / (double)count - mean * mean;
        size_t at = scaling->calls++;
        scaling->columns[at] = column;
        scaling->mean[at] = mean;
        scaling->deviation[at] = fmax(sqrt(fmax(variance, 0)), LEAST_DEVIATION);
    }
}

float *scaling_apply(const struct scaling *scaling, const struct dataset *data, const size_t *rows, size_t count) {
    size_t stride = padded(scaling->calls);
    float *standard = xcalloc(count * stride + 1, sizeof *standard);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < scaling->calls; k++)
            standard[i * stride + k] =
                (float)((log_count(dataset_row(data, rows[i])[scaling->columns[k]]) - scaling->mean[k]) /
                        scaling->deviation[k]);
    return standard;
}
