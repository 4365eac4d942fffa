// build: gcc -O2 -fPIC -shared -w libkept.c -Wl,-soname,libcop.so.2 -o $dir/libcop.so.2 && gcc -O2 -w kept_traps.c $dir/libcop.so.2 -Wl,-rpath,$dir -o $out
// build: gcc -O2 -fPIC -shared -w -DEXTRA libkept.c -Wl,-soname,libcap.so.2 -o $dir/libcap.so.2 && gcc -O2 -w kept_traps.c $dir/libcap.so.2 -Wl,-rpath,$dir -o $out
// build: gcc -O2 -fPIC -shared -w -DHANDED libkept.c -Wl,-soname,libcap.so.2 -o $dir/libcap.so.2 && gcc -O2 -w kept_traps.c $dir/libcap.so.2 -Wl,-rpath,$dir -o $out
// build: gcc -O2 -fPIC -shared -w -DCONSTANT libkept.c -Wl,-soname,libcap.so.2 -o $dir/libcap.so.2 && gcc -O2 -w kept_traps.c $dir/libcap.so.2 -Wl,-rpath,$dir -o $out
// build: gcc -O2 -fPIC -shared -w -DJUMPS libkept.c -Wl,-soname,libcap.so.2 -o $dir/libcap.so.2 && gcc -O2 -w kept_traps.c $dir/libcap.so.2 -Wl,-rpath,$dir -o $out
// build: clang -O2 -fPIC -shared -w -DHANDED libkept.c -Wl,-soname,libcap.so.2 -o $dir/libcap.so.2 && clang -O2 -w kept_traps.c $dir/libcap.so.2 -Wl,-rpath,$dir -o $out
// As kept.c, with libraries that are not what is known as libcap: of another name, with one more function that jumps to syscall,
// with their address in code or in a table besides, or jumping through a pointer. Then it may be the program's, too.
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
