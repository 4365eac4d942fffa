/* A library that opens another one by its own RUNPATH, which the program does not have.
 *
 *   runpath DIRECTORY, where libcaller.so stands and, in "private", libprivate.so
 */
#include <dlfcn.h>

#include "tests/hazards/hazard.h"

int main(int count, char **arguments) {
    char path[4096];
    EXPECT(count == 2);
    EXPECT(dlopen("libprivate.so", RTLD_NOW) == NULL);
    snprintf(path, sizeof path, "%s/libcaller.so", arguments[1]);
    void *caller = dlopen(path, RTLD_NOW);
    EXPECT(caller != NULL);
    int (*answer)(void) = (int (*)(void))dlsym(caller, "caller_answer");
    EXPECT(answer != NULL);
    printf("%d\n", answer());
    return 0;
}
