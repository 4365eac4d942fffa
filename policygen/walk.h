/* Which return addresses can be on the stack when a function is entered by a tail call? Walks go from the function to its
 * callers, through every object of the process, until only calls are left.
 *
 * Where a walk meets a function whose address is taken, any indirect call of any module may be the caller, and so may the
 * callers of every function that itself ends in an indirect jump, and the kernel (signal handlers): it is `pointed`.
 */
#ifndef PINION_POLICYGEN_WALK_H
#define PINION_POLICYGEN_WALK_H

#include "policygen/entries.h"

struct place {
    uint32_t module, function;
};

/* Can be used for one walk after the other. */
struct walk {
    const struct entries *entries;
    const struct program *program;
    uint32_t **visited; /* per module, per function: the number of the last walk that came here */
    uint32_t number;
    struct place *queue; /* functions still to look at */
    size_t queued, next;
    struct uses *returns; /* per module: key is the return address; ordered, no doubles */
    bool *kept;     /* per module: it may call some function of the walk through a pointer that it keeps to itself */
    bool pointed;   /* some function of the walk may be called through a pointer */
    bool looked_up; /* the same, if a name that is not known is that of some function of the walk */
    bool from_pointers; /* it began at jumps through pointers of the program's own */
    size_t visits;      /* of all walks */
};

/* All walks of real programs together need some thousands. Walks beyond find too little. */
#define MAX_VISITS (1u << 22)

static inline bool walk_is_exhausted(const struct walk *walk) {
    return walk->visits > MAX_VISITS;
}

void walk_init(struct walk *walk, const struct entries *entries);
void walk_free(struct walk *walk);

/* Forgets the last walk. */
void walk_begin(struct walk *walk);
void walk_add(struct walk *walk, uint32_t module, uint32_t function);
void walk_run(struct walk *walk);

/* Whether the last walk found this return address in the module. */
bool walk_returns_to(const struct walk *walk, uint32_t module, uint32_t return_address);

#endif
