# build: gcc passed_buffer.s -o $out
# build: gcc -no-pie passed_buffer.s -o $out
# A wrapper that ends in a jump and passes what it has built where its own arguments were handed over on the stack. What
# it stores is looked up in the wrapper, not at the same place of its caller.
    .text
    .globl main
    .type main, @function
main:
    .cfi_startproc
    sub $24, %rsp
    .cfi_def_cfa_offset 32
    mov $0x61612f, %ecx
    mov $0x62622f, %edx
    mov $0x63632f, %esi
    mov $0x64642f, %edi
    call wrapper
    xor %eax, %eax
    add $24, %rsp
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size main, . - main

    .type wrapper, @function
wrapper:
    .cfi_startproc
    movq $0, 8(%rsp)
    movl $0x78652f, 8(%rsp)
    lea 8(%rsp), %rdi
    xor %esi, %esi
    xor %eax, %eax
    jmp open@PLT
    .cfi_endproc
    .size wrapper, . - wrapper

    .section .note.GNU-stack,"",@progbits
