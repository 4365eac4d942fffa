#!/bin/bash
# Anomalies, live: a server is recorded at its ordinary work and a model trained; then, with the model, ordinary work by other
# numbers of clients raises no alarm, and attacks do: which, how soon, under what name. And what becomes of models that are
# none, of a page that somebody scribbles over, and of alarms in processes that are gone a moment later.
# shellcheck disable=SC2317 # much is called by name, through until_true
set -uo pipefail
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh"

root=$PWD
shim=${PINION_LIB:-$root/build/libpinion.so}
visitors=$root/tests/integration/common/visitors
sample=$root/samples/vulnerable
site=$root/build/samples/vulnerable
log=$work/log
socket=$work/run/events
events=$work/events
running=()
unset PINION_COUNTS PINION_INTERVAL PINION_MODEL PINION_EVENTS LD_PRELOAD

finish() {
    local pid
    for pid in "${running[@]}"; do
        kill -KILL "$pid" 2>/dev/null
    done
    rm -rf "$work"
}
trap finish EXIT
chmod 755 "$work" # nginx's workers are another user
mkdir "$work/run"

for needed in "$shim" "$pinion" "$site/server"; do
    [ -e "$needed" ] || { echo "not ok anomaly: $needed has not been built"; exit 1; }
done

# ---- waiting ----

# until_true COMMAND...: for half a minute at most.
until_true() {
    local limit=$((SECONDS + 30))
    until "$@" 2>/dev/null; do
        [ "$SECONDS" -lt "$limit" ] || { echo "not ok anomaly: waited in vain for: $*"; exit 1; }
        sleep 0.02
    done
}

# The number of the interval that is open on the page.
interval() {
    "$pinion" counts --page "$page" --json | jq .interval
}

reached() {
    [ "$(interval)" -ge "$1" ]
}

# intervals N: so many go by.
intervals() {
    until_true reached $(($(interval) + $1))
}

listens() {
    grep -q '^listening on ' "$work/output"
}

# ends PID...: and waits for it.
ends() {
    local pid
    for pid in "$@"; do
        kill "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
}

# ---- the sample server and its visitors ----

pages=(/ /status /report '/file?name=about.html' '/file?name=index.html' '/lookup?host=localhost' '/hello?name=World' 'POST /echo')

# begin COMMAND...: a server in the background; sets $server and $address.
begin() {
    : >"$work/output"
    "$@" >"$work/output" 2>"$work/complaints" &
    server=$!
    running+=("$server")
    until_true listens
    address=$(sed -n 's/^listening on //p' "$work/output")
}

# watched NAME=VALUE... COMMAND...: a server with the model and a fresh page.
watched() {
    page=$work/page.$((++page_number))
    begin env LD_PRELOAD="$shim" PINION_COUNTS="$page" PINION_MODEL="$work/model" PINION_EVENTS="$socket" PINION_LOG="$log" "$@"
}
page_number=0

# visited_by CLIENTS: sets $load.
visited_by() {
    "$visitors" "$address" "$1" "${pages[@]}" &
    load=$!
    running+=("$load")
}

# ---- events ----

start_listening() {
    "$pinion" events --socket "$socket" --json >"$events" 2>"$work/told" </dev/null &
    listener=$!
    running+=("$listener")
    until_true grep -q listening "$work/told"
}

anomalies() {
    jq -c 'select(.event == "anomaly")' "$events"
}

# ---- recording and training ----

"$pinion" record -q -i 100 --shim "$shim" --log "$log" -o "$work/normal.csv" -- "$site/server" 0 >"$work/output" 2>"$work/told" &
recorder=$!
running+=("$recorder")
until_true listens
address=$(sed -n 's/^listening on //p' "$work/output")
visited_by 2
recorded() { # so many intervals lie in the file that grows
    cat "$work"/normal.csv* | wc -l | awk -v wanted="$1" '{ exit $1 < wanted }'
}
until_true recorded 220
ends "$load"
kill -INT "$recorder"
wait "$recorder"
report anomaly/record $? "$(<"$work/told")"
# A rate at which the few hundred intervals of ordinary work below have no alarm but by great misfortune.
expect anomaly/train 0 "alarm above" "$pinion" train --rate 0.00001 -o "$work/model" "$work/normal.csv"

# ---- ordinary work by other numbers of clients ----

start_listening
watched "$site/server" 0
for clients in 1 4 8; do
    visited_by "$clients"
    intervals 40
    ends "$load"
done
count=$(interval)
ends "$server"
ends "$listener"
[ "$count" -ge 120 ] && [ -z "$(anomalies)" ]
report anomaly/other-loads $? "in $count intervals: $(anomalies)"

# ---- attacks, which no policy stops: what is noticed of them is what their calls show ----

stem=${site#/}/server
stem=$work/policies/${stem//\//.}
"$policygen" -o "$work/policies" "$site/server" >"$work/told" 2>&1 &&
    "$root/build/tests/hazards/edit_policy" "$stem.policy" "$work/audit.pinion" mode=audit >>"$work/told" 2>&1
report anomaly/policies $? "$(<"$work/told")"

# NAME CALLS...: the attacks that must be noticed, by calls that training never saw; and, with "-", those that make no such
# calls before they are through. What is noticed of these by numbers alone is luck.
expectations() {
    cat <<'END'
command-injection       futimens
path-traversal          -
arbitrary-upload        system
module-loading          dlopen
function-pointer        system
function-pointer-reuse  futimens
stack-overflow          system
return-into-stub        futimens
return-to-data          futimens
wrong-site              futimens
wrong-frame             futimens
pivoted-stack           futimens
code-in-data            mprotect
writable-code           mprotect
unseal-protect          mprotect
unseal-discard          madvise
unseal-replace          mmap
unseal-unmap            munmap
unseal-proc             -
secret-in-site          -
libc-past-the-stubs     futimens
END
}

answers() {
    curl --silent --fail --max-time 5 --output /dev/null "http://$address/"
}

# Attacks the server under load; whoever watches over the container starts it anew if it ends. Tells what came of it, and
# records the container meanwhile.
attack() {
    local name=$1 began outcome at recorder
    "$pinion" record -q --page "$page" -o "$work/$name.csv" 2>"$work/told" &
    recorder=$!
    until_true compgen -G "$work/$name.csv*" >/dev/null
    began=$(interval)
    outcome=$("$sample/attack" --program "$site/server" "http://$address" "${name%.again}" 2>&1)
    at=$(interval)
    if ! answers; then
        ends "$load" "$server"
        serve_again
    fi
    intervals 3
    kill -INT "$recorder"
    wait "$recorder" 2>/dev/null
    echo "$name $began $at $(interval) ${outcome#*: }" >>"$work/attacks"
}

serve_again() {
    begin env LD_PRELOAD="$shim" PINION_COUNTS="$page" PINION_MODEL="$work/model" PINION_EVENTS="$socket" PINION_LOG="$log" PINION_POLICY="$work/audit.pinion" "$site/server" 0
    visited_by 2
}

start_listening
page=$work/attacked
serve_again
intervals 10
for name in $("$sample/attack" --list | cut -d' ' -f1) arbitrary-upload.again module-loading.again; do
    attack "$name"
done
ends "$load" "$server" "$listener"

# noticed FROM UNTIL: interval and calls never seen of the alarms in between, one a line.
noticed() {
    jq -r --argjson from "$1" --argjson until "$2" 'select(.event == "anomaly" and .interval >= $from and .interval <= $until) |
        "\(.interval) \(.never_seen | join(",")) \(.signature[:12])"' "$events"
}

# judge NAME EXPECTED BEGAN SUCCEEDED ENDED: intervals; prints a row of the table.
judge() {
    local first calls signature
    read -r first calls signature < <(noticed "$3" "$5")
    printf '# %-22s %-8s %-28s %s\n' "$1" "${first:+$((first > $4 ? first - $4 : 0))}" "$calls" "$signature"
    if [ "$2" = - ]; then
        [ -z "$calls" ]
        report "anomaly/limit-$1" $? "it calls what training never saw ($calls): no limit any more? Say so in the README"
    else
        [[ -n $first && ,$calls, = *,$2,* && $first -le $(($4 + 1)) ]]
        report "anomaly/$1" $? "expected $2 in interval $4 at the latest, found: $(noticed "$3" "$5")"
    fi
}

echo "# attack                 noticed after intervals, calls never seen, signature"
while read -r name began at ended outcome; do
    call=$(expectations | awk -v name="${name%.again}" '$1 == name { print $2 }')
    if [ -z "$call" ]; then
        report "anomaly/$name" 1 "has no expectation here"
    elif [[ $outcome != succeeded && $name != unseal-* ]]; then # those the built-in rules stop: the call is made all the same
        report "anomaly/$name" 1 "the attack does not succeed: $outcome"
    else
        judge "$name" "$call" "$began" "$at" "$ended"
    fi
done <"$work/attacks"

# What a refused call has to do with an anomaly: its event tells how many there were.
jq -es 'any(.event == "anomaly" and .violations > 0 and (.never_seen | index("munmap")))' "$events" >/dev/null
report anomaly/event-tells-of-violations $? "$(anomalies | grep munmap)"

# ---- the same attack again ----

learn() {
    expect "anomaly/learn-$1" 0 "1 of them new" "$pinion" signature learn --db "$work/signatures" --name "$2" --package sample \
        --recipe update --model "$work/model" "$work/$1.csv"
}

look_up() {
    "$pinion" signature lookup --json --db "$work/signatures" --model "$work/model" "$work/$1.csv" |
        jq -r '.alarms[] | "\(.answer) \(.name)"' | sort -u
}

# answers_with NAME ANSWER
answers_with() {
    local found
    found=$(look_up "$1")
    [ "$found" = "$2" ]
    report "anomaly/look-up-of-$1" $? "\"$found\", expected \"$2\""
}

learn arbitrary-upload an-upload
learn module-loading a-module
answers_with arbitrary-upload.again "named an-upload"
answers_with module-loading.again "named a-module"
answers_with unseal-discard "unknown null"

# ---- short-lived processes, of two users, on one page ----

# A container in which some process makes a directory in each interval and is gone. The calls of making one are known to
# no training.
cat >"$work/short-lived" <<'END'
for i in $(seq "$1"); do
    setpriv --reuid=$((i % 2 * 65534)) --clear-groups mkdir "$2/d$i"
    read -r -t 0.11 <>"$3"
done
END
mkdir -m 777 "$work/made"
mkfifo "$work/never"

# short_lived COUNT NAME=VALUE...: its own log and page; prints the anomalies in the log.
short_lived() {
    local count=$1
    shift
    rm -rf "$work/own" "$work"/made/*
    mkdir -m 777 "$work/own"
    : >"$work/own/log"
    chmod 666 "$work/own/log"
    timeout 60 env LD_PRELOAD="$shim" PINION_COUNTS="$work/own/page" PINION_LOG="$work/own/log" "$@" \
        bash "$work/short-lived" "$count" "$work/made" "$work/never" >"$work/told" 2>&1
    [ "$(find "$work/made" -mindepth 1 | wc -l)" = "$count" ] || echo "not all was done: $(<"$work/told")"
    jq -r 'select(.reason == "anomaly") | "\(.pid) \(.exe)"' "$work/own/log"
}

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    # So many odd intervals one after the other are the container's: no process lives to see two.
    expect anomaly/train-consecutive 0 "after 3 in a row" "$pinion" train --consecutive 3 -o "$work/patient" "$work/normal.csv"
    found=$(short_lived 2 PINION_MODEL="$work/patient")
    [ -z "$found" ]
    report anomaly/two-odd-intervals-of-three $? "$found"
    found=$(short_lived 6 PINION_MODEL="$work/patient")
    [[ $found =~ ^[0-9]+\ /usr/bin/ ]]
    report anomaly/short-lived-processes $? "$found; log: $(head -n 2 "$work/own/log")"
else
    echo "skip anomaly/short-lived-processes: needs root and setpriv"
fi

# ---- models that are none ----

# refused NAME REASON [NAME=VALUE...]: with the file $work/bad as the model there is a line that says so, and no scoring.
refused() {
    local name=$1 reason=$2 found
    shift 2
    found=$(short_lived 3 PINION_MODEL="$work/bad" "$@")
    [ -z "$found" ] && grep '"reason":"bad-model"' "$work/own/log" | grep -q "$reason"
    report "anomaly/model-$name" $? "$found; no \"$reason\" in: $(grep model "$work/own/log" | head -n 2)"
}

# changed OFFSET BYTES: a copy of the model with these bytes.
changed() {
    cp "$work/model" "$work/bad"
    printf '%b' "$2" | dd of="$work/bad" bs=1 seek="$1" conv=notrunc status=none
}

found=$(short_lived 3 PINION_MODEL="$work/model")
[ -n "$found" ]
report anomaly/model-in-order $? "no anomaly in $(<"$work/own/log")"
changed 16 'X'
refused other-table "another build of Pinion"
head -c 1000 "$work/model" >"$work/bad"
refused truncated "cut off"
changed 0 'X'
refused no-model "no model"
cp "$work/model" "$work/bad"
chmod 666 "$work/bad"
refused writable-by-others "writable by group or others"
chmod 644 "$work/bad"
refused other-interval "another length" PINION_INTERVAL=50
rm "$work/bad"
refused missing "cannot be opened"

exit "$failed"
