/* Run with libnext.so preloaded: its open must come to its turn, and what stands behind it as well. */
#include <dlfcn.h>
#include <fcntl.h>

#include "tests/hazards/hazard.h"

int main(void) {
    int (*next_opened)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "next_opened");
    EXPECT(next_opened != NULL);
    int before = next_opened(), file = open("/dev/null", O_RDONLY, 0);
    EXPECT(file >= 0);
    int memory = open("/proc/self/mem", O_RDWR, 0);
    printf("passed on %d, own memory %s\n", next_opened() - before, memory >= 0 ? "opened" : strerror(errno));
    return 0;
}
