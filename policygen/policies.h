/* Policies to look at, from wherever they can be had: a policy's text, a directory of them, or a program, which is
 * analysed on the spot.
 */
#ifndef PINION_POLICYGEN_POLICIES_H
#define PINION_POLICYGEN_POLICIES_H

#include "runtime/document.h"

struct policies {
    const char *path;           /* as it was named */
    struct document *documents; /* ordered by program */
    size_t count;
    char **unprotected; /* owned: programs that no policy can protect */
    size_t unprotected_count;
};

/* How programs and images are analysed. */
struct analysis_options {
    const char *cache; /* directory of summaries, or NULL */
    const char **also; /* owned: plug-ins */
    size_t also_count;
};

/* Appends what the path names; ends the process with a message where it names nothing that can be read. */
void policies_add(struct policies *policies, const char *path, const struct analysis_options *options);
void policies_free(struct policies *policies);

#endif
