# build: gcc data_in_code.s -o $out
# Data between instructions: what follows it may be decoded out of step, but no call gets lost.
    .text
    .globl main
    .type main, @function
main:
    .cfi_startproc
    sub $8, %rsp
    jmp 1f
    .byte 0xe8, 0x11, 0x22, 0x48, 0xb8, 0x06, 0x07, 0x0f
1:  mov $3, %edi
    mov $3, %esi
    call kill@PLT
    add $8, %rsp
    ret
    .cfi_endproc
    .size main, .-main
    .section .note.GNU-stack, "", @progbits
