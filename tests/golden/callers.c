// build: gcc -O1 -w callers.c -o $out
// build: gcc -O2 -w callers.c -o $out
// build: gcc -O3 -w callers.c -o $out
// build: gcc -Os -w callers.c -o $out
// build: clang -O1 -w callers.c -o $out
// build: clang -O2 -w callers.c -o $out
// build: clang -O3 -w callers.c -o $out
// build: clang -Os -w callers.c -o $out
// build: gcc -O0 -w callers.c -o $out
// build: clang -O0 -w callers.c -o $out
// build: gcc -O2 -no-pie -w callers.c -o $out
// build: gcc -O2 -flto -w callers.c -o $out
// build: musl-gcc -O2 -w callers.c -o $out
// A parameter is what any caller passes: three callers deep, no deeper. Recursion adds what it passes itself.
#include <signal.h>
#include <unistd.h>

#define KEPT __attribute__((noinline, noclone, noipa))
#if defined __clang__
#undef KEPT
#define KEPT __attribute__((noinline, optnone))
#endif

volatile int effect;

KEPT static void first(int signal) {
    kill(1, signal);
    effect++;
}

KEPT static void second(int signal) {
    first(signal);
    effect++;
}

KEPT static void third(int signal) {
    second(signal + 1);
    effect++;
}

KEPT static void fourth(int signal) {
    third(signal);
    effect++;
}

KEPT static void two(int signal) {
    kill(2, signal);
    effect++;
}

KEPT static void three(int signal) {
    two(signal);
    effect++;
}

KEPT static void again(int depth, int signal) {
    kill(3, signal);
    if (depth > 0)
        again(depth - 1, 11);
    effect++;
}

KEPT static void unlinks(const char *path) {
    unlink(path);
    effect++;
}

int main(int count, char **arguments) {
    fourth(4);
    fourth(14);
    two(5);
    three(6);
    three(count > 3 ? 7 : 8);
    again(count, 10);
    unlinks("/tmp/a");
    unlinks(count > 4 ? "/tmp/b" : 0);
    return 0;
}
