/* Scoring: the integer arithmetic against the same in floating point, what an alarm is, and that neither a damaged file
 * nor a scribbled state does harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "tests/unit/models.h"

enum {
    CALLS = 12,
    HIDDEN = 4
};

static double fixed(int32_t number) {
    return (double)number / FIXED_ONE;
}

/* ---- Logarithms ---- */

#define LOG_BOUND 3e-5 /* of log2: two units of the last place */

static void check_log(uint64_t number) {
    double expected = number == UINT64_MAX ? 64 : (double)log2l((long double)number + 1);
    double got = fixed(model_log(number));
    if (!(fabs(got - expected) <= LOG_BOUND))
        fail_msg("log2(1 + %lu) is %.7f, not %.7f", (unsigned long)number, expected, got);
}

static void test_log_is_log2(void **state) {
    (void)state;
    struct random random = {1};
    for (uint64_t number = 0; number < 200000; number++)
        check_log(number);
    for (int bit = 0; bit < 64; bit++)
        for (int offset = -2; offset <= 2; offset++)
            check_log((1ull << bit) + (uint64_t)offset);
    for (int i = 0; i < 200000; i++)
        check_log(random_draw(&random) >> (i % 64));
    assert_int_equal(model_log(0), 0);
    assert_int_equal(model_log(1), FIXED_ONE);
    for (uint64_t number = 1; number < 100000; number++)
        assert_true(model_log(number) >= model_log(number - 1));
}

static void test_log_of_fractions(void **state) {
    (void)state;
    for (uint64_t number = 1; number < 1 << 20; number += 1 + number / 4096)
        for (int bits = 0; bits <= 32; bits += 16)
            assert_true(fabs(fixed(fixed_log2(number, bits)) - (log2((double)number) - bits)) <= LOG_BOUND);
}

/* ---- The same in floating point ---- */

struct baseline {
    double mean, variance; /* the variance less 1 */
};

struct reference {
    struct baseline residuals[CALLS], counts[CALLS];
    unsigned intervals;
    double scores[3]; /* the latest last */
};

static double bounded(double number, double most) {
    return fmax(fmin(number, most), -most);
}

static double reference_distance(struct baseline *baseline, double value, unsigned intervals) {
    double difference = value - baseline->mean, square = difference * difference;
    double distance = square / (1 + fmax(baseline->variance, 0));
    double moved = intervals >= 64 ? bounded(difference, 10) : difference, weight = fmin(31 + intervals, 256);
    double grown = fmin(moved * moved, 1 << 14) - 1 - baseline->variance;
    baseline->mean += moved / weight;
    baseline->variance += grown / weight;
    return distance;
}

static double reference_residual(const struct model_header *model, const double *standard, uint32_t call) {
    struct model_weights weights = model_weights(model);
    double rebuilt = (double)weights.decoder_bias[call] / WEIGHT_ONE;
    for (uint32_t h = 0; h < model->hidden; h++) {
        double sum = (double)weights.encoder_bias[h] / WEIGHT_ONE;
        for (uint32_t i = 0; i < CALLS; i++)
            sum += (double)weights.encoder[h * CALLS + i] / WEIGHT_ONE * standard[i];
        rebuilt += (double)weights.decoder[call * model->hidden + h] / WEIGHT_ONE * (sum / (1 + fabs(sum)));
    }
    return bounded(standard[call] - rebuilt, 128);
}

static double reference_score(const struct model_header *model, struct reference *state, const uint64_t *counts) {
    const struct model_call *calls = model_calls(model);
    double standard[CALLS], sum = 0, worst = 0, unusual = 0;
    for (uint32_t i = 0; i < CALLS; i++)
        standard[i] =
            bounded((log2(1 + (double)counts[i]) - fixed(calls[i].mean)) * fixed(calls[i].inverse_deviation), 32);
    for (uint32_t i = 0; i < CALLS; i++) {
        double residual =
            reference_distance(&state->residuals[i], reference_residual(model, standard, i), state->intervals);
        sum += residual;
        worst = fmax(worst, residual);
        unusual = fmax(unusual, reference_distance(&state->counts[i], standard[i], state->intervals));
    }
    const double least = 1.0 / 1024,
                 parts[PART_COUNT] = {
                     [PART_MEAN_RESIDUAL] = log2(sum / CALLS + least) - fixed(model->scales[PART_MEAN_RESIDUAL]),
                     [PART_MAX_RESIDUAL] = log2(worst + least) - fixed(model->scales[PART_MAX_RESIDUAL]),
                     [PART_MAX_COUNT] = log2(unusual + least) - fixed(model->scales[PART_MAX_COUNT]),
                 };
    double score = (parts[0] + parts[1] + parts[2]) / 4 + fmax(fmax(parts[0], parts[1]), parts[2]) / 4;
    double best = -INFINITY;
    for (unsigned i = 0; i < 3 && i < state->intervals; i++)
        best = fmax(best, state->scores[2 - i]);
    state->intervals++;
    state->scores[0] = state->scores[1];
    state->scores[1] = state->scores[2];
    state->scores[2] = score;
    return fmax(score, fmin(best, score) + log2(6));
}

#define SCORE_BOUND 0.01 /* of a power of two */

static void test_integers_score_as_floating_point_does(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        cleanup_free struct model_header *model = models_make(CALLS, HIDDEN, seed);
        struct model_state integers = {0};
        struct reference reference = {0};
        struct model_work work;
        struct random random = {seed};
        uint64_t counts[CALLS];
        for (int i = 0; i < 600; i++) {
            models_interval(model, &random, i % 50 == 49 ? 20 : 2, counts);
            counts[0]++; /* never idle */
            double expected = reference_score(model, &reference, counts);
            double got = fixed(model_score(model, &integers, counts, &work));
            if (!(fabs(got - expected) <= SCORE_BOUND))
                fail_msg("seed %lu, interval %d: %.5f, not %.5f", (unsigned long)seed, i, got, expected);
        }
    }
}

/* ---- What an alarm is ---- */

struct container {
    struct model_header *model;
    struct model_state state;
    struct model_work work;
    struct random random;
};

static struct container *container_new(void) {
    struct container *container = xcalloc(1, sizeof *container);
    container->model = models_make(CALLS, HIDDEN, 3);
    container->random.state = 7;
    /* The weights are of no use: a threshold above what its ordinary intervals score. */
    uint64_t counts[CALLS];
    int32_t most = INT32_MIN;
    for (int i = 0; i < 1000; i++) {
        models_interval(container->model, &container->random, 1, counts);
        int32_t score = model_score(container->model, &container->state, counts, &container->work);
        most = i > 50 && score > most ? score : most;
    }
    container->model->threshold = most + FIXED_ONE / 2;
    container->state = (struct model_state){0};
    return container;
}

static void container_free(struct container *container) {
    free(container->model);
    free(container);
}

/* An ordinary interval but for one call, moved by so many deviations. */
static bool alarm_when_shifted(struct container *container, double deviations) {
    uint64_t counts[CALLS];
    models_interval(container->model, &container->random, 1, counts);
    const struct model_call *call = &model_calls(container->model)[2];
    counts[2] = (uint64_t)exp2(fixed(call->mean) + deviations * FIXED_ONE / call->inverse_deviation);
    int32_t score = model_score(container->model, &container->state, counts, &container->work);
    return model_alarm(container->model, &container->state, score, false);
}

static void test_an_idle_interval_is_none(void **state) {
    (void)state;
    struct container *container = container_new();
    for (int i = 0; i < 100; i++)
        alarm_when_shifted(container, 0);
    struct model_state before = container->state;
    static const uint64_t none[CALLS];
    for (int i = 0; i < 1000; i++) {
        int32_t score = model_score(container->model, &container->state, none, &container->work);
        assert_int_equal(score, SCORE_IDLE);
        assert_false(model_alarm(container->model, &container->state, score, false));
    }
    assert_memory_equal(&container->state, &before, sizeof before);
    container_free(container);
}

static void test_a_never_seen_call_alarms_at_once(void **state) {
    (void)state;
    struct container *container = container_new();
    static const uint64_t none[CALLS];
    int32_t score = model_score(container->model, &container->state, none, &container->work);
    assert_true(model_alarm(container->model, &container->state, score, true)); /* nothing else called, at start-up */
    assert_false(alarm_when_shifted(container, 0));
    container_free(container);
}

static void test_consecutive_intervals_are_asked_for(void **state) {
    (void)state;
    struct container *container = container_new();
    container->model->consecutive = 3;
    static const struct {
        bool never_seen, alarm;
    } steps[] = {{true, false},  {true, false}, {true, true}, {true, true},
                 {false, false}, {true, false}, {true, false}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        assert_int_equal(model_alarm(container->model, &container->state, SCORE_IDLE, steps[i].never_seen),
                         steps[i].alarm);
    container_free(container);
}

static void test_one_shifted_interval_alarms(void **state) {
    (void)state;
    struct container *container = container_new();
    unsigned ordinary = 0;
    for (int i = 0; i < 500; i++)
        ordinary += alarm_when_shifted(container, 0);
    assert_true(ordinary <= 2);
    assert_true(alarm_when_shifted(container, 20));
    container_free(container);
}

/* Its scores are the same all the time, and so no news. */
static void test_a_container_that_is_different_throughout(void **state) {
    (void)state;
    struct container *container = container_new();
    unsigned alarms = 0, late = 0;
    for (int i = 0; i < 2000; i++) {
        bool alarm = alarm_when_shifted(container, 20);
        alarms += alarm;
        late += alarm && i >= 200;
    }
    if (alarms > 20 || late > 2)
        fail_msg("%u alarms, %u of them after 200 intervals", alarms, late);
    container_free(container);
}

static void check_threshold(const struct container *container) {
    int32_t threshold = model_threshold(container->model, &container->state);
    assert_true(threshold <= container->model->threshold + FIXED_ONE);
    assert_true(threshold >= container->model->threshold - FIXED_ONE / 2);
}

static void test_the_threshold_moves_within_bounds(void **state) {
    (void)state;
    struct container *container = container_new();
    container->state.intervals = 100;
    const int32_t far = container->model->threshold + 10 * FIXED_ONE;
    assert_int_equal(model_threshold(container->model, &container->state), container->model->threshold);
    for (int i = 0; i < 50; i++) {
        assert_true(model_alarm(container->model, &container->state, far, false));
        check_threshold(container);
    }
    assert_int_equal(model_threshold(container->model, &container->state), container->model->threshold + FIXED_ONE);
    for (int i = 0; i < 10000; i++) {
        model_alarm(container->model, &container->state, container->model->threshold - FIXED_ONE, false);
        check_threshold(container);
    }
    assert_int_equal(model_threshold(container->model, &container->state), container->model->threshold - FIXED_ONE / 2);
    container->state.slack = INT32_MIN;
    check_threshold(container);
    container->state.slack = INT32_MAX;
    check_threshold(container);
    container_free(container);
}

/* ---- Hostile input ---- */

static void fill(void *bytes, size_t size, struct random *random) {
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)(random_draw(random) >> 13);
}

/* The largest and smallest of everything: where arithmetic would overflow, and sanitizers see it. */
static void make_extreme(struct model_header *model, struct random *random) {
    static const int32_t extremes[] = {INT32_MAX, INT32_MIN, -1, 0};
    struct model_call *calls = (struct model_call *)model_calls(model);
    int32_t *weights = (int32_t *)model_at(model, model->weights);
    for (uint32_t i = 0; i < model->calls.count; i++) {
        calls[i].mean = random_draw(random) & 1 ? 64 * FIXED_ONE : 0;
        calls[i].inverse_deviation = random_draw(random) & 1 ? INT32_MAX : 1;
    }
    int32_t same = extremes[random_draw(random) % 4];
    for (uint32_t i = 0; i < model->weights.count; i++)
        weights[i] = random_draw(random) & 1 ? same : extremes[random_draw(random) % 4];
    for (int i = 0; i < PART_COUNT; i++)
        model->scales[i] = random_draw(random) & 1 ? 64 * FIXED_ONE : -64 * FIXED_ONE;
    model->threshold = random_draw(random) & 1 ? 256 * FIXED_ONE : -256 * FIXED_ONE;
}

static void scribble(struct model_state *state, struct random *random) {
    static const int32_t extremes[] = {INT32_MAX, INT32_MIN, INT32_MIN + 1, -FIXED_ONE, -1, 0};
    fill(state, sizeof *state, random);
    if (random_draw(random) & 1)
        for (size_t i = 0; i < sizeof *state / sizeof(int32_t); i++)
            ((int32_t *)state)[i] = extremes[random_draw(random) % 6];
}

/* Guards around the state and the work show writes outside; reads are for sanitizers to see. */
static void test_a_scribbled_state_does_no_harm(void **state) {
    (void)state;
    struct {
        uint64_t before;
        struct model_state state;
        uint64_t between;
        struct model_work work;
        uint64_t after;
    } *memory = xcalloc(1, sizeof *memory);
    struct random random = {5};
    for (int i = 0; i < 3000; i++) {
        uint32_t calls = i % 20 == 0 ? MODEL_MAX_CALLS : CALLS;
        cleanup_free struct model_header *model =
            models_make(calls, i % 20 == 0 ? MODEL_MAX_HIDDEN : HIDDEN, (uint64_t)i);
        uint64_t counts[MODEL_MAX_CALLS];
        if (i % 3 == 0)
            make_extreme(model, &random);
        assert_null(model_validate(model, model->size));
        scribble(&memory->state, &random);
        for (int interval = 0; interval < 4; interval++) {
            for (uint32_t call = 0; call < calls; call++)
                counts[call] =
                    random_draw(&random) & 1 ? UINT64_MAX : random_draw(&random) >> (random_draw(&random) % 64);
            int32_t score = model_score(model, &memory->state, counts, &memory->work);
            assert_true(score > -400 * FIXED_ONE && score < 400 * FIXED_ONE);
            model_alarm(model, &memory->state, score, interval & 1);
            assert_true(abs(model_threshold(model, &memory->state) - model->threshold) <= FIXED_ONE);
        }
    }
    assert_int_equal(memory->before | memory->between | memory->after, 0);
    free(memory);
}

static void test_a_model_cut_off_anywhere_is_refused(void **state) {
    (void)state;
    cleanup_free struct model_header *model = models_make(CALLS, HIDDEN, 1);
    assert_null(model_validate(model, model->size));
    for (size_t size = 0; size < model->size; size++) {
        cleanup_free char *cut = xmalloc(size + 1); /* of its own, so that sanitizers see reads behind it */
        memcpy(cut, model, size);
        assert_non_null(model_validate(cut, size));
        if (size >= sizeof *model) { /* nor where the header agrees */
            ((struct model_header *)cut)->size = (uint32_t)size;
            if (size < model->text.offset + model->text.count)
                assert_non_null(model_validate(cut, size));
        }
    }
}

#define FIELD(field, value) \
    { offsetof(struct model_header, field), sizeof(((struct model_header *)0)->field), value }

static void test_each_field_is_checked(void **state) {
    (void)state;
    static const struct {
        size_t offset, size;
        uint64_t value;
    } wrong[] = {
        FIELD(magic, 0),
        FIELD(version, 0),
        FIELD(version, MODEL_VERSION + 1),
        FIELD(size, 0),
        FIELD(size, UINT32_MAX),
        FIELD(interval_ms, 9),
        FIELD(interval_ms, 3600001),
        FIELD(consecutive, 0),
        FIELD(consecutive, 1001),
        FIELD(hidden, 0),
        FIELD(hidden, HIDDEN + 1),
        FIELD(hidden, MODEL_MAX_HIDDEN + 1),
        FIELD(hidden, UINT32_MAX),
        FIELD(threshold, 257 * FIXED_ONE),
        FIELD(threshold, (uint32_t)(-257 * FIXED_ONE)),
        FIELD(scales[0], 65 * FIXED_ONE),
        FIELD(scales[1], (uint32_t)(-65 * FIXED_ONE)),
        FIELD(scales[2], INT32_MAX),
        FIELD(rate_ppm, 1000001),
        FIELD(calls.offset, 0),
        FIELD(calls.offset, sizeof(struct model_header) + 4),
        FIELD(calls.offset, 0xfffffff8),
        FIELD(calls.count, 0),
        FIELD(calls.count, CALLS - 1),
        FIELD(calls.count, CALLS + 1),
        FIELD(calls.count, MODEL_MAX_CALLS + 1),
        FIELD(calls.count, UINT32_MAX),
        FIELD(weights.offset, 8),
        FIELD(weights.offset, 0xfffffff8),
        FIELD(weights.count, 0),
        FIELD(weights.count, UINT32_MAX),
        FIELD(sample.offset, 8),
        FIELD(sample.offset, 0xfffffff8),
        FIELD(sample.count, CALLS + 1),
        FIELD(sample.count, UINT32_MAX),
        FIELD(text.offset, 8),
        FIELD(text.offset, 0xfffffff8),
        FIELD(text.count, 0),
        FIELD(text.count, 3), /* inside the first name */
        FIELD(text.count, UINT32_MAX),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cleanup_free struct model_header *model = models_make(CALLS, HIDDEN, 1);
        size_t size = model->size;
        memcpy((char *)model + wrong[i].offset, &wrong[i].value, wrong[i].size);
        if (model_validate(model, size) == NULL)
            fail_msg("accepted: %lu at offset %zu of the header", (unsigned long)wrong[i].value, wrong[i].offset);
    }
}

static void test_each_call_is_checked(void **state) {
    (void)state;
    const struct model_call good = {.name = 0, .mean = FIXED_ONE, .inverse_deviation = FIXED_ONE};
    struct model_call wrong[] = {good, good, good, good, good};
    wrong[0].name = CALLS * MODELS_NAME_BYTES;
    wrong[1].mean = -1;
    wrong[2].mean = 65 * FIXED_ONE;
    wrong[3].inverse_deviation = 0;
    wrong[4].inverse_deviation = -1;
    cleanup_free struct model_header *model = models_make(CALLS, HIDDEN, 1);
    struct model_call *last = (struct model_call *)model_calls(model) + CALLS - 1;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        *last = wrong[i];
        assert_non_null(model_validate(model, model->size));
    }
    *last = good;
    assert_null(model_validate(model, model->size));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_is_log2),
        cmocka_unit_test(test_log_of_fractions),
        cmocka_unit_test(test_integers_score_as_floating_point_does),
        cmocka_unit_test(test_an_idle_interval_is_none),
        cmocka_unit_test(test_a_never_seen_call_alarms_at_once),
        cmocka_unit_test(test_consecutive_intervals_are_asked_for),
        cmocka_unit_test(test_one_shifted_interval_alarms),
        cmocka_unit_test(test_a_container_that_is_different_throughout),
        cmocka_unit_test(test_the_threshold_moves_within_bounds),
        cmocka_unit_test(test_a_scribbled_state_does_no_harm),
        cmocka_unit_test(test_a_model_cut_off_anywhere_is_refused),
        cmocka_unit_test(test_each_field_is_checked),
        cmocka_unit_test(test_each_call_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
