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
#include "policygen/rules.h"
#include "runtime/util.h"

/* A module with more such return addresses than this gets one loose rule instead. */
#define MAX_RETURN_ADDRESSES 512

struct place {
    uint32_t module, function;
};

struct pointed_jump {
    uint32_t module;
    const struct summary_call *call;
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
    bool taken[API_COUNT];          /* then, whether the pointer may be to the API itself: it gets any arguments */
    struct pointed_jump *jumps;     /* to APIs, in functions that may be called through a pointer */
    size_t jump_count;
    bool unknown_names; /* some module calls dlsym with names that are not known */
    const char **names; /* that some module hands to dlsym */
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
    uint32_t count = walk->program->modules[module].summary->functions_count;
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
        const struct summary *summary = walk->program->modules[i].summary;
        uint32_t symbol, end;
        summary_symbols(summary, name, &symbol, &end);
        for (; symbol < end; symbol++) {
            struct use_range calls = summary_uses(summary->import_calls, summary->import_calls_count, symbol);
            for (const struct use *use = calls.first; use < calls.end; use++)
                walk_returns(walk, i, use->value);
            struct use_range jumps = summary_uses(summary->import_jumps, summary->import_jumps_count, symbol);
            for (const struct use *use = jumps.first; use < jumps.end; use++)
                walk_add(walk, i, use->value);
            struct use_range taken = summary_uses(summary->taken_symbols, summary->taken_symbols_count, symbol);
            walk->pointed |= taken.first < taken.end;
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

static const char *symbol_name(const struct summary *summary, uint32_t symbol) {
    return summary_text(summary, summary->symbols[symbol].name);
}

/* A function that its object may choose for an IFUNC symbol: then calls by that name lead to it, and calls through the
 * object's own stubs of chosen functions. */
static void walk_resolver(struct walk *walk, uint32_t module, uint32_t resolver) {
    const struct summary *summary = walk->program->modules[module].summary;
    for (uint32_t i = 0; i < summary->chosen_jumps_count; i++)
        walk_add(walk, module, summary->chosen_jumps[i]);
    struct use_range exports = summary_uses(summary->exports, summary->exports_count, resolver);
    for (const struct use *use = exports.first; use < exports.end; use++)
        walk_importers(walk, symbol_name(summary, use->value));
}

static void walk_function(const struct linker *linker, struct walk *walk, struct place place) {
    const struct program_module *module = &walk->program->modules[place.module];
    const struct summary *summary = module->summary;
    struct use_range callers = summary_uses(summary->callers, summary->callers_count, place.function);
    for (const struct use *use = callers.first; use < callers.end; use++)
        walk_returns(walk, place.module, use->value);
    struct use_range jumpers = summary_uses(summary->jumpers, summary->jumpers_count, place.function);
    for (const struct use *use = jumpers.first; use < jumpers.end; use++)
        walk_add(walk, place.module, use->value);
    struct use_range exports = summary_uses(summary->exports, summary->exports_count, place.function);
    for (const struct use *use = exports.first; use < exports.end; use++) {
        const char *name = symbol_name(summary, use->value);
        walk->pointed |= module->plugin || is_named(linker, name);
        walk_importers(walk, name);
    }
    walk->pointed |= (summary->functions[place.function].flags & SUMMARY_FUNCTION_TAKEN) != 0;
    struct use_range choices = summary_uses(summary->choices, summary->choices_count, place.function);
    for (const struct use *use = choices.first; use < choices.end; use++)
        walk_resolver(walk, place.module, use->value);
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
        const struct summary *summary = linker->program->modules[i].summary;
        for (uint32_t j = 0; j < summary->indirect_jumps_count; j++)
            walk_add(walk, i, summary->indirect_jumps[j]);
    }
    walk_run(linker, walk);
    linker->has_pointers = true;
}

/* ---- Sites ---- */

static char *function_name(const struct summary *summary, uint32_t function) {
    if (function == NO_FUNCTION)
        return NULL;
    if (summary->functions[function].name != 0)
        return xstrdup(summary_text(summary, summary->functions[function].name));
    return xasprintf("0x%x", summary->functions[function].start);
}

static struct value make_value(const struct summary *summary, const struct summary_value *rule) {
    struct value value = {.origin = ORIGIN_STATIC, .position = rule->position};
    const char *text = summary_text(summary, rule->text);
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
        value.text = xstrdup(text);
        value.constant = rule->address;
        break;
    case RULE_GLOB:
        value.kind = VALUE_GLOB;
        value.text = xstrdup(text);
        break;
    case RULE_ADDRESS:
        value.kind = VALUE_ADDRESS;
        value.address = summary->sockets[rule->socket];
        value.text = rule->text == 0 ? NULL : xstrdup(text);
        break;
    }
    return value;
}

/* Whether some object of the process uses the name, the one that defines it included. */
static bool is_imported(const struct program *program, const char *name) {
    for (size_t i = 0; i < program->module_count; i++) {
        const struct summary *summary = program->modules[i].summary;
        uint32_t symbol, end;
        summary_symbols(summary, name, &symbol, &end);
        for (; symbol < end; symbol++) {
            if (summary->symbols[symbol].referenced != 0)
                return true;
        }
    }
    return false;
}

/* Whether the function may be called by others than its own object, which the object's analysis did not see. */
static bool is_entry(const struct linker *linker, uint32_t module, uint32_t function) {
    const struct summary *summary = linker->program->modules[module].summary;
    struct use_range exports = summary_uses(summary->exports, summary->exports_count, function);
    for (const struct use *use = exports.first; use < exports.end; use++) {
        const char *name = symbol_name(summary, use->value);
        if (linker->program->modules[module].plugin || linker->unknown_names || is_named(linker, name) ||
            is_imported(linker->program, name))
            return true;
    }
    return false;
}

static bool depends_on_entry(const struct linker *linker, uint32_t module, const struct summary_rule *rule) {
    const struct summary *summary = linker->program->modules[module].summary;
    for (uint32_t i = 0; i < rule->entry_count; i++) {
        if (is_entry(linker, module, summary->entries[rule->first_entry + i]))
            return true;
    }
    return false;
}

static void make_any(struct constraint *constraint, uint8_t why) {
    if (constraint->any)
        return;
    constraint->any = true;
    constraint->why_any = xstrdup(unknown_text((enum unknown)why));
}

static void add_rule(const struct linker *linker, uint32_t module, struct site *site, unsigned argument,
                     const struct summary_rule *rule) {
    const struct summary *summary = linker->program->modules[module].summary;
    if (rule->state == RULE_OPAQUE || rule->state == RULE_MEANINGLESS)
        return;
    struct constraint *constraint = site_constraint(site, (uint8_t)argument);
    bool loosened = depends_on_entry(linker, module, rule);
    if (loosened && rules_mask_forbids(site->api, argument, rule->bits)) {
        constraint_add(constraint, (struct value){.origin = ORIGIN_STATIC,
                                                  .kind = VALUE_MASK,
                                                  .low = rules_mask(site->api, argument, rule->bits)});
        return;
    }
    for (unsigned i = 0; i < rule->value_count; i++)
        constraint_add(constraint, make_value(summary, &summary->values[rule->first_value + i]));
    if (rule->state == RULE_ANY || loosened)
        make_any(constraint, rule->unknown);
}

static struct site *find_site(struct linker *linker, uint32_t module, uint32_t return_address, uint16_t api) {
    const struct summary *summary = linker->program->modules[module].summary;
    struct site *site = module_site(&linker->document->modules[linker->slots[module]], return_address, api);
    if (site->function == NULL) {
        uint32_t function = summary_function_at(summary, return_address - 1);
        site->function = function_name(summary, function);
        site->fingerprint = function == NO_FUNCTION ? 0 : summary->functions[function].fingerprint;
    }
    return site;
}

/* Rules of a call that stands in the module `owner`; only after a tail call is the site elsewhere. */
static void add_site(struct linker *linker, uint32_t module, uint32_t return_address, uint32_t owner,
                     const struct summary_call *call) {
    struct site *site = find_site(linker, module, return_address, call->api);
    for (unsigned i = 0; i < api_table[call->api].argument_count; i++)
        add_rule(linker, owner, site, i, summary_rule(linker->program->modules[owner].summary, call, i));
}

/* The same after a jump, which may pass something else for each caller of its function. */
static void add_passed_site(struct linker *linker, uint32_t module, uint32_t return_address, uint32_t owner,
                            const struct summary_call *jump) {
    struct summary_call passed = *jump;
    if (module == owner)
        passed.first_rule = summary_passed_rules(linker->program->modules[owner].summary, jump, return_address);
    add_site(linker, module, return_address, owner, &passed);
}

/* A site that something may reach through a pointer to a function that jumps to the API passes what the jump passes. */
static void add_jumps(struct linker *linker, uint32_t module, uint32_t return_address, uint16_t api) {
    for (size_t i = 0; i < linker->jump_count; i++) {
        if (linker->jumps[i].call->api == api)
            add_site(linker, module, return_address, linker->jumps[i].module, linker->jumps[i].call);
    }
}

/* A place that may call the API: one of the program's own sites, or one that is there for this reason alone, and then
 * with any arguments. */
static void add_pointed_site(struct linker *linker, uint32_t module, uint32_t return_address, uint16_t api) {
    const struct module *made = &linker->document->modules[linker->slots[module]];
    size_t before = made->site_count;
    struct site *site = find_site(linker, module, return_address, api);
    bool is_own = made->site_count == before;
    if (is_own && !linker->taken[api]) {
        add_jumps(linker, module, return_address, api);
        return;
    }
    for (unsigned i = 0; i < api_table[api].argument_count; i++) {
        if (argument_shape((enum argument_kind)api_table[api].arguments[i].kind) != SHAPE_OPAQUE)
            make_any(site_constraint(site, (uint8_t)i), UNKNOWN_POINTER);
    }
}

static void add_loose(struct linker *linker, uint32_t module, uint16_t api, enum looseness how, const char *why) {
    module_add_loose(&linker->document->modules[linker->slots[module]], api, how, why);
}

/* The API may be entered through a pointer, to itself or to a function that jumps to it: noted now, and done when all
 * sites of its own are known. */
static void note_pointed(struct linker *linker, unsigned api, const char *why) {
    if (linker->pointed[api] == NULL)
        linker->pointed[api] = why;
}

static void note_taken(struct linker *linker, unsigned api, const char *why) {
    note_pointed(linker, api, why);
    linker->taken[api] = true;
}

static void note_jump(struct linker *linker, uint32_t module, const struct summary_call *jump) {
    note_pointed(linker, jump->api, "tail call of a function whose address is taken");
    *array_append(linker->jumps, linker->jump_count) = (struct pointed_jump){module, jump};
}

static void add_pointed(struct linker *linker, uint16_t api, const char *why) {
    if (!linker->has_pointers)
        find_pointers(linker);
    for (uint32_t i = 0; i < linker->program->module_count; i++) {
        const struct uses *returns = &linker->pointers.returns[i];
        bool many = returns->count > MAX_RETURN_ADDRESSES;
        add_loose(linker, i, api, many ? LOOSE_AFTER_ANY_CALL : LOOSE_AFTER_INDIRECT_CALL, why);
        for (size_t j = 0; !many && j < returns->count; j++)
            add_pointed_site(linker, i, returns->items[j].key, api);
        /* These follow no call at all, so no loose rule covers them. */
        const struct summary *summary = linker->program->modules[i].summary;
        for (uint32_t j = 0; j < summary->restorers_count; j++)
            add_pointed_site(linker, i, summary->restorers[j], api);
    }
}

static void link_jump(struct linker *linker, uint32_t module, const struct summary_call *jump) {
    const struct summary *summary = linker->program->modules[module].summary;
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
            add_passed_site(linker, i, walk.returns[i].items[j].key, module, jump);
    }
    if (jump->undecoded || jump->function >= summary->functions_count ||
        (summary->functions[jump->function].flags & SUMMARY_FUNCTION_GAP) != 0) {
        add_loose(linker, module, jump->api, LOOSE_AFTER_ANY_CALL, "tail call in code that nothing is known to call");
        open = true;
    }
    if (walk.pointed)
        note_jump(linker, module, jump);
    linker->coverage[module].tails++;
    linker->coverage[module].open_tails += open || walk.pointed;
    walk_end(&walk);
}

static void link_module(struct linker *linker, uint32_t module) {
    const struct summary *summary = linker->program->modules[module].summary;
    linker->coverage[module].calls = summary->calls_count;
    for (uint32_t i = 0; i < summary->calls_count; i++)
        add_site(linker, module, summary->calls[i].return_address, module, &summary->calls[i]);
    for (uint32_t i = 0; i < summary->jumps_count; i++)
        link_jump(linker, module, &summary->jumps[i]);
    for (uint32_t i = 0; i < summary->taken_apis_count; i++)
        note_taken(linker, summary->taken_apis[i], "its address is taken");
}

/* ---- dlsym ---- */

static bool is_checked(unsigned api) {
    return api != API_NONE && api_table[api].level == LEVEL_CHECKED;
}

/* Collects the names that one module gives to dlsym; returns whether some of them are not known. */
static bool collect_names(struct linker *linker, const struct summary *summary) {
    bool unknown = false;
    for (uint32_t i = 0; i < summary->calls_count + summary->jumps_count; i++) {
        const struct summary_call *call = summary_call_at(summary, i);
        if (call->api != API_dlsym && call->api != API_dlvsym)
            continue;
        const struct summary_rule *name = summary_rule(summary, call, 1);
        unknown |= name->state != RULE_SET || name->entry_count > 0;
        for (uint32_t j = 0; j < name->value_count; j++) {
            const struct summary_value *value = &summary->values[name->first_value + j];
            if (value->kind == RULE_TEXT)
                *array_append(linker->names, linker->name_count) = summary_text(summary, value->text);
            else
                unknown |= value->kind != RULE_NULL;
        }
    }
    return unknown;
}

static void link_names(struct linker *linker) {
    for (uint32_t i = 0; i < linker->program->module_count; i++) {
        bool unknown = collect_names(linker, linker->program->modules[i].summary);
        linker->unknown_names |= unknown;
        for (unsigned api = 0; unknown && api < API_COUNT; api++) {
            if (is_checked(api))
                add_loose(linker, i, (uint16_t)api, LOOSE_AFTER_INDIRECT_CALL, "dlsym with unknown names");
        }
    }
    for (size_t i = 0; i < linker->name_count; i++) {
        unsigned spelling = spelling_by_name(linker->names[i]);
        if (spelling < SPELLING_COUNT && is_checked(spelling_table[spelling].api))
            note_taken(linker, spelling_table[spelling].api, "its name is given to dlsym");
    }
}

/* ---- Tail calls ---- */

static void link_tails(struct linker *linker, uint32_t module) {
    const struct summary *summary = linker->program->modules[module].summary;
    struct module *made = &linker->document->modules[linker->slots[module]];
    made->has_tails = (summary->header->flags & SUMMARY_TAILS_COMPLETE) != 0;
    for (uint32_t i = 0; i < summary->tails_count; i++) {
        const struct summary_tail *closure = &summary->tails[i];
        struct tail *tail = module_add_tail(made, closure->target);
        tail->flags = (uint16_t)closure->flags;
        for (uint32_t j = 0; j < closure->member_count; j++)
            tail_add_member(tail, summary->members[closure->first_member + j]);
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
    document->program = xstrdup(program->modules[0].path);
    document->identity = program->modules[0].summary->header->identity;
    for (size_t i = 0; i < program->module_count; i++) {
        const struct program_module *joined = &program->modules[i];
        const struct module *module = document_module(document, &joined->summary->header->identity, joined->path);
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
    free(linker.jumps);
    free(linker.names);
    free(linker.slots);
    document_sort(document);
}
