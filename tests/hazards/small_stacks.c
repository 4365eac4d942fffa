/* Threads with the smallest stacks that there are make calls of every class, refused ones as well. */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/hazards/hazard.h"

extern char **environ;

static void *work(void *refused) {
    char *arguments[] = {"true", NULL};
    pid_t child = 0;
    int status = 1, file = open(writable("/dev/null"), O_RDWR);
    void *pages = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (file < 0 || pages == MAP_FAILED || mprotect(pages, 4096, PROT_READ | PROT_WRITE) != 0 ||
        munmap(pages, 4096) != 0)
        return "files and memory";
    close(file);
    if (posix_spawn(&child, writable("/bin/true"), NULL, NULL, arguments, environ) != 0 ||
        waitpid(child, &status, 0) != child || status != 0)
        return "posix_spawn";
    file = open(writable("/proc/self/mem"), O_RDWR);
    *(int *)refused += file < 0 && errno == EPERM;
    close(file);
    return NULL;
}

int main(void) {
    pthread_attr_t attributes;
    int refused = 0;
    EXPECT(pthread_attr_init(&attributes) == 0);
    EXPECT(pthread_attr_setstacksize(&attributes, 16384) == 0);
    for (int i = 0; i < 8; i++) {
        pthread_t thread;
        void *failed = NULL;
        EXPECT(pthread_create(&thread, &attributes, work, &refused) == 0);
        EXPECT(pthread_join(thread, &failed) == 0);
        if (failed != NULL)
            printf("failed: %s\n", (char *)failed);
    }
    printf("refused %d\n", refused);
    return 0;
}
