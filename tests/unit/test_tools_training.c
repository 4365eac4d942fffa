/* Training: the same data give the same model, which the shim accepts; merging forgets no call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/judge.h"
#include "tools/random.h"
#include "tools/training.h"

enum {
    CALLS = 6,
    ROWS = 600
};

/* A server under a load that wanders; `times` its load. */
static void add_rows(struct dataset *data, const char *const *names, size_t rows, double times, uint64_t seed) {
    char *calls[CALLS];
    for (size_t i = 0; i < CALLS; i++)
        calls[i] = (char *)names[i];
    uint64_t *counts = xcalloc(rows * CALLS, sizeof *counts);
    struct random random = {seed};
    for (size_t row = 0; row < rows; row++) {
        double load = times * (double)(20 + random_draw(&random) % 30);
        for (size_t i = 0; i < CALLS - 1; i++)
            counts[row * CALLS + i] = (uint64_t)(load * (double)(i + 1)) + random_draw(&random) % 4;
    }
    struct recording recording = {.path = (char *)"recording",
                                  .calls = calls,
                                  .call_count = CALLS,
                                  .counts = counts,
                                  .row_count = rows,
                                  .interval_ms = 1000};
    dataset_add(data, &recording, 0, rows, data->group_count);
    free(counts);
}

static const char *const server[CALLS] = {"read", "write", "close", "accept", "poll", "execve"};

/* Three containers, each under a load of its own. */
static struct dataset ordinary(void) {
    static const double loads[] = {1, 0.6, 1.6};
    struct dataset data = {0};
    for (uint64_t group = 0; group < 3; group++)
        add_rows(&data, server, ROWS / 3, loads[group], group + 1);
    return data;
}

static struct model_header *train(const struct dataset *data, uint32_t seed) {
    struct training_plan plan = training_defaults;
    plan.seed = seed;
    plan.epochs = 10;
    struct model_header *model = model_train(data, &plan);
    const char *mistake = model_validate(model, model->size);
    if (mistake)
        fail_msg("%s", mistake);
    return model;
}

static bool knows(const struct model_header *model, const char *name) {
    for (uint32_t i = 0; i < model->calls.count; i++)
        if (strcmp(model_text(model, model_calls(model)[i].name), name) == 0)
            return true;
    return false;
}

static void test_the_same_data_and_seed_give_the_same_model(void **state) {
    (void)state;
    struct dataset data = ordinary();
    cleanup_free struct model_header *one = train(&data, 1);
    cleanup_free struct model_header *same = train(&data, 1);
    cleanup_free struct model_header *other = train(&data, 2);
    assert_int_equal(one->size, same->size);
    assert_memory_equal(one, same, one->size);
    assert_memory_not_equal(model_at(one, one->weights), model_at(other, other->weights),
                            one->weights.count * sizeof(int32_t));
    dataset_free(&data);
}

static void test_only_calls_that_occurred_are_known(void **state) {
    (void)state;
    struct dataset data = ordinary();
    cleanup_free struct model_header *model = train(&data, 1);
    assert_int_equal(model->calls.count, CALLS - 1);
    assert_true(knows(model, "accept"));
    assert_false(knows(model, "execve"));
    assert_int_equal(model->trained, ROWS);
    dataset_free(&data);
}

/* Alarms among rows of a server whose call `changed` is made so many times as often as usual. */
static unsigned alarms(const struct model_header *model, double times, size_t changed, double by) {
    struct dataset data = {0};
    struct judge *judge = xcalloc(1, sizeof *judge);
    add_rows(&data, server, 100, times, 99);
    judge_begin(judge, model, data.calls, data.call_count);
    unsigned count = 0;
    for (size_t row = 0; row < data.row_count; row++) {
        if (row >= 50)
            data.counts[row * CALLS + changed] = (uint64_t)((double)data.counts[row * CALLS + changed] * by + (by > 1));
        count += judge_row(judge, dataset_row(&data, row)).alarm;
    }
    free(judge);
    dataset_free(&data);
    return count;
}

static void test_what_raises_an_alarm(void **state) {
    (void)state;
    struct dataset data = ordinary();
    cleanup_free struct model_header *model = train(&data, 1);
    assert_true(alarms(model, 1, 0, 1) <= 2);     /* nothing changed */
    assert_true(alarms(model, 0.8, 0, 1) <= 2);   /* a lower load, */
    assert_true(alarms(model, 1.3, 0, 1) <= 2);   /* a higher one */
    assert_true(alarms(model, 1, 1, 8) > 2);      /* one known call out of proportion */
    assert_true(alarms(model, 1, 2, 0) > 2);      /* one that is no longer made */
    assert_int_equal(alarms(model, 1, 5, 2), 50); /* one that never was */
    dataset_free(&data);
}

static void test_merging_forgets_no_call(void **state) {
    (void)state;
    static const char *const renewed[CALLS] = {"read", "write", "close", "accept4", "epoll_wait", "execve"};
    struct dataset data = ordinary();
    add_rows(&data, server, 5000, 1, 4);
    data.counts[4322 * CALLS + 5] = 1; /* once in all that time: in no interval of the sample, if nobody takes care */
    cleanup_free struct model_header *old = train(&data, 1);
    assert_true(old->sample.count / old->calls.count < data.row_count);
    dataset_free(&data);
    struct dataset more = {0};
    add_rows(&more, renewed, ROWS, 1, 5);
    dataset_add_sample(&more, old);
    cleanup_free struct model_header *merged = train(&more, 1);
    for (size_t i = 0; i < CALLS; i++) {
        if (!knows(merged, server[i]))
            fail_msg("%s is forgotten", server[i]);
        assert_true(i == 5 || knows(merged, renewed[i]));
    }
    assert_int_equal(merged->calls.count, CALLS + 2);
    dataset_free(&more);
}

static void test_the_largest_counts_survive(void **state) {
    (void)state;
    struct dataset data = ordinary();
    for (size_t row = 0; row < data.row_count; row++)
        data.counts[row * CALLS] = UINT64_MAX;
    cleanup_free struct model_header *model = train(&data, 1);
    struct dataset again = {0};
    dataset_add_sample(&again, model);
    assert_int_equal(again.row_count, ROWS);
    assert_true(dataset_row(&again, 0)[0] > UINT64_MAX / 1024 * 1023);
    dataset_free(&again);
    dataset_free(&data);
}

static void test_groups_may_be_idle(void **state) {
    (void)state;
    struct dataset data = ordinary();
    for (size_t row = ROWS / 3; row < data.row_count; row++)
        memset(data.counts + row * CALLS, 0, CALLS * sizeof *data.counts);
    assert_int_equal(dataset_busy_rows(&data), ROWS / 3);
    free(train(&data, 1));
    dataset_free(&data);
}

/* Whoever records a server from its start to its end, twice, must not get a threshold as high as starts are odd. */
static void test_starts_and_ends_set_no_threshold(void **state) {
    (void)state;
    struct dataset plain = {0}, started = {0};
    for (uint64_t group = 0; group < 3; group++) {
        add_rows(&plain, server, ROWS / 3, 1, group + 1);
        size_t first = started.row_count;
        add_rows(&started, server, ROWS / 3, 1, group + 1);
        for (size_t i = 0; i < 3; i++) /* opens much and accepts nobody */
            started.counts[(first + i) * started.call_count] = 1000000;
        started.counts[(started.row_count - 1) * started.call_count + 2] = 1000000;
        dataset_mark_edges(&started, first);
    }
    cleanup_free struct model_header *usual = train(&plain, 1);
    cleanup_free struct model_header *model = train(&started, 1);
    assert_true(model->threshold < usual->threshold + 2 * FIXED_ONE);
    dataset_free(&plain);
    dataset_free(&started);
}

static void test_thresholds(void **state) {
    (void)state;
    double scores[1000];
    for (int i = 0; i < 1000; i++)
        scores[i] = i;
    assert_true(threshold_for(scores, 1000, 0.5) >= 499 && threshold_for(scores, 1000, 0.5) <= 501);
    double last = threshold_for(scores, 1000, 0.5);
    for (int halved = 1; halved < 20; halved++) { /* rarer alarms, a higher threshold, beyond what was seen as well */
        double threshold = threshold_for(scores, 1000, ldexp(0.5, -halved));
        assert_true(threshold >= last);
        last = threshold;
    }
    assert_true(last > 999);
    double few[100]; /* of the same: less is known, so the threshold is no lower */
    for (int i = 0; i < 100; i++)
        few[i] = scores[10 * i];
    assert_true(threshold_for(few, 100, 1e-4) > threshold_for(scores, 1000, 1e-4));
    assert_int_equal(threshold_fixed(1e300), 200 * FIXED_ONE);
    assert_int_equal(threshold_fixed(-1e300), -200 * FIXED_ONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_data_and_seed_give_the_same_model),
        cmocka_unit_test(test_only_calls_that_occurred_are_known),
        cmocka_unit_test(test_what_raises_an_alarm),
        cmocka_unit_test(test_merging_forgets_no_call),
        cmocka_unit_test(test_the_largest_counts_survive),
        cmocka_unit_test(test_groups_may_be_idle),
        cmocka_unit_test(test_starts_and_ends_set_no_threshold),
        cmocka_unit_test(test_thresholds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
