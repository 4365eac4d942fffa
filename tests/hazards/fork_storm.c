/* Threads that fork at the same time; each child opens files, starts a thread, and commits one violation, which must be the
 * first line of its own log.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

#include "tests/hazards/hazard.h"

#define THREADS 4
#define CHILDREN 25

static void *work(void *unused) {
    (void)unused;
    for (int i = 0; i < 100; i++) {
        int file = open(writable("/dev/null"), O_RDWR);
        if (file < 0)
            _exit(4);
        close(file);
    }
    return NULL;
}

static void be_child(void) {
    pthread_t thread;
    alarm(20);
    work(NULL);
    if (pthread_create(&thread, NULL, work, NULL) != 0 || pthread_join(thread, NULL) != 0)
        _exit(2);
    int memory = open("/proc/self/mem", O_RDWR);
    _exit(memory >= 0 ? 5 : errno == EPERM ? 1 : 3);
}

static void *fork_children(void *results) {
    for (int i = 0; i < CHILDREN; i++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0)
            be_child();
        work(NULL);
        if (waitpid(child, &status, 0) == child && WIFEXITED(status))
            __atomic_fetch_add((int *)results + WEXITSTATUS(status), 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    int results[256] = {0};
    alarm(60);
    for (int i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, fork_children, results) == 0);
    for (int i = 0; i < THREADS; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
    printf("refused %d, allowed %d\n", results[1], results[5]);
    return 0;
}
