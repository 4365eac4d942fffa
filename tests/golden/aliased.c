// build: gcc -O0 -w  aliased.c -o $out
// build: gcc -O1 -w  aliased.c -o $out
// build: gcc -O2 -w  aliased.c -o $out
// build: gcc -O3 -w  aliased.c -o $out
// build: clang -O0 -w  aliased.c -o $out
// build: clang -O1 -w  aliased.c -o $out
// build: clang -O2 -w  aliased.c -o $out
// build: clang -O3 -w  aliased.c -o $out
// reasons: ignored
// Traps around local variables whose address, or a neighbour's, is known elsewhere: a callee may change them, also through
// a pointer to another member of the same structure.
#include <signal.h>
#include <unistd.h>

struct pair {
    int number;
    int other;
};

void change(int *);
void change_all(int *);

__attribute__((noinline)) void change(int *pointer) {
    asm volatile("" : : "r"(pointer) : "memory");
}

__attribute__((noinline)) int through_pointer(void) {
    int number = 5;
    change(&number);
    return kill(1, number) + 1;
}

__attribute__((noinline)) int through_neighbour(void) {
    struct pair pair = {6, 7};
    asm volatile("" : "+m"(pair));
    pair.number = 8;
    change(&pair.other);
    return kill(2, pair.number) + 1;
}

int main(void) {
    return through_pointer() + through_neighbour();
}
