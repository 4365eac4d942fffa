// build: gcc -O2 -w  tail_open.c -o $out
// build: gcc -Os -w  tail_open.c -o $out
// build: clang -O2 -w  tail_open.c -o $out
// build: clang -Os -w  tail_open.c -o $out
// The function that ends in a tail call is called through a pointer: any indirect call may stand behind the call of kill.
#include <signal.h>
#include <unistd.h>

__attribute__((noinline)) static int finish(int pid) {
    return kill(pid, SIGTERM);
}

int (*volatile pointer)(int) = finish;

int main(int count, char **arguments) {
    return pointer(count) + 1;
}
