/* The ways to apply a recipe. Each makes the fix ready inside a stage; none touches the target.
 */
#ifndef PINION_TOOLS_PATCH_METHOD_H
#define PINION_TOOLS_PATCH_METHOD_H

#include "tools/patch/recipe.h"
#include "tools/patch/stage.h"

/* What is known before anything is done; texts are owned. */
struct method_plan {
    char *from, *to; /* versions, or NULL */
    char **packages; /* "libssl3 3.0.20 -> 3.0.22", one for each that is touched */
    size_t package_count;
    uint64_t download;  /* bytes to be fetched; 0 where it cannot be known before */
    uint64_t installed; /* bytes needed in the target, an estimate from above */
};

enum method_readiness {
    METHOD_READY,
    METHOD_NOTHING, /* the installed version is not older than the fixed one, or the package is not there */
    METHOD_UNMET,   /* something has to be done first: the mistake says what */
};

/* Added up over the commands of a step. */
struct method_cost {
    uint64_t downloaded; /* bytes */
    uint64_t memory;     /* bytes: greatest resident set of one process */
};

struct method {
    /* Looks at the target without changing it. */
    enum method_readiness (*plan)(const struct recipe *recipe, const struct target *target, struct method_plan *plan,
                                  struct mistake *mistake);
    /* Downloads into STAGE_WORK of the stage and verifies all of it. */
    bool (*fetch)(const struct recipe *recipe, const struct stage *stage, struct method_cost *cost,
                  struct mistake *mistake);
    /* Installs inside the stage; whatever it needed only for that is gone from the stage afterwards. */
    bool (*install)(const struct recipe *recipe, const struct stage *stage, struct method_cost *cost,
                    struct mistake *mistake);
};

extern const struct method method_apt, method_apk, method_files, method_build, method_script;
const struct method *method_of(enum recipe_method method);
void method_plan_free(struct method_plan *plan);

/* Fetches an URL (https, http, file) to a path inside the stage's STAGE_WORK and checks size and digest; at most `size`
 * bytes are ever written. */
bool method_download(const struct stage *stage, const struct recipe_file *file, const char *url, const char *name,
                     struct method_cost *cost, struct mistake *mistake);

#endif
