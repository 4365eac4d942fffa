# build: gcc unresolved_jump.s -o $out
# A jump to a computed address that nothing explains: it may go to any instruction of the function, so nothing at all
# is known there. A function without such a jump is not concerned.
    .text
    .globl main
    .type main, @function
main:
    .cfi_startproc
    sub $8, %rsp
    lea main(%rip), %rax
    imul $3, %rdi, %rdi
    add %rdi, %rax
    jmp *%rax
    mov $3, %edi
    mov $3, %esi
    call kill@PLT
    add $8, %rsp
    ret
    .cfi_endproc
    .size main, .-main
    .globl other
    .type other, @function
other:
    .cfi_startproc
    sub $8, %rsp
    mov $4, %edi
    mov $4, %esi
    call kill@PLT
    add $8, %rsp
    ret
    .cfi_endproc
    .size other, .-other
    .section .note.GNU-stack, "", @progbits
