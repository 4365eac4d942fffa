#!/bin/bash
# Programs made to exhaust the analyser: it ends, within a bounded amount of memory, and what it gives up on is open.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2

policygen=$PWD/build/policygen
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# program NAME: assembles standard input.
program() {
    gcc -x assembler -o "$work/$1" - || exit 2
}

# expect NAME PATTERN: policygen's sites of the program, found in 1.5 GB.
expect() {
    local output
    output=$(ulimit -v 1500000; "$policygen" --print-sites "$work/$1" 2>&1)
    local status=$?
    if [ "$status" = 0 ] && grep -q "$2" <<<"$output"; then
        echo "ok hostile/$1"
    else
        echo "not ok hostile/$1: exit status $status, or no \"$2\" in: ${output:0:200}"
        failed=1
    fi
}

# Every function may end up in all that follow: closures of two thousand million members.
awk 'BEGIN {
    print ".globl main\nmain:\n.cfi_startproc\nmov $1, %edi\nmov $2, %esi\ncall kill@PLT\ncall f0\nret\n.cfi_endproc"
    for (i = 0; i < 60000; i++)
        printf "f%d:\n.cfi_startproc\njmp f%d\n.cfi_endproc\n", i, i + 1
    printf "f%d:\n.cfi_startproc\nret\n.cfi_endproc\n.section .note.GNU-stack, \"\", @progbits\n", i
}' | program chain
expect chain 'kill pid=1 signal=SIGINT'

# Functions that all jump to one another, and each to an API: every one has all callers of all others.
awk 'BEGIN {
    print ".globl main\nmain:\n.cfi_startproc\nmov $1, %edi\nmov $2, %esi\ncall kill@PLT\ncall f0\nret\n.cfi_endproc"
    for (i = 0; i < 5000; i++)
        printf "f%d:\n.cfi_startproc\ntest %%edi, %%edi\nje f%d\njs f%d\njo kill@PLT\njmp f%d\n.cfi_endproc\n",
            i, (i * 7 + 1) % 5000, (i * 13 + 5) % 5000, (i * 31 + 3) % 5000
    print ".section .note.GNU-stack, \"\", @progbits"
}' | program cyclic
expect cyclic 'loose kill after any call (analysis limit)'

# One block that fifty thousand branches lead to.
awk 'BEGIN {
    print ".globl main\nmain:\n.cfi_startproc"
    for (i = 0; i < 50000; i++)
        printf "test %%edi, %%edi\nje 1f\nmov $%d, %%esi\n", i % 30
    print "1: mov $1, %edi\ncall kill@PLT\nret\n.cfi_endproc\n.section .note.GNU-stack, \"\", @progbits"
}' | program branches
expect branches 'kill pid=1 signal='
exit $failed
