// build: gcc -O2 -w -fno-inline tail_closed.c -o $out
// build: gcc -O3 -w -fno-inline tail_closed.c -o $out
// build: gcc -Os -w -fno-inline tail_closed.c -o $out
// build: clang -O2 -w -fno-inline tail_closed.c -o $out
// build: clang -O3 -w -fno-inline tail_closed.c -o $out
// build: clang -Os -w -fno-inline tail_closed.c -o $out
// build: gcc -O2 -w -fno-inline -fno-plt tail_closed.c -o $out
// A static function ends in a tail call: the return address is that of its callers, each of which is a site, and the
// arguments are those at the jump.
#include <signal.h>
#include <unistd.h>

__attribute__((noinline)) static int finish(int pid) {
    return kill(pid + getpid(), SIGTERM);
}

__attribute__((noinline)) static int twice_removed(int pid) {
    return finish(pid * 3);
}

int main(int count, char **arguments) {
    int sum = finish(count);
    sum += twice_removed(count + 1);
    return sum + 1;
}
