/* Joins the objects of a program into its policy. The question here is always the same: which return addresses can
 * be on the stack when a function is entered by a tail call? It is answered by walking from the function to its
 * callers, through every object of the process, until only calls are left.
 *
 * Where the walk meets a function whose address is taken, any indirect call of any module may be the caller, and so
 * may the callers of every function that itself ends in an indirect jump, and the kernel (signal handlers).
 *
 * Assumption, stated in the documentation: a pointer from a dlsym whose names are not known is called only by the module
 * that called dlsym.
 */
#include <stdlib.h>
#include <string.h>

#include "policygen/program.h"
#include "runtime/util.h"

/* A module with more such return addresses than this gets one loose rule instead. */
#define MAX_RETURN_ADDRESSES 512

struct place {
    uint32_t module, function;
};

/* The outcome of a walk. */
struct walk {
    const struct program *program;
    bool **visited;      /* per module, per function */
    struct place *queue; /* functions still to look at */
    size_t queued, next;
    struct uses *returns; /* per module: key is the return address */
    bool pointed;         /* some function of the walk may be called through a pointer */
};

struct linker {
    const struct program *program;
    struct document *document;
    struct coverage *coverage;
    size_t *slots;        /* per object: its place among the document's modules */
    struct walk pointers; /* who may be on the stack when a function is entered through a pointer */
    bool has_pointers;
    const char *pointed[API_COUNT]; /* why the API may be called through a pointer, or NULL */
    bool unknown_names;             /* some module calls dlsym with names that are not known */
    const char **names;             /* that some module hands to dlsym */
    size_t name_count;
};

/* ---- Walking ---- */

static void walk_begin(struct walk *walk, const struct program *program) {
    *walk = (struct walk){.program = program};
    walk->visited = xcalloc(program->module_count, sizeof *walk->visited);
    walk->returns = xcalloc(program->module_count, sizeof *walk->returns);
}

static void walk_end(struct walk *walk) {
    for (size_t i = 0; i < walk->program->module_count; i++) {
        free(walk->visited[i]);
        free(walk->returns[i].items);
    }
    free(walk->visited);
    free(walk->returns);
    free(walk->queue);
}

static void walk_add(struct walk *walk, uint32_t module, uint32_t function) {
    size_t count = walk->program->modules[module]->functions.count;
    if (function >= count)
        return;
    if (walk->visited[module] == NULL)
        walk->visited[module] = xcalloc(count, sizeof **walk->visited);
    if (walk->visited[module][function])
        return;
    walk->visited[module][function] = true;
    *array_append(walk->queue, walk->queued) = (struct place){module, function};
}

static void walk_returns(struct walk *walk, uint32_t module, uint32_t return_address) {
    struct uses *returns = &walk->returns[module];
    *array_append(returns->items, returns->count) = (struct use){return_address, 0};
}

/* Everything in the process that reaches a function by its exported name. */
static void walk_importers(struct walk *walk, const char *name) {
    for (uint32_t i = 0; i < walk->program->module_count; i++) {
        const struct analysis *analysis = walk->program->modules[i];
        for (size_t j = analysis_symbols_from(analysis, name); j < analysis->object.symbol_count; j++) {
            uint32_t symbol = analysis->symbol_order[j];
            if (strcmp(analysis->object.symbols[symbol].name, name) != 0)
                break;
            const struct uses *uses = &analysis->import_calls;
            for (size_t k = uses_from(uses, symbol); k < uses->count && uses->items[k].key == symbol; k++)
                walk_returns(walk, i, uses->items[k].value);
            uses = &analysis->import_jumps;
            for (size_t k = uses_from(uses, symbol); k < uses->count && uses->items[k].key == symbol; k++)
                walk_add(walk, i, uses->items[k].value);
            uses = &analysis->taken_symbols;
            size_t taken = uses_from(uses, symbol);
            walk->pointed |= taken < uses->count && uses->items[taken].key == symbol;
        }
    }
}

static bool is_named(const struct linker *linker, const char *name) {
    for (size_t i = 0; i < linker->name_count; i++) {
        if (strcmp(linker->names[i], name) == 0)
            return true;
    }
    return false;
}

/* A function that its object may choose for an IFUNC symbol: then calls by that name lead to it, and calls through the
 * object's own stubs of chosen functions. */
static void walk_resolver(struct walk *walk, uint32_t module, uint32_t resolver) {
    const struct analysis *analysis = walk->program->modules[module];
    for (size_t i = 0; i < analysis->scan.indirect_jump_count; i++) {
        if (analysis->scan.indirect_jumps[i].chosen)
            walk_add(walk, module, analysis->scan.indirect_jumps[i].function);
    }
    const struct uses *exports = &analysis->exports;
    for (size_t i = uses_from(exports, resolver); i < exports->count && exports->items[i].key == resolver; i++)
        walk_importers(walk, analysis->object.symbols[exports->items[i].value].name);
}

static void walk_function(const struct linker *linker, struct walk *walk, struct place place) {
    const struct analysis *analysis = walk->program->modules[place.module];
    const struct uses *uses = &analysis->callers;
    for (size_t i = uses_from(uses, place.function); i < uses->count && uses->items[i].key == place.function; i++)
        walk_returns(walk, place.module, uses->items[i].value);
    uses = &analysis->jumpers;
    for (size_t i = uses_from(uses, place.function); i < uses->count && uses->items[i].key == place.function; i++)
        walk_add(walk, place.module, uses->items[i].value);
    uses = &analysis->exports;
    for (size_t i = uses_from(uses, place.function); i < uses->count && uses->items[i].key == place.function; i++) {
        const char *name = analysis->object.symbols[uses->items[i].value].name;
        walk->pointed |= walk->program->plugins[place.module] || is_named(linker, name);
        walk_importers(walk, name);
    }
    walk->pointed |= analysis->address_taken[place.function];
    uses = &analysis->choices;
    for (size_t i = uses_from(uses, place.function); i < uses->count && uses->items[i].key == place.function; i++)
        walk_resolver(walk, place.module, uses->items[i].value);
}

static int compare_returns(const void *a, const void *b) {
    const struct use *x = a, *y = b;
    return x->key < y->key ? -1 : x->key > y->key;
}

static void walk_run(const struct linker *linker, struct walk *walk) {
    while (walk->next < walk->queued) {
        struct place place = walk->queue[walk->next++];
        walk_function(linker, walk, place);
    }
    for (size_t i = 0; i < walk->program->module_count; i++) {
        struct uses *returns = &walk->returns[i];
        if (returns->count == 0)
            continue;
        qsort(returns->items, returns->count, sizeof *returns->items, compare_returns);
        size_t kept = 1;
        for (size_t j = 1; j < returns->count; j++) {
            if (returns->items[j].key != returns->items[kept - 1].key)
                returns->items[kept++] = returns->items[j];
        }
        returns->count = kept;
    }
}

/* Who may be on the stack when something was entered through a pointer without an indirect call: the callers of
 * functions that end in an indirect jump. */
static void find_pointers(struct linker *linker) {
    struct walk *walk = &linker->pointers;
    walk_begin(walk, linker->program);
    for (uint32_t i = 0; i < linker->program->module_count; i++) {
        const struct analysis *analysis = linker->program->modules[i];
        for (size_t j = 0; j < analysis->scan.indirect_jump_count; j++) {
            if (!analysis->scan.indirect_jumps[j].table && !analysis->scan.indirect_jumps[j].chosen)
                walk_add(walk, i, analysis->scan.indirect_jumps[j].function);
        }
    }
    walk_run(linker, walk);
    linker->has_pointers = true;
}

/* ---- Sites ---- */

static char *function_name(const struct analysis *analysis, uint32_t function) {
    if (function >= analysis->functions.count)
        return NULL;
    size_t export = uses_from(&analysis->exports, function);
    if (export < analysis->exports.count && analysis->exports.items[export].key == function)
        return xstrdup(analysis->object.symbols[analysis->exports.items[export].value].name);
    return xasprintf("0x%x", analysis->functions.items[function].start);
}

static struct value make_value(const struct rule_value *rule) {
    struct value value = {.origin = ORIGIN_STATIC, .position = rule->position};
    switch ((enum rule_value_kind)rule->kind) {
    case RULE_INTEGER:
        value.kind = VALUE_INTEGER;
        value.low = value.high = rule->integer;
        break;
    case RULE_MASK:
        value.kind = VALUE_MASK;
        value.low = rule->integer;
        break;
    case RULE_NULL: value.kind = VALUE_NULL; break;
    case RULE_TEXT:
        value.kind = VALUE_TEXT;
        value.text = xstrdup(rule->text);
        value.constant = rule->address;
        break;
    case RULE_GLOB:
        value.kind = VALUE_GLOB;
        value.text = xstrdup(rule->text);
        break;
    case RULE_ADDRESS:
        value.kind = VALUE_ADDRESS;
        value.address = rule->socket;
        value.text = rule->text == NULL ? NULL : xstrdup(rule->text);
        break;
    }
    return value;
}

static void add_rule(struct site *site, unsigned argument, const struct argument_rule *rule) {
    if (rule->state == RULE_OPAQUE || rule->state == RULE_MEANINGLESS)
        return;
    struct constraint *constraint = site_constraint(site, (uint8_t)argument);
    for (size_t i = 0; i < rule->count; i++)
        constraint_add(constraint, make_value(&rule->values[i]));
    if (rule->state == RULE_ANY && !constraint->any) {
        constraint->any = true;
        constraint->why_any = xstrdup(unknown_text((enum unknown)rule->unknown));
    }
}

static void add_site(struct linker *linker, uint32_t module, uint32_t return_address, uint16_t api,
                     const struct call_rules *rules) {
    const struct analysis *analysis = linker->program->modules[module];
    struct site *site = module_site(&linker->document->modules[linker->slots[module]], return_address, api);
    if (site->function == NULL) {
        uint32_t function = functions_at(&analysis->functions, return_address - 1);
        site->function = function_name(analysis, function);
        site->fingerprint = function < analysis->functions.count ? analysis->functions.items[function].fingerprint : 0;
    }
    for (unsigned i = 0; i < api_table[api].argument_count; i++)
        add_rule(site, i, &rules->arguments[i]);
}

static void add_loose(struct linker *linker, uint32_t module, uint16_t api, enum looseness how, const char *why) {
    module_add_loose(&linker->document->modules[linker->slots[module]], api, how, why);
}

/* The API may be entered through a pointer: noted now, and done when all sites of its own are known. */
static void note_pointed(struct linker *linker, unsigned api, const char *why) {
    if (linker->pointed[api] == NULL)
        linker->pointed[api] = why;
}

static void add_pointed(struct linker *linker, uint16_t api, const char *why) {
    if (!linker->has_pointers)
        find_pointers(linker);
    struct call_rules rules;
    rules_unknown(&rules, api, UNKNOWN_POINTER);
    for (uint32_t i = 0; i < linker->program->module_count; i++) {
        const struct uses *returns = &linker->pointers.returns[i];
        bool many = returns->count > MAX_RETURN_ADDRESSES;
        add_loose(linker, i, api, many ? LOOSE_AFTER_ANY_CALL : LOOSE_AFTER_INDIRECT_CALL, why);
        for (size_t j = 0; !many && j < returns->count; j++)
            add_site(linker, i, returns->items[j].key, api, &rules);
        /* These follow no call at all, so no loose rule covers them. */
        const struct scan *scan = &linker->program->modules[i]->scan;
        for (size_t j = 0; j < scan->restorer_count; j++)
            add_site(linker, i, scan->restorers[j], api, &rules);
    }
}

static void link_jump(struct linker *linker, uint32_t module, const struct api_call *jump) {
    const struct analysis *analysis = linker->program->modules[module];
    bool open = false;
    struct walk walk;
    walk_begin(&walk, linker->program);
    walk_add(&walk, module, jump->function);
    walk_run(linker, &walk);
    for (uint32_t i = 0; i < linker->program->module_count; i++) {
        if (walk.returns[i].count > MAX_RETURN_ADDRESSES) {
            add_loose(linker, i, jump->api, LOOSE_AFTER_ANY_CALL, "tail call with many callers");
            open = true;
            continue;
        }
        for (size_t j = 0; j < walk.returns[i].count; j++)
            add_site(linker, i, walk.returns[i].items[j].key, jump->api, &jump->rules);
    }
    if (jump->undecoded || jump->function >= analysis->functions.count ||
        analysis->functions.items[jump->function].kind == FUNCTION_GAP) {
        add_loose(linker, module, jump->api, LOOSE_AFTER_ANY_CALL, "tail call in code that nothing is known to call");
        open = true;
    }
    if (walk.pointed)
        note_pointed(linker, jump->api, "tail call of a function whose address is taken");
    linker->coverage[module].tails++;
    linker->coverage[module].open_tails += open || walk.pointed;
    walk_end(&walk);
}

static bool is_checked(unsigned api) {
    return api != API_NONE && api_table[api].level == LEVEL_CHECKED;
}

static void link_module(struct linker *linker, uint32_t module) {
    const struct analysis *analysis = linker->program->modules[module];
    for (size_t i = 0; i < analysis->call_count; i++) {
        const struct api_call *call = &analysis->calls[i];
        if (!is_checked(call->api))
            continue;
        linker->coverage[module].calls++;
        add_site(linker, module, call->return_address, call->api, &call->rules);
    }
    for (size_t i = 0; i < analysis->jump_count; i++) {
        if (is_checked(analysis->jumps[i].api))
            link_jump(linker, module, &analysis->jumps[i]);
    }
    bool seen[API_COUNT] = {false};
    for (size_t i = 0; i < analysis->taken_count; i++) {
        unsigned api = analysis->object.symbols[analysis->taken[i].symbol].api;
        if (is_checked(api) && !seen[api]) {
            seen[api] = true;
            note_pointed(linker, api, "its address is taken");
        }
    }
}

/* ---- dlsym ---- */

static void link_names(struct linker *linker) {
    for (uint32_t i = 0; i < linker->program->module_count; i++) {
        const struct analysis *analysis = linker->program->modules[i];
        bool unknown = false;
        for (size_t j = 0; j < analysis->call_count + analysis->jump_count; j++) {
            const struct api_call *call =
                j < analysis->call_count ? &analysis->calls[j] : &analysis->jumps[j - analysis->call_count];
            if (call->api != API_dlsym && call->api != API_dlvsym)
                continue;
            const struct argument_rule *name = &call->rules.arguments[1];
            unknown |= name->state != RULE_SET;
            for (size_t k = 0; k < name->count; k++) {
                if (name->values[k].kind == RULE_TEXT)
                    *array_append(linker->names, linker->name_count) = name->values[k].text;
            }
        }
        linker->unknown_names |= unknown;
        for (unsigned api = 0; unknown && api < API_COUNT; api++) {
            if (is_checked(api))
                add_loose(linker, i, (uint16_t)api, LOOSE_AFTER_INDIRECT_CALL, "dlsym with unknown names");
        }
    }
    for (size_t i = 0; i < linker->name_count; i++) {
        unsigned spelling = spelling_by_name(linker->names[i]);
        if (spelling < SPELLING_COUNT && is_checked(spelling_table[spelling].api))
            note_pointed(linker, spelling_table[spelling].api, "its name is given to dlsym");
    }
}

/* ---- Tail calls ---- */

static void link_tails(struct linker *linker, uint32_t module) {
    const struct analysis *analysis = linker->program->modules[module];
    struct module *made = &linker->document->modules[linker->slots[module]];
    made->has_tails = analysis->tails_complete;
    for (size_t i = 0; i < analysis->tail_count; i++) {
        const struct tail_closure *closure = &analysis->tails[i];
        struct tail *tail = module_add_tail(made, closure->target);
        tail->flags = closure->flags;
        for (size_t j = 0; j < closure->member_count; j++)
            tail_add_member(tail, closure->members[j]);
    }
}

/* ---- Coverage ---- */

static void cover_rule(struct coverage *coverage, const struct constraint *constraint, bool *constrained) {
    if (constraint->any) {
        coverage->arguments.any++;
        for (unsigned i = 0; i < UNKNOWN_COUNT; i++) {
            if (strcmp(constraint->why_any, unknown_text((enum unknown)i)) == 0)
                coverage->unknown[i]++;
        }
        return;
    }
    *constrained = true;
    if (constraint->value_count > 0 && constraint->values[0].kind == VALUE_MASK)
        coverage->arguments.masked++;
    else
        coverage->arguments.set++;
}

/* A place that only may be the caller because some pointer leads to the function: it is no call of the program's own. */
static bool is_through_pointer(const struct site *site) {
    for (size_t i = 0; i < site->constraint_count; i++) {
        if (!site->constraints[i].any || strcmp(site->constraints[i].why_any, unknown_text(UNKNOWN_POINTER)) != 0)
            return false;
    }
    return site->constraint_count > 0;
}

static void cover(struct linker *linker, size_t module) {
    const struct module *made = &linker->document->modules[linker->slots[module]];
    struct coverage *coverage = &linker->coverage[module];
    coverage->loose = made->loose_count;
    coverage->pointed = made->site_count - coverage->sites;
    for (size_t i = 0; i < made->site_count; i++) {
        const struct site *site = &made->sites[i];
        bool constrained = false;
        if (is_through_pointer(site))
            continue;
        for (size_t j = 0; j < site->constraint_count; j++)
            cover_rule(coverage, &site->constraints[j], &constrained);
        coverage->constrained_sites += constrained;
    }
}

void program_link(const struct program *program, struct document *document, struct coverage *coverage) {
    struct linker linker = {.program = program, .document = document, .coverage = coverage};
    linker.slots = xcalloc(program->module_count, sizeof *linker.slots);
    document_init(document);
    document->program = xstrdup(program->modules[0]->object.path);
    document->identity = program->modules[0]->object.identity;
    for (size_t i = 0; i < program->module_count; i++) {
        const struct object *object = &program->modules[i]->object;
        const struct module *module = document_module(document, &object->identity, object->path);
        linker.slots[i] = (size_t)(module - document->modules);
    }
    link_names(&linker);
    for (uint32_t i = 0; i < program->module_count; i++) {
        link_module(&linker, i);
        link_tails(&linker, i);
    }
    for (size_t i = 0; i < program->module_count; i++)
        coverage[i].sites = document->modules[linker.slots[i]].site_count;
    for (unsigned api = 0; api < API_COUNT; api++) {
        if (linker.pointed[api] != NULL)
            add_pointed(&linker, (uint16_t)api, linker.pointed[api]);
    }
    for (size_t i = 0; i < program->module_count; i++)
        cover(&linker, i);
    if (linker.has_pointers)
        walk_end(&linker.pointers);
    free(linker.names);
    free(linker.slots);
    document_sort(document);
}
