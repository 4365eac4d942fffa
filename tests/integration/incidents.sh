#!/bin/bash
# `pinion incidents` as an operator meets it: what it shows of a journal, with texts of hostile senders in it, in lines and
# as JSON; and what it says of a journal that is empty, missing, damaged, of another version or open to others.
set -uo pipefail
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh"

for needed in sqlite3 jq; do
    command -v $needed >/dev/null || { echo "skip incidents: $needed is not installed"; exit 0; }
done

state=$work/state
journal=$state/journal

# fresh: a journal without incidents.
fresh() {
    rm -rf "$state"
    mkdir -m 700 "$state"
    (umask 077; sqlite3 "$journal" <tests/integration/common/journal.sql >/dev/null)
}

sql() {
    sqlite3 "$journal" "$1"
}

# bytes SIZE TEXT: in hexadecimal, filled up with zeros.
bytes() {
    local digits
    digits=$(printf '%b' "$2" | od -An -v -tx1 | tr -d ' \n')
    while [ ${#digits} -lt $((2 * $1)) ]; do
        digits+=0000000000000000
    done
    printf %s "${digits:0:2 * $1}"
}

# The identity of a module: a build-id.
build_id='\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x14\x01'

# violation PATH API [MODULE]: an event, as the helper stores it.
violation() {
    bytes 8 'PINEVT\r\n'
    bytes 8 '\x01\x00\x00\x00\xe0\x0b'        # version, size
    bytes 16 '\x06\x00\x00\x00\x07'           # refused; process 7
    bytes 8 '\x00\x00\x40\x96\x8e\x04\x9b\x18' # time
    bytes 24 ''
    bytes 256 "$1"
    bytes 2352 ''
    bytes 40 'argument'
    bytes 40 "$2"
    bytes 24 "${3-}"
    bytes 264 ''
}

# anomaly PATH: likewise.
anomaly() {
    violation "$1" '' | sed 's/^\(.\{32\}\)06/\101/'
}

# incident STATE COLUMN=VALUE...: adds one; values as SQL has them.
incident() {
    local state=$1 pair names='' values=''
    shift
    for pair; do
        names+=", \"${pair%%=*}\""
        values+=", ${pair#*=}"
    done
    sql "INSERT INTO incident (created, changed, state, sender, sender_user, sender_start, claim, repeats, confidence,
        serial, target, target_start, downloaded, memory, disk_growth, outage$names)
        VALUES (1795343527123456789, 1795343530000000000, '$state', 4711, 33, 5, 'good', 2, 0.93, 3, 0, 0, 1572864,
        52428800, -8192, 250000000$values)"
}

# json NAME FILTER ARGUMENT...: what jq finds true of the output of `pinion incidents --json`.
json() {
    local name=$1 filter=$2 output
    shift 2
    output=$("$pinion" incidents --json --state "$state" "$@" 2>&1)
    jq -e "$filter" >/dev/null 2>&1 <<<"$output"
    report "$name" $? "$filter is not so of: ${output:0:400}"
}

# ---- nothing to show ----

expect incidents/missing 2 'cannot open the journal.*patchd' "$pinion" incidents --journal "$work/none"
expect incidents/missing_directory 2 'No such file' "$pinion" incidents --state "$work/none"
fresh
expect incidents/none 3 'no incidents' "$pinion" incidents --state "$state"
expect incidents/none_by_number 3 'no incident 1' "$pinion" incidents show 1 --state "$state"
json incidents/none_json '.incidents == []'

# ---- incidents ----

incident 'rolled back' answer="'named'" name="'shellshock'" cve="'CVE-2014-6271'" package="'bash'" \
    recipe="'bash-shellshock'" root="'/srv/root'" from="'5.1-2'" to="'5.2-1'" detail="'the health check was not met'" \
    event="x'$(violation /usr/bin/bash execve)'"
sql "INSERT INTO step (incident, begun, ended, name, good, detail, bytes, memory) VALUES
    (1, 1795343527200000000, 1795343527450000000, 'fetch', 1, 'bash_5.2-1_amd64.deb', 1572864, 52428800),
    (1, 1795343528000000000, 1795343529000000000, 'health', 0, 'no answer from port 80', 0, 0),
    (1, 1795343529000000000, 0, 'undo', 0, NULL, 0, 0)"
incident waiting name="'xss'" answer="'named'" claim_detail="'no build-id'"

expect incidents/list 0 '^ +1  2026-11-22 10:32:07  rolled back  violation  /usr/bin/bash  shellshock 0.93  bash 5.1-2 -> 5.2-1  \+2$' \
    "$pinion" incidents list --state "$state"
expect incidents/list_newest_first 0 '^ +2 .*waiting' "$pinion" incidents -n 1 --state "$state"
expect incidents/list_bounded 0 '!shellshock' "$pinion" incidents -n 1 --state "$state"
expect incidents/journal 0 'shellshock' "$pinion" incidents --journal "$journal"

show() {
    expect "incidents/show_$1" 0 "$2" "$pinion" incidents show 1 --state "$state"
}
show outcome '^incident 1: rolled back: the health check was not met$'
show event 'violation: process 7, /usr/bin/bash$'
show call 'deny execve: argument'
show sender 'process 4711 of user 33'
show match 'shellshock, confidence 0.93'
show cve 'CVE-2014-6271'
show package 'bash 5.1-2 -> 5.2-1'
show recipe 'bash-shellshock, serial 3'
show cost '1.5 MiB fetched, 50.0 MiB of memory, 8.0 KiB of disk freed, unavailable for 0.250 s'
show step '10:32:07  fetch +good, 0.250 s, 1.5 MiB, 50.0 MiB of memory: bash_5.2-1_amd64.deb'
show failed_step '10:32:08  health +failed, 1.000 s: no answer from port 80'
show open_step 'undo +under way'

json incidents/list_json '[.incidents[].id] == [2, 1] and (.incidents[1] | .state == "rolled back" and .confidence == 0.93
    and .cve == "CVE-2014-6271" and .from == "5.1-2" and .to == "5.2-1" and .downloaded == 1572864 and .repeats == 2)'
json incidents/show_json '.id == 1 and .event.event == "violation" and .event.api == "execve" and .sender == 4711
    and .created == "2026-11-22T10:32:07.123456Z" and [.steps[].name] == ["fetch", "health", "undo"]
    and .steps[0].good and .steps[2].ended == null' show 1
json incidents/unknown_json '.event == null and .cve == null and .detail == null and .steps == []' show 2

incident notified event="x'$(violation /usr/bin/bash execve "$build_id")'"
module=abcdef0123456789abcdef0123456789abcdef01
expect incidents/show_module 0 "^  module +$module\$" "$pinion" incidents show 3 --state "$state"
expect incidents/show_answered_by 0 "^  answered by: violations = \( \{ module = \"$module\"; api = \"execve\"; \} \);\$" \
    "$pinion" incidents show 3 --state "$state"
# What is shown is what a recipe takes.
"$pinion" recipe new --name x --package libx --fixed 1 -o "$work/x.recipe"
line=$("$pinion" incidents show 3 --state "$state" | sed -n 's/^  answered by: //p')
awk -v line="$line" '{ print } /^answers = /{ print line }' "$work/x.recipe" >"$work/y.recipe"
expect incidents/answer_is_a_recipes 0 "$module" "$pinion" recipe show "$work/y.recipe"
incident notified event="x'$(violation /usr/bin/bash $'open"; }' "$build_id")'"
expect incidents/show_no_answer_to_an_unknown_call 0 '!answered by' "$pinion" incidents show 4 --state "$state"
incident notified name="'shell\"shock'" event="x'$(anomaly /usr/bin/bash)'"
expect incidents/show_answered_by_name 0 '^  answered by: signatures = \[ "shell\\"shock" \];$' \
    "$pinion" incidents show 5 --state "$state"

# ---- the configuration says where ----

printf 'state = "%s";\n' "$state" >"$work/patchd.conf"
chmod 600 "$work/patchd.conf"
expect incidents/config 0 shellshock "$pinion" incidents --config "$work/patchd.conf"
echo 'stat = "/x";' >>"$work/patchd.conf"
expect incidents/config_mistake 2 'patchd.conf.*line 2.*stat' "$pinion" incidents --config "$work/patchd.conf"

# ---- hostile texts ----

fresh
escape="char(27) || ']0;owned' || char(7) || char(27) || '[2J' || char(10) || 'incident 9: done' || CAST(x'ff9b' AS TEXT)"
incident failed detail="$escape" claim_detail="$escape" answer="$escape" name="$escape" cve="$escape" package="$escape" \
    recipe="$escape" root="$escape" from="$escape" to="$escape" \
    event="x'$(violation '\x1b[2J\n\x9b/usr/bin/bash' '\x1b[2J')'"
sql "INSERT INTO step (incident, begun, ended, name, good, detail, bytes, memory) VALUES (1, 1, 2, $escape, 1, $escape, 0, 0)"
for words in 'list' 'show 1' 'list --json' 'show 1 --json'; do
    # shellcheck disable=SC2086 # several words
    output=$("$pinion" incidents $words --state "$state" 2>&1)
    status=$?
    ! LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]|^incident 9|\xff' <<<"$output" && [ $status = 0 ] && [ -n "$output" ]
    report "incidents/hostile_${words// /_}" $? "status $status: $output"
done
expect incidents/hostile_is_one_line 0 '^ +1 .*owned' "$pinion" incidents --state "$state"
[ "$("$pinion" incidents --state "$state" | wc -l)" = 1 ]
report incidents/hostile_lines $?
json incidents/hostile_json '.incidents[0].detail | contains("owned")'

# ---- many ----

fresh
incident 'done' package="'bash'"
sql "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
    INSERT INTO incident (created, changed, state, sender, sender_user, sender_start, claim, repeats, confidence, serial,
    target, target_start, downloaded, memory, disk_growth, outage, event) SELECT i, i, 'ignored', 1, 1, 1, 'good', 0, 0,
    0, 0, 0, 0, 0, 0, 0, x'$(violation /usr/bin/bash execve)' FROM n"
json incidents/many '(.incidents | length) == 20001'
memory=$( (ulimit -v 100000; "$pinion" incidents --json --state "$state" | tail -c 4) 2>&1)
[ "$memory" = '}]}' ]
report incidents/many_in_little_memory $? "$memory"

# ---- what cannot be trusted ----

chmod 770 "$state"
expect incidents/open_directory 2 'can be written by others.*chmod go-w' "$pinion" incidents --state "$state"
chmod 700 "$state"
chmod 666 "$journal"
expect incidents/open_file 2 'can be written by others' "$pinion" incidents --state "$state"
chmod 600 "$journal"
sql 'PRAGMA user_version = 7' >/dev/null
expect incidents/version 2 'version 7, this program knows version 2: use the pinion that wrote it' \
    "$pinion" incidents --state "$state"
sql 'PRAGMA user_version = 1' >/dev/null
expect incidents/old_version 2 'of version 1: .pinion patchd. makes version 2' "$pinion" incidents --state "$state"
sql 'PRAGMA user_version = 2' >/dev/null
expect incidents/version_again 0 bash "$pinion" incidents --state "$state"
sql "CREATE TRIGGER t AFTER INSERT ON step BEGIN DELETE FROM incident; END"
expect incidents/foreign_schema 2 'is no journal of this program' "$pinion" incidents --state "$state"
fresh
incident 'done'
sql "UPDATE incident SET state = 'undone'"
expect incidents/damaged_row 2 'row 1 has no valid "state".*Move it aside' "$pinion" incidents --state "$state"
printf 'no database at all' | dd of="$journal" conv=notrunc status=none
expect incidents/damaged 2 'Move it aside' "$pinion" incidents --state "$state"

# ---- the command line ----

expect incidents/word 2 'neither list nor show' "$pinion" incidents sohw
expect incidents/number 2 'from 1 on, not "0"' "$pinion" incidents show 0
expect incidents/number_word 2 'from 1 on, not "-1x"' "$pinion" incidents show -- -1x
expect incidents/count_of_list 2 '--count is of list alone' "$pinion" incidents show 1 -n 3
expect incidents/count 2 'count must be a number' "$pinion" incidents -n 0
expect incidents/help 0 'Exit status: 0 shown' "$pinion" incidents --help
exit $failed
