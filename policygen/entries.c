/* Decides by names alone, as the dynamic loader does: versions of one name are not told apart. */
#include "policygen/entries.h"

#include <string.h>

#include "runtime/util.h"

static bool is_lookup(unsigned api) {
    return api == API_dlsym || api == API_dlvsym;
}

bool entries_is_unknown_call(const struct summary *summary, const struct summary_call *call) {
    if (!is_lookup(call->api))
        return false;
    const struct summary_rule *name = summary_rule(summary, call, 1);
    bool unknown = name->state != RULE_SET || name->entry_count > 0;
    for (uint32_t i = 0; i < name->value_count; i++) {
        uint8_t kind = summary->values[name->first_value + i].kind;
        unknown |= kind != RULE_TEXT && kind != RULE_NULL;
    }
    return unknown;
}

static void find_names(struct entries *entries, const struct summary *summary) {
    for (uint32_t i = 0; i < summary->calls_count + summary->jumps_count; i++) {
        const struct summary_call *call = summary_call_at(summary, i);
        if (!is_lookup(call->api))
            continue;
        const struct summary_rule *name = summary_rule(summary, call, 1);
        entries->unknown |= entries_is_unknown_call(summary, call);
        for (uint32_t j = 0; j < name->value_count; j++) {
            const struct summary_value *value = &summary->values[name->first_value + j];
            const char *text = summary_text(summary, value->text);
            if (value->kind == RULE_TEXT && map_get(&entries->names, text) == NULL)
                map_put(&entries->names, text, entries);
        }
    }
}

void entries_find(struct entries *entries, const struct program *program) {
    *entries = (struct entries){.program = program};
    for (size_t i = 0; i < program->module_count; i++)
        find_names(entries, program->modules[i].summary);
}

void entries_free(struct entries *entries) {
    map_free(&entries->names);
    map_free(&entries->wanted);
}

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
