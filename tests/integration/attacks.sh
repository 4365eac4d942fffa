#!/bin/bash
# Every attack of samples/vulnerable, twice: without Pinion it succeeds; with Pinion it is stopped by the rule that is meant
# to stop it, and the server serves on where the verdict is deny and is gone, status 137, where it is kill.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
root=$PWD
export PINION_LIB=${PINION_LIB:-$root/build/libpinion.so}
export POLICYGEN=${POLICYGEN:-$root/build/policygen} PINION=${PINION:-$root/build/pinion}
sample=$root/samples/vulnerable
directory=$root/build/samples
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

ok() {
    echo "ok attacks/$1"
}

not_ok() {
    echo "not ok attacks/$1: $2"
    failed=1
}

# ATTACK      VERDICT  API  REASON...           the line of the log that must be there; "succeeds" for a limit
expectations() {
    cat <<'END'
command-injection       deny popen    argument
path-traversal          deny open     argument
arbitrary-upload        deny open     argument
module-loading          deny dlopen   argument
function-pointer        deny system   unknown-site
function-pointer-reuse  deny execve   argument
stack-overflow          kill system   stack-not-after-call
return-into-stub        kill execve   stack-not-after-call
return-to-data          kill execve   stack-not-code
wrong-site              kill execve   stack-wrong-callee
wrong-frame             kill execve   stack-wrong-callee
pivoted-stack           kill execve   stack-pivot
code-in-data            deny execve   anonymous-code
writable-code           deny mprotect argument
unseal-protect          deny mprotect self-protection
unseal-discard          deny madvise  self-protection
unseal-replace          deny mmap     self-protection
unseal-unmap            deny munmap   self-protection
unseal-proc             deny open     self-protection
secret-in-site          succeeds
libc-past-the-stubs     succeeds
END
}

# protected COMMAND...: the command line that runs a program under the sample's policy, logging to the file $log.
protected() {
    echo "env LD_PRELOAD=$PINION_LIB PINION_POLICY_DIR=$directory/policy PINION_LOG=$log $*"
}

# Sets `outcome` to the attack's line, without the name.
attack() {
    outcome=$("$sample/attack" --program "$directory/server" --server "$2" "$1" 2>&1)
    outcome=${outcome#"$1: "}
}

# What the log says of refused calls: "verdict api reason", one a line.
refusals() {
    [ -e "$log" ] || return 0
    jq -r 'select(.verdict == "deny" or .verdict == "kill") | "\(.verdict) \(.api) \(.reason)"' "$log" 2>&1
}

succeeds_unprotected() {
    attack "$1" "$directory/server"
    [[ $outcome = succeeded* ]] || { not_ok "$1" "does not succeed without Pinion: $outcome"; return 1; }
}

is_stopped() {
    local name=$1 verdict=$2 api=$3 reason=$4 fate
    attack "$name" "$(protected "$directory/server")"
    case $verdict in
    deny) fate="stopped; the server still serves" ;;
    kill) fate="stopped; the server is gone (status 137)" ;;
    esac
    if [ "$outcome" != "$fate" ]; then
        not_ok "$name" "expected \"$fate\", got \"$outcome\"; log: $(refusals | sort | uniq -c | tr '\n' ';')"
    elif ! refusals | grep -x "$verdict $api $reason" >/dev/null; then
        not_ok "$name" "the log has no \"$verdict $api $reason\" but: $(refusals | sort | uniq -c | tr '\n' ';')"
    elif refusals | grep -vx "$verdict $api $reason" >/dev/null; then
        not_ok "$name" "the log has more than the attack: $(refusals | sort | uniq -c | tr '\n' ';')"
    else
        ok "$name"
    fi
}

is_a_limit() {
    attack "$1" "$(protected "$directory/server")"
    if [[ $outcome = succeeded* ]]; then ok "$1"; else
        not_ok "$1" "no longer a limit? it was stopped: $(refusals | tr '\n' ';'): say so in the README"
    fi
}

# The ordinary use of the server, under its policy, refuses nothing.
serves_visitors() {
    local server url
    log=$work/ordinary.log
    : >"$work/output"
    # shellcheck disable=SC2046 # the words of the command
    $(protected "$directory/server") 0 >"$work/output" &
    server=$!
    for _ in {1..100}; do
        grep -q '^listening on ' "$work/output" && break
        sleep 0.05
    done
    url=http://$(sed -n 's/^listening on //p' "$work/output")
    if ! "$sample/use.sh" "$url" "$directory" 2>"$work/use"; then
        not_ok ordinary-use "$(<"$work/use"); log: $(refusals | tr '\n' ';')"
    elif [ -n "$(refusals)" ]; then
        not_ok ordinary-use "refused: $(refusals | tr '\n' ';')"
    else
        ok ordinary-use
    fi
    kill "$server"
    wait "$server" 2>/dev/null
}

for needed in "$PINION_LIB" "$POLICYGEN" "$PINION"; do
    [ -e "$needed" ] || { echo "skip attacks: $needed has not been built"; exit 0; }
done
"$sample/build.sh" "$directory" || { not_ok build "the vulnerable server cannot be built"; exit 1; }
if ! "$sample/protect.sh" "$directory" >"$work/protect" 2>&1; then
    not_ok policy "$(tail -n 3 "$work/protect" | tr '\n' ';')"
    exit 1
fi

serves_visitors
while read -r name verdict api reason; do
    log=$work/$name.log
    succeeds_unprotected "$name" || continue
    if [ "$verdict" = succeeds ]; then is_a_limit "$name"; else is_stopped "$name" "$verdict" "$api" "$reason"; fi
done < <(expectations)
for name in $("$sample/attack" --list | cut -d' ' -f1); do
    expectations | grep "^$name " >/dev/null || not_ok "$name" "has no expectation here"
done
exit "$failed"
