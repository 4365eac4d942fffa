/* Rows of kept.def: functions whose address their object keeps to itself.
 */
#ifndef PINION_POLICYGEN_KEPT_H
#define PINION_POLICYGEN_KEPT_H

#include "policygen/program.h"

/* Whether a function whose address is taken can only be called from its own object: through a pointer, or by name. */
bool kept_is(const struct program_module *module, uint32_t function);

#endif
