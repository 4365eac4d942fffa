# build: gcc results.s -o $out
# build: gcc -no-pie results.s -o $out
# What a called function returns: at every return, with what this call passes; anything where it leaves by a jump to
# another function, or where what it calls in turn decides.
    .text
    .globl main
    .type main, @function
main:
    .cfi_startproc
    sub $8, %rsp
    .cfi_def_cfa_offset 16
    call either
    mov %eax, %esi
    mov $1, %edi
    call kill@PLT
    mov $6, %edi
    call same
    mov %eax, %esi
    mov $2, %edi
    call kill@PLT
    mov $7, %edi
    call same
    mov %eax, %esi
    mov $3, %edi
    call kill@PLT
    call leaves
    mov %eax, %esi
    mov $4, %edi
    call kill@PLT
    call nested
    mov %eax, %esi
    mov $5, %edi
    call kill@PLT
    xor %eax, %eax
    add $8, %rsp
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size main, . - main

    .type either, @function
either:
    .cfi_startproc
    mov $9, %eax
    cmp $3, %edi
    je 1f
    ret
1:  mov $15, %eax
    ret
    .cfi_endproc
    .size either, . - either

    .type same, @function
same:
    .cfi_startproc
    mov %edi, %eax
    ret
    .cfi_endproc
    .size same, . - same

    .type leaves, @function
leaves:
    .cfi_startproc
    cmp $3, %edi
    je 1f
    mov $2, %eax
    ret
1:  jmp getpid@PLT
    .cfi_endproc
    .size leaves, . - leaves

    .type nested, @function
nested:
    .cfi_startproc
    sub $8, %rsp
    .cfi_def_cfa_offset 16
    call either
    add $8, %rsp
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size nested, . - nested
    .section .note.GNU-stack,"",@progbits
