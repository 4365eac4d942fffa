// build: gcc -O0 -w  returns_twice.c -o $out
// build: gcc -O1 -w  returns_twice.c -o $out
// build: gcc -O2 -w  returns_twice.c -o $out
// build: clang -O0 -w  returns_twice.c -o $out
// build: clang -O1 -w  returns_twice.c -o $out
// build: clang -O2 -w  returns_twice.c -o $out
// setjmp and vfork return more than once: a local variable may hold what was stored after the first return. Only what no
// store can have changed is known.
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

jmp_buf place;
void jump(void);
volatile int sink;

__attribute__((noinline)) void jump(void) {
    if (sink < 3)
        longjmp(place, 1);
}

int main(int count, char **arguments) {
    volatile int number = 5;
    if (setjmp(place) != 0)
        kill(1, number);
    number = 6;
    sink++;
    jump();
    number = 7;
    jump();
    volatile int child = 8;
    if (vfork() == 0) {
        child = 9;
        _exit(0);
    }
    kill(2, child);
    return 0;
}
