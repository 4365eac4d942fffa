/* Which registers and memory may hold addresses of a function's own frame at each of its instructions, and from where on
 * code outside the function may know one. One flow-sensitive pass over the flow graph; it only ever errs towards more.
 *
 * Assumption, stated in the documentation: memory whose address is known outside changes only where the program hands
 * over control or waits: in calls. What a signal handler or another thread changes without synchronising, in the midst of
 * the function, is not looked for in buffers and structures; such a program is undefined in C.
 */
#ifndef PINION_POLICYGEN_ESCAPE_H
#define PINION_POLICYGEN_ESCAPE_H

#include "policygen/effects.h"
#include "policygen/flow.h"

struct escape_state {
    uint16_t registers; /* that may hold an address of the frame, or something computed from one */
    bool vectors;       /* some vector register may */
    bool spilled;       /* memory of the frame itself may */
    bool escaped;       /* other memory may, or a function that was called has kept one */
};

struct escape {
    const struct flow *flow;
    struct escape_state *before;   /* per instruction */
    const struct effect **effects; /* per instruction: of a call, what is known of the called function, or NULL */
};

struct escape *escape_find(const struct flow *flow);
void escape_free(struct escape *escape);

/* Whether a register may hold an address of the frame before an instruction. */
bool escape_may_hold(const struct escape *escape, uint32_t instruction, uint8_t number);
/* Whether a called function of which nothing is known may know an address of the frame. */
bool escape_reaches_callee(const struct escape *escape, uint32_t call);

#endif
