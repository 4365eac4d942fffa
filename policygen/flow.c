/* Builds flow graphs. Every choice errs towards more edges and more entries: a block that nothing is seen to reach, or
 * that something outside might reach, is entered with nothing known.
 */
#include "policygen/flow.h"

#include <stdlib.h>
#include <string.h>

#include "policygen/address_list.h"
#include "policygen/escape.h"
#include "policygen/solve.h"
#include "runtime/util.h"

#define MAX_TABLE_ENTRIES 4096
#define MAX_ROUNDS 16
#define MAX_INSTRUCTIONS (1u << 20)
#define MAX_PART_DEPTH 8

/* ---- Imports with special meaning ---- */

static bool is_in(const char *name, const char *const *names) {
    for (; *names != NULL; names++) {
        if (strcmp(name, *names) == 0)
            return true;
    }
    return false;
}

uint32_t flow_import(const struct analysis *analysis, const struct instruction *instruction) {
    bool is_stub;
    if (instruction->target != 0)
        return stub_symbol(&analysis->object, instruction->target, &is_stub);
    const struct operand *source = &instruction->source;
    bool constant = source->kind == OPERAND_MEMORY && source->index == REGISTER_NONE && !source->segment &&
                    (source->base == REGISTER_RIP || source->base == REGISTER_NONE);
    return constant ? slot_symbol(&analysis->object, (uint64_t)source->value) : NO_SYMBOL;
}

static const char *import_name(const struct analysis *analysis, const struct instruction *instruction) {
    uint32_t symbol = flow_import(analysis, instruction);
    return symbol == NO_SYMBOL ? NULL : analysis->object.symbols[symbol].name;
}

static bool symbol_returns_twice(const struct analysis *analysis, uint32_t symbol) {
    static const char *const names[] = {
        "setjmp", "_setjmp", "__setjmp", "sigsetjmp",  "__sigsetjmp", "__sigsetjmp_cancel",
        "vfork",  "__vfork", "savectx",  "getcontext", "swapcontext", NULL};
    return symbol != NO_SYMBOL && is_in(analysis->object.symbols[symbol].name, names);
}

/* Compilers load the address of such a function into a register ahead of a loop, and -fno-plt leaves it there; a pointer
 * in data may be called from anywhere. */
bool *flow_twice_by_pointer(const struct analysis *analysis) {
    bool *twice = xcalloc(analysis->functions.count + 1, sizeof *twice), anywhere = false;
    for (size_t i = 0; i < analysis->scan.slot_load_count; i++) {
        const struct slot_load *load = &analysis->scan.slot_loads[i];
        if (!symbol_returns_twice(analysis, load->symbol))
            continue;
        if (load->function == NO_FUNCTION)
            anywhere = true;
        else
            twice[analysis->roots[load->function]] = true;
    }
    for (size_t i = 0; !anywhere && i < analysis->object.relocation_count; i++) {
        const struct relocation *relocation = &analysis->object.relocations[i];
        anywhere = relocation->type == R_X86_64_64 && symbol_returns_twice(analysis, relocation->symbol);
    }
    for (size_t i = 0; i < analysis->functions.count; i++)
        twice[i] = anywhere || twice[analysis->roots[i]];
    return twice;
}

bool flow_returns_twice(const struct analysis *analysis, const struct instruction *instruction) {
    uint32_t symbol = flow_import(analysis, instruction);
    if (symbol != NO_SYMBOL || instruction->target != 0)
        return symbol_returns_twice(analysis, symbol);
    uint32_t function = functions_at(&analysis->functions, instruction->address);
    return function == NO_FUNCTION || analysis->twice_by_pointer[function];
}

bool flow_never_returns(const struct analysis *analysis, const struct instruction *instruction) {
    /* Only names that belong to the language and its libraries: a program may have an err() of its own that returns. */
    static const char *const names[] = {"abort",           "exit",
                                        "_exit",           "_Exit",
                                        "quick_exit",      "__stack_chk_fail",
                                        "__assert_fail",   "__assert_perror_fail",
                                        "__assert",        "longjmp",
                                        "_longjmp",        "siglongjmp",
                                        "__longjmp_chk",   "__chk_fail",
                                        "__fortify_fail",  "_Unwind_Resume",
                                        "__cxa_throw",     "__cxa_rethrow",
                                        "__cxa_bad_cast",  "pthread_exit",
                                        "_ZSt9terminatev", NULL};
    const char *name = import_name(analysis, instruction);
    if (name != NULL)
        return is_in(name, names);
    if (instruction->target == 0)
        return false;
    uint32_t function = functions_at(&analysis->functions, instruction->target);
    return function != NO_FUNCTION && analysis->functions.items[function].start == instruction->target &&
           analysis->never_returns[function];
}

/* ---- Which functions make up a graph ---- */

static bool is_entered_elsewhere(const struct analysis *analysis, uint32_t function) {
    const struct function *item = &analysis->functions.items[function];
    return analysis->address_taken[function] || uses_has(&analysis->callers, function) ||
           uses_has(&analysis->exports, function) ||
           (analysis->object.entry >= item->start && analysis->object.entry < item->end);
}

static uint32_t find_root(const struct analysis *analysis, uint32_t *roots, uint32_t function, unsigned depth) {
    if (roots[function] != NO_FUNCTION)
        return roots[function];
    uint32_t root = NO_FUNCTION;
    const struct uses *jumpers = &analysis->jumpers;
    size_t first = uses_from(jumpers, function);
    bool only = depth < MAX_PART_DEPTH && analysis->functions.items[function].kind == FUNCTION_FRAME &&
                !is_entered_elsewhere(analysis, function);
    for (size_t i = first; only && i < jumpers->count && jumpers->items[i].key == function; i++) {
        uint32_t jumper = jumpers->items[i].value;
        if (jumper >= analysis->functions.count || jumper == function)
            continue;
        uint32_t found = find_root(analysis, roots, jumper, depth + 1);
        only = root == NO_FUNCTION || root == found;
        root = found;
    }
    if (!only || root == NO_FUNCTION)
        root = function;
    if (depth == 0 || root == function)
        roots[function] = root;
    return root;
}

uint32_t *flow_roots(const struct analysis *analysis) {
    uint32_t *roots = xmalloc((analysis->functions.count + 1) * sizeof *roots);
    for (size_t i = 0; i < analysis->functions.count; i++)
        roots[i] = NO_FUNCTION;
    for (size_t i = 0; i < analysis->functions.count; i++)
        find_root(analysis, roots, (uint32_t)i, 0);
    /* A root that itself belongs elsewhere (functions that only jump to one another) stands alone. */
    for (size_t i = 0; i < analysis->functions.count; i++) {
        if (roots[roots[i]] != roots[i])
            roots[i] = (uint32_t)i;
    }
    return roots;
}

static void collect_parts(struct flow *flow) {
    const struct uses *parts = &flow->analysis->parts;
    *array_append(flow->parts, flow->part_count) = flow->root;
    for (size_t i = uses_from(parts, flow->root); i < parts->count && parts->items[i].key == flow->root; i++)
        *array_append(flow->parts, flow->part_count) = parts->items[i].value;
}

static bool is_in_flow(const struct flow *flow, uint64_t address) {
    for (size_t i = 0; i < flow->part_count; i++) {
        const struct function *part = &flow->analysis->functions.items[flow->parts[i]];
        if (address >= part->start && address < part->end)
            return true;
    }
    return false;
}

/* ---- Decoding ---- */

static void decode_part(struct flow *flow, const struct decoder *decoder, const struct function *part) {
    size_t rest;
    const uint8_t *bytes = object_rest(&flow->analysis->object, part->start, &rest);
    if (bytes == NULL)
        return;
    size_t length = part->end - part->start, offset = 0;
    if (length > rest)
        length = rest;
    while (offset < length && flow->instruction_count < MAX_INSTRUCTIONS) {
        struct instruction *instruction = array_append(flow->instructions, flow->instruction_count);
        if (!decode_instruction(decoder, bytes + offset, length - offset, part->start + (uint32_t)offset,
                                instruction)) {
            flow->undecodable = true;
            *instruction = (struct instruction){
                .address = part->start + (uint32_t)offset, .length = 1, .operation = OPERATION_STOP};
        }
        offset += instruction->length;
    }
    if (flow->instruction_count >= MAX_INSTRUCTIONS)
        flow->undecodable = true;
}

static int compare_instructions(const void *a, const void *b) {
    const struct instruction *x = a, *y = b;
    return x->address < y->address ? -1 : x->address > y->address;
}

/* The first instruction that does not begin before the address. */
static size_t instructions_from(const struct flow *flow, uint32_t address) {
    size_t low = 0, high = flow->instruction_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (flow->instructions[middle].address < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t flow_instruction_before(const struct flow *flow, uint32_t address) {
    size_t next = instructions_from(flow, address);
    return next > 0 && instruction_end(&flow->instructions[next - 1]) == address ? (uint32_t)next - 1 : UINT32_MAX;
}

uint32_t flow_instruction_at(const struct flow *flow, uint32_t address) {
    size_t low = instructions_from(flow, address);
    return low < flow->instruction_count && flow->instructions[low].address == address ? (uint32_t)low : UINT32_MAX;
}

/* ---- Blocks ---- */

struct edge {
    uint32_t from; /* instruction */
    uint32_t to;   /* instruction, or TO_TABLE and the number of a table */
};

#define TO_TABLE 0x80000000u

struct edges {
    struct edge *items;
    size_t count;
};

static void add_edge(const struct flow *flow, struct edges *edges, uint32_t from, uint64_t target) {
    uint32_t to = target <= UINT32_MAX ? flow_instruction_at(flow, (uint32_t)target) : UINT32_MAX;
    if (to != UINT32_MAX)
        *array_append(edges->items, edges->count) = (struct edge){from, to};
}

static bool ends_block(const struct flow *flow, const struct instruction *instruction) {
    switch (instruction->operation) {
    case OPERATION_JUMP:
    case OPERATION_BRANCH:
    case OPERATION_JUMP_INDIRECT:
    case OPERATION_RETURN:
    case OPERATION_STOP: return true;
    case OPERATION_CALL: return flow_never_returns(flow->analysis, instruction);
    default: return false;
    }
}

static bool falls_through(const struct flow *flow, const struct instruction *instruction) {
    return instruction->operation == OPERATION_BRANCH || !ends_block(flow, instruction);
}

static bool is_next(const struct flow *flow, size_t i) {
    return i + 1 < flow->instruction_count &&
           flow->instructions[i + 1].address == instruction_end(&flow->instructions[i]);
}

static void mark_leaders(const struct flow *flow, const struct edges *edges, const bool *outside, bool *leaders) {
    for (size_t i = 0; i < flow->instruction_count; i++) {
        leaders[i] |= outside[i] || i == 0 ||
                      flow->instructions[i].address != instruction_end(&flow->instructions[i - 1]) ||
                      ends_block(flow, &flow->instructions[i - 1]);
    }
    for (size_t i = 0; i < edges->count; i++) {
        if ((edges->items[i].to & TO_TABLE) == 0)
            leaders[edges->items[i].to] = true;
    }
    for (size_t i = 0; i < flow->table_count; i++) {
        for (size_t j = 0; j < flow->tables[i].target_count; j++)
            leaders[flow->tables[i].targets[j]] = true;
    }
}

static void add_predecessor(struct flow *flow, uint32_t block, uint32_t predecessor) {
    struct block *to = &flow->blocks[block];
    for (size_t i = 0; i < to->predecessor_count; i++) {
        if (to->predecessors[i] == predecessor)
            return;
    }
    *array_append(to->predecessors, to->predecessor_count) = predecessor;
}

static bool is_padding(const struct flow *flow, const struct block *block) {
    for (uint32_t i = block->first; i < block->end; i++) {
        if (flow->instructions[i].operation != OPERATION_PADDING)
            return false;
    }
    return true;
}

static void make_blocks(struct flow *flow, const struct edges *edges, const bool *outside) {
    cleanup_free bool *leaders = xcalloc(flow->instruction_count + 1, sizeof *leaders);
    mark_leaders(flow, edges, outside, leaders);
    for (uint32_t i = 0; i < flow->instruction_count; i++) {
        if (leaders[i])
            *array_append(flow->blocks, flow->block_count) = (struct block){.first = i, .outside = outside[i]};
        flow->blocks[flow->block_count - 1].end = i + 1;
        flow->block_of[i] = (uint32_t)flow->block_count - 1;
    }
    uint32_t real_count = (uint32_t)flow->block_count;
    for (uint32_t i = 0; i + 1 < real_count; i++) {
        uint32_t last = flow->blocks[i].end - 1;
        if (falls_through(flow, &flow->instructions[last]) && is_next(flow, last))
            add_predecessor(flow, i + 1, i);
    }
    for (uint32_t i = 0; i < flow->table_count; i++) {
        (void)array_append(flow->blocks, flow->block_count);
        for (size_t j = 0; j < flow->tables[i].target_count; j++)
            add_predecessor(flow, flow->block_of[flow->tables[i].targets[j]], real_count + i);
    }
    for (size_t i = 0; i < edges->count; i++) {
        uint32_t to = edges->items[i].to;
        uint32_t block = (to & TO_TABLE) != 0 ? real_count + (to & ~TO_TABLE) : flow->block_of[to];
        add_predecessor(flow, block, flow->block_of[edges->items[i].from]);
    }
    uint32_t entry = flow_instruction_at(flow, flow->analysis->functions.items[flow->root].start);
    if (entry != UINT32_MAX)
        flow->blocks[flow->block_of[entry]].entry = true;
    for (size_t i = 0; i < flow->block_count; i++) {
        struct block *block = &flow->blocks[i];
        block->unexplained = block->predecessor_count == 0 && !block->entry && !is_padding(flow, block);
    }
}

static void free_blocks(struct flow *flow) {
    for (size_t i = 0; i < flow->block_count; i++)
        free(flow->blocks[i].predecessors);
    free(flow->blocks);
    flow->blocks = NULL;
    flow->block_count = 0;
}

static void direct_edges(const struct flow *flow, struct edges *edges) {
    for (uint32_t i = 0; i < flow->instruction_count; i++) {
        const struct instruction *instruction = &flow->instructions[i];
        if (instruction->operation == OPERATION_JUMP || instruction->operation == OPERATION_BRANCH)
            add_edge(flow, edges, i, instruction->target);
    }
}

/* ---- Entries from outside ---- */

static bool is_in_table(const struct flow *flow, uint32_t source) {
    for (size_t i = 0; i < flow->table_count; i++) {
        if (source >= flow->tables[i].start && source < flow->tables[i].end)
            return true;
    }
    return false;
}

static void mark_outside(const struct flow *flow, uint32_t address, bool *outside) {
    uint32_t instruction = flow_instruction_at(flow, address);
    if (instruction != UINT32_MAX)
        outside[instruction] = true;
}

/* `tables_count`: labels in resolved tables are reached by the table's jump alone. */
static void find_referred(const struct flow *flow, const struct function *part, bool tables_count, bool *outside) {
    const struct scan *scan = &flow->analysis->scan;
    uint32_t start = flow->analysis->functions.items[flow->root].start;
    for (size_t i = references_from(scan, part->start);
         i < scan->reference_count && scan->references[i].target < part->end; i++) {
        const struct reference *reference = &scan->references[i];
        bool in_table = tables_count && reference->data && is_in_table(flow, reference->source);
        if (reference->target != start && !in_table)
            mark_outside(flow, reference->target, outside);
    }
}

static void find_outside(const struct flow *flow, bool tables_count, bool *outside) {
    const struct analysis *analysis = flow->analysis;
    uint32_t start = analysis->functions.items[flow->root].start;
    for (size_t i = 0; i < flow->part_count; i++) {
        uint32_t part = flow->parts[i];
        find_referred(flow, &analysis->functions.items[part], tables_count, outside);
        for (size_t j = uses_from(&analysis->jump_sites, part);
             j < analysis->jump_sites.count && analysis->jump_sites.items[j].key == part; j++) {
            const struct direct_jump *jump = &analysis->scan.jumps[analysis->jump_sites.items[j].value];
            if (jump->target != start && !is_in_flow(flow, jump->address))
                mark_outside(flow, jump->target, outside);
        }
        for (size_t j = uses_from(&analysis->entries, part);
             j < analysis->entries.count && analysis->entries.items[j].key == part; j++) {
            if (analysis->entries.items[j].value != start)
                mark_outside(flow, analysis->entries.items[j].value, outside);
        }
    }
}

/* ---- The frame ---- */

static bool is_frame_register(const struct frame_state *state, uint8_t number) {
    return number == REGISTER_RSP || (number == REGISTER_RBP && state->pointer != NO_DEPTH);
}

static int32_t offset_of(const struct frame_state *state, uint8_t number) {
    return number == REGISTER_RSP ? state->depth : state->pointer;
}

static int32_t moved(int32_t offset, int64_t by) {
    int64_t sum = offset + by;
    return offset == NO_DEPTH || sum > INT32_MAX / 2 || sum < INT32_MIN / 2 ? NO_DEPTH : (int32_t)sum;
}

static void take(struct flow *flow, struct frame_state *state, int32_t offset) {
    state->taken = true;
    for (size_t i = 0; i < flow->taken_count; i++) {
        if (flow->taken[i] == offset)
            return;
    }
    *array_append(flow->taken, flow->taken_count) = offset;
}

/* Any use of rsp or of the frame pointer as a value, but for the well-known ones, makes frame addresses known. */
static void watch_frame_address(struct flow *flow, const struct instruction *instruction, struct frame_state *state) {
    const struct operand *source = &instruction->source;
    bool to_frame = instruction->destination.kind == OPERAND_REGISTER &&
                    (instruction->destination.base == REGISTER_RSP || instruction->destination.base == REGISTER_RBP);
    if (instruction->operation == OPERATION_ADDRESS) {
        bool index_only = source->index != REGISTER_NONE && is_frame_register(state, source->index);
        if (is_frame_register(state, source->base) && (!to_frame || source->index != REGISTER_NONE))
            take(flow, state, moved(offset_of(state, source->base), source->value));
        if (index_only)
            take(flow, state, NO_DEPTH);
        return;
    }
    switch (instruction->operation) {
    case OPERATION_CALL:
    case OPERATION_RETURN:
    case OPERATION_POP:
    case OPERATION_LEAVE:
    case OPERATION_COMPARE:
    case OPERATION_TEST:
    case OPERATION_PADDING: return;
    case OPERATION_PUSH:
        if (source->kind == OPERAND_REGISTER && is_frame_register(state, source->base))
            take(flow, state, offset_of(state, source->base));
        return;
    default: break;
    }
    static const uint8_t numbers[] = {REGISTER_RSP, REGISTER_RBP};
    for (size_t i = 0; i < 2; i++) {
        uint8_t number = numbers[i];
        if ((instruction->reads & REGISTER_BIT(number)) == 0 || !is_frame_register(state, number))
            continue;
        bool adjusts = to_frame && instruction->destination.base == number;
        if (!adjusts && !(to_frame && instruction->operation == OPERATION_MOVE))
            take(flow, state, offset_of(state, number));
    }
}

static void move_stack(struct flow *flow, const struct instruction *instruction, struct frame_state *state) {
    const struct operand *destination = &instruction->destination, *source = &instruction->source;
    bool to_stack = destination->kind == OPERAND_REGISTER && destination->base == REGISTER_RSP;
    bool to_pointer = destination->kind == OPERAND_REGISTER && destination->base == REGISTER_RBP;
    struct frame_state before = *state;
    bool whole = destination->size == 8;
    if ((instruction->writes & REGISTER_BIT(REGISTER_RSP)) != 0 && instruction->operation != OPERATION_CALL &&
        instruction->operation != OPERATION_RETURN)
        state->depth = NO_DEPTH;
    if ((instruction->writes & REGISTER_BIT(REGISTER_RBP)) != 0)
        state->pointer = NO_DEPTH;
    switch (instruction->operation) {
    case OPERATION_PUSH: state->depth = moved(before.depth, -8); break;
    case OPERATION_POP:
        if (!to_stack)
            state->depth = moved(before.depth, 8);
        break;
    case OPERATION_LEAVE: state->depth = moved(before.pointer, 8); break;
    case OPERATION_MOVE:
        if (to_stack && whole && source->kind == OPERAND_REGISTER && source->base == REGISTER_RBP)
            state->depth = before.pointer;
        if (to_pointer && whole && source->kind == OPERAND_REGISTER && source->base == REGISTER_RSP)
            state->pointer = before.depth;
        break;
    case OPERATION_ADD:
    case OPERATION_SUBTRACT:
        if (whole && source->kind == OPERAND_IMMEDIATE) {
            int64_t by = instruction->operation == OPERATION_ADD ? source->value : -source->value;
            if (to_stack)
                state->depth = moved(before.depth, by);
            if (to_pointer)
                state->pointer = moved(before.pointer, by);
        }
        break;
    case OPERATION_ADDRESS:
        if (whole && (to_stack || to_pointer) && source->index == REGISTER_NONE && !source->segment &&
            is_frame_register(&before, source->base)) {
            int32_t offset = moved(offset_of(&before, source->base), source->value);
            if (to_stack)
                state->depth = offset;
            else
                state->pointer = offset;
        }
        break;
    default: break;
    }
    if (state->pointer != NO_DEPTH)
        flow->frame_pointer = true;
}

/* What flows together must agree; a frame nobody has reached yet agrees with all. */
struct frame_join {
    struct frame_state state, behind; /* at the start and at the end of the block */
    bool reached, walked;
};

static bool join_frames(struct frame_join *into, const struct frame_state *state) {
    if (!into->reached) {
        into->state = *state;
        into->reached = true;
        return true;
    }
    struct frame_state before = into->state;
    if (into->state.depth != state->depth)
        into->state.depth = NO_DEPTH;
    if (into->state.pointer != state->pointer)
        into->state.pointer = NO_DEPTH;
    into->state.taken |= state->taken;
    return before.depth != into->state.depth || before.pointer != into->state.pointer ||
           before.taken != into->state.taken;
}

static void follow_frames(struct flow *flow, struct frame_join *joins) {
    bool changed = true;
    while (changed) {
        changed = false;
        for (uint32_t i = 0; i < flow->block_count; i++) {
            struct frame_join *join = &joins[i];
            for (uint32_t j = 0; j < flow->blocks[i].predecessor_count; j++) {
                const struct frame_join *predecessor = &joins[flow->blocks[i].predecessors[j]];
                if (predecessor->walked)
                    changed |= join_frames(join, &predecessor->behind);
            }
            if (!join->reached)
                continue;
            struct frame_state state = join->state;
            for (uint32_t j = flow->blocks[i].first; j < flow->blocks[i].end; j++) {
                flow->frames[j] = state;
                watch_frame_address(flow, &flow->instructions[j], &state);
                move_stack(flow, &flow->instructions[j], &state);
            }
            changed |= !join->walked;
            join->behind = state;
            join->walked = true;
        }
    }
}

static int compare_offsets(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

/* Blocks that only something outside reaches have an unknown frame, and any address of it may be known there. */
static void find_frames(struct flow *flow) {
    cleanup_free struct frame_join *joins = xcalloc(flow->block_count + 1, sizeof *joins);
    struct frame_state entry = {.depth = 0, .pointer = NO_DEPTH}, unknown = {NO_DEPTH, NO_DEPTH, true};
    flow->taken_count = 0;
    flow->frame_pointer = false;
    for (size_t i = 0; i < flow->block_count; i++) {
        if (flow->blocks[i].entry)
            join_frames(&joins[i], &entry);
    }
    follow_frames(flow, joins);
    for (size_t i = 0; i < flow->block_count; i++) {
        if (!joins[i].reached && (flow->blocks[i].outside || flow->blocks[i].unexplained))
            join_frames(&joins[i], &unknown);
    }
    follow_frames(flow, joins);
    for (size_t i = 0; i < flow->block_count; i++) {
        if (!joins[i].reached) {
            for (uint32_t j = flow->blocks[i].first; j < flow->blocks[i].end; j++)
                flow->frames[j] = unknown;
        }
        /* A landing pad or label may be reached after any call: what is taken anywhere is taken there. */
        if (flow->blocks[i].outside && flow->taken_count > 0) {
            for (uint32_t j = flow->blocks[i].first; j < flow->blocks[i].end; j++)
                flow->frames[j].taken = true;
        }
    }
    if (flow->taken_count > 0)
        qsort(flow->taken, flow->taken_count, sizeof *flow->taken, compare_offsets);
}

/* ---- Jump tables ---- */

/* The table that starts here, found or made. */
static struct table *table_at(struct flow *flow, uint32_t start) {
    for (size_t i = 0; i < flow->table_count; i++) {
        if (flow->tables[i].start == start)
            return &flow->tables[i];
    }
    struct table *table = array_append(flow->tables, flow->table_count);
    table->start = table->end = start;
    return table;
}

static void add_target(struct table *table, uint32_t target) {
    for (size_t i = 0; i < table->target_count; i++) {
        if (table->targets[i] == target)
            return;
    }
    *array_append(table->targets, table->target_count) = target;
}

/* Moved-away code that nothing but tables refers to is no part of any graph; its entry knows nothing anyway. */
static bool is_stray_fragment(const struct flow *flow, uint64_t target) {
    uint32_t function = functions_at(&flow->analysis->functions, target);
    return function != NO_FUNCTION && flow->analysis->functions.items[function].fragment;
}

static bool table_target(const struct object *object, uint64_t table, unsigned entry, unsigned size, uint64_t *target) {
    uint64_t address = table + (uint64_t)entry * size;
    if (size == 4) {
        const uint8_t *bytes = object_at(object, address, 4);
        if (bytes == NULL || !object_is_constant(object, address, 4))
            return false;
        *target = table + (uint64_t)(int64_t)(int32_t)read32(bytes);
        return true;
    }
    if (!object_is_relocated_constant(object, address, 8))
        return false;
    const struct relocation *relocation = object_relocation_at(object, address);
    if (relocation != NULL && relocation->type == R_X86_64_RELATIVE)
        *target = (uint64_t)relocation->addend;
    else if (relocation == NULL && object->type == ET_EXEC)
        *target = read64(object_at(object, address, 8));
    else
        return false;
    return true;
}

/* Reads a table until an entry is no instruction of this function: too many edges at worst, never too few. Returns
 * whether it is a table at all. */
static bool read_table(struct flow *flow, struct edges *edges, uint32_t jump, uint64_t start, unsigned size) {
    struct table *table = table_at(flow, (uint32_t)start);
    for (unsigned entry = (table->end - table->start) / size; entry < MAX_TABLE_ENTRIES; entry++) {
        uint64_t target;
        if (!table_target(&flow->analysis->object, start, entry, size, &target))
            break;
        uint32_t instruction = UINT32_MAX;
        if (is_in_flow(flow, target))
            instruction = flow_instruction_at(flow, (uint32_t)target);
        if (instruction != UINT32_MAX)
            add_target(table, instruction);
        else if (is_stray_fragment(flow, target))
            *array_append(flow->strays, flow->stray_count) = (uint32_t)target;
        else
            break;
        table->end = (uint32_t)(start + (uint64_t)(entry + 1) * size);
    }
    if (table->end == table->start)
        return false;
    *array_append(edges->items, edges->count) = (struct edge){jump, TO_TABLE | (uint32_t)(table - flow->tables)};
    return true;
}

static enum jump_outcome resolve_element(struct flow *flow, struct edges *edges, uint32_t jump,
                                         struct element element) {
    uint64_t value = (uint64_t)element.value;
    switch ((enum element_kind)element.kind) {
    case ELEMENT_SWITCH: return read_table(flow, edges, jump, value, 4) ? JUMP_RESOLVED : JUMP_UNRESOLVED;
    case ELEMENT_TABLE8: return read_table(flow, edges, jump, value, 8) ? JUMP_RESOLVED : JUMP_LEAVES;
    case ELEMENT_ADDRESS:
    case ELEMENT_INTEGER:
        if (is_in_flow(flow, value))
            add_edge(flow, edges, jump, value);
        else
            flow->stays = false;
        return JUMP_RESOLVED;
    case ELEMENT_IMPORT: flow->stays = false; return JUMP_RESOLVED;
    case ELEMENT_STACK:
    case ELEMENT_LOW:
    case ELEMENT_TABLE4: return JUMP_UNRESOLVED;
    }
    return JUMP_UNRESOLVED;
}

/* A pointer that was loaded or handed over whole can only be that of a label if the label's address is taken, and
 * such labels are entered from outside anyway. Anything computed may be part of a table that was not understood. */
static bool is_whole_pointer(struct abstract value) {
    if (value.derived)
        return false;
    switch ((enum unknown)value.unknown) {
    case UNKNOWN_PARAMETER:
    case UNKNOWN_EXPORTED_PARAMETER:
    case UNKNOWN_POINTED_PARAMETER:
    case UNKNOWN_HEAP:
    case UNKNOWN_IMPORT_RETURN:
    case UNKNOWN_RETURN:
    case UNKNOWN_GLOBAL:
    case UNKNOWN_MEMORY: return true;
    default: return false;
    }
}

static enum jump_outcome worse(enum jump_outcome a, enum jump_outcome b) {
    if (a == JUMP_UNRESOLVED || b == JUMP_UNRESOLVED)
        return JUMP_UNRESOLVED;
    return a == JUMP_LEAVES || b == JUMP_LEAVES ? JUMP_LEAVES : JUMP_RESOLVED;
}

static enum jump_outcome resolve_value(struct flow *flow, struct edges *edges, uint32_t jump, struct abstract value) {
    enum jump_outcome outcome = JUMP_RESOLVED;
    for (unsigned i = 0; i < value.count; i++)
        outcome = worse(outcome, resolve_element(flow, edges, jump, value.elements[i]));
    if (value.unknown != UNKNOWN_NOTHING)
        outcome = worse(outcome, is_whole_pointer(value) ? JUMP_LEAVES : JUMP_UNRESOLVED);
    return outcome;
}

/* A jump that has no value yet lies in code that only something outside reaches: it is resolved with nothing known
 * there, once no others bring new edges (`last`). */
static enum jump_outcome resolve_jumps(struct flow *flow, struct edges *edges, bool last) {
    enum jump_outcome outcome = JUMP_RESOLVED;
    flow->stays = true;
    struct solver *optimistic = solver_new(flow, true), *pessimistic = last ? solver_new(flow, false) : NULL;
    for (uint32_t i = 0; i < flow->instruction_count; i++) {
        const struct instruction *jump = &flow->instructions[i];
        if (jump->operation != OPERATION_JUMP_INDIRECT || flow_import(flow->analysis, jump) != NO_SYMBOL)
            continue;
        struct abstract value = solver_operand(optimistic, i, &jump->source);
        if (value_is_nothing(value) && last)
            value = solver_operand(pessimistic, i, &jump->source);
        outcome = worse(outcome, resolve_value(flow, edges, i, value));
    }
    solver_free(optimistic);
    solver_free(pessimistic);
    return outcome;
}

/* ---- Building ---- */

static int compare_edges(const void *a, const void *b) {
    const struct edge *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return x->to < y->to ? -1 : x->to > y->to;
}

static void drop_double_edges(struct edges *edges) {
    if (edges->count == 0)
        return;
    qsort(edges->items, edges->count, sizeof *edges->items, compare_edges);
    size_t kept = 1;
    for (size_t i = 1; i < edges->count; i++) {
        if (compare_edges(&edges->items[i], &edges->items[kept - 1]) != 0)
            edges->items[kept++] = edges->items[i];
    }
    edges->count = kept;
}

static void rebuild(struct flow *flow, const struct edges *edges, bool tables_count) {
    cleanup_free bool *outside = xcalloc(flow->instruction_count + 1, sizeof *outside);
    free_blocks(flow);
    find_outside(flow, tables_count, outside);
    make_blocks(flow, edges, outside);
    find_frames(flow);
}

static bool has_indirect_jump(const struct flow *flow) {
    for (size_t i = 0; i < flow->instruction_count; i++) {
        if (flow->instructions[i].operation == OPERATION_JUMP_INDIRECT &&
            flow_import(flow->analysis, &flow->instructions[i]) == NO_SYMBOL)
            return true;
    }
    return false;
}

/* The table's base is often loaded far from the jump, on a path that leads through another table's jump: blocks that
 * nothing reaches yet count as never entered until no more edges are found. */
static void find_edges(struct flow *flow, struct edges *edges) {
    direct_edges(flow, edges);
    drop_double_edges(edges);
    rebuild(flow, edges, true);
    if (!has_indirect_jump(flow))
        return;
    enum jump_outcome outcome = JUMP_UNRESOLVED;
    bool last = false;
    for (unsigned round = 0; round < MAX_ROUNDS; round++) {
        size_t before = edges->count;
        outcome = resolve_jumps(flow, edges, last);
        drop_double_edges(edges);
        bool found = edges->count != before;
        if (!found && last)
            break;
        last = !found;
        if (found)
            rebuild(flow, edges, true);
        if (round + 1 == MAX_ROUNDS)
            outcome = JUMP_UNRESOLVED;
    }
    flow->unresolved = outcome == JUMP_UNRESOLVED;
    flow->stays = flow->stays && outcome == JUMP_RESOLVED;
    if (outcome != JUMP_RESOLVED)
        rebuild(flow, edges, false);
}

struct flow *flow_build(const struct analysis *analysis, const struct decoder *decoder, uint32_t root) {
    struct flow *flow = xcalloc(1, sizeof *flow);
    flow->analysis = analysis;
    flow->root = root;
    collect_parts(flow);
    flow->stays = true;
    for (size_t i = 0; i < flow->part_count; i++)
        decode_part(flow, decoder, &analysis->functions.items[flow->parts[i]]);
    if (flow->instruction_count > 0)
        qsort(flow->instructions, flow->instruction_count, sizeof *flow->instructions, compare_instructions);
    flow->block_of = xcalloc(flow->instruction_count + 1, sizeof *flow->block_of);
    flow->frames = xcalloc(flow->instruction_count + 1, sizeof *flow->frames);
    struct edges edges = {0};
    if (!flow->undecodable)
        find_edges(flow, &edges);
    else
        flow->stays = false;
    free(edges.items);
    return flow;
}

bool flow_leaves(const struct flow *flow) {
    for (size_t i = 0; i < flow->instruction_count; i++) {
        const struct instruction *instruction = &flow->instructions[i];
        bool direct = instruction->operation == OPERATION_JUMP || instruction->operation == OPERATION_BRANCH;
        if (direct && flow_instruction_at(flow, instruction->target) == UINT32_MAX)
            return true;
        if (instruction->operation == OPERATION_JUMP_INDIRECT &&
            (!flow->stays || flow_import(flow->analysis, instruction) != NO_SYMBOL))
            return true;
        if (falls_through(flow, instruction) && !is_next(flow, i))
            return true;
    }
    return flow->instruction_count == 0;
}

void flow_free(struct flow *flow) {
    if (flow == NULL)
        return;
    free_blocks(flow);
    free(flow->parts);
    free(flow->instructions);
    free(flow->block_of);
    free(flow->frames);
    free(flow->taken);
    for (size_t i = 0; i < flow->table_count; i++)
        free(flow->tables[i].targets);
    free(flow->tables);
    free(flow->strays);
    address_lists_free(flow->lists);
    escape_free(flow->escape);
    free(flow);
}
