/* Reads summaries. They may come from a file that anyone could have changed: until validation has passed nothing in
 * them is believed, and afterwards no offset is checked again.
 */
#include "policygen/summary.h"

#include <string.h>

#include "policygen/rules.h"
#include "runtime/api.h"

/* ---- Validation ---- */

static bool section_fits(const struct summary_header *header, struct summary_section section, size_t element_size) {
    return section.offset % 8 == 0 && section.offset >= sizeof *header && section.offset <= header->size &&
           section.count <= (header->size - section.offset) / element_size;
}

static bool span_fits(uint32_t first, uint32_t count, uint32_t all) {
    return first <= all && count <= all - first;
}

static bool functions_are_valid(const struct summary *summary) {
    for (uint32_t i = 0; i < summary->functions_count; i++) {
        const struct summary_function *function = &summary->functions[i];
        if (function->name >= summary->text_count || function->end < function->start ||
            (i > 0 && function->start < function[-1].end))
            return false;
    }
    return true;
}

static bool symbols_are_valid(const struct summary *summary) {
    for (uint32_t i = 0; i < summary->symbols_count; i++) {
        if (summary->symbols[i].name >= summary->text_count)
            return false;
        if (i > 0 && strcmp(summary_text(summary, summary->symbols[i - 1].name),
                            summary_text(summary, summary->symbols[i].name)) > 0)
            return false;
    }
    return true;
}

/* Ordered by key, the keys and values below these limits. */
static bool uses_are_valid(const struct use *uses, uint32_t count, uint32_t keys, uint32_t values) {
    for (uint32_t i = 0; i < count; i++) {
        if (uses[i].key >= keys || uses[i].value >= values || (i > 0 && uses[i].key < uses[i - 1].key))
            return false;
    }
    return true;
}

static bool all_uses_are_valid(const struct summary *summary) {
    uint32_t functions = summary->functions_count, symbols = summary->symbols_count;
    return uses_are_valid(summary->callers, summary->callers_count, functions, UINT32_MAX) &&
           uses_are_valid(summary->jumpers, summary->jumpers_count, functions, functions) &&
           uses_are_valid(summary->exports, summary->exports_count, functions, symbols) &&
           uses_are_valid(summary->choices, summary->choices_count, functions, functions) &&
           uses_are_valid(summary->import_calls, summary->import_calls_count, symbols, UINT32_MAX) &&
           uses_are_valid(summary->import_jumps, summary->import_jumps_count, symbols, functions) &&
           uses_are_valid(summary->taken_symbols, summary->taken_symbols_count, symbols, UINT32_MAX);
}

static bool numbers_are_below(const uint32_t *numbers, uint32_t count, uint32_t limit) {
    for (uint32_t i = 0; i < count; i++) {
        if (numbers[i] >= limit)
            return false;
    }
    return true;
}

static bool calls_are_valid(const struct summary *summary, const struct summary_call *calls, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (calls[i].api >= API_COUNT ||
            !span_fits(calls[i].first_rule, api_table[calls[i].api].argument_count, summary->rules_count))
            return false;
    }
    return true;
}

static bool passed_are_valid(const struct summary *summary) {
    for (uint32_t i = 0; i < summary->passed_count; i++) {
        const struct summary_passed *passed = &summary->passed[i];
        if (passed->jump >= summary->jumps_count ||
            !span_fits(passed->first_rule, api_table[summary->jumps[passed->jump].api].argument_count,
                       summary->rules_count))
            return false;
    }
    return true;
}

static bool rules_are_valid(const struct summary *summary) {
    for (uint32_t i = 0; i < summary->rules_count; i++) {
        const struct summary_rule *rule = &summary->rules[i];
        if (rule->state > RULE_SET || rule->unknown >= UNKNOWN_COUNT ||
            !span_fits(rule->first_value, rule->value_count, summary->values_count) ||
            !span_fits(rule->first_entry, rule->entry_count, summary->entries_count))
            return false;
    }
    return true;
}

static bool values_are_valid(const struct summary *summary) {
    for (uint32_t i = 0; i < summary->values_count; i++) {
        const struct summary_value *value = &summary->values[i];
        if (value->kind > RULE_ADDRESS || value->text >= summary->text_count)
            return false;
        if (value->kind == RULE_ADDRESS && value->socket >= summary->sockets_count)
            return false;
    }
    return true;
}

static bool sockets_are_valid(const struct summary *summary) {
    for (uint32_t i = 0; i < summary->sockets_count; i++) {
        const struct policy_address *socket = &summary->sockets[i];
        if (socket->match > MATCH_NULL || (socket->flags & ~(ADDRESS_ANY_PORT | ADDRESS_ANY_HOST)) != 0)
            return false;
    }
    return true;
}

static bool tails_are_valid(const struct summary *summary) {
    for (uint32_t i = 0; i < summary->tails_count; i++) {
        const struct summary_tail *tail = &summary->tails[i];
        if (tail->flags > UINT16_MAX || tail->member_count > UINT16_MAX ||
            !span_fits(tail->first_member, tail->member_count, summary->members_count))
            return false;
    }
    return true;
}

static const char *check_contents(const struct summary *summary) {
    if (summary->text_count == 0 || summary->text[0] != 0 || summary->text[summary->text_count - 1] != 0)
        return "its text is not terminated";
    if (!functions_are_valid(summary))
        return "its functions are not in order";
    if (!symbols_are_valid(summary))
        return "its symbols are not in order";
    if (!all_uses_are_valid(summary))
        return "its graph is damaged";
    if (!calls_are_valid(summary, summary->calls, summary->calls_count) ||
        !calls_are_valid(summary, summary->jumps, summary->jumps_count) ||
        !calls_are_valid(summary, summary->lookups, summary->lookups_count) || !passed_are_valid(summary))
        return "its calls are damaged";
    if (!rules_are_valid(summary) || !values_are_valid(summary) || !sockets_are_valid(summary))
        return "its rules are damaged";
    if (!tails_are_valid(summary))
        return "its tail calls are damaged";
    uint32_t functions = summary->functions_count;
    if (!numbers_are_below(summary->entries, summary->entries_count, functions) ||
        !numbers_are_below(summary->indirect_jumps, summary->indirect_jumps_count, functions) ||
        !numbers_are_below(summary->chosen_jumps, summary->chosen_jumps_count, functions) ||
        !numbers_are_below(summary->taken_apis, summary->taken_apis_count, API_COUNT) ||
        !numbers_are_below(summary->folders, summary->folders_count, summary->text_count))
        return "its lists are damaged";
    return NULL;
}

const char *summary_open(const void *data, size_t size, struct summary *summary) {
    const struct summary_header *header = data;
    if (size < sizeof *header || memcmp(header->magic, SUMMARY_MAGIC, sizeof header->magic) != 0)
        return "it is no summary";
    if (header->version != SUMMARY_VERSION)
        return "it has another version";
    if (header->size != size)
        return "it is cut off";
    *summary = (struct summary){.header = header};
#define SECTION(name, type)                                                   \
    if (!section_fits(header, header->name, sizeof(type)))                    \
        return "its section \"" #name "\" lies outside";                      \
    summary->name = (const void *)((const char *)data + header->name.offset); \
    summary->name##_count = header->name.count;
    SUMMARY_SECTIONS(SECTION)
#undef SECTION
    return check_contents(summary);
}

/* ---- Look-ups ---- */

struct use_range summary_uses(const struct use *uses, uint32_t count, uint32_t key) {
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (uses[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    struct use_range range = {uses + low, uses + low};
    while (range.end < uses + count && range.end->key == key)
        range.end++;
    return range;
}

uint32_t summary_function_at(const struct summary *summary, uint32_t address) {
    uint32_t low = 0, high = summary->functions_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (address >= summary->functions[middle].end)
            low = middle + 1;
        else if (address < summary->functions[middle].start)
            high = middle;
        else
            return middle;
    }
    return NO_FUNCTION;
}

void summary_symbols(const struct summary *summary, const char *name, uint32_t *first, uint32_t *end) {
    uint32_t low = 0, high = summary->symbols_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (strcmp(summary_text(summary, summary->symbols[middle].name), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *first = *end = low;
    while (*end < summary->symbols_count && strcmp(summary_text(summary, summary->symbols[*end].name), name) == 0)
        ++*end;
}

uint32_t summary_passed_rules(const struct summary *summary, const struct summary_call *jump, uint32_t return_address) {
    uint32_t index = (uint32_t)(jump - summary->jumps), low = 0, high = summary->passed_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        const struct summary_passed *passed = &summary->passed[middle];
        if (passed->jump < index || (passed->jump == index && passed->return_address < return_address))
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < summary->passed_count && summary->passed[low].jump == index &&
                 summary->passed[low].return_address == return_address;
    return found ? summary->passed[low].first_rule : jump->first_rule;
}
