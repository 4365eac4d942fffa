// build: gcc -O1 -w  jump_table.c -o $out
// build: gcc -O2 -w  jump_table.c -o $out
// build: gcc -O3 -w  jump_table.c -o $out
// build: clang -O1 -w  jump_table.c -o $out
// build: clang -O2 -w  jump_table.c -o $out
// build: clang -O3 -w  jump_table.c -o $out
// build: gcc -O2 -w -no-pie jump_table.c -o $out
// build: clang -O2 -w -no-pie jump_table.c -o $out
// build: gcc -O2 -w -fcf-protection=none jump_table.c -o $out
// build: gcc -O0 -w jump_table.c -o $out
// build: clang -O0 -w jump_table.c -o $out
// A switch by a jump table: the values of all its cases meet behind it, and what was set before it stays known.
#include <fcntl.h>
#include <unistd.h>

volatile int sink;

int main(int count, char **arguments) {
    int flags = O_RDONLY;
    switch (count) {
    case 0:
        sink = 3;
        flags = O_WRONLY;
        break;
    case 1:
        sink = 5;
        flags = O_RDWR;
        break;
    case 2:
        sink = 9;
        getpid();
        flags = O_RDWR | O_APPEND;
        break;
    case 3:
        sink = 11;
        flags = O_WRONLY | O_TRUNC;
        break;
    case 4:
        sink = 12;
        getuid();
        break;
    case 5:
        sink = 17;
        flags = O_NONBLOCK;
        break;
    case 6:
        sink = 6;
        sink = 7;
        flags = O_DIRECTORY;
        break;
    case 7:
        sink = 1;
        flags = O_CLOEXEC;
        break;
    default: break;
    }
    sink = 1;
    open("/tmp/a", flags);
    return 0;
}
