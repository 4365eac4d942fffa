/* From a model's integers, in powers of two, to natural logarithms. */
#include "tools/expected.h"

#include <math.h>

#include "runtime/util.h"

void expected_of(const struct judge *judge, char *const *names, struct expectation *expectation) {
    const struct model_header *model = judge->model;
    size_t count = judge->call_count;
    double *mean = xcalloc(count + 1, sizeof *mean), *deviation = xcalloc(count + 1, sizeof *deviation);
    bool *seen = xcalloc(count + 1, sizeof *seen);
    for (size_t i = 0; i < model->calls.count; i++) {
        const struct model_call *call = &model_calls(model)[i];
        size_t column = judge->columns[i];
        if (column >= count)
            continue;
        mean[column] = (double)call->mean / FIXED_ONE * M_LN2;
        deviation[column] = FIXED_ONE / fmax(call->inverse_deviation, 1) * M_LN2;
        seen[column] = true;
    }
    *expectation = (struct expectation){
        .count = count, .names = (const char *const *)names, .mean = mean, .deviation = deviation, .seen = seen};
}

void expected_free(struct expectation *expectation) {
    free((void *)expectation->mean);
    free((void *)expectation->deviation);
    free((void *)expectation->seen);
    *expectation = (struct expectation){0};
}
