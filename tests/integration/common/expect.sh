# shellcheck shell=bash disable=SC2034 # what scripts use
# Sourced by integration scripts: where the product is, a directory that goes away, and checks that are reported one a line.

cd "$(dirname "${BASH_SOURCE[0]}")/../../.." || exit 2
policygen=$PWD/build/policygen pinion=$PWD/build/pinion
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# report NAME STATUS [PROBLEM]: from the exit status of the last check.
report() {
    if [ "$2" = 0 ]; then
        echo "ok $1"
    else
        echo "not ok $1: ${3:-see the script}"
        failed=1
    fi
}

# expect NAME STATUS PATTERN COMMAND...: exit status, and a pattern in what it prints ("!pattern": must not be there).
expect() {
    local name=$1 status=$2 pattern=$3 output got
    shift 3
    output=$(timeout 60 "$@" 2>&1 </dev/null)
    got=$?
    if [ "$got" != "$status" ]; then
        report "$name" 1 "exit status $got, not $status: ${output:0:400}"
    elif [[ $pattern = !* ]]; then
        ! grep -qE -- "${pattern#!}" <<<"$output"
        report "$name" $? "\"${pattern#!}\" is in: ${output:0:400}"
    else
        grep -qE -- "$pattern" <<<"$output"
        report "$name" $? "no \"$pattern\" in: ${output:0:400}"
    fi
}

# until_true COMMAND...: for so many seconds at most; false after that.
until_true() {
    local limit=$((SECONDS + ${patience:-30}))
    until "$@" 2>/dev/null; do
        [ "$SECONDS" -lt "$limit" ] || return 1
        sleep 0.02
    done
}
