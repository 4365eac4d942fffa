/* A recursion that opens a file at every level, as a walk through directories or a parser of nested files does. */
#include <fcntl.h>

#include "tests/hazards/hazard.h"

#define LEVELS 1000

static int failed;

__attribute__((noinline)) static int go_deeper(int level) {
    volatile char name[64] = "/dev/null";
    int file = open((const char *)name, O_RDWR);
    failed += file < 0;
    close(file);
    return level > 1 ? go_deeper(level - 1) + name[0] : 0;
}

int main(void) {
    go_deeper(LEVELS);
    printf("failed %d of %d\n", failed, LEVELS);
    return 0;
}
