/* The texts that a buffer in the function's frame may hold at a call: what printf, strcpy and their kin put there, and
 * constants that the compiler stores piece by piece.
 */
#ifndef PINION_POLICYGEN_BUFFER_H
#define PINION_POLICYGEN_BUFFER_H

#include "policygen/memory.h"
#include "policygen/template.h"

/* ANY where it is not known. */
void buffer_texts(struct memory *memory, uint32_t before, int32_t offset, struct templates *texts);

#endif
