/* See site.h. */
#include "preload/site.h"

#include "preload/calls.h"
#include "preload/state.h"

const struct policy_site *site_of(const struct mapped_module *module, uint64_t return_address, unsigned api) {
    return policy_find_site(STATE->policy, module->rules, (uint32_t)(return_address - module->bias), api);
}

static bool is_loose(const struct call *call) {
    uint64_t address = call->registers->return_address;
    switch (policy_looseness(STATE->policy, call->module->rules, call->index)) {
    case LOOSE_AFTER_ANY_CALL: return call_before(call->module, address).kind != CALL_NONE;
    case LOOSE_AFTER_INDIRECT_CALL: return is_after_indirect_call(call->module, address);
    default: return false;
    }
}

void site_find(struct call *call) {
    uint64_t address = call->registers->return_address;
    call->module = module_of_code(address);
    if (call->module == NULL || (call->module->late && !module_is_confirmed(call->module))) {
        if (STATE->modules == NULL || !modules_refresh())
            return;
        call->module = module_of_code(address);
    }
    if (call->module == NULL || call->module->rules == NULL)
        return;
    call->site = site_of(call->module, address, call->index);
    if (call->site == NULL)
        call->loose = is_loose(call);
}
