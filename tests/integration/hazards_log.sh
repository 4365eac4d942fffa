#!/bin/bash
# The log: no line of it reaches a file or client of the program, it never blocks, and every line is JSON whatever the
# program was made to pass.
set -uo pipefail
# shellcheck source=tests/hazards/common.sh
. "$(dirname "$0")/../hazards/common.sh"

# ---- where lines go ----

for way in loop range dup2; do
    # With a file of its own as the log, and with standard error, which here is a file, a pipe, or closed.
    shim "$programs/descriptors" "$work/file" $way
    [ "$status $output" = "0 " ] || wrong "log in a file: status $status, $output"
    how="log on standard error"
    env LD_PRELOAD="$shim" "$programs/descriptors" "$work/file" $way 2>"$work/errors" </dev/null
    status=$?
    [ $status = 0 ] || wrong "$how, a file: status $status"
    env LD_PRELOAD="$shim" "$programs/descriptors" "$work/file" $way 2> >(cat >/dev/null) </dev/null
    status=$?
    [ $status = 0 ] || wrong "$how, a pipe: status $status"
    env LD_PRELOAD="$shim" "$programs/descriptors" "$work/file" $way 2>&- </dev/null
    status=$?
    [ $status = 0 ] || wrong "$how, closed: status $status"
    case_ends "log-and-descriptors-reused-$way"
done

# Not closed, the log has all ten lines; the file is the shim's own doing, readable by its owner alone, and no link is followed.
rm -f "$log"
shim "$programs/plain"
[ "$(stat -c %a "$log")" = 600 ] || wrong "the log has mode $(stat -c %a "$log")"
ln -s "$work/elsewhere" "$work/link"
how="log through a symbolic link"
output=$(env LD_PRELOAD="$shim" PINION_LOG="$work/link" "$programs/plain" 2>&1)
status=$?
# The program may have fewer rights than the one that set the variable: it runs, and standard error hears of it.
[[ $status = 0 && $output = *'"reason":"bad-setting"'* && ! -e $work/elsewhere ]] || wrong "$how: status $status, $output"
case_ends log-file

# What daemons do at their start: close all that they have not opened themselves.
shim "$programs/descriptors" "$work/file" daemon
expect 0 "" "deny open self-protection"
case_ends log-after-closing-all-descriptors

if [ "$(id -u)" = 0 ]; then
    : >"$work/private"
    chmod 600 "$work/private"
    cp "$shim" "$programs/plain" "$work"
    how="a log of another user"
    output=$(setpriv --reuid 65534 --regid 65534 --clear-groups env LD_PRELOAD="$work/${shim##*/}" PINION_LOG="$work/private" "$work/plain" 2>&1)
    status=$?
    [[ $status = 0 && $output = *'"reason":"bad-setting"'*fine ]] || wrong "$how: status $status, $output"
    case_ends log-of-another-user
else
    skip log-of-another-user "needs root"
fi

# A line that cannot be written must not end the program by a signal.
for gone in pipe limit; do
    # shellcheck disable=SC2016 # for the inner shell
    case $gone in
    pipe) status=$(env LD_PRELOAD="$shim" bash -c '"$1" 2> >(exit) >/dev/null; echo $?' - "$programs/plain" 2>/dev/null) ;;
    limit) status=$(ulimit -f 0 && env LD_PRELOAD="$shim" PINION_LOG="$work/limited" "$programs/plain" 2>&1 | cat >/dev/null; echo "${PIPESTATUS[0]}") ;;
    esac
    [ "$status" = 0 ] || wrong "a log that takes nothing ($gone): status $status"
done
case_ends log-that-takes-nothing

# ---- a log that nobody reads ----

output=$(timeout 60 env LD_PRELOAD="$shim" "$programs/log_flood" 2>/dev/null)
status=$?
[ $status = 0 ] || wrong "status $status"
bad=$(jq -c 'empty' <<<"$output" 2>&1)
[ -z "$bad" ] || wrong "a line is no JSON: $bad"
lines=$(grep -c '"verdict":"deny"' <<<"$output")
dropped=$(jq -n '[inputs | .dropped // 0] | add' <<<"$output")
[ $((lines + dropped)) = 3001 ] || wrong "$lines lines and $dropped dropped are not 3001"
[ "$dropped" -gt 1000 ] || wrong "only $dropped dropped: the pipe was not full"
[ "$(tail -n 1 <<<"$output" | jq .seq)" -gt 3000 ] || wrong "the sequence has no gap: $(tail -n 1 <<<"$output")"
case_ends log-pipe-is-full

# ---- any bytes ----

make_policy named "$programs/open_named" main:open:path=/nowhere/at/all
# logged BYTES EXPECTED: the line for a path of these bytes, and the path as the line has it.
logged() {
    local text
    rm -f "$log"
    printf '%s' "$1" | env LD_PRELOAD="$shim" PINION_LOG="$log" PINION_POLICY="$policy" "$programs/open_named" >"$work/output" 2>&1
    [ "$(cat "$work/output")" = "Operation not permitted" ] || wrong "not refused: $(cat "$work/output")"
    [ "$(wc -l <"$log")" = 1 ] || wrong "not one line: $(cat -v "$log")"
    [ "$(wc -c <"$log")" -le 4096 ] || wrong "a line of $(wc -c <"$log") bytes"
    LC_ALL=C grep -q '[^ -~]' < <(tr -d '\n' <"$log" | iconv -f UTF-8 -t ASCII//TRANSLIT 2>&1) && wrong "control bytes: $(cat -v "$log")"
    python3 -m json.tool "$log" >/dev/null 2>"$work/errors" || wrong "no JSON: $(cat "$work/errors"): $(cat -v "$log")"
    text=$(jq -r .args.path "$log")
    [ "$text" = "$2" ] || wrong "path is \"$(cat -v <<<"$text")\", expected \"$(cat -v <<<"$2")\""
}

logged plain plain
logged $'"quoted\\" {"verdict":"allow"}' $'"quoted\\" {"verdict":"allow"}'
logged $'line\nbreak\r\ttab\x01\x1b[31m' $'line\nbreak\r\ttab\x01\x1b[31m'
logged $'caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80' $'caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80'
logged $'\xff\xfe' $'\u00ff\u00fe'
logged $'cut \xe2\x82' $'cut \u00e2\u0082'
logged $'long \xc0\xaf \xe0\x80\xaf' $'long \u00c0\u00af \u00e0\u0080\u00af'
logged $'half \xed\xa0\x80' $'half \u00ed\u00a0\u0080'
logged $'beyond \xf4\x90\x80\x80' $'beyond \u00f4\u0090\u0080\u0080'
logged $'\x7f' $'\x7f'
case_ends log-with-any-bytes

long=$(head -c 3000 /dev/zero | tr '\0' x)
logged "$long" "${long:0:256}... (3000 bytes)"
ugly=$(printf '%s' "$long" | tr x '\001')
logged "$ugly" "${ugly:0:256}... (3000 bytes)"
ugly=$(printf '%s' "$long" | sed 's/x/\xff/g')
logged "${ugly:0:1500}" "$(printf '\u00ff%.0s' {1..256})... (1500 bytes)"
case_ends log-with-long-arguments

exit "$failed"
