/* An event is held against what the kernel says of its sender. Here the sender is this very process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/util.h"
#include "tools/evidence.h"
#include "tools/object.h"
#include "tools/patch/claim.h"

static struct event own_event(void) {
    char *top[] = {"read", "write"};
    struct event event = {.version = EVENT_VERSION,
                          .size = sizeof event,
                          .flags = EVENT_ANOMALY,
                          .pid = (uint32_t)getpid(),
                          .top_count = 2,
                          .top = {"read", "write"}};
    digest_of(top, 2, event.signature);
    assert_true(identity_of_file("/proc/self/exe", &event.program));
    return event;
}

static struct ucred own_word(void) {
    return (struct ucred){.pid = getpid(), .uid = getuid(), .gid = getgid()};
}

static void expect_claim(const struct event *event, const struct ucred *sender, enum claim claim) {
    struct incident incident = {.event = *event};
    claim_check(&incident, sender);
    if (incident.claim_detail != NULL)
        print_message("%s\n", incident.claim_detail);
    assert_int_equal(incident.claim, claim);
    assert_true((incident.claim_detail == NULL) == (claim == CLAIM_GOOD));
    incident_free(&incident);
}

static void what_is_so_holds(void **state) {
    struct event event = own_event();
    struct ucred sender = own_word();
    (void)state;
    expect_claim(&event, &sender, CLAIM_GOOD);
    event.flags = EVENT_VIOLATION; /* has no signature */
    memset(event.signature, 0, sizeof event.signature);
    expect_claim(&event, &sender, CLAIM_GOOD);
}

static void lies_are_told_apart(void **state) {
    struct event event = own_event();
    struct ucred sender = own_word();
    (void)state;
    event.pid++;
    expect_claim(&event, &sender, CLAIM_FALSE);
    event = own_event();
    event.program.bytes[0] ^= 1;
    expect_claim(&event, &sender, CLAIM_FALSE);
    event = own_event();
    strcpy(event.top[0], "execve");
    expect_claim(&event, &sender, CLAIM_FALSE);
    event = own_event();
    event.top_count = 1;
    expect_claim(&event, &sender, CLAIM_FALSE);
    sender.uid++;
    event = own_event();
    expect_claim(&event, &sender, CLAIM_FALSE);
    sender = own_word();
    sender.pid = 0; /* what the kernel reports of a process outside our namespace */
    expect_claim(&event, &sender, CLAIM_FALSE);
}

/* What closes an interval may be the call that starts another program. */
static void program_may_have_been_left(void **state) {
    struct event event = own_event();
    struct ucred sender = own_word();
    (void)state;
    assert_true(identity_of_file("/bin/sh", &event.program));
    strcpy(event.path, "/bin/sh");
    expect_claim(&event, &sender, CLAIM_GOOD);
    strcpy(event.path, "/bin/true");
    expect_claim(&event, &sender, CLAIM_FALSE);
    strcpy(event.path, "/proc/self/exe");
    expect_claim(&event, &sender, CLAIM_FALSE);
    strcpy(event.path, "/bin/sh");
    event.flags = EVENT_VIOLATION; /* told by the refused call itself, before anything else */
    expect_claim(&event, &sender, CLAIM_FALSE);
}

/* A process that ended, and one that ended and was not waited for yet. */
static void who_is_gone_is_not_believed(void **state) {
    struct event event = own_event();
    struct ucred sender = own_word();
    siginfo_t information;
    (void)state;
    sender.pid = fork();
    if (sender.pid == 0)
        _exit(0);
    event.pid = (uint32_t)sender.pid;
    assert_int_equal(waitid(P_PID, (id_t)sender.pid, &information, WEXITED | WNOWAIT), 0);
    expect_claim(&event, &sender, CLAIM_GONE);
    waitpid(sender.pid, NULL, 0);
    expect_claim(&event, &sender, CLAIM_GONE);
}

static void own_root_is_no_container(void **state) {
    struct incident incident = {.sender = getpid()};
    (void)state;
    assert_true(claim_target(&incident));
    assert_string_equal(incident.root, "");
    assert_int_equal(incident.target, 0);
    incident_free(&incident);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_so_holds),           cmocka_unit_test(lies_are_told_apart),
        cmocka_unit_test(program_may_have_been_left), cmocka_unit_test(who_is_gone_is_not_believed),
        cmocka_unit_test(own_root_is_no_container),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
