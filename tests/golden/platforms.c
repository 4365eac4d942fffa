// build: gcc -O1 -w platforms.c -o $out
// build: gcc -O2 -w platforms.c -o $out
// build: gcc -O3 -w platforms.c -o $out
// build: gcc -Os -w platforms.c -o $out
// build: clang -O1 -w platforms.c -o $out
// build: clang -O2 -w platforms.c -o $out
// build: clang -O3 -w platforms.c -o $out
// build: clang -Os -w platforms.c -o $out
// build: gcc -O2 -fcf-protection -Wl,-z,ibtplt -w platforms.c -o $out && readelf -SW $out | grep -q plt.sec
// build: clang -O2 -fcf-protection -Wl,-z,ibtplt -Wl,-z,now -w platforms.c -o $out && readelf -SW $out | grep -q plt.sec
// build: gcc -O2 -fno-plt -w platforms.c -o $out
// build: clang -O2 -fno-plt -w platforms.c -o $out
// build: gcc -O2 -fno-plt -no-pie -w platforms.c -o $out
// build: gcc -O2 -Wl,-z,pack-relative-relocs -w platforms.c -o $out && readelf -dW $out | grep -q RELR
// build: clang -O2 -Wl,-z,pack-relative-relocs -Wl,-z,now -w platforms.c -o $out && readelf -dW $out | grep -q RELR
// build: gcc -O2 -flto -w platforms.c -o $out
// build: clang -O2 -flto -fuse-ld=lld -w platforms.c -o $out
// build: clang -O2 -fuse-ld=lld -Wl,--icf=all -ffunction-sections -w platforms.c -o $out
// build: gcc -O2 -fuse-ld=gold -w platforms.c -o $out
// build: musl-gcc -O2 -w platforms.c -o $out
// build: gcc -O2 -no-pie -w platforms.c -o $out && strip --strip-all $out
// reasons: ignored
// The same rules, whichever way imports are reached, objects are linked and tables are laid out: a plain call, one from
// a moved-away part, a switch, a table of texts in memory that is read-only after relocation, a tail call.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

volatile int effect;
extern const char *const names[2];
const char *const names[2] __attribute__((visibility("hidden"))) = {"/tmp/a", "/tmp/b"};

__attribute__((noinline, cold)) static void seldom(int pid) {
    effect++;
    kill(pid, SIGABRT);
    effect++;
}

__attribute__((noinline)) static int last(int pid) {
    effect++;
    return kill(pid + getpid(), SIGTERM);
}

int main(int count, char **arguments) {
    int flags = O_RDONLY;
    if (__builtin_expect(count > 9, 0))
        seldom(1);
    switch (count) {
    case 0:
        effect = 3;
        flags = O_WRONLY;
        break;
    case 1:
        effect = 5;
        flags = O_RDWR;
        break;
    case 2:
        effect = 9;
        flags = O_RDWR | O_APPEND;
        break;
    case 3: effect = 12; break;
    case 4:
        effect = 17;
        flags = O_NONBLOCK;
        break;
    case 5:
        effect = 6;
        effect = 7;
        flags = O_DIRECTORY;
        break;
    default: break;
    }
    for (int i = 0; i < effect; i++)
        open("/tmp/x", flags);
    unlink(names[count & 1]);
    return last(count) + 1;
}
