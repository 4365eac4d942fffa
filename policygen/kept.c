/* Compares a row of kept.def with the object's summary. What a row says is believed only of an object that looks like the
 * one that was read.
 */
#include "policygen/kept.h"

#include "policygen/library.h"
#include "runtime/api.h"

struct kept {
    const char *object; /* pattern of sonames or file names */
    uint16_t api;
    uint32_t functions;
};

static const struct kept kept_table[] = {
#define KEEPS(object, api, functions) {object, API_##api, functions},
#include "policygen/kept.def"
};

static bool is_taken(const struct summary *summary, uint32_t function) {
    return function < summary->functions_count && (summary->functions[function].flags & SUMMARY_FUNCTION_TAKEN) != 0;
}

static bool is_stored_alone(const struct summary *summary, uint32_t function) {
    return (summary->functions[function].flags & SUMMARY_FUNCTION_STORED) != 0;
}

static bool fits(const struct kept *row, const struct summary *summary, uint32_t function) {
    uint32_t found = 0;
    bool asked = false;
    for (uint32_t i = 0; i < summary->jumps_count; i++) {
        const struct summary_call *jump = &summary->jumps[i];
        if (jump->api != row->api || !is_taken(summary, jump->function))
            continue;
        if (!is_stored_alone(summary, jump->function))
            return false;
        found++;
        asked |= jump->function == function;
    }
    return asked && found == row->functions && summary->indirect_jumps_count == 0;
}

bool kept_is(const struct program_module *module, uint32_t function) {
    for (size_t i = 0; i < sizeof kept_table / sizeof *kept_table; i++) {
        if (library_is_named(module->path, module->soname, kept_table[i].object))
            return fits(&kept_table[i], module->summary, function);
    }
    return false;
}
