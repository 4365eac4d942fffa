// build: gcc -O1 -w -D_GNU_SOURCE widths.c -o $out
// build: gcc -O2 -w -D_GNU_SOURCE widths.c -o $out
// build: gcc -O3 -w -D_GNU_SOURCE widths.c -o $out
// build: clang -O1 -w -D_GNU_SOURCE widths.c -o $out
// build: clang -O2 -w -D_GNU_SOURCE widths.c -o $out
// build: clang -O3 -w -D_GNU_SOURCE widths.c -o $out
// Only the argument's width counts; small registers keep the rest of the large one; bits known to be unset are a mask.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

volatile unsigned sink;

int main(int count, char **arguments) {
    sink = count;
    kill(-1, count == 3);
    open("/tmp/a", O_RDONLY | (sink & (O_APPEND | O_NONBLOCK)));
    open("/tmp/b", O_WRONLY | (sink & ~(O_CREAT | O_TMPFILE)));
    mprotect(arguments, 4096, sink & 7);
    mprotect(arguments, 4096, (sink & 4) | PROT_READ);
    mkdir("/tmp/c", (sink & 0777) | 0700);
    return 0;
}
