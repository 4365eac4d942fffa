/* Residuals of principal components. */
#include "tools/baseline.h"

#include <math.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/components.h"
#include "tools/scaling.h"
#include "tools/vectors.h"

#define SEED 1
#define LEAST_SQUARE 1e-6 /* keeps the logarithm of a perfect residual finite */

struct baseline {
    struct scaling scaling;
    bool known[MODEL_MAX_CALLS]; /* per column: the call was seen */
    size_t components, stride;
    float *basis;
};

static struct baseline *fit(const struct dataset *data, const size_t *rows, size_t count, size_t components) {
    struct baseline *baseline = xcalloc(1, sizeof *baseline);
    scaling_make(data, rows, count, &baseline->scaling);
    for (size_t i = 0; i < baseline->scaling.calls; i++)
        baseline->known[baseline->scaling.columns[i]] = true;
    baseline->components = components < baseline->scaling.calls ? components : baseline->scaling.calls;
    baseline->stride = padded(baseline->scaling.calls);
    baseline->basis = xcalloc(baseline->components * baseline->stride + 1, sizeof(float));
    cleanup_free float *standard = scaling_apply(&baseline->scaling, data, rows, count);
    struct random random = {SEED};
    principal_components(standard, count, baseline->scaling.calls, baseline->components, &random, baseline->basis);
    return baseline;
}

static void release(struct baseline *baseline) {
    free(baseline->basis);
    free(baseline);
}

/* The score of one row, -INFINITY when nothing was called, and whether a call in it was never seen before. */
static double score(const struct baseline *baseline, const struct dataset *data, size_t row, bool *never_seen) {
    const uint64_t *counts = dataset_row(data, row);
    bool any = false;
    *never_seen = false;
    for (size_t i = 0; i < data->call_count; i++) {
        any |= counts[i] != 0;
        *never_seen |= counts[i] != 0 && !baseline->known[i];
    }
    if (!any)
        return -INFINITY;
    cleanup_free float *rest = scaling_apply(&baseline->scaling, data, &row, 1);
    for (size_t i = 0; i < baseline->components; i++) {
        const float *direction = baseline->basis + i * baseline->stride;
        add_scaled(rest, direction, -dot(rest, direction, baseline->stride), baseline->stride);
    }
    double mean = (double)dot(rest, rest, baseline->stride) / (double)baseline->scaling.calls;
    return log2(mean + LEAST_SQUARE);
}

static void score_held(const struct dataset *school, size_t components, struct scored *scored) {
    cleanup_free size_t *rows = xcalloc(school->row_count + 1, sizeof *rows);
    scored->held = xcalloc(school->row_count + 1, sizeof *scored->held);
    for (uint32_t group = 0; group < school->group_count; group++) {
        size_t others = dataset_rows_but(school, group, rows);
        struct baseline *baseline = fit(school, rows, others, components);
        for (size_t row = 0; row < school->row_count; row++) {
            bool never_seen;
            if (school->groups[row] != group)
                continue;
            double value = score(baseline, school, row, &never_seen);
            if (value > -INFINITY && !never_seen)
                scored->held[scored->held_count++] = value;
        }
        release(baseline);
    }
    sort_ascending(scored->held, scored->held_count);
}

void baseline_score(const struct dataset *school, const struct dataset *tested, size_t components,
                    struct scored *scored) {
    score_held(school, components, scored);
    cleanup_free size_t *rows = xcalloc(school->row_count + 1, sizeof *rows);
    struct baseline *baseline = fit(school, rows, dataset_rows_but(school, UINT32_MAX, rows), components);
    scored->scores = xcalloc(tested->row_count + 1, sizeof *scored->scores);
    scored->never_seen = xcalloc(tested->row_count + 1, sizeof *scored->never_seen);
    for (size_t row = 0; row < tested->row_count; row++)
        scored->scores[row] = score(baseline, tested, row, &scored->never_seen[row]);
    release(baseline);
}
