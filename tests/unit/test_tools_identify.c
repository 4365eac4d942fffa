/* Attacks are named, told to be ambiguous, or said to be unknown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "runtime/model.h"
#include "runtime/util.h"
#include "tools/identify.h"

enum {
    CALLS = 8
};

/* A service that reads and writes; what else it may call was never seen, but "close". */
static const char *const names[CALLS] = {"read", "write", "close", "execve", "pipe", "socket", "mprotect", "connect"};
#define FIXED(number) ((int32_t)((number)*FIXED_ONE))
static const int32_t mean[CALLS] = {FIXED(5.8), FIXED(5.7), FIXED(0.7)};
static const int32_t inverse_deviation[CALLS] = {FIXED(2.3), FIXED(2.3), FIXED(10), INT32_MAX,
                                                 INT32_MAX,  INT32_MAX,  INT32_MAX, INT32_MAX};
static const bool seen[CALLS] = {true, true, true};
static const struct expectation expectation = {CALLS, names, mean, inverse_deviation, seen};

#define NORMAL \
    { 55, 52, 1 }
#define SHELL \
    { 55, 52, 9, 9, 9 }
#define BACK_CONNECT \
    { 55, 52, 9, 0, 0, 9, 0, 9 }
#define INJECTED_CODE \
    { 55, 52, 1, 0, 0, 0, 30 }

static struct evidence make(const uint64_t counts[CALLS]) {
    struct evidence_builder builder;
    struct evidence evidence;
    evidence_begin(&builder, &expectation);
    evidence_add(&builder, (const uint64_t[CALLS])NORMAL);
    evidence_add(&builder, counts);
    evidence_end(&builder, 3, &evidence);
    return evidence;
}

static void learn(struct signatures *signatures, const char *name, const uint64_t counts[CALLS]) {
    struct evidence evidence = make(counts);
    signatures_learn(signatures, name, &evidence);
    evidence_free(&evidence);
}

static struct signatures known(void) {
    struct signatures signatures;
    signatures_init(&signatures);
    learn(&signatures, "shell", (const uint64_t[CALLS])SHELL);
    learn(&signatures, "back-connect", (const uint64_t[CALLS])BACK_CONNECT);
    return signatures;
}

static struct answer look_up(const struct signatures *signatures, const uint64_t counts[CALLS]) {
    struct evidence evidence = make(counts);
    struct identifier *identifier = identifier_new(signatures);
    struct answer answer;
    identify(identifier, &evidence, &answer);
    identifier_free(identifier);
    evidence_free(&evidence);
    return answer;
}

static void test_evidence_tells_what_rose(void **state) {
    (void)state;
    struct evidence evidence = make((const uint64_t[CALLS])SHELL);
    assert_int_equal(evidence.never_seen_count, 2);
    assert_string_equal(evidence.never_seen[0], "execve");
    assert_string_equal(evidence.never_seen[1], "pipe");
    assert_int_equal(evidence.risen_count, 3); /* close rose, read and write did not */
    assert_string_equal(evidence.risen[0].name, "close");
    assert_true(evidence.risen[0].rise < evidence.risen[1].rise);
    assert_string_equal(evidence.top[0], "read");
    evidence_free(&evidence);
}

static void test_a_known_attack_is_named(void **state) {
    (void)state;
    struct signatures signatures = known();
    static const uint64_t louder[CALLS] = {60, 50, 12, 14, 8};
    struct answer answer = look_up(&signatures, louder);
    assert_int_equal(answer.kind, ANSWER_NAMED);
    assert_string_equal(answer.candidates[0].entry->name, "shell");
    assert_true(answer.confidence > 0.5 && answer.confidence <= 1);
    answer_free(&answer);
    signatures_free(&signatures);
}

static void test_another_attack_is_unknown(void **state) {
    (void)state;
    struct signatures signatures = known();
    struct answer answer = look_up(&signatures, (const uint64_t[CALLS])INJECTED_CODE);
    assert_int_equal(answer.kind, ANSWER_UNKNOWN);
    assert_int_equal(answer.candidate_count, 0);
    answer_free(&answer);
    signatures_free(&signatures);
}

/* The digest alone names the application: normal counts have it, too. */
static void test_the_digest_alone_names_nothing(void **state) {
    (void)state;
    struct signatures signatures = known();
    struct answer answer = look_up(&signatures, (const uint64_t[CALLS])NORMAL);
    assert_int_equal(answer.kind, ANSWER_UNKNOWN);
    answer_free(&answer);
    signatures_free(&signatures);
}

/* However well it fits: a call that the program always makes was only made more often. */
static void test_one_usual_call_names_nothing(void **state) {
    (void)state;
    static const uint64_t closes[CALLS] = {55, 52, 30}, opens_code[CALLS] = INJECTED_CODE;
    struct signatures signatures = known();
    learn(&signatures, "descriptors-closed", closes);
    learn(&signatures, "injected-code", opens_code);
    struct answer answer = look_up(&signatures, closes);
    assert_int_equal(answer.kind, ANSWER_UNKNOWN);
    assert_true(answer.candidates[0].similarity > 0.99 && answer.candidates[0].exact);
    answer_free(&answer);
    answer = look_up(&signatures, opens_code); /* one call that it never made before */
    assert_int_equal(answer.kind, ANSWER_NAMED);
    answer_free(&answer);
    signatures_free(&signatures);
}

static void test_two_that_look_alike_are_ambiguous(void **state) {
    (void)state;
    struct signatures signatures = known();
    learn(&signatures, "other-shell", (const uint64_t[CALLS])SHELL);
    static const uint64_t other_order[CALLS] = {52, 60, 9, 9, 9}; /* another digest than the recordings' */
    struct answer answer = look_up(&signatures, other_order);
    assert_int_equal(answer.kind, ANSWER_AMBIGUOUS);
    assert_int_equal(answer.candidate_count, 2);
    assert_true(answer.confidence == 0);
    answer_free(&answer);
    /* Unless they are two entries of one vulnerability. */
    signatures_find(&signatures, "shell")->cve = xstrdup("CVE-2014-6271");
    signatures_find(&signatures, "other-shell")->cve = xstrdup("CVE-2014-6271");
    answer = look_up(&signatures, other_order);
    assert_int_equal(answer.kind, ANSWER_NAMED);
    answer_free(&answer);
    signatures_free(&signatures);
}

/* The digest fits one alone, but recordings of the two would be taken for one another. */
static void test_the_digest_does_not_tell_apart_what_is_alike(void **state) {
    (void)state;
    struct signatures signatures;
    signatures_init(&signatures);
    learn(&signatures, "shell", (const uint64_t[CALLS]){55, 52, 9, 9, 9});
    learn(&signatures, "shell", (const uint64_t[CALLS]){55, 52, 9, 14, 4});
    learn(&signatures, "other-shell", (const uint64_t[CALLS]){52, 90, 9, 9, 9});
    learn(&signatures, "other-shell", (const uint64_t[CALLS]){52, 90, 9, 14, 4});
    struct answer answer = look_up(&signatures, (const uint64_t[CALLS]){55, 52, 9, 9, 8});
    assert_int_equal(answer.kind, ANSWER_AMBIGUOUS);
    assert_int_equal(answer.candidate_count, 2);
    assert_true(answer.candidates[0].exact != answer.candidates[1].exact);
    assert_true(answer.candidates[1].alike);
    answer_free(&answer);
    signatures_free(&signatures);
}

static void test_an_empty_database_knows_nothing(void **state) {
    (void)state;
    struct signatures signatures;
    signatures_init(&signatures);
    struct answer answer = look_up(&signatures, (const uint64_t[CALLS])SHELL);
    assert_int_equal(answer.kind, ANSWER_UNKNOWN);
    answer_free(&answer);
}

static void test_the_measure_counts_each_kind(void **state) {
    (void)state;
    static const uint64_t rows[][CALLS] = {SHELL, BACK_CONNECT, INJECTED_CODE};
    static const char *const vulnerabilities[] = {"a", "b", "c"};
    struct sighting sightings[8];
    size_t count = 0;
    for (unsigned container = 1; container <= 2; container++)
        for (unsigned i = 0; i < 3; i++)
            sightings[count++] = (struct sighting){vulnerabilities[i], container, make(rows[i])};
    sightings[count++] = (struct sighting){NULL, 1, make((const uint64_t[CALLS])NORMAL)};
    sightings[count++] = (struct sighting){NULL, 2, make((const uint64_t[CALLS])SHELL)};
    struct identification measured = identification_measure(sightings, count, 8, 3);
    assert_true(measured.right_pct == 75); /* six of eight: two were not noticed */
    assert_true(measured.wrong_pct == 0);
    assert_true(measured.absent_named_pct == 0);
    assert_true(measured.false_alarm_named_pct == 50);
    for (size_t i = 0; i < count; i++)
        evidence_free(&sightings[i].evidence);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_evidence_tells_what_rose),
        cmocka_unit_test(test_a_known_attack_is_named),
        cmocka_unit_test(test_another_attack_is_unknown),
        cmocka_unit_test(test_the_digest_alone_names_nothing),
        cmocka_unit_test(test_one_usual_call_names_nothing),
        cmocka_unit_test(test_two_that_look_alike_are_ambiguous),
        cmocka_unit_test(test_the_digest_does_not_tell_apart_what_is_alike),
        cmocka_unit_test(test_an_empty_database_knows_nothing),
        cmocka_unit_test(test_the_measure_counts_each_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
