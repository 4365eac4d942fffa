# build: gcc rust.s -o $out
# build: gcc -no-pie rust.s -o $out
# reasons: ignored
# Code as rustc makes it: imports called through their slots, texts that are a pointer and a length without an end, constants
# copied into the frame, a switch over a niche by an offset table, a panic that never returns, drop glue by a table of
# functions, landing pads.
    .text
    .type panic, @function
panic:
    .cfi_startproc
    push %rax
    .cfi_def_cfa_offset 16
    call *abort@GOTPCREL(%rip)
    ud2
    .cfi_endproc
    .size panic, .-panic

    # fn open_file(path: &CStr, options: u8): option 5 panics
    .type open_file, @function
open_file:
    .cfi_startproc
    push %rbx
    .cfi_def_cfa_offset 16
    .cfi_offset %rbx, -16
    movzbl %sil, %eax
    cmp $4, %eax
    ja 9f
    lea options(%rip), %rcx
    movslq (%rcx,%rax,4), %rax
    add %rcx, %rax
    jmp *%rax
option_0: xor %esi, %esi
    jmp 8f
option_1: mov $0x80001, %esi
    jmp 8f
option_2: mov $0x80241, %esi
    jmp 8f
option_3: mov $0x80441, %esi
8:  mov $0666, %edx
    xor %eax, %eax
    call *open64@GOTPCREL(%rip)
    pop %rbx
    .cfi_remember_state
    .cfi_def_cfa_offset 8
    ret
9:
option_4: .cfi_restore_state
    call panic
    ud2
    .cfi_endproc
    .size open_file, .-open_file

    .type remove, @function
remove:
    .cfi_startproc
    jmp *unlink@GOTPCREL(%rip)
    .cfi_endproc
    .size remove, .-remove

    .type drop, @function
drop:
    .cfi_startproc
    push %rbx
    .cfi_def_cfa_offset 16
    mov $7, %edi
    mov $15, %esi
    call *kill@GOTPCREL(%rip)
    pop %rbx
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size drop, .-drop

    .globl main
    .type main, @function
main:
    .cfi_startproc
    push %r14
    .cfi_def_cfa_offset 16
    push %rbx
    .cfi_def_cfa_offset 24
    sub $40, %rsp
    .cfi_def_cfa_offset 64
    mov %edi, %ebx
    lea first(%rip), %rdi
    mov %ebx, %esi
    call open_file
    # a structure of two words, from a constant
    movups pair(%rip), %xmm0
    movaps %xmm0, (%rsp)
    mov (%rsp), %rdi
    mov 8(%rsp), %esi
    call *kill@GOTPCREL(%rip)
    lea second(%rip), %rdi
    call remove
    lea third(%rip), %rdi
    call remove
    lea table(%rip), %r14
    call *(%r14)
    test %ebx, %ebx
    js 1f
    xor %eax, %eax
    add $40, %rsp
    .cfi_remember_state
    .cfi_def_cfa_offset 24
    pop %rbx
    .cfi_def_cfa_offset 16
    pop %r14
    .cfi_def_cfa_offset 8
    ret
1:  .cfi_restore_state
    call panic
    ud2
    .cfi_endproc
    .size main, .-main

    .section .rodata
    .p2align 4
pair: .quad 3, 9
options: .long option_0-options, option_1-options, option_2-options, option_3-options, option_4-options
first: .string "/tmp/a"
second: .ascii "/tmp/b\0"
third: .ascii "/tmp/c\0and more without an end"
    .section .data.rel.ro, "aw", @progbits
    .p2align 3
table: .quad drop, 8, 8
    .section .note.GNU-stack, "", @progbits
