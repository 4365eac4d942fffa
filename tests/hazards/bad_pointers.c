/* Pointers to nowhere: the kernel's EFAULT, no crash. And good ones in awkward places. */
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/hazards/hazard.h"

static void refused(const char *what, int place, long result, int reason) {
    if (result != -1 || errno != reason)
        printf("%s %d: result %ld, errno %d, not %d\n", what, place, result, errno, reason);
    if (result >= 0)
        close((int)result);
}

#define REFUSED(expression, reason) refused(#expression, i, expression, reason)

static char *nowhere[8]; /* unknown to the compiler */

__attribute__((noinline)) static void bad_paths(char *unmapped, char *unterminated) {
    char *good[] = {"true", NULL};
    nowhere[0] = NULL;
    nowhere[1] = (char *)1;
    nowhere[2] = unmapped;
    nowhere[3] = unterminated;
    nowhere[4] = (char *)0x7fffffffffff;
    nowhere[5] = (char *)0x8000000000000000;
    nowhere[6] = (char *)0xffffffff80000000;
    nowhere[7] = (char *)-1;
    for (int i = 0; i < 8; i++) {
        char *bad = nowhere[i];
        char *holder[] = {"true", i == 0 ? (char *)1 : bad, NULL};
        REFUSED(open(bad, O_RDONLY), EFAULT);
        REFUSED(open(bad, O_RDWR), EFAULT);
        REFUSED(openat(AT_FDCWD, bad, O_RDWR | O_CREAT, 0600), EFAULT);
        REFUSED(unlink(bad), EFAULT);
        REFUSED(rename(bad, "/nowhere/at/all"), EFAULT);
        REFUSED(mkdir(bad, 0700), EFAULT);
        REFUSED(execve(bad, good, NULL), EFAULT);
        REFUSED(execve("/bin/true", holder, NULL), EFAULT);
        REFUSED(syscall(SYS_open, bad, O_RDWR), EFAULT);
        if (i == 0)
            continue;
        REFUSED(execve("/bin/true", (char **)bad, NULL), EFAULT);
        REFUSED(execve("/bin/true", good, (char **)bad), EFAULT);
        REFUSED(execve("/bin/true", good, holder), EFAULT);
    }
}

__attribute__((noinline)) static void bad_addresses(char *unmapped) {
    int i = 0, udp = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct msghdr message = {.msg_name = unmapped, .msg_namelen = 16};
    EXPECT(udp >= 0);
    REFUSED(connect(udp, (struct sockaddr *)unmapped, 16), EFAULT);
    REFUSED(connect(udp, (struct sockaddr *)1, 16), EFAULT);
    REFUSED(bind(udp, (struct sockaddr *)unmapped, 16), EFAULT);
    REFUSED(bind(udp, (struct sockaddr *)&address, (socklen_t)-1), EINVAL);
    REFUSED(bind(udp, (struct sockaddr *)&address, 4096), EINVAL);
    REFUSED(sendto(udp, "x", 1, 0, (struct sockaddr *)unmapped, 16), EFAULT);
    REFUSED(sendmsg(udp, &message, 0), EFAULT);
#ifdef __GLIBC__ /* musl reads the header itself */
    REFUSED(sendmsg(udp, (struct msghdr *)unmapped, 0), EFAULT);
#endif
    close(udp);
}

static void long_names(void) {
    int i = 0;
    for (; i < 3; i++) {
        size_t length = (size_t[]){PATH_MAX, 20000, 300000}[i];
        char *name = malloc(length + 1);
        memset(name, 'x', length);
        name[length] = '\0';
        REFUSED(open(name, O_RDWR), ENAMETOOLONG);
        free(name);
    }
}

/* Every split of a name over two pages, and every name that ends with its page. */
static void good_names(char *pages, size_t page, char *last_end) {
    const char *name = "/dev/null";
    size_t length = strlen(name) + 1;
    for (size_t before = 0; before <= length; before++) {
        char *place = pages + page - before;
        memcpy(place, name, length);
        int file = open(place, O_RDWR);
        EXPECT(file >= 0);
        close(file);
    }
    memcpy(last_end - length, name, length);
    int file = open(last_end - length, O_RDWR);
    EXPECT(file >= 0);
    close(file);
}

static void awkward_vectors(char *last_end) {
    char *argument = "true", **vector = (char **)last_end - 2;
    vector[0] = argument;
    vector[1] = NULL;
    pid_t child = 0;
    int status = 1;
    EXPECT(posix_spawn(&child, "/bin/true", NULL, NULL, vector, (char **)last_end - 1) == 0);
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
}

int main(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(pages != MAP_FAILED && mprotect(pages + 3 * page, page, PROT_NONE) == 0);
    memset(pages, 'x', 3 * page);
    bad_paths(pages + 3 * page, pages + 3 * page - 5);
    bad_addresses(pages + 3 * page);
    long_names();
    good_names(pages, page, pages + 3 * page);
    awkward_vectors(pages + 3 * page);
    puts("fine");
    return 0;
}
