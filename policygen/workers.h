/* Work on all processors: jobs that do not depend on one another, run by threads of a pool and by the thread that waits
 * for them. Which job runs when must not matter to their outcome.
 */
#ifndef PINION_POLICYGEN_WORKERS_H
#define PINION_POLICYGEN_WORKERS_H

#include <stdbool.h>
#include <stddef.h>

struct workers;

/* With `progress`, one line on standard error tells what is being done. */
struct workers *workers_new(unsigned threads, bool progress);
void workers_free(struct workers *workers);

struct job {
    void (*run)(void *context, void *subject);
    void *context, *subject;
    const char *doing; /* "analysing" */
    const char *name;  /* of the subject; both for people */
    size_t weight;     /* the heaviest go first, so that none is left over at the end */
};
void workers_add(struct workers *workers, struct job job);

/* Returns when everything added is done. */
void workers_wait(struct workers *workers);

#endif
