#!/bin/bash
# Programs and libraries that load in unusual ways: RUNPATH, RTLD_NEXT, handles, deep binding, namespaces, reused addresses,
# code before constructors, other preloads, "ld.so program", static and libc-free programs, sanitizers, little memory.
set -uo pipefail
# shellcheck source=tests/hazards/common.sh
. "$(dirname "$0")/../hazards/common.sh"

modules=$work/modules
mkdir -p "$modules/private"
cp "$programs"/lib*.so "$modules"
mv "$modules/libprivate.so" "$modules/private"
jemalloc=$(ldconfig -p | awk '/libjemalloc\.so\.2/ { print $NF; exit }')

# beside BEFORE AFTER COMMAND...: with the shim, and these preloads on either side of it.
beside() {
    local preload=$1${1:+:}$shim${2:+:}$2
    shift 2
    how="with LD_PRELOAD=$preload"
    rm -f "$log"
    output=$(timeout 100 env LD_PRELOAD="$preload" PINION_LOG="$log" "$@" 2>&1 </dev/null)
    status=$?
}

expect_both 4711 "$programs/runpath" "$modules"
case_ends dlopen-by-the-callers-runpath

bare LD_PRELOAD="$modules/libnext.so" "$programs/next"
expect 0 "passed on 2, own memory opened"
beside "$modules/libnext.so" "" "$programs/next"
expect 0 "passed on 2, own memory Operation not permitted" "deny open self-protection"
case_ends next-from-a-library-before-the-shim

beside "" "$modules/libnext.so" "$programs/next"
expect 0 "passed on 1, own memory Operation not permitted" "deny open self-protection"
case_ends next-from-a-library-behind-the-shim

bare "$programs/dlsym_handle" "$modules"
bare_output=$output
shim "$programs/dlsym_handle" "$modules"
expect 0 "open: libpinion.so libpinion.so libpinion.so
open64: libpinion.so libpinion.so libpinion.so
__open_2: libpinion.so libpinion.so libpinion.so
mmap: libpinion.so libpinion.so libpinion.so
execve: libpinion.so libpinion.so libpinion.so
getpid: libpinion.so libpinion.so libpinion.so
posix_spawn: libpinion.so libpinion.so libpinion.so
qsort: libc.so.6 libc.so.6 libc.so.6
no_such: nowhere nowhere nowhere
versions: libpinion.so libpinion.so libpinion.so nowhere
own memory: Operation not permitted
libown.so unlink: 4711
libown.so mkdir: nowhere
libneeds_own.so unlink: 4711
libneeds_own.so mkdir: libpinion.so" "deny open self-protection"
expected=$(sed 's/libpinion\.so/libc.so.6/g; s/Operation not permitted/opened/' <<<"$output")
[ "$bare_output" = "$expected" ] || wrong "without the shim: $bare_output"
case_ends dlsym-by-handle

bare "$programs/binding" deep "$modules/libdeep.so"
expect 0 "own memory opened"
shim "$programs/binding" deep "$modules/libdeep.so"
expect 0 "own memory refused" "deny open self-protection; log dlopen deep-binding"
case_ends deep-binding

make_policy namespace "$programs/binding" --also "$modules/libdeep.so"
shim PINION_POLICY="$policy" "$programs/binding" namespace "$modules/libdeep.so" -1
expect 0 "not loaded, dlerror tells why" "deny dlmopen foreign-namespace"
make_policy namespace "$programs/binding" --also "$modules/libdeep.so" main:dlmopen:namespace=-1
shim PINION_POLICY="$policy" "$programs/binding" namespace "$modules/libdeep.so" -1
expect 0 "own memory opened"
shim "$programs/binding" namespace "$modules/libdeep.so" -1
expect 0 "own memory opened" "log dlmopen foreign-namespace"
case_ends foreign-namespace

make_policy reuse "$programs/address_reuse" --also "$modules/libreuse_known.so"
expect_both "known 20, other 20" "$programs/address_reuse" "$modules"/libreuse_{known,other}.so /dev/null
shim PINION_POLICY="$policy" "$programs/address_reuse" "$modules"/libreuse_{known,other}.so /dev/null
expect 0 "known 20, other 0" "deny open unknown-module"
shim PINION_POLICY="$policy" "$programs/address_reuse" "$modules"/libreuse_{other,known}.so /dev/null
expect 0 "known 0, other 20" "deny open unknown-module"
case_ends address-reuse-after-dlclose

bare "$programs/early"
expect 0 "own memory opened"
shim "$programs/early"
expect 0 "own memory refused" "deny open self-protection"
case_ends calls-before-all-constructors

bare LD_PRELOAD="$modules/libearly.so" "$programs/plain"
expect 0 "constructor: 1 1 1
fine"
beside "$modules/libearly.so" "" "$programs/plain"
expect 0 "constructor: 2 2 1
fine" "deny open self-protection"
beside "" "$modules/libearly.so" "$programs/plain"
expect 0 "constructor: 2 2 1
fine" "deny open self-protection"
case_ends a-library-constructor-before-ours

if [ -n "$jemalloc" ]; then
    for order in "$jemalloc:" ":$jemalloc"; do
        for name in vfork_exec errno_kept bad_pointers; do
            beside "${order%%:*}" "${order##*:}" "$programs/$name"
            expect 0 fine
        done
        beside "${order%%:*}" "${order##*:}" "$programs/fork_storm"
        expect 0 "refused 100, allowed 0" "deny open self-protection"
    done
    case_ends jemalloc-beside-the-shim
else
    skip jemalloc-beside-the-shim "no libjemalloc.so.2"
fi

# Started by the loader, a program is still itself: its policy is found and holds.
loader=/lib64/ld-linux-x86-64.so.2
make_policy plain "$programs/plain" main:open:path=/etc/hostname
stem=${programs#/}/plain
cp "$policy" "$work/policies/${stem//\//.}.pinion"
for started in "$programs/plain" "$loader $programs/plain"; do
    # shellcheck disable=SC2086 # two words
    shim PINION_POLICY_DIR="$work/policies" $started /etc/hostname /etc/passwd
    expect 0 "opened
Operation not permitted
fine" "deny open argument"
    [ "$(jq -r 'select(.verdict == "deny") | .exe' "$log")" = "$programs/plain" ] || wrong "the log names another program"
done
case_ends program-started-by-the-loader

cd "$programs" || exit 2
shim PINION_POLICY_DIR="$work/policies" $loader ./plain /etc/passwd
expect 0 "Operation not permitted
fine" "deny open argument"
cd "$root" || exit 2
case_ends program-started-by-the-loader-with-a-relative-name

for name in plain_static plain_static_pie without_libc; do
    expect_both fine "$programs/$name"
done
case_ends static-and-libc-free-programs

# AddressSanitizer's runtime wants to be first and says so itself; told not to mind, it finds the shim standing aside.
for name in sanitized clang_sanitized; do
    if [ ! -x "$programs/$name" ]; then
        skip "$name" "this compiler has no AddressSanitizer here"
        continue
    fi
    export ASAN_OPTIONS=verify_asan_link_order=0
    bare "$programs/$name"
    expect 0 fine
    shim "$programs/$name"
    expect 0 fine
    [ "$(jq -r 'select(.reason == "sanitizer") | .mode' "$log")" = off ] || wrong "the log does not say that the shim stands aside"
    shim "$programs/$name" overflow
    [[ $status != 0 && $output = *heap-buffer-overflow* ]] || wrong "the sanitizer finds no overflow: status $status, $output"
    unset ASAN_OPTIONS
    case_ends "$name-program"
done

# Its policy's file would have a name too long for any file system.
deep=$work/$(printf 'd%.0s' {1..200})/$(printf 'e%.0s' {1..200})
mkdir -p "$deep"
cp "$programs/plain" "$deep"
expect_both fine "$deep/plain"
case_ends program-with-a-long-path

bare "$programs/address_space"
without=$output
shim "$programs/address_space"
[ $((output - without)) -lt 2048 ] || wrong "the shim takes $((output - without)) KiB of address space"
expect_both fine "$programs/address_space" tight
how="with the shim"
output=$(ulimit -v $((without + 2048)) && LD_PRELOAD=$shim PINION_LOG=$log "$programs/address_space" 2>&1) ||
    wrong "does not start within $((without + 2048)) KiB: $output"
case_ends little-address-space

if [ -x "$programs/musl_plain" ]; then
    make_policy musl "$programs/musl_plain" main:open:path=/etc/hostname
    shim PINION_POLICY="$policy" "$programs/musl_plain" /etc/hostname /etc/passwd
    expect 0 "opened
Operation not permitted
fine" "deny open argument"
    case_ends musl-program-with-policy
else
    skip musl-program-with-policy "musl-gcc built nothing"
fi

exit "$failed"
