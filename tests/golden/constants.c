// build: gcc -O0 -w constants.c -o $out
// build: gcc -O1 -w constants.c -o $out
// build: gcc -O2 -w constants.c -o $out
// build: gcc -O3 -w constants.c -o $out
// build: gcc -Os -w constants.c -o $out
// build: clang -O0 -w constants.c -o $out
// build: clang -O1 -w constants.c -o $out
// build: clang -O2 -w constants.c -o $out
// build: clang -O3 -w constants.c -o $out
// build: clang -Os -w constants.c -o $out
// build: gcc -O2 -w -no-pie constants.c -o $out
// build: clang -O2 -w -no-pie constants.c -o $out
// build: gcc -O2 -w -fno-plt constants.c -o $out
// build: clang -O1 -w -fno-plt constants.c -o $out
// build: gcc -O2 -w -fcf-protection=full -Wl,-z,now,-z,ibtplt constants.c -o $out
// build: gcc -O2 -w -Wl,-z,lazy constants.c -o $out
// build: gcc -O2 -w -fno-asynchronous-unwind-tables -Wl,--no-eh-frame-hdr constants.c -o $out
// build: gcc -O2 -w -static-libgcc -Wl,-z,pack-relative-relocs constants.c -o $out
// build: gcc -O2 -w -s constants.c -o $out
// build: gcc -O2 -w -Wl,-z,noseparate-code constants.c -o $out
// Plain constants: integers, symbolic flags, a string in read-only memory, a null pointer.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int descriptor;

int main(void) {
    descriptor = open("/etc/hosts", O_RDONLY | O_CLOEXEC);
    descriptor += socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    descriptor += chmod("/tmp/x", 0640);
    descriptor += open("/tmp/y", O_WRONLY | O_CREAT, 0600);
    descriptor += fcntl(3, F_SETFD, FD_CLOEXEC);
    descriptor += unlink(NULL);
    return 0;
}
