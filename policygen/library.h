/* One file with an object in it, program or library: what its headers say of how it is loaded, and its summary, once it has
 * one. However many programs share the file, it is one library, under its one real name.
 */
#ifndef PINION_POLICYGEN_LIBRARY_H
#define PINION_POLICYGEN_LIBRARY_H

#include "policygen/object.h"
#include "policygen/root.h"
#include "policygen/summary.h"

struct library {
    char *path;                                   /* real name inside the root; this and all texts are owned */
    char *soname, *rpath, *runpath, *interpreter; /* NULL when absent */
    char **needed;
    size_t needed_count;
    size_t size;                                 /* of the file, bytes */
    bool go, has_dynamic, fixed, marked_program; /* ET_EXEC; DF_1_PIE */
    struct identity identity;
    bool queued;  /* to be summarised */
    void *memory; /* of the summary; NULL before there is one */
    struct summary summary;
};

/* Reads the headers of the file; NULL and why, when it is none that can be used. */
struct library *library_open(const struct root *root, const char *path, enum object_problem *problem);
void library_free(struct library *library);

/* Whether the pattern matches the name of the file or the soname, which may be NULL. */
bool library_is_named(const char *path, const char *soname, const char *pattern);

/* Analyses the file, or takes the summary from the cache, where that is not NULL. Different libraries may be summarised
 * at the same time. */
struct cache;
void library_summarise(struct library *library, const struct root *root, const struct cache *cache);

#endif
