// build: gcc -O2 -fno-plt -w twice_by_pointer.c -o $out
// build: clang -O2 -fno-plt -w twice_by_pointer.c -o $out
// build: clang -O1 -w twice_by_pointer.c -o $out
// reasons: ignored
// vfork in a loop: its address is loaded into a register once, and called there. Called through a pointer in data it
// returns twice as well.
#include <signal.h>
#include <unistd.h>

pid_t (*forker)(void) = vfork;

int main(int count, char **arguments) {
    volatile int signal = 3;
    for (int i = 0; i < count; i++) {
        signal = 4;
        if (vfork() == 0) {
            signal = 5;
            _exit(0);
        }
        kill(1, signal);
    }
    signal = 6;
    if (forker() == 0) {
        signal = 7;
        _exit(0);
    }
    kill(2, signal);
    return 0;
}
