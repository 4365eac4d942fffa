# build: gcc stack_slot.s -o $out
# Values through stack slots: pushed and popped, stored and loaded with rsp and rbp, kept by a call where no address of
# the frame is known, and not below the stack pointer.
    .text
    .globl main
    .type main, @function
main:
    .cfi_startproc
    push %rbp
    .cfi_def_cfa_offset 16
    mov %rsp, %rbp
    sub $32, %rsp
    push $7
    pop %rsi
    mov $1, %edi
    call kill@PLT
    movl $9, -8(%rbp)
    movl $2, 8(%rsp)
    call getpid@PLT
    mov -8(%rbp), %esi
    mov 8(%rsp), %edi
    call kill@PLT
    movl $11, -8(%rsp)
    mov $3, %edi
    call getpid@PLT
    mov -8(%rsp), %esi
    mov $3, %edi
    call kill@PLT
    leave
    ret
    .cfi_endproc
    .size main, .-main
    .section .note.GNU-stack, "", @progbits
