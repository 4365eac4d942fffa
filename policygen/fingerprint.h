/* Names a function by its instructions, so that it is known again in another build of its object: what only tells
 * where things lie is left out. Fed by the scan, one instruction after the other.
 */
#ifndef PINION_POLICYGEN_FINGERPRINT_H
#define PINION_POLICYGEN_FINGERPRINT_H

#include <stdint.h>

#include "policygen/object.h"
#include "policygen/outline.h"

struct fingerprint {
    uint64_t state;
    uint32_t start, end;  /* of the function */
    uint32_t first, last; /* addresses that constants of the code may hold; none where first > last */
};

void fingerprint_begin(struct fingerprint *fingerprint, const struct object *object, uint32_t start, uint32_t end);
/* Of the bytes so many may be read, which are at least the instruction's. `import` is the name of the imported function to which the instruction leads, or NULL. */
void fingerprint_add(struct fingerprint *fingerprint, const struct outline *instruction, const uint8_t *bytes,
                     size_t readable, uint32_t address, const char *import);
/* Never 0, which stands for an unknown one. */
uint64_t fingerprint_end(const struct fingerprint *fingerprint);

#endif
