/* The shared objects a program is linked with, found as its dynamic linker finds them. */
#ifndef PINION_TOOLS_CLOSURE_H
#define PINION_TOOLS_CLOSURE_H

#include "tools/object.h"

struct closure {
    char **paths; /* of the libraries, in the order in which they are loaded; the program is not among them */
    size_t path_count;
    char **missing; /* names that were not found */
    size_t missing_count;
};

/* `root` is put before all paths: "" or the root of an image; the paths found do not contain it. */
void closure_find(struct closure *closure, const char *root, const struct object *program);
void closure_free(struct closure *closure);

#endif
