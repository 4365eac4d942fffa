/* The tail-call closure: in which functions the callee of a direct call may be found on the stack, because the function
 * called went on to them by jumps. The stack check compares frames with it, so nothing may be missing.
 */
#ifndef PINION_POLICYGEN_TAILS_H
#define PINION_POLICYGEN_TAILS_H

#include "policygen/analysis.h"

void tails_find(struct analysis *analysis);
void tails_free(struct analysis *analysis);

#endif
