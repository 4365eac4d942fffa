/* Decides by names alone, as the dynamic loader does: versions of one name are not told apart. Names that are given to
 * dlsym by callers of a function are looked up only if it has such callers, which may depend on other names: so they are
 * gathered until nothing is added any more.
 */
#include "policygen/entries.h"

#include <stdlib.h>
#include <string.h>

#include "policygen/lookups.h"
#include "runtime/match.h"
#include "runtime/util.h"

/* Real programs need three rounds and a dozen patterns. Beyond, any name may be looked up. */
#define MAX_ROUNDS 64
#define MAX_PATTERNS 1024

/* What libc and its loader look up by name, without dlsym. */
static bool is_libc_name(const char *name) {
    static const char *const starts[] = {"_Unwind_", "__gcc_personality", "_nss_", "gconv", "__libc_early_init", NULL};
    for (size_t i = 0; starts[i] != NULL; i++) {
        if (strncmp(name, starts[i], strlen(starts[i])) == 0)
            return true;
    }
    return false;
}

bool entries_is_named(const struct entries *entries, const char *name) {
    for (size_t i = 0; i < entries->pattern_count; i++) {
        if (match_glob(entries->patterns[i], strlen(entries->patterns[i]), name, strlen(name)))
            return true;
    }
    return map_get(&entries->names, name) != NULL || is_libc_name(name);
}

static bool is_referenced(const struct summary *summary, const char *name) {
    uint32_t symbol, end;
    summary_symbols(summary, name, &symbol, &end);
    for (; symbol < end; symbol++) {
        if (summary->symbols[symbol].referenced != 0)
            return true;
    }
    return false;
}

/* Whether some object of the process uses the name, the one that defines it included. */
static bool is_wanted(struct entries *entries, const char *name) {
    static bool yes, no;
    const bool *known = map_get(&entries->wanted, name);
    if (known != NULL)
        return known == &yes;
    bool wanted = false;
    for (size_t i = 0; !wanted && i < entries->program->module_count; i++)
        wanted = is_referenced(entries->program->modules[i].summary, name);
    map_put(&entries->wanted, name, wanted ? &yes : &no);
    return wanted;
}

enum entry entries_kind(struct entries *entries, uint32_t module, uint32_t function) {
    const struct program_module *holder = &entries->program->modules[module];
    const struct summary *summary = holder->summary;
    struct use_range exports = summary_uses(summary->exports, summary->exports_count, function);
    if (exports.first == exports.end)
        return ENTRY_NONE;
    if (holder->plugin)
        return ENTRY_CERTAIN;
    for (const struct use *use = exports.first; use < exports.end; use++) {
        const char *name = summary_text(summary, summary->symbols[use->value].name);
        if (entries_is_named(entries, name) || is_wanted(entries, name))
            return ENTRY_CERTAIN;
    }
    return entries->unknown ? ENTRY_UNKNOWN_NAME : ENTRY_NONE;
}

/* ---- Names given to dlsym ---- */

/* Calls of a function that hands names on are followed like those of dlsym, so that nothing comes in unseen there. */
static bool hands_on(const struct summary *summary, uint32_t function) {
    struct use_range exports = summary_uses(summary->exports, summary->exports_count, function);
    for (const struct use *use = exports.first; use < exports.end; use++) {
        if (!lookups_hands_on(summary_text(summary, summary->symbols[use->value].name)))
            return false;
    }
    return exports.first < exports.end;
}

static bool comes_from_outside(struct entries *entries, uint32_t module, const struct summary_rule *name) {
    const struct summary *summary = entries->program->modules[module].summary;
    for (uint32_t i = 0; i < name->entry_count; i++) {
        uint32_t function = summary->entries[name->first_entry + i];
        if (entries_kind(entries, module, function) == ENTRY_CERTAIN && !hands_on(summary, function))
            return true;
    }
    return false;
}

static void add_name(struct entries *entries, const char *name) {
    if (map_get(&entries->names, name) == NULL)
        map_put(&entries->names, name, entries);
}

static void add_pattern(struct entries *entries, const char *pattern) {
    if (entries->pattern_count == MAX_PATTERNS)
        return;
    for (size_t i = 0; i < entries->pattern_count; i++) {
        if (strcmp(entries->patterns[i], pattern) == 0)
            return;
    }
    *array_append(entries->patterns, entries->pattern_count) = pattern; /* NOLINT(bugprone-sizeof-expression) */
}

static void add_names(struct entries *entries, uint32_t module, const struct summary_call *call) {
    const struct summary *summary = entries->program->modules[module].summary;
    const struct summary_rule *name = summary_rule(summary, call, 1);
    bool known = name->state == RULE_SET && !comes_from_outside(entries, module, name);
    for (uint32_t i = 0; i < name->value_count; i++) {
        const struct summary_value *value = &summary->values[name->first_value + i];
        const char *text = summary_text(summary, value->text);
        if (value->kind == RULE_TEXT)
            add_name(entries, text);
        else if (value->kind == RULE_GLOB)
            add_pattern(entries, text);
        else
            known &= value->kind == RULE_NULL;
    }
    if (!known)
        *array_append(entries->lookups, entries->lookup_count) = (struct lookup){.module = module, .call = call};
}

/* What the object's own calls do not show. */
static void describe(struct entries *entries, uint32_t module, size_t first) {
    const struct program_module *holder = &entries->program->modules[module];
    const struct known_names *known = lookups_names(holder->path, holder->soname);
    bool described = known != NULL && entries->lookup_count - first <= known->places;
    for (size_t i = first; described && i < entries->lookup_count; i++)
        entries->lookups[i].described = true;
    for (size_t i = 0; described && known->names[i] != NULL; i++)
        add_pattern(entries, known->names[i]);
    entries->unknown |= !described && first < entries->lookup_count;
}

static void find_module_names(struct entries *entries, uint32_t module) {
    const struct summary *summary = entries->program->modules[module].summary;
    size_t first = entries->lookup_count;
    for (uint32_t i = 0; i < summary_call_count(summary); i++) {
        const struct summary_call *call = summary_call_at(summary, i);
        if (call->api == API_dlsym || call->api == API_dlvsym)
            add_names(entries, module, call);
    }
    for (uint32_t i = 0; i < summary->lookups_count; i++)
        add_names(entries, module, &summary->lookups[i]);
    describe(entries, module, first);
}

/* A function that is found by its name is given names that nobody follows. */
static bool lookups_are_found(const struct entries *entries) {
    bool found = entries_is_named(entries, "dlsym") || entries_is_named(entries, "dlvsym");
    for (unsigned i = 0; i < handing_on_count; i++)
        found |= entries_is_named(entries, handing_on_table[i].function);
    return found;
}

void entries_find(struct entries *entries, const struct program *program) {
    size_t names, patterns, rounds = 0;
    *entries = (struct entries){.program = program};
    do {
        names = entries->names.count;
        patterns = entries->pattern_count;
        entries->lookup_count = 0;
        entries->unknown = false;
        for (uint32_t i = 0; i < program->module_count; i++)
            find_module_names(entries, i);
    } while (++rounds < MAX_ROUNDS && (names < entries->names.count || patterns < entries->pattern_count));
    entries->unknown |= rounds == MAX_ROUNDS || entries->pattern_count == MAX_PATTERNS || lookups_are_found(entries);
}

void entries_free(struct entries *entries) {
    map_free(&entries->names);
    map_free(&entries->wanted);
    free(entries->patterns);
    free(entries->lookups);
}
