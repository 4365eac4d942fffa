/* From Zydis' full description of an instruction to ours. Zydis knows implicit operands too, so what an unmodelled
 * instruction changes is never guessed.
 */
#include "policygen/decode.h"

#include <Zydis/Zydis.h>

#include "runtime/util.h"

const uint8_t argument_registers[ARGUMENT_REGISTERS] = {
    REGISTER_RDI, REGISTER_RSI, REGISTER_RDX, REGISTER_RCX, REGISTER_R8, REGISTER_R9,
};

struct decoder {
    ZydisDecoder zydis;
};

struct decoder *decoder_new(void) {
    struct decoder *decoder = xmalloc(sizeof *decoder);
    ZydisDecoderInit(&decoder->zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return decoder;
}

void decoder_free(struct decoder *decoder) {
    free(decoder);
}

static uint8_t register_number(ZydisRegister name) {
    switch (ZydisRegisterGetClass(name)) {
    case ZYDIS_REGCLASS_GPR8:
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64: {
        ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, name);
        return whole >= ZYDIS_REGISTER_RAX && whole <= ZYDIS_REGISTER_R15 ? (uint8_t)(whole - ZYDIS_REGISTER_RAX)
                                                                          : REGISTER_NONE;
    }
    case ZYDIS_REGCLASS_IP: return REGISTER_RIP;
    default: return REGISTER_NONE;
    }
}

static void convert_operand(const ZydisDecodedOperand *from, uint32_t end, struct operand *operand) {
    *operand = (struct operand){.size = (uint16_t)(from->size / 8), .base = REGISTER_NONE, .index = REGISTER_NONE};
    switch (from->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        operand->base = register_number(from->reg.value);
        operand->kind = operand->base < REGISTER_COUNT ? OPERAND_REGISTER : OPERAND_NONE;
        operand->high = from->reg.value >= ZYDIS_REGISTER_AH && from->reg.value <= ZYDIS_REGISTER_BH;
        break;
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        operand->kind = OPERAND_IMMEDIATE;
        operand->value = from->imm.value.s;
        break;
    case ZYDIS_OPERAND_TYPE_MEMORY:
        operand->kind = OPERAND_MEMORY;
        operand->base = register_number(from->mem.base);
        operand->index = register_number(from->mem.index);
        operand->scale = from->mem.scale;
        operand->value = from->mem.disp.has_displacement ? from->mem.disp.value : 0;
        operand->segment = from->mem.segment == ZYDIS_REGISTER_FS || from->mem.segment == ZYDIS_REGISTER_GS;
        if (operand->base == REGISTER_RIP)
            operand->value += end;
        break;
    default: break;
    }
}

static enum condition_code condition_of(ZydisMnemonic mnemonic) {
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_JZ: return CONDITION_EQUAL;
    case ZYDIS_MNEMONIC_JNZ: return CONDITION_NOT_EQUAL;
    case ZYDIS_MNEMONIC_JB: return CONDITION_BELOW;
    case ZYDIS_MNEMONIC_JBE: return CONDITION_BELOW_EQUAL;
    case ZYDIS_MNEMONIC_JNBE: return CONDITION_ABOVE;
    case ZYDIS_MNEMONIC_JNB: return CONDITION_ABOVE_EQUAL;
    case ZYDIS_MNEMONIC_JL: return CONDITION_LESS;
    case ZYDIS_MNEMONIC_JLE: return CONDITION_LESS_EQUAL;
    case ZYDIS_MNEMONIC_JNLE: return CONDITION_GREATER;
    case ZYDIS_MNEMONIC_JNL: return CONDITION_GREATER_EQUAL;
    default: return CONDITION_OTHER;
    }
}

/* xmm, ymm and zmm of one number are one register; whatever else may hold a pointer counts as all of them. */
static uint32_t vector_bits(ZydisRegister name) {
    switch (ZydisRegisterGetClass(name)) {
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM:
    case ZYDIS_REGCLASS_ZMM: return 1u << ((unsigned)ZydisRegisterGetId(name) & 31);
    case ZYDIS_REGCLASS_X87:
    case ZYDIS_REGCLASS_MMX:
    case ZYDIS_REGCLASS_MASK:
    case ZYDIS_REGCLASS_TMM: return UINT32_MAX;
    default: return 0;
    }
}

static enum operation modelled_vector(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands) {
    switch (instruction->mnemonic) {
    case ZYDIS_MNEMONIC_MOVDQA:
    case ZYDIS_MNEMONIC_MOVDQU:
    case ZYDIS_MNEMONIC_MOVAPS:
    case ZYDIS_MNEMONIC_MOVUPS:
    case ZYDIS_MNEMONIC_MOVAPD:
    case ZYDIS_MNEMONIC_MOVUPD: return OPERATION_VECTOR_MOVE;
    case ZYDIS_MNEMONIC_MOVD:
    case ZYDIS_MNEMONIC_MOVQ: return OPERATION_VECTOR_LOW;
    case ZYDIS_MNEMONIC_MOVHPS:
    case ZYDIS_MNEMONIC_MOVHPD: return OPERATION_VECTOR_HIGH;
    case ZYDIS_MNEMONIC_MOVLHPS:
    case ZYDIS_MNEMONIC_UNPCKLPD:
    case ZYDIS_MNEMONIC_PUNPCKLQDQ: return OPERATION_VECTOR_JOIN;
    case ZYDIS_MNEMONIC_PXOR:
    case ZYDIS_MNEMONIC_XORPS:
    case ZYDIS_MNEMONIC_XORPD:
        return operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER && operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                       operands[0].reg.value == operands[1].reg.value
                   ? OPERATION_VECTOR_ZERO
                   : OPERATION_OTHER;
    default: return OPERATION_OTHER;
    }
}

static enum operation modelled(const ZydisDecodedInstruction *instruction) {
    switch (instruction->mnemonic) {
    case ZYDIS_MNEMONIC_MOV: return OPERATION_MOVE;
    case ZYDIS_MNEMONIC_MOVZX: return OPERATION_ZERO_EXTEND;
    case ZYDIS_MNEMONIC_MOVSX:
    case ZYDIS_MNEMONIC_MOVSXD: return OPERATION_SIGN_EXTEND;
    case ZYDIS_MNEMONIC_LEA: return OPERATION_ADDRESS;
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_INC: return OPERATION_ADD;
    case ZYDIS_MNEMONIC_SUB:
    case ZYDIS_MNEMONIC_DEC: return OPERATION_SUBTRACT;
    case ZYDIS_MNEMONIC_AND: return OPERATION_AND;
    case ZYDIS_MNEMONIC_OR: return OPERATION_OR;
    case ZYDIS_MNEMONIC_XOR: return OPERATION_XOR;
    case ZYDIS_MNEMONIC_SHL: return OPERATION_SHIFT_LEFT;
    case ZYDIS_MNEMONIC_SHR: return OPERATION_SHIFT_RIGHT;
    case ZYDIS_MNEMONIC_SAR: return OPERATION_SHIFT_ARITHMETIC;
    case ZYDIS_MNEMONIC_NOT: return OPERATION_NOT;
    case ZYDIS_MNEMONIC_NEG: return OPERATION_NEGATE;
    case ZYDIS_MNEMONIC_SBB: return OPERATION_BORROW;
    case ZYDIS_MNEMONIC_IMUL: return instruction->operand_count_visible >= 2 ? OPERATION_MULTIPLY : OPERATION_OTHER;
    case ZYDIS_MNEMONIC_CDQE: return OPERATION_SIGN_EXTEND;
    case ZYDIS_MNEMONIC_CMP: return OPERATION_COMPARE;
    case ZYDIS_MNEMONIC_TEST: return OPERATION_TEST;
    case ZYDIS_MNEMONIC_NOP:
    case ZYDIS_MNEMONIC_ENDBR64: return OPERATION_PADDING;
    /* The assembler pads with xchg %ax, %ax. */
    case ZYDIS_MNEMONIC_XCHG:
        return instruction->raw.modrm.offset == 0 && instruction->opcode == 0x90 && instruction->raw.rex.B == 0
                   ? OPERATION_PADDING
                   : OPERATION_OTHER;
    case ZYDIS_MNEMONIC_PUSH: return instruction->operand_width == 64 ? OPERATION_PUSH : OPERATION_OTHER;
    case ZYDIS_MNEMONIC_POP: return instruction->operand_width == 64 ? OPERATION_POP : OPERATION_OTHER;
    case ZYDIS_MNEMONIC_LEAVE: return OPERATION_LEAVE;
    case ZYDIS_MNEMONIC_CALL: return OPERATION_CALL;
    case ZYDIS_MNEMONIC_JMP: return OPERATION_JUMP;
    case ZYDIS_MNEMONIC_RET: return OPERATION_RETURN;
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_INT3:
    case ZYDIS_MNEMONIC_HLT: return OPERATION_STOP;
    default: break;
    }
    switch (instruction->meta.category) {
    case ZYDIS_CATEGORY_CMOV: return OPERATION_SELECT;
    case ZYDIS_CATEGORY_SETCC: return OPERATION_BOOLEAN;
    case ZYDIS_CATEGORY_COND_BR: return OPERATION_BRANCH;
    default: return OPERATION_OTHER;
    }
}

/* What is read and written, from all operands, the implicit ones included. */
static void convert_effects(const ZydisDecodedInstruction *from, const ZydisDecodedOperand *operands,
                            struct instruction *instruction) {
    for (unsigned i = 0; i < from->operand_count; i++) {
        const ZydisDecodedOperand *operand = &operands[i];
        bool writes = (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
        bool reads = (operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
        if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER) {
            uint8_t number = register_number(operand->reg.value);
            instruction->vector_writes |= writes ? vector_bits(operand->reg.value) : 0;
            instruction->vector_reads |= reads ? vector_bits(operand->reg.value) : 0;
            if (number >= REGISTER_COUNT)
                continue;
            if (writes)
                instruction->writes |= REGISTER_BIT(number);
            if (reads)
                instruction->reads |= REGISTER_BIT(number);
        } else if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY && operand->mem.type != ZYDIS_MEMOP_TYPE_AGEN && writes) {
            instruction->writes_memory = true;
            convert_operand(operand, instruction_end(instruction), &instruction->destination);
        }
    }
    /* A bit offset in a register reaches beyond the operand. */
    if (from->mnemonic == ZYDIS_MNEMONIC_BTS || from->mnemonic == ZYDIS_MNEMONIC_BTR ||
        from->mnemonic == ZYDIS_MNEMONIC_BTC || (from->attributes & ZYDIS_ATTRIB_HAS_REP) != 0)
        instruction->destination.size = 0;
    if ((from->attributes & ZYDIS_ATTRIB_HAS_REP) != 0 &&
        (from->meta.category == ZYDIS_CATEGORY_STRINGOP && instruction->writes_memory))
        instruction->repeated = (uint8_t)(from->operand_width / 8);
}

static void convert_vector(const ZydisDecodedOperand *from, uint32_t end, struct operand *operand) {
    if (from->type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(from->reg.value) == ZYDIS_REGCLASS_XMM)
        *operand = (struct operand){.kind = OPERAND_VECTOR,
                                    .size = 16,
                                    .base = (uint8_t)ZydisRegisterGetId(from->reg.value),
                                    .index = REGISTER_NONE};
    else
        convert_operand(from, end, operand);
}

static void convert_branch(const ZydisDecodedInstruction *from, const ZydisDecodedOperand *operand,
                           struct instruction *instruction) {
    uint64_t target = 0;
    if (operand->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        target = instruction_end(instruction) + (uint64_t)operand->imm.value.s;
        instruction->target = target <= UINT32_MAX ? (uint32_t)target : 0;
        return;
    }
    convert_operand(operand, instruction_end(instruction), &instruction->source);
    if (from->mnemonic == ZYDIS_MNEMONIC_JMP)
        instruction->operation = OPERATION_JUMP_INDIRECT;
}

/* The operands that the operation's model looks at; forms that the model does not cover become OTHER. */
static void convert_operands(const ZydisDecodedInstruction *from, const ZydisDecodedOperand *operands,
                             struct instruction *instruction) {
    uint32_t end = instruction_end(instruction);
    struct operand *destination = &instruction->destination, *source = &instruction->source;
    switch (instruction->operation) {
    case OPERATION_CALL:
    case OPERATION_JUMP:
    case OPERATION_BRANCH: convert_branch(from, &operands[0], instruction); return;
    case OPERATION_PUSH: convert_operand(&operands[0], end, source); return;
    case OPERATION_POP:
        convert_operand(&operands[0], end, destination);
        if (destination->kind != OPERAND_REGISTER)
            instruction->operation = OPERATION_OTHER;
        return;
    case OPERATION_OTHER:
    case OPERATION_PADDING:
    case OPERATION_LEAVE:
    case OPERATION_RETURN:
    case OPERATION_STOP: return;
    case OPERATION_VECTOR_ZERO:
    case OPERATION_VECTOR_MOVE:
    case OPERATION_VECTOR_LOW:
    case OPERATION_VECTOR_HIGH:
    case OPERATION_VECTOR_JOIN:
        convert_vector(&operands[0], end, destination);
        convert_vector(&operands[1], end, source);
        return;
    default: break;
    }
    if (from->mnemonic == ZYDIS_MNEMONIC_CDQE) {
        *destination = (struct operand){.kind = OPERAND_REGISTER, .size = 8, .base = REGISTER_RAX};
        *source = (struct operand){.kind = OPERAND_REGISTER, .size = 4, .base = REGISTER_RAX};
        return;
    }
    convert_operand(&operands[0], end, destination);
    if (from->operand_count_visible >= 2)
        convert_operand(&operands[1], end, source);
    if (from->operand_count_visible >= 3)
        convert_operand(&operands[2], end, &instruction->second);
    if (from->mnemonic == ZYDIS_MNEMONIC_INC || from->mnemonic == ZYDIS_MNEMONIC_DEC)
        *source = (struct operand){.kind = OPERAND_IMMEDIATE, .size = destination->size, .value = 1};
    if (from->mnemonic == ZYDIS_MNEMONIC_IMUL && from->operand_count_visible == 2) {
        instruction->second = *source;
        *source = *destination;
    }
    if (from->mnemonic == ZYDIS_MNEMONIC_SBB && (destination->kind != OPERAND_REGISTER ||
                                                 source->kind != OPERAND_REGISTER || destination->base != source->base))
        instruction->operation = OPERATION_OTHER;
    bool has_source = from->operand_count_visible >= 2 || source->kind != OPERAND_NONE;
    /* What a comparison looks at does not matter where it is no operand that is followed. */
    if (instruction->operation == OPERATION_COMPARE || instruction->operation == OPERATION_TEST)
        return;
    if (destination->kind == OPERAND_NONE || (has_source && source->kind == OPERAND_NONE))
        instruction->operation = OPERATION_OTHER;
}

bool decode_instruction(const struct decoder *decoder, const uint8_t *bytes, size_t length, uint32_t address,
                        struct instruction *instruction) {
    ZydisDecodedInstruction from;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder->zydis, bytes, length, &from, operands)))
        return false;
    *instruction =
        (struct instruction){.address = address, .length = from.length, .index_width = from.address_width / 8};
    instruction->operation = (uint8_t)modelled(&from);
    if (instruction->operation == OPERATION_OTHER)
        instruction->operation = (uint8_t)modelled_vector(&from, operands);
    convert_effects(&from, operands, instruction);
    convert_operands(&from, operands, instruction);
    instruction->condition = (uint8_t)condition_of(from.mnemonic);
    enum operation operation = instruction->operation;
    if (operation == OPERATION_PUSH || operation == OPERATION_CALL)
        instruction->writes_memory = false;
    /* The kernel may write anywhere it was told to. */
    if (from.meta.category == ZYDIS_CATEGORY_SYSCALL || from.mnemonic == ZYDIS_MNEMONIC_INT) {
        instruction->writes_memory = true;
        instruction->destination.kind = OPERAND_NONE;
    }
    if (operation == OPERATION_CALL)
        instruction->writes |= CALL_CHANGES;
    return true;
}
