# build: gcc parameter_traps.s -o $out
# build: gcc -no-pie parameter_traps.s -o $out
# reasons: ignored
# What looks like the parameter of a function with one caller is not: another caller jumps to it, behind its first
# instruction, or by a conditional jump; falls into it; holds its address in data or in a register.
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
    .macro kills name number
    function \name
    sub $8, %rsp
    .cfi_def_cfa_offset 16
\name\()_inside:
    mov $\number, %edi
    call kill@PLT
    add $8, %rsp
    .cfi_def_cfa_offset 8
    ret
    finish \name
    .endm

    kills by_call 1
    kills by_jump 2
    kills by_branch 3
    kills inside 4
    kills by_pointer 5
    kills by_data 6
    function falls_into
    mov $20, %esi
    finish falls_into
    kills by_fall 8
    kills upper_half 10

    function main
    push %rbx
    .cfi_def_cfa_offset 16
    mov %edi, %ebx
    mov $1, %esi
    call by_call
    mov $2, %esi
    call by_jump
    mov $3, %esi
    call by_branch
    mov $4, %esi
    call inside
    mov $5, %esi
    call by_pointer
    mov $6, %esi
    call by_data
    mov $8, %esi
    call by_fall
    call falls_into
    mov %rbx, %rdi
    call jumps
    call branches
    call calls_inside
    lea by_pointer(%rip), %rax
    mov %rax, place(%rip)
    mov $15, %esi
    call *place(%rip)
    mov $16, %esi
    call *pointers(%rip)
    movabs $0x100000012, %rsi
    call upper_half
    pop %rbx
    .cfi_def_cfa_offset 8
    xor %eax, %eax
    ret
    finish main

    function jumps
    mov $12, %esi
    jmp by_jump
    finish jumps
    function branches
    mov $13, %esi
    test %edi, %edi
    jne by_branch
    ret
    finish branches
    function calls_inside
    sub $8, %rsp
    mov $14, %esi
    push $0
    call inside_tail
    add $16, %rsp
    ret
    finish calls_inside
    function inside_tail
    jmp inside_inside
    finish inside_tail

    .data
    .p2align 3
place: .quad 0
pointers: .quad by_data
    .section .note.GNU-stack, "", @progbits
