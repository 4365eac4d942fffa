/* Log counts, standardised: what the autoencoder and the baselines see of an interval. */
#ifndef PINION_TOOLS_SCALING_H
#define PINION_TOOLS_SCALING_H

#include "tools/dataset.h"

struct scaling {
    size_t calls;                                             /* those that occur in the rows it is made from */
    size_t columns[MODEL_MAX_CALLS];                          /* where they stand in the data */
    double mean[MODEL_MAX_CALLS], deviation[MODEL_MAX_CALLS]; /* of log2(1 + count) */
};

static inline double log_count(uint64_t count) {
    return (double)model_log(count) / FIXED_ONE;
}

/* From the rows with these indices. */
void scaling_make(const struct dataset *data, const size_t *rows, size_t count, struct scaling *scaling);

/* Those rows standardised, [count][padded(calls)]; the caller frees. */
float *scaling_apply(const struct scaling *scaling, const struct dataset *data, const size_t *rows, size_t count);

#endif
