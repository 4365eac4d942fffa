/* How much a sender may say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "tools/patch/senders.h"

#define SECOND UINT64_C(1000000000)

static struct ucred of_user(uid_t user) {
    return (struct ucred){.pid = getpid(), .uid = user};
}

static unsigned allowed(struct senders *senders, uid_t user, unsigned tries, uint64_t now) {
    struct ucred sender = of_user(user);
    unsigned count = 0;
    for (unsigned i = 0; i < tries; i++)
        count += senders_may(senders, &sender, now);
    return count;
}

static void flood_is_cut_and_quiet_is_given_back(void **state) {
    struct senders senders;
    (void)state;
    senders_begin(&senders, 60);
    assert_int_equal(allowed(&senders, 1, 100000, SECOND), 60);
    assert_int_equal(allowed(&senders, 1, 100, 11 * SECOND), 10);
    assert_int_equal(allowed(&senders, 1, 100000, 100000 * SECOND), 60);
}

static void one_user_does_not_speak_for_another(void **state) {
    struct senders senders;
    (void)state;
    senders_begin(&senders, 60);
    assert_int_equal(allowed(&senders, 1, 1000, SECOND), 60);
    assert_int_equal(allowed(&senders, 2, 1000, SECOND), 60);
}

/* More users than there is room for share a place: none gets more than one sender's share by being many. */
static void many_senders_are_bounded(void **state) {
    struct senders senders;
    unsigned count = 0;
    (void)state;
    senders_begin(&senders, 60);
    for (uid_t user = 0; user < 10000; user++)
        count += allowed(&senders, user, 100, SECOND);
    assert_true(count <= SENDERS_MOST * 60);
    assert_int_equal(allowed(&senders, 20000, 100, 1000 * SECOND), 60);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flood_is_cut_and_quiet_is_given_back),
        cmocka_unit_test(one_user_does_not_speak_for_another),
        cmocka_unit_test(many_senders_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
