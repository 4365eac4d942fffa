/* Principal components: the directions in which rows vary most. */
#ifndef PINION_TOOLS_COMPONENTS_H
#define PINION_TOOLS_COMPONENTS_H

#include <stddef.h>

#include "tools/random.h"

/* `rows` is [count][padded(inputs)], its columns have mean zero; `basis` takes `components` orthonormal rows of that
 * length. Directions in which nothing varies are left zero. */
void principal_components(const float *rows, size_t count, size_t inputs, size_t components, struct random *random,
                          float *basis);

#endif
