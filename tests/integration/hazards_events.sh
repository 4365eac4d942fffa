#!/bin/bash
# Events: what a refused call tells the listener, and that no listener, a slow one, a new one or a hostile sender ever
# matters to the program.
set -uo pipefail
# shellcheck source=tests/hazards/common.sh
. "$(dirname "$0")/../hazards/common.sh"

pinion=$root/build/pinion
[ -x "$pinion" ] || { echo "not ok hazards/events: $pinion has not been built"; exit 1; }
socket=$work/run/events
mkdir "$work/run"
listener=
trap '[ -z "$listener" ] || kill -KILL "$listener" 2>/dev/null; rm -rf "$work"' EXIT

# ---- the listener ----

# start_listening [OPTION...]: prints to $work/events.
start_listening() {
    rm -f "$work/told"
    "$pinion" events --socket "$socket" "$@" >"$work/events" 2>"$work/told" </dev/null &
    listener=$!
    until grep -qs listening "$work/told"; do
        kill -0 "$listener" 2>/dev/null || { wrong "no listener: $(cat "$work/told")"; return; }
        sleep 0.01
    done
}

# Ends the listener; it has printed all that lay in its queue.
stop_listening() {
    kill -TERM "$listener"
    wait "$listener" || wrong "the listener ends with status $?: $(cat "$work/told")"
    listener=
}

# received FILTER EXPECTED: of all events.
received() {
    local found
    found=$(jq -c "$1" "$work/events" 2>&1 | paste -sd ' ')
    [ "$found" = "$2" ] || wrong "received $1: \"$found\", expected \"$2\""
}

denials_logged() {
    local count
    count=$(grep -c '"verdict":"deny"' "$log")
    [ "$count" = "$1" ] || wrong "$count lines of $1"
}

storm() {
    shim PINION_EVENTS="$socket" "$programs/event_storm" "$@"
}

# ---- what an event says ----

start_listening --json --count 1
storm 1
expect 0 "" "deny open self-protection"
wait "$listener" || wrong "the listener ends with status $?"
jq -c 'select(.verdict == "deny")' "$log" >"$work/line"
received .api '"open"'
received .verdict '"deny"'
received .reason '"self-protection"'
received .exe "\"$programs/event_storm\""
for key in pid tid build_id exe api reason .site.offset .site.module .site.build_id; do
    [ "$(jq -c ".${key#.}" "$work/line")" = "$(jq -c ".${key#.}" "$work/events")" ] || wrong "$key is not as in the log"
done
received .sender.uid "$(id -u)"
[ "$(jq .sender.pid "$work/events")" = "$(jq .pid "$work/line")" ] || wrong "the sender is another process"
[ ! -e "$socket" ] || wrong "the listener leaves its socket behind"
case_ends event-of-a-refused-call

make_policy named "$programs/open_named" main:open:path=/nowhere/at/all
start_listening --json
printf /etc/passwd | env LD_PRELOAD="$shim" PINION_LOG="$log" PINION_EVENTS="$socket" PINION_POLICY="$policy" "$programs/open_named" >/dev/null 2>&1
make_policy named "$programs/open_named" mode=audit main:open:path=/nowhere/at/all
printf /etc/passwd | env LD_PRELOAD="$shim" PINION_LOG="$log" PINION_EVENTS="$socket" PINION_POLICY="$policy" "$programs/open_named" >/dev/null 2>&1
make_policy named "$programs/open_named" on_violation=kill main:open:path=/nowhere/at/all
printf /etc/passwd | env LD_PRELOAD="$shim" PINION_LOG="$log" PINION_EVENTS="$socket" PINION_POLICY="$policy" "$programs/open_named" >/dev/null 2>&1
stop_listening
received '[.verdict, .api, .reason]' '["deny","open","argument"] ["kill","open","argument"]'
case_ends events-in-mode-enforce-alone

start_listening --json
storm 1 fork
expect 0 "" "deny open self-protection"
stop_listening
received .verdict '"deny" "deny"'
[ "$(jq .pid "$work/events" | sort -u | wc -l)" = 2 ] || wrong "not of two processes"
case_ends events-of-parent-and-child

# ---- listeners that are not there, come late, go, or are slow ----

rm -f "$socket"
storm 100
expect 0 "" "deny open self-protection"
denials_logged 100
shim PINION_EVENTS="$work/nowhere/events" "$programs/event_storm" 1
expect 0 "" "deny open self-protection"
shim PINION_EVENTS= "$programs/event_storm" 1
expect 0 "" "deny open self-protection"
shim PINION_EVENTS=run/events "$programs/event_storm" 1
expect 0 "" "deny open self-protection; log - bad-setting"
shim PINION_EVENTS="/$(printf 'x%.0s' {1..200})" "$programs/event_storm" 1
expect 0 "" "deny open self-protection; log - bad-setting"
: >"$work/run/file"
shim PINION_EVENTS="$work/run/file" "$programs/event_storm" 1
expect 0 "" "deny open self-protection"
[ ! -s "$work/run/file" ] || wrong "an event was written into a file"
case_ends no-listener

# A program that has started and waits for a byte.
mkfifo "$work/ready" "$work/go"
exec 8<>"$work/ready" 9<>"$work/go"
begin_waiting() {
    env LD_PRELOAD="$shim" PINION_LOG="$log" PINION_EVENTS="$socket" "$programs/event_storm" 1 wait >&8 <&9 &
    waiting=$!
    read -r _ <&8
}

let_go() {
    echo >&9
    wait "$waiting" || wrong "the program ends with status $?"
}

rm -f "$socket"
begin_waiting
start_listening --json
let_go
stop_listening
received .verdict '"deny"'
start_listening --json
begin_waiting
stop_listening
start_listening --json
let_go
stop_listening
received .verdict '"deny"'
case_ends listener-comes-late-or-again

start_listening --json
kill -STOP "$listener"
storm 3000
expect 0 "" "deny open self-protection"
denials_logged 3000
kill -CONT "$listener"
stop_listening
count=$(wc -l <"$work/events")
[[ $count -ge 1 && $count -lt 3000 ]] || wrong "$count events of a queue that was full"
case_ends queue-is-full

# ---- descriptors, filters, signals ----

start_listening --json
storm 1 daemon
expect 0 "" "deny open self-protection"
stop_listening
received .verdict '"deny"'
case_ends event-after-closing-all-descriptors

for listening in yes no; do
    rm -f "$socket"
    [ $listening = no ] || start_listening --json
    storm 5 reuse "$work/file"
    [ "$status" = 0 ] || wrong "status $status: $output"
    [ ! -s "$work/file" ] || wrong "something was written into the program's own file"
    storm 3 filter
    expect 0 "" "deny open self-protection"
    [ $listening = no ] || stop_listening
    case_ends "event-and-descriptors-reused-or-filter-listener-$listening"
done
[ "$(jq -c .verdict "$work/events" | sort | uniq -c | tr -s ' ')" = ' 8 "deny"' ] || wrong "not eight events: $(cat "$work/events")"
case_ends events-within-a-filter

start_listening --json
storm 3000 signals
expect 0 "" "deny open self-protection"
stop_listening
! grep -q refused "$work/told" || wrong "$(cat "$work/told")"
case_ends events-in-signal-handlers

# ---- the listener's own hazards ----

start_listening --json
output=$("$programs/send_event" "$socket")
[ -z "$output" ] || wrong "$output"
find "/proc/$listener/fd" -lname 'socket:*' >"$work/sockets"
stop_listening
[ "$(wc -l <"$work/sockets")" = 1 ] || wrong "the listener keeps descriptors that a sender passed on"
received .exe '"/bin/\u001b[2J\n\"x\\xff"'
[ "$(grep -c 'refused: it' "$work/told")" -ge 6 ] || wrong "what is refused is not told: $(cat "$work/told")"
start_listening --count 1
"$programs/send_event" "$socket"
wait "$listener" || wrong "the listener ends with status $?"
listener=
! grep -q $'\x1b' "$work/events" || wrong "control characters reach the terminal"
case_ends hostile-datagrams

cat >"$work/db" <<END
format = 1; top = 5;
entries = ( { name = "shell"; cve = "CVE-2014-6271"; recordings = ( { signature = "$(printf 'read\n' | sha256sum | cut -c1-64)";
    top = [ "read" ]; never_seen = [ ]; risen = [ "execve 100", "pipe 100" ]; } ); } );
END
start_listening --json --count 1 --db "$work/db"
"$programs/send_event" "$socket"
wait "$listener" || wrong "the listener ends with status $?"
received '[.answer, .name, .candidates[0].cve]' '["named","shell","CVE-2014-6271"]'
case_ends event-is-looked-up

start_listening --json
"$pinion" events --socket "$socket" --count 1 >"$work/output" 2>&1
[[ $? = 2 && $(cat "$work/output") = *"another process does"* ]] || wrong "a second listener: $(cat "$work/output")"
kill -KILL "$listener"
wait "$listener" 2>/dev/null
start_listening --json
stop_listening
: >"$work/run/plain"
"$pinion" events --socket "$work/run/plain" >"$work/output" 2>&1
[[ $? = 2 && $(cat "$work/output") = *"not a socket"* && -e $work/run/plain ]] || wrong "a file in the way: $(cat "$work/output")"
timeout 10 "$pinion" events --socket "$work/nowhere/socket" >"$work/output" 2>&1
[[ $? = 2 && $(cat "$work/output") = *"\"$work/nowhere\" is not there: make it"* && ! -e $work/nowhere ]] ||
    wrong "no directory: $(cat "$work/output")"
case_ends listener-and-what-is-in-its-way

exit "$failed"
