/* Makes the summary of one analysed object: picks what a linker can ever ask for, and writes it down flat. Of the graph
 * that is little, because walks only go backwards from functions that leave the object by a jump.
 */
#include <stdlib.h>
#include <string.h>

#include "policygen/folders.h"
#include "policygen/summary.h"
#include "runtime/api.h"
#include "runtime/util.h"

struct writer {
    const struct analysis *analysis;
    struct summary_header header;
    bool *walked;   /* per function: a walk may come here */
    bool *exported; /* per function: the names under which it is exported matter */
    bool *named;    /* per function: it may hold a site */
    size_t text_capacity;
    uint32_t *symbol_of; /* per symbol of the object: its number here, or NO_SYMBOL */
    uint32_t *name_of;   /* per symbol of the object: its name's place in the text, 0 before it has one */
#define SECTION(name, type) \
    type *name;             \
    size_t name##_count;
    SUMMARY_SECTIONS(SECTION)
#undef SECTION
};

static uint32_t add_text(struct writer *writer, const char *text) {
    size_t length = strlen(text) + 1, at = writer->text_count;
    if (length > writer->text_capacity - at) {
        writer->text_capacity = 2 * writer->text_capacity + length;
        writer->text = xrealloc(writer->text, writer->text_capacity, 1);
    }
    memcpy(writer->text + at, text, length);
    writer->text_count += length;
    return (uint32_t)at;
}

static uint32_t add_symbol_name(struct writer *writer, uint32_t symbol) {
    if (writer->name_of[symbol] == 0)
        writer->name_of[symbol] = add_text(writer, writer->analysis->object.symbols[symbol].name);
    return writer->name_of[symbol];
}

/* ---- What is wanted ---- */

static void mark(const struct writer *writer, bool *marks, uint32_t function) {
    if (function < writer->analysis->functions.count)
        marks[function] = true;
}

static void mark_holder(const struct writer *writer, uint32_t return_address) {
    mark(writer, writer->named, functions_at(&writer->analysis->functions, (uint64_t)return_address - 1));
}

/* Backwards along jumps, from all functions that leave the object by one. */
static void mark_walked(const struct writer *writer) {
    const struct analysis *analysis = writer->analysis;
    const struct uses *jumpers = &analysis->jumpers;
    uint32_t *queue = NULL;
    size_t count = 0;
    for (size_t i = 0; i < analysis->import_jumps.count; i++)
        *array_append(queue, count) = analysis->import_jumps.items[i].value;
    for (size_t i = 0; i < analysis->jump_count; i++)
        *array_append(queue, count) = analysis->jumps[i].function;
    for (size_t i = 0; i < analysis->scan.indirect_jump_count; i++) {
        if (!analysis->scan.indirect_jumps[i].table)
            *array_append(queue, count) = analysis->scan.indirect_jumps[i].function;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t function = queue[i];
        if (function >= analysis->functions.count || writer->walked[function])
            continue;
        writer->walked[function] = true;
        for (size_t j = uses_from(jumpers, function); j < jumpers->count && jumpers->items[j].key == function; j++)
            *array_append(queue, count) = jumpers->items[j].value;
    }
    free(queue);
}

static void mark_entries(const struct writer *writer, const struct argument_rule *rule) {
    for (size_t i = 0; i < rule->entry_count; i++)
        mark(writer, writer->exported, rule->entries[i]);
}

static void mark_exported(const struct writer *writer) {
    const struct analysis *analysis = writer->analysis;
    for (size_t i = 0; i < analysis->functions.count; i++)
        writer->exported[i] = writer->walked[i];
    for (size_t i = 0; i < analysis->choices.count; i++)
        mark(writer, writer->exported, analysis->choices.items[i].value);
    for (size_t i = 0; i < analysis->call_count + analysis->jump_count; i++) {
        const struct api_call *call =
            i < analysis->call_count ? &analysis->calls[i] : &analysis->jumps[i - analysis->call_count];
        for (unsigned j = 0; j < api_table[call->api].argument_count; j++)
            mark_entries(writer, &call->rules.arguments[j]);
    }
    for (size_t i = 0; i < analysis->lookup_count; i++)
        mark_entries(writer, &analysis->lookups[i].name);
}

static void mark_named(const struct writer *writer) {
    const struct analysis *analysis = writer->analysis;
    for (size_t i = 0; i < analysis->call_count; i++)
        mark_holder(writer, analysis->calls[i].return_address);
    for (size_t i = 0; i < analysis->import_calls.count; i++)
        mark_holder(writer, analysis->import_calls.items[i].value);
    for (size_t i = 0; i < analysis->callers.count; i++) {
        uint32_t function = analysis->callers.items[i].key;
        if (function < analysis->functions.count && writer->walked[function])
            mark_holder(writer, analysis->callers.items[i].value);
    }
    for (size_t i = 0; i < analysis->scan.restorer_count; i++)
        mark_holder(writer, analysis->scan.restorers[i]);
}

/* ---- Symbols ---- */

static bool *referenced_symbols(const struct object *object) {
    bool *referenced = xcalloc(object->symbol_count + 1, sizeof *referenced);
    for (size_t i = 0; i < object->symbol_count; i++)
        referenced[i] = !object->symbols[i].defined && object->symbols[i].name[0] != 0;
    for (size_t i = 0; i < object->relocation_count; i++) {
        if (object->relocations[i].symbol != NO_SYMBOL)
            referenced[object->relocations[i].symbol] = true;
    }
    return referenced;
}

static void want_keys(const struct uses *uses, bool *wanted) {
    for (size_t i = 0; i < uses->count; i++)
        wanted[uses->items[i].key] = true;
}

static void add_symbols(struct writer *writer) {
    const struct analysis *analysis = writer->analysis;
    const struct object *object = &analysis->object;
    cleanup_free bool *referenced = referenced_symbols(object);
    cleanup_free bool *wanted = xcalloc(object->symbol_count + 1, sizeof *wanted);
    memcpy(wanted, referenced, object->symbol_count * sizeof *wanted);
    want_keys(&analysis->import_calls, wanted);
    want_keys(&analysis->import_jumps, wanted);
    want_keys(&analysis->taken_symbols, wanted);
    for (size_t i = 0; i < analysis->exports.count; i++) {
        uint32_t function = analysis->exports.items[i].key;
        if (function < analysis->functions.count && writer->exported[function])
            wanted[analysis->exports.items[i].value] = true;
    }
    for (size_t i = 0; i < object->symbol_count; i++) {
        uint32_t symbol = analysis->symbol_order[i];
        writer->symbol_of[symbol] = NO_SYMBOL;
        if (!wanted[symbol])
            continue;
        uint32_t name = add_symbol_name(writer, symbol);
        writer->symbol_of[symbol] = (uint32_t)writer->symbols_count;
        *array_append(writer->symbols, writer->symbols_count) = (struct summary_symbol){name, referenced[symbol]};
    }
}

/* ---- Functions and the graph ---- */

static void add_functions(struct writer *writer) {
    const struct analysis *analysis = writer->analysis;
    for (uint32_t i = 0; i < analysis->functions.count; i++) {
        const struct function *function = &analysis->functions.items[i];
        struct summary_function *made = array_append(writer->functions, writer->functions_count);
        *made = (struct summary_function){
            .start = function->start, .end = function->end, .fingerprint = function->fingerprint};
        made->flags = (analysis->address_taken[i] ? SUMMARY_FUNCTION_TAKEN : 0) |
                      (function->kind == FUNCTION_GAP ? SUMMARY_FUNCTION_GAP : 0) |
                      (analysis->stored[i] ? SUMMARY_FUNCTION_STORED : 0);
        size_t export = uses_from(&analysis->exports, i);
        if (writer->named[i] && export < analysis->exports.count && analysis->exports.items[export].key == i)
            made->name = add_symbol_name(writer, analysis->exports.items[export].value);
    }
}

static void add_use(struct use **uses, size_t *count, uint32_t key, uint32_t value) {
    *array_append(*uses, *count) = (struct use){key, value};
}

static int compare_uses(const void *a, const void *b) {
    const struct use *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->value < y->value ? -1 : x->value > y->value;
}

static void order_uses(struct use *uses, size_t count) {
    if (count > 0)
        qsort(uses, count, sizeof *uses, compare_uses);
}

/* Those whose key is a function that is marked; with a map, values are symbols. */
static void add_function_uses(const struct writer *writer, const struct uses *from, const bool *marks,
                              const uint32_t *map, struct use **uses, size_t *count) {
    for (size_t i = 0; i < from->count; i++) {
        uint32_t key = from->items[i].key, value = from->items[i].value;
        if (key < writer->analysis->functions.count && marks[key])
            add_use(uses, count, key, map == NULL ? value : map[value]);
    }
    order_uses(*uses, *count);
}

static void add_symbol_uses(const struct writer *writer, const struct uses *from, uint32_t limit, struct use **uses,
                            size_t *count) {
    for (size_t i = 0; i < from->count; i++) {
        if (from->items[i].value < limit)
            add_use(uses, count, writer->symbol_of[from->items[i].key], from->items[i].value);
    }
    order_uses(*uses, *count);
}

static void add_graph(struct writer *writer) {
    const struct analysis *analysis = writer->analysis;
    uint32_t functions = (uint32_t)analysis->functions.count;
    add_function_uses(writer, &analysis->callers, writer->walked, NULL, &writer->callers, &writer->callers_count);
    add_function_uses(writer, &analysis->jumpers, writer->walked, NULL, &writer->jumpers, &writer->jumpers_count);
    add_function_uses(writer, &analysis->choices, writer->walked, NULL, &writer->choices, &writer->choices_count);
    add_function_uses(writer, &analysis->exports, writer->exported, writer->symbol_of, &writer->exports,
                      &writer->exports_count);
    add_symbol_uses(writer, &analysis->import_calls, UINT32_MAX, &writer->import_calls, &writer->import_calls_count);
    add_symbol_uses(writer, &analysis->import_jumps, functions, &writer->import_jumps, &writer->import_jumps_count);
    add_symbol_uses(writer, &analysis->taken_symbols, UINT32_MAX, &writer->taken_symbols, &writer->taken_symbols_count);
    for (size_t i = 0; i < analysis->scan.indirect_jump_count; i++) {
        const struct indirect_jump *jump = &analysis->scan.indirect_jumps[i];
        if (jump->table || jump->function >= functions)
            continue;
        if (jump->chosen)
            *array_append(writer->chosen_jumps, writer->chosen_jumps_count) = jump->function;
        else
            *array_append(writer->indirect_jumps, writer->indirect_jumps_count) = jump->function;
    }
    for (size_t i = 0; i < analysis->scan.restorer_count; i++)
        *array_append(writer->restorers, writer->restorers_count) = analysis->scan.restorers[i];
}

/* ---- Calls and their rules ---- */

static void add_value(struct writer *writer, const struct rule_value *value) {
    struct summary_value made = {
        .kind = value->kind, .position = value->position, .address = value->address, .integer = value->integer};
    if (value->text != NULL)
        made.text = add_text(writer, value->text);
    if (value->kind == RULE_ADDRESS) {
        made.socket = (uint32_t)writer->sockets_count;
        *array_append(writer->sockets, writer->sockets_count) = value->socket;
    }
    *array_append(writer->values, writer->values_count) = made;
}

static void add_rule(struct writer *writer, const struct argument_rule *rule) {
    *array_append(writer->rules, writer->rules_count) =
        (struct summary_rule){.state = rule->state,
                              .unknown = rule->unknown,
                              .value_count = rule->count,
                              .first_value = (uint32_t)writer->values_count,
                              .first_entry = (uint32_t)writer->entries_count,
                              .entry_count = rule->entry_count,
                              .bits = rule->bits};
    for (unsigned i = 0; i < rule->count; i++)
        add_value(writer, &rule->values[i]);
    for (unsigned i = 0; i < rule->entry_count; i++)
        *array_append(writer->entries, writer->entries_count) = rule->entries[i];
}

/* Returns the number of the first. */
static uint32_t add_rules(struct writer *writer, const struct call_rules *rules, unsigned api) {
    size_t first = writer->rules_count;
    for (unsigned i = 0; i < api_table[api].argument_count; i++)
        add_rule(writer, &rules->arguments[i]);
    return (uint32_t)first;
}

static struct summary_call make_call(struct writer *writer, const struct api_call *call) {
    return (struct summary_call){.return_address = call->return_address,
                                 .function = call->function,
                                 .first_rule = add_rules(writer, &call->rules, call->api),
                                 .api = call->api,
                                 .undecoded = call->undecoded};
}

/* What the jump that is added next passes for each caller. */
static void add_passed(struct writer *writer, uint32_t jump) {
    const struct analysis *analysis = writer->analysis;
    for (size_t i = 0; i < analysis->passed_count; i++) {
        const struct passed_call *passed = &analysis->passed[i];
        if (passed->jump != jump)
            continue;
        uint32_t first = add_rules(writer, &passed->rules, analysis->jumps[jump].api);
        *array_append(writer->passed, writer->passed_count) =
            (struct summary_passed){(uint32_t)writer->jumps_count, passed->return_address, first};
    }
}

static bool is_checked(unsigned api) {
    return api != API_NONE && api_table[api].level == LEVEL_CHECKED;
}

/* In the form of calls of dlsym, whose second argument is the name. */
static void add_lookups(struct writer *writer) {
    const struct analysis *analysis = writer->analysis;
    for (size_t i = 0; i < analysis->lookup_count; i++) {
        const struct lookup_call *lookup = &analysis->lookups[i];
        *array_append(writer->lookups, writer->lookups_count) =
            (struct summary_call){.return_address = lookup->return_address,
                                  .function = lookup->function,
                                  .first_rule = (uint32_t)writer->rules_count,
                                  .api = API_dlsym,
                                  .undecoded = lookup->undecoded};
        add_rule(writer, &(struct argument_rule){.state = RULE_OPAQUE});
        add_rule(writer, &lookup->name);
    }
}

static void add_calls(struct writer *writer) {
    const struct analysis *analysis = writer->analysis;
    for (size_t i = 0; i < analysis->call_count; i++) {
        if (is_checked(analysis->calls[i].api)) {
            struct summary_call made = make_call(writer, &analysis->calls[i]);
            *array_append(writer->calls, writer->calls_count) = made;
        }
    }
    for (size_t i = 0; i < analysis->jump_count; i++) {
        if (is_checked(analysis->jumps[i].api)) {
            add_passed(writer, (uint32_t)i);
            struct summary_call made = make_call(writer, &analysis->jumps[i]);
            *array_append(writer->jumps, writer->jumps_count) = made;
        }
    }
    add_lookups(writer);
    bool seen[API_COUNT] = {false};
    for (size_t i = 0; i < analysis->taken_count; i++) {
        unsigned api = analysis->object.symbols[analysis->taken[i].symbol].api;
        if (is_checked(api) && !seen[api]) {
            seen[api] = true;
            *array_append(writer->taken_apis, writer->taken_apis_count) = api;
        }
    }
}

static void add_tails(struct writer *writer) {
    const struct analysis *analysis = writer->analysis;
    for (size_t i = 0; i < analysis->tail_count; i++) {
        const struct tail_closure *closure = &analysis->tails[i];
        *array_append(writer->tails, writer->tails_count) =
            (struct summary_tail){.target = closure->target,
                                  .flags = closure->flags,
                                  .first_member = (uint32_t)writer->members_count,
                                  .member_count = (uint32_t)closure->member_count};
        for (size_t j = 0; j < closure->member_count; j++)
            *array_append(writer->members, writer->members_count) = closure->members[j];
    }
}

/* ---- Name services ---- */

static bool uses_name_services(const struct object *object) {
    static const char *const prefixes[] = {
        "getpw",    "getgr",        "getsp",     "getsg",   "getaddrinfo", "getnameinfo", "gethost",
        "getnet",   "getserv",      "getproto",  "getrpc",  "getali",      "initgroups",  "setpwent",
        "setgrent", "fgetpw",       "fgetgr",    "innetgr", "setnetgr",    "getlogin",    "cuserid",
        "glob",     "wordexp",      "getnetgr",  "ruserok", "iruserok",    "rcmd",        "rexec",
        "ether_",   "getpublickey", "getsecret", "__nss",   "getttynam",   NULL};
    for (size_t i = 0; i < object->symbol_count; i++) {
        for (size_t j = 0; !object->symbols[i].defined && prefixes[j] != NULL; j++) {
            if (strncmp(object->symbols[i].name, prefixes[j], strlen(prefixes[j])) == 0)
                return true;
        }
    }
    return false;
}

static void add_folders(struct writer *writer) {
    char **folders = NULL;
    size_t count = 0;
    folders_find(&writer->analysis->object, &folders, &count);
    for (size_t i = 0; i < count; i++) {
        uint32_t text = add_text(writer, folders[i]);
        *array_append(writer->folders, writer->folders_count) = text;
        free(folders[i]);
    }
    free(folders);
}

/* ---- Flattening ---- */

static uint64_t place(struct summary_section *section, uint64_t at, size_t count, size_t element_size) {
    *section = (struct summary_section){(uint32_t)at, (uint32_t)count};
    return (at + count * element_size + 7) & ~(uint64_t)7;
}

static void copy(char *memory, struct summary_section section, const void *elements, size_t element_size) {
    if (section.count > 0)
        memcpy(memory + section.offset, elements, section.count * element_size);
}

static char *flatten(struct writer *writer, size_t *size) {
    struct summary_header *header = &writer->header;
    uint64_t end = (sizeof *header + 7) & ~(uint64_t)7;
#define SECTION(name, type) end = place(&header->name, end, writer->name##_count, sizeof(type));
    SUMMARY_SECTIONS(SECTION)
#undef SECTION
    if (end > SUMMARY_MAX_BYTES)
        die("\"%s\" is too large to be analysed", writer->analysis->object.path);
    header->size = (uint32_t)end;
    char *memory = xcalloc(1, end);
    memcpy(memory, header, sizeof *header);
#define SECTION(name, type) copy(memory, header->name, writer->name, sizeof(type));
    SUMMARY_SECTIONS(SECTION)
#undef SECTION
    *size = end;
    return memory;
}

static void writer_free(struct writer *writer) {
    free(writer->walked);
    free(writer->exported);
    free(writer->named);
    free(writer->symbol_of);
    free(writer->name_of);
#define SECTION(name, type) free(writer->name);
    SUMMARY_SECTIONS(SECTION)
#undef SECTION
}

void *summary_make(const struct analysis *analysis, size_t *size) {
    struct writer writer = {.analysis = analysis};
    memcpy(writer.header.magic, SUMMARY_MAGIC, sizeof writer.header.magic);
    writer.header.version = SUMMARY_VERSION;
    writer.header.identity = analysis->object.identity;
    writer.header.flags = (analysis->tails_complete ? SUMMARY_TAILS_COMPLETE : 0) |
                          (uses_name_services(&analysis->object) ? SUMMARY_USES_NAME_SERVICES : 0);
    writer.walked = xcalloc(analysis->functions.count + 1, sizeof *writer.walked);
    writer.exported = xcalloc(analysis->functions.count + 1, sizeof *writer.exported);
    writer.named = xcalloc(analysis->functions.count + 1, sizeof *writer.named);
    writer.symbol_of = xcalloc(analysis->object.symbol_count + 1, sizeof *writer.symbol_of);
    writer.name_of = xcalloc(analysis->object.symbol_count + 1, sizeof *writer.name_of);
    add_text(&writer, "");
    mark_walked(&writer);
    mark_exported(&writer);
    mark_named(&writer);
    add_symbols(&writer);
    add_functions(&writer);
    add_graph(&writer);
    add_calls(&writer);
    add_tails(&writer);
    add_folders(&writer);
    void *memory = flatten(&writer, size);
    writer_free(&writer);
    return memory;
}
