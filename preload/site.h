/* From a return address to the rules of its call site. */
#ifndef PINION_PRELOAD_SITE_H
#define PINION_PRELOAD_SITE_H

#include "preload/check.h"

/* Fills call->module, call->site and call->loose; brings the module map up to date if need be. */
void site_find(struct call *call);

/* The site of another API at the same return address, or NULL. */
const struct policy_site *site_of(const struct mapped_module *module, uint64_t return_address, unsigned api);

/* What the instruction before a return address is. */
enum preceding_call {
    PRECEDED_BY_NOTHING,
    PRECEDED_BY_DIRECT_CALL,
    PRECEDED_BY_INDIRECT_CALL,
};
enum preceding_call preceding_call(uint64_t return_address, uint64_t code_low);

#endif
