# build: gcc parameters.s -o $out
# build: gcc -no-pie parameters.s -o $out
# A parameter is what any caller passes, over three levels and no more; a recursive call adds what it passes, a jump what
# it leaves. A function whose address is taken can be called with anything, and an address of a caller's frame is no
# address of the own one.
    .text
    .globl main
    .type main, @function
main:
    .cfi_startproc
    sub $24, %rsp
    .cfi_def_cfa_offset 32
    mov $5, %edi
    call level1
    mov $6, %edi
    call level2
    mov $9, %edi
    call level4
    mov $1, %edi
    call recursive
    mov $2, %edi
    call jumps
    mov $3, %edi
    call taken
    lea taken(%rip), %rax
    mov %rax, 8(%rsp)
    lea 16(%rsp), %rdi
    call frame
    xor %eax, %eax
    add $24, %rsp
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size main, . - main

    .macro function name
    .type \name, @function
\name:
    .cfi_startproc
    sub $8, %rsp
    .cfi_def_cfa_offset 16
    .endm
    .macro done name
    add $8, %rsp
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size \name, . - \name
    .endm

    function level1
    mov %edi, %esi
    mov $1, %edi
    call kill@PLT
    done level1

    function level2
    call level1
    done level2

    function level4
    call level3
    done level4
    function level3
    call level2b
    done level3
    function level2b
    call level1b
    done level2b
    function level1b
    mov %edi, %esi
    mov $2, %edi
    call kill@PLT
    done level1b

# kill(3, 1 or 7)
    function recursive
    mov %edi, %esi
    mov $3, %edi
    call kill@PLT
    mov $7, %edi
    test %eax, %eax
    jne 1f
    call recursive
1:  done recursive

# kill(4, 2)
    .type jumps, @function
jumps:
    .cfi_startproc
    jmp jumped
    .cfi_endproc
    .size jumps, . - jumps
    function jumped
    mov %edi, %esi
    mov $4, %edi
    call kill@PLT
    done jumped

    function taken
    mov %edi, %esi
    mov $5, %edi
    call kill@PLT
    done taken

    function frame
    mov $0, %esi
    xor %eax, %eax
    call open@PLT
    done frame
    .section .note.GNU-stack,"",@progbits
