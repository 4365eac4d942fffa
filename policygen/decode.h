/* Instructions in the small form in which values are followed: one operation, a destination, sources, and which
 * general registers and memory it changes besides. Everything not modelled is OPERATION_OTHER, whose results are
 * unknown; what it changes is still exact.
 */
#ifndef PINION_POLICYGEN_DECODE_H
#define PINION_POLICYGEN_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum machine_register {
    REGISTER_RAX,
    REGISTER_RCX,
    REGISTER_RDX,
    REGISTER_RBX,
    REGISTER_RSP,
    REGISTER_RBP,
    REGISTER_RSI,
    REGISTER_RDI,
    REGISTER_R8,
    REGISTER_R9,
    REGISTER_R10,
    REGISTER_R11,
    REGISTER_R12,
    REGISTER_R13,
    REGISTER_R14,
    REGISTER_R15,
    REGISTER_COUNT,
    REGISTER_NONE = 0xff,
    REGISTER_RIP = 0xfe,
};

#define REGISTER_BIT(number) ((uint16_t)(1u << (number)))
/* Those in which integers and pointers are passed, by argument. */
#define ARGUMENT_REGISTERS 6
extern const uint8_t argument_registers[ARGUMENT_REGISTERS];

/* What a called function may change. */
#define CALL_CHANGES                                                                                                   \
    (REGISTER_BIT(REGISTER_RAX) | REGISTER_BIT(REGISTER_RCX) | REGISTER_BIT(REGISTER_RDX) |                            \
     REGISTER_BIT(REGISTER_RSI) | REGISTER_BIT(REGISTER_RDI) | REGISTER_BIT(REGISTER_R8) | REGISTER_BIT(REGISTER_R9) | \
     REGISTER_BIT(REGISTER_R10) | REGISTER_BIT(REGISTER_R11))

enum operation {
    OPERATION_OTHER,
    OPERATION_COMPARE,     /* of destination with source: changes nothing but flags */
    OPERATION_TEST,        /* of the bits that both have */
    OPERATION_PADDING,     /* no-op */
    OPERATION_MOVE,        /* destination = source */
    OPERATION_ZERO_EXTEND, /* from the source's size */
    OPERATION_SIGN_EXTEND,
    OPERATION_ADDRESS, /* destination = address of the memory operand `source` */
    OPERATION_ADD,     /* destination = destination op source */
    OPERATION_SUBTRACT,
    OPERATION_AND,
    OPERATION_OR,
    OPERATION_XOR,
    OPERATION_SHIFT_LEFT,
    OPERATION_SHIFT_RIGHT,
    OPERATION_SHIFT_ARITHMETIC,
    OPERATION_NOT,
    OPERATION_NEGATE,
    OPERATION_MULTIPLY, /* destination = source * second */
    OPERATION_SELECT,   /* destination or source */
    OPERATION_BOOLEAN,  /* 0 or 1 */
    OPERATION_BORROW,   /* 0 or -1 */
    OPERATION_PUSH,
    OPERATION_POP,
    OPERATION_LEAVE,
    OPERATION_CALL, /* target or source */
    OPERATION_JUMP,
    OPERATION_BRANCH, /* conditional */
    OPERATION_JUMP_INDIRECT,
    OPERATION_RETURN,
    OPERATION_STOP, /* ud2, hlt, int3 */
    /* Vector registers of 16 bytes, by halves: a zero, a whole copy, a low half with zeros above it, a high half alone,
     * and the source's low half as the destination's high half. */
    OPERATION_VECTOR_ZERO,
    OPERATION_VECTOR_MOVE,
    OPERATION_VECTOR_LOW,
    OPERATION_VECTOR_HIGH,
    OPERATION_VECTOR_JOIN,
};

/* When a branch is taken, in terms of the comparison before it. */
enum condition_code {
    CONDITION_OTHER,
    CONDITION_EQUAL,
    CONDITION_NOT_EQUAL,
    CONDITION_BELOW, /* unsigned */
    CONDITION_BELOW_EQUAL,
    CONDITION_ABOVE,
    CONDITION_ABOVE_EQUAL,
    CONDITION_LESS, /* signed */
    CONDITION_LESS_EQUAL,
    CONDITION_GREATER,
    CONDITION_GREATER_EQUAL,
};

enum operand_kind {
    OPERAND_NONE,
    OPERAND_REGISTER,
    OPERAND_IMMEDIATE,
    OPERAND_MEMORY,
    OPERAND_VECTOR, /* of vector operations alone */
};

struct operand {
    uint8_t kind;
    uint16_t size; /* bytes; of written memory 0 where it is not known */
    uint8_t base;  /* the register; of memory REGISTER_RIP or REGISTER_NONE too */
    uint8_t index;
    uint8_t scale;
    bool high;     /* ah, bh, ch, dh */
    bool segment;  /* fs or gs: thread-local, never followed */
    int64_t value; /* immediate, displacement; with REGISTER_RIP the address itself */
};

struct instruction {
    uint32_t address;
    uint8_t length;
    uint8_t operation;
    uint16_t writes;        /* general registers that it changes, by number */
    uint16_t reads;         /* general registers that it uses as values, not in addresses */
    uint32_t vector_writes; /* vector registers that it changes, and those that it uses */
    uint32_t vector_reads;
    uint8_t repeated;    /* bytes of an element that is stored (rax) or copied (rsi) rcx times, else 0 */
    bool writes_memory;  /* at `destination`, or where that is no memory operand, at places not known */
    uint8_t index_width; /* bytes of the registers in addresses: 8, rarely 4 */
    uint8_t condition;   /* of a branch: enum condition_code */
    uint32_t target;     /* direct call, jump, branch */
    struct operand destination, source, second;
};

struct decoder;
struct decoder *decoder_new(void);
void decoder_free(struct decoder *decoder);

/* Decodes one instruction of at most `length` bytes. */
bool decode_instruction(const struct decoder *decoder, const uint8_t *bytes, size_t length, uint32_t address,
                        struct instruction *instruction);

static inline uint32_t instruction_end(const struct instruction *instruction) {
    return instruction->address + instruction->length;
}

#endif
