/* What is read of /proc holds for the very process that was meant, and what cannot be looked at is never taken for ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/util.h"
#include "tools/patch/proc.h"

/* A number that no process has: of a child that was waited for. */
static pid_t gone(void) {
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return child;
}

static void test_a_process_is_known_by_number_and_start(void **state) {
    uint64_t start;
    (void)state;
    assert_true(process_start(getpid(), &start));
    assert_true(process_is(getpid(), start));
    assert_false(process_is(getpid(), start + 1));
    assert_false(process_start(gone(), &start));
}

/* It has ended, and is still there. */
static void test_a_zombie_runs_no_more(void **state) {
    struct process_stat stat;
    siginfo_t information;
    (void)state;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    assert_int_equal(waitid(P_PID, (id_t)child, &information, WEXITED | WNOWAIT), 0);
    assert_true(process_stat(child, &stat));
    assert_int_equal(stat.parent, getpid());
    assert_true(process_has_ended(&stat));
    assert_false(process_is(child, stat.start));
    waitpid(child, NULL, 0);
}

/* The name of a program may look like what follows it. */
static void test_a_name_decides_nothing(void **state) {
    struct process_stat plain, named;
    (void)state;
    assert_true(process_stat(getpid(), &plain));
    assert_int_equal(prctl(PR_SET_NAME, ") Z 1 2 3 4 5"), 0);
    assert_true(process_stat(getpid(), &named));
    assert_int_equal(named.state == 'Z', 0);
    assert_int_equal(named.parent, plain.parent);
    assert_true(named.start == plain.start);
}

static void test_what_cannot_be_looked_at_is_not_the_same(void **state) {
    pid_t nobody = gone();
    (void)state;
    assert_true(process_shares(getpid(), PROCESS_OURS, "ns/user"));
    assert_true(process_shares(getppid(), getpid(), "root"));
    assert_false(process_shares(nobody, PROCESS_OURS, "ns/user"));
    assert_false(process_shares(PROCESS_OURS, nobody, "ns/user"));
    assert_false(process_shares(nobody, nobody, "ns/user"));
    assert_false(process_shares(getpid(), PROCESS_OURS, "ns/nothing"));
}

static void test_texts_are_whole_and_bytes_bounded(void **state) {
    size_t size;
    (void)state;
    cleanup_free char *status = process_text(getpid(), "status");
    assert_non_null(status);
    assert_int_equal(process_inner(status), getpid());
    assert_int_equal(strtoul(process_status(status, "\nUid:"), NULL, 10), getuid());
    assert_string_equal(process_status(status, "\nNothing:"), "");
    assert_int_equal(process_inner("Name:\tx\n"), 0);
    cleanup_free char *few = process_bytes(getpid(), "status", 7, &size);
    assert_int_equal(size, 7);
    assert_string_equal(few, "Name:\t)");
    assert_null(process_text(gone(), "status"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_process_is_known_by_number_and_start),
        cmocka_unit_test(test_a_zombie_runs_no_more),
        cmocka_unit_test(test_a_name_decides_nothing),
        cmocka_unit_test(test_what_cannot_be_looked_at_is_not_the_same),
        cmocka_unit_test(test_texts_are_whole_and_bytes_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
