#!/bin/bash
# What the shim's file promises to the programs that load it: no library of its own, exactly the table's symbols,
# few and weak imports, little thread-local storage.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2

shim=build/libpinion.so
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# Fails with the first lines of FILE when it is not empty.
expect_empty() {
    local name=$1 reason=$2 file=$3
    if [ -s "$file" ]; then
        echo "not ok $name: $reason: $(head -n 8 "$file" | tr '\n' ' ')"
        failed=1
    else
        echo "ok $name"
    fi
}

if [ ! -e "$shim" ]; then
    echo "not ok shim_file: $shim is not built"
    exit 1
fi

readelf --dynamic --wide "$shim" >"$work/dynamic"
readelf --program-headers --wide "$shim" >"$work/headers"
nm -D --defined-only "$shim" | awk '{ print $3 }' | sort >"$work/exported"
nm -D --undefined-only "$shim" | awk '{ print $1, $2 }' | sort >"$work/imported"

grep -E '\((NEEDED|SONAME|RPATH|RUNPATH|TEXTREL)\)' "$work/dynamic" >"$work/unwanted"
expect_empty needs_no_library "unwanted dynamic entries" "$work/unwanted"

# The table's spellings, by a way of their own: not from the script that the linker was given.
gcc -E -P -undef -I. -x c - >"$work/expanded" <<'EOF'
#define API(name, class, level, ...) SYMBOL level name
#define ALIAS(canonical, name) SYMBOL CHECKED name
#include "runtime/apis.def"
EOF
grep -oE 'SYMBOL (CHECKED|COUNTED) [A-Za-z0-9_]+' "$work/expanded" | awk '{ print $3 }' | sort -u >"$work/table"
[ -s "$work/table" ] || echo "the table is empty" >"$work/table"
comm -23 "$work/table" "$work/exported" >"$work/lacking"
comm -13 "$work/table" "$work/exported" >"$work/surplus"
expect_empty exports_every_spelling "not exported" "$work/lacking"
expect_empty exports_nothing_else "exported, but not in the table" "$work/surplus"

awk '$1 != "w" && $1 != "v" { print $2 }' "$work/imported" >"$work/strong"
expect_empty imports_are_weak "strong imports" "$work/strong"
awk '{ sub(/@.*/, "", $2); print $2 }' "$work/imported" | sort -u >"$work/names"
sort -u preload/imports.list | comm -13 - "$work/names" >"$work/forbidden"
expect_empty imports_are_permitted "not in preload/imports.list" "$work/forbidden"

awk '$1 == "TLS" { print $6 }' "$work/headers" | while read -r size; do
    [ $((size)) -le 8192 ] || echo "$((size)) bytes"
done >"$work/tls"
expect_empty thread_local_storage_is_small "more than 8192 bytes, so threads with small stacks could not start" "$work/tls"
readelf --relocs --wide "$shim" | grep -E 'DTPMOD|TLSDESC|__tls_get_addr' >"$work/dynamic_tls"
expect_empty thread_local_storage_is_static "relocations that call __tls_get_addr" "$work/dynamic_tls"

awk '$1 == "LOAD" && /R?WE/ { print "writable and executable segment at", $3 }
    $1 == "GNU_STACK" && /RWE/ { print "executable stack" }' "$work/headers" >"$work/protection"
grep -q GNU_RELRO "$work/headers" || echo "no RELRO segment" >>"$work/protection"
grep -qE 'FLAGS_1.*NOW' "$work/dynamic" || echo "not bound at start" >>"$work/protection"
grep -qE 'FLAGS_1.*INITFIRST' "$work/dynamic" || echo "not initialised first" >>"$work/protection"
expect_empty segments_are_protected "missing protection" "$work/protection"

exit "$failed"
