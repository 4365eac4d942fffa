/* Breadth first, over names where objects meet. */
#include "policygen/walk.h"

#include <stdlib.h>
#include <string.h>

#include "policygen/kept.h"
#include "runtime/util.h"

void walk_init(struct walk *walk, const struct entries *entries) {
    *walk = (struct walk){.entries = entries, .program = entries->program};
    walk->visited = xcalloc(walk->program->module_count, sizeof *walk->visited);
    walk->kept = xcalloc(walk->program->module_count, sizeof *walk->kept);
    walk->returns = xcalloc(walk->program->module_count, sizeof *walk->returns);
}

void walk_free(struct walk *walk) {
    for (size_t i = 0; i < walk->program->module_count; i++) {
        free(walk->visited[i]);
        free(walk->returns[i].items);
    }
    free(walk->visited);
    free(walk->returns);
    free(walk->kept);
    free(walk->queue);
}

void walk_begin(struct walk *walk) {
    walk->number++;
    walk->queued = walk->next = 0;
    walk->pointed = walk->looked_up = false;
    for (size_t i = 0; i < walk->program->module_count; i++) {
        walk->returns[i].count = 0;
        walk->kept[i] = false;
    }
}

void walk_add(struct walk *walk, uint32_t module, uint32_t function) {
    uint32_t count = walk->program->modules[module].summary->functions_count;
    if (function >= count)
        return;
    if (walk->visited[module] == NULL)
        walk->visited[module] = xcalloc(count, sizeof **walk->visited);
    if (walk->visited[module][function] == walk->number)
        return;
    walk->visited[module][function] = walk->number;
    *array_append(walk->queue, walk->queued) = (struct place){module, function};
}

static void add_return(struct walk *walk, uint32_t module, uint32_t return_address) {
    struct uses *returns = &walk->returns[module];
    *array_append(returns->items, returns->count) = (struct use){return_address, 0};
}

/* Everything in the process that reaches a function by its exported name. */
static void add_importers(struct walk *walk, const char *name) {
    for (uint32_t i = 0; i < walk->program->module_count; i++) {
        const struct summary *summary = walk->program->modules[i].summary;
        uint32_t symbol, end;
        summary_symbols(summary, name, &symbol, &end);
        for (; symbol < end; symbol++) {
            struct use_range calls = summary_uses(summary->import_calls, summary->import_calls_count, symbol);
            for (const struct use *use = calls.first; use < calls.end; use++)
                add_return(walk, i, use->value);
            struct use_range jumps = summary_uses(summary->import_jumps, summary->import_jumps_count, symbol);
            for (const struct use *use = jumps.first; use < jumps.end; use++)
                walk_add(walk, i, use->value);
            struct use_range taken = summary_uses(summary->taken_symbols, summary->taken_symbols_count, symbol);
            walk->pointed |= taken.first < taken.end;
        }
    }
}

static const char *symbol_name(const struct summary *summary, uint32_t symbol) {
    return summary_text(summary, summary->symbols[symbol].name);
}

/* A function that its object may choose for an IFUNC symbol: then calls by that name lead to it, and calls through the
 * object's own stubs of chosen functions. */
static void add_resolver(struct walk *walk, uint32_t module, uint32_t resolver) {
    const struct summary *summary = walk->program->modules[module].summary;
    for (uint32_t i = 0; i < summary->chosen_jumps_count; i++)
        walk_add(walk, module, summary->chosen_jumps[i]);
    struct use_range exports = summary_uses(summary->exports, summary->exports_count, resolver);
    for (const struct use *use = exports.first; use < exports.end; use++)
        add_importers(walk, symbol_name(summary, use->value));
}

static bool is_libc(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    return strncmp(name, "libc.", 5) == 0 || strncmp(name, "ld-", 3) == 0;
}

/* libc's own intercepted functions (dlsym, dlopen) do end in jumps through pointers, but to libc's and its loader's
 * functions alone: none of them jumps to what a program hands to it. */
static bool keeps_to_itself(const struct walk *walk, const struct program_module *module, const char *name) {
    return walk->from_pointers && is_libc(module->path) && spelling_by_name(name) < SPELLING_COUNT;
}

static void visit(struct walk *walk, struct place place) {
    const struct program_module *module = &walk->program->modules[place.module];
    const struct summary *summary = module->summary;
    struct use_range callers = summary_uses(summary->callers, summary->callers_count, place.function);
    for (const struct use *use = callers.first; use < callers.end; use++)
        add_return(walk, place.module, use->value);
    struct use_range jumpers = summary_uses(summary->jumpers, summary->jumpers_count, place.function);
    for (const struct use *use = jumpers.first; use < jumpers.end; use++)
        walk_add(walk, place.module, use->value);
    struct use_range exports = summary_uses(summary->exports, summary->exports_count, place.function);
    for (const struct use *use = exports.first; use < exports.end; use++) {
        const char *name = symbol_name(summary, use->value);
        walk->pointed |= module->plugin || entries_is_named(walk->entries, name);
        walk->looked_up |= walk->entries->unknown;
        if (!keeps_to_itself(walk, module, name))
            add_importers(walk, name);
    }
    if ((summary->functions[place.function].flags & SUMMARY_FUNCTION_TAKEN) != 0)
        *(kept_is(module, place.function) ? &walk->kept[place.module] : &walk->pointed) = true;
    struct use_range choices = summary_uses(summary->choices, summary->choices_count, place.function);
    for (const struct use *use = choices.first; use < choices.end; use++)
        add_resolver(walk, place.module, use->value);
}

static int compare_returns(const void *a, const void *b) {
    const struct use *x = a, *y = b;
    return x->key < y->key ? -1 : x->key > y->key;
}

static void order_returns(struct uses *returns) {
    if (returns->count == 0)
        return;
    qsort(returns->items, returns->count, sizeof *returns->items, compare_returns);
    size_t kept = 1;
    for (size_t i = 1; i < returns->count; i++) {
        if (returns->items[i].key != returns->items[kept - 1].key)
            returns->items[kept++] = returns->items[i];
    }
    returns->count = kept;
}

void walk_run(struct walk *walk) {
    while (walk->next < walk->queued && !walk_is_exhausted(walk)) {
        struct place place = walk->queue[walk->next++];
        walk->visits++;
        visit(walk, place);
    }
    for (size_t i = 0; i < walk->program->module_count; i++)
        order_returns(&walk->returns[i]);
}

bool walk_returns_to(const struct walk *walk, uint32_t module, uint32_t return_address) {
    const struct uses *returns = &walk->returns[module];
    size_t first = uses_from(returns, return_address);
    return first < returns->count && returns->items[first].key == return_address;
}
