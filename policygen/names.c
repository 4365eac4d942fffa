/* Goes by the names of symbols alone: whoever defines the function that is called, it counts as one that hands on.
 */
#include "policygen/names.h"

#include <stdlib.h>
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

/* What is known of the object's symbols that hand names on. */
struct handers {
    uint8_t *arguments; /* per symbol: which argument is the name, counted from 1; 0 where it hands none on */
    struct uses starts; /* address of a function of the object's own -> which argument, counted from 0; ordered */
};

static int compare_uses(const void *a, const void *b) {
    const struct use *x = a, *y = b;
    return x->key < y->key ? -1 : x->key > y->key;
}

static void find_handers(const struct analysis *analysis, struct handers *handers) {
    const struct object *object = &analysis->object;
    handers->arguments = xcalloc(object->symbol_count + 1, sizeof *handers->arguments);
    for (unsigned i = 0; i < handing_on_count; i++) {
        const struct handing_on *row = &handing_on_table[i];
        for (size_t at = analysis_symbols_from(analysis, row->function); at < object->symbol_count; at++) {
            uint32_t symbol = analysis->symbol_order[at];
            if (strcmp(object->symbols[symbol].name, row->function) != 0)
                break;
            handers->arguments[symbol] = (uint8_t)(row->argument + 1);
            if (object->symbols[symbol].exported)
                *array_append(handers->starts.items, handers->starts.count) =
                    (struct use){object->symbols[symbol].value, row->argument};
        }
    }
    if (handers->starts.count > 0)
        qsort(handers->starts.items, handers->starts.count, sizeof *handers->starts.items, compare_uses);
}

static void add_imported(struct analysis *analysis, const struct handers *handers) {
    const struct scan *scan = &analysis->scan;
    for (size_t i = 0; i < scan->import_call_count; i++) {
        const struct import_call *call = &scan->import_calls[i];
        if (handers->arguments[call->symbol] > 0)
            add(analysis, (struct lookup_call){.address = call->address,
                                               .return_address = call->return_address,
                                               .function = call->function,
                                               .argument = handers->arguments[call->symbol] - 1u,
                                               .undecoded = call->undecoded});
    }
    for (size_t i = 0; i < scan->import_jump_count; i++) {
        const struct import_jump *jump = &scan->import_jumps[i];
        if (handers->arguments[jump->symbol] > 0)
            add(analysis, (struct lookup_call){.address = jump->address,
                                               .function = jump->function,
                                               .argument = handers->arguments[jump->symbol] - 1u,
                                               .undecoded = jump->undecoded});
    }
}

/* Which argument a function that begins here hands on, or NULL. */
static const struct use *handed(const struct handers *handers, uint32_t start) {
    size_t at = uses_from(&handers->starts, start);
    return at < handers->starts.count && handers->starts.items[at].key == start ? &handers->starts.items[at] : NULL;
}

/* The functions are the object's own. */
static void add_own(struct analysis *analysis, const struct handers *handers) {
    const struct scan *scan = &analysis->scan;
    const struct use *use;
    for (size_t i = 0; handers->starts.count > 0 && i < scan->call_count; i++) {
        const struct direct_call *call = &scan->calls[i];
        if ((use = handed(handers, call->target)) != NULL)
            add(analysis, (struct lookup_call){.address = call->return_address - CALL_BYTES,
                                               .return_address = call->return_address,
                                               .function = functions_at(&analysis->functions, call->return_address - 1),
                                               .argument = use->value});
    }
    for (size_t i = 0; handers->starts.count > 0 && i < scan->jump_count; i++) {
        const struct direct_jump *jump = &scan->jumps[i];
        if ((use = handed(handers, jump->target)) != NULL)
            add(analysis,
                (struct lookup_call){.address = jump->address, .function = jump->function, .argument = use->value});
    }
    for (size_t i = 0; i < handers->starts.count; i++) {
        uint32_t function = functions_at(&analysis->functions, handers->starts.items[i].key);
        if (function == NO_FUNCTION || analysis->address_taken[function])
            add_pointer(analysis, handers->starts.items[i].key);
    }
}

static void add_pointers(struct analysis *analysis) {
    for (size_t i = 0; i < analysis->taken_count; i++) {
        const struct symbol *symbol = &analysis->object.symbols[analysis->taken[i].symbol];
        if (symbol->api == API_dlsym || symbol->api == API_dlvsym || lookups_hands_on(symbol->name))
            add_pointer(analysis, analysis->taken[i].source);
    }
}

void names_find(struct analysis *analysis) {
    struct handers handers = {0};
    find_handers(analysis, &handers);
    add_imported(analysis, &handers);
    add_own(analysis, &handers);
    add_pointers(analysis);
    free(handers.arguments);
    free(handers.starts.items);
}
