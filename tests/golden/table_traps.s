# build: gcc table_traps.s -o $out
# build: gcc -no-pie table_traps.s -o $out
# reasons: ignored
# Values from a table by an index with a bound: only an unsigned bound of the very register counts, on every path, and
# only if the index has not changed since. A signed bound lets negative numbers through; the table goes no further than
# the bound, and what can be written is no constant.
    .text
    .macro kills number
    mov $\number, %edi
    call kill@PLT
    .endm
    .globl main
    .type main, @function
main:
    .cfi_startproc
    push %rbx
    .cfi_def_cfa_offset 16
    push %rbp
    .cfi_def_cfa_offset 24
    sub $8, %rsp
    .cfi_def_cfa_offset 32
    mov %edi, %ebx
    lea table(%rip), %rbp
    # as it should be
    mov %ebx, %eax
    cmp $3, %eax
    ja 1f
    mov (%rbp,%rax,4), %esi
    kills 1
1:  # signed: negative numbers too
    movslq %ebx, %rax
    cmp $3, %eax
    jg 1f
    mov (%rbp,%rax,4), %esi
    kills 2
1:  # another register
    mov %ebx, %eax
    cmp $3, %ecx
    ja 1f
    mov (%rbp,%rax,4), %esi
    kills 3
1:  # changed behind the comparison
    mov %ebx, %eax
    cmp $3, %eax
    ja 1f
    add $4, %eax
    mov (%rbp,%rax,4), %esi
    kills 4
1:  # only the low half was compared
    mov %rbx, %rax
    shl $1, %rax
    cmp $3, %eax
    ja 1f
    mov (%rbp,%rax,4), %esi
    kills 5
1:  # a way round the comparison
    mov %ebx, %eax
    cmp $77, %ebx
    je 2f
    cmp $3, %eax
    ja 1f
2:  mov (%rbp,%rax,4), %esi
    kills 6
1:  # the wrong way
    mov %ebx, %eax
    cmp $3, %eax
    jb 1f
    mov (%rbp,%rax,4), %esi
    kills 7
1:  # a byte
    movzbl %bl, %eax
    and $1, %eax
    mov (%rbp,%rax,4), %esi
    kills 8
    # a byte compared, all of it used
    mov %ebx, %eax
    cmp $3, %al
    ja 1f
    mov (%rbp,%rax,4), %esi
    kills 9
1:  # can be written
    lea writable(%rip), %rdx
    mov %ebx, %eax
    and $3, %eax
    mov (%rdx,%rax,4), %esi
    kills 10
    # flags from something else
    mov %ebx, %eax
    cmp $3, %eax
    test %ecx, %ecx
    ja 1f
    mov (%rbp,%rax,4), %esi
    kills 11
1:  # and a memory operand that changes in between
    cmpl $3, place(%rip)
    ja 1f
    call getpid@PLT
    mov place(%rip), %eax
    mov (%rbp,%rax,4), %esi
    kills 12
1:  # a table of pointers, some of them null
    lea pointers(%rip), %rdx
    mov %ebx, %eax
    and $3, %eax
    mov (%rdx,%rax,8), %rdi
    call unlink@PLT
    # beyond the end of its section's constants nothing is known
    mov %ebx, %eax
    and $65535, %eax
    mov (%rbp,%rax,4), %esi
    kills 13
    # a field of structures
    mov %ebx, %eax
    cmp $1, %eax
    ja 1f
    lea (%rax,%rax,2), %rax
    mov 4(%rbp,%rax,4), %esi
    kills 14
1:  # the low byte of an entry
    mov %ebx, %eax
    and $3, %eax
    movzbl (%rbp,%rax,4), %esi
    kills 15
    # every second entry
    mov %ebx, %eax
    and $2, %eax
    mov (%rbp,%rax,4), %esi
    kills 16
    # greater than, not greater or equal
    mov %ebx, %eax
    cmp $3, %eax
    jae 1f
    mov (%rbp,%rax,4), %esi
    kills 17
1:  # minus a base
    mov %ebx, %eax
    sub $10, %eax
    cmp $2, %eax
    ja 1f
    mov (%rbp,%rax,4), %esi
    kills 18
1:  xor %eax, %eax
    add $8, %rsp
    .cfi_def_cfa_offset 24
    pop %rbp
    .cfi_def_cfa_offset 16
    pop %rbx
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size main, .-main

    .section .rodata
    .p2align 4
    .long 31, 32, 33, 34
table: .long 1, 2, 3, 0x104, 5, 6, 7, 8
first: .string "/tmp/a"
second: .string "/tmp/b"
    .section .data.rel.ro, "aw", @progbits
    .p2align 4
pointers: .quad first, 0, second, 0
    .data
writable: .long 1, 2, 3, 4
place: .long 0
    .section .note.GNU-stack, "", @progbits
