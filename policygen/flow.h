/* The flow graph of one function: decoded instructions, basic blocks, edges, and where the stack pointer stands. Built
 * only for functions in which values are followed. The parts that the compiler moved away ("cold") and functions that
 * only this one jumps to belong to its graph.
 */
#ifndef PINION_POLICYGEN_FLOW_H
#define PINION_POLICYGEN_FLOW_H

#include "policygen/analysis.h"
#include "policygen/decode.h"

struct address_lists;
struct escape;

#define NO_DEPTH INT32_MIN
#define NO_BLOCK UINT32_MAX

struct block {
    uint32_t first, end;    /* instructions, end is outside; none in a block that stands for a jump table */
    uint32_t *predecessors; /* blocks */
    uint32_t predecessor_count;
    bool entry;       /* the function's start: holds its parameters */
    bool unexplained; /* nothing is seen to reach it, and it is no padding */
    bool outside;     /* something that the graph does not show may jump here: nothing is known */
};

/* Where the frame stands before an instruction, relative to the stack pointer at entry (which points at the return
 * address). */
struct frame_state {
    int32_t depth;   /* of the stack pointer, or NO_DEPTH */
    int32_t pointer; /* of rbp while it is a frame pointer, or NO_DEPTH */
    bool taken;      /* an address of the frame may be known outside this function's own accesses */
};

enum jump_outcome {
    JUMP_LEAVES,     /* certainly or possibly a tail call; own labels that it might reach are `outside` */
    JUMP_RESOLVED,   /* all targets are edges */
    JUMP_UNRESOLVED, /* may go anywhere in the function */
};

/* A resolved jump table. The jumps through it lead to a block without instructions, and that one to all targets. */
struct table {
    uint32_t start, end; /* its bytes */
    uint32_t *targets;   /* instructions */
    size_t target_count;
};

struct flow {
    const struct analysis *analysis;
    uint32_t root;   /* function */
    uint32_t *parts; /* functions, the root first */
    size_t part_count;
    struct instruction *instructions; /* by address within each part */
    size_t instruction_count;
    struct block *blocks;
    size_t block_count;
    uint32_t *block_of;         /* per instruction */
    struct frame_state *frames; /* before each instruction */
    int32_t *taken;             /* offsets of frame addresses that are computed, ordered */
    size_t taken_count;
    bool frame_pointer; /* rbp is a frame pointer somewhere */
    bool undecodable;
    bool stays;      /* every indirect jump is a switch of the function's own */
    bool unresolved; /* an indirect jump may go anywhere: no value is known */
    struct table *tables;
    size_t table_count;
    uint32_t *strays; /* targets of tables in moved-away parts that nothing else refers to */
    size_t stray_count;
    /* Where values are followed across functions: */
    struct escape *escape;       /* NULL where no address of the frame is computed */
    struct address_lists *lists; /* of getaddrinfo */
};

/* Which function's graph each function belongs to, itself for most; per function, to be freed. */
uint32_t *flow_roots(const struct analysis *analysis);

struct flow *flow_build(const struct analysis *analysis, const struct decoder *decoder, uint32_t root);
void flow_free(struct flow *flow);

/* Index of the instruction that begins at this address, or UINT32_MAX. */
uint32_t flow_instruction_at(const struct flow *flow, uint32_t address);

/* Index of the instruction that ends at this address, or UINT32_MAX. */
uint32_t flow_instruction_before(const struct flow *flow, uint32_t address);

/* Whether the function may hand over to another by a jump, or run on behind its end. */
bool flow_leaves(const struct flow *flow);

/* The import that a call or jump instruction reaches, or NO_SYMBOL. */
uint32_t flow_import(const struct analysis *analysis, const struct instruction *instruction);

/* Per function, whether a call through a pointer in it may reach one of the setjmp and vfork family; to be freed. */
bool *flow_twice_by_pointer(const struct analysis *analysis);

/* Calls of the setjmp and vfork family. */
bool flow_returns_twice(const struct analysis *analysis, const struct instruction *instruction);
bool flow_never_returns(const struct analysis *analysis, const struct instruction *instruction);

#endif
