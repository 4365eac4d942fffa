/* See site.h. */
#include "preload/site.h"

#include "preload/state.h"

const struct policy_site *site_of(const struct mapped_module *module, uint64_t return_address, unsigned api) {
    return policy_find_site(STATE->policy, module->rules, (uint32_t)(return_address - module->bias), api);
}

/* ModRM, SIB and displacement of "FF /2", as long as the bytes before the return address allow: 2 to 7 bytes and
 * one for a REX prefix, which need not be looked at. */
static bool is_indirect_call(const uint8_t *end, unsigned length) {
    const uint8_t *at = end - length;
    if (at[0] != 0xff || (at[1] & 0x38) != 0x10)
        return false;
    unsigned mode = at[1] >> 6, base = at[1] & 7, expected = 2;
    if (mode != 3 && base == 4) {
        expected++;
        if (mode == 0 && (at[2] & 7) == 5)
            expected += 4;
    } else if (mode == 0 && base == 5) {
        expected += 4;
    }
    expected += mode == 1 ? 1 : mode == 2 ? 4 : 0;
    return expected == length;
}

enum preceding_call preceding_call(uint64_t return_address, uint64_t code_low) {
    const uint8_t *end = (const uint8_t *)return_address;
    uint64_t before = return_address - code_low;
    bool direct = before >= 5 && end[-5] == 0xe8;
    for (unsigned length = 2; length <= 7 && length <= before; length++)
        if (is_indirect_call(end, length))
            return PRECEDED_BY_INDIRECT_CALL;
    return direct ? PRECEDED_BY_DIRECT_CALL : PRECEDED_BY_NOTHING;
}

static bool is_loose(const struct call *call) {
    unsigned how = policy_looseness(STATE->policy, call->module->rules, call->index);
    if (how == 0)
        return false;
    enum preceding_call preceding = preceding_call(call->registers->return_address, call->module->code_low);
    /* A byte sequence may read as both; the looser reading is the one that does not refuse a real call. */
    return preceding == PRECEDED_BY_INDIRECT_CALL || (how == LOOSE_AFTER_ANY_CALL && preceding != PRECEDED_BY_NOTHING);
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
