/* Runs a command under a seccomp filter of the size of a policy: system calls outside the table fail, those of
 * the table are allowed, and listen, the one that is measured, only with certain arguments.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const int allowed[] = {
#define SYSCALL(name, number) number,
#include "runtime/apis.def"
    /* and what every program needs to start and to end */
    __NR_brk,       __NR_arch_prctl, __NR_set_tid_address, __NR_set_robust_list, __NR_rseq,
    __NR_prlimit64, __NR_getrandom,  __NR_newfstatat,      __NR_pread64,         __NR_exit_group,
};

#define BACKLOGS 16

static void require(int result, const char *what) {
    if (result == 0)
        return;
    fprintf(stderr, "filter: %s: %s\n", what, strerror(-result));
    exit(2);
}

static void add_rules(scmp_filter_ctx filter) {
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (allowed[i] != __NR_listen)
            require(seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0), "a rule is not accepted");
    for (unsigned backlog = 512 - BACKLOGS; backlog < 512; backlog++)
        require(seccomp_rule_add(filter, SCMP_ACT_ALLOW, __NR_listen, 1, SCMP_A1(SCMP_CMP_EQ, backlog, 0)),
                "a rule with a condition is not accepted");
}

int main(int count, char **arguments) {
    if (count < 2) {
        fputs("usage: filter COMMAND [ARGUMENT]...\n", stderr);
        return 2;
    }
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return 2;
    add_rules(filter);
    require(seccomp_load(filter), "the filter is not accepted");
    seccomp_release(filter);
    execvp(arguments[1], arguments + 1);
    perror("filter: exec");
    return 2;
}
