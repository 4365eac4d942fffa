/* Models for tests and fuzzers: of any shape, with weights drawn at random. */
#ifndef PINION_TESTS_UNIT_MODELS_H
#define PINION_TESTS_UNIT_MODELS_H

#include <stdio.h>
#include <string.h>

#include "runtime/model.h"
#include "runtime/util.h"
#include "tools/random.h"

#define MODELS_NAME_BYTES 8

/* Between -1 and 1. */
static inline double models_draw(struct random *random) {
    return (double)(int64_t)random_draw(random) / 9223372036854775808.0;
}

static inline struct model_section models_place(uint32_t *size, size_t count, size_t element) {
    struct model_section section = {*size, (uint32_t)count};
    *size = (uint32_t)((*size + count * element + 7) & ~(size_t)7);
    return section;
}

/* The calls are named call0, call1, ...; a model of the newest version, valid, alarm above a score of 3. */
static inline struct model_header *models_make(uint32_t calls, uint32_t hidden, uint64_t seed) {
    struct random random = {seed};
    uint32_t size = sizeof(struct model_header);
    struct model_header header = {
        .magic = MODEL_MAGIC,
        .version = MODEL_VERSION,
        .interval_ms = 1000,
        .consecutive = 1,
        .hidden = hidden,
        .threshold = 3 * FIXED_ONE,
        .rate_ppm = 1500,
        .calls = models_place(&size, calls, sizeof(struct model_call)),
        .weights = models_place(&size, model_weight_count(calls, hidden), sizeof(int32_t)),
        .sample = models_place(&size, 2ul * calls, sizeof(uint16_t)),
        .text = models_place(&size, (size_t)calls * MODELS_NAME_BYTES, 1),
    };
    struct model_header *model = xcalloc(1, size);
    *model = header;
    model->size = size;
    struct model_call *call = (struct model_call *)model_calls(model);
    for (uint32_t i = 0; i < calls; i++) {
        call[i] = (struct model_call){.name = i * MODELS_NAME_BYTES,
                                      .entry = MODEL_NO_ENTRY,
                                      .mean = (int32_t)((4 + 3 * models_draw(&random)) * FIXED_ONE),
                                      .inverse_deviation = (int32_t)((2.5 + 2 * models_draw(&random)) * FIXED_ONE)};
        snprintf((char *)model_text(model, call[i].name), MODELS_NAME_BYTES, "call%u", i % 1000);
    }
    int32_t *weights = (int32_t *)model_at(model, model->weights);
    for (uint32_t i = 0; i < model->weights.count; i++)
        weights[i] = (int32_t)(models_draw(&random) * WEIGHT_ONE / 4);
    return model;
}

/* Around the model's mean, so many deviations to either side at most. */
static inline void models_interval(const struct model_header *model, struct random *random, double deviations,
                                   uint64_t *counts) {
    const struct model_call *calls = model_calls(model);
    for (uint32_t i = 0; i < model->calls.count; i++) {
        double exponent = (double)calls[i].mean / FIXED_ONE +
                          deviations * models_draw(random) * FIXED_ONE / (double)calls[i].inverse_deviation;
        counts[i] = exponent <= 0 ? 0 : (uint64_t)(__builtin_exp2(exponent) - 1);
    }
}

#endif
