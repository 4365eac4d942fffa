/* The call instruction that a return address follows, and where it leads. Reads code and the tables that code
 * jumps through, of mapped modules only.
 */
#ifndef PINION_PRELOAD_CALLS_H
#define PINION_PRELOAD_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/modules.h"

enum call_kind {
    CALL_NONE,     /* the address follows no call instruction */
    CALL_ANYWHERE, /* through a register or memory that may have changed since */
    CALL_KNOWN,    /* to one place: the target, as far as procedure linkage tables lead */
};

struct call_instruction {
    enum call_kind kind;
    uint64_t target;   /* of CALL_KNOWN */
    uint64_t resolver; /* the loader's entry that runs while a procedure linkage table is bound, or 0 */
};

/* `module` holds the return address in its code. */
struct call_instruction call_before(const struct mapped_module *module, uint64_t return_address);

/* Whether the address follows a call through a register or memory, wherever that leads. */
bool is_after_indirect_call(const struct mapped_module *module, uint64_t return_address);

/* Whether the code here returns from a signal handler (rt_sigreturn), as only a signal trampoline does. */
bool is_signal_return(const struct mapped_module *module, uint64_t address);

/* Whether this is where glibc's makecontext makes the outermost function return to. */
bool is_context_end(const struct mapped_module *module, uint64_t address);

/* Whether `size` bytes from here lie in one readable segment of the module. */
bool module_holds(const struct mapped_module *module, uint64_t address, uint64_t size);

#endif
