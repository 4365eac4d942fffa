/* Threads make calls whose stack is checked, from ever other depths, while signal handlers on two kinds of stacks do the
 * same and another thread loads and unloads a library: no sound stack may be taken for a broken one. With "fresh", the
 * threads map and unmap memory all the time, which so lies where the library just was: then nothing may crash.
 *
 *   stack_storm LIBRARY [fresh], where the library is libreuse_known.so
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/hazards/hazard.h"

#define THREADS 3
#define ROUNDS 3000
#define RELOADS 300

static volatile int running = THREADS;
static unsigned wrong;
static int fresh;
static pthread_barrier_t start;
static __thread char *own_pages;

static void *map_page(void) {
    return mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void call_checked(void) {
    char *pages = fresh ? map_page() : own_pages;
    if (mprotect(pages, 4096, PROT_READ | PROT_WRITE) != 0 || fcntl(1, F_GETFD) < 0)
        __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
    if (fresh)
        munmap(pages, 4096);
}

/* Frames of many sizes, some of them aligned anew. */
__attribute__((noinline)) static int go_deeper(int depth, int kind) {
    volatile char small[24];
    small[depth % 24] = (char)depth;
    if (depth == 0) {
        call_checked();
        return small[0];
    }
    if (kind % 3 == 0) {
        volatile char sized[16 + depth * 8 % 300];
        sized[0] = 1;
        return go_deeper(depth - 1, kind + 1) + sized[0];
    }
    if (kind % 3 == 1) {
        volatile char aligned[64] __attribute__((aligned(64)));
        aligned[1] = 2;
        return go_deeper(depth - 1, kind / 2) + aligned[1];
    }
    return go_deeper(depth - 1, kind + 2) + small[1];
}

static void handle(int signal_number) {
    int saved = errno;
    (void)signal_number;
    call_checked();
    int file = open(writable("/dev/null"), O_RDWR);
    if (file < 0)
        __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
    close(file);
    errno = saved;
}

static timer_t start_timer(int signal_number) {
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = signal_number};
    struct itimerspec interval = {{0, 150000}, {0, 150000}};
    timer_t timer;
    event._sigev_un._tid = (int)syscall(SYS_gettid);
    EXPECT(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &interval, NULL) == 0);
    return timer;
}

static void *work(void *number) {
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    EXPECT(sigaltstack(&stack, NULL) == 0);
    own_pages = map_page();
    pthread_barrier_wait(&start);
    timer_t timer = start_timer((long)number % 2 ? SIGUSR1 : SIGUSR2);
    for (int i = 0; i < ROUNDS; i++)
        go_deeper(i % 60, i);
    timer_delete(timer);
    __atomic_fetch_sub(&running, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void reload(const char *library) {
    for (int i = 0; i < RELOADS || running > 0; i++) {
        void *handle_ = dlopen(library, RTLD_NOW);
        EXPECT(handle_ != NULL);
        int (*reuse_open)(const char *) = (int (*)(const char *))dlsym(handle_, "reuse_open");
        EXPECT(reuse_open != NULL && reuse_open("/dev/null") == 1);
        EXPECT(dlclose(handle_) == 0);
    }
}

int main(int count, char **arguments) {
    pthread_t threads[THREADS];
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    EXPECT(count >= 2 && sigaction(SIGUSR1, &action, NULL) == 0);
    fresh = count > 2;
    EXPECT(pthread_barrier_init(&start, NULL, THREADS + 1) == 0);
    action.sa_flags |= SA_ONSTACK;
    EXPECT(sigaction(SIGUSR2, &action, NULL) == 0);
    for (long i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    pthread_barrier_wait(&start);
    reload(arguments[1]);
    for (int i = 0; i < THREADS; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
    printf("wrong: %u\n", fresh ? 0 : wrong);
    return 0;
}
