# build: gcc no_frames.s -o $out
# build: gcc -no-pie no_frames.s -o $out
# reasons: ignored
# Without frame descriptions, where functions begin is a guess from calls and jumps. The moved-away part jumps back into
# its function, which looks like a function that begins there: what falls into it counts as well, also behind a call.
    .text
    .globl main
    .type main, @function
main:
    sub $8, %rsp
    call work
    xor %eax, %eax
    add $8, %rsp
    ret
work:
    push %rbx
    mov $3, %ebx
    cmp $5, %edi
    ja seldom_part
    mov $4, %ebx
1:  mov $1, %edi
    mov %ebx, %esi
    call kill@PLT
    mov $6, %ebx
    call getuid@PLT
2:  mov $2, %edi
    mov %ebx, %esi
    call kill@PLT
    mov $7, %ebx
    cmp $8, %eax
    je seldom_again
    xor %eax, %eax
    pop %rbx
    ret
    .p2align 4
helper:
    mov $3, %edi
    mov $9, %esi
    jmp kill@PLT
    .section .text.unlikely, "ax", @progbits
seldom_part:
    sub $8, %rsp
    call helper
    add $8, %rsp
    mov $35, %ebx
    jmp 1b
seldom_again:
    sub $8, %rsp
    call helper
    add $8, %rsp
    mov $36, %ebx
    jmp 2b
    .section .note.GNU-stack, "", @progbits
