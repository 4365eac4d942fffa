// build: gcc -O0 -w  dont_care.c -o $out
// build: gcc -O2 -w  dont_care.c -o $out
// build: clang -O0 -w  dont_care.c -o $out
// build: clang -O2 -w  dont_care.c -o $out
// Arguments that mean nothing where others say so are not constrained: open's mode without O_CREAT, fcntl's third by
// command, prctl's by option.
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

volatile int count;

int main(void) {
    open("/tmp/a", O_RDONLY, count);
    open("/tmp/b", O_WRONLY | O_CREAT, count);
    fcntl(0, F_GETFD, count);
    fcntl(0, F_SETFL, count);
    prctl(PR_SET_DUMPABLE, count);
    prctl(PR_SET_NAME, &count);
    return 0;
}
