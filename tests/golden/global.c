// build: gcc -O1 -w  global.c -o $out
// build: gcc -O2 -w  global.c -o $out
// build: gcc -O3 -w  global.c -o $out
// build: clang -O1 -w  global.c -o $out
// build: clang -O2 -w  global.c -o $out
// build: clang -O3 -w  global.c -o $out
// reasons: ignored
// A static structure's field is written through a pointer to the structure's start: data that can change is never constant.
#include <signal.h>
#include <unistd.h>

static struct {
    long first;
    int number;
} state = {1, 5};

static const int fixed[] = {2, 3, 4};
static char text[] = "/tmp/a";
static const char *const names[] = {"/tmp/b", "/tmp/c"};
int *pointers[2];

__attribute__((noinline)) void change(char *start) {
    asm volatile("" : : "r"(start) : "memory");
}

int main(int count, char **arguments) {
    change((char *)&state);
    kill(1, state.number);
    kill(2, *(const volatile int *)&fixed[1]);
    change(text);
    unlink(text);
    unlink(*(const char *const volatile *)&names[1]);
    rmdir(names[count & 1]);
    return 0;
}
