# build: gcc join.s -o $out
# build: gcc -no-pie join.s -o $out
# Two paths meet: the union of what they bring. A third brings something unknown: the known part is shown, not enforced.
    .text
    .globl main
    .type main, @function
main:
    .cfi_startproc
    push %rbx
    .cfi_def_cfa_offset 16
    mov %edi, %ebx
    mov $1, %edi
    mov $5, %esi
    cmp $3, %ebx
    jg 1f
    mov $6, %esi
1:  call kill@PLT
    mov $7, %esi
    mov $8, %eax
    cmp $4, %ebx
    cmovg %eax, %esi
    mov $2, %edi
    call kill@PLT
    mov $9, %esi
    cmp $5, %ebx
    jg 1f
    call getpid@PLT
    mov %eax, %esi
1:  mov $3, %edi
    call kill@PLT
    lea first(%rip), %rdi
    lea second(%rip), %rax
    cmp $6, %ebx
    cmovg %rax, %rdi
    call rmdir@PLT
    xor %eax, %eax
    cmp $7, %ebx
    setg %al
    lea 10(%rax,%rax,2), %esi
    mov $4, %edi
    call kill@PLT
    pop %rbx
    ret
    .cfi_endproc
    .size main, .-main
    .section .rodata
first:  .string "/tmp/a"
second: .string "/tmp/b"
    .section .note.GNU-stack, "", @progbits
