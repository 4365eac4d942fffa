/* A library goes, another takes its place in memory: it must not have the rules of the first.
 *
 *   address_reuse KNOWN OTHER FILE
 */
#include <dlfcn.h>

#include "tests/hazards/hazard.h"

static void *place;

static int try(const char *library, const char *path) {
    void *handle = dlopen(library, RTLD_NOW);
    EXPECT(handle != NULL);
    int (*reuse_open)(const char *) = (int (*)(const char *))dlsym(handle, "reuse_open");
    EXPECT(reuse_open != NULL && (place == NULL || place == (void *)reuse_open));
    place = (void *)reuse_open;
    int opened = reuse_open(path);
    EXPECT(dlclose(handle) == 0);
    return opened;
}

int main(int count, char **arguments) {
    int known = 0, other = 0;
    EXPECT(count == 4);
    for (int i = 0; i < 20; i++) {
        known += try(arguments[1], arguments[3]);
        other += try(arguments[2], arguments[3]);
    }
    printf("known %d, other %d\n", known, other);
    return 0;
}
