/* The value analysis: equations made on demand, one per (point, register or stack slot) of a flow graph, solved to a
 * fixpoint. A value is final only when nothing is left to do, so loops are sound.
 *
 * Across functions, a parameter is what any caller passes, up to three callers deep, and a result what the called
 * function returns. Each function's callers are taken together, whichever way the question came; a called function
 * is looked at anew for each call.
 */
#ifndef PINION_POLICYGEN_SOLVE_H
#define PINION_POLICYGEN_SOLVE_H

#include "policygen/flows.h"
#include "policygen/value.h"

struct solver;

/* An optimistic solver takes blocks that nothing reaches for dead; only the search for jump tables wants that. */
struct solver *solver_new(const struct flow *flow, bool optimistic);
/* Follows values across functions. The graph that questions are about is flows_get(flows, root). */
struct solver *solver_across(struct flows *flows, uint32_t root);
/* The same for names that are looked up: an exported function that nothing in the object calls is an entry like others.
 * Elsewhere the bits of what it is given are worth more. */
struct solver *solver_names(struct flows *flows, uint32_t root);
/* The same for one call alone, the direct one that returns to this address and calls the start of the root. Its caller is
 * in a graph of its own. */
struct solver *solver_called(struct flows *flows, uint32_t root, uint32_t return_address);
void solver_free(struct solver *solver);

/* The value of a register before an instruction. */
struct abstract solver_register(struct solver *solver, uint32_t instruction, uint8_t number);
/* The value of an operand of an instruction, before it. Valid until the solver is freed. */
struct abstract solver_operand(struct solver *solver, uint32_t instruction, const struct operand *operand);
/* What an instruction puts into its destination, as far as that is a general register or memory of at most 8 bytes. */
struct abstract solver_result(struct solver *solver, uint32_t instruction);
/* Where a memory operand of an instruction lies. */
struct abstract solver_address(struct solver *solver, uint32_t instruction, const struct operand *operand);

#endif
