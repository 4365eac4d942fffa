/* Training a model: scaling, the autoencoder, scores of intervals held back, the file. */
#include "tools/training.h"

#include <math.h>
#include <string.h>

#include "runtime/counts.h"
#include "runtime/util.h"
#include "tools/autoencoder.h"
#include "tools/judge.h"
#include "tools/scaling.h"

const struct training_plan training_defaults = {
    .hidden = 8, .epochs = 60, .patience = 8, .seed = 1, .rate = 0.0015, .consecutive = 1, .sample = 4096};

/* A part's usual size is what this share of intervals stays below. */
#define USUAL 0.99

/* The tail that thresholds for rare alarms are taken from runs from one of these quantiles to the other. */
#define TAIL_FROM 0.98
#define TAIL_TO 0.998

/* ---- The file ---- */

struct layout {
    size_t size;
};

static struct model_section place(struct layout *layout, size_t count, size_t element) {
    struct model_section section = {(uint32_t)layout->size, (uint32_t)count};
    layout->size = (layout->size + count * element + 7) & ~(size_t)7;
    return section;
}

static size_t text_size(const struct dataset *data, const struct scaling *scaling) {
    size_t size = 0;
    for (size_t i = 0; i < scaling->calls; i++)
        size += strlen(data->calls[scaling->columns[i]]) + 1;
    return size;
}

static void *part(struct model_header *model, struct model_section section) {
    return (char *)model + section.offset;
}

static uint16_t entry_named(const char *name) {
    for (unsigned i = 0; i < COUNTS_ENTRIES; i++)
        if (strcmp(counts_name(i), name) == 0)
            return (uint16_t)i;
    return MODEL_NO_ENTRY;
}

static void write_calls(struct model_header *model, const struct dataset *data, const struct scaling *scaling) {
    struct model_call *calls = part(model, model->calls);
    char *text = part(model, model->text);
    uint32_t offset = 0;
    for (size_t i = 0; i < scaling->calls; i++) {
        const char *name = data->calls[scaling->columns[i]];
        calls[i] = (struct model_call){
            .name = offset,
            .entry = entry_named(name),
            .mean = (int32_t)lround(scaling->mean[i] * FIXED_ONE),
            .inverse_deviation = (int32_t)lround(FIXED_ONE / scaling->deviation[i]),
        };
        size_t length = strlen(name) + 1;
        memcpy(text + offset, name, length);
        offset += (uint32_t)length;
    }
}

static int32_t weight(float value) {
    double scaled = (double)value * WEIGHT_ONE;
    return (int32_t)lround(fmax(fmin(scaled, INT32_MAX), INT32_MIN));
}

static void write_weights(struct model_header *model, const struct autoencoder *network) {
    int32_t *weights = part(model, model->weights);
    for (size_t h = 0; h < network->hidden; h++)
        for (size_t i = 0; i < network->inputs; i++)
            *weights++ = weight(network->encoder[h * network->stride + i]);
    for (size_t h = 0; h < network->hidden; h++)
        *weights++ = weight(network->encoder_bias[h]);
    for (size_t i = 0; i < network->inputs; i++)
        for (size_t h = 0; h < network->hidden; h++)
            *weights++ = weight(network->decoder[h * network->stride + i]);
    for (size_t i = 0; i < network->inputs; i++)
        *weights++ = weight(network->decoder_bias[i]);
}

static uint16_t sampled(uint64_t count) {
    return (uint16_t)fmin(round(log_count(count) * 1024), UINT16_MAX);
}

/* Evenly spread over the data: the same for the same data, and every recording is in it by its length. A call that is in
 * none of these rows is put into the one that stands for its own, lest merging forgets it. */
static void write_sample(struct model_header *model, const struct dataset *data, const struct scaling *scaling) {
    uint16_t *sample = part(model, model->sample);
    size_t calls = scaling->calls, rows = calls ? model->sample.count / calls : 0;
    for (size_t k = 0; k < calls && rows > 0; k++) {
        size_t column = scaling->columns[k], row = 0;
        bool any = false;
        for (size_t i = 0; i < rows; i++) {
            sample[i * calls + k] = sampled(dataset_row(data, i * data->row_count / rows)[column]);
            any |= sample[i * calls + k] != 0;
        }
        while (!any && row < data->row_count && dataset_row(data, row)[column] == 0)
            row++;
        if (!any && row < data->row_count)
            sample[row * rows / data->row_count * calls + k] = sampled(dataset_row(data, row)[column]);
    }
}

static struct model_header *assemble(const struct dataset *data, const struct scaling *scaling,
                                     const struct autoencoder *network, const struct training_plan *plan,
                                     size_t sample) {
    struct layout layout = {sizeof(struct model_header)};
    sample = sample < data->row_count ? sample : data->row_count;
    struct model_header head = {
        .version = MODEL_VERSION,
        .table_fingerprint = api_table_fingerprint(),
        .interval_ms = data->interval_ms,
        .consecutive = plan->consecutive,
        .hidden = (uint32_t)network->hidden,
        .rate_ppm = (uint32_t)lround(plan->rate * 1e6),
        .trained = data->row_count,
        .recordings = data->group_count,
        .seed = plan->seed,
        .calls = place(&layout, scaling->calls, sizeof(struct model_call)),
        .weights = place(&layout, model_weight_count(scaling->calls, network->hidden), sizeof(int32_t)),
        .sample = place(&layout, sample * scaling->calls, sizeof(uint16_t)),
        .text = place(&layout, text_size(data, scaling), 1),
    };
    memcpy(head.magic, MODEL_MAGIC, sizeof head.magic);
    head.size = (uint32_t)layout.size;
    struct model_header *model = xcalloc(1, layout.size);
    *model = head;
    write_calls(model, data, scaling);
    write_weights(model, network);
    write_sample(model, data, scaling);
    return model;
}

/* ---- Fitting ---- */

struct course {
    const struct training_plan *plan;
    unsigned part, parts;
};

static void tell(void *context, unsigned epoch, double loss) {
    const struct course *course = context;
    if (course->plan->progress)
        course->plan->progress(course->plan->context, course->part, course->parts, epoch, loss);
}

static struct model_header *fit(const struct dataset *data, const size_t *rows, size_t count, size_t sample,
                                struct course *course) {
    struct scaling *scaling = xcalloc(1, sizeof *scaling);
    scaling_make(data, rows, count, scaling);
    cleanup_free float *standard = scaling_apply(scaling, data, rows, count);
    const struct training_plan *plan = course->plan;
    struct autoencoder network;
    autoencoder_fit(&network, standard, count, scaling->calls,
                    &(struct autoencoder_plan){.hidden = plan->hidden,
                                               .epochs = plan->epochs,
                                               .patience = plan->patience,
                                               .seed = plan->seed,
                                               .progress = tell,
                                               .context = course});
    struct model_header *model = assemble(data, scaling, &network, plan, sample);
    autoencoder_free(&network);
    free(scaling);
    course->part++;
    return model;
}

/* ---- Intervals held back ---- */

struct measured {
    int32_t parts[PART_COUNT];
    bool counts; /* something was called, nothing that the others never called, and it is no start or end */
};

static void measure_group(const struct dataset *data, uint32_t group, const struct model_header *model,
                          struct measured *measured) {
    struct judge *judge = xcalloc(1, sizeof *judge);
    judge_begin(judge, model, data->calls, data->call_count);
    uint64_t counts[MODEL_MAX_CALLS];
    for (size_t row = 0; row < data->row_count; row++) {
        if (data->groups[row] != group)
            continue;
        bool usual = judge_order(judge, dataset_row(data, row), counts);
        bool any = model_measure(model, &judge->state, counts, measured[row].parts, &judge->work);
        measured[row].counts = usual && any && !data->edges[row];
    }
    free(judge);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void sort_ascending(double *numbers, size_t count) {
    qsort(numbers, count, sizeof *numbers, by_value);
}

static double quantile(const double *sorted, size_t count, double share) {
    size_t at = (size_t)ceil(share * (double)(count - 1));
    return sorted[at < count ? at : count - 1];
}

static void choose_scales(struct model_header *model, const struct measured *measured, size_t rows, double *work) {
    for (int part = 0; part < PART_COUNT; part++) {
        size_t count = 0;
        for (size_t row = 0; row < rows; row++)
            if (measured[row].counts)
                work[count++] = measured[row].parts[part];
        sort_ascending(work, count);
        model->scales[part] = count ? (int32_t)quantile(work, count, USUAL) : 0;
    }
}

static size_t combine_groups(const struct dataset *data, const struct model_header *model,
                             const struct measured *measured, double *scores) {
    size_t count = 0;
    for (uint32_t group = 0; group < data->group_count; group++) {
        struct model_state *state = xcalloc(1, sizeof *state);
        for (size_t row = 0; row < data->row_count; row++) {
            if (data->groups[row] != group || !measured[row].counts)
                continue;
            state->intervals++;
            scores[count++] = (double)model_combine(model, state, measured[row].parts) / FIXED_ONE;
        }
        free(state);
    }
    sort_ascending(scores, count);
    return count;
}

struct held_scores model_cross_fit(const struct dataset *data, const struct training_plan *plan) {
    struct course course = {plan, 0, data->group_count + 1};
    cleanup_free size_t *rows = xcalloc(data->row_count + 1, sizeof *rows);
    cleanup_free struct measured *measured = xcalloc(data->row_count + 1, sizeof *measured);
    for (uint32_t group = 0; group < data->group_count; group++) {
        size_t count = dataset_rows_but(data, group, rows);
        struct model_header *model = fit(data, rows, count, 0, &course);
        measure_group(data, group, model, measured);
        free(model);
    }
    struct held_scores held = {.scores = xcalloc(data->row_count + 1, sizeof(double))};
    held.model = fit(data, rows, dataset_rows_but(data, UINT32_MAX, rows), plan->sample, &course);
    choose_scales(held.model, measured, data->row_count, held.scores);
    held.count = combine_groups(data, held.model, measured, held.scores);
    return held;
}

double threshold_for(const double *ascending, size_t count, double rate) {
    if (count == 0)
        return 0;
    double from = quantile(ascending, count, TAIL_FROM), to = quantile(ascending, count, TAIL_TO);
    /* Of few scores even the highest is exceeded by one in so many. */
    double beyond = fmax(1 - TAIL_TO, 1.0 / (double)(count + 1)), span = log2(fmax((1 - TAIL_FROM) / beyond, 2));
    if (rate >= beyond)
        return quantile(ascending, count, 1 - rate);
    /* Scores are logarithms, so a power law's tail is a straight line over log2 of the rate. */
    return to + (to - from) * log2(beyond / rate) / span;
}

int32_t threshold_fixed(double threshold) {
    return (int32_t)lround(fmax(fmin(threshold, 200), -200) * FIXED_ONE);
}

struct model_header *model_train(const struct dataset *data, const struct training_plan *plan) {
    struct held_scores held = model_cross_fit(data, plan);
    held.model->threshold = threshold_fixed(threshold_for(held.scores, held.count, plan->rate));
    free(held.scores);
    return held.model;
}
