/* Symbols by handle: a libc function is the stub, by whatever handle it is found; all else is what it is.
 *
 *   dlsym_handle DIRECTORY, where libown.so and libneeds_own.so stand
 */
#include <dlfcn.h>
#include <fcntl.h>

#include "tests/hazards/hazard.h"

static const char *owner(void *address) {
    Dl_info info;
    if (address == NULL)
        return "nowhere";
    if (dladdr(address, &info) == 0 || info.dli_fname == NULL)
        return "unknown";
    const char *base = strrchr(info.dli_fname, '/');
    return base != NULL ? base + 1 : info.dli_fname;
}

static void own_functions(const char *directory, const char *library) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, library);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    EXPECT(handle != NULL);
    int (*function)(const char *) = (int (*)(const char *))dlsym(handle, "unlink");
    printf("%s unlink: %d\n", library, function != NULL ? function("/nowhere/at/all") : 0);
    printf("%s mkdir: %s\n", library, owner(dlsym(handle, "mkdir")));
}

int main(int count, char **arguments) {
    const char *names[] = {"open", "open64", "__open_2", "mmap", "execve", "getpid", "posix_spawn", "qsort", "no_such"};
    void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD), *program = dlopen(NULL, RTLD_NOW);
    EXPECT(count == 2 && libc != NULL && program != NULL);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        printf("%s: %s %s %s\n", names[i], owner(dlsym(libc, names[i])), owner(dlsym(program, names[i])),
               owner(dlsym(RTLD_DEFAULT, names[i])));
    printf("versions: %s %s %s %s\n", owner(dlvsym(libc, "open", "GLIBC_2.2.5")),
           owner(dlvsym(libc, "posix_spawn", "GLIBC_2.2.5")), owner(dlvsym(libc, "posix_spawn", "GLIBC_2.15")),
           owner(dlvsym(libc, "open", "GLIBC_9.9")));
    dlerror();
    EXPECT(dlsym(libc, "no_such") == NULL && dlerror() != NULL);
    int (*open_)(const char *, int) = (int (*)(const char *, int))dlsym(libc, "open");
    printf("own memory: %s\n", open_("/proc/self/mem", O_RDWR) >= 0 ? "opened" : strerror(errno));
    own_functions(arguments[1], "libown.so");
    own_functions(arguments[1], "libneeds_own.so");
    return 0;
}
