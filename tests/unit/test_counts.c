/* The page of counts: what is accepted as one, and that a row is read whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/counts.h"

static struct counts_page *new_page(void) {
    struct counts_page *page = aligned_alloc(64, (sizeof *page + 63) / 64 * 64);
    assert_non_null(page);
    memset(page, 0, sizeof *page);
    counts_prepare(page, COUNTS_DEFAULT_MS * UINT64_C(1000000));
    return page;
}

static void a_new_page_is_one(void **state) {
    struct counts_page *page = new_page();
    (void)state;
    assert_null(counts_problem(page, sizeof *page));
    assert_int_equal(page->current, 1);
    free(page);
}

/* Each field of the head that another build or an attacker might have set otherwise. */
static void other_heads_are_refused(void **state) {
    struct counts_page *page = new_page(), good = *page;
    (void)state;
    assert_non_null(counts_problem(page, sizeof *page - 8));
    assert_non_null(counts_problem(page, sizeof *page + 8));
#define REFUSED(field, value)                                      \
    do {                                                           \
        memcpy(page, &good, offsetof(struct counts_page, totals)); \
        page->field = (value);                                     \
        assert_non_null(counts_problem(page, sizeof *page));       \
    } while (0)
    REFUSED(magic[7], 'x');
    REFUSED(version, COUNTS_VERSION + 1);
    REFUSED(entries, COUNTS_ENTRIES - 1);
    REFUSED(fingerprint, good.fingerprint ^ 1);
    REFUSED(size, sizeof *page + 1);
    REFUSED(interval, 0);
    REFUSED(interval, COUNTS_LEAST_MS * UINT64_C(1000000) - 1);
    REFUSED(interval, COUNTS_MOST_MS * UINT64_C(1000000) + 1);
    free(page);
}

static void a_row_is_what_was_written(void **state) {
    struct counts_page *page = new_page();
    uint64_t totals[COUNTS_ENTRIES], next;
    (void)state;
    assert_false(counts_read_row(page, 1, &next, totals));
    for (unsigned i = 0; i < COUNTS_ENTRIES; i++)
        page->totals[i] = i * UINT64_C(1000000007);
    counts_write_row(page, 7, 12);
    assert_true(counts_read_row(page, 7, &next, totals));
    assert_int_equal(next, 12);
    assert_memory_equal(totals, page->totals, sizeof totals);
    assert_false(counts_read_row(page, 7 + COUNTS_ROWS, &next, totals));
    counts_write_row(page, 7 + COUNTS_ROWS, 8 + COUNTS_ROWS);
    assert_false(counts_read_row(page, 7, &next, totals));
    assert_false(counts_read_row(page, 0, &next, totals));
    free(page);
}

static void a_torn_row_is_not_read(void **state) {
    struct counts_page *page = new_page();
    uint64_t totals[COUNTS_ENTRIES], next;
    (void)state;
    for (unsigned i = 0; i < COUNTS_ENTRIES; i++)
        page->totals[i] = i;
    counts_write_row(page, 3, 4);
    struct counts_row *row = &page->rows[3];
    row->totals[COUNTS_ENTRIES / 2]++;
    assert_false(counts_read_row(page, 3, &next, totals));
    row->totals[COUNTS_ENTRIES / 2]--;
    assert_true(counts_read_row(page, 3, &next, totals));
    row->next++;
    assert_false(counts_read_row(page, 3, &next, totals));
    row->next--;
    row->number = 3 + COUNTS_ROWS;
    assert_false(counts_read_row(page, 3, &next, totals));
    assert_false(counts_read_row(page, 3 + COUNTS_ROWS, &next, totals));
    free(page);
}

#define ROUNDS 20000

/* Two slow writers take each other's rows; all totals of a row are equal, or it was torn. */
static void *write_rows(void *context) {
    struct counts_page *page = context;
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        for (unsigned k = 0; k < COUNTS_ENTRIES; k++)
            __atomic_store_n(&page->totals[k], i, __ATOMIC_RELAXED);
        counts_write_row(page, 5 + COUNTS_ROWS * (i % 2), 10000);
    }
    return NULL;
}

static void readers_and_writers_race(void **state) {
    struct counts_page *page = new_page();
    uint64_t totals[COUNTS_ENTRIES], next;
    pthread_t writer;
    (void)state;
    page->rows[0].number = 1; /* nothing of other rows matters */
    assert_int_equal(pthread_create(&writer, NULL, write_rows, page), 0);
    for (unsigned i = 0; i < 10 * ROUNDS; i++) {
        if (!counts_read_row(page, 5 + COUNTS_ROWS * (i % 2), &next, totals))
            continue;
        for (unsigned k = 1; k < COUNTS_ENTRIES; k++)
            if (totals[k] != totals[0])
                fail_msg("entry %u is %lu, entry 0 is %lu", k, totals[k], totals[0]);
    }
    pthread_join(writer, NULL);
    assert_true(counts_read_row(page, 5 + COUNTS_ROWS * (ROUNDS % 2), &next, totals));
    free(page);
}

static void names_follow_the_table(void **state) {
    (void)state;
    assert_string_equal(counts_name(API_open), "open");
    assert_string_equal(counts_name(COUNTS_SWITCH), "switch");
    assert_string_equal(counts_name(COUNTS_ENTRIES), "");
}

static void the_path_tells_the_build(void **state) {
    char path[COUNTS_PATH_BYTES];
    (void)state;
    counts_default_path(path);
    assert_int_equal(strlen(path), strlen("/dev/shm/pinion.counts.0123456789abcdef"));
    assert_memory_equal(path, "/dev/shm/pinion.counts.", 23);
    assert_int_equal(strspn(path + 23, "0123456789abcdef"), 16);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_page_is_one),         cmocka_unit_test(other_heads_are_refused),
        cmocka_unit_test(a_row_is_what_was_written), cmocka_unit_test(a_torn_row_is_not_read),
        cmocka_unit_test(readers_and_writers_race),  cmocka_unit_test(names_follow_the_table),
        cmocka_unit_test(the_path_tells_the_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
