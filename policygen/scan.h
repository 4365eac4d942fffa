/* One pass over all code of an object with minimal decoding: who calls what, which jumps leave their function, which
 * addresses are taken. Function numbers are indices into functions->items after the scan has split the gaps.
 */
#ifndef PINION_POLICYGEN_SCAN_H
#define PINION_POLICYGEN_SCAN_H

#include "policygen/functions.h"

struct direct_call { /* to a function of the same object */
    uint32_t return_address;
    uint32_t target;
};

struct import_call { /* through a stub or straight through its slot in the global offset table */
    uint32_t address;
    uint32_t return_address;
    uint32_t symbol;
    uint32_t function;
    bool undecoded; /* found by its bytes alone: the instructions around it are not known */
};

struct direct_jump { /* into another function, or falling into it */
    uint32_t address;
    uint32_t function;
    uint32_t target;
};

struct import_jump {
    uint32_t address;
    uint32_t function;
    uint32_t symbol;
    bool undecoded;
};

struct indirect_jump {
    uint32_t address;
    uint32_t function;
    bool table;  /* certainly a switch of the function's own */
    bool chosen; /* to a function that the object itself chooses when it is loaded (IRELATIVE) */
};

struct slot_load { /* the address of an imported function is read, not called */
    uint32_t address;
    uint32_t function;
    uint32_t symbol;
    bool followed; /* all its uses are known as calls */
};

struct reference { /* an address of code that is computed or stored */
    uint32_t target;
    uint32_t source; /* address of the instruction or of the pointer */
    bool data;
    bool landing; /* of a landing pad, in a table of exceptions: nothing else may jump there by it */
};

struct data_access { /* of memory that is no code: reading or writing there, or computing the address */
    uint32_t target;
    uint32_t source; /* instruction */
};

/* A stub: a call or jump that lands on `jmp *slot`. */
struct stub {
    uint32_t address;
    uint32_t symbol; /* NO_SYMBOL: resolved by the object itself (IRELATIVE) or not known */
};

struct scan {
    struct direct_call *calls; /* ordered by return address */
    size_t call_count;
    struct import_call *import_calls;
    size_t import_call_count;
    struct direct_jump *jumps;
    size_t jump_count;
    struct import_jump *import_jumps;
    size_t import_jump_count;
    struct direct_jump *landings; /* landing pads outside the function that has them */
    size_t landing_count;
    struct indirect_jump *indirect_jumps;
    size_t indirect_jump_count;
    struct slot_load *slot_loads;
    size_t slot_load_count;
    struct reference *references; /* ordered by target */
    size_t reference_count;
    struct data_access *data_accesses; /* to variables, ordered by target */
    size_t data_access_count;
    struct data_access *taken_data;
    size_t taken_data_count;
    uint32_t empty_table; /* see scan.c; 0: none */
    uint32_t *restorers;  /* addresses to which functions return that nobody called: signal handlers, new contexts */
    size_t restorer_count;
    size_t instruction_count;
    size_t undecoded_bytes;
};

void scan_object(const struct object *object, struct functions *functions, struct scan *scan);
void scan_free(struct scan *scan);

/* The symbol behind the stub at this address, if it is one. `is_stub` tells; the symbol may be NO_SYMBOL. */
uint32_t stub_symbol(const struct object *object, uint64_t address, bool *is_stub);
/* The symbol that the loader writes into this slot, or NO_SYMBOL. */
uint32_t slot_symbol(const struct object *object, uint64_t address);

/* The first access to an address from `start` on. */
size_t data_accesses_from(const struct scan *scan, uint32_t start);

/* The direct call that returns to this address, or NULL. */
const struct direct_call *scan_call(const struct scan *scan, uint32_t return_address);

/* The references to addresses from `start` up to `end`: first index, and one behind the last. */
size_t references_from(const struct scan *scan, uint32_t start);

#endif
