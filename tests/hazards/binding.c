/* Libraries bound past a preload: RTLD_DEEPBIND, and dlmopen with a libc of its own.
 *
 *   binding deep LIBRARY
 *   binding namespace LIBRARY -1
 */
#include <dlfcn.h>

#include "tests/hazards/hazard.h"

int main(int count, char **arguments) {
    EXPECT(count >= 3);
    int deep = strcmp(arguments[1], "deep") == 0;
    dlerror();
    void *handle =
        deep ? dlopen(arguments[2], RTLD_NOW | RTLD_DEEPBIND) : dlmopen(atol(arguments[3]), arguments[2], RTLD_NOW);
    if (handle == NULL) {
        printf("not loaded, %s\n", dlerror() != NULL ? "dlerror tells why" : "dlerror is silent");
        return 0;
    }
    int (*deep_open)(void) = (int (*)(void))dlsym(handle, "deep_open");
    EXPECT(deep_open != NULL);
    printf("own memory %s\n", deep_open() ? "opened" : "refused");
    return 0;
}
