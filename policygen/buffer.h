/* The texts that a buffer in the function's frame may hold at a call, or new memory that the function just got: what
 * printf, strcpy and their kin put there, and constants that the compiler stores piece by piece.
 */
#ifndef PINION_POLICYGEN_BUFFER_H
#define PINION_POLICYGEN_BUFFER_H

#include "policygen/memory.h"
#include "policygen/template.h"

/* ANY where it is not known. */
void buffer_texts(struct memory *memory, uint32_t before, int32_t offset, struct templates *texts);

/* The texts to which a pointer leads that comes from here; `null`: it may be NULL, too. */
void buffer_texts_from(struct memory *memory, uint32_t before, struct pointer_origin origin, struct templates *texts,
                       bool *null);

#endif
