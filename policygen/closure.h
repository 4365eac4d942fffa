/* Finds the objects that a program's dynamic loader would load: the way ld.so searches, by DT_RPATH, DT_RUNPATH,
 * ld.so.conf and the default directories, under glibc or musl. No environment variable is consulted.
 */
#ifndef PINION_POLICYGEN_CLOSURE_H
#define PINION_POLICYGEN_CLOSURE_H

#include "policygen/object.h"

struct library_paths {
    char **directories; /* in search order */
    size_t count;
};

/* The system's directories, for programs of glibc or musl. */
void library_paths_read(struct library_paths *paths, bool musl);
void library_paths_free(struct library_paths *paths);

/* The path of a needed library, or NULL. `loader` is the object that needs it, `program` the one that started the
 * process, whose DT_RPATH counts too. The caller frees. */
char *closure_find(const struct library_paths *paths, const struct object *loader, const struct object *program,
                   const char *name);

/* Variants of a library for better processors (glibc-hwcaps), of which the loader takes one on the machine that runs
 * the program: all of them. */
void closure_variants(const struct library_paths *paths, const char *name, char ***variants, size_t *count);

/* Whether the interpreter is musl's loader. */
bool is_musl(const char *interpreter);

#endif
