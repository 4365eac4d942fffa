/* Opens a library that only its own RUNPATH finds. */
#include <dlfcn.h>
#include <stddef.h>

int caller_answer(void);
int caller_answer(void) {
    void *library = dlopen("libprivate.so", RTLD_NOW);
    int (*answer)(void) = library != NULL ? (int (*)(void))dlsym(library, "private_answer") : NULL;
    return answer != NULL ? answer() : -1;
}
