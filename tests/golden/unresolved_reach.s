# build: gcc unresolved_reach.s -o $out
# build: gcc -no-pie unresolved_reach.s -o $out
# reasons: ignored
# What a function with a jump that nothing explains passes to others, returns and stores is as unknown as what it calls.
    .text
    .macro function name
    .globl main
    .type \name, @function
\name:
    .cfi_startproc
    .endm
    .macro finish name
    .cfi_endproc
    .size \name, .-\name
    .endm

    function main
    push %rbx
    .cfi_def_cfa_offset 16
    mov %edi, %ebx
    call leaps
    mov $1, %edi
    mov %eax, %esi
    call kill@PLT
    mov $2, %edi
    mov stored(%rip), %esi
    call kill@PLT
    mov %ebx, %edi
    call leaps_on
    mov $3, %edi
    mov %eax, %esi
    call kill@PLT
    xor %eax, %eax
    pop %rbx
    .cfi_def_cfa_offset 8
    ret
    finish main

    function leaps
    sub $8, %rsp
    .cfi_def_cfa_offset 16
    mov $11, %esi
    lea leaps(%rip), %rax
    imul $3, %rdi, %rdi
    add %rdi, %rax
    jmp *%rax
    mov $12, %esi
    call passed
    movl $13, stored(%rip)
    mov $14, %eax
    add $8, %rsp
    .cfi_def_cfa_offset 8
    ret
    finish leaps

    function passed
    sub $8, %rsp
    .cfi_def_cfa_offset 16
    mov $4, %edi
    call kill@PLT
    add $8, %rsp
    .cfi_def_cfa_offset 8
    ret
    finish passed

    # its own flow is plain, but it hands on what the other returns
    function leaps_on
    sub $8, %rsp
    .cfi_def_cfa_offset 16
    call leaps
    add $8, %rsp
    .cfi_def_cfa_offset 8
    ret
    finish leaps_on

    .data
stored: .long 15
    .p2align 3
pointer: .quad stored
    .section .note.GNU-stack, "", @progbits
