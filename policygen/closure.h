/* Finds the objects that a program's dynamic loader would load: the way ld.so searches, by DT_RPATH, DT_RUNPATH,
 * ld.so.conf and the default directories, under glibc or musl, all inside one root. No environment variable is consulted.
 */
#ifndef PINION_POLICYGEN_CLOSURE_H
#define PINION_POLICYGEN_CLOSURE_H

#include "policygen/library.h"
#include "policygen/map.h"

/* The system's directories, and what was found there. */
struct library_paths {
    const struct root *root;
    char **directories; /* in search order */
    size_t count;
    struct map found; /* name -> struct found_library */
};

/* A library as one program loads it. */
struct loaded {
    struct library *file;
    char *path; /* owned: the name by which the loader finds it */
};

/* For programs of glibc or musl. */
void library_paths_read(struct library_paths *paths, const struct root *root, bool musl);
void library_paths_free(struct library_paths *paths);

/* The path of a needed library, or NULL. `needing` is the object that needs it, `program` the one that started the
 * process, whose DT_RPATH counts too. The caller frees. */
char *closure_find(struct library_paths *paths, const struct loaded *needing, const struct loaded *program,
                   const char *name);

/* Variants of a library for better processors (glibc-hwcaps), of which the loader takes one on the machine that runs
 * the program: all of them. The paths belong to `paths`. */
void closure_variants(struct library_paths *paths, const char *name, char *const **variants, size_t *count);

/* Whether the directory is one of the system's, or holds one of them. */
bool closure_is_system_directory(const struct library_paths *paths, const char *real_path);

/* Whether the interpreter is musl's loader. */
bool is_musl(const char *interpreter);

#endif
