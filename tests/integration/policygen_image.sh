#!/bin/bash
# policygen on whole images: a root that is put together from real programs and small ones, hostile links in it, the cache,
# plug-ins, and what it says of files that cannot be protected.
set -uo pipefail
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh" || exit 2
root=$work/root

same() {
    local difference
    difference=$(diff -r "$2" "$3" 2>&1 | head -3)
    [ -z "$difference" ] && [ -n "$(ls "$2")" ]
    report "$1" $? "$difference"
}

# ---- The image ----

mkdir -p "$root"/usr/{bin,lib,lib64} "$root"/etc/ld.so.conf.d "$root"/opt/{own,link} "$work/outside"
ln -s usr/bin "$root/bin"
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"
echo 'include /etc/ld.so.conf.d/*.conf' >"$root/etc/ld.so.conf"
echo '/opt/own' >"$root/etc/ld.so.conf.d/own.conf"
for program in env ls; do
    cp "$(command -v "$program")" "$root/usr/bin/"
    ldd "$root/usr/bin/$program" | awk '$3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }' | while read -r library; do
        if [[ $library = /lib64/* ]]; then cp -L "$library" "$root/usr/lib64/"; else cp -L "$library" "$root/usr/lib/"; fi
    done
done

cat >"$work/opens.c" <<'C'
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
static const char *const folder = "/usr/lib/opens/modules";
int by_link(void), by_configuration(void), out_of_reach(void), from_pipe(void);
int main(int count, char **arguments) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s.so", folder, arguments[1]);
#ifdef OUTSIDE
    out_of_reach();
    from_pipe();
#endif
    return open("/etc/before", O_RDONLY) + by_link() + by_configuration() + (dlopen(path, RTLD_NOW) == 0);
}
C
# library NAME FUNCTION FILE WHERE
library() {
    echo "#include <unistd.h>
int $2(void) { return unlink(\"/tmp/$2\") + 1; }" >"$work/library.c"
    gcc -O2 -w -shared -fPIC -Wl,-soname,"$1" -o "$4/$3" "$work/library.c" || exit 1
}
library libown.so by_configuration libown.so "$root/opt/own"
library liblink.so by_link liblink.so.1 "$root/opt/link"
library libout.so out_of_reach libout.so "$work/outside"
library libpipe.so from_pipe libpipe.so "$work/outside"
ln -s /opt/link/liblink.so.1 "$root/usr/lib/liblink.so"
ln -s liblink.so.1 "$root/opt/link/liblink.so"
gcc -O2 -w -o "$root/usr/bin/opens" "$work/opens.c" -L"$root/opt/own" -L"$root/opt/link" -lown -llink || exit 1
gcc -O2 -w -DOUTSIDE -o "$work/outsider" "$work/opens.c" -L"$root/opt/own" -L"$root/opt/link" -L"$work/outside" \
    -lown -llink -lout -lpipe || exit 1

echo 'int main(void) { return 0; }' >"$work/main.c"
gcc -O2 -static -o "$root/usr/bin/static" "$work/main.c" || exit 1
cat >"$work/go.s" <<'ASM'
    .section .note.go.buildid, "a", @note
    .long 4, 4, 4
    .ascii "Go\0\0"
    .long 1
ASM
gcc -O2 -o "$root/usr/bin/go-like" -Wl,-z,noexecstack "$work/main.c" "$work/go.s" || exit 1
printf '#!/usr/bin/env python3\n' >"$root/usr/bin/script"
cp "$root/usr/bin/env" "$root/usr/bin/other-machine"
printf '\267' | dd of="$root/usr/bin/other-machine" bs=1 seek=18 conv=notrunc status=none
chmod +x "$root"/usr/bin/*

# ---- Programs, and what cannot be protected ----

expect image_reports_programs 0 '/usr/bin/opens' "$policygen" --image "$root"
expect image_static 0 'not protected: /usr/bin/static: it is statically linked' "$policygen" --image "$root"
expect image_go 0 'not protected: /usr/bin/go-like: it is a Go program' "$policygen" --image "$root"
expect image_script 0 'not protected: /usr/bin/script: a script of python3' "$policygen" --image "$root"
expect image_other_machine 0 'not protected: /usr/bin/other-machine: .*another machine' "$policygen" --image "$root"
expect image_named_static 1 'cannot be protected' "$policygen" --image "$root" /usr/bin/static
expect image_missing 2 'cannot open the image root' "$policygen" --image "$work/nowhere"
expect image_no_jobs 2 'jobs takes a number' "$policygen" --jobs 0 --image "$root"
if command -v jq >/dev/null; then
    "$policygen" --json --image "$root" >"$work/report.json" 2>/dev/null
    [ "$(jq '[.[] | select(.not_protected)] | length' "$work/report.json")" = 4 ] &&
        [ "$(jq '[.[] | select(.total)] | length' "$work/report.json")" = 3 ]
    report image_json $? "$(jq -c '[.[] | [.program, .not_protected]]' "$work/report.json" 2>&1 | head -c 600)"
else
    echo "skip image_json: jq is not installed"
fi

"$policygen" --image "$root" -o "$work/all" >/dev/null 2>&1
"$policygen" --image "$root" -o "$work/named" /usr/bin/opens /bin/ls /usr/bin/env 2>/dev/null
same image_and_named_programs_agree "$work/all" "$work/named"
grep -q '^program = "/usr/bin/ls"' "$work/all/usr.bin.ls.policy" && ! grep -q "$work" "$work/all/usr.bin.ls.policy"
report image_paths_are_those_inside $?
expect image_library_by_configuration 0 '^/opt/own/libown.so$' "$policygen" --print-sites --image "$root" /usr/bin/opens
expect image_library_by_absolute_link 0 'path=/tmp/by_link' "$policygen" --print-sites --image "$root" /usr/bin/opens

# ---- Nothing outside, no pipe, no device ----

cp "$work/outsider" "$root/usr/bin/outsider"
ln -s "../../../../../../../../../..$work/outside/libout.so" "$root/usr/lib/libout.so"
mkfifo -m 755 "$root/usr/lib/libpipe.so" "$root/usr/bin/pipe"
ln -s /dev/zero "$root/usr/bin/zero"
ln -s loop "$root/usr/lib/loop"
expect image_stays_inside 0 '"libout.so", which is nowhere' "$policygen" --image "$root" /usr/bin/outsider
expect image_reads_nothing_outside 0 '!out_of_reach' "$policygen" --print-sites --image "$root" /usr/bin/outsider
expect image_opens_no_pipe 0 '"libpipe.so", which is nowhere' "$policygen" --image "$root" /usr/bin/outsider
expect image_with_pipes_and_devices 0 '/usr/bin/outsider' "$policygen" --image "$root"
expect image_also_stays_inside 2 'cannot read' "$policygen" --image "$root" --also "$work/outside/libout.so" /usr/bin/env
rm "$root/usr/bin/outsider" "$root/usr/lib/libout.so" "$root/usr/lib/libpipe.so"

# ---- Plug-ins ----

expect image_hints_at_plugins 0 'opens loads libraries whose names are not known.*--also' "$policygen" --image "$root" \
    /usr/bin/opens
mkdir -p "$root/usr/lib/opens/modules/below"
library plug.so plugged plug.so "$root/usr/lib/opens/modules"
library deep.so deep deep.so "$root/usr/lib/opens/modules/below"
echo "no library" >"$root/usr/lib/opens/modules/text.so"
expect image_plugin_folder 0 'path=/tmp/plugged' "$policygen" --print-sites --image "$root" /usr/bin/opens
expect image_plugin_below 0 'path=/tmp/deep' "$policygen" --print-sites --image "$root" /usr/bin/opens
expect image_no_hint_with_plugins 0 '!names are not known' "$policygen" --image "$root" -o "$work/plugged" /usr/bin/opens
expect image_also 0 'path=/tmp/plugged' "$policygen" --print-sites --image "$root" --also /usr/lib/opens/modules/plug.so \
    /usr/bin/env

# ---- The cache, and all processors ----

run() {
    timeout 60 "$policygen" --image "$root" "${@:2}" -o "$work/$1" >/dev/null 2>"$work/$1.errors"
}
run plain --jobs 1
run threads --jobs 2
run cold --cache "$work/cache"
stat -c '%n %i %y' "$work"/cache/* >"$work/before"
run warm --cache "$work/cache" --jobs 2
stat -c '%n %i %y' "$work"/cache/* >"$work/after"
same image_jobs_do_not_matter "$work/plain" "$work/threads"
same image_cold_cache_agrees "$work/plain" "$work/cold"
same image_warm_cache_agrees "$work/plain" "$work/warm"
cmp -s "$work/before" "$work/after" && [ -s "$work/before" ]
report image_cache_is_used $? "files were written again"
! grep -q . "$work/warm.errors"
report image_cache_is_quiet $? "$(head -1 "$work/warm.errors")"

for file in "$work"/cache/*; do
    size=$(stat -c %s "$file")
    printf '\125' | dd of="$file" bs=1 seek=$((size / 2)) conv=notrunc status=none
done
run damaged --cache "$work/cache"
same image_damaged_cache_agrees "$work/plain" "$work/damaged"
[ "$(grep -c 'passed over: it is damaged' "$work/damaged.errors")" -ge 5 ]
report image_damaged_cache_is_told $? "$(head -1 "$work/damaged.errors")"
run mended --cache "$work/cache"
! grep -q 'passed over' "$work/mended.errors"
report image_damaged_cache_is_mended $? "$(head -1 "$work/mended.errors")"
for file in "$work"/cache/*; do
    truncate -s 100 "$file"
done
run cut --cache "$work/cache"
same image_cut_cache_agrees "$work/plain" "$work/cut"
for file in "$work"/cache/*; do
    echo "something else" >"$file"
done
run foreign --cache "$work/cache"
same image_foreign_cache_agrees "$work/plain" "$work/foreign"
grep -q 'passed over: it is no summary' "$work/foreign.errors"
report image_foreign_cache_is_told $? "$(head -1 "$work/foreign.errors")"

# The same build-id, another content.
sed -i 's,/etc/before,/etc/behind,' "$root/usr/bin/opens"
expect image_cache_follows_content 0 'path=/etc/behind' "$policygen" --print-sites --image "$root" --cache "$work/cache" \
    /usr/bin/opens
touch "$work/file"
expect image_cache_is_file 2 'cannot use|cannot make' "$policygen" --cache "$work/file" --image "$root"

# ---- Names for dlsym that are not known ----

cat >"$work/entry.c" <<'C'
#include <fcntl.h>
__attribute__((noinline)) int entry(const char *path) { return open(path, O_RDONLY) + 1; }
int used(void) { return entry("/etc/known") + 1; }
C
cat >"$work/uses.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
int used(void);
void *(*volatile pointer)(void *, const char *);
int main(int count, char **arguments) {
    int result = used();
#ifdef LOOKUP
    int (*found)(const char *) = dlsym(RTLD_DEFAULT, LOOKUP);
#ifdef POINTER
    pointer = POINTER;
#endif
    return found == 0 ? 1 : found(arguments[1]);
#endif
    return result;
}
C
gcc -O2 -w -shared -fPIC -Wl,-Bsymbolic -o "$work/libentry.so" "$work/entry.c" || exit 1
# variant NAME FLAGS...
variant() {
    # shellcheck disable=SC2016 # $ORIGIN is the loader's
    gcc -O2 -w "${@:2}" -o "$work/$1" "$work/uses.c" -L"$work" -lentry -Wl,-rpath,'$ORIGIN' || exit 1
}
variant plain_use
variant unknown_name '-DLOOKUP=arguments[2]'
variant known_name '-DLOOKUP="entry"'
variant other_name '-DLOOKUP="strlen"'
expect dlsym_none 0 'entry open path=/etc/known flags' "$policygen" --print-sites "$work/plain_use"
expect dlsym_unknown 0 'entry open path=(/etc/known,)?any' "$policygen" --print-sites "$work/unknown_name"
expect dlsym_known 0 'entry open path=(/etc/known,)?any' "$policygen" --print-sites "$work/known_name"
expect dlsym_other 0 'entry open path=/etc/known flags' "$policygen" --print-sites "$work/other_name"
expect dlsym_plugin 0 'entry open path=(/etc/known,)?any' "$policygen" --print-sites --also "$work/libentry.so" \
    "$work/plain_use"
expect dlsym_loosens_all 0 'loose system after an indirect call \(dlsym with unknown names\)' "$policygen" --print-sites \
    "$work/unknown_name"
expect dlsym_cost_is_told 0 'dlsym with names that are not known makes [1-9][0-9]* functions loose' "$policygen" \
    "$work/unknown_name"
variant dlsym_pointer '-DLOOKUP="strlen"' -DPOINTER=dlsym
expect dlsym_by_pointer 0 'loose system after an indirect call \(dlsym with unknown names\)' "$policygen" --print-sites \
    "$work/dlsym_pointer"

# ---- Functions that hand names on to dlsym ----

# In the shape of OpenSSL: the names come through a table, and from memory.
cat >"$work/hands_on.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
static void *bind(void *object, const char *name) { return dlsym(object, name); }
static void *look_up(const char *name) { return dlsym(dlopen(NULL, RTLD_LAZY), name); }
static struct { void *(*bind)(void *, const char *); void *(*look_up)(const char *); } method = {bind, look_up};
void *DSO_METHOD_openssl(void) { return &method; }
void *DSO_bind_func(void *object, const char *name) { return method.bind(object, name); }
void *DSO_global_lookup(const char *name) { return method.look_up(name); }
struct context { void *object; const char *check, *bind; };
struct context *context_new(void) {
    struct context *context = calloc(1, sizeof *context);
    context->check = "v_check";
    context->bind = "bind_engine";
    return context;
}
int context_load(struct context *context) {
    return DSO_bind_func(context->object, context->check) == 0 || DSO_bind_func(context->object, context->bind) == 0;
}
#ifdef ANOTHER
void *another(const char **names) { return dlsym(NULL, names[1]); }
#endif
C
cat >"$work/asks.c" <<'C'
int used(void);
void *DSO_bind_func(void *, const char *);
void *DSO_global_lookup(const char *);
void *(*volatile pointer)(const char *);
int main(int count, char **arguments) {
    int result = used();
#ifdef POINTER
    pointer = DSO_global_lookup;
#endif
#ifdef NAME
    result += DSO_bind_func(0, NAME) != 0;
#endif
    return result;
}
C
# hands_on SONAME FLAGS...: libhands.so by that name, and programs that use it
hands_on() {
    gcc -O2 -w -shared -fPIC "-Wl,-soname,$1" "${@:2}" -o "$work/$1" "$work/hands_on.c" && ln -sf "$1" "$work/libhands.so" || exit 1
}
# asks NAME FLAGS...
asks() {
    # shellcheck disable=SC2016 # $ORIGIN is the loader's
    gcc -O2 -w "${@:2}" -o "$work/$1" "$work/asks.c" -L"$work" -lentry -Wl,--no-as-needed -lhands -Wl,-rpath,'$ORIGIN' || exit 1
}
closed='entry open path=/etc/known flags'
opened='entry open path=(/etc/known,)?any'
hands_on libcrypto.so.3
asks asks_nothing
asks asks_constant '-DNAME="strlen"'
asks asks_entry '-DNAME="entry"'
asks asks_unknown '-DNAME=arguments[1]'
asks asks_pointer -DPOINTER
expect names_described 0 "$closed" "$policygen" --print-sites "$work/asks_nothing"
expect names_description_is_told 0 'from lookups.def.* in libcrypto.so.3' "$policygen" "$work/asks_nothing"
expect names_constant 0 "$closed" "$policygen" --print-sites "$work/asks_constant"
expect names_entry 0 "$opened" "$policygen" --print-sites "$work/asks_entry"
expect names_unknown 0 "$opened" "$policygen" --print-sites "$work/asks_unknown"
expect names_pointer 0 "$opened" "$policygen" --print-sites "$work/asks_pointer"
hands_on libcrypto.so.3 -DANOTHER
expect names_of_another_shape 0 "$opened" "$policygen" --print-sites "$work/asks_constant"
hands_on libunread.so.3
asks asks_unread '-DNAME="strlen"'
expect names_of_another_object 0 "$opened" "$policygen" --print-sites "$work/asks_unread"

# Names that a function takes from callers alone: none, where the process has no caller.
cat >"$work/hands_on.c" <<'C'
#include <dlfcn.h>
void *finds(const char *name) { return dlsym(0, name); }
C
hands_on libfinds.so.1
asks finds_nothing
expect names_without_caller 0 "$closed" "$policygen" --print-sites "$work/finds_nothing"
asks finds_unknown '-DDSO_bind_func(object,name)=finds(name)' '-DNAME=arguments[1]'
expect names_of_caller 0 "$opened" "$policygen" --print-sites "$work/finds_unknown"
asks finds_found '-DDSO_bind_func(object,name)=dlsym(object,name)' '-DNAME="finds"'
expect names_of_found 0 "$opened" "$policygen" --print-sites "$work/finds_found"

# ---- A plug-in that only learning finds ----

pinion=$PWD/build/pinion
if [ -x "$pinion" ] && [ -e build/libpinion.so ]; then
    cat >"$work/loads.c" <<'C'
#include <dlfcn.h>
int main(int count, char **arguments) {
    int (*plugged)(void) = dlsym(dlopen(arguments[1], RTLD_NOW), "plugged");
    return plugged == 0 ? 1 : plugged() > 1;
}
C
    mkdir "$work/policies"
    gcc -O2 -w -o "$work/loads" "$work/loads.c" && library found.so plugged found.so "$work"
    "$policygen" -o "$work/policies" "$work/loads" 2>/dev/null
    "$pinion" learn -d "$work/policies" -o "$work/record" -- "$work/loads" "$work/found.so" >/dev/null 2>&1
    advice=$("$pinion" merge "$work/policies" "$work/record" | grep -o 'policygen -o .*')
    real=$(cd "$work" && pwd -P)
    [ "$advice" = "policygen -o $work/policies $real/loads --also $real/found.so" ]
    report merge_advises_to_analyse $? "$advice"
    PATH=$PWD/build:$PATH bash -c "$advice" >/dev/null 2>&1
    grep -q '/tmp/plugged' "$work"/policies/*loads.policy
    report merge_advice_works $?
else
    echo "skip merge_advises_to_analyse: the shim or pinion is not built"
fi
exit $failed
