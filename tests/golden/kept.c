// build: gcc -O2 -fPIC -shared -w libkept.c -Wl,-soname,libcap.so.2 -o $dir/libcap.so.2 && gcc -O2 -w kept.c $dir/libcap.so.2 -Wl,-rpath,$dir -o $out
// build: gcc -O3 -fPIC -shared -w libkept.c -Wl,-soname,libcap.so.2 -o $dir/libcap.so.2 && gcc -O2 -w kept.c $dir/libcap.so.2 -Wl,-rpath,$dir -o $out
// build: clang -O2 -fPIC -shared -w libkept.c -Wl,-soname,libcap.so.2 -o $dir/libcap.so.2 && clang -O2 -w kept.c $dir/libcap.so.2 -Wl,-rpath,$dir -o $out
// libcap is known to keep the addresses of its two functions that jump to syscall to itself: no pointer of the program can lead
// to them, and so the caller of `choose`, which jumps through one, has what `choose` itself passes alone.
#define _GNU_SOURCE
#include <unistd.h>

int use(int count);

long (*volatile pointer)(long first);

__attribute__((noinline)) static long choose(long first) {
    if (pointer != NULL)
        return pointer(first);
    return syscall(39, first);
}

int main(int count, char **arguments) {
    return choose(count) + use(count);
}
