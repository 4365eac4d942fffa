#!/bin/bash
# The patch helper at its socket: what it makes of events, lies, floods and being killed. Nothing is patched here.
set -uo pipefail
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh"
for needed in jq sqlite3; do
    command -v $needed >/dev/null || { echo "skip patchd: $needed is not installed"; exit 0; }
done
storm=$PWD/build/tests/hazards/event_storm send=$PWD/build/tests/hazards/send_event shim=$PWD/build/libpinion.so
samples=$PWD/samples
helper=
trap '[ -z "$helper" ] || kill -KILL "$helper" 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 2
mkdir recipes run
pin=$("$pinion" recipe key -o key.pem 2>/dev/null)
identity=$(readelf -n "$storm" | awk '/Build ID/ { print $3 }')

# configure MODE [LINE]: the hook notes state and incident.
configure() {
    cat >conf <<END
mode = "$1";
socket = "$work/run/events";
state = "$work/state";
recipes = "$work/recipes";
keys = [ "$pin" ];
hook = "$work/hook";
metrics = "$work/metrics.prom";
${2:-}
END
}
cat >hook <<END
#!/bin/sh
read -r line
printf '%s %s\n' "\$1" "\$line" >>"$work/hooked"
END
chmod 755 hook

start() {
    : >told
    "$pinion" patchd --config conf >/dev/null 2>>told </dev/null &
    helper=$!
    until grep -qs 'listening on' told; do
        kill -0 "$helper" 2>/dev/null || return 1
        sleep 0.01
    done
}

stop() {
    kill -"${1:-TERM}" "$helper"
    wait "$helper"
    local status=$?
    helper=
    return $status
}

incidents() {
    "$pinion" incidents --config conf --json 2>/dev/null | jq -c "$1"
}

are() {
    [ "$(incidents "$1")" = "$2" ]
}

# A program that breaks its policy once and lives on; `let_go` ends it.
mkfifo ready go
exec 8<>ready 9<>go
violate() {
    env LD_PRELOAD="$shim" PINION_LOG=/dev/null PINION_EVENTS="$work/run/events" "$storm" 1 stay >&8 <&9 &
    read -r _ <&8
}

let_go() {
    echo >&9
    wait $!
}

# ---- starts that are refused ----

configure auto
chmod 666 conf
expect patchd/others-may-write 2 'conf.*writ' timeout 10 "$pinion" patchd --config conf
chmod 644 conf
sed 's/keys = .*/keys = [];/' conf >keyless
expect patchd/auto-without-keys 2 'key' timeout 10 "$pinion" patchd --config keyless
expect patchd/no-configuration 2 'nowhere' timeout 10 "$pinion" patchd --config nowhere
expect patchd/no-configuration-to-answer 2 'nowhere' "$pinion" patch approve --config nowhere 1
sed 's|^hook = .*|hook = "/nowhere/at/all";|; $a signatures = "/nowhere/at/all";' conf >hookless
expect patchd/lost-hook 2 'hook = "/nowhere/at/all": No such file' timeout 10 "$pinion" patchd --config hookless
sed '$a signatures = "/nowhere/at/all";' conf >lost
expect patchd/lost-database 2 'database "/nowhere/at/all"' timeout 10 "$pinion" patchd --config lost
install -m 644 "$samples/patchd/patchd.conf" sample.conf
expect patchd/sample-configuration 0 '' "$pinion" recipe list --config sample.conf recipes
sed 's/^# \([a-z]* = \)/\1/' sample.conf >whole.conf
expect patchd/sample-configuration-in-full 0 '' "$pinion" recipe list --config whole.conf recipes
start
report patchd/starts $? "$(cat told)"
expect patchd/two-helpers 2 'another patchd' timeout 10 "$pinion" patchd --config conf
[ -S run/events ]
report patchd/second-leaves-the-socket $?

# ---- lies and floods ----

"$send" "$work/run/events"
until_true are '[.incidents[] | [.state, .claim != "good"]]' '[["ignored",true]]'
report patchd/forged-event-is-no-order $? "$(incidents .)"
# Counted once a second; the metrics are written when there is something to report.
# shellcheck disable=SC2317 # called by until_true
malformed_are_counted() {
    "$pinion" patch report --config conf 1 && grep -q 'malformed.* 17$' metrics.prom
}
until_true malformed_are_counted
report patchd/malformed-are-counted $? "$(cat metrics.prom)"
env LD_PRELOAD="$shim" PINION_LOG=/dev/null PINION_EVENTS="$work/run/events" "$storm" 50000
kill -0 "$helper"
report patchd/outlives-a-flood $? "$(tail -n 3 told)"
count=$(incidents '.incidents | length')
[ "$count" -le 4 ]
report patchd/flood-is-one-incident $? "$count incidents"
stop
report patchd/ends-by-signal $? "$(tail -n 1 told)"
[ ! -e run/events ]
report patchd/leaves-no-socket $?
rm -rf state hooked

# ---- modes ----

"$pinion" recipe new --name fix --summary 'A fix' --cve CVE-2022-3602 --package pinion-not-there --fixed 999:9 -o recipes/fix.recipe
sed -i "s/^answers = {/&\n    violations = ( { module = \"$identity\"; api = \"open\"; } );/" recipes/fix.recipe
"$pinion" recipe sign --key key.pem recipes/fix.recipe 2>/dev/null
configure notify
start
violate
until_true are '[.incidents[] | [.state, .claim, .recipe]]' '[["notified","good","fix"]]'
report patchd/notify-tells $? "$(incidents .)"
let_go
until_true grep -qs '^notified {.*"recipe": *"fix"' hooked
report patchd/hook-is-told $? "$(cat hooked 2>&1)"
expect patchd/unknown-incident 2 'no incident 77' "$pinion" patch approve --config conf 77
expect patchd/reject 0 'rejected' "$pinion" patch reject --config conf 1
expect patchd/no-second-answer 2 'waits for no answer: it is rejected' "$pinion" patch approve --config conf 1

# Read anew while it runs, and not when it is no good.
echo 'mode = "sometimes";' >conf.bad
cp conf conf.good
cp conf.bad conf
kill -HUP "$helper"
until_true grep -q 'stays as it was.*sometimes' told
report patchd/bad-configuration-is-not-taken $? "$(tail -n 1 told)"
configure ask
kill -HUP "$helper"
until_true grep -q 'was read anew' told
report patchd/configuration-is-read-anew $? "$(tail -n 1 told)"
violate
until_true are '[.incidents[] | select(.id == 2) | [.state, (.detail | test("incident 1"))]]' '[["ignored",true]]'
report patchd/no-holds-for-the-recipe $? "$(incidents .)"
let_go
are '[.incidents[] | select(.id == 1) | .state]' '["rejected"]' && grep -q '^rejected ' hooked
report patchd/no-is-told $? "$(cat hooked)"
"$pinion" incidents --config conf show 1 | grep 'person .*rejected, user ' >/dev/null
report patchd/who-said-no $?
stop
rm -rf state
start
violate
until_true are '[.incidents[].state]' '["waiting"]'
report patchd/ask-waits $? "$(incidents .)"
let_go

# As of a program that ended before it could be looked at: then nobody knows its container, and it is never our own root.
sqlite3 state/journal "UPDATE incident SET root = NULL"
expect patchd/unknown-container-is-not-ours 2 'container .* is not known' "$pinion" patch approve --config conf 1
sqlite3 state/journal "UPDATE incident SET root = ''"

# ---- killed ----

stop KILL 2>/dev/null
are '[.incidents[].state]' '["waiting"]'
report patchd/nothing-is-lost $? "$(incidents .)"
# As if it had been killed between taking the event and deciding on it.
sqlite3 state/journal 'UPDATE incident SET state = "received", detail = NULL'
start
until_true are '[.incidents[] | [.state, .recipe]]' '[["waiting","fix"]]'
report patchd/decides-what-was-left $? "$(incidents .)"

# Between a person's approval and the execution the recipe is replaced, under the same serial: he is asked again.
stop
expect patchd/approve-while-it-is-away 0 'approved' "$pinion" patch approve --config conf 1
sed -i 's/^summary = .*/summary = "Another fix";/' recipes/fix.recipe
"$pinion" recipe sign --key key.pem recipes/fix.recipe 2>/dev/null
approved=$(incidents '.incidents[0].digest' | tr -d '"')
start
until_true are '[.incidents[] | [.state, (.detail | test("another text .serial [0-9]*. than was approved"))]]' '[["waiting",true]]'
report patchd/approved-was-another-text $? "$(incidents .)"
"$pinion" incidents --config conf show 1 | grep 'recipe .*failed.*another text' >/dev/null
report patchd/another-text-stands-in-the-journal $?
expect patchd/approve-anew 0 'approved' "$pinion" patch approve --config conf 1
until_true are '[.incidents[].state]' '["ignored"]'
now=$(incidents '.incidents[0].digest' | tr -d '"')
[ "$now" != "$approved" ] && [ "$now" = "$(tail -n +2 recipes/fix.recipe | sha256sum | cut -d' ' -f1)" ]
report patchd/the-text-is-named $? "$now"
sqlite3 state/journal 'UPDATE incident SET state = "waiting"'

# Approved beside it: the package is not on this machine, so there is nothing to do.
expect patchd/approve 0 'approved' "$pinion" patch approve --config conf 1
until_true are '[.incidents[] | [.state, .detail != null]]' '[["ignored",true]]'
report patchd/approved-is-taken-up $? "$(incidents .)"
stop

# A patch that replaces what the helper itself runs.
mkdir libraries
library=$(ldd "$pinion" | awk '$1 ~ /^libjansson/ { print $3 }')
cp "$library" libraries/
sqlite3 state/journal 'UPDATE incident SET state = "waiting"'
export LD_LIBRARY_PATH=$work/libraries
start
unset LD_LIBRARY_PATH
cp "$library" new
mv new "libraries/${library##*/}"
grep -q 'libjansson.*(deleted)' "/proc/$helper/maps"
report patchd/runs-what-was-replaced $?
expect patchd/approve-the-last 0 'approved' "$pinion" patch approve --config conf 1
until_true are '[.incidents[].state]' '["ignored"]'
# shellcheck disable=SC2317 # called by until_true
runs_new_code() {
    [ "$(grep -c 'listening on' told)" = 2 ] && ! grep -q '(deleted)' "/proc/$helper/maps"
}
until_true runs_new_code
report patchd/starts-anew-when-its-own-code-was-replaced $? "$(cat told)"
stop
report patchd/is-the-same-process $?
exit $failed
