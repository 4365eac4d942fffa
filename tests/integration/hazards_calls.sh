#!/bin/bash
# Calls that a shim may spoil: vfork, variable arguments, errno, cancellation, signals and forks in the middle of checks,
# small and unusual stacks, bad pointers. Under glibc and, where they do not depend on it, under musl.
set -uo pipefail
# shellcheck source=tests/hazards/common.sh
. "$(dirname "$0")/../hazards/common.sh"

exec_lines='1:
3: show c
10: show c d e f g h i j
11: show c d e f g h i j k
3: show environment ONLY
7: show d e f g environment ONLY
fine'
echo own >"$work/own"
echo other >"$work/other"

for libc in '' musl_; do
    if [ -n "$libc" ] && [ ! -x "$programs/musl_plain" ]; then
        skip musl "musl-gcc built nothing"
        continue
    fi
    expect_both fine "$programs/${libc}vfork_exec"
    case_ends "${libc}vfork-exec"

    expect_both "$exec_lines" "$programs/${libc}variadics" "$work" "$programs/${libc}variadics"
    case_ends "${libc}variadics"

    expect_both fine "$programs/${libc}errno_kept"
    case_ends "${libc}errno-kept"

    expect_both "misdirected: 0, in the handler: 0" "$programs/${libc}signal_storm" "$work/own" "$work/other"
    case_ends "${libc}signal-storm"

    expect_both "misdirected: 0, in the handler: 0" "$programs/${libc}signal_storm" "$work/own" "$work/other" alternate
    case_ends "${libc}signal-storm-on-alternate-stack"

    bare "$programs/${libc}fork_storm"
    expect 0 "refused 0, allowed 100"
    shim "$programs/${libc}fork_storm"
    expect 0 "refused 100, allowed 0" "deny open self-protection"
    lines=$(jq -r 'select(.verdict == "deny") | "\(.seq) \(.pid)"' "$log" | sort -u)
    [ "$(wc -l <<<"$lines")" = 100 ] || wrong "not 100 lines of 100 processes: $lines"
    [ "$(cut -d' ' -f1 <<<"$lines" | sort -u)" = 1 ] || [ -n "$libc" ] || wrong "a child did not count its lines from 1: $lines"
    case_ends "${libc}fork-storm"

    bare "$programs/${libc}small_stacks"
    expect 0 "refused 0"
    shim "$programs/${libc}small_stacks"
    expect 0 "refused 8" "deny open self-protection"
    case_ends "${libc}small-thread-stacks"

    expect_both 'in coroutines 200 of 200
on a signal stack 10 of 10
leaving signal handlers 400 of 400
on an overflown stack 3 of 3
in a process with shared memory: status 0
on a given stack 1 of 1
on a signal stack 10 of 10
leaving signal handlers 400 of 400
fine' "$programs/${libc}other_stacks"
    case_ends "${libc}other-stacks"

    expect_both fine "$programs/${libc}bad_pointers"
    case_ends "${libc}bad-pointers"
done

mkdir "$work/cancellation"
expect_both 'read
accept
nanosleep
open
fcntl
fine' "$programs/cancellation" "$work/cancellation"
case_ends cancellation

# The same under a policy that has every name read and compared.
make_policy storm "$programs/signal_storm" "main:open:path=glob:$work/*" "handle:open:path=glob:$work/*"
shim PINION_POLICY="$policy" "$programs/signal_storm" "$work/own" "$work/other"
expect 0 "misdirected: 0, in the handler: 0"
shim PINION_POLICY="$policy" "$programs/signal_storm" "$work/own" "$work/other" alternate
expect 0 "misdirected: 0, in the handler: 0"
case_ends signal-storm-with-policy

make_policy stacks "$programs/other_stacks"
shim PINION_POLICY="$policy" "$programs/other_stacks"
[ "$status $(log_kinds)" = "0 " ] || wrong "status $status, output $output, log $(log_kinds)"
case_ends other-stacks-with-policy

make_policy pointers "$programs/bad_pointers" bad_paths:open:path=prefix:/etc/ bad_paths:unlink:path=/etc/x \
    bad_paths:execve:path=/bin/true bad_addresses:connect:address=inet:127.0.0.1:80 mode=audit
shim PINION_POLICY="$policy" "$programs/bad_pointers"
[ "$status $output" = "0 fine" ] || wrong "status $status, output $output, log $(log_kinds)"
case_ends bad-pointers-with-policy

nowhere=/nowhere/at/all
make_policy denied "$programs/denied" main:{open,fopen,execv,posix_spawn}:path=$nowhere main:{system,popen}:command=no \
    main:{mkstemp,mkdtemp}:template=no main:mmap:protection=PROT_NONE main:socket:domain=AF_INET main:wordexp:words=no \
    main:iconv_open:to=no main:dlopen:file=no main:dlsym:symbol=no
shim PINION_POLICY="$policy" "$programs/denied"
expect 0 "open -1 EPERM
fopen 0 EPERM
mkstemp -1 EPERM
mkdtemp 0 EPERM
mmap -1 EPERM
socket -1 EPERM
execv -1 EPERM
posix_spawn 1 -
system -1 EPERM
popen 0 EPERM
wordexp -1 -
iconv_open -1 EPERM
dlopen 0, dlerror tells why
dlsym 0, dlerror tells why" "deny dlopen argument; deny dlsym argument; deny execv argument; deny fopen argument; \
deny iconv_open argument; deny mkdtemp argument; deny mkstemp argument; deny mmap argument; deny open argument; \
deny popen argument; deny posix_spawn argument; deny socket argument; deny system argument; deny wordexp argument"
case_ends denied-calls-fail-in-their-own-way

# Every call of 64 threads that come and go is counted once.
shim "$programs/counts" "$shim"
if [ "$status" = 77 ]; then
    skip counts "the shim was stripped: $output"
else
    expect 0 "calls 0, opens 0
child 2 0"
    case_ends counts
fi

expect_both "wrong: 0" "$programs/stack_storm" "$programs/libreuse_known.so"
make_policy storm "$programs/stack_storm" --also "$programs/libreuse_known.so" on_broken_stack=kill on_foreign_stack=kill
for round in 1 2 3 4 5; do
    shim PINION_POLICY="$policy" "$programs/stack_storm" "$programs/libreuse_known.so"
    [ "$status $output $(log_kinds)" = "0 wrong: 0 " ] || wrong "round $round: status $status, $output, log $(log_kinds)"
done
case_ends stack-storm
for round in 1 2 3 4 5; do
    shim "$programs/stack_storm" "$programs/libreuse_known.so" fresh
    [ "$status $output" = "0 wrong: 0" ] || wrong "round $round: status $status, $output"
done
case_ends memory-where-a-library-was

# Each level of a recursion makes a call with a copied name and goes deeper; none of those calls is still under way.
expect_both "failed 0 of 1000" "$programs/deep_recursion"
case_ends deep-recursion

expect_both "status 0" "$programs/filtered"
case_ends narrow-system-call-filter

# syscall(2).
bare "$programs/system_calls"
expect 0 "open: done
openat: done
creat: done
openat2: done
mprotect: done"
shim "$programs/system_calls"
expect 0 "open: Operation not permitted
openat: Operation not permitted
creat: Operation not permitted
openat2: Operation not permitted
mprotect: Operation not permitted" \
    "deny creat self-protection; deny mprotect self-protection; deny open self-protection; deny openat self-protection; \
deny openat2 self-protection"
case_ends system-calls

exit "$failed"
