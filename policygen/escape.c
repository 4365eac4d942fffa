/* A forward pass to a fixpoint. Nothing is followed through memory one by one: what is stored anywhere in the frame may
 * be loaded from anywhere in it.
 */
#include "policygen/escape.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"

#define ALL_REGISTERS 0xffff
/* What a called function may look at: arguments, the static chain, and what else it may not rely on. */
#define CALLEE_SEES CALL_CHANGES

static bool may_hold(const struct flow *flow, const struct escape_state *state, uint32_t index, uint8_t number) {
    if (number >= REGISTER_COUNT)
        return false;
    return number == REGISTER_RSP || (number == REGISTER_RBP && flow->frames[index].pointer != NO_DEPTH) ||
           (state->registers & REGISTER_BIT(number)) != 0;
}

bool escape_may_hold(const struct escape *escape, uint32_t instruction, uint8_t number) {
    return may_hold(escape->flow, &escape->before[instruction], instruction, number);
}

static uint16_t held_registers(const struct flow *flow, const struct escape_state *state, uint32_t index) {
    uint16_t held = state->registers | REGISTER_BIT(REGISTER_RSP);
    if (flow->frames[index].pointer != NO_DEPTH)
        held |= REGISTER_BIT(REGISTER_RBP);
    return held;
}

/* Whether a memory operand may lie in the frame. */
static bool in_frame(const struct flow *flow, const struct escape_state *state, uint32_t index,
                     const struct operand *operand) {
    return !operand->segment &&
           (may_hold(flow, state, index, operand->base) || may_hold(flow, state, index, operand->index));
}

/* Whether what is loaded may be an address of the frame. Single bytes of addresses matter only where code copies memory
 * piece by piece. */
static bool loads_address(const struct flow *flow, const struct escape_state *state, uint32_t index,
                          const struct operand *operand) {
    if (in_frame(flow, state, index, operand) && state->spilled)
        return true;
    return state->escaped && (operand->size >= 8 || operand->size == 0);
}

static void store_address(const struct flow *flow, struct escape_state *state, uint32_t index,
                          const struct operand *operand) {
    bool direct =
        operand->kind == OPERAND_MEMORY && !operand->segment &&
        (operand->base == REGISTER_RSP || (operand->base == REGISTER_RBP && flow->frames[index].pointer != NO_DEPTH));
    if (direct) {
        state->spilled = true;
        return;
    }
    state->escaped = true;
    if (operand->kind != OPERAND_MEMORY || in_frame(flow, state, index, operand))
        state->spilled = true;
}

/* ---- Calls ---- */

static bool callee_may_know(const struct escape_state *state) {
    return state->escaped || state->spilled || state->vectors || (state->registers & CALLEE_SEES) != 0;
}

bool escape_reaches_callee(const struct escape *escape, uint32_t call) {
    return callee_may_know(&escape->before[call]);
}

static void step_known_call(const struct flow *flow, struct escape_state *state, uint32_t index,
                            const struct effect *effect) {
    uint16_t arguments = 0;
    for (size_t i = 0; i < ARGUMENT_REGISTERS; i++)
        arguments |= REGISTER_BIT(argument_registers[i]) & state->registers;
    bool to_frame = may_hold(flow, state, index, REGISTER_RDI), from_frame = may_hold(flow, state, index, REGISTER_RSI);
    if ((effect->flags & EFFECT_SENDS) != 0 && arguments != 0 && state->spilled)
        state->escaped = true;
    if ((effect->flags & EFFECT_MOVES) != 0 && ((from_frame && state->spilled) || state->escaped)) {
        state->spilled |= to_frame;
        state->escaped = true;
    }
    if ((effect->flags & EFFECT_POINTS) != 0 && to_frame) {
        state->spilled = true;
        state->escaped |= !from_frame;
    }
    bool returns = (effect->flags & EFFECT_RETURNS) != 0 && (arguments != 0 || state->escaped);
    state->registers &= (uint16_t)~CALL_CHANGES;
    if (returns)
        state->registers |= REGISTER_BIT(REGISTER_RAX);
    state->vectors = false;
}

/* The caller may know that a function of its own object leaves some registers alone, so they keep what they hold. */
static void step_call(const struct flow *flow, struct escape_state *state, uint32_t index,
                      const struct effect *effect) {
    if (effect != NULL) {
        step_known_call(flow, state, index, effect);
        return;
    }
    state->escaped |= callee_may_know(state);
    if (flow_import(flow->analysis, &flow->instructions[index]) != NO_SYMBOL)
        state->registers &= (uint16_t)~CALL_CHANGES;
    if (state->escaped)
        state->registers |= REGISTER_BIT(REGISTER_RAX);
}

/* ---- Instructions ---- */

static bool is_zeroing(const struct instruction *instruction) {
    const struct operand *destination = &instruction->destination, *source = &instruction->source;
    return (instruction->operation == OPERATION_XOR || instruction->operation == OPERATION_SUBTRACT) &&
           destination->kind == OPERAND_REGISTER && source->kind == OPERAND_REGISTER &&
           destination->base == source->base;
}

static bool computes_address(const struct flow *flow, const struct escape_state *state, uint32_t index) {
    const struct instruction *instruction = &flow->instructions[index];
    const struct operand *source = &instruction->source;
    switch ((enum operation)instruction->operation) {
    case OPERATION_ADDRESS:
        return may_hold(flow, state, index, source->base) || may_hold(flow, state, index, source->index);
    case OPERATION_BOOLEAN:
    case OPERATION_BORROW:
    case OPERATION_VECTOR_ZERO: return false;
    case OPERATION_POP:
    case OPERATION_LEAVE: return state->spilled;
    default: break;
    }
    if (is_zeroing(instruction))
        return false;
    if ((instruction->reads & held_registers(flow, state, index)) != 0 ||
        (instruction->vector_reads != 0 && state->vectors))
        return true;
    const struct operand *operands[] = {source, &instruction->second, &instruction->destination};
    for (size_t i = 0; i < 3; i++) {
        bool overwritten = i == 2 && instruction->operation == OPERATION_MOVE;
        if (operands[i]->kind == OPERAND_MEMORY && !overwritten && loads_address(flow, state, index, operands[i]))
            return true;
    }
    /* Of instructions that are not modelled the source is not known. */
    return instruction->operation == OPERATION_OTHER && (state->spilled || state->escaped);
}

static void set_registers(struct escape_state *state, const struct instruction *instruction, bool holds) {
    const struct operand *destination = &instruction->destination;
    bool partly =
        instruction->operation == OPERATION_SELECT || (destination->kind == OPERAND_REGISTER && destination->size < 4);
    uint16_t written = instruction->writes & (uint16_t)~REGISTER_BIT(REGISTER_RSP);
    if (instruction->operation == OPERATION_POP || instruction->operation == OPERATION_PUSH)
        written &= destination->kind == OPERAND_REGISTER ? REGISTER_BIT(destination->base) : 0;
    if (holds)
        state->registers |= written;
    else if (!partly)
        state->registers &= (uint16_t)~written;
    if (holds && instruction->vector_writes != 0)
        state->vectors = true;
}

/* rep stos and rep movs: the registers only move on. */
static void step_repeated(const struct flow *flow, struct escape_state *state, uint32_t index) {
    const struct instruction *instruction = &flow->instructions[index];
    bool copies = (instruction->writes & REGISTER_BIT(REGISTER_RSI)) != 0;
    bool holds = copies ? state->spilled || state->escaped : may_hold(flow, state, index, REGISTER_RAX);
    if (holds)
        store_address(flow, state, index, &instruction->destination);
}

static void step(const struct escape *escape, struct escape_state *state, uint32_t index) {
    const struct flow *flow = escape->flow;
    const struct instruction *instruction = &flow->instructions[index];
    switch ((enum operation)instruction->operation) {
    case OPERATION_CALL: step_call(flow, state, index, escape->effects[index]); return;
    case OPERATION_COMPARE:
    case OPERATION_TEST:
    case OPERATION_PADDING:
    case OPERATION_JUMP:
    case OPERATION_BRANCH:
    case OPERATION_JUMP_INDIRECT:
    case OPERATION_RETURN:
    case OPERATION_STOP: return;
    case OPERATION_PUSH:
        state->spilled |=
            (instruction->source.kind == OPERAND_REGISTER && may_hold(flow, state, index, instruction->source.base)) ||
            (instruction->source.kind == OPERAND_MEMORY && loads_address(flow, state, index, &instruction->source));
        return;
    default: break;
    }
    if (instruction->repeated != 0) {
        step_repeated(flow, state, index);
        return;
    }
    bool holds = computes_address(flow, state, index);
    if (instruction->writes_memory && instruction->destination.kind != OPERAND_MEMORY)
        holds |= state->registers != 0 || state->spilled;
    if (holds && instruction->writes_memory)
        store_address(flow, state, index, &instruction->destination);
    set_registers(state, instruction, holds);
}

/* ---- Blocks ---- */

static bool join(struct escape_state *into, const struct escape_state *from) {
    struct escape_state before = *into;
    into->registers |= from->registers;
    into->vectors |= from->vectors;
    into->spilled |= from->spilled;
    into->escaped |= from->escaped;
    return before.registers != into->registers || before.vectors != into->vectors || before.spilled != into->spilled ||
           before.escaped != into->escaped;
}

static void follow(struct escape *escape, struct escape_state *starts, struct escape_state *ends) {
    const struct flow *flow = escape->flow;
    cleanup_free bool *done = xcalloc(flow->block_count + 1, sizeof *done);
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < flow->block_count; i++) {
            const struct block *block = &flow->blocks[i];
            bool grown = !done[i];
            for (uint32_t j = 0; j < block->predecessor_count; j++)
                grown |= join(&starts[i], &ends[block->predecessors[j]]);
            if (!grown)
                continue;
            struct escape_state state = starts[i];
            for (uint32_t j = block->first; j < block->end; j++) {
                escape->before[j] = state;
                step(escape, &state, j);
            }
            done[i] = true;
            changed |= join(&ends[i], &state);
        }
    }
}

/* A function of the object's own is what its name says only where that name is a library's in all programs. */
static const struct effect *own_effect(const struct analysis *analysis, uint32_t target) {
    uint32_t function = functions_at(&analysis->functions, target);
    if (target == 0 || function == NO_FUNCTION || analysis->functions.items[function].start != target)
        return NULL;
    const struct uses *exports = &analysis->exports;
    for (size_t i = uses_from(exports, function); i < exports->count && exports->items[i].key == function; i++) {
        const struct effect *effect = effect_of(analysis->object.symbols[exports->items[i].value].name);
        if (effect != NULL && (effect->flags & EFFECT_OWN) != 0)
            return effect;
    }
    return NULL;
}

static void find_effects(struct escape *escape) {
    const struct flow *flow = escape->flow;
    for (size_t i = 0; i < flow->instruction_count; i++) {
        if (flow->instructions[i].operation != OPERATION_CALL)
            continue;
        uint32_t symbol = flow_import(flow->analysis, &flow->instructions[i]);
        /* A function that the object itself defines is its own, whatever its name. */
        if (symbol == NO_SYMBOL) {
            escape->effects[i] = own_effect(flow->analysis, flow->instructions[i].target);
            continue;
        }
        const struct effect *effect = effect_of(flow->analysis->object.symbols[symbol].name);
        if (effect != NULL && (!flow->analysis->object.symbols[symbol].defined || (effect->flags & EFFECT_OWN) != 0))
            escape->effects[i] = effect;
    }
}

struct escape *escape_find(const struct flow *flow) {
    struct escape *escape = xcalloc(1, sizeof *escape);
    escape->flow = flow;
    escape->before = xcalloc(flow->instruction_count + 1, sizeof *escape->before);
    /* The array holds pointers. */
    escape->effects = /* NOLINTNEXTLINE(bugprone-sizeof-expression) */
        xcalloc(flow->instruction_count + 1, sizeof *escape->effects);
    find_effects(escape);
    cleanup_free struct escape_state *starts = xcalloc(flow->block_count + 1, sizeof *starts);
    cleanup_free struct escape_state *ends = xcalloc(flow->block_count + 1, sizeof *ends);
    for (size_t i = 0; i < flow->block_count; i++) {
        if (flow->blocks[i].outside || flow->blocks[i].unexplained)
            starts[i] = (struct escape_state){ALL_REGISTERS, true, true, true};
    }
    follow(escape, starts, ends);
    return escape;
}

void escape_free(struct escape *escape) {
    if (escape == NULL)
        return;
    free(escape->before);
    free(escape->effects);
    free(escape);
}
