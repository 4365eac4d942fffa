/* Finds all objects of programs, inside one root, and sees to it that every file is opened and analysed once, however
 * many programs share it.
 */
#ifndef PINION_POLICYGEN_LOADER_H
#define PINION_POLICYGEN_LOADER_H

#include "policygen/cache.h"
#include "policygen/closure.h"
#include "policygen/plugins.h"
#include "policygen/program.h"
#include "policygen/workers.h"

/* One program with the objects that its process may hold. */
struct subject {
    char *name;                  /* owned: as it was named */
    const char *problem;         /* why it cannot be protected; then there is nothing else */
    struct library_paths *paths; /* of its libc */
    struct loaded *modules;      /* [0] is the program itself */
    size_t module_count;
    bool *plugins;        /* per module */
    size_t plugin_count;  /* room of that array */
    size_t looked_at;     /* modules whose names and folders are already followed */
    bool name_services;   /* are added */
    bool unnamed_plugins; /* it loads libraries whose names are not known */
    bool found_plugins;   /* in folders, or given */
};

static inline bool subject_lacks_plugins(const struct subject *subject) {
    return subject->unnamed_plugins && !subject->found_plugins;
}

struct loader {
    const struct root *root;
    const struct cache *cache; /* or NULL */
    struct workers *workers;
    const char *const *also; /* plug-ins, files or directories, for every program */
    size_t also_count;
    struct library_paths paths[2]; /* of glibc and musl */
    struct plugins plugins;
    struct map by_path;
    struct map by_file; /* device and inode */
    struct library **libraries;
    size_t library_count;
    struct subject **subjects;
    size_t subject_count;
};

void loader_init(struct loader *loader, const struct root *root, struct workers *workers, const struct cache *cache);
void loader_free(struct loader *loader);

/* Adds a program. Ends the process when the file cannot be read. */
void loader_add(struct loader *loader, const char *path);
/* Completes all programs: afterwards every object that they may load is found and summarised. */
void loader_finish(struct loader *loader);

/* The program as the linker wants it; to be freed with program_free. */
void loader_program(const struct subject *subject, struct program *program);
void program_free(struct program *program);

#endif
