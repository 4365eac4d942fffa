#!/bin/bash
# Attempts to get rid of the protection from inside: unsealing and replacing its pages, writing through /proc, settings that
# would loosen a policy, policies that others could have written, that belong to another build, or that are damaged.
set -uo pipefail
# shellcheck source=tests/hazards/common.sh
. "$(dirname "$0")/../hazards/common.sh"

# ---- memory ----

# all_refused: of the last run of guard; otherwise the attacks that were not.
all_refused() {
    local line pages paths refused
    line=$(tail -n 1 <<<"$output")
    read -r pages paths refused < <(sed -E 's/.*, ([0-9]+) attacks on pages, ([0-9]+) by path, ([0-9]+) refused/\1 \2 \3/' <<<"$line")
    if [[ ${pages:-0} -le 50 || ${paths:-0} -le 50 || $((pages + paths)) != "${refused:-0}" ]]; then
        wrong "$how: $(head -n 12 <<<"$output"); $line"
    fi
}

bare "$programs/guard"
[[ $status = 0 && $output = *", 0 refused" ]] || wrong "$how: $(tail -n 1 <<<"$output")"
shim "$programs/guard"
all_refused
case_ends memory-without-policy

for mode in enforce audit learn; do
    for verdict in deny log allow; do
        make_policy guard "$programs/guard" mode=$mode on_violation=$verdict
        shim PINION_POLICY="$policy" "$programs/guard"
        all_refused
    done
    case_ends "memory-in-mode-$mode"
done

# "off" means off: a policy can say so, its owner wrote it.
make_policy guard "$programs/guard" mode=off
shim PINION_POLICY="$policy" "$programs/guard"
[[ $status = 0 && $output = *", 0 refused" && $(log_kinds) = "" ]] || wrong "$how: $(tail -n 1 <<<"$output"); $(log_kinds)"
case_ends memory-in-mode-off

# ---- settings ----

plain=("$programs/plain" /etc/hostname /etc/passwd)
opened="opened
opened
fine"
denied="opened
Operation not permitted
fine"
make_policy plain "$programs/plain" main:open:path=/etc/hostname
shim PINION_POLICY="$policy" "${plain[@]}"
expect 0 "$denied" "deny open argument"
for mode in off audit learn nonsense ''; do
    shim PINION_POLICY="$policy" PINION_MODE=$mode "${plain[@]}"
    expect 0 "$denied" "deny open argument; log - bad-setting"
done
make_policy audit "$programs/plain" main:open:path=/etc/hostname mode=audit
shim PINION_POLICY="$policy" "${plain[@]}"
expect 0 "$opened" "log open argument"
shim PINION_POLICY="$policy" PINION_MODE=enforce "${plain[@]}"
expect 0 "$denied" "deny open argument"
shim PINION_POLICY="$policy" PINION_MODE=off "${plain[@]}"
expect 0 "$opened" "log - bad-setting; log open argument"
make_policy off "$programs/plain" main:open:path=/etc/hostname mode=off
shim PINION_POLICY="$policy" "${plain[@]}"
expect 0 "$opened"
case_ends mode-is-tightened-never-loosened

make_policy site "$programs/plain" main:open:path=/etc/hostname main:open:mode=audit
shim PINION_POLICY="$policy" "${plain[@]}"
expect 0 "$opened" "log open argument"
make_policy site "$programs/plain" main:open:path=/etc/hostname main:open:verdict=kill
shim PINION_POLICY="$policy" "${plain[@]}"
expect 137 "" "kill open argument"
make_policy site "$programs/plain" main:open:path=/etc/hostname on_violation=kill
shim PINION_POLICY="$policy" "${plain[@]}"
expect 137 "" "kill open argument"
case_ends verdict-of-policy-and-site

# refused REASON DETAIL COMMAND...: the program does not start, and one line tells why.
refused() {
    local reason=$1 detail=$2
    shift 2
    shim "$@"
    expect 137 "" "kill - $reason"
    [ "$(wc -l <"$log")" = 1 ] || wrong "not one line: $(cat "$log")"
    grep -qF "$detail" "$log" || wrong "the line does not say \"$detail\": $(cat "$log")"
}

make_policy owned "$programs/plain"
for mode in 0664 0646 0666; do
    chmod $mode "$policy"
    refused bad-policy "writable by group or others" PINION_POLICY="$policy" "${plain[@]}"
done
chmod 0444 "$policy"
shim PINION_POLICY="$policy" "${plain[@]}"
expect 0 "$opened"
if [ "$(id -u)" = 0 ]; then
    chown 65534 "$policy"
    refused bad-policy "belongs to another user" PINION_POLICY="$policy" "${plain[@]}"
fi
case_ends policy-that-others-can-write

make_policy own "$programs/own_files" "main:creat:path=$work/allowed"
cp "$policy" "$work/kept"
shim PINION_POLICY="$policy" "$programs/own_files" "$policy" "$work/allowed" "$work/other"
expect 0 "write: Operation not permitted
both: Operation not permitted
empty: Operation not permitted
truncate: Operation not permitted
read: done
$work/allowed: done
$work/other: Operation not permitted" "deny creat argument; deny open self-protection; deny truncate self-protection"
cmp -s "$policy" "$work/kept" || wrong "the policy's file has changed"
case_ends policy-that-its-program-changes

# A policy belongs to an executable that is no longer there, too.
cp "$programs/plain" "$work/removed"
make_policy removed "$work/removed" main:open:path=/etc/hostname
stem=${work#/}/removed
cp "$policy" "$work/policies/${stem//\//.}.pinion"
how="with the executable removed"
exec 9<"$work/removed"
rm "$work/removed"
shim PINION_POLICY_DIR="$work/policies" /proc/self/fd/9 "${plain[@]:1}"
exec 9<&-
expect 0 "$denied" "deny open argument"
case_ends policy-of-a-removed-executable

mkfifo "$work/fifo"
: >"$work/empty"
head -c 100000 /dev/zero >"$work/zeros"
refused bad-policy "cannot be opened" PINION_POLICY=/nowhere/at/all "${plain[@]}"
refused bad-policy "not a file" PINION_POLICY="$work/fifo" "${plain[@]}"
refused bad-policy "not a file" PINION_POLICY="$work" "${plain[@]}"
refused bad-policy "size" PINION_POLICY="$work/empty" "${plain[@]}"
refused bad-policy "detail" PINION_POLICY="$work/zeros" "${plain[@]}"
refused bad-setting "PINION_RECORD" PINION_RECORD="$work/zeros" "${plain[@]}"
case_ends policy-that-is-none

# Another build under the same name; another library under the same name.
cp "$programs/plain" "$work/program"
make_policy program "$work/program"
shim PINION_POLICY="$policy" "$work/program"
expect 0 fine
cp "$programs/vfork_exec" "$work/program"
refused stale-policy "$work/program" PINION_POLICY="$policy" "$work/program"
shim PINION_POLICY="$policy" "$programs/vfork_exec"
expect 0 fine
grep -q '"reason":"no-policy"' "$log" || wrong "another program's policy: $(cat "$log")"
case_ends policy-for-another-build

mkdir "$work/modules"
cp "$programs/libreuse_known.so" "$work/modules/libplug.so"
make_policy modules "$programs/address_reuse" --also "$work/modules/libplug.so"
cp "$programs/libreuse_known.so" "$work/known.so"
cp "$programs/libreuse_other.so" "$work/modules/libplug.so"
shim PINION_POLICY="$policy" "$programs/address_reuse" "$work/known.so" "$work/modules/libplug.so" /dev/null
expect 0 "known 20, other 0" "deny open changed-module"
case_ends library-of-another-build

make_policy damaged "$programs/plain" main:open:path=/etc/hostname
bare "$programs/damaged_policy" "$shim" "$policy" "$work/scratch" "${plain[@]}"
expect 0 "cut short: always refused
changed: refused or harmless"
case_ends damaged-policy

exit "$failed"
