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
    [ -s "$work/nginx/pid" ] && kill "$(<"$work/nginx/pid")" 2>/dev/null
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

# ---- nginx, with workers that come and go ----

write_nginx_configuration() {
    local port=$((20000 + RANDOM % 20000))
    nginx_address=127.0.0.1:$port
    nginx_command=(nginx -c "$work/nginx/conf" -e "$work/nginx/error.log" -g 'daemon off;')
    mkdir -p "$work/nginx/site"
    echo "a page" >"$work/nginx/site/index.html"
    seq 20000 >"$work/nginx/site/large.txt"
    cat >"$work/nginx/conf" <<END
worker_processes 2;
pid $work/nginx/pid;
events { worker_connections 256; }
http {
    client_body_temp_path $work/nginx/body;
    proxy_temp_path $work/nginx/proxy;
    fastcgi_temp_path $work/nginx/fastcgi;
    uwsgi_temp_path $work/nginx/uwsgi;
    scgi_temp_path $work/nginx/scgi;
    access_log $work/nginx/access.log;
    gzip on;
    gzip_types text/plain;
    server {
        listen $nginx_address;
        root $work/nginx/site;
        location /moved { return 301 /index.html; }
    }
}
END
}

nginx_runs() {
    [ -s "$work/nginx/pid" ] && (: <>"/dev/tcp/${nginx_address/://}")
}

# use_nginx CLIENTS REQUESTS TIMES: visitors, and so many times a burst of requests and a reload of the configuration.
use_nginx() {
    local load
    "$visitors" "$nginx_address" "$1" / /index.html /large.txt /moved /missing &
    load=$!
    for _ in $(seq "$3"); do
        ab -q -n "$2" -c "$1" "http://$nginx_address/" >/dev/null 2>&1
        sleep 0.6
        kill -HUP "$(<"$work/nginx/pid")"
        sleep 0.5
    done
    ends "$load"
}

record_nginx() {
    "$pinion" record -q -i 100 --shim "$shim" --log "$work/nginx/log" -o "$work/nginx/normal.csv" -- "${nginx_command[@]}" \
        2>"$work/nginx/told" &
    local recorder=$!
    until_true nginx_runs
    use_nginx 2 1500 24
    kill -INT "$recorder"
    wait "$recorder"
}

logged_anomalies() {
    jq -c 'select(.reason == "anomaly")' "$1"
}

intruder_is_told() { # an idle server closes no interval
    curl --silent --output /dev/null "http://$nginx_address/"
    logged_anomalies "$work/nginx/log" | grep '"never_seen":\["' >/dev/null
}

# Ends with calls that nginx never makes, on its page: an alarm, or all the silence before would mean nothing.
watch_nginx() {
    local nginx
    rm -f "$work/nginx/pid"
    env LD_PRELOAD="$shim" PINION_COUNTS="$page" PINION_MODEL="$work/nginx/model" PINION_LOG="$work/nginx/log" "${nginx_command[@]}" &
    nginx=$!
    until_true nginx_runs
    use_nginx 6 3000 7
    interval >"$work/nginx/intervals"
    cp "$work/nginx/log" "$work/nginx/log.before"
    env LD_PRELOAD="$shim" PINION_COUNTS="$page" PINION_MODEL="$work/nginx/model" PINION_LOG="$work/nginx/log" \
        mkdir "$work/nginx/intruder"
    until_true intruder_is_told
    ends "$nginx"
}

nginx_is_installed() {
    type -P nginx >/dev/null && type -P ab >/dev/null
}

# ---- events ----

# start_listening [OPTION...]
start_listening() {
    "$pinion" events --socket "$socket" --json "$@" >"$events" 2>"$work/told" </dev/null &
    listener=$!
    running+=("$listener")
    until_true grep -q listening "$work/told"
}

anomalies() {
    jq -c 'select(.event == "anomaly")' "$events"
}

# ---- recording and training ----

recording_nginx=
if nginx_is_installed; then
    write_nginx_configuration
    record_nginx &
    recording_nginx=$!
else
    echo "skip anomaly/nginx: nginx or ab is not installed"
fi
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

watching_nginx=
if [ -n "$recording_nginx" ]; then
    wait "$recording_nginx"
    report anomaly/nginx-record $? "$(<"$work/nginx/told")"
    expect anomaly/nginx-train 0 "alarm above" "$pinion" train --rate 0.00001 -o "$work/nginx/model" "$work/nginx/normal.csv"
    page=$work/nginx/page
    watch_nginx &
    watching_nginx=$!
fi
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

if [ -n "$watching_nginx" ]; then
    wait "$watching_nginx"
    found=$(logged_anomalies "$work/nginx/log.before")
    [ "$(<"$work/nginx/intervals")" -ge 70 ] && [ -z "$found" ]
    report anomaly/nginx-other-loads $? "in $(<"$work/nginx/intervals") intervals: $found"
    intruder_is_told
    report anomaly/nginx-is-watched $? "$(tail -n 2 "$work/nginx/log")"
fi

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
    outcome=$("$sample/attack" --program "$site/server" "http://$address" "${name%%.*}" 2>&1)
    at=$(interval)
    if ! answers; then
        ends "$load" "$server"
        serve_again
    fi
    intervals 2
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
for name in $("$sample/attack" --list | cut -d' ' -f1) {arbitrary-upload,module-loading}.{second,third,again}; do
    attack "$name"
done
ends "$load" "$server" "$listener"

# noticed FROM UNTIL: the first interval in alarm in between, all calls never seen, and the signature of them all.
noticed() {
    jq -rs --argjson from "$1" --argjson until "$2" 'map(select(.event == "anomaly" and .interval >= $from and .interval <= $until)) |
        select(. != []) | "\(first.interval) \(map(.never_seen[]) | unique | join(",")) \(last.signature[:12])"' "$events"
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
    call=$(expectations | awk -v name="${name%%.*}" '$1 == name { print $2 }')
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

# From three recordings: what else rises in one interval of a loaded machine is another thing each time.
learn() {
    expect "anomaly/learn-$1" 0 "[1-3] of them new" "$pinion" signature learn --db "$work/signatures" --name "$2" --package sample \
        --recipe update --model "$work/model" "$work/$1.csv" "$work/$1.second.csv" "$work/$1.third.csv"
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

# And at the very moment, by who listens with the same database.
start_listening --db "$work/signatures"
serve_again
intervals 10
attack module-loading.live
ends "$load" "$server" "$listener"
found=$(jq -r 'select(.event == "anomaly") | "\(.answer) \(.name)"' "$events" | sort -u)
[ "$found" = "named a-module" ]
report anomaly/named-live $? "\"$found\" in $(anomalies)"

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
cp "$shim" "$work" # the other user may not see where it was built

# short_lived COUNT NAME=VALUE...: its own log and page; prints the anomalies in the log.
short_lived() {
    local count=$1
    shift
    rm -rf "$work/own" "$work"/made/*
    mkdir -m 777 "$work/own"
    : >"$work/own/log"
    chmod 666 "$work/own/log"
    timeout 60 env LD_PRELOAD="$work/${shim##*/}" PINION_COUNTS="$work/own/page" PINION_LOG="$work/own/log" "$@" \
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

# ---- a small stack, and a page that is not to be trusted ----

# Intervals of 10 ms, closed and found odd in a signal handler on a stack of 2 KiB.
sed '2,$s/,100,/,10,/' "$work/normal.csv" >"$work/fast.csv"
expect anomaly/train-fast 0 "of 10 ms" "$pinion" train -o "$work/fast" "$work/fast.csv"
: >"$log"
expect anomaly/small-stack 0 '^fine$' env LD_PRELOAD="$shim" PINION_COUNTS="$work/fast.page" PINION_MODEL="$work/fast" PINION_LOG="$log" \
    "$root/build/tests/hazards/small_handler"
[ "$(logged_anomalies "$log" | wc -l)" -ge 3 ]
report anomaly/small-stack-in-alarm $? "$(<"$log")"

# Another user's process may write anything there, at any moment: first to what scoring remembers, which lies last, while
# intervals are closed as ever; then everywhere, the head and the numbers of intervals as well.
cat >"$work/scribble" <<'END'
import mmap, random, sys
with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 0) as page:
    places = range(len(page) - 8 - 11000, len(page) - 8, 8) if sys.argv[2] == "state" else range(0, len(page) - 8, 8)
    extremes = [bytes(8), b"\xff" * 8, b"\x80" + bytes(7), bytes(7) + b"\x80", b"\xff" * 7 + b"\x7f", b"\0\0\xff\xff" * 2]
    print("scribbling", flush=True)
    while True:
        for at in random.choices(places, k=2000):
            page[at:at + 8] = random.choice(extremes) if random.random() < 0.5 else random.randbytes(8)
        if places[0] == 0:
            page[64:72] = random.choice([0, 1, 2, 1000, 2**64 - 1]).to_bytes(8, "little")
END

# scribble STATE|ALL: sets $scribbler.
scribble() {
    : >"$work/told"
    python3 "$work/scribble" "$page" "$1" >"$work/told" &
    scribbler=$!
    running+=("$scribbler")
    until_true test -s "$work/told"
}

page=$work/scribbled
: >"$log"
begin env LD_PRELOAD="$shim" PINION_COUNTS="$page" PINION_MODEL="$work/fast" PINION_LOG="$log" PINION_EVENTS="$socket" "$site/server" 0
visited_by 4
intervals 30
scribble state
intervals 100
ends "$scribbler"
answers && kill -0 "$server"
report anomaly/scribbled-state $? "the server does not survive: $(tail -n 3 "$work/complaints") $(tail -n 2 "$log")"
scribble all
for _ in {1..100}; do
    answers || break
done
answers && kill -0 "$server"
report anomaly/scribbled-page $? "the server does not survive: $(tail -n 3 "$work/complaints") $(tail -n 2 "$log")"
ends "$load" "$server" "$scribbler"

# ---- models that are none ----

# refused NAME REASON [NAME=VALUE...]: with the file $work/bad as the model there is a line that says so, and no scoring.
refused() {
    local name=$1 reason=$2 found
    shift 2
    found=$(short_lived 3 PINION_MODEL="$work/bad" "$@")
    [ -z "$found" ] && grep '"reason":"bad-model"' "$work/own/log" | grep "$reason" >/dev/null
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
refused missing "is not there"

# ---- what doctor says of all that ----

# doctor NAME PATTERN WORD...: WORD is NAME=VALUE, a program or a process.
doctor() {
    local name=$1 pattern=$2 found
    shift 2
    found=$(env PINION_COUNTS="$work/doctor.page" "$@" 2>&1)
    [[ $found =~ $pattern ]]
    report "anomaly/doctor-$name" $? "no \"$pattern\" in: ${found//$'\n'/ | }"
}

doctor model "model: $work/model: [0-9]+ calls, intervals of 100 ms" PINION_MODEL="$work/model" "$pinion" doctor /bin/true
head -c 1000 "$work/model" >"$work/bad"
doctor truncated "bad\" cannot be used: it is cut off" PINION_MODEL="$work/bad" "$pinion" doctor /bin/true
chmod 666 "$work/bad"
doctor writable "cannot be used: it is writable by group or others" PINION_MODEL="$work/bad" "$pinion" doctor /bin/true
doctor missing "cannot be used: No such file" PINION_MODEL="$work/nowhere" "$pinion" doctor /bin/true

# doctor_of NAME PATTERN NAME=VALUE...: of a process that sleeps; its page is there when it has made its first call.
doctor_of() {
    local name=$1 pattern=$2
    shift 2
    rm -f "$work/doctor.page"
    env LD_PRELOAD="$shim" PINION_COUNTS="$work/doctor.page" PINION_LOG="$log" "$@" sleep 100 &
    server=$!
    running+=("$server")
    until_true test -e "$work/doctor.page"
    doctor "$name" "$pattern" "$pinion" doctor "$server"
    ends "$server"
}

doctor_of process "model: $work/model: " PINION_MODEL="$work/model"
doctor_of other-interval "not scored: those of the page.*of 50 ms, the model's of 100 ms" PINION_MODEL="$work/model" PINION_INTERVAL=50

exit "$failed"
