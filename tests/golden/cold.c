// build: gcc -O2 -w  cold.c -o $out
// build: clang -O2 -w  cold.c -o $out
// The unlikely path was moved away into a part of its own: it belongs to the function, and values flow into it.
#include <fcntl.h>
#include <unistd.h>

__attribute__((cold)) extern int getpagesize(void);

volatile int sink;

__attribute__((noinline)) int work(int count) {
    int flags = count > 3 ? O_RDWR | O_APPEND : O_RDONLY;
    sink = 3;
    if (__builtin_expect(sink > 7, 0)) {
        getpagesize();
        open("/tmp/a", flags);
        getpagesize();
        return 3;
    }
    sink = 9;
    return sink;
}

int main(int count, char **arguments) {
    return work(count);
}
