/* From the values that can reach a call to the rules for its arguments. */
#ifndef PINION_POLICYGEN_ARGUMENTS_H
#define PINION_POLICYGEN_ARGUMENTS_H

#include "policygen/analysis.h"

/* Follows the arguments of every decoded call and jump of the object to an intercepted function. */
void arguments_find(struct analysis *analysis);

#endif
