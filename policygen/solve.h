/* The value analysis of one flow graph: equations made on demand, one per (point, register or stack slot), solved to a
 * fixpoint. A value is final only when nothing is left to do, so loops are sound.
 */
#ifndef PINION_POLICYGEN_SOLVE_H
#define PINION_POLICYGEN_SOLVE_H

#include "policygen/flow.h"
#include "policygen/value.h"

struct solver;

/* An optimistic solver takes blocks that nothing reaches for dead; only the search for jump tables wants that. */
struct solver *solver_new(const struct flow *flow, bool optimistic);
void solver_free(struct solver *solver);

/* The value of a register before an instruction. */
struct abstract solver_register(struct solver *solver, uint32_t instruction, uint8_t number);
/* The value of an operand of an instruction, before it. Valid until the solver is freed. */
struct abstract solver_operand(struct solver *solver, uint32_t instruction, const struct operand *operand);

#endif
