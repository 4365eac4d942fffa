/* Joins the objects of a program into its policy: the sites of calls, the sites of tail calls, which are wherever their
 * callers are, and what may be called through pointers from places that cannot be listed.
 */
#include <stdlib.h>
#include <string.h>

#include "policygen/coverage.h"
#include "policygen/rules.h"
#include "policygen/walk.h"
#include "runtime/util.h"

/* A module with more such return addresses than this gets one loose rule instead. */
#define MAX_RETURN_ADDRESSES 512

/* A jump to an API whose callers cannot all be listed. */
struct open_jump {
    uint32_t module;
    const struct summary_call *call;
};

struct linker {
    const struct program *program;
    struct document *document;
    struct coverage *coverage;
    size_t *slots; /* per object: its place among the document's modules */
    struct entries entries;
    struct walk walk;
    struct walk pointers;           /* who may be on the stack when a function is entered through a pointer */
    const char *pointed[API_COUNT]; /* why the API may be called through a pointer, or NULL */
    bool taken[API_COUNT];          /* then, whether the pointer may be to the API itself: it gets any arguments */
    bool named[API_COUNT];          /* then, whether there is another reason than unknown names */
    struct open_jump *jumps;        /* to APIs, in functions that may be called through a pointer */
    size_t jump_count;
    struct open_jump *crowded; /* to APIs, in functions with very many callers */
    size_t crowded_count;
    bool exhausted[API_COUNT]; /* the callers of some jump to it are not known: there were too many to look for */
};

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

static void make_any(struct constraint *constraint, uint8_t why) {
    if (constraint->any)
        return;
    constraint->any = true;
    constraint->why_any = xstrdup(unknown_text((enum unknown)why));
}

/* Whether a rule that rests on functions being called by their own object alone does not hold here. */
static bool is_loosened(struct linker *linker, uint32_t module, const struct summary_rule *rule) {
    const struct summary *summary = linker->program->modules[module].summary;
    enum entry worst = ENTRY_NONE;
    for (uint32_t i = 0; i < rule->entry_count && worst < ENTRY_CERTAIN; i++) {
        enum entry kind = entries_kind(&linker->entries, module, summary->entries[rule->first_entry + i]);
        worst = kind > worst ? kind : worst;
    }
    linker->coverage[module].loosened +=
        worst == ENTRY_UNKNOWN_NAME && rule->state == RULE_SET && rule->value_count > 0;
    return worst != ENTRY_NONE;
}

static void add_rule(struct linker *linker, uint32_t module, struct site *site, unsigned argument,
                     const struct summary_rule *rule) {
    const struct summary *summary = linker->program->modules[module].summary;
    if (rule->state == RULE_OPAQUE || rule->state == RULE_MEANINGLESS)
        return;
    struct constraint *constraint = site_constraint(site, (uint8_t)argument);
    bool loosened = is_loosened(linker, module, rule);
    if (loosened && rules_mask_forbids(site->api, argument, rule->bits)) {
        constraint_add(constraint, (struct value){.origin = ORIGIN_STATIC,
                                                  .kind = VALUE_MASK,
                                                  .low = rules_mask(site->api, argument, rule->bits)});
        return;
    }
    for (unsigned i = 0; i < rule->value_count; i++)
        constraint_add(constraint, make_value(summary, &summary->values[rule->first_value + i]));
    if (rule->state == RULE_ANY || loosened || rule->value_count == 0)
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

static void add_loose(struct linker *linker, uint32_t module, uint16_t api, enum looseness how, const char *why) {
    module_add_loose(&linker->document->modules[linker->slots[module]], api, how, why);
}

/* ---- Calls and tail calls ---- */

/* The API may be entered through a pointer, to itself or to a function that jumps to it: noted now, and done when all
 * sites of its own are known. */
static void note_pointed(struct linker *linker, unsigned api, const char *why) {
    if (linker->pointed[api] == NULL)
        linker->pointed[api] = why;
}

static void note_taken(struct linker *linker, unsigned api, const char *why) {
    note_pointed(linker, api, why);
    linker->taken[api] = true;
    linker->named[api] = true;
}

static void note_jump(struct linker *linker, uint32_t module, const struct summary_call *jump, bool certain) {
    if (certain) {
        note_pointed(linker, jump->api, "tail call of a function whose address is taken");
        linker->named[jump->api] = true;
    }
    *array_append(linker->jumps, linker->jump_count) = (struct open_jump){module, jump};
}

static void walk_callers(struct linker *linker, uint32_t module, const struct summary_call *jump) {
    walk_begin(&linker->walk);
    walk_add(&linker->walk, module, jump->function);
    walk_run(&linker->walk);
}

/* The jump may return to anywhere: no site of its API can be sure of its own arguments any more. */
static void link_exhausted(struct linker *linker, unsigned api) {
    for (uint32_t i = 0; !linker->exhausted[api] && i < linker->program->module_count; i++)
        add_loose(linker, i, (uint16_t)api, LOOSE_AFTER_ANY_CALL, unknown_text(UNKNOWN_BUDGET));
    linker->exhausted[api] = true;
}

static void forget_arguments(struct site *site) {
    for (size_t i = 0; i < site->constraint_count; i++) {
        struct constraint *constraint = &site->constraints[i];
        free(constraint->why_any);
        constraint->any = true;
        constraint->why_any = xstrdup(unknown_text(UNKNOWN_BUDGET));
    }
}

static void forget_exhausted(struct linker *linker) {
    for (uint32_t i = 0; i < linker->program->module_count; i++) {
        struct module *made = &linker->document->modules[linker->slots[i]];
        for (size_t j = 0; j < made->site_count; j++) {
            if (linker->exhausted[made->sites[j].api])
                forget_arguments(&made->sites[j]);
        }
    }
}

/* The last walk came to functions that single objects call through pointers of their own. */
static bool link_kept(struct linker *linker, uint16_t api) {
    bool any = false;
    for (uint32_t i = 0; i < linker->program->module_count; i++) {
        if (!linker->walk.kept[i])
            continue;
        add_loose(linker, i, api, LOOSE_AFTER_INDIRECT_CALL, "tail call of a function whose address its object keeps");
        any = true;
    }
    return any;
}

static void link_jump(struct linker *linker, uint32_t module, const struct summary_call *jump) {
    const struct summary *summary = linker->program->modules[module].summary;
    const struct walk *walk = &linker->walk;
    bool crowded = false, open = false;
    walk_callers(linker, module, jump);
    if (walk_is_exhausted(walk)) {
        link_exhausted(linker, jump->api);
        linker->coverage[module].tails++;
        linker->coverage[module].open_tails++;
        return;
    }
    for (uint32_t i = 0; i < linker->program->module_count; i++) {
        if (walk->returns[i].count > MAX_RETURN_ADDRESSES) {
            add_loose(linker, i, jump->api, LOOSE_AFTER_ANY_CALL, "tail call with many callers");
            crowded = true;
            continue;
        }
        for (size_t j = 0; j < walk->returns[i].count; j++)
            add_passed_site(linker, i, walk->returns[i].items[j].key, module, jump);
    }
    if (crowded)
        *array_append(linker->crowded, linker->crowded_count) = (struct open_jump){module, jump};
    if (jump->undecoded || jump->function >= summary->functions_count ||
        (summary->functions[jump->function].flags & SUMMARY_FUNCTION_GAP) != 0) {
        add_loose(linker, module, jump->api, LOOSE_AFTER_ANY_CALL, "tail call in code that nothing is known to call");
        open = true;
    }
    open |= link_kept(linker, jump->api) || crowded || walk->pointed;
    if (walk->pointed || walk->looked_up)
        note_jump(linker, module, jump, walk->pointed);
    linker->coverage[module].tails++;
    linker->coverage[module].open_tails += open || walk->looked_up;
    linker->coverage[module].loosened_tails += !open && walk->looked_up;
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

/* Where a loose rule stands for too many callers, a caller may still have a site of its own, for another reason: it has
 * to allow what this jump passes, too. */
static void link_crowded(struct linker *linker, const struct open_jump *jump) {
    walk_callers(linker, jump->module, jump->call);
    if (walk_is_exhausted(&linker->walk)) {
        link_exhausted(linker, jump->call->api);
        return;
    }
    for (uint32_t i = 0; i < linker->program->module_count; i++) {
        const struct module *made = &linker->document->modules[linker->slots[i]];
        for (size_t j = 0; j < made->site_count; j++) {
            if (made->sites[j].api == jump->call->api && walk_returns_to(&linker->walk, i, made->sites[j].offset))
                add_passed_site(linker, i, made->sites[j].offset, jump->module, jump->call);
        }
    }
}

/* ---- Pointers ---- */

static bool is_checked(unsigned api) {
    return api != API_NONE && api_table[api].level == LEVEL_CHECKED;
}

static void link_names(struct linker *linker) {
    for (unsigned spelling = 0; spelling < SPELLING_COUNT; spelling++) {
        const struct spelling_row *row = &spelling_table[spelling];
        if (is_checked(row->api) && entries_is_named(&linker->entries, row->name))
            note_taken(linker, row->api, "its name is given to dlsym");
    }
}

/* Any function may be looked up, and then be called like any other pointer. */
static void link_unknown_names(struct linker *linker) {
    for (unsigned api = 0; api < API_COUNT; api++) {
        if (!is_checked(api))
            continue;
        note_pointed(linker, api, "dlsym with unknown names");
        linker->taken[api] = true;
        linker->coverage[0].loosened_apis += !linker->named[api];
    }
    for (size_t i = 0; i < linker->entries.lookup_count; i++)
        linker->coverage[linker->entries.lookups[i].module].unknown_lookups += !linker->entries.lookups[i].described;
}

/* Who may be on the stack when something was entered through a pointer without an indirect call: the callers of
 * functions that end in an indirect jump. */
static void find_pointers(struct linker *linker) {
    struct walk *walk = &linker->pointers;
    walk_begin(walk);
    walk->from_pointers = true;
    for (uint32_t i = 0; i < linker->program->module_count; i++) {
        const struct summary *summary = linker->program->modules[i].summary;
        for (uint32_t j = 0; j < summary->indirect_jumps_count; j++)
            walk_add(walk, i, summary->indirect_jumps[j]);
    }
    walk_run(walk);
}

static bool is_restorer(const struct summary *summary, uint32_t return_address) {
    for (uint32_t i = 0; i < summary->restorers_count; i++) {
        if (summary->restorers[i] == return_address)
            return true;
    }
    return false;
}

/* A site of the program's own that may also be where a pointer leads: to the API, with any arguments, or to functions
 * that jump to it, with what the jumps pass. */
static void loosen_site(struct linker *linker, uint32_t module, uint32_t return_address, uint16_t api) {
    for (size_t i = 0; !linker->taken[api] && i < linker->jump_count; i++) {
        if (linker->jumps[i].call->api == api)
            add_site(linker, module, return_address, linker->jumps[i].module, linker->jumps[i].call);
    }
    if (!linker->taken[api])
        return;
    struct site *site = find_site(linker, module, return_address, api);
    for (unsigned i = 0; i < api_table[api].argument_count; i++) {
        if (argument_shape((enum argument_kind)api_table[api].arguments[i].kind) == SHAPE_OPAQUE)
            continue;
        struct constraint *constraint = site_constraint(site, (uint8_t)i);
        linker->coverage[module].loosened += !constraint->any && !linker->named[api];
        make_any(constraint, UNKNOWN_POINTER);
    }
}

static void link_pointers(struct linker *linker, uint32_t module) {
    const struct summary *summary = linker->program->modules[module].summary;
    struct module *made = &linker->document->modules[linker->slots[module]];
    const struct uses *returns = &linker->pointers.returns[module];
    bool any = false;
    for (unsigned api = 0; api < API_COUNT; api++) {
        if (linker->pointed[api] == NULL)
            continue;
        add_loose(linker, module, (uint16_t)api, LOOSE_AFTER_INDIRECT_CALL, linker->pointed[api]);
        any = true;
    }
    for (size_t i = 0; any && i < returns->count; i++)
        module_add_return(made, returns->items[i].key);
    /* These follow no call at all. */
    for (uint32_t i = 0; any && i < summary->restorers_count; i++)
        module_add_return(made, summary->restorers[i]);
    for (size_t i = 0; i < made->site_count; i++) {
        uint32_t offset = made->sites[i].offset;
        if (linker->pointed[made->sites[i].api] != NULL &&
            (walk_returns_to(&linker->pointers, module, offset) || is_restorer(summary, offset)))
            loosen_site(linker, module, offset, made->sites[i].api);
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

/* ---- The program ---- */

static void linker_init(struct linker *linker, const struct program *program, struct document *document,
                        struct coverage *coverage) {
    *linker = (struct linker){.program = program, .document = document, .coverage = coverage};
    linker->slots = xcalloc(program->module_count, sizeof *linker->slots);
    entries_find(&linker->entries, program);
    walk_init(&linker->walk, &linker->entries);
    walk_init(&linker->pointers, &linker->entries);
    document_init(document);
    document->program = xstrdup(program->modules[0].path);
    document->identity = program->modules[0].summary->header->identity;
    for (size_t i = 0; i < program->module_count; i++) {
        const struct program_module *joined = &program->modules[i];
        const struct module *module = document_module(document, &joined->summary->header->identity, joined->path);
        linker->slots[i] = (size_t)(module - document->modules);
    }
}

static void linker_free(struct linker *linker) {
    entries_free(&linker->entries);
    walk_free(&linker->walk);
    walk_free(&linker->pointers);
    free(linker->jumps);
    free(linker->crowded);
    free(linker->slots);
}

void program_link(const struct program *program, struct document *document, struct coverage *coverage) {
    struct linker linker;
    linker_init(&linker, program, document, coverage);
    link_names(&linker);
    for (uint32_t i = 0; i < program->module_count; i++) {
        link_module(&linker, i);
        link_tails(&linker, i);
    }
    if (linker.entries.unknown)
        link_unknown_names(&linker);
    for (size_t i = 0; i < linker.crowded_count; i++)
        link_crowded(&linker, &linker.crowded[i]);
    find_pointers(&linker);
    for (uint32_t i = 0; i < program->module_count; i++)
        link_pointers(&linker, i);
    forget_exhausted(&linker);
    document_sort(document);
    for (size_t i = 0; i < program->module_count; i++)
        coverage_count(&document->modules[linker.slots[i]], &coverage[i]);
    linker_free(&linker);
}
