// build: gcc -O2 -w  tail_both.c -o $out
// build: gcc -O3 -w  tail_both.c -o $out
// build: clang -O2 -w  tail_both.c -o $out
// The caller of `choose` may be found behind kill because of the direct jumps, and also because `choose` jumps through a pointer that
// may hold `finish`: whoever comes to `finish` that way passes its signal too.
#include <signal.h>
#include <unistd.h>

__attribute__((noinline)) static int finish(int pid) {
    return kill(pid, SIGTERM);
}

int (*volatile pointer)(int) = finish;

__attribute__((noinline)) static int choose(int pid) {
    if (pid > 7)
        return finish(pid - 1);
    return pointer(pid);
}

int main(int count, char **arguments) {
    return choose(count) + 1;
}
