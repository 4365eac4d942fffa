/* The digest and the calls of a signature, as the shim makes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/sha.h>
#include <string.h>

#include "runtime/signature.h"

enum {
    CALLS = 7
};

static const char *name_of(const void *context, unsigned call) {
    return ((const char *const *)context)[call];
}

static struct signature make(const char *const *names, const uint64_t *counts, const uint8_t *seen, unsigned top) {
    struct signature signature;
    signature_make(
        &signature,
        &(struct signature_input){.count = CALLS, .name = name_of, .context = names, .counts = counts, .seen = seen},
        top);
    return signature;
}

static const char *const names[CALLS] = {"read", "execve", "write", "close", "openat", "pipe", "unused"};
static const uint64_t counts[CALLS] = {50, 1, 70, 50, 3, 2, 0};
static const uint8_t seen[CALLS] = {1, 0, 1, 1, 1, 0, 0};

static void test_top_calls_in_descending_order(void **state) {
    (void)state;
    struct signature signature = make(names, counts, seen, 5);
    uint8_t expected[SHA256_BYTES];
    static const char text[] = "write\nclose\nread\nopenat\npipe\n"; /* equal counts: by name */
    SHA256((const unsigned char *)text, strlen(text), expected);
    assert_int_equal(signature.top_count, 5);
    assert_memory_equal(signature.digest, expected, sizeof expected);
}

static void test_the_order_of_the_input_does_not_matter(void **state) {
    (void)state;
    const char *other_names[CALLS];
    uint64_t other_counts[CALLS];
    uint8_t other_seen[CALLS];
    for (unsigned i = 0; i < CALLS; i++) {
        unsigned from = (i * 3 + 2) % CALLS;
        other_names[i] = names[from];
        other_counts[i] = counts[from];
        other_seen[i] = seen[from];
    }
    for (unsigned top = 1; top <= SIGNATURE_TOP_MOST; top++) {
        struct signature signature = make(names, counts, seen, top);
        struct signature other = make(other_names, other_counts, other_seen, top);
        assert_memory_equal(signature.digest, other.digest, SHA256_BYTES);
    }
}

static void test_calls_never_seen(void **state) {
    (void)state;
    struct signature signature = make(names, counts, seen, 5);
    assert_int_equal(signature.never_seen_count, 2);
    assert_int_equal(signature.never_seen_total, 2);
    assert_string_equal(names[signature.never_seen[0]], "pipe");
    assert_string_equal(names[signature.never_seen[1]], "execve");
}

static void test_calls_that_did_not_occur_are_left_out(void **state) {
    (void)state;
    static const uint64_t few[CALLS] = {0, 0, 4};
    assert_int_equal(make(names, few, seen, 5).top_count, 1);
    static const uint64_t none[CALLS] = {0};
    struct signature signature = make(names, none, seen, 5);
    assert_int_equal(signature.top_count, 0);
    assert_int_equal(signature.never_seen_total, 0);
}

static const char *numbered(const void *context, unsigned call) {
    return (const char *)context + 4 * call;
}

static void test_more_never_seen_than_room(void **state) {
    (void)state;
    enum {
        MANY = 100
    };
    char text[MANY][4];
    uint64_t many[MANY];
    uint8_t never[MANY] = {0};
    for (unsigned i = 0; i < MANY; i++) {
        text[i][0] = 'c';
        text[i][1] = (char)('0' + i / 10);
        text[i][2] = (char)('0' + i % 10);
        text[i][3] = '\0';
        many[i] = i + 1;
    }
    struct signature signature;
    signature_make(
        &signature,
        &(struct signature_input){.count = MANY, .name = numbered, .context = text, .counts = many, .seen = never}, 8);
    assert_int_equal(signature.never_seen_count, SIGNATURE_NEVER_SEEN_MOST);
    assert_int_equal(signature.never_seen_total, MANY);
    for (unsigned i = 0; i < SIGNATURE_NEVER_SEEN_MOST; i++)
        assert_int_equal(signature.never_seen[i], MANY - 1 - i);
}

/* In deviations above the mean, and never below a least one. */
static void test_a_rise_is_measured_in_deviations(void **state) {
    (void)state;
    const int32_t one = 1 << 16;
    assert_int_equal(signature_rise(5 * one, 5 * one, one), 0);
    assert_int_equal(signature_rise(5 * one + one, 5 * one, one), 0);
    assert_int_equal(signature_rise(5 * one + 3 * one / 2, 5 * one, one), 0);
    assert_int_equal(signature_rise(5 * one + 13 * one / 2, 5 * one, one), 50);
    assert_int_equal(signature_rise(17 * one, 5 * one, one), RISE_FULL);
    assert_int_equal(signature_rise(0, 30 * one, INT32_MAX), 0);
    assert_int_equal(signature_rise(64 * one, 0, INT32_MAX), RISE_FULL);
    assert_int_equal(signature_rise(one, 0, INT32_MAX), signature_rise(one, 0, 4 * one)); /* one call, never seen */
    assert_true(signature_rise(one, 0, INT32_MAX) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_top_calls_in_descending_order),
        cmocka_unit_test(test_the_order_of_the_input_does_not_matter),
        cmocka_unit_test(test_calls_never_seen),
        cmocka_unit_test(test_calls_that_did_not_occur_are_left_out),
        cmocka_unit_test(test_more_never_seen_than_room),
        cmocka_unit_test(test_a_rise_is_measured_in_deviations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
