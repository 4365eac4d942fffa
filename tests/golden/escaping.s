# build: gcc escaping.s -o $out
# build: gcc -no-pie escaping.s -o $out
# The address of a function gets away: into memory, and as a pointer in data. It may then be called through any pointer.
    .text
    .globl main
    .type main, @function
main:
    .cfi_startproc
    sub $8, %rsp
    mov kill@GOTPCREL(%rip), %rax
    mov %rax, place(%rip)
    mov $3, %edi
    mov $3, %esi
    call *place(%rip)
    add $8, %rsp
    xor %eax, %eax
    ret
    .cfi_endproc
    .size main, .-main
    .data
place: .quad 0
table: .quad unlink
    .section .note.GNU-stack, "", @progbits
