/* The lattice of values: nothing yet, up to 32 things it can be, and an unknown part with its reason and the bits
 * that it may have. Values only grow; joining is commutative, so results do not depend on the order of the work.
 */
#ifndef PINION_POLICYGEN_VALUE_H
#define PINION_POLICYGEN_VALUE_H

#include "policygen/decode.h"
#include "policygen/rules.h"

enum element_kind {
    ELEMENT_INTEGER,
    ELEMENT_LOW,     /* an integer of which only the low 32 bits are known: these */
    ELEMENT_ADDRESS, /* in the object; where addresses are fixed these are integers */
    ELEMENT_STACK,   /* relative to the stack pointer at the function's entry */
    ELEMENT_IMPORT,  /* of the symbol with this number */
    ELEMENT_TABLE4,  /* some 32-bit entry of the table at this address */
    ELEMENT_TABLE8,
    ELEMENT_SWITCH, /* some entry of the 32-bit table at this address, plus the address itself */
};

struct element {
    uint8_t kind;
    int64_t value;
};

/* Of a pointer that is not known, where the function itself got it: from memory of its frame, or as the result of a call. */
struct pointer_origin {
    uint32_t instruction; /* that loaded it, or the call */
    int32_t offset;       /* where it lay in the frame; POINTER_RESULT */
};

#define POINTER_RESULT INT32_MAX

struct abstract {
    const struct element *elements; /* ordered; in the arena */
    uint8_t count;
    uint8_t unknown; /* enum unknown; 0: all possible values are in `elements` */
    bool derived;    /* something was computed with the unknown part */
    bool extended;   /* the upper half of the unknown part is copies of bit 31 */
    uint64_t maybe;  /* of the unknown part: bits that may be set, and bits that are */
    uint64_t must;
    /* The unknown part comes in only through these exported functions, if something outside the object calls one of
     * them; none: it is always there. Ordered; in the arena. */
    const uint32_t *entries;
    uint8_t entry_count;
    /* The unknown part is one of what these gave, unchanged; none: nobody knows. Ordered; in the arena. */
    uint8_t origin_count;
    const struct pointer_origin *origins;
};

#define VALUE_MAX_ENTRIES 8
#define VALUE_MAX_ORIGINS 8

/* Memory that is given back all at once. */
struct arena {
    struct arena_block *blocks;
    size_t used;
    size_t total;
};

void *arena_take(struct arena *arena, size_t size);
void arena_free(struct arena *arena);

static inline bool value_is_nothing(struct abstract value) {
    return value.count == 0 && value.unknown == UNKNOWN_NOTHING;
}

static inline struct abstract value_nothing(void) {
    return (struct abstract){0};
}

struct abstract value_unknown(enum unknown why);
struct abstract value_unknown_bits(enum unknown why, uint64_t maybe);
/* Unknown, but only if something outside the object calls the exported function. */
struct abstract value_unknown_through(struct arena *arena, enum unknown why, uint32_t entry);
/* 8 bytes that are not known, and where they come from. */
struct abstract value_unknown_from(struct arena *arena, enum unknown why, struct pointer_origin origin);
struct abstract value_of(struct arena *arena, enum element_kind kind, int64_t value);
struct abstract value_join(struct arena *arena, struct abstract a, struct abstract b);
bool value_equal(struct abstract a, struct abstract b);

enum value_operation {
    VALUE_ADD,
    VALUE_SUBTRACT,
    VALUE_AND,
    VALUE_OR,
    VALUE_XOR,
    VALUE_SHIFT_LEFT,
    VALUE_SHIFT_RIGHT,
    VALUE_SHIFT_ARITHMETIC,
    VALUE_MULTIPLY,
};

/* The result of an operation on `size` bytes, as it stands in a register: zero-extended to 64 bits. */
struct abstract value_operate(struct arena *arena, enum value_operation operation, struct abstract a, struct abstract b,
                              unsigned size);
/* The low `size` bytes, zero-extended. */
struct abstract value_truncate(struct arena *arena, struct abstract value, unsigned size);
/* The low `from` bytes sign-extended to `to` bytes. */
struct abstract value_sign_extend(struct arena *arena, struct abstract value, unsigned from, unsigned to);
struct abstract value_not(struct arena *arena, struct abstract value, unsigned size);

/* What is left of the value where its low `size` bytes compare so with a constant. */
struct abstract value_where(struct arena *arena, struct abstract value, enum condition_code condition,
                            uint64_t constant, unsigned size);
/* What is left of it where these bits are all clear, or are not. */
struct abstract value_where_bits(struct arena *arena, struct abstract value, uint64_t bits, bool clear, unsigned size);
/* The value as another function sees it: places in the frame mean nothing there, nor do origins. */
struct abstract value_without_stack(struct arena *arena, struct abstract value);

/* All bits that the value may have, if it is an integer. */
uint64_t value_bits(struct abstract value);

#endif
