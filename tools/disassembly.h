/* The instructions around a call, for people. */
#ifndef PINION_TOOLS_DISASSEMBLY_H
#define PINION_TOOLS_DISASSEMBLY_H

#include "tools/object.h"

struct instruction_line {
    uint64_t address;
    char text[128]; /* Intel syntax */
    char *comment;  /* what the operand refers to: "system", "\"/bin/ls\""; or NULL */
    bool is_call;   /* the call that returns to the site's address */
};

struct listing {
    struct instruction_line *lines;
    size_t count;
    bool found_call;
};

/* `before` instructions before the call that returns to `return_address`, the call, and `after` behind it. Empty when
 * the address is not in the object's code. */
struct listing disassemble_call(const struct object *object, uint64_t return_address, size_t before, size_t after);
void listing_free(struct listing *listing);

#endif
