/* See site.h. */
#include "preload/site.h"

#include "preload/calls.h"
#include "preload/state.h"

const struct policy_site *site_of(const struct mapped_module *module, uint64_t return_address, unsigned api) {
    return policy_find_site(STATE->policy, module->rules, (uint32_t)(return_address - module->bias), api);
}

static bool is_loose(const struct call *call) {
    uint64_t address = call->registers->return_address;
    unsigned how = policy_looseness(STATE->policy, call->module->rules, call->index);
    if (how != 0 && policy_is_return(STATE->policy, call->module->rules, (uint32_t)(address - call->module->bias)))
        return true;
    switch (how) {
    case LOOSE_AFTER_ANY_CALL: return call_before(call->module, address).kind != CALL_NONE;
    case LOOSE_AFTER_INDIRECT_CALL: return is_after_indirect_call(call->module, address);
    default: return false;
    }
}

/* The map may be replaced while the call is examined, so what it says of the caller is copied. */
static bool find_caller(struct call *call) {
    bool found = module_copy(call->registers->return_address, call->caller);
    call->module = found ? call->caller : NULL;
    return found && (!call->caller->late || module_is_confirmed(call->caller));
}

void site_find(struct call *call) {
    if (!find_caller(call)) {
        if (STATE->modules == NULL || !modules_refresh())
            return;
        find_caller(call);
    }
    if (call->module == NULL || call->module->rules == NULL)
        return;
    call->site = site_of(call->module, call->registers->return_address, call->index);
    if (call->site == NULL)
        call->loose = is_loose(call);
}
