# build: gcc branches.s -o $out
# build: gcc -no-pie branches.s -o $out
# A branch narrows what was compared, on both its ways, as long as nothing changes it in between: equal, bounded, bits.
# A bounded number is an index into a constant table.
    .text
    .globl main
    .type main, @function
main:
    .cfi_startproc
    push %rbx
    .cfi_def_cfa_offset 16
    mov %rdi, %rbx

# kill(1, 9)
    mov %ebx, %esi
    cmp $9, %esi
    jne 1f
    mov $1, %edi
    call kill@PLT
1:

# kill(2, 0..3): a mask would be the same
    mov %ebx, %esi
    cmp $3, %esi
    ja 1f
    mov $2, %edi
    call kill@PLT
1:

# kill(3, 6) of {5, 6}
    mov $5, %esi
    test %ebx, %ebx
    je 2f
    mov $6, %esi
2:  cmp $5, %esi
    je 1f
    mov $3, %edi
    call kill@PLT
1:

# kill(4, any): changed behind the comparison
    mov %ebx, %esi
    cmp $9, %esi
    lea 1(%rsi), %esi
    jne 1f
    mov $4, %edi
    call kill@PLT
1:

# kill(5, any): another register was compared
    mov %ebx, %esi
    cmp $9, %ecx
    jne 1f
    mov $5, %edi
    call kill@PLT
1:

# kill(6, any): both ways lead there
    mov %ebx, %esi
    cmp $9, %esi
    jne 1f
1:  mov $6, %edi
    call kill@PLT

# kill(7, 1, 15 or 17): an entry of the table
    mov %ebx, %eax
    cmp $2, %eax
    ja 1f
    lea numbers(%rip), %rdx
    mov (%rdx,%rax,4), %esi
    mov $7, %edi
    call kill@PLT
1:

# open("/a" or "/b", O_RDONLY)
    mov %ebx, %eax
    cmp $1, %eax
    ja 1f
    lea names(%rip), %rdx
    mov (%rdx,%rax,8), %rdi
    xor %esi, %esi
    xor %eax, %eax
    call open@PLT
1:

# kill(8, 1, 15 or 17): the lower half of what was extended
    movslq %ebx, %rax
    cmp $2, %eax
    ja 1f
    lea numbers(%rip), %rdx
    mov (%rdx,%rax,4), %esi
    mov $8, %edi
    call kill@PLT
1:

# kill(9, any): the upper half may be anything
    mov %rbx, %rax
    cmp $2, %eax
    ja 1f
    lea numbers(%rip), %rdx
    mov (%rdx,%rax,4), %esi
    mov $9, %edi
    call kill@PLT
1:

# chmod("/a", mask:03): bits that are known to be clear
    mov %ebx, %esi
    test $0xfffc, %esi
    jne 1f
    and $0xffff, %esi
    lea a(%rip), %rdi
    call chmod@PLT
1:
    xor %eax, %eax
    pop %rbx
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size main, . - main

    .section .rodata
numbers:
    .long 1, 15, 17, 9
a:  .string "/a"
b:  .string "/b"
    .section .data.rel.ro,"aw",@progbits
    .align 8
names:
    .quad a, b
    .section .note.GNU-stack,"",@progbits
