/* Goes by the names of symbols alone: whoever defines the function that is called, it counts as one that hands on.
 */
#include "policygen/names.h"

#include <string.h>

#include "policygen/lookups.h"
#include "runtime/api.h"
#include "runtime/util.h"

/* A call instruction of this length has no prefix; one that has is not decoded from here, and its name not known. */
#define CALL_BYTES 5

static struct lookup_call *add(struct analysis *analysis, struct lookup_call call) {
    struct lookup_call *made = array_append(analysis->lookups, analysis->lookup_count);
    *made = call;
    rules_any(&made->name, UNKNOWN_UNDECODED);
    return made;
}

static void add_pointer(struct analysis *analysis, uint32_t address) {
    add(analysis, (struct lookup_call){.address = address, .function = NO_FUNCTION, .undecoded = true});
}

static void add_imported(struct analysis *analysis, uint32_t symbol, unsigned argument) {
    const struct scan *scan = &analysis->scan;
    for (size_t i = 0; i < scan->import_call_count; i++) {
        const struct import_call *call = &scan->import_calls[i];
        if (call->symbol == symbol)
            add(analysis, (struct lookup_call){.address = call->address,
                                               .return_address = call->return_address,
                                               .function = call->function,
                                               .argument = argument,
                                               .undecoded = call->undecoded});
    }
    for (size_t i = 0; i < scan->import_jump_count; i++) {
        const struct import_jump *jump = &scan->import_jumps[i];
        if (jump->symbol == symbol)
            add(analysis, (struct lookup_call){.address = jump->address,
                                               .function = jump->function,
                                               .argument = argument,
                                               .undecoded = jump->undecoded});
    }
}

/* The function is the object's own. */
static void add_own(struct analysis *analysis, uint32_t start, unsigned argument) {
    const struct scan *scan = &analysis->scan;
    uint32_t function = functions_at(&analysis->functions, start);
    for (size_t i = 0; i < scan->call_count; i++) {
        const struct direct_call *call = &scan->calls[i];
        if (call->target == start)
            add(analysis, (struct lookup_call){.address = call->return_address - CALL_BYTES,
                                               .return_address = call->return_address,
                                               .function = functions_at(&analysis->functions, call->return_address - 1),
                                               .argument = argument});
    }
    for (size_t i = 0; i < scan->jump_count; i++) {
        const struct direct_jump *jump = &scan->jumps[i];
        if (jump->target == start)
            add(analysis,
                (struct lookup_call){.address = jump->address, .function = jump->function, .argument = argument});
    }
    if (function == NO_FUNCTION || analysis->address_taken[function])
        add_pointer(analysis, start);
}

static void add_pointers(struct analysis *analysis) {
    for (size_t i = 0; i < analysis->taken_count; i++) {
        const struct symbol *symbol = &analysis->object.symbols[analysis->taken[i].symbol];
        if (symbol->api == API_dlsym || symbol->api == API_dlvsym || lookups_hands_on(symbol->name))
            add_pointer(analysis, analysis->taken[i].source);
    }
}

void names_find(struct analysis *analysis) {
    const struct object *object = &analysis->object;
    for (unsigned i = 0; i < handing_on_count; i++) {
        const struct handing_on *row = &handing_on_table[i];
        size_t at = analysis_symbols_from(analysis, row->function);
        for (; at < object->symbol_count; at++) {
            uint32_t symbol = analysis->symbol_order[at];
            if (strcmp(object->symbols[symbol].name, row->function) != 0)
                break;
            add_imported(analysis, symbol, row->argument);
            if (object->symbols[symbol].exported)
                add_own(analysis, object->symbols[symbol].value, row->argument);
        }
    }
    add_pointers(analysis);
}
