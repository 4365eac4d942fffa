/* syscall(2): the numbers of checked functions meet the same rules, all others pass. */
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/hazards/hazard.h"

static void tell(const char *name, long result) {
    printf("%s: %s\n", name, result >= 0 ? "done" : strerror(errno));
}

int main(void) {
    char bytes[8];
    const char *memory = "/proc/self/mem";
    struct open_how how = {.flags = O_RDWR};
    void *pages = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(syscall(SYS_getrandom, bytes, sizeof bytes, 0) == sizeof bytes);
    EXPECT(syscall(SYS_getpid) == getpid() && syscall(SYS_gettid) == getpid());
    EXPECT(syscall(SYS_open, writable("/dev/null"), O_RDWR) >= 0);
    EXPECT(syscall(SYS_openat, AT_FDCWD, writable("/dev/null"), O_RDWR) >= 0);
    EXPECT(syscall(SYS_mprotect, pages, 4096, PROT_READ | PROT_WRITE) == 0);
    EXPECT(syscall(SYS_futex, bytes, 1 /* FUTEX_WAKE */, 1, NULL, NULL, 0) == 0);
    EXPECT(syscall(4711) == -1 && errno == ENOSYS);
    EXPECT(syscall(-1) == -1 && errno == ENOSYS);
    tell("open", syscall(SYS_open, memory, O_RDWR));
    tell("openat", syscall(SYS_openat, AT_FDCWD, memory, O_RDWR));
    tell("creat", syscall(SYS_creat, memory, 0600));
    tell("openat2", syscall(SYS_openat2, AT_FDCWD, memory, &how, sizeof how));
    tell("mprotect", syscall(SYS_mprotect, (void *)((unsigned long)&main & ~4095UL), 4096UL, 7UL));
    return 0;
}
