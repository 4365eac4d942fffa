/* Stands before or behind the shim in LD_PRELOAD and passes open on to the next definition. */
#include <dlfcn.h>
#include <stdarg.h>
#include <stddef.h>

int next_opened(void);
int open(const char *path, int flags, ...);

static int opened;

int next_opened(void) {
    return opened;
}

int open(const char *path, int flags, ...) {
    static int (*next)(const char *, int, ...);
    va_list arguments;
    va_start(arguments, flags);
    int mode = va_arg(arguments, int);
    va_end(arguments);
    opened++;
    if (next == NULL)
        next = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    return next != NULL ? next(path, flags, mode) : -1;
}
