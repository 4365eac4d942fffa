/* Which objects there are: every file is opened and analysed once, however many programs share it. */
#ifndef PINION_POLICYGEN_LOADER_H
#define PINION_POLICYGEN_LOADER_H

#include "policygen/program.h"

struct library {
    struct analysis analysis;
    void *memory; /* of the summary; NULL before the analysis */
    struct summary summary;
};

struct loader {
    struct library **objects;
    size_t object_count;
    const char *const *also; /* plug-ins, files or directories, for every program */
    size_t also_count;
    bool progress; /* tell on standard error what is being done */
};

/* Finds all objects of a program and analyses the new ones. Returns false and prints why when the program cannot be
 * protected (a finding). Unreadable files end the process. Free the program with program_free. */
bool loader_program(struct loader *loader, const char *path, struct program *program);
void program_free(struct program *program);
void loader_free(struct loader *loader);

#endif
