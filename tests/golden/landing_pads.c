// build: g++ -O1 -w -x c++ landing_pads.c -o $out
// build: g++ -O2 -w -x c++ landing_pads.c -o $out
// build: g++ -O3 -w -x c++ landing_pads.c -o $out
// build: g++ -Os -w -x c++ landing_pads.c -o $out
// build: g++ -O2 -no-pie -w -x c++ landing_pads.c -o $out
// reasons: ignored
// C++: a landing pad is entered from any call of its function, with what variables held there. Constants set in the pad
// itself are known; what was set before or between the calls that throw must not be taken for the only value.
#include <signal.h>
#include <unistd.h>

volatile int effect;

__attribute__((noinline)) void may_throw(int number) {
    effect++;
    if (effect == number)
        throw number;
}

struct guard {
    int pid;
    __attribute__((noinline)) ~guard() {
        kill(pid, SIGHUP);
        effect++;
    }
};

__attribute__((noinline)) void handlers(int count) {
    int signal = count;
    asm volatile("" : "+r"(signal));
    signal = SIGINT;
    try {
        may_throw(1);
        signal = SIGQUIT;
        may_throw(2);
        signal = SIGILL;
        may_throw(3);
    } catch (int) {
        kill(20, signal);
        kill(21, SIGTRAP);
    }
    kill(22, SIGABRT);
    effect++;
}

int main(int count, char **arguments) {
    guard one = {count};
    handlers(count);
    try {
        may_throw(count);
    } catch (...) {
        unlink("/tmp/caught");
        throw;
    }
    return 0;
}
