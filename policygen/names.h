/* Where an object gives names to dlsym without calling it: through functions that hand them on, or through a pointer.
 */
#ifndef PINION_POLICYGEN_NAMES_H
#define PINION_POLICYGEN_NAMES_H

#include "policygen/analysis.h"

/* Fills analysis->lookups, but for what the names may be. */
void names_find(struct analysis *analysis);

#endif
