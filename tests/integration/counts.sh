#!/bin/bash
# Counting: no call is lost between threads, children and the page; processes of two users share a page; a page that is none
# is refused; intervals; `pinion counts`, `pinion record` and what a recording of a real server adds up to.
set -uo pipefail
# shellcheck source=tests/hazards/common.sh
. "$(dirname "$0")/../hazards/common.sh"

pinion=$root/build/pinion
page=$work/page
unset PINION_COUNTS PINION_INTERVAL

# counted COMMAND...: under the shim, with a page of its own.
counted() {
    rm -f "$page"
    shim PINION_COUNTS="$page" "$@"
}

# on_page NAME: its count, 0 where the page has none.
on_page() {
    "$pinion" counts --page "$page" --json | jq -r ".counts[\"$1\"] // 0"
}

# same NAME EXPECTED
same() {
    local found
    found=$(on_page "$1")
    [ "$found" = "$2" ] || wrong "$1: $found on the page, expected $2"
}

# sum NAME: of a column of the recording.
sum() {
    awk -F, -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) column = i; next }
        { sum += $column } END { print sum + 0 }' "$work/recording.csv"
}

# ---- exact totals ----

for storm in threads children many-threads; do
    for program in count_storm count_storm musl_count_storm; do
        [ -x "$programs/$program" ] || continue
        counted "$programs/$program" "$storm"
        if [[ $output = only* ]]; then
            skip "counts-$storm" "$output"
            continue 2
        fi
        [ "$status" = 0 ] || wrong "$program: status $status: $output"
        while read -r name number; do
            same "$name" "$number"
        done <<<"$output"
    done
    case_ends "counts-$storm-storm"
done

# A shell's short-lived commands: each must have come to the page, whichever way it ended.
cat >"$work/commands" <<'EOF'
for i in $(seq 100); do
    mkdir "$1/d$i"
    rmdir "$1/d$i"
done
EOF
mkdir "$work/many"
counted bash "$work/commands" "$work/many"
expect 0 ""
same mkdir 100
same rmdir 100
same fork 201
same execve 201
[ "$(on_page switch)" -gt 200 ] || wrong "only $(on_page switch) context switches in 201 processes"
case_ends counts-of-200-commands

# ---- who may share the page ----

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    counted bash "$work/commands" "$work/many"
    chmod 777 "$work/many"
    cp "$shim" "$work" # nobody may not see where it was built
    as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups env LD_PRELOAD="$work/${shim##*/}" PINION_LOG=/dev/null)
    bare "${as_nobody[@]}" PINION_COUNTS="$page" bash "$work/commands" "$work/many"
    expect 0 ""
    same mkdir 200
    [ "$(stat -c '%a %u %s' "$page")" = "666 0 $(stat -c %s "$page")" ] || wrong "the page: $(stat "$page")"
    case_ends counts-of-two-users

    # The other way round the page could be cut short by a user who must not harm root's processes.
    mkdir -m 777 "$work/open"
    rm -f "$page"
    page=$work/open/page
    bare "${as_nobody[@]}" PINION_COUNTS="$page" mkdir "$work/many/a"
    [ "$status $(stat -c %u "$page")" = "0 65534" ] || wrong "nobody made no page: $output"
    shim PINION_COUNTS="$page" mkdir "$work/many/b"
    expect 0 "" "log - bad-counts"
    same mkdir 1
    [ -d "$work/many/b" ] || wrong "the program did not run"
    page=$work/page
    case_ends counts-page-of-another-user
else
    skip counts-of-two-users "needs root and setpriv"
fi

# ---- what is no page is left alone, and said ----

bad_page() {
    local before after
    before=$(md5sum "$page" 2>&1)
    rm -rf "$work/many/c"
    shim PINION_COUNTS="$page" mkdir "$work/many/c"
    expect 0 "" "log - bad-counts"
    [ -d "$work/many/c" ] || wrong "$1: the program did not run"
    grep -q "$2" "$log" || wrong "$1: no \"$2\" in $(cat "$log")"
    after=$(md5sum "$page" 2>&1)
    [ "$before" = "$after" ] || wrong "$1: the file was changed"
    [ -h "$page" ] || ! "$pinion" counts --page "$page" --json >/dev/null 2>&1 || wrong "$1: pinion counts took it"
}

poke() { # OFFSET BYTES
    printf '%b' "$2" | dd of="$page" bs=1 seek="$1" conv=notrunc status=none
}

counted mkdir "$work/many/g"
cp "$page" "$work/good"
: >"$page"
bad_page empty "another size"
head -c 1000 "$work/good" >"$page"
bad_page short "another size"
for change in '0 X' '8 \x63' '12 \x01' '16 X' '32 \x00\x00\x00\x00\x00\x00\x00\x00' '39 \xff'; do
    cp "$work/good" "$page"
    read -r offset bytes <<<"$change"
    poke "$offset" "$bytes"
    bad_page "byte $offset" "another form or build"
done
rm -f "$page"
ln -s "$work/good" "$page"
bad_page link "cannot be opened"
rm -f "$page"
mkfifo "$page"
shim PINION_COUNTS="$page" mkdir "$work/many/d"
expect 0 "" "log - bad-counts"
rm -f "$page"
mkdir "$page"
shim PINION_COUNTS="$page" mkdir "$work/many/e"
expect 0 "" "log - bad-counts"
rmdir "$page"
for nowhere in /nowhere/at/all ''; do
    rm -rf "$work/many/f"
    shim PINION_COUNTS="$nowhere" mkdir "$work/many/f"
    expect 0 ""
done
shim PINION_COUNTS=relative mkdir "$work/many/relative"
expect 0 "" "log - bad-setting"
[[ $(cat "$log") = *"PINION_COUNTS is no absolute path"* && ! -e relative ]] || wrong "a relative path: $(cat "$log")"
shim PINION_COUNTS="$page" PINION_INTERVAL=1 mkdir "$work/many/h"
expect 0 "" "log - bad-setting"
rm -f "$page"
case_ends counts-page-that-is-none

# A protected program may not cut the page short, which would end all others.
counted mkdir "$work/many/j"
output=$(printf %s "$page" | env LD_PRELOAD="$shim" PINION_LOG="$log" PINION_COUNTS="$page" "$programs/open_named" 2>&1)
[ "$output" = "Operation not permitted" ] || wrong "opening the page for writing: $output"
[ "$(log_kinds)" = "deny open self-protection" ] || wrong "log $(log_kinds)"
case_ends counts-page-is-guarded

# Where there is no page of the container's, a process and its children of fork have one of their own.
output=$(env LD_PRELOAD="$shim" PINION_LOG="$log" PINION_COUNTS= sleep 100 & sleeper=$!
    until [ "$("$pinion" counts --json $sleeper 2>/dev/null | jq .counts.nanosleep)" = 1 ]; do :; done
    "$pinion" doctor $sleeper
    kill $sleeper)
[[ $output = *"counts for itself and its children"* ]] || wrong "doctor: $output"
output=$(PINION_COUNTS=/nowhere/page "$pinion" doctor sleep)
[[ $output = *'"/nowhere/page" that a container shares cannot be used: No such file'* ]] || wrong "doctor: $output"
output=$(PINION_COUNTS=$work/none "$pinion" doctor sleep)
[[ $output != *"container shares"* ]] || wrong "doctor: $output"
case_ends counts-without-a-page

# ---- intervals ----

# What one process counted is in an interval that another closes, when it is over.
counted PINION_INTERVAL=50 mkdir "$work/many/k"
[ "$("$pinion" counts --page "$page" --json | jq .interval)" = 1 ] || wrong "no new page begins with interval 1"
for _ in $(seq 2000); do
    shim PINION_COUNTS="$page" sleep 0
    [ "$("$pinion" counts --page "$page" --json | jq .interval)" = 1 ] || break
done
[ "$("$pinion" counts --page "$page" --json | jq '.interval > 1')" = true ] || wrong "nobody closed the interval"
same mkdir 1
case_ends interval-closed-by-another-process

# Two processes in turn, on a page with short intervals: both close some, and the rows add up to the totals.
rm -f "$work/recording.csv"
output=$("$pinion" record -q --shim "$shim" --log "$log" --interval 20 -o "$work/recording.csv" -- \
    bash -c "for i in 1 2 3 4 5; do usleep() { sleep 0.05; }; usleep; mkdir $work/many/r\$i; done" 2>&1)
status=$?
[ "$status" = 0 ] || wrong "status $status: $output"
[ "$(sum mkdir) $(sum execve)" = "5 10" ] || wrong "mkdir $(sum mkdir), execve $(sum execve)"
awk -F, 'NR > 2 && ($1 - before < 0.019 || $1 - before > 0.021) { exit 1 } { before = $1 }' "$work/recording.csv" ||
    wrong "the rows do not follow each other: $(cut -d, -f1,2 "$work/recording.csv")"
awk -F, 'NR > 1 { rows++; sum = 0; for (i = 3; i <= NF; i++) sum += $i; zero += sum == 0; full += sum > 0 }
    END { exit !(rows >= 10 && zero >= 2 && full >= 3) }' "$work/recording.csv" || wrong "no rows with and without calls"
[[ $output = *" intervals of 20 ms with "* ]] || wrong "$output"
case_ends record-intervals

# Where nothing can be written nothing is started, and nothing is left.
before=$(compgen -G '/dev/shm/pinion-record.*')
output=$("$pinion" record --shim "$shim" -o "$work/nowhere/recording.csv" -- touch "$work/started" 2>&1)
[[ $? = 2 && $output = *"cannot write \"$work/nowhere/recording.csv\""* ]] || wrong "says: $output"
[ ! -e "$work/started" ] || wrong "the command was started"
for left in $(compgen -G '/dev/shm/pinion-record.*'); do
    # Others on this machine may be recording: they have their page mapped.
    [[ $before = *"$left"* ]] || grep -qsF "$left/" /proc/[0-9]*/maps || [ ! -e "$left" ] || wrong "$left is left"
done
case_ends record-cannot-write

# What was recorded before an interrupt is kept, and the command is interrupted as well.
cat >"$work/until-interrupted" <<'EOF'
trap 'exit 0' INT
mkdir "$1"
echo "$PINION_COUNTS" >"$2"
while :; do sleep 0.05; done
EOF
rm -rf "$work/recording.csv" "$work/ready"
mkfifo "$work/ready"
env --default-signal=INT "$pinion" record -q --shim "$shim" --log "$log" --interval 50 -o "$work/recording.csv" -- \
    bash "$work/until-interrupted" "$work/many/i" "$work/ready" 2>"$work/messages" &
recorder=$!
read -r own_page <"$work/ready"
kill -INT "$recorder"
wait "$recorder"
status=$?
[ "$status" = 0 ] || wrong "status $status: $(cat "$work/messages")"
[ "$(sum mkdir)" = 1 ] || wrong "mkdir $(sum mkdir) after an interrupt"
compgen -G "$work/recording.csv.*" >/dev/null && wrong "a temporary file is left"
[[ $own_page = /dev/shm/* && ! -e ${own_page%/*} ]] || wrong "the page \"$own_page\" is left"
case_ends record-interrupted

# ---- a server ----

if command -v redis-server >/dev/null && command -v redis-cli >/dev/null; then
    rm -f "$page" "$work/recording.csv"
    mkdir "$work/redis"
    env LD_PRELOAD="$shim" PINION_LOG="$log" PINION_COUNTS="$page" PINION_INTERVAL=20 redis-server --port 0 \
        --unixsocket "$work/redis/socket" --dir "$work/redis" --save '' >"$work/redis/log" 2>&1 &
    server=$!
    for _ in $(seq 200); do
        redis-cli -s "$work/redis/socket" ping >/dev/null 2>&1 && break
        sleep 0.05
    done
    "$pinion" record -q --page "$page" -o "$work/recording.csv" --for 30 2>"$work/messages" &
    recorder=$!
    until compgen -G "$work/recording.csv*" >/dev/null; do sleep 0.01; done
    before=$(on_page connect),$(on_page accept4),$(on_page accept)
    redis-benchmark -s "$work/redis/socket" -n 5000 -c 10 -t set,get -q >/dev/null 2>&1
    threads=$("$pinion" counts --json $server | jq -r '"\(.threads) \(.counts.epoll_wait > 0)"')
    [[ $threads = [1-9]*" true" ]] || wrong "pinion counts PID: $threads"
    redis-cli -s "$work/redis/socket" shutdown nosave >/dev/null 2>&1
    wait $server
    kill -INT $recorder
    wait $recorder || wrong "the recorder: $(cat "$work/messages")"
    # What the server did before the recording began is on the page, and not in the table.
    for name in write accept accept4 read epoll_wait; do
        total=$(on_page $name)
        [ "$total" -ge "$(sum $name)" ] || wrong "$name: $(sum $name) recorded, $total on the page"
    done
    [ "$(sum read)" -ge 10000 ] || wrong "only $(sum read) reads recorded of 10000 requests"
    [ "$(($(sum accept4) + $(sum accept)))" -ge 20 ] || wrong "only $(sum accept4) accepts recorded"
    case_ends record-a-running-server

    rm -f "$work/recording.csv"
    "$pinion" record -q --shim "$shim" --log "$log" --interval 20 -o "$work/recording.csv" -- redis-server --port 0 \
        --unixsocket "$work/redis/socket" --dir "$work/redis" --save '' >"$work/redis/log" 2>"$work/messages" &
    recorder=$!
    for _ in $(seq 200); do
        redis-cli -s "$work/redis/socket" ping >/dev/null 2>&1 && break
        sleep 0.05
    done
    server=$(redis-cli -s "$work/redis/socket" info server | tr -d '\r' | sed -n 's/^process_id://p')
    shared=$(grep -o '/dev/shm/pinion-record[^ ]*' "/proc/$server/maps" | head -n 1)
    redis-benchmark -s "$work/redis/socket" -n 5000 -c 10 -t set,get -q >/dev/null 2>&1
    ln "$shared" /dev/shm/pinion-test.$$ # to look at it when the recorder has removed it
    redis-cli -s "$work/redis/socket" shutdown nosave >/dev/null 2>&1
    wait $recorder || wrong "the recorder: $(cat "$work/messages")"
    page=/dev/shm/pinion-test.$$
    "$pinion" counts --page "$page" --json | jq -r '.counts | to_entries[] | "\(.key) \(.value)"' >"$work/totals"
    while read -r name total; do
        [ "$(sum "$name")" = "$total" ] || wrong "$name: $(sum "$name") recorded, $total on the page"
    done <"$work/totals"
    [ "$(wc -l <"$work/totals")" -gt 20 ] || wrong "only $(wc -l <"$work/totals") names on the page"
    [ "$(sum read)" -ge 10000 ] || wrong "only $(sum read) reads recorded of 10000 requests"
    rm -f "$page"
    page=$work/page
    case_ends record-a-server
else
    skip record-a-server "redis is not installed"
fi

# ---- pinion counts ----

counted sleep 0
output=$("$pinion" counts --page "$page" 2>&1)
[[ $output = "container, interval 1 of 1000 ms, "*nanosleep* ]] || wrong "$output"
output=$("$pinion" counts --page "$work/commands" 2>&1)
[ "$? $output" = "2 pinion: cannot read the page of counts \"$work/commands\": it is no page of counts" ] || wrong "$output"
output=$("$pinion" counts $$ 2>&1)
[ "$? $output" = "2 pinion: cannot read the counts of process $$: the shim is not loaded there" ] || wrong "$output"
output=$("$pinion" counts 0x 2>&1)
[ "$?" = 2 ] || wrong "$output"
output=$("$pinion" record --page "$page" true 2>&1)
[ "$?" = 2 ] || wrong "$output"
output=$("$pinion" record -q -o "$work/x.csv" --shim "$shim" --log "$log" false 2>&1)
[ "$?" = 1 ] || wrong "$output"
case_ends pinion-counts

exit "$failed"
