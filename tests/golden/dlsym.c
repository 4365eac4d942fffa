// build: gcc -O1 -w -D_GNU_SOURCE dlsym.c -o $out
// build: gcc -O2 -w -D_GNU_SOURCE dlsym.c -o $out
// build: clang -O1 -w -D_GNU_SOURCE dlsym.c -o $out
// build: clang -O2 -w -D_GNU_SOURCE dlsym.c -o $out
// A name given to dlsym that is one of the intercepted functions': the pointer may be called from anywhere.
#include <dlfcn.h>
#include <stddef.h>

int main(void) {
    int (*found)(const char *) = dlsym(RTLD_NEXT, "unlink");
    return found("/tmp/a") + (dlsym(NULL, "harmless") != NULL);
}
