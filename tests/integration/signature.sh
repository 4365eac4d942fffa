#!/bin/bash
# Signatures as a user meets them: attacks are learned from recordings, looked up in others, and told to be ambiguous or
# unknown where they are.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2

pinion=$PWD/build/pinion
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
problem=
[ -x "$pinion" ] || { echo "not ok signature: $pinion is not built"; exit 1; }
command -v jq >/dev/null || { echo "skip signature: jq is not installed"; exit 0; }

wrong() {
    [ -n "$problem" ] || problem=$1
}

case_ends() {
    if [ -z "$problem" ]; then
        echo "ok signature/$1"
    else
        echo "not ok signature/$1: ${problem//$'\n'/ | }" | cut -c1-600
        failed=1
    fi
    problem=
}

# run STATUS ARGUMENT...: of pinion; keeps what it prints.
run() {
    local expected=$1 status
    shift
    output=$(timeout 60 "$pinion" "$@" 2>&1 </dev/null)
    status=$?
    [ $status = "$expected" ] || wrong "status $status instead of $expected of $*: $output"
}

says() {
    local text
    for text; do
        [[ $output == *"$text"* ]] || wrong "does not say \"$text\": $output"
    done
}

# recording SEED ROWS [ATTACK]: a server's ordinary intervals; an attack in three of the last ones: "shell" starts programs,
# "back" connects, "code" makes memory executable.
recording() {
    awk -v seed="$1" -v rows="$2" -v attack="${3:-}" 'BEGIN {
        srand(seed)
        print "read,write,close,accept,poll,execve,pipe,dup2,socket,connect,mprotect,mmap"
        for (i = 1; i <= rows; i++) {
            load = 40 + int(20 * rand())
            late = i > rows - 20 && i <= rows - 17
            shell = attack == "shell" && late ? 6 + int(4 * rand()) : 0
            back = attack == "back" && late ? 6 + int(4 * rand()) : 0
            code = attack == "code" && late ? 20 + int(10 * rand()) : 0
            printf "%d,%d,%d,%d,%d,%d,%d,%d,%d,%d,%d,%d\n", 3 * load, 2 * load + int(3 * rand()), load + shell,
                load, load + int(5 * rand()), shell, shell, 3 * shell, back, back, code, code
        }
    }'
}

recording 1 900 >"$work/normal.csv"
for attack in shell back code; do
    for seed in 2 3; do
        recording $seed 200 $attack >"$work/$attack$seed.csv"
    done
done
run 0 train --output "$work/model" "$work/normal.csv"
case_ends model

run 0 signature --model "$work/model" "$work/shell2.csv"
says "never seen in training: dup2, execve, pipe" "rose most: dup2 100%" "most frequent: read, "
run 0 signature --model "$work/model" --json "$work/shell2.csv"
top=$(jq -r '.alarms[-1].top[]' <<<"$output")
[ "$(jq -r '.alarms[-1].signature' <<<"$output")" = "$(sha256sum <<<"$top" | cut -d' ' -f1)" ] ||
    wrong "the signature is not the digest of the names: $output"
run 0 signature --model "$work/model" --json --top 2 "$work/shell2.csv"
[ "$(jq -c '.alarms[-1].top' <<<"$output")" = '["read","write"]' ] || wrong "not two names: $output"
case_ends signature-of-a-recording

run 0 signature learn --db "$work/db" --model "$work/model" --name shell --cve CVE-2014-6271 --package bash "$work/shell2.csv"
says "shell: 1 recorded, 1 of them new"
run 0 signature learn --db "$work/db" --model "$work/model" --name back "$work/back2.csv"
run 0 signature learn --db "$work/db" --model "$work/model" --name shell "$work/shell2.csv"
says "shell: 1 recorded, 0 of them new"
run 0 signature list --db "$work/db"
says "shell, CVE-2014-6271, package bash: 1 recorded" "back: 1 recorded"
run 0 signature lookup --db "$work/db" --model "$work/model" --json "$work/shell3.csv"
[ "$(jq -r '.alarms[-1] | .answer, .name, .candidates[0].package' <<<"$output" | paste -sd ' ')" = "named shell bash" ] ||
    wrong "not named: $output"
run 0 signature lookup --db "$work/db" --model "$work/model" "$work/back3.csv"
says "named with confidence" "back: similarity"
run 1 signature lookup --db "$work/db" --model "$work/model" "$work/code2.csv"
says "unknown"
case_ends attacks-are-known-again

run 0 signature learn --db "$work/db" --model "$work/model" --name other "$work/shell3.csv"
recording 4 200 shell >"$work/shell4.csv"
run 1 signature lookup --db "$work/db" --model "$work/model" --json --top 5 "$work/shell4.csv"
[ "$(jq -r '.alarms[-1] | .answer, .name, (.candidates | length)' <<<"$output" | paste -sd ' ')" = "ambiguous null 2" ] ||
    wrong "not ambiguous: $output"
case_ends two-of-a-kind-are-ambiguous

run 0 signature learn --db "$work/db" --model "$work/model" --name shell "$work/shell4.csv"
cp "$work/db" "$work/before"
(head -n 1 "$work/normal.csv"; yes 150,101,50,50,52,0,0,0,0,0,0,0 | head -n 10) >"$work/calm.csv"
run 1 signature learn --db "$work/db" --model "$work/model" --name quiet "$work/calm.csv"
says "nothing to learn from"
run 2 signature learn --db "$work/db" --model "$work/model" --name shell --cve CVE-2000-0001 "$work/shell2.csv"
says 'has the CVE "CVE-2014-6271"' "change it there"
run 2 signature learn --db "$work/db" --model "$work/model" "$work/shell2.csv"
run 2 signature lookup --db "$work/db" --model "$work/model" --top 3 "$work/shell2.csv"
says "are of 5 calls"
run 2 signature list --db "$work/nowhere"
says "cannot read signatures"
cmp -s "$work/db" "$work/before" || wrong "a failed command changed the database"
sed -i '6s/{/{ nmae = "x";/' "$work/db"
run 2 signature list --db "$work/db"
says 'line 6: unknown key "nmae" (did you mean "name"?)'
run 2 signature lokup --db "$work/db" --model "$work/model"
says '"lokup" is neither an action (lookup, learn, list) nor a file'
case_ends mistakes-change-nothing

exit "$failed"
