/* Follows an address forward from the load of its slot through registers alone. Whatever is not a call, a jump, a copy
 * or a comparison lets it escape.
 */
#include "policygen/held.h"

#include <stdlib.h>
#include <string.h>

#include "policygen/flow.h"
#include "runtime/api.h"
#include "runtime/util.h"

#define ARGUMENTS                                                                           \
    (REGISTER_BIT(REGISTER_RDI) | REGISTER_BIT(REGISTER_RSI) | REGISTER_BIT(REGISTER_RDX) | \
     REGISTER_BIT(REGISTER_RCX) | REGISTER_BIT(REGISTER_R8) | REGISTER_BIT(REGISTER_R9))

struct following {
    const struct flow *flow;
    uint16_t *seen; /* per instruction: registers that hold the address before it */
    uint32_t *work; /* instructions whose registers changed */
    size_t work_count;
    uint32_t *calls; /* instructions that call or jump through the address */
    size_t call_count;
    bool escapes;
};

static void reach(struct following *following, uint32_t instruction, uint16_t held) {
    if (instruction >= following->flow->instruction_count) {
        following->escapes |= held != 0;
        return;
    }
    if ((following->seen[instruction] & held) == held)
        return;
    following->seen[instruction] |= held;
    *array_append(following->work, following->work_count) = instruction;
}

static void reach_blocks_behind(struct following *following, uint32_t block, uint16_t held) {
    const struct flow *flow = following->flow;
    for (uint32_t i = 0; i < flow->block_count; i++) {
        for (uint32_t j = 0; j < flow->blocks[i].predecessor_count; j++) {
            if (flow->blocks[i].predecessors[j] != block)
                continue;
            if (flow->blocks[i].first == flow->blocks[i].end)
                following->escapes = true; /* through a switch: too rare to follow */
            else
                reach(following, flow->blocks[i].first, held);
        }
    }
}

/* After a call an exception may lead to a landing pad, and a jump through a pointer to a label. */
static void reach_outside(struct following *following, uint16_t held) {
    for (uint32_t i = 0; held != 0 && i < following->flow->block_count; i++) {
        if (following->flow->blocks[i].outside)
            reach(following, following->flow->blocks[i].first, held);
    }
}

static bool is_in_address(const struct operand *operand, uint16_t held) {
    if (operand->kind != OPERAND_MEMORY)
        return false;
    return (operand->base < REGISTER_COUNT && (held & REGISTER_BIT(operand->base)) != 0) ||
           (operand->index < REGISTER_COUNT && (held & REGISTER_BIT(operand->index)) != 0);
}

static bool is_held(const struct operand *operand, uint16_t held) {
    return operand->kind == OPERAND_REGISTER && (held & REGISTER_BIT(operand->base)) != 0;
}

/* The registers that hold the address behind the instruction. */
static uint16_t step(struct following *following, uint32_t index, uint16_t held) {
    const struct instruction *instruction = &following->flow->instructions[index];
    const struct operand *source = &instruction->source, *destination = &instruction->destination;
    uint16_t left = held & (uint16_t)~instruction->writes;
    following->escapes |= is_in_address(source, held) || is_in_address(destination, held);
    switch ((enum operation)instruction->operation) {
    case OPERATION_CALL:
    case OPERATION_JUMP_INDIRECT:
        if (is_held(source, held))
            *array_append(following->calls, following->call_count) = index;
        following->escapes |= (held & ARGUMENTS) != 0;
        reach_outside(following, left);
        return left;
    case OPERATION_RETURN: following->escapes |= held != 0; return 0;
    case OPERATION_MOVE:
        if (!is_held(source, held))
            return left;
        if (destination->kind != OPERAND_REGISTER || destination->size != 8) {
            following->escapes = true;
            return left;
        }
        return left | REGISTER_BIT(destination->base);
    case OPERATION_COMPARE:
    case OPERATION_TEST:
    case OPERATION_PADDING: return left;
    case OPERATION_JUMP:
    case OPERATION_BRANCH:
        if (flow_instruction_at(following->flow, instruction->target) == UINT32_MAX)
            following->escapes |= (held & ARGUMENTS) != 0;
        return left;
    default: following->escapes |= (instruction->reads & held) != 0; return left;
    }
}

static void follow(struct following *following) {
    const struct flow *flow = following->flow;
    while (following->work_count > 0) {
        uint32_t index = following->work[--following->work_count];
        uint16_t held = step(following, index, following->seen[index]);
        if (held == 0)
            continue;
        uint32_t block = flow->block_of[index];
        if (index + 1 < flow->blocks[block].end)
            reach(following, index + 1, held);
        else
            reach_blocks_behind(following, block, held);
    }
}

static void add_found(struct analysis *analysis, const struct flow *flow, uint32_t index, uint16_t api) {
    const struct instruction *instruction = &flow->instructions[index];
    bool is_call = instruction->operation == OPERATION_CALL;
    struct api_call *made = is_call ? array_append(analysis->calls, analysis->call_count)
                                    : array_append(analysis->jumps, analysis->jump_count);
    *made = (struct api_call){.address = instruction->address,
                              .return_address = is_call ? instruction_end(instruction) : 0,
                              .function = functions_at(&analysis->functions, instruction->address),
                              .api = api};
    rules_unknown(&made->rules, api, UNKNOWN_UNDECODED);
}

static bool is_plain_load(const struct instruction *instruction) {
    return instruction->operation == OPERATION_MOVE && instruction->destination.kind == OPERAND_REGISTER &&
           instruction->destination.size == 8 && instruction->source.kind == OPERAND_MEMORY;
}

static void follow_load(struct analysis *analysis, const struct flow *flow, struct slot_load *load) {
    uint32_t index = flow_instruction_at(flow, load->address);
    if (flow->undecodable || flow->unresolved || index == UINT32_MAX || !is_plain_load(&flow->instructions[index]))
        return;
    struct following following = {.flow = flow};
    following.seen = xcalloc(flow->instruction_count + 1, sizeof *following.seen);
    uint16_t held = REGISTER_BIT(flow->instructions[index].destination.base);
    uint32_t block = flow->block_of[index];
    if (index + 1 < flow->blocks[block].end)
        reach(&following, index + 1, held);
    else
        reach_blocks_behind(&following, block, held);
    follow(&following);
    load->followed = !following.escapes;
    for (size_t i = 0; i < following.call_count; i++)
        add_found(analysis, flow, following.calls[i], analysis->object.symbols[load->symbol].api);
    free(following.seen);
    free(following.work);
    free(following.calls);
}

void held_find(struct analysis *analysis) {
    struct decoder *decoder = decoder_new();
    struct flow *flow = NULL;
    for (size_t i = 0; i < analysis->scan.slot_load_count; i++) {
        struct slot_load *load = &analysis->scan.slot_loads[i];
        if (analysis->object.symbols[load->symbol].api == API_NONE || load->function == NO_FUNCTION)
            continue;
        uint32_t root = analysis->roots[load->function];
        if (flow == NULL || flow->root != root) {
            flow_free(flow);
            flow = flow_build(analysis, decoder, root);
        }
        follow_load(analysis, flow, load);
    }
    flow_free(flow);
    decoder_free(decoder);
}
