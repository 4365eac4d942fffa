/* Calls functions that nothing else calls a known number of times, from threads that come and go, from signal handlers
 * that interrupt them, and from children that end in every way. Prints what the container's page must hold in the end,
 * one "name number" a line.
 *
 *   count_storm [threads | children | many-threads]
 */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "tests/hazards/hazard.h"

#define THREADS 64
#define ROUNDS 20
#define CALLS 1003

/* ---- threads, and handlers in the middle of their calls ---- */

static unsigned long handled;

static void handle(int signal) {
    int error = errno;
    (void)signal;
    getpgid(0);
    getpgid(0);
    __atomic_fetch_add(&handled, 2, __ATOMIC_RELAXED);
    errno = error;
}

static void *work(void *unused) {
    for (int i = 0; i < CALLS; i++)
        getppid();
    usleep(0); /* may block: tells the page */
    for (int i = 0; i < CALLS; i++)
        getppid();
    return unused;
}

static void storm_of_threads(void) {
    pthread_t threads[THREADS];
    struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
    signal(SIGALRM, handle);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < THREADS; i++)
            EXPECT(pthread_create(&threads[i], NULL, work, NULL) == 0);
        for (int i = 0; i < THREADS; i++)
            EXPECT(pthread_join(threads[i], NULL) == 0);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    signal(SIGALRM, SIG_IGN);
    printf("getppid %d\ngetpgid %lu\n", THREADS * ROUNDS * 2 * CALLS, handled);
}

/* ---- children ---- */

static void child(int way) {
    for (int i = 0; i < CALLS; i++)
        getsid(0);
    switch (way) {
    case 0: exit(0); /* buffers were empty at fork */
    case 1: _exit(0);
    case 2: quick_exit(0);
    case 3: abort();
    case 4: raise(SIGKILL); break;
    case 5: kill(getpid(), SIGTERM); break;
    case 6: execl("/bin/true", "true", NULL); break;
    default: syscall(231 /* exit_group */, 0);
    }
    _exit(1);
}

static void *idle(void *barrier) {
    getsid(0);
    pthread_barrier_wait(barrier);
    pthread_barrier_wait(barrier);
    return NULL;
}

/* The parent has other threads with calls that nobody was told of: no child may tell them in its stead. */
static void storm_of_children(void) {
    static pthread_barrier_t barrier;
    pthread_t threads[8];
    int status;
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    pthread_barrier_init(&barrier, NULL, 9);
    for (int i = 0; i < 8; i++)
        EXPECT(pthread_create(&threads[i], NULL, idle, &barrier) == 0);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < CALLS; i++)
        getsid(0);
    for (int i = 0; i < 160; i++) {
        pid_t pid = fork();
        if (pid == 0)
            child(i % 8);
        EXPECT(pid > 0);
    }
    for (int i = 0; i < 160; i++)
        EXPECT(wait(&status) > 0);
    for (int i = 0; i < 40; i++) {
        pid_t pid = vfork();
        if (pid == 0) {
            getppid();
            execl("/bin/true", "true", NULL);
            _exit(1);
        }
        EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    }
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    printf("getsid %d\ngetppid %d\nfork 160\nvfork 40\n", 161 * CALLS + 8, 40);
}

/* ---- more threads than there are slots for ---- */

#define MANY 4300

static pthread_barrier_t many;

static void *one_of_many(void *unused) {
    getppid();
    pthread_barrier_wait(&many);
    for (int i = 0; i < 10; i++)
        getppid();
    pthread_barrier_wait(&many);
    return unused;
}

static void crowd(void) {
    static pthread_t threads[MANY];
    pthread_attr_t attributes;
    int count = 0;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    pthread_barrier_init(&many, NULL, MANY + 1);
    for (; count < MANY; count++)
        if (pthread_create(&threads[count], &attributes, one_of_many, NULL) != 0) {
            printf("only %d threads can be had\n", count);
            fflush(stdout);
            kill(getpid(), SIGKILL);
        }
    pthread_barrier_wait(&many);
    pthread_barrier_wait(&many);
    for (int i = 0; i < MANY; i++)
        pthread_join(threads[i], NULL);
    printf("getppid %d\n", MANY * 11);
}

int main(int count, char **arguments) {
    const char *what = count > 1 ? arguments[1] : "threads";
    setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
    if (strcmp(what, "threads") == 0)
        storm_of_threads();
    else if (strcmp(what, "children") == 0)
        storm_of_children();
    else
        crowd();
    return 0;
}
