/* All that the shim takes from a libc or loader: each weak, each possibly absent. imports.list names them for
 * the test that compares them with the built library.
 */
#ifndef PINION_PRELOAD_IMPORTS_H
#define PINION_PRELOAD_IMPORTS_H

#include <link.h>
#include <stddef.h>

#define WEAK extern __attribute__((weak, visibility("default")))

/* glibc 2.35 and later: which module an address belongs to; lock-free and async-signal-safe. The structure is
 * the loader's interface (dlfcn.h of glibc). */
struct dl_find_object {
    unsigned long long dlfo_flags;
    void *dlfo_map_start;
    void *dlfo_map_end;
    struct link_map *dlfo_link_map;
    void *dlfo_eh_frame;
    unsigned long long reserved[7];
};

WEAK int _dl_find_object(void *address, struct dl_find_object *result);
WEAK struct r_debug _r_debug;        /* glibc */
WEAK struct r_debug *_dl_debug_addr; /* musl */
WEAK unsigned long getauxval(unsigned long type);
WEAK char **environ;
WEAK void *__libc_stack_end; /* glibc: where the kernel put the argument count */
WEAK int *__errno_location(void);
WEAK const char *gnu_get_libc_version(void);

#endif
