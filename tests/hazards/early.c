/* Code that runs before any library's constructor, the shim's too: it is checked all the same. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/hazards/hazard.h"

static int counted, opened, memory, child;

static void early(void) {
    counted = getpid();
    opened = open("/dev/null", O_RDWR);
    memory = open("/proc/self/mem", O_RDWR);
    child = fork();
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(9);
    }
}

__attribute__((section(".preinit_array"), used)) static void (*before_all)(void) = early;

int main(void) {
    int status = 1;
    EXPECT(counted == getpid() && opened >= 0);
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    printf("own memory %s\n", memory >= 0 ? "opened" : "refused");
    return 0;
}
