# build: gcc entered_inside.s -o $out
# A function that another one enters in the middle: there, nothing is known from above.
    .text
    .globl main
    .type main, @function
main:
    .cfi_startproc
    sub $8, %rsp
    mov $3, %edi
    mov $3, %esi
    xor %ebx, %ebx
inside:
    call kill@PLT
    add $8, %rsp
    ret
    .cfi_endproc
    .size main, .-main
    .globl other
    .type other, @function
other:
    .cfi_startproc
    sub $8, %rsp
    mov $9, %esi
    test %edi, %edi
    jne inside
    add $8, %rsp
    ret
    .cfi_endproc
    .size other, .-other
    .section .note.GNU-stack, "", @progbits
