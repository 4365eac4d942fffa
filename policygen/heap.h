/* Texts in new memory, as strdup and asprintf make them: whether one is still what was put there when it is used. Nobody
 * but the function itself can have changed it as long as its address has got nowhere else, and that is all that is looked
 * for here. For finished flow graphs only.
 */
#ifndef PINION_POLICYGEN_HEAP_H
#define PINION_POLICYGEN_HEAP_H

#include "policygen/memory.h"

/* Whether no instruction on any way from the call that made a text to its use may have changed it or given it away. */
bool heap_is_untouched(struct memory *memory, uint32_t made, uint32_t use);

#endif
