/* The stubs: one for every spelling in apis.def. A stub counts the call in the thread's slot, has a checked API
 * examined by pinion_check, and jumps to the real function, which so sees the application's own return address.
 * Nothing but r11 and the flags is changed on the way through; the argument registers, rax (vector registers of
 * a variadic call) and the stack arrive as the caller left them, unless the check changed an argument.
 *
 * The C code called from here is compiled without vector registers, so those need no saving.
 */
#include <asm/unistd.h>

#include "preload/layout.h"

        .text

/* Count in the thread's slot. The pointer is thread-local (initial-exec) and never null. */
.macro count api
        movq    pinion_slot@gottpoff(%rip), %r11
        movq    %fs:(%r11), %r11
        incq    SLOT_COUNTS+8*\api(%r11)
        decq    SLOT_BUDGET(%r11)
.endm

.macro begin name, index
        .globl  \name
        .type   \name, @function
        .p2align 4
\name:
.Lstub_\name:
        .cfi_startproc
        endbr64
.endm

.macro finish name
        .cfi_endproc
        .size   \name, .-\name
.endm

/* The slow path of a counted call, out of the way of the fast one: r10 and r11 are free at a function's entry
 * but for nested functions, which no API is. r10 tells it where the call was counted. */
.macro counted name, api, spelling
        begin   \name, \spelling
        count   \api
        js      1f
        jmp     *pinion_real+8*\spelling(%rip)
1:      movq    %r11, %r10
        movl    $(SPENT | \api << 16 | \spelling), %r11d
        jmp     pinion_enter_count
        finish  \name
.endm

.macro checked name, api, spelling, enter
        begin   \name, \spelling
        count   \api
        js      1f
        movl    $(\api << 16 | \spelling), %r11d
        jmp     \enter
1:      movq    %r11, %r10
        movl    $(SPENT | \api << 16 | \spelling), %r11d
        jmp     \enter
        finish  \name
.endm

/* A counted call that may block, or end the process. */
.macro visiting name, api, spelling
        checked \name, \api, \spelling, pinion_enter_count
.endm

/* ---- the table ---- */

        .set    next_api, 0
        .set    next_spelling, 0

#define WAITS(name) .set visits_##name, 1;
#define LEAVES(name) .set visits_##name, 1;
#include "runtime/apis.def"

#define ENTER_EXEC pinion_enter_deep
#define ENTER_CODE pinion_enter_deep
#define ENTER_MODULE pinion_enter_deep
#define ENTER_IDENTITY pinion_enter_deep
#define ENTER_PROCESS pinion_enter_deep
#define ENTER_FILE pinion_enter
#define ENTER_NETWORK pinion_enter
#define ENTER_STACK pinion_enter
#define ENTER_COUNT pinion_enter

.macro row_COUNTED name, enter
        .ifdef  visits_\name
        visiting \name, next_api, next_spelling
        .else
        counted \name, next_api, next_spelling
        .endif
        .set    level_\name, 0
        .set    next_spelling, next_spelling + 1
.endm
.macro row_CHECKED name, enter
        .ifc    \name, dlclose
        checked \name, next_api, next_spelling, pinion_enter_call
        .else
        checked_by \enter, \name, \name, next_api
        .endif
        .set    level_\name, 1
        .set    next_spelling, next_spelling + 1
.endm
.macro row_RAW name, enter
.endm

/* The deep checks visit by themselves. */
.macro checked_by enter, name, canonical, api
        .ifdef  visits_\canonical
        .ifc    \enter, pinion_enter
        checked \name, \api, next_spelling, pinion_enter_visiting
        .else
        checked \name, \api, next_spelling, \enter
        .endif
        .else
        checked \name, \api, next_spelling, \enter
        .endif
.endm

.macro alias canonical, name
        .if     level_\canonical
        .if     deep_\canonical
        checked_by pinion_enter_deep, \name, \canonical, api_\canonical
        .else
        checked_by pinion_enter, \name, \canonical, api_\canonical
        .endif
        .else
        .ifdef  visits_\canonical
        visiting \name, api_\canonical, next_spelling
        .else
        counted \name, api_\canonical, next_spelling
        .endif
        .endif
        .set    next_spelling, next_spelling + 1
.endm

.macro deep name, enter
        .ifc    \enter, pinion_enter_deep
        .set    deep_\name, 1
        .else
        .set    deep_\name, 0
        .endif
.endm

#define API(name, class, level, failure, ...) \
        .set    api_##name, next_api; \
        deep    name, ENTER_##class; \
        row_##level name, ENTER_##class; \
        .set    next_api, next_api + 1;
#define ALIAS(canonical, name) alias canonical, name;
#include "runtime/apis.def"

/* ---- the common part of checked calls: struct registers, see registers.h ---- */

.macro save_arguments
        movq    %rdi, REGISTERS_RDI(%rsp)
        movq    %rsi, REGISTERS_RSI(%rsp)
        movq    %rdx, REGISTERS_RDX(%rsp)
        movq    %rcx, REGISTERS_RCX(%rsp)
        movq    %r8, REGISTERS_R8(%rsp)
        movq    %r9, REGISTERS_R9(%rsp)
        movq    %rax, REGISTERS_RAX(%rsp)
        movq    %r10, REGISTERS_R10(%rsp)
.endm

.macro restore_arguments
        movq    REGISTERS_RDI(%rsp), %rdi
        movq    REGISTERS_RSI(%rsp), %rsi
        movq    REGISTERS_RDX(%rsp), %rdx
        movq    REGISTERS_RCX(%rsp), %rcx
        movq    REGISTERS_R8(%rsp), %r8
        movq    REGISTERS_R9(%rsp), %r9
        movq    REGISTERS_RAX(%rsp), %rax
        movq    REGISTERS_R10(%rsp), %r10
.endm

.macro save_preserved
        movq    %rbx, REGISTERS_RBX(%rsp)
        movq    %rbp, REGISTERS_RBP(%rsp)
        movq    %r12, REGISTERS_R12(%rsp)
        movq    %r13, REGISTERS_R13(%rsp)
        movq    %r14, REGISTERS_R14(%rsp)
        movq    %r15, REGISTERS_R15(%rsp)
.endm

/* The frame: struct registers, of which the spelling is pushed first. */
.macro open_frame name, first
        .type   \name, @function
        .p2align 4
\name:
        .cfi_startproc
        .ifb    \first
        pushq   %r11
        .endif
        .cfi_adjust_cfa_offset 8
        subq    $REGISTERS_BELOW_SPELLING, %rsp
        .cfi_adjust_cfa_offset REGISTERS_BELOW_SPELLING
        save_arguments
.endm

.macro drop_frame
        addq    $REGISTERS_BYTES, %rsp
        .cfi_adjust_cfa_offset -REGISTERS_BYTES
.endm

.macro close_frame name
        .cfi_endproc
        .size   \name, .-\name
.endm

/* Back to the caller, with the result that the check or the real function left. */
.macro return_result
        movq    REGISTERS_RAX(%rsp), %rax
        drop_frame
        ret
.endm

/* r11: spelling, the API above it, and SPENT where the call must first be counted by the slow path. */
.macro entry_point name, check, preserved
        open_frame \name
        .if     \preserved
        save_preserved
        .endif
        movq    %rsp, %rdi
        call    \check
        testq   %rax, %rax
        je      1f
        movq    %rax, %r11
        restore_arguments
        drop_frame
        jmp     *%r11
        .cfi_adjust_cfa_offset REGISTERS_BYTES
1:      return_result
        close_frame \name
.endm

        entry_point pinion_enter, pinion_check, 0
        entry_point pinion_enter_visiting, pinion_check_visiting, 0
        entry_point pinion_enter_deep, pinion_check_fully, 1

/* dlclose is called, not jumped to: the module map must be made anew when it has returned. */
        open_frame pinion_enter_call
        save_preserved
        movq    %rsp, %rdi
        call    pinion_check_fully
        testq   %rax, %rax
        je      1f
        movq    %rax, %r11
        restore_arguments
        call    *%r11
        movq    %rax, REGISTERS_RAX(%rsp)
        call    pinion_modules_closed
1:      return_result
        close_frame pinion_enter_call

/* The slow path of a counted call. */
        open_frame pinion_enter_count
        movq    %rsp, %rdi
        call    pinion_count
        movq    %rax, %r11
        restore_arguments
        drop_frame
        jmp     *%r11
        close_frame pinion_enter_count

/* A call before start-up: starts, and goes on to the function that start-up found. The spelling is pushed already. */
        open_frame pinion_enter_first, first
        call    pinion_start
        restore_arguments
        movq    REGISTERS_SPELLING(%rsp), %r11
        drop_frame
        leaq    pinion_real(%rip), %r10
        jmp     *(%r10,%r11,8)
        close_frame pinion_enter_first

.macro first spelling
1:      pushq   $\spelling
        jmp     pinion_enter_first
        .pushsection .pinion_sealed, "aw", @progbits
        .quad   1b
        .popsection
.endm

/* The real functions, in sealed pages. Until start-up each entry leads to it. */
        .section .pinion_sealed, "aw", @progbits
        .p2align 12
        .globl  pinion_real
        .hidden pinion_real
pinion_real:
        .text
        .set    next_spelling, 0
.macro first_COUNTED
        first   next_spelling
        .set    next_spelling, next_spelling + 1
.endm
.macro first_CHECKED
        first_COUNTED
.endm
.macro first_RAW
.endm
#define API(name, class, level, failure, ...) first_##level;
#define ALIAS(canonical, name) first_COUNTED;
#include "runtime/apis.def"
        .section .pinion_sealed
        .p2align 12

        .text

/* The address of each stub, for dlsym: offsets from here, so that nothing needs relocating. */
        .section .rodata
        .p2align 2
        .globl  pinion_stub_offsets
        .hidden pinion_stub_offsets
pinion_stub_offsets:
#define API(name, class, level, failure, ...) offset_##level name;
#define ALIAS(canonical, name) offset_CHECKED name;
.macro offset_COUNTED name
        .long   .Lstub_\name - pinion_stub_offsets
.endm
.macro offset_CHECKED name
        .long   .Lstub_\name - pinion_stub_offsets
.endm
.macro offset_RAW name
.endm
#include "runtime/apis.def"

        .section .note.GNU-stack, "", @progbits
