/* What the hazard programs share. A program prints what it saw on standard output, and "fine" last when all was as
 * it must be with and without the shim; it ends with status 1 at the first thing that was not.
 */
#ifndef PINION_TESTS_HAZARD_H
#define PINION_TESTS_HAZARD_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPECT(condition)                                                                             \
    do {                                                                                              \
        errno = 0;                                                                                    \
        if (!(condition)) {                                                                           \
            dprintf(1, "%s:%d: not so: %s (errno %d)\n", __FILE_NAME__, __LINE__, #condition, errno); \
            _exit(1);                                                                                 \
        }                                                                                             \
    } while (0)

/* A copy that no compiler and no analyser knows the content of: it lies in writable memory. */
static inline char *writable(const char *text) {
    char *copy = strdup(text);
    __asm__ volatile("" : "+r"(copy)::"memory");
    return copy;
}

/* Whether a file of this name is mapped into the process. */
static inline int is_mapped(const char *name) {
    char line[4096];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        found |= strstr(line, name) != NULL;
    if (maps != NULL)
        fclose(maps);
    return found;
}

#endif
