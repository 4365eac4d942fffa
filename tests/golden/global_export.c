// build: gcc -O2 -fPIC -shared -w libglobal.c -o $dir/libglobal.so && gcc -O2 -w global_export.c -L$dir -lglobal -Wl,-rpath,$dir -o $out
// build: gcc -O2 -fPIC -shared -w libglobal.c -o $dir/libglobal.so && gcc -O2 -no-pie -w global_export.c -L$dir -lglobal -Wl,-rpath,$dir -o $out
// build: clang -O2 -fPIC -shared -w libglobal.c -o $dir/libglobal.so && clang -O2 -w global_export.c -L$dir -lglobal -Wl,-rpath,$dir -o $out
// build: clang -O2 -fPIC -shared -w libglobal.c -o $dir/libglobal.so && clang -O2 -no-pie -w global_export.c -L$dir -lglobal -Wl,-rpath,$dir -o $out
// reasons: ignored
// Variables that another object can change by their names: exported by the program, or copied into it from the library.
#include <signal.h>

int shared = 5;
extern int copied;
void change(void);

int main(int count, char **arguments) {
    if (count > 2)
        shared = 6;
    if (count > 3)
        copied = 7;
    change();
    kill(1, shared);
    kill(2, copied);
    return 0;
}
