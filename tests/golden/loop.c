// build: gcc -O1 -w  loop.c -o $out
// build: gcc -O2 -w  loop.c -o $out
// build: gcc -Os -w  loop.c -o $out
// build: clang -O1 -w  loop.c -o $out
// build: clang -O2 -w  loop.c -o $out
// build: clang -Os -w  loop.c -o $out
// build: gcc -O0 -w loop.c -o $out
// A counter in a loop is widened: no bound is guessed. What does not change in the loop stays known.
#include <signal.h>
#include <unistd.h>

volatile int limit;

int main(void) {
    for (int signal = 3; signal < limit; signal++)
        kill(77, signal);
    return 0;
}
