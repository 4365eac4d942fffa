/* The folders from which programs load libraries by themselves. A folder is looked into once, however many programs name
 * it.
 */
#ifndef PINION_POLICYGEN_PLUGINS_H
#define PINION_POLICYGEN_PLUGINS_H

#include "policygen/closure.h"

struct folder {
    char **files; /* shared objects in it and below, ordered */
    size_t count;
};

struct plugins {
    const struct root *root;
    const struct library_paths *paths; /* of glibc and of musl */
    struct map folders;                /* name -> struct folder */
    struct map usable;                 /* name -> whether constants that name it may mean plug-ins */
};

void plugins_free(struct plugins *plugins);

/* The shared objects in a folder and below. */
const struct folder *plugins_folder(struct plugins *plugins, const char *path);

/* Calls for each folder that an object's constants name, or that is known of objects of its name; not for those in which
 * the loader searches by itself. */
void plugins_of(struct plugins *plugins, const struct library *library,
                void (*found)(void *context, const struct folder *folder), void *context);

#endif
