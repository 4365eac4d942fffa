/* The flow graphs of an object, each built at most once as long as there is room for it. */
#ifndef PINION_POLICYGEN_FLOWS_H
#define PINION_POLICYGEN_FLOWS_H

#include "policygen/flow.h"

struct flows;

struct flows *flows_new(const struct analysis *analysis);
void flows_free(struct flows *flows);

/* The graph to which the function belongs; valid until flows_trim. */
const struct flow *flows_get(struct flows *flows, uint32_t root);

/* Gives memory back where too much is held. All graphs may be gone then. */
void flows_trim(struct flows *flows);

const struct analysis *flows_analysis(const struct flows *flows);

#endif
