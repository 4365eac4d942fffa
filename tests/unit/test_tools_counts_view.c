/* Following the ring of closed intervals: each is told once, those without calls as well, and what could not be read is
 * neither lost from the sums nor passed over in silence.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/counts_view.h"

#define SECOND UINT64_C(1000000000)

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

/* One on which interval 1 has just begun, and no other will for an hour. */
static struct counts_page *new_page(void) {
    struct counts_page *page = aligned_alloc(64, (sizeof *page + 63) / 64 * 64);
    assert_non_null(page);
    memset(page, 0, sizeof *page);
    counts_prepare(page, 3600 * SECOND);
    page->origin = now();
    page->origin_unix = 1000 * SECOND;
    return page;
}

/* As if hours had passed since: no number that the page names lies in the future. */
static void begin(struct counts_ring *ring, const struct counts_page *page) {
    counts_ring_begin(ring, page);
    ring->origin = 0;
    ring->interval = 1;
}

static void close_interval(struct counts_page *page, uint64_t number, uint64_t next) {
    page->current = next;
    counts_write_row(page, number, next);
    page->published = number;
}

static void expect_interval(struct counts_ring *ring, uint64_t first, uint64_t number, uint64_t idle, uint64_t opens) {
    struct closed_interval closed;
    assert_true(counts_ring_next(ring, &closed));
    assert_int_equal(closed.first, first);
    assert_int_equal(closed.number, number);
    assert_int_equal(closed.idle, idle);
    assert_int_equal(closed.counts[API_open], opens);
    assert_int_equal(closed.counts[API_read], 0);
}

static void intervals_are_told_once(void **state) {
    struct counts_page *page = new_page();
    struct counts_ring ring;
    struct closed_interval closed;
    (void)state;
    begin(&ring, page);
    assert_false(counts_ring_next(&ring, &closed));
    page->totals[API_open] = 3;
    assert_false(counts_ring_next(&ring, &closed));
    close_interval(page, 1, 2);
    expect_interval(&ring, 1, 1, 0, 3);
    assert_false(counts_ring_next(&ring, &closed));
    page->totals[API_open] = 5;
    close_interval(page, 2, 9);
    close_interval(page, 9, 10);
    expect_interval(&ring, 2, 2, 6, 2);
    expect_interval(&ring, 9, 9, 0, 0);
    assert_false(counts_ring_next(&ring, &closed));
    page->totals[API_open] = 6;
    counts_ring_rest(&ring, &closed);
    assert_int_equal(closed.number, 10);
    assert_int_equal(closed.counts[API_open], 1);
    free(page);
}

/* The process that closed interval 2 died before its row was whole. */
static void an_unfinished_row_is_told(void **state) {
    struct counts_page *page = new_page();
    struct counts_ring ring;
    struct closed_interval closed;
    (void)state;
    begin(&ring, page);
    close_interval(page, 1, 2);
    expect_interval(&ring, 1, 1, 0, 0);
    page->totals[API_open] = 4;
    page->current = 3;
    for (unsigned i = 0; i < 20; i++) /* it may still come */
        assert_false(counts_ring_next(&ring, &closed));
    page->totals[API_open] = 7;
    close_interval(page, 3, 5);
    expect_interval(&ring, 2, 3, 1, 7);
    free(page);
}

static void overwritten_rows_are_told(void **state) {
    struct counts_page *page = new_page();
    struct counts_ring ring;
    uint64_t sum = 0, told = 0, missed = 0;
    struct closed_interval closed;
    (void)state;
    begin(&ring, page);
    for (uint64_t i = 1; i <= 2 * COUNTS_ROWS; i++) {
        page->totals[API_open] += i;
        sum += i;
        close_interval(page, i, i + 1);
    }
    while (counts_ring_next(&ring, &closed)) {
        told += closed.counts[API_open];
        missed += closed.number - closed.first;
    }
    assert_int_equal(told, sum);
    assert_int_equal(missed, COUNTS_ROWS);
    assert_int_equal(closed.number, 2 * COUNTS_ROWS);
    free(page);
}

/* A page on which nobody called anything for days: only what follows is told. */
static void a_recording_begins_now(void **state) {
    struct counts_page *page = new_page();
    struct counts_ring ring;
    struct closed_interval closed;
    (void)state;
    page->totals[API_open] = 100;
    close_interval(page, 1, 2);
    page->interval = SECOND / 10;
    page->origin -= 2 * SECOND;
    counts_ring_begin(&ring, page);
    uint64_t present = ring.since;
    assert_true(present > 20);
    page->totals[API_open] = 102;
    close_interval(page, 2, present);
    expect_interval(&ring, present - 1, present - 1, 0, 2);
    page->totals[API_open] = 103;
    counts_ring_rest(&ring, &closed);
    assert_int_equal(closed.first, present);
    assert_int_equal(closed.counts[API_open], 1);
    free(page);
}

/* Whoever may write to the page must not make a recording endless. */
static void the_future_is_not_told(void **state) {
    struct counts_page *page = new_page();
    struct counts_ring ring;
    struct closed_interval closed;
    (void)state;
    counts_ring_begin(&ring, page);
    close_interval(page, 1, UINT64_MAX);
    for (unsigned i = 0; i < 20; i++)
        assert_false(counts_ring_next(&ring, &closed));
    counts_ring_rest(&ring, &closed);
    assert_int_equal(closed.idle, 0);
    counts_ring_begin(&ring, page);
    assert_int_equal(ring.expected, 1);
    free(page);
}

static void intervals_have_a_time(void **state) {
    struct counts_page *page = new_page();
    struct counts_ring ring;
    (void)state;
    counts_ring_begin(&ring, page);
    page->interval = 0;
    assert_true(counts_ring_start(&ring, 1) == 1000.0);
    assert_true(counts_ring_start(&ring, 3) == 8200.0);
    free(page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_are_told_once),   cmocka_unit_test(an_unfinished_row_is_told),
        cmocka_unit_test(overwritten_rows_are_told), cmocka_unit_test(a_recording_begins_now),
        cmocka_unit_test(the_future_is_not_told),    cmocka_unit_test(intervals_have_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
