# shellcheck shell=bash
# Sourced by tests/integration/hazards_*.sh: running hazard programs with and without the shim, and comparing what
# they print, how they end, and what the log says.

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
root=$PWD
programs=$root/build/tests/hazards
shim=${PINION_LIB:-$root/build/libpinion.so}
policygen=${POLICYGEN:-$root/build/policygen}
work=$(mktemp -d)
log=$work/log
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
failed=0
problem=
reported=' '

for needed in "$shim" "$policygen" "$programs/plain"; do
    [ -e "$needed" ] || { echo "not ok hazards: $needed has not been built"; exit 1; }
done

# ---- reporting ----

skip() {
    echo "skip hazards/$1: $2"
}

# case_ends NAME: everything expected since the last one was met, or the first thing that was not.
case_ends() {
    case $reported in *" $1 "*) echo "not ok hazards/$1: reported twice" ;; esac
    reported+="$1 "
    if [ -z "$problem" ]; then
        echo "ok hazards/$1"
    else
        echo "not ok hazards/$1: ${problem//$'\n'/ | }"
        failed=1
    fi
    problem=
}

wrong() {
    [ -n "$problem" ] || problem=$1
}

# ---- running: both set output, status and, with the shim, log ----

bare() {
    how="without the shim"
    rm -f "$log"
    output=$(timeout 100 env -u LD_PRELOAD "$@" 2>&1 </dev/null)
    status=$?
}

shim() {
    how="with the shim"
    rm -f "$log"
    output=$(timeout 100 env LD_PRELOAD="$shim" PINION_LOG="$log" "$@" 2>&1 </dev/null)
    status=$?
}

# What was refused or noted, each kind once: "verdict api reason; ..."
log_kinds() {
    [ -e "$log" ] || return 0
    jq -r 'select(.verdict != "allow") | "\(.verdict) \(.api // "-") \(.reason)"' "$log" 2>&1 | sort -u |
        sed -z 's/\n/; /g; s/; $//'
}

# expect STATUS OUTPUT [LOG]: of the last run; LOG as log_kinds has it.
expect() {
    [ "$status" = "$1" ] || wrong "$how: status $status, expected $1; output: $output; log: $(log_kinds)"
    [ "$output" = "$2" ] || wrong "$how: output \"$output\", expected \"$2\"; log: $(log_kinds)"
    [ "$(log_kinds)" = "${3:-}" ] || wrong "$how: log \"$(log_kinds)\", expected \"${3:-}\""
}

# Both without and with the shim the program prints this and ends with 0; the log has nothing to say.
expect_both() {
    local expected=$1
    shift
    bare "$@"
    expect 0 "$expected"
    shim "$@"
    expect 0 "$expected"
}

# ---- policies ----

# make_policy NAME PROGRAM [--also PATH] [CHANGE]...: sets $policy. Changes are those of edit_policy.
make_policy() {
    local name=$1 program=$2 stem=${2#/} also=()
    shift 2
    if [ "${1:-}" = --also ]; then
        also=(--also "$2")
        shift 2
    fi
    stem=${stem//\//.}
    policy=$work/policies/$name.pinion
    mkdir -p "$work/policies"
    if ! "$policygen" -o "$work/policies" "${also[@]}" "$program" >"$work/policygen" 2>&1 ||
        ! "$programs/edit_policy" "$work/policies/$stem.policy" "$policy" "$@" >>"$work/policygen" 2>&1; then
        wrong "no policy can be made: $(tail -n 3 "$work/policygen")"
    fi
}
