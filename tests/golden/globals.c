// build: gcc -O0 -w globals.c -o $out
// build: gcc -O1 -w globals.c -o $out
// build: gcc -O2 -w globals.c -o $out
// build: gcc -Os -w globals.c -o $out
// build: clang -O0 -w globals.c -o $out
// build: clang -O1 -w globals.c -o $out
// build: clang -O2 -w globals.c -o $out
// build: clang -Os -w globals.c -o $out
// build: gcc -O2 -no-pie -w globals.c -o $out
// build: musl-gcc -O2 -w globals.c -o $out
// reasons: ignored
// A static variable holds what it was initialised with and what is stored in it anywhere, as long as its address is
// not taken. One whose address is, may hold anything.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static int number = 4, zero, taken = 5;
static const char *path = "/tmp/a";
volatile int effect;

__attribute__((noinline)) static void set(int choice) {
    effect++;
    if (choice == 1)
        number = 6;
    if (choice == 2)
        zero = 7;
    if (choice == 3)
        path = "/tmp/b";
    if (choice == 4)
        taken = 8;
}

__attribute__((noinline)) static void use(void) {
    kill(1, number);
    kill(2, zero);
    unlink(path);
    kill(3, taken);
    effect++;
}

int main(int count, char **arguments) {
    for (int i = 0; i < count; i++)
        set(i);
    sscanf(arguments[0], "%d", &taken);
    use();
    return 0;
}
