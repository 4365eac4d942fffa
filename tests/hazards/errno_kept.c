/* A call that succeeds leaves errno as it was; one that fails leaves the kernel's reason. */
#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/hazards/hazard.h"

#define KEEPS(expression)                                                           \
    do {                                                                            \
        errno = 77;                                                                 \
        if (!(expression) || errno != 77)                                           \
            printf("%s: errno %d after what should succeed\n", #expression, errno); \
    } while (0)

#define FAILS(expression, reason)                                          \
    do {                                                                   \
        errno = 77;                                                        \
        if (!(expression) || errno != (reason))                            \
            printf("%s: errno %d, not %s\n", #expression, errno, #reason); \
    } while (0)

int main(void) {
    char *arguments[] = {"true", NULL};
    pid_t child = 0;
    int file, socket_;
    void *pages;
    KEEPS((file = open("/dev/null", O_RDWR)) >= 0);
    KEEPS((file = open(writable("/dev/null"), O_RDWR)) >= 0);
    KEEPS(fcntl(file, F_GETFL) >= 0);
    KEEPS((pages = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED);
    KEEPS(mprotect(pages, 4096, PROT_READ | PROT_WRITE) == 0);
    KEEPS((socket_ = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
    KEEPS(getpid() == syscall(SYS_getpid));
    KEEPS(lseek(file, 0, SEEK_SET) == 0);
    KEEPS(dlsym(RTLD_DEFAULT, "open") != NULL);
    KEEPS(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, NULL) == 0);
    KEEPS(waitpid(child, NULL, 0) == child);
    FAILS(open("/nowhere/at/all", O_RDONLY) == -1, ENOENT);
    FAILS(open(writable("/nowhere/at/all"), O_RDWR) == -1, ENOENT);
    FAILS(openat(-5, "x", O_RDONLY) == -1, EBADF);
    FAILS(mprotect((void *)4096, 4096, PROT_READ) == -1, ENOMEM);
    FAILS(socket(-1, 0, 0) == -1, EAFNOSUPPORT);
    FAILS(execv("/nowhere/at/all", arguments) == -1, ENOENT);
    FAILS(execv("/", arguments) == -1, EACCES);
    FAILS(close(-1) == -1, EBADF);
    FAILS(syscall(SYS_open, "/nowhere/at/all", O_RDONLY) == -1, ENOENT);
    puts("fine");
    return 0;
}
