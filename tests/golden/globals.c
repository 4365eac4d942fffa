// build: gcc -O0 -w globals.c -o $out
// build: gcc -O1 -w globals.c -o $out
// build: gcc -O2 -w globals.c -o $out
// build: gcc -Os -w globals.c -o $out
// build: clang -O0 -w globals.c -o $out
// build: musl-gcc -O2 -w globals.c -o $out
// A static variable holds what it was initialised with and what is stored in it anywhere, as long as no pointer can lead
// to it.
#include <signal.h>
#include <unistd.h>

static int number = 4, zero;
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
}

__attribute__((noinline)) static void use(void) {
    kill(1, number);
    kill(2, zero);
    unlink(path);
    effect++;
}

int main(int count, char **arguments) {
    for (int i = 0; i < count; i++)
        set(i);
    use();
    return 0;
}
