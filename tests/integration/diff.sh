#!/bin/bash
# policygen diff on pairs of builds: a rebuild with an unrelated function says nothing, an upgrade that can do more is
# named and ends with status 1, whatever the compiler made of the rest.
set -uo pipefail
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh" || exit 2

# Every variant is this source with macros; UNRELATED stands before everything else, so that it moves all of it.
cat >"$work/program.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>
#ifdef UNRELATED
static __thread int unrelated_count;
__attribute__((noinline)) int unrelated(int a, const char *text) {
    struct utsname name;
    switch (a) {
    case 0: return puts("a text of its own");
    case 1: return 77;
    case 2: return (int)strlen(text) * 3;
    case 3: return uname(&name);
    case 4: return atoi(text) << 3;
    case 5: return ++unrelated_count;
    }
    return printf("%d %s\n", a, text);
}
#endif
#ifndef FLAGS
#define FLAGS O_RDONLY
#endif
static char buffer[4096];
static int numbers[64];
__attribute__((noinline)) static int read_settings(const char *path) {
    int fd = open(path, FLAGS);
    if (fd < 0)
        return -1;
    long got = read(fd, buffer, sizeof buffer);
#ifdef CHANGED
    for (long i = 0; i < got; i++)
        buffer[i] = (char)(buffer[i] == '\r' ? ' ' : buffer[i]);
#endif
    close(fd);
    return (int)got;
}
__attribute__((noinline)) static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    numbers[port & 63]++;
    return listen(fd, 5) == 0 ? fd : -1;
}
__attribute__((noinline)) static int first(void) { return unlink("/run/first"); }
#ifdef TWICE
__attribute__((noinline)) int once_more(void) { return unlink("/run/first") * 5; }
#endif
__attribute__((noinline)) static int second(void) { return unlink("/run/second"); }
#ifndef REMOVED
__attribute__((noinline)) static int third(const char *from) { return rename(from, "/run/third"); }
#endif
__attribute__((noinline)) static int map(unsigned long size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#ifdef EXECUTABLE
    mprotect(memory, size, PROT_READ | PROT_EXEC);
#endif
    return memory == MAP_FAILED ? -1 : 0;
}
#ifdef STARTS
__attribute__((noinline)) static int start(char **arguments) { return execve("/bin/sh", arguments, NULL); }
#endif
#ifdef LOADS
__attribute__((noinline)) static int load(void) { return dlopen("libm.so.6", RTLD_NOW) == NULL; }
#endif
#ifdef POINTED
int (*volatile chosen)(const char *);
#endif
int main(int count, char **arguments) {
    int result = read_settings("/etc/hosts") + listen_on(count) + first() + second() + map(4096);
#ifndef REMOVED
    result += third(arguments[0]);
#endif
#ifdef UNRELATED
    if (count > 5)
        result += unrelated(count, arguments[1]);
#endif
#ifdef STARTS
    result += start(arguments);
#endif
#ifdef LOADS
    result += load();
#endif
#ifdef POINTED
    chosen = unlink;
    result += chosen(arguments[0]);
#endif
    return result + (count > 3 ? read_settings("/etc/passwd") : 0);
}
C

# build NAME FLAG...
build() {
    local name=$1
    shift
    mkdir -p "$work/$name"
    "${compiler:-gcc}" -w -o "$work/$name/program" "$@" "$work/program.c" && "$policygen" -o "$work/$name" "$work/$name/program"
}

compilers=(gcc)
if command -v clang >/dev/null; then
    compilers+=(clang)
else
    echo "skip diff_clang: clang is not installed"
fi
for compiler in "${compilers[@]}"; do
    for flags in "-O0 -no-pie -fno-pie" "-O1 -fno-plt" "-O2" "-O2 -no-pie -fno-pie -s" "-O3 -s" "-Os -fcf-protection -ffunction-sections"; do
        # shellcheck disable=SC2086 # several flags
        build old $flags && build new $flags -DUNRELATED || exit 1
        expect "diff_unrelated_${compiler}_${flags// /}" 0 '^no difference$' "$policygen" diff "$work/old" "$work/new"
        # shellcheck disable=SC2086
        build new $flags -DUNRELATED -DSTARTS
        expect "diff_starts_${compiler}_${flags// /}" 1 '^1 added, 0 dropped, 0 widened, 0 narrowed; 1 critical$' "$policygen" diff "$work/old" "$work/new"
    done
done
compiler=gcc

build old -O2
build changed -O2 -DCHANGED
expect diff_changed_function 0 '^no difference$' "$policygen" diff "$work/old" "$work/changed"
build changed -O2 -s -DCHANGED
expect diff_changed_function_without_names 0 '^no difference$' "$policygen" diff "$work/old" "$work/changed"
build starts -O2 -DSTARTS
expect diff_exec_is_critical 1 '^! added .*execve\(path = /bin/sh; argv = ' "$policygen" diff "$work/old" "$work/starts"
expect diff_exec_is_new 1 '^calls for the first time: execve +\(exec\)' "$policygen" diff "$work/old" "$work/starts"
expect diff_exec_dropped_is_not 0 '^  dropped .*execve\(path = /bin/sh' "$policygen" diff "$work/starts" "$work/old"
build loads -O2 -DLOADS
expect diff_module_is_critical 1 '^! added .*dlopen\(file = libm.so.6; flags = RTLD_NOW\)' "$policygen" diff "$work/old" "$work/loads"
build executable -O2 -DEXECUTABLE
expect diff_code_is_critical 1 '^! added .*mprotect\(protection = PROT_READ\|PROT_EXEC\)' "$policygen" diff "$work/old" "$work/executable"
build removed -O2 -DREMOVED
expect diff_removed 0 '^  dropped .*rename\(old_path = any value; new_path = /run/third\)' "$policygen" diff "$work/old" "$work/removed"
expect diff_file_site_is_not_critical 0 '^  added .*rename' "$policygen" diff "$work/removed" "$work/old"
build flags -O2 '-DFLAGS=O_RDWR|O_CLOEXEC'
expect diff_widened 1 '^! widened .*open: flags may also be O_RDWR\|O_CLOEXEC, no longer O_RDONLY$' "$policygen" diff "$work/old" "$work/flags"
build twice -O2 -DTWICE
expect diff_as_elsewhere 0 '^  added .*unlink\(path = /run/first\), as elsewhere before$' "$policygen" diff "$work/old" "$work/twice"
build pointed -O2 -DPOINTED
expect diff_loose 1 '^! widened .*may now call with any arguments after an indirect call: unlink \(its address is taken\)$' "$policygen" diff "$work/old" "$work/pointed"

# Inputs of every kind, and damaged ones.
policy=$(echo "$work"/old/*.policy)
expect diff_programs 1 '^! added .*execve' "$policygen" diff "$work/old/program" "$work/starts/program"
expect diff_program_and_policy 0 '^no difference$' "$policygen" diff "$policy" "$work/old/program"
sed 's/ fingerprint = "[0-9a-f]*";//' "$policy" >"$work/without.policy"
expect diff_without_fingerprints 0 '^no difference$' "$policygen" diff "$work/without.policy" "$policy"
printf '%s\n' '#!/bin/sh' >"$work/script"
expect diff_help 0 'Usage: policygen diff' "$policygen" diff --help
expect diff_one_argument 2 'compares two things' "$policygen" diff "$policy"
expect diff_unknown_option 2 'policygen diff --help' "$policygen" diff --frobnicate a b
expect diff_missing 2 'cannot read ".*/nowhere"' "$policygen" diff "$policy" "$work/nowhere"
expect diff_empty_directory 2 'neither a policy' "$policygen" diff "$policy" "$(mktemp -d -p "$work")"
expect diff_compiled 2 'compiled policy' "$policygen" diff "$policy" "$(echo "$work"/old/*.pinion)"
sed 's/api = "open"/api = "opne"/' "$policy" >"$work/damaged.policy"
expect diff_damaged 2 'damaged.policy" line [0-9]+: unknown API "opne" \(did you mean "open"\?\)' "$policygen" diff "$policy" "$work/damaged.policy"
head -c 3000 "$work/old/program" >"$work/cut"
expect diff_unprotectable 1 '^! added +program .*/cut, which cannot be protected' "$policygen" diff "$policy" "$work/cut"
sed 's/^mode = "enforce"/mode = "audit"/' "$policy" >"$work/audit.policy"
expect diff_mode 1 '^! widened +mode = audit, was enforce' "$policygen" diff "$policy" "$work/audit.policy"
expect diff_mode_back 0 '^  narrowed +mode = enforce, was audit' "$policygen" diff "$work/audit.policy" "$policy"
mkdir "$work/more" && cp "$work"/old/*.policy "$work"/starts/*.policy "$work/more"
expect diff_program_added 1 '^! added +program .*/starts/program$' "$policygen" diff "$work/old" "$work/more"

# Whole images: programs are compared by their paths inside, libraries come from inside.
for image in before after; do
    for library in $(ldd "$work/old/program" | grep -o '/[^ ]*'); do
        mkdir -p "$work/$image$(dirname "$library")"
        cp -L "$library" "$work/$image$library"
    done
    mkdir -p "$work/$image/bin"
    cp "$work/old/program" "$work/$image/bin/same"
done
cp "$work/old/program" "$work/before/bin/program"
cp "$work/starts/program" "$work/after/bin/program"
expect diff_image 1 '^! added +program in 0x[0-9a-f]+: execve\(.*\[program\]$' "$policygen" diff --cache "$work/cache" "$work/before" "$work/after"
expect diff_image_again 1 '^1 added, 0 dropped, 0 widened, 0 narrowed; 1 critical$' "$policygen" diff --cache "$work/cache" "$work/before" "$work/after"
rm "$work/after/bin/same"
expect diff_image_program_dropped 1 '^  dropped +program /bin/same$' "$policygen" diff --cache "$work/cache" "$work/before" "$work/after"

if command -v jq >/dev/null; then
    "$policygen" diff --json "$work/old" "$work/starts" >"$work/difference.json"
    found=$(jq -r '[.critical, .counts.added, .counts.critical, (.changes | length), .changes[0].change, .changes[0].what,
        .changes[0].api, .changes[0].class, .changes[0].rules.path[0], (.changes[0].programs | length),
        .apis_added[0].api] | join(" ")' "$work/difference.json")
    [ "$found" = "true 1 1 1 added call site execve exec /bin/sh 1 execve" ]
    report diff_json $? "$found"
    found=$("$policygen" diff --json "$work/old" "$work/flags" | jq -r '.changes[0] | [.change, .what, .argument, .allows[0], .no_longer[0], .critical] | join(" ")')
    [ "$found" = "widened argument flags O_RDWR|O_CLOEXEC O_RDONLY true" ]
    report diff_json_argument $? "$found"
else
    echo "skip diff_json: jq is not installed"
fi
exit $failed
