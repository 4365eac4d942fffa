# build: gcc high.s -o $out
# build: gcc -no-pie high.s -o $out
# The second byte of a register is read and written by itself; a comparison of 32 bits says nothing of the upper half.
    .text
    .globl main
    .type main, @function
main:
    .cfi_startproc
    push %rbx
    .cfi_def_cfa_offset 16
    mov %rdi, %rbx

# open("/a", 0x41 or 0x241)
    mov $0x41, %eax
    test %ebx, %ebx
    je 1f
    or $0x2, %ah
1:  mov %eax, %esi
    lea a(%rip), %rdi
    mov $0x180, %edx
    xor %eax, %eax
    call open@PLT

# kill(1, 2): the second byte of 0x0205
    mov $0x205, %eax
    movzbl %ah, %esi
    mov $1, %edi
    call kill@PLT

# kill(2, 6) by 32 bits of what has 64; personality of all 64 is any
    mov %rbx, %rsi
    cmp $6, %esi
    jne 1f
    mov $2, %edi
    call kill@PLT
1:  mov %rbx, %rdi
    cmp $6, %edi
    jne 1f
    call personality@PLT
1:  mov %rbx, %rdi
    cmp $6, %rdi
    jne 1f
    call personality@PLT
1:
    xor %eax, %eax
    pop %rbx
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size main, . - main
    .section .rodata
a:  .string "/a"
    .section .note.GNU-stack,"",@progbits
