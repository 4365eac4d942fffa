# build: gcc passed.s -o $out
# build: gcc -no-pie passed.s -o $out
# A wrapper that ends in a jump: the place is that of each caller, and each passes its own. Not where something else jumps
# to the wrapper.
    .text
    .globl main
    .type main, @function
main:
    .cfi_startproc
    sub $8, %rsp
    .cfi_def_cfa_offset 16
    lea a(%rip), %rdi
    call wrapper
    lea b(%rip), %rdi
    call wrapper
    call two
    call three
    mov $6, %edi
    call shared
    mov $7, %edi
    call jumps
    xor %eax, %eax
    add $8, %rsp
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size main, . - main

    .type wrapper, @function
wrapper:
    .cfi_startproc
    mov $0x80000, %esi
    xor %eax, %eax
    jmp open@PLT
    .cfi_endproc
    .size wrapper, . - wrapper

    .macro caller name, number
    .type \name, @function
\name:
    .cfi_startproc
    sub $8, %rsp
    .cfi_def_cfa_offset 16
    mov $\number, %edi
    call stop
    add $8, %rsp
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size \name, . - \name
    .endm
    caller two, 2
    caller three, 3

    .type stop, @function
stop:
    .cfi_startproc
    mov $9, %esi
    jmp kill@PLT
    .cfi_endproc
    .size stop, . - stop

    .type shared, @function
shared:
    .cfi_startproc
    mov $15, %esi
    jmp kill@PLT
    .cfi_endproc
    .size shared, . - shared

    .type jumps, @function
jumps:
    .cfi_startproc
    jmp shared
    .cfi_endproc
    .size jumps, . - jumps

    .section .rodata
a:  .string "/a"
b:  .string "/b"
    .section .note.GNU-stack,"",@progbits
