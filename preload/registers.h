/* The registers of an intercepted call, as entry.S stores them on the caller's stack. The assembler relies on
 * this layout; check.c asserts it.
 */
#ifndef PINION_PRELOAD_REGISTERS_H
#define PINION_PRELOAD_REGISTERS_H

#include <stdint.h>

struct registers {
    /* Callee-saved, for the stack walk: stored only for the classes whose stack is checked. */
    uint64_t rbx, rbp, r12, r13, r14, r15;
    /* The arguments, which a check may change: rdi, rsi, rdx, rcx, r8, r9. */
    uint64_t arguments[6];
    uint64_t rax; /* in: vector registers of a variadic call; out: the result of a call that does not happen */
    uint64_t r10;
    uint64_t spelling; /* enum spelling */
    uint64_t return_address;
    uint64_t stack_arguments[]; /* &stack_arguments[0] is the CFA: the caller's stack pointer before the call */
};

#endif
