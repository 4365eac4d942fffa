# build: gcc never_reached.s -o $out
# build: gcc -no-pie never_reached.s -o $out
# What callers pass never leads to some jumps, by the conditions on the way: these add nothing to the places of others. That
# does not hold for jumps in code to which no way is seen, nor in functions that are only entered from such code.
    .macro begin name
    .globl \name
    .hidden \name
    .type \name, @function
\name:
    .cfi_startproc
    .endm
    .macro end name
    .cfi_endproc
    .size \name, . - \name
    .endm

    .text
    .globl main
    .type main, @function
main:
    .cfi_startproc
    sub $8, %rsp
    .cfi_def_cfa_offset 16
    lea a(%rip), %rdi
    xor %esi, %esi
    call opens
    lea b(%rip), %rdi
    mov $1, %esi
    call opens
    lea c(%rip), %rdi
    xor %esi, %esi
    call shared
    call jumps
    mov $4, %edi
    mov $5, %esi
    call hidden_loop
    call one
    call two
    mov $6, %edi
    mov $7, %esi
    call never
    xor %eax, %eax
    add $8, %rsp
    .cfi_def_cfa_offset 8
    ret
    end main

# Each caller takes one way.
    begin opens
    test %esi, %esi
    je 1f
    or $0x40000, %esi
    jmp open@PLT
1:  or $0x80000, %esi
    jmp open@PLT
    end opens

# All callers together take one way.
    begin shared
    test %esi, %esi
    je 1f
    or $0x40000, %esi
    jmp open@PLT
1:  or $0x20000, %esi
    jmp open@PLT
    end shared

    begin jumps
    lea d(%rip), %rdi
    xor %esi, %esi
    jmp shared
    end jumps

# Nothing is seen to lead to the loop.
    begin hidden_loop
    mov $9, %esi
    jmp kill@PLT
2:  dec %ecx
    jne 2b
    jmp kill@PLT
    end hidden_loop

# The jumps to the function stand behind such loops.
    .macro only name
    begin \name
    ret
3:  dec %ebx
    jne 3b
    jmp from_loop
    end \name
    .endm
    only one
    only two

    begin from_loop
    jmp kill@PLT
    end from_loop

# Nobody gets to the only jump.
    begin never
    cmp $7, %esi
    je 4f
    jmp kill@PLT
4:  ret
    end never

    .section .rodata
a:  .string "/a"
b:  .string "/b"
c:  .string "/c"
d:  .string "/d"
    .section .note.GNU-stack, "", @progbits
