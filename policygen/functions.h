/* The functions of an object: one per frame description entry (FDE), and one per gap between them, so that every
 * byte of code belongs to exactly one. A "cold" part that the compiler moved away has an entry of its own and
 * counts as a function here; flow.h joins it to the one it came from.
 */
#ifndef PINION_POLICYGEN_FUNCTIONS_H
#define PINION_POLICYGEN_FUNCTIONS_H

#include "policygen/object.h"

#define NO_FUNCTION UINT32_MAX

enum function_kind {
    FUNCTION_FRAME, /* has an FDE */
    FUNCTION_FOUND, /* has none; begins at a place that something calls or points to */
    FUNCTION_GAP,   /* code that no FDE covers and nothing is known to call */
};

struct function {
    uint32_t start, end;
    uint32_t landing_table; /* language-specific data (LSDA), or 0 */
    uint8_t kind;           /* enum function_kind */
    bool fragment;          /* its frame does not begin as that of a called function */
    /* Filled in by the scan: */
    bool returns;         /* holds a return instruction */
    bool undecodable;     /* some of its bytes are no instructions */
    bool falls_out;       /* its last instruction may fall into what follows */
    uint64_t fingerprint; /* see fingerprint.h */
};

struct functions {
    struct function *items; /* ordered, disjoint, covering all code */
    size_t count;
};

void functions_find(const struct object *object, struct functions *functions);
/* Splits the gaps at these addresses, which must be ordered. */
void functions_split_gaps(struct functions *functions, const uint32_t *starts, size_t count);
void functions_free(struct functions *functions);

/* Index of the function that holds the address, or NO_FUNCTION. */
uint32_t functions_at(const struct functions *functions, uint64_t address);

/* The landing pads of a function, appended to the array. Returns false when its table cannot be read. */
bool function_landing_pads(const struct object *object, const struct function *function, uint32_t **pads,
                           size_t *count);

#endif
