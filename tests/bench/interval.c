/* What the end of an interval costs the thread that closes it, a model of 160 calls scored: the shim's own code on a page
 * and a model that are in no cache, as after the 100 ms since the last one. Prints two medians.
 */
#include <stdio.h>
#include <string.h>

#include "runtime/counts.h"
#include "runtime/model.h"
#include "tests/bench/bench.h"

#define ROUNDS 401
#define CALLS 160u
#define HIDDEN 8u
#define CACHES (32u << 20)

static struct counts_page page;
static struct model_work work;
static union {
    struct model_header head;
    char bytes[1 << 16];
} model;

static struct model_section section(uint32_t count, size_t element) {
    struct model_section made = {model.head.size, count};
    model.head.size += (uint32_t)((count * element + 7) / 8 * 8);
    return made;
}

/* Every weight and every count takes part; what comes out does not matter. */
static void make_model(void) {
    struct model_header *head = &model.head;
    memcpy(head->magic, MODEL_MAGIC, sizeof head->magic);
    head->version = MODEL_VERSION;
    head->size = sizeof *head;
    head->interval_ms = 100;
    head->consecutive = 1;
    head->hidden = HIDDEN;
    head->calls = section(CALLS, sizeof(struct model_call));
    head->weights = section((uint32_t)model_weight_count(CALLS, HIDDEN), sizeof(int32_t));
    head->sample = section(0, sizeof(uint16_t));
    head->text = section(8, 1);
    struct model_call *calls = (struct model_call *)(model.bytes + head->calls.offset);
    for (uint32_t i = 0; i < CALLS; i++)
        calls[i] = (struct model_call){.entry = (uint16_t)i, .mean = FIXED_ONE, .inverse_deviation = FIXED_ONE};
    int32_t *weights = (int32_t *)(model.bytes + head->weights.offset);
    for (uint32_t i = 0; i < head->weights.count; i++)
        weights[i] = (int32_t)(i * 2654435761u) >> 8;
}

static void forget(void) {
    static char caches[CACHES];
    for (size_t i = 0; i < sizeof caches; i += 64)
        caches[i]++;
}

static double score(const uint64_t *counts) {
    int64_t start = bench_now();
    int32_t result = model_score(&model.head, &page.scoring, counts, &work);
    model_alarm(&model.head, &page.scoring, result, false);
    return (double)(bench_now() - start) / 1000;
}

/* As preload/interval.c does it: this interval's row, the one before, the growth, the score. */
static double end(uint64_t number) {
    static uint64_t counts[COUNTS_ENTRIES];
    uint64_t next;
    int64_t start = bench_now();
    counts_write_row(&page, number, number + 1);
    counts_read_row(&page, number - 1, &next, counts);
    for (unsigned i = 0; i < COUNTS_ENTRIES; i++)
        counts[i] = page.rows[number % COUNTS_ROWS].totals[i] - counts[i];
    score(counts);
    return (double)(bench_now() - start) / 1000;
}

int main(void) {
    static double scores[ROUNDS], ends[ROUNDS];
    static uint64_t counts[CALLS];
    make_model();
    counts_prepare(&page, UINT64_C(100000000));
    if (model_validate(&model, model.head.size) != NULL)
        return 1;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < COUNTS_ENTRIES; i++)
            page.totals[i] += i * round % 97;
        for (unsigned i = 0; i < CALLS; i++)
            counts[i] = i * round % 97;
        forget();
        scores[round] = score(counts);
        forget();
        ends[round] = end(round + 1);
    }
    printf("score_us %.2f\ninterval_us %.2f\n", bench_median(scores, ROUNDS), bench_median(ends, ROUNDS));
    return 0;
}
