/* Intercepted functions whose address is loaded into a register: calls through it are sites like others, and only where
 * the address gets any further does it count as taken.
 */
#ifndef PINION_POLICYGEN_HELD_H
#define PINION_POLICYGEN_HELD_H

#include "policygen/analysis.h"

/* Marks the slot loads that were followed to all their uses; adds the calls and jumps found. */
void held_find(struct analysis *analysis);

#endif
