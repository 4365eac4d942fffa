# build: gcc reaching.s -o $out
# build: gcc -no-pie reaching.s -o $out
# build: gcc -Wl,-z,lazy reaching.s -o $out
# Every way to reach an imported function by a call: procedure linkage table, slot, register loaded from the slot, copy of
# that register. None of them lets the address escape.
    .text
    .globl main
    .type main, @function
main:
    .cfi_startproc
    push %rbx
    .cfi_def_cfa_offset 16
    mov $1, %edi
    mov $1, %esi
    call kill@PLT
    mov $2, %edi
    mov $2, %esi
    call *kill@GOTPCREL(%rip)
    mov kill@GOTPCREL(%rip), %rbx
    mov $3, %edi
    mov $3, %esi
    call *%rbx
    mov %rbx, %rax
    mov $4, %edi
    mov $4, %esi
    call *%rax
    mov $5, %edi
    mov $5, %esi
    .byte 0x67
    call kill@PLT
    pop %rbx
    xor %eax, %eax
    ret
    .cfi_endproc
    .size main, .-main
    .section .note.GNU-stack, "", @progbits
