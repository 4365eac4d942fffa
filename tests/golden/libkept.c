// The library of kept.c and kept_traps.c, made like libcap's part that the analyser knows.
#define _GNU_SOURCE
#include <unistd.h>

typedef long (*caller)(long number, long first, long second);

static long one(long number, long first, long second) {
    return syscall(number, first, second);
}

static long other(long number, long first, long second) {
    return syscall(number, first, second, first);
}

#ifdef EXTRA
static long extra(long number, long first, long second) {
    return syscall(number, second, first);
}
caller more = extra;
#endif

static struct { caller one, other; } single = {one, other}, several = {one, other};

#ifdef CONSTANT
static const caller table[] = {one, other};
caller chosen(int number) {
    return table[number & 1];
}
#endif

void change(caller first, caller second) {
    several.one = first;
    several.other = second;
    single.one = second;
    single.other = first;
}

int use(int count) {
    return single.one(39, count, 0) + several.other(count, 1, 2) + 1;
}

#ifdef HANDED
caller handed(void) {
    return one;
}
#endif

#ifdef JUMPS
long jumps(long first) {
    return several.one(39, first, 0);
}
#endif
