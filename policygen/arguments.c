/* Groups the calls of an object by function, so that each flow graph is built once, and turns abstract values into
 * rules: integers of the argument's width, constant strings, null pointers, masks that forbid something.
 */
#include "policygen/arguments.h"

#include <stdlib.h>
#include <string.h>

#include "policygen/flow.h"
#include "policygen/solve.h"
#include "policygen/structure.h"
#include "policygen/value.h"
#include "runtime/rule.h"
#include "runtime/util.h"

/* Of a function with more callers, all are taken together. */
#define MAX_PASSED_CALLERS 256

static enum shape shape_of(unsigned api, unsigned argument) {
    return argument_shape((enum argument_kind)api_table[api].arguments[argument].kind);
}

/* The unknown part of a value is there only if one of its entries is called from outside. A value that has no other
 * part belongs to code which nothing else calls. */
static bool is_conditional(struct abstract value) {
    return value.unknown != UNKNOWN_NOTHING && value.entry_count > 0 && value.count > 0;
}

static void add_entries(struct argument_rule *rule, struct abstract value) {
    for (unsigned i = 0; i < value.entry_count; i++) {
        size_t count = rule->entry_count;
        *array_append(rule->entries, count) = value.entries[i];
        rule->entry_count = (uint16_t)count;
    }
    if (value.unknown > rule->unknown)
        rule->unknown = value.unknown;
}

/* ---- Integers ---- */

static void integer_rule(unsigned api, unsigned argument, struct abstract value, struct argument_rule *rule) {
    enum shape shape = shape_of(api, argument);
    for (unsigned i = 0; i < value.count; i++) {
        if (value.elements[i].kind == ELEMENT_INTEGER)
            rules_add(rule, (struct rule_value){.kind = RULE_INTEGER,
                                                .integer = rule_integer(shape, (uint64_t)value.elements[i].value)});
        else
            rules_any(rule, value.elements[i].kind == ELEMENT_TABLE4 || value.elements[i].kind == ELEMENT_TABLE8
                                ? UNKNOWN_TABLE
                                : UNKNOWN_ADDRESS);
    }
    if (value.unknown == UNKNOWN_NOTHING)
        return;
    uint64_t bits = value_bits(value);
    if (is_conditional(value)) {
        add_entries(rule, value);
        rule->bits = bits;
        return;
    }
    if (!rules_mask_forbids(api, argument, bits)) {
        rules_any(rule, (enum unknown)value.unknown);
        return;
    }
    rule->count = 0;
    rules_add(rule, (struct rule_value){.kind = RULE_MASK, .integer = rules_mask(api, argument, bits)});
}

/* ---- Strings ---- */

/* A call whose arguments are looked at. What is in the frame is only looked at where an argument leads there. */
struct caller {
    struct analysis *analysis;
    const struct flow *flow;
    struct solver *solver;
    struct solver *names; /* for names that are looked up */
    struct memory **memory;
    uint32_t instruction;
};

static struct structure in_frame(const struct caller *caller) {
    if (*caller->memory == NULL)
        *caller->memory = memory_new(caller->flow, caller->solver);
    return (struct structure){caller->analysis, *caller->memory, caller->instruction};
}

static void string_element(const struct caller *caller, struct element element, bool path, struct argument_rule *rule) {
    const struct object *object = &caller->analysis->object;
    bool is_address = element.kind == ELEMENT_ADDRESS || (element.kind == ELEMENT_INTEGER && object->type == ET_EXEC);
    if (element.kind == ELEMENT_INTEGER && element.value == 0) {
        rules_add(rule, (struct rule_value){.kind = RULE_NULL});
        return;
    }
    if (element.kind == ELEMENT_STACK) {
        struct structure frame = in_frame(caller);
        structure_text(&frame, (int32_t)element.value, path, rule);
        return;
    }
    const char *text = is_address ? object_string(object, (uint64_t)element.value) : NULL;
    if (text != NULL)
        rules_add(rule, (struct rule_value){.kind = RULE_TEXT, .address = (uint32_t)element.value, .text = text});
    else if (element.kind == ELEMENT_TABLE8)
        rules_any(rule, UNKNOWN_TABLE);
    else
        rules_any(rule, is_address ? UNKNOWN_GLOBAL : UNKNOWN_COMPUTED);
}

/* A pointer that is not known may still lead to a text of which something is. */
static void origin_rule(const struct caller *caller, struct abstract value, bool path, struct argument_rule *rule) {
    bool known = value.origin_count > 0;
    struct structure frame = in_frame(caller);
    for (unsigned i = 0; i < value.origin_count; i++)
        known = structure_text_from(&frame, value.origins[i], path, rule) && known;
    if (!known)
        rules_any(rule, (enum unknown)value.unknown);
}

static void string_rule(const struct caller *caller, struct abstract value, bool path, struct argument_rule *rule) {
    for (unsigned i = 0; i < value.count; i++)
        string_element(caller, value.elements[i], path, rule);
    if (is_conditional(value)) {
        add_entries(rule, value);
        rule->bits = UINT64_MAX;
    } else if (value.unknown != UNKNOWN_NOTHING) {
        origin_rule(caller, value, path, rule);
    }
}

/* ---- Don't-care ---- */

static bool may_matter(unsigned api, unsigned argument, const struct call_rules *rules) {
    const struct api *row = &api_table[api];
    if (row->arguments[argument].condition == WHEN_ALWAYS)
        return true;
    static const uint8_t deciding[] = {
        [WHEN_CREATES] = KIND_OPEN_FLAGS,
        [WHEN_FCNTL_INT] = KIND_FCNTL_COMMAND,
        [WHEN_PRCTL_INT] = KIND_PRCTL_OPTION,
        [WHEN_REMAP_FIXED] = KIND_MREMAP_FLAGS,
    };
    for (unsigned i = 0; i < row->argument_count; i++) {
        const struct argument_rule *rule = &rules->arguments[i];
        if (row->arguments[i].kind != deciding[row->arguments[argument].condition] || rule->state != RULE_SET ||
            rule->entry_count > 0)
            continue;
        bool matters = false;
        for (unsigned j = 0; j < rule->count; j++) {
            uint64_t values[API_MAX_ARGUMENTS] = {0};
            values[i] = (uint64_t)rule->values[j].integer;
            /* With a mask, what matters with all its bits set matters with some; without, with none. */
            matters |= argument_matters(row, argument, values);
        }
        return matters;
    }
    return true;
}

/* ---- Calls ---- */

static bool is_variadic_list(unsigned api) {
    return api == API_execl || api == API_execlp || api == API_execle;
}

static void structure_rule(const struct caller *caller, unsigned api, unsigned argument, struct argument_rule *rule) {
    struct structure frame = in_frame(caller);
    switch (shape_of(api, argument)) {
    case SHAPE_SOCKADDR: structure_socket(&frame, argument, rule); return;
    case SHAPE_MSGHDR: structure_message(&frame, argument, rule); return;
    case SHAPE_ARGV: structure_vector(&frame, argument, is_variadic_list(api), rule); return;
    default: rules_any(rule, UNKNOWN_MEMORY);
    }
}

static struct abstract argument_value(const struct caller *caller, struct solver *solver, unsigned argument,
                                      unsigned size) {
    struct operand operand = {
        .kind = OPERAND_REGISTER, .size = size, .base = argument_registers[argument], .index = REGISTER_NONE};
    return solver_operand(solver, caller->instruction, &operand);
}

static void empty_rule(struct argument_rule *rule) {
    free(rule->values);
    free(rule->entries);
    *rule = (struct argument_rule){.state = RULE_SET};
}

/* A name that is looked up. Where it comes from callers outside alone, none is looked up in a process without them. */
static void name_rule(const struct caller *caller, unsigned argument, struct argument_rule *rule) {
    struct abstract value = argument_value(caller, caller->names, argument, 8);
    empty_rule(rule);
    if (value_is_nothing(value))
        rules_any(rule, UNKNOWN_ENTRY);
    else if (value.count == 0 && value.entry_count > 0)
        add_entries(rule, value);
    else
        string_rule(caller, value, false, rule);
}

static void argument_rule(const struct caller *caller, unsigned api, unsigned argument, struct argument_rule *rule) {
    enum shape shape = shape_of(api, argument);
    if ((api == API_dlsym || api == API_dlvsym) && argument == 1) {
        name_rule(caller, argument, rule);
        return;
    }
    empty_rule(rule);
    if (shape == SHAPE_OPAQUE) {
        rule->state = RULE_OPAQUE;
        return;
    }
    struct abstract value =
        argument_value(caller, caller->solver, argument, shape == SHAPE_INT32 || shape == SHAPE_UINT32 ? 4 : 8);
    if (value_is_nothing(value))
        rules_any(rule, UNKNOWN_ENTRY);
    else if (shape == SHAPE_PATH || shape == SHAPE_STRING)
        string_rule(caller, value, shape == SHAPE_PATH, rule);
    else if (shape == SHAPE_INT32 || shape == SHAPE_UINT32 || shape == SHAPE_INT64)
        integer_rule(api, argument, value, rule);
    else
        structure_rule(caller, api, argument, rule);
}

/* ---- Jumps that nobody comes to ---- */

/* Whether edges lead from the function's start to the block. */
static bool is_connected(const struct flow *flow, uint32_t block) {
    cleanup_free bool *seen = xcalloc(flow->block_count + 1, sizeof *seen);
    cleanup_free uint32_t *queue = xcalloc(flow->block_count + 1, sizeof *queue);
    size_t count = 0;
    queue[count++] = block;
    seen[block] = true;
    for (size_t next = 0; next < count; next++) {
        const struct block *at = &flow->blocks[queue[next]];
        if (at->entry)
            return true;
        for (uint32_t i = 0; i < at->predecessor_count; i++) {
            if (!seen[at->predecessors[i]])
                queue[count++] = at->predecessors[i];
            seen[at->predecessors[i]] = true;
        }
    }
    return false;
}

static bool is_entered(const struct caller *caller) {
    const struct flow *flow = caller->flow;
    uint32_t entry = flow_instruction_at(flow, flow->analysis->functions.items[flow->root].start);
    struct caller start = *caller;
    start.instruction = entry;
    for (unsigned i = 0; entry != UINT32_MAX && i < ARGUMENT_REGISTERS; i++) {
        if (value_is_nothing(argument_value(&start, caller->solver, i, 8)))
            return false;
    }
    return entry != UINT32_MAX;
}

/* What those who call the function pass never leads to the jump: by the conditions on the way, some argument would have no
 * value at all. A jump that merely is not seen to be reached does not count. */
static bool is_never_reached(const struct caller *caller, unsigned api) {
    bool nothing = false;
    for (unsigned i = 0; i < api_table[api].argument_count; i++) {
        enum shape shape = shape_of(api, i);
        if (shape == SHAPE_INT32 || shape == SHAPE_UINT32 || shape == SHAPE_INT64)
            nothing |= value_is_nothing(argument_value(caller, caller->solver, i, shape == SHAPE_INT64 ? 8 : 4));
    }
    return nothing && is_connected(caller->flow, caller->flow->block_of[caller->instruction]) && is_entered(caller);
}

/* Sites of a jump are those of others, too. It adds nothing to what they allow. */
static void leave_out(const struct api_call *jump, struct call_rules *rules) {
    for (unsigned i = 0; i < api_table[jump->api].argument_count; i++) {
        if (rules->arguments[i].state != RULE_OPAQUE)
            rules->arguments[i].state = RULE_MEANINGLESS;
    }
}

static void call_rules(struct caller *caller, const struct api_call *call, struct call_rules *rules) {
    caller->instruction = flow_instruction_at(caller->flow, call->address);
    if (call->undecoded || caller->instruction == UINT32_MAX)
        return;
    for (unsigned i = 0; i < api_table[call->api].argument_count; i++)
        argument_rule(caller, call->api, i, &rules->arguments[i]);
    for (unsigned i = 0; i < api_table[call->api].argument_count; i++) {
        if (rules->arguments[i].state != RULE_OPAQUE && !may_matter(call->api, i, rules))
            rules->arguments[i].state = RULE_MEANINGLESS;
    }
    if (call->return_address == 0 && is_never_reached(caller, call->api))
        leave_out(call, rules);
}

static void lookup_rule(struct caller *caller, struct lookup_call *lookup) {
    caller->instruction = flow_instruction_at(caller->flow, lookup->address);
    if (caller->instruction != UINT32_MAX)
        name_rule(caller, lookup->argument, &lookup->name);
}

/* ---- Jumps, caller by caller ---- */

/* The place of a jump is that of its function's callers, and each of them may pass something else. Only for functions
 * that nothing jumps to: then a caller's registers are the function's parameters. */
static void passed_rules(struct analysis *analysis, struct flows *flows, uint32_t jump) {
    const struct api_call *call = &analysis->jumps[jump];
    uint32_t root = analysis->roots[call->function], start = analysis->functions.items[root].start;
    size_t first = uses_from(&analysis->callers, root), end = first;
    while (end < analysis->callers.count && analysis->callers.items[end].key == root)
        end++;
    if (end - first > MAX_PASSED_CALLERS || uses_has(&analysis->jump_sites, root))
        return;
    for (size_t i = first; i < end; i++) {
        uint32_t return_address = analysis->callers.items[i].value;
        const struct direct_call *direct = scan_call(&analysis->scan, return_address);
        struct solver *solver =
            direct != NULL && direct->target == start ? solver_called(flows, root, return_address) : NULL;
        if (solver == NULL)
            continue;
        struct passed_call *passed = array_append(analysis->passed, analysis->passed_count);
        *passed = (struct passed_call){.jump = jump, .return_address = return_address};
        rules_unknown(&passed->rules, call->api, UNKNOWN_UNDECODED);
        struct memory *memory = NULL;
        struct caller caller = {
            .analysis = analysis, .flow = flows_get(flows, root), .solver = solver, .names = solver, .memory = &memory};
        call_rules(&caller, call, &passed->rules);
        memory_free(memory);
        solver_free(solver);
    }
}

struct pending {
    uint32_t root, address;
    struct api_call *call;
    struct lookup_call *lookup; /* where `call` is NULL */
};

static int compare_pending(const void *a, const void *b) {
    const struct pending *x = a, *y = b;
    if (x->root != y->root)
        return x->root < y->root ? -1 : 1;
    return x->address < y->address ? -1 : x->address > y->address;
}

static bool is_wanted(const struct analysis *analysis, const struct api_call *call) {
    return api_table[call->api].level == LEVEL_CHECKED && call->function < analysis->functions.count;
}

static struct pending *find_pending(const struct analysis *analysis, size_t *count) {
    struct pending *pending = NULL;
    *count = 0;
    for (size_t i = 0; i < analysis->call_count + analysis->jump_count; i++) {
        struct api_call *call =
            i < analysis->call_count ? &analysis->calls[i] : &analysis->jumps[i - analysis->call_count];
        if (is_wanted(analysis, call))
            *array_append(pending, *count) =
                (struct pending){.root = analysis->roots[call->function], .address = call->address, .call = call};
    }
    for (size_t i = 0; i < analysis->lookup_count; i++) {
        struct lookup_call *lookup = &analysis->lookups[i];
        if (!lookup->undecoded && lookup->function < analysis->functions.count)
            *array_append(pending, *count) = (struct pending){
                .root = analysis->roots[lookup->function], .address = lookup->address, .lookup = lookup};
    }
    if (*count > 0)
        qsort(pending, *count, sizeof *pending, compare_pending);
    return pending;
}

static void pending_rules(struct caller *caller, const struct pending *pending) {
    if (pending->call != NULL)
        call_rules(caller, pending->call, &pending->call->rules);
    else
        lookup_rule(caller, pending->lookup);
}

void arguments_find(struct analysis *analysis) {
    size_t count;
    cleanup_free struct pending *pending = find_pending(analysis, &count);
    struct flows *flows = flows_new(analysis);
    for (size_t i = 0; i < count;) {
        const struct flow *flow = flows_get(flows, pending[i].root);
        struct solver *solver = solver_across(flows, pending[i].root);
        struct solver *names = solver_names(flows, pending[i].root);
        struct memory *memory = NULL;
        struct caller caller = {
            .analysis = analysis, .flow = flow, .solver = solver, .names = names, .memory = &memory};
        size_t next = i;
        for (; next < count && pending[next].root == pending[i].root; next++)
            pending_rules(&caller, &pending[next]);
        memory_free(memory);
        solver_free(names);
        solver_free(solver);
        flows_trim(flows);
        i = next;
    }
    for (uint32_t i = 0; i < analysis->jump_count; i++) {
        if (is_wanted(analysis, &analysis->jumps[i]))
            passed_rules(analysis, flows, i);
        flows_trim(flows);
    }
    flows_free(flows);
}
