/* From the order of a model to that of a recording. */
#include "tools/expected.h"

#include "runtime/util.h"

void expected_of(const struct judge *judge, char *const *names, struct expectation *expectation) {
    const struct model_header *model = judge->model;
    size_t count = judge->call_count;
    int32_t *mean = xcalloc(count + 1, sizeof *mean), *inverse = xcalloc(count + 1, sizeof *inverse);
    bool *seen = xcalloc(count + 1, sizeof *seen);
    for (size_t i = 0; i < count; i++)
        inverse[i] = INT32_MAX;
    for (size_t i = 0; i < model->calls.count; i++) {
        const struct model_call *call = &model_calls(model)[i];
        size_t column = judge->columns[i];
        if (column >= count)
            continue;
        mean[column] = call->mean;
        inverse[column] = call->inverse_deviation;
        seen[column] = true;
    }
    *expectation = (struct expectation){
        .count = count, .names = (const char *const *)names, .mean = mean, .inverse_deviation = inverse, .seen = seen};
}

void expected_free(struct expectation *expectation) {
    free((void *)expectation->mean);
    free((void *)expectation->inverse_deviation);
    free((void *)expectation->seen);
    *expectation = (struct expectation){0};
}
