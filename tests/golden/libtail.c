// The library of tail_export.c.
#include <signal.h>

int finish(int pid) {
    return kill(pid, SIGTERM);
}

int finish_by_name(int pid) {
    return finish(pid);
}
