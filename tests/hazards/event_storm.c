/* Commits violations and goes on, whoever listens to the events of them or not:
 *
 *   event_storm N [wait|stay|daemon|filter|fork|signals|reuse FILE]
 *
 * wait says "ready" and waits for a byte before it begins; stay does so when it is through; daemon closes all descriptors first; filter forbids all but write, fstat and what the program itself needs; reuse gives every
 * low number to a file of its own.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/hazards/hazard.h"

#define ALLOW(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static struct sock_filter instructions[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    ALLOW(openat),
    ALLOW(close),
    ALLOW(fstat),
    ALLOW(write),
    ALLOW(poll),
    ALLOW(fstatfs),
    ALLOW(readlink),
    ALLOW(getpid),
    ALLOW(gettid),
    ALLOW(clock_gettime),
    ALLOW(rt_sigprocmask),
    ALLOW(rt_sigpending),
    ALLOW(rt_sigtimedwait),
    ALLOW(rt_sigreturn),
    ALLOW(brk),
    ALLOW(getrandom),
    ALLOW(mmap),
    ALLOW(madvise),
    ALLOW(sigaltstack),
    ALLOW(tgkill),
    ALLOW(exit_group),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

static int refused;

/* In writable memory, made once: a signal handler must not allocate. */
static char path[] = "/proc/self/mem";

static void violate(void) {
    errno = 0;
    refused += open(path, O_RDWR) == -1 && errno == EPERM;
}

static void handle(int number) {
    (void)number;
    int before = errno;
    open(path, O_RDWR);
    errno = before;
}

static void set_filter(void) {
    struct sock_fprog filter = {sizeof instructions / sizeof instructions[0], instructions};
    EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    EXPECT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

static void take_all_numbers(const char *path) {
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    EXPECT(file >= 0);
    for (int i = 3; i < 400; i++)
        EXPECT(i == file || dup2(file, i) == i);
}

static void storm_with_signals(int count) {
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    pid_t parent = getpid(), child = fork();
    if (child == 0)
        while (kill(parent, SIGALRM) == 0)
            ;
    for (int i = 0; i < count; i++)
        violate();
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

int main(int argument_count, char **arguments) {
    const char *way = argument_count > 2 ? arguments[2] : "";
    int count = atoi(arguments[1]), status = 0;
    char byte;
    if (strcmp(way, "daemon") == 0)
        EXPECT(close_range(3, ~0U, 0) == 0);
    if (strcmp(way, "wait") == 0)
        EXPECT(write(1, "ready\n", 6) == 6 && read(0, &byte, 1) == 1);
    if (strcmp(way, "reuse") == 0)
        take_all_numbers(arguments[3]);
    if (strcmp(way, "filter") == 0)
        set_filter();
    if (strcmp(way, "fork") == 0 && fork() > 0)
        EXPECT(wait(&status) > 0 && status == 0);
    if (strcmp(way, "signals") == 0)
        storm_with_signals(count);
    else
        for (int i = 0; i < count; i++)
            violate();
    if (strcmp(way, "stay") == 0)
        EXPECT(write(1, "ready\n", 6) == 6 && read(0, &byte, 1) == 1);
    return refused == count ? 0 : 3;
}
