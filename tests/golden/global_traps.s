# build: gcc global_traps.s -o $out
# build: gcc -no-pie global_traps.s -o $out
# build: gcc -Wl,-z,pack-relative-relocs global_traps.s -o $out
# reasons: ignored
# Static variables that look as if only constants were ever stored in them, but that change in some other way: through a
# pointer to what lies in front of them, by a wider store to their neighbour, by an instruction that reads
# and writes, through a pointer in data, by an index, by a function that gets their address, by a string instruction.
    .text
    .macro function name
    .globl main
    .type \name, @function
\name:
    .cfi_startproc
    sub $8, %rsp
    .cfi_def_cfa_offset 16
    .endm
    .macro finish name
    add $8, %rsp
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size \name, .-\name
    .endm
    .macro kills number variable
    mov $\number, %edi
    mov \variable(%rip), %esi
    call kill@PLT
    .endm

    function main
    call change
    call read
    xor %eax, %eax
    finish main

    function read
    kills 1, field
    kills 2, neighbour
    kills 3, vector
    kills 4, counted
    kills 5, exchanged
    kills 6, compared
    kills 7, pointed
    kills 8, element
    kills 9, filled
    kills 10, handed
    kills 11, computed
    kills 12, popped
    kills 13, halved
    kills 14, set
    kills 15, far
    finish read

    function change
    mov %edi, %ebx
    movl $1, field(%rip)
    movl $2, neighbour(%rip)
    movl $3, vector(%rip)
    movl $4, counted(%rip)
    movl $5, exchanged(%rip)
    movl $6, compared(%rip)
    movl $7, pointed(%rip)
    movl $8, element(%rip)
    movl $9, filled(%rip)
    movl $10, handed(%rip)
    movl $11, computed(%rip)
    movq $12, popped(%rip)
    movl $13, halved(%rip)
    movl $14, set(%rip)
    movl $15, far(%rip)
    # the field of a structure that begins in front of it
    lea structure(%rip), %rdx
    movl $21, 8(%rdx)
    # eight bytes, of which four are the neighbour's
    movabs $0x1600000000, %rax
    mov %rax, before(%rip)
    movups words(%rip), %xmm0
    movups %xmm0, before_vector(%rip)
    incl counted(%rip)
    mov $25, %eax
    xchg %eax, exchanged(%rip)
    mov $6, %eax
    mov $26, %ecx
    lock cmpxchg %ecx, compared(%rip)
    mov pointer(%rip), %rdx
    movl $27, (%rdx)
    lea array(%rip), %rdx
    mov $2, %ecx
    movl $28, (%rdx,%rcx,4)
    lea filled(%rip), %rdi
    mov $29, %eax
    mov $1, %ecx
    rep stosl
    lea handed(%rip), %rdi
    call fill
    lea far(%rip), %rdx
    sub $4096, %rdx
    movl $31, 4096(%rdx)
    push $32
    popq popped(%rip)
    movw $33, halved(%rip)
    sete set(%rip)
    lea -64+computed(%rip), %rdx
    movl $34, 64(%rdx)
    finish change

    function fill
    movl $30, (%rdi)
    finish fill

    .section .rodata
    .p2align 4
words: .long 0, 0, 23, 0
    .data
    .p2align 4
structure: .quad 0
field: .long 0
other: .long 0
before: .long 0
neighbour: .long 0
    .p2align 4
before_vector: .quad 0
vector: .long 0
after: .long 0
array: .long 0, 0
element: .long 0
counted: .long 0
exchanged: .long 0
compared: .long 0
pointed: .long 0
filled: .long 0
handed: .long 0
halved: .long 0
set: .long 0
    .p2align 3
popped: .quad 0
pointer: .quad pointed
    .bss
    .zero 256
computed: .zero 4
    .zero 8192
far: .zero 4
    .section .note.GNU-stack, "", @progbits
