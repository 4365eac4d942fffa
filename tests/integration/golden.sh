#!/bin/bash
# Golden pairs of the analyser: every tests/golden/NAME.c or NAME.s is compiled as its "build:" lines say and analysed; what
# policygen finds in it must be NAME.expected. One line "build:" is one compilation; all of them must give the
# same rules. $out is the program, $dir the test's own directory. "reasons: ignored" compares without the words that
# say why a value is unknown, where those depend on the compiler.
# shellcheck disable=SC2086 # build lines are split into words on purpose
set -u
cd "$(dirname "$0")/../.." || exit 2
policygen=$PWD/build/policygen
golden=$PWD/tests/golden
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# The rules of the objects under test, without those of libc and its companions. Addresses stand for functions that have
# no name and differ from compiler to compiler.
rules() {
    "$policygen" --print-sites "$@" 2>&1 | awk -v dir="$work/" '
        /^\// { ours = index($0, dir) == 1; next }
        !/^ / { print; next }
        /any\(called through a pointer\)$/ { next } # depends on libc
        /loose syscall .*tail call/ { next } # depends on the name services of the machine
        ours { sub(/^  0x[0-9a-f]+ /, "  - "); print }' | LC_ALL=C sort | uniq
}

check() {
    local source=$1 name build out expected=${1%.*}.expected number=0 result
    name=$(basename "${source%.*}")
    expected=$golden/$name.expected
    while read -r build; do
        number=$((number + 1))
        dir=$work/$name.$number
        out=$dir/program
        mkdir -p "$dir"
        if ! (cd "$golden" && eval "$build") >"$dir/log" 2>&1; then
            echo "not ok $name: $build: does not compile: $(head -1 "$dir/log")"
            failures=1
            return
        fi
        result=$(rules "$out")
        if grep -q 'reasons: ignored' "$source"; then
            result=$(sed -E 's/any\([^)]*\)/any/g' <<<"$result" | LC_ALL=C sort -u)
        fi
        if [ "$result" != "$(cat "$expected")" ]; then
            echo "not ok $name: $build"
            diff "$expected" - <<<"$result" | sed 's/^/  /'
            failures=1
            return
        fi
    done < <(sed -n 's/^.*build: //p' "$source")
    if [ "$number" = 0 ]; then
        echo "not ok $name: no build line"
        failures=1
    else
        echo "ok $name ($number)"
    fi
}

for source in "$golden"/*.c "$golden"/*.s; do
    case $source in
    */lib*) continue ;;
    esac
    if [ $# -eq 0 ] || [[ " $* " == *" $(basename "${source%.*}") "* ]]; then
        check "$source"
    fi
done
exit $failures
