// The library of interposed.c.
#include <signal.h>

int number(void) {
    return 3;
}

int wrapper(int pid, int signal) {
    kill(pid, signal);
    return 0;
}

static __typeof__(wrapper) own __attribute__((alias("wrapper")));

int lonely(int pid, int signal) {
    kill(pid, signal);
    return 1;
}

static __typeof__(lonely) own_lonely __attribute__((alias("lonely")));

int use(int count) {
    kill(1, number());
    own(2, 5);
    wrapper(2, count > 2 ? 6 : 7);
    own_lonely(3, 8);
    return 0;
}
