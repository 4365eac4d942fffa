# build: gcc return_traps.s -o $out
# build: gcc -no-pie return_traps.s -o $out
# reasons: ignored
# What a function returns is what stands in rax at each of its returns, and in no narrower part of it: not where it goes
# on to another function, leaves by a jump that is not known, or may be replaced by another object's of the same name.
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
    .macro kills number function
    mov %ebx, %edi
    call \function
    mov $\number, %edi
    mov %eax, %esi
    call kill@PLT
    .endm

    function main
    push %rbx
    .cfi_def_cfa_offset 16
    mov %edi, %ebx
    kills 1, one_of_two
    kills 2, narrow
    kills 3, goes_on
    kills 4, leaves
    kills 5, unresolved
    kills 6, exported@PLT
    kills 7, recursive
    kills 8, never
    kills 9, passes
    kills 10, in_parts
    pop %rbx
    .cfi_def_cfa_offset 8
    xor %eax, %eax
    ret
    finish main

    function one_of_two
    mov $3, %eax
    test %edi, %edi
    je 1f
    ret
1:  mov $4, %eax
    ret
    finish one_of_two

    function narrow
    mov %edi, %eax
    mov $5, %al
    ret
    finish narrow

    function goes_on
    mov $6, %eax
    test %edi, %edi
    je one_of_two
    ret
    finish goes_on

    function leaves
    mov $7, %eax
    test %edi, %edi
    jne 1f
    ret
1:  jmp *place(%rip)
    finish leaves

    function unresolved
    mov $8, %eax
    lea unresolved(%rip), %rdx
    imul $3, %rdi, %rdi
    add %rdi, %rdx
    jmp *%rdx
    ret
    finish unresolved

    .globl exported
    function exported
    mov $9, %eax
    ret
    finish exported

    function recursive
    mov $10, %eax
    test %edi, %edi
    jle 1f
    sub $8, %rsp
    .cfi_def_cfa_offset 16
    dec %edi
    call recursive
    add $8, %rsp
    .cfi_def_cfa_offset 8
    add $1, %eax
1:  ret
    finish recursive

    function never
    sub $8, %rsp
    .cfi_def_cfa_offset 16
    mov $12, %eax
    test %edi, %edi
    jne 1f
    mov $13, %edi
    call exit@PLT
1:  add $8, %rsp
    .cfi_def_cfa_offset 8
    ret
    finish never

    function passes
    mov %edi, %eax
    ret
    finish passes

    function in_parts
    mov $14, %eax
    test %edi, %edi
    jne in_parts_cold
    ret
    .cfi_endproc
    .size in_parts, .-in_parts
    .section .text.unlikely, "ax", @progbits
    .type in_parts_cold, @function
in_parts_cold:
    .cfi_startproc
    mov $15, %eax
    ret
    .cfi_endproc
    .size in_parts_cold, .-in_parts_cold

    .data
place: .quad 0
    .section .note.GNU-stack, "", @progbits
