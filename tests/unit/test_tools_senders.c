/* How much a sender may say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
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

/* The root of a container can be any user: that gives it no more than a few users' share. */
static void many_senders_are_bounded(void **state) {
    struct senders senders;
    unsigned count = 0;
    (void)state;
    senders_begin(&senders, 60);
    for (uid_t user = 0; user < 10000; user++)
        count += allowed(&senders, user, 100, SECOND);
    assert_int_equal(count, 8 * 60);
    assert_int_equal(allowed(&senders, 20000, 100, 1000 * SECOND), 60);
}

/* Nor does it take a place from who is in another mount namespace, however long it keeps all of its users alive. */
static void many_users_of_one_namespace_silence_no_other(void **state) {
    struct senders senders;
    int go[2];
    (void)state;
    assert_int_equal(pipe(go), 0);
    struct ucred other = {.pid = fork()};
    if (other.pid == 0) {
        bool apart = unshare(CLONE_NEWNS) == 0;
        char byte = apart ? 'y' : 'n';
        _exit(write(go[1], &byte, 1) == 1 && pause() != 0 ? 0 : 1);
    }
    char apart = 0;
    assert_int_equal(read(go[0], &apart, 1), 1);
    senders_begin(&senders, 60);
    for (uint64_t second = 1; second < 5; second++)
        for (uid_t user = 1; user < 2000; user++)
            allowed(&senders, user, 30, second * SECOND);
    unsigned count = 0;
    for (unsigned i = 0; i < 100; i++) {
        allowed(&senders, i, 20, 5 * SECOND);
        count += senders_may(&senders, &other, 5 * SECOND);
    }
    kill(other.pid, SIGKILL);
    waitpid(other.pid, NULL, 0);
    close(go[0]);
    close(go[1]);
    if (apart != 'y')
        skip();
    assert_int_equal(count, 60);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flood_is_cut_and_quiet_is_given_back),
        cmocka_unit_test(one_user_does_not_speak_for_another),
        cmocka_unit_test(many_senders_are_bounded),
        cmocka_unit_test(many_users_of_one_namespace_silence_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
