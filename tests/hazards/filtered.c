/* Works within a system call filter as narrow as that of sshd's unprivileged child, which kills for any other call: what
 * the shim itself asks of the kernel must be in it.
 */
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/hazards/hazard.h"

#define ANSWER(number, action) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), BPF_STMT(BPF_RET | BPF_K, (action))
#define ALLOW(name) ANSWER(__NR_##name, SECCOMP_RET_ALLOW)
#define REFUSE(name) ANSWER(__NR_##name, SECCOMP_RET_ERRNO | EACCES)

/* As in OpenSSH's sandbox-seccomp-filter.c; exit_group is what ends the test, and fork is not allowed there. */
static struct sock_filter instructions[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    REFUSE(lstat),
    REFUSE(fstat),
    REFUSE(open),
    REFUSE(openat),
    REFUSE(newfstatat),
    REFUSE(stat),
    REFUSE(shmget),
    REFUSE(shmat),
    REFUSE(statx),
    ALLOW(brk),
    ALLOW(clock_gettime),
    ALLOW(close),
    ALLOW(exit),
    ALLOW(exit_group),
    ALLOW(futex),
    ALLOW(geteuid),
    ALLOW(getpgid),
    ALLOW(getpid),
    ALLOW(getrandom),
    ALLOW(gettid),
    ALLOW(gettimeofday),
    ALLOW(getuid),
    ALLOW(madvise),
    ALLOW(mmap),
    ALLOW(mprotect),
    ALLOW(mremap),
    ALLOW(munmap),
    ALLOW(nanosleep),
    ALLOW(clock_nanosleep),
    ALLOW(pselect6),
    ALLOW(poll),
    ALLOW(ppoll),
    ALLOW(read),
    ALLOW(rt_sigprocmask),
    ALLOW(select),
    ALLOW(time),
    ALLOW(write),
    ALLOW(writev),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

static int outcome;

/* Standard output's own calls are not in the filter. */
static void must(int number, int condition) {
    if (!condition && outcome == 0)
        outcome = number;
}

static void work(void) {
    struct sock_fprog filter = {sizeof instructions / sizeof instructions[0], instructions};
    char byte = 'x';
    must(1, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    must(2, prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
    for (int i = 0; i < 200000; i++) /* beyond what a thread counts between two slow ones */
        getpid();
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(3, pages != MAP_FAILED);
    pages = mremap(pages, 8192, 16384, MREMAP_MAYMOVE);
    must(4, pages != MAP_FAILED && mprotect(pages, 4096, PROT_READ) == 0 && madvise(pages, 4096, MADV_DONTNEED) == 0);
    must(5, open(writable("/dev/null"), O_RDWR) == -1 && errno == EACCES);
    must(6, open((char *)1, O_RDWR) == -1);
    must(7, open("/proc/self/mem", O_RDWR) == -1);
    must(8, read(0, &byte, 1) == 0);
    _exit(outcome);
}

/* In a child, as sshd does it. */
int main(void) {
    int status = 1;
    pid_t child = fork();
    if (child == 0)
        work();
    EXPECT(waitpid(child, &status, 0) == child);
    printf("status %#x\n", (unsigned)status);
    return 0;
}
