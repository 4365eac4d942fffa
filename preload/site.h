/* From a return address to the rules of its call site. */
#ifndef PINION_PRELOAD_SITE_H
#define PINION_PRELOAD_SITE_H

#include "preload/check.h"

/* Fills call->module, call->site and call->loose; brings the module map up to date if need be. */
void site_find(struct call *call);

/* The site of another API at the same return address, or NULL. */
const struct policy_site *site_of(const struct mapped_module *module, uint64_t return_address, unsigned api);

#endif
