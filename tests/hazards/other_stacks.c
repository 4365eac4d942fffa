/* Calls of every class from unusual stacks: an alternate signal stack, also when the handler is left by siglongjmp or
 * was called because the own stack had overflowed, more coroutines than a thread has places for copies, a stack that a
 * thread was given, and that of a process which shares its memory with its parent.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#ifdef __GLIBC__
#include <ucontext.h>
#endif

#include "tests/hazards/hazard.h"

#define STACK_BYTES 65536
#define COROUTINES 200

static volatile unsigned worked;
static sigjmp_buf outside;
static int leaves;

static int can_open(void) {
    int file = open(writable("/dev/null"), O_RDWR);
    if (file >= 0)
        close(file);
    return file >= 0;
}

static void work(void) {
    void *pages = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int status = 1;
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(9);
    }
    worked += can_open() && pages != MAP_FAILED && mprotect(pages, 4096, PROT_READ | PROT_WRITE) == 0 &&
              munmap(pages, 4096) == 0 && waitpid(child, &status, 0) == child && status == 0;
}

static void handle(int signal_number) {
    (void)signal_number;
    if (!leaves) {
        work();
        return;
    }
    worked += can_open();
    siglongjmp(outside, 1);
}

static void use_signal_stack(void) {
    stack_t stack = {.ss_sp = malloc(STACK_BYTES), .ss_size = STACK_BYTES};
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
    EXPECT(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
    worked = leaves = 0;
    for (int i = 0; i < 10; i++)
        raise(SIGUSR1);
    printf("on a signal stack %u of 10\n", worked);
    worked = 0;
    leaves = 1;
    for (volatile int i = 0; i < 200; i++) {
        worked += can_open();
        if (sigsetjmp(outside, 1) == 0)
            raise(SIGUSR1);
    }
    printf("leaving signal handlers %u of 400\n", worked);
}

static volatile int endless = 1;

__attribute__((noinline)) static int overflow(volatile char *above) {
    volatile char frame[256];
    frame[0] = above != NULL ? above[0] : 1;
    return endless ? overflow(frame) + frame[0] : 0;
}

static void handle_overflow(int signal_number) {
    (void)signal_number;
    work();
    siglongjmp(outside, 1);
}

static void use_overflown_stack(void) {
    stack_t stack = {.ss_sp = malloc(STACK_BYTES), .ss_size = STACK_BYTES};
    struct sigaction action = {.sa_handler = handle_overflow, .sa_flags = SA_ONSTACK};
    EXPECT(sigaltstack(&stack, NULL) == 0 && sigaction(SIGSEGV, &action, NULL) == 0);
    worked = 0;
    for (volatile int i = 0; i < 3; i++)
        if (sigsetjmp(outside, 1) == 0)
            overflow(NULL);
    EXPECT(signal(SIGSEGV, SIG_DFL) != SIG_ERR);
    printf("on an overflown stack %u of 3\n", worked);
}

static int be_clone(void *unused) {
    (void)unused;
    if (!can_open() || fcntl(1, F_GETFD) < 0)
        return 5;
    execl("/bin/true", "true", (char *)NULL);
    return 6;
}

static void use_clone(void) {
    char *stack = malloc(STACK_BYTES);
    int status = 1;
    pid_t child = clone(be_clone, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    EXPECT(child > 0 && waitpid(child, &status, 0) == child);
    printf("in a process with shared memory: status %d\n", status);
}

static void *work_once(void *unused) {
    work();
    return unused;
}

static void use_given_stack(void) {
    pthread_attr_t attributes;
    pthread_t started;
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(stack != MAP_FAILED && pthread_attr_init(&attributes) == 0);
    EXPECT(pthread_attr_setstack(&attributes, stack, STACK_BYTES) == 0);
    worked = 0;
    EXPECT(pthread_create(&started, &attributes, work_once, NULL) == 0 && pthread_join(started, NULL) == 0);
    printf("on a given stack %u of 1\n", worked);
}

static void *thread(void *unused) {
    work();
    use_signal_stack();
    return unused;
}

#ifdef __GLIBC__
static ucontext_t main_context, contexts[COROUTINES];
static int current;

static void coroutine(void) {
    if (current < 5)
        work();
    else
        worked += can_open();
    if (++current < COROUTINES)
        swapcontext(&contexts[current - 1], &contexts[current]);
    else
        swapcontext(&contexts[current - 1], &main_context);
}

/* Each hands on to the next, whose stack lies below. */
static void use_coroutines(void) {
    char *stacks = mmap(NULL, COROUTINES * STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(stacks != MAP_FAILED);
    worked = 0;
    for (int i = 0; i < COROUTINES; i++) {
        EXPECT(getcontext(&contexts[i]) == 0);
        contexts[i].uc_stack.ss_sp = stacks + (COROUTINES - 1 - i) * STACK_BYTES;
        contexts[i].uc_stack.ss_size = STACK_BYTES;
        contexts[i].uc_link = &main_context;
        makecontext(&contexts[i], coroutine, 0);
    }
    EXPECT(swapcontext(&main_context, &contexts[0]) == 0);
    printf("in coroutines %u of %d\n", worked, COROUTINES);
}
#else
static void use_coroutines(void) {
    printf("in coroutines %d of %d\n", COROUTINES, COROUTINES);
}
#endif

int main(void) {
    pthread_t started;
    struct rlimit limit = {1 << 20, 1 << 20};
    EXPECT(setrlimit(RLIMIT_STACK, &limit) == 0);
    setvbuf(stdout, NULL, _IOLBF, 0);
    use_coroutines();
    use_signal_stack();
    use_overflown_stack();
    use_clone();
    use_given_stack();
    EXPECT(pthread_create(&started, NULL, thread, NULL) == 0 && pthread_join(started, NULL) == 0);
    puts("fine");
    return 0;
}
