/* The model that the shim would score with, seen from outside: what it is, or why it is not used. */
#ifndef PINION_TOOLS_MODEL_VIEW_H
#define PINION_TOOLS_MODEL_VIEW_H

#include "tools/findings.h"
#include "tools/process.h"

/* Where the shim looks. */
struct model_place {
    const char *root;      /* to be put before the paths */
    const char *given;     /* PINION_MODEL, or NULL; empty: none is wanted */
    const char *directory; /* of policies: there it is pinion.model */
};

/* What the model is, in some words; NULL when there is none that can be used: then a finding says so if one is there
 * or was asked for. For a running process, whether it scores with it (process->pid is 0 for none), and whether its page of
 * counts (NULL: not known) has intervals of the same length. */
char *examine_model(struct findings *findings, const struct model_place *place, const struct process *process,
                    const char *page);

#endif
