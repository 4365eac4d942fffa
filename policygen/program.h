/* A program with all objects of its process, and how they are joined into its policy. */
#ifndef PINION_POLICYGEN_PROGRAM_H
#define PINION_POLICYGEN_PROGRAM_H

#include "policygen/summary.h"
#include "runtime/document.h"

struct program_module {
    const char *path;
    const char *soname; /* NULL when absent */
    const struct summary *summary;
    bool plugin; /* loaded by the program itself, so its exports are reached through pointers */
};

struct program {
    struct program_module *modules; /* [0] is the program itself */
    size_t module_count;
};

struct argument_counts {
    size_t set, masked, any, meaningless;
};

/* What a policy covers, for the coverage report. */
struct coverage {
    size_t sites;             /* (API, return address) pairs */
    size_t constrained_sites; /* with at least one constrained argument */
    size_t pointed;           /* return addresses behind which loose functions may be called through pointers */
    size_t loose;             /* APIs that a module may also call from places that cannot be listed */
    size_t calls;             /* instructions that call APIs */
    size_t tails;             /* jumps to APIs: the caller is whoever called the function that jumps */
    size_t open_tails;        /* those of which not every caller can be listed */
    size_t unknown_lookups;   /* calls of dlsym with names that are not known */
    size_t loosened;          /* arguments that may hold anything for this reason alone */
    size_t loosened_tails;    /* those of open_tails that are open for this reason alone */
    size_t loosened_apis;     /* of the whole program: APIs that are loose for this reason alone */
    struct argument_counts arguments;
    size_t unknown[UNKNOWN_COUNT]; /* arguments, by reason */
};

/* Fills the document; `coverage` has one element per module. */
void program_link(const struct program *program, struct document *document, struct coverage *coverage);

#endif
