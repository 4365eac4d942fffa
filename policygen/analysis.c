/* Puts together what the scan of one object found, indexed by called function and by symbol name. */
#include "policygen/analysis.h"

#include <stdlib.h>
#include <string.h>

#include "policygen/arguments.h"
#include "policygen/flow.h"
#include "policygen/held.h"
#include "policygen/lookups.h"
#include "policygen/names.h"
#include "policygen/tails.h"
#include "runtime/api.h"
#include "runtime/util.h"

static void add_calls(struct analysis *analysis) {
    const struct object *object = &analysis->object;
    for (size_t i = 0; i < analysis->scan.import_call_count; i++) {
        const struct import_call *call = &analysis->scan.import_calls[i];
        unsigned api = object->symbols[call->symbol].api;
        if (api == API_NONE)
            continue;
        struct api_call *made = array_append(analysis->calls, analysis->call_count);
        *made = (struct api_call){.address = call->address,
                                  .return_address = call->return_address,
                                  .function = call->function,
                                  .api = (uint16_t)api,
                                  .undecoded = call->undecoded};
        rules_unknown(&made->rules, api, UNKNOWN_UNDECODED);
    }
}

static void add_jumps(struct analysis *analysis) {
    const struct object *object = &analysis->object;
    for (size_t i = 0; i < analysis->scan.import_jump_count; i++) {
        const struct import_jump *jump = &analysis->scan.import_jumps[i];
        unsigned api = object->symbols[jump->symbol].api;
        if (api == API_NONE)
            continue;
        struct api_call *made = array_append(analysis->jumps, analysis->jump_count);
        *made = (struct api_call){
            .address = jump->address, .function = jump->function, .api = (uint16_t)api, .undecoded = jump->undecoded};
        rules_unknown(&made->rules, api, UNKNOWN_UNDECODED);
    }
}

/* ---- Addresses that are taken ---- */

static void take_import(struct analysis *analysis, uint32_t symbol, uint32_t source, bool data) {
    *array_append(analysis->taken, analysis->taken_count) = (struct taken_import){symbol, source, data};
}

/* Which slots of the global offset table some decoded instruction uses in a way that the scan followed. A slot of an
 * intercepted function, or of one that hands names on to dlsym, that nothing is seen to use counts as read by code that
 * was not understood. */
static void take_unused_slots(struct analysis *analysis) {
    const struct object *object = &analysis->object;
    cleanup_free bool *used = xcalloc(object->symbol_count + 1, sizeof *used);
    for (size_t i = 0; i < analysis->scan.import_call_count; i++)
        used[analysis->scan.import_calls[i].symbol] = true;
    for (size_t i = 0; i < analysis->scan.import_jump_count; i++)
        used[analysis->scan.import_jumps[i].symbol] = true;
    for (size_t i = 0; i < analysis->scan.slot_load_count; i++)
        used[analysis->scan.slot_loads[i].symbol] = true;
    for (size_t i = 0; i < object->relocation_count; i++) {
        const struct relocation *relocation = &object->relocations[i];
        if (relocation->symbol == NO_SYMBOL)
            continue;
        const struct symbol *symbol = &object->symbols[relocation->symbol];
        bool matters = symbol->api != API_NONE || lookups_hands_on(symbol->name);
        if (relocation->type == R_X86_64_64 ||
            (relocation->type == R_X86_64_GLOB_DAT && !used[relocation->symbol] && matters))
            take_import(analysis, relocation->symbol, relocation->address, true);
    }
}

static bool is_variable(const struct object *object, const struct reference *reference) {
    return reference->data && !object_is_relocated_constant(object, reference->source, 8);
}

static void find_taken_functions(struct analysis *analysis) {
    analysis->address_taken = xcalloc(analysis->functions.count + 1, sizeof *analysis->address_taken);
    analysis->start_taken = xcalloc(analysis->functions.count + 1, sizeof *analysis->start_taken);
    analysis->stored = xcalloc(analysis->functions.count + 1, sizeof *analysis->stored);
    for (size_t i = 0; i < analysis->scan.reference_count; i++) {
        const struct reference *reference = &analysis->scan.references[i];
        uint32_t function = functions_at(&analysis->functions, reference->target);
        if (function == NO_FUNCTION || reference->landing)
            continue;
        bool start = analysis->functions.items[function].start == reference->target;
        bool stored = start && is_variable(&analysis->object, reference);
        analysis->stored[function] = stored && (!analysis->address_taken[function] || analysis->stored[function]);
        analysis->address_taken[function] = true;
        analysis->start_taken[function] |= start;
    }
}

static void find_taken_imports(struct analysis *analysis) {
    take_unused_slots(analysis);
    for (size_t i = 0; i < analysis->scan.slot_load_count; i++) {
        const struct slot_load *load = &analysis->scan.slot_loads[i];
        if (!load->followed)
            take_import(analysis, load->symbol, load->address, false);
    }
    for (size_t i = 0; i < analysis->scan.reference_count; i++) {
        const struct reference *reference = &analysis->scan.references[i];
        bool is_stub;
        uint32_t symbol = stub_symbol(&analysis->object, reference->target, &is_stub);
        if (symbol != NO_SYMBOL)
            take_import(analysis, symbol, reference->source, reference->data);
    }
}

/* ---- Indices ---- */

static int compare_uses(const void *a, const void *b) {
    const struct use *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->value < y->value ? -1 : x->value > y->value;
}

static void add_use(struct uses *uses, uint32_t key, uint32_t value) {
    *array_append(uses->items, uses->count) = (struct use){key, value};
}

static void order_uses(struct uses *uses) {
    if (uses->count == 0)
        return;
    qsort(uses->items, uses->count, sizeof *uses->items, compare_uses);
    size_t kept = 1;
    for (size_t i = 1; i < uses->count; i++) {
        if (compare_uses(&uses->items[i], &uses->items[kept - 1]) != 0)
            uses->items[kept++] = uses->items[i];
    }
    uses->count = kept;
}

size_t uses_from(const struct uses *uses, uint32_t key) {
    size_t low = 0, high = uses->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (uses->items[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool uses_has(const struct uses *uses, uint32_t key) {
    size_t first = uses_from(uses, key);
    return first < uses->count && uses->items[first].key == key;
}

static void index_by_function(struct analysis *analysis) {
    const struct scan *scan = &analysis->scan;
    const struct functions *functions = &analysis->functions;
    for (size_t i = 0; i < scan->call_count; i++)
        add_use(&analysis->callers, functions_at(functions, scan->calls[i].target), scan->calls[i].return_address);
    for (size_t i = 0; i < scan->jump_count; i++) {
        uint32_t target = functions_at(functions, scan->jumps[i].target);
        add_use(&analysis->jumpers, target, scan->jumps[i].function);
        add_use(&analysis->jump_sites, target, (uint32_t)i);
    }
    for (size_t i = 0; i < analysis->object.symbol_count; i++) {
        const struct symbol *symbol = &analysis->object.symbols[i];
        if (symbol->exported && object_is_code(&analysis->object, symbol->value))
            add_use(&analysis->exports, functions_at(functions, symbol->value), (uint32_t)i);
    }
    order_uses(&analysis->callers);
    order_uses(&analysis->jumpers);
    order_uses(&analysis->jump_sites);
    order_uses(&analysis->exports);
}

static void index_by_symbol(struct analysis *analysis) {
    const struct scan *scan = &analysis->scan;
    for (size_t i = 0; i < scan->import_call_count; i++)
        add_use(&analysis->import_calls, scan->import_calls[i].symbol, scan->import_calls[i].return_address);
    for (size_t i = 0; i < scan->import_jump_count; i++)
        add_use(&analysis->import_jumps, scan->import_jumps[i].symbol, scan->import_jumps[i].function);
    for (size_t i = 0; i < analysis->taken_count; i++)
        add_use(&analysis->taken_symbols, analysis->taken[i].symbol, analysis->taken[i].source);
    order_uses(&analysis->import_calls);
    order_uses(&analysis->import_jumps);
    order_uses(&analysis->taken_symbols);
}

/* A function that holds no return and from which nothing leads out: calls of it are never followed by what stands
 * behind them. */
static void find_never_returning(struct analysis *analysis) {
    const struct scan *scan = &analysis->scan;
    const struct functions *functions = &analysis->functions;
    bool *never = xcalloc(functions->count + 1, sizeof *never);
    for (size_t i = 0; i < functions->count; i++) {
        const struct function *function = &functions->items[i];
        never[i] = function->kind == FUNCTION_FRAME && !function->returns && !function->undecodable &&
                   !function->falls_out && !function->fragment;
    }
    for (size_t i = 0; i < scan->jump_count; i++)
        never[scan->jumps[i].function] = false;
    for (size_t i = 0; i < scan->import_jump_count; i++)
        never[scan->import_jumps[i].function] = false;
    for (size_t i = 0; i < scan->indirect_jump_count; i++)
        never[scan->indirect_jumps[i].function] = false;
    analysis->never_returns = never;
}

/* Where something else than its own flow may enter a function. */
static void find_entries(struct analysis *analysis) {
    const struct object *object = &analysis->object;
    const struct functions *functions = &analysis->functions;
    for (size_t i = 0; i < analysis->scan.call_count; i++) {
        uint32_t target = analysis->scan.calls[i].target, function = functions_at(functions, target);
        if (function != NO_FUNCTION && functions->items[function].start != target)
            add_use(&analysis->entries, function, target);
    }
    for (size_t i = 0; i < object->symbol_count; i++) {
        uint32_t function =
            object->symbols[i].defined ? functions_at(functions, object->symbols[i].value) : NO_FUNCTION;
        if (function != NO_FUNCTION)
            add_use(&analysis->entries, function, object->symbols[i].value);
    }
    order_uses(&analysis->entries);
}

static void find_parts(struct analysis *analysis) {
    analysis->roots = flow_roots(analysis);
    for (uint32_t i = 0; i < analysis->functions.count; i++) {
        if (analysis->roots[i] != i)
            add_use(&analysis->parts, analysis->roots[i], i);
    }
    order_uses(&analysis->parts);
}

/* ---- IFUNC ---- */

static void add_function_use(const struct analysis *analysis, struct uses *uses, uint64_t address, uint32_t value) {
    uint32_t function = functions_at(&analysis->functions, address);
    if (function != NO_FUNCTION)
        add_use(uses, function, value);
}

static void add_resolver(const struct analysis *analysis, struct uses *resolvers, uint64_t address) {
    uint32_t function = functions_at(&analysis->functions, address);
    if (function != NO_FUNCTION)
        add_use(resolvers, function, function);
}

/* Which functions look for resolvers: they themselves, and what they call and jump to in order to choose. */
static void find_choosers(const struct analysis *analysis, struct uses *choosers) {
    const struct object *object = &analysis->object;
    const struct scan *scan = &analysis->scan;
    struct uses resolvers = {0};
    for (size_t i = 0; i < object->symbol_count; i++) {
        if (object->symbols[i].defined && object->symbols[i].type == STT_GNU_IFUNC)
            add_resolver(analysis, &resolvers, object->symbols[i].value);
    }
    for (size_t i = 0; i < object->relocation_count; i++) {
        if (object->relocations[i].type == R_X86_64_IRELATIVE)
            add_resolver(analysis, &resolvers, (uint64_t)object->relocations[i].addend);
    }
    order_uses(&resolvers);
    for (size_t i = 0; resolvers.count > 0 && i < scan->call_count; i++) {
        uint32_t caller = functions_at(&analysis->functions, scan->calls[i].return_address - 1);
        if (caller != NO_FUNCTION && uses_has(&resolvers, caller))
            add_function_use(analysis, choosers, scan->calls[i].target, caller);
    }
    for (size_t i = 0; i < scan->jump_count; i++) {
        if (uses_has(&resolvers, scan->jumps[i].function))
            add_function_use(analysis, choosers, scan->jumps[i].target, scan->jumps[i].function);
    }
    for (size_t i = 0; i < resolvers.count; i++)
        add_use(choosers, resolvers.items[i].key, resolvers.items[i].value);
    order_uses(choosers);
    free(resolvers.items);
}

/* What can be chosen is what choosers refer to. */
static void find_choices(struct analysis *analysis) {
    struct uses choosers = {0};
    find_choosers(analysis, &choosers);
    for (size_t i = 0; choosers.count > 0 && i < analysis->scan.reference_count; i++) {
        const struct reference *reference = &analysis->scan.references[i];
        uint32_t source = reference->data ? NO_FUNCTION : functions_at(&analysis->functions, reference->source);
        for (size_t j = uses_from(&choosers, source); j < choosers.count && choosers.items[j].key == source; j++)
            add_function_use(analysis, &analysis->choices, reference->target, choosers.items[j].value);
    }
    order_uses(&analysis->choices);
    free(choosers.items);
}

/* ---- Indirect jumps ---- */

/* The scan tells only the plainest switches from tail calls. For the others the flow graph is worth its price: each
 * supposed tail call through a pointer makes the callers of its function possible callers of everything whose address
 * is taken. */
static void settle_jumps(struct analysis *analysis) {
    struct scan *scan = &analysis->scan;
    cleanup_free uint8_t *stays = xcalloc(analysis->functions.count + 1, sizeof *stays);
    struct decoder *decoder = decoder_new();
    for (size_t i = 0; i < scan->indirect_jump_count; i++) {
        struct indirect_jump *jump = &scan->indirect_jumps[i];
        if (jump->table || jump->chosen || analysis->functions.items[jump->function].kind != FUNCTION_FRAME)
            continue;
        uint32_t root = analysis->roots[jump->function];
        if (stays[root] == 0) {
            struct flow *flow = flow_build(analysis, decoder, root);
            stays[root] = flow->stays ? 2 : 1;
            flow_free(flow);
        }
        jump->table = stays[root] == 2;
    }
    decoder_free(decoder);
}

static int compare_symbols(const void *a, const void *b, void *context) {
    const struct symbol *symbols = context;
    return strcmp(symbols[*(const uint32_t *)a].name, symbols[*(const uint32_t *)b].name);
}

static void index_symbols(struct analysis *analysis) {
    const struct object *object = &analysis->object;
    analysis->symbol_order = xcalloc(object->symbol_count + 1, sizeof *analysis->symbol_order);
    for (size_t i = 0; i < object->symbol_count; i++)
        analysis->symbol_order[i] = (uint32_t)i;
    qsort_r(analysis->symbol_order, object->symbol_count, sizeof *analysis->symbol_order, compare_symbols,
            object->symbols);
}

size_t analysis_symbols_from(const struct analysis *analysis, const char *name) {
    size_t low = 0, high = analysis->object.symbol_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(analysis->object.symbols[analysis->symbol_order[middle]].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const char *analysis_keep(struct analysis *analysis, char *text) {
    /* The array holds pointers. */
    *array_append(analysis->texts, analysis->text_count) = text; /* NOLINT(bugprone-sizeof-expression) */
    return text;
}

/* Whether there is no code that may do what nobody saw. */
static bool is_decoded(const struct analysis *analysis) {
    for (size_t i = 0; i < analysis->functions.count; i++) {
        if (analysis->functions.items[i].undecodable)
            return false;
    }
    return true;
}

void analysis_make(struct analysis *analysis) {
    functions_find(&analysis->object, &analysis->functions);
    scan_object(&analysis->object, &analysis->functions, &analysis->scan);
    globals_find(&analysis->object, &analysis->scan, is_decoded(analysis), &analysis->globals);
    add_calls(analysis);
    add_jumps(analysis);
    find_taken_functions(analysis);
    index_by_function(analysis);
    index_symbols(analysis);
    find_never_returning(analysis);
    find_entries(analysis);
    find_choices(analysis);
    find_parts(analysis);
    analysis->twice_by_pointer = flow_twice_by_pointer(analysis);
    held_find(analysis);
    find_taken_imports(analysis);
    names_find(analysis);
    index_by_symbol(analysis);
    settle_jumps(analysis);
    arguments_find(analysis);
    tails_find(analysis);
}

void analysis_free(struct analysis *analysis) {
    for (size_t i = 0; i < analysis->call_count; i++)
        rules_free(&analysis->calls[i].rules);
    for (size_t i = 0; i < analysis->jump_count; i++)
        rules_free(&analysis->jumps[i].rules);
    for (size_t i = 0; i < analysis->passed_count; i++)
        rules_free(&analysis->passed[i].rules);
    for (size_t i = 0; i < analysis->lookup_count; i++) {
        free(analysis->lookups[i].name.values);
        free(analysis->lookups[i].name.entries);
    }
    free(analysis->lookups);
    free(analysis->passed);
    for (size_t i = 0; i < analysis->text_count; i++)
        free(analysis->texts[i]);
    free(analysis->texts);
    free(analysis->path);
    free(analysis->calls);
    free(analysis->jumps);
    free(analysis->taken);
    free(analysis->callers.items);
    free(analysis->jumpers.items);
    free(analysis->exports.items);
    free(analysis->import_calls.items);
    free(analysis->import_jumps.items);
    free(analysis->taken_symbols.items);
    free(analysis->jump_sites.items);
    free(analysis->parts.items);
    free(analysis->entries.items);
    free(analysis->address_taken);
    free(analysis->start_taken);
    free(analysis->stored);
    tails_free(analysis);
    free(analysis->symbol_order);
    free(analysis->never_returns);
    free(analysis->twice_by_pointer);
    free(analysis->roots);
    free(analysis->choices.items);
    globals_free(&analysis->globals);
    scan_free(&analysis->scan);
    functions_free(&analysis->functions);
    object_close(&analysis->object);
}
