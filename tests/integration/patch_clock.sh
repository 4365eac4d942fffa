#!/bin/bash
# The machine's clock is set by years, forward and back, before an alarm, while a person is asked, and in the middle of a
# patch: nothing that has expired is applied, then or later; a patch that is under way ends as it would; limits hold as long
# as they should. The clock is that of the helper alone.
# shellcheck disable=SC2317 # much is called by name, through until_true
set -uo pipefail
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh"
# shellcheck source=tests/integration/common/sample_container.sh
. "$(dirname "$0")/common/sample_container.sh"

command -v sqlite3 >/dev/null || { echo "skip patch-clock: sqlite3 is not installed"; exit 0; }
prepare patch-clock
patience=60
years=$((10 * 365 * 86400))

"${CC:-cc}" -shared -fPIC -D_GNU_SOURCE -o "$work/set_clock.so" "$common/set_clock.c"
report patch-clock/clock $?
helper_environment=(LD_PRELOAD="$work/set_clock.so" CLOCK_AHEAD="$work/ahead")

# set_clock SECONDS: so far ahead of the true time, or behind.
set_clock() {
    echo "$1" >"$work/ahead.new" && mv "$work/ahead.new" "$work/ahead"
}

incident_says() {
    incident_of "$1" | jq --exit-status --arg state "$2" --arg pattern "$3" \
        '.state == $state and (.detail | test($pattern))' >/dev/null
}

# says NAME INCIDENT STATE PATTERN
says() {
    until_true incident_says "$2" "$3" "$4"
    report "$1" $? "$(incidents -c '.incidents[] | {id, state, detail}') $(tail -n 2 "$work/helper")"
}

configurations_read() {
    [ "$(grep --count "was read anew" "$work/helper")" = "$1" ]
}

# alarm_again: the same call; a helper that has read its configuration anew does not take it for a repeat.
alarm_again() {
    local count
    count=$(grep --count "was read anew" "$work/helper")
    kill -HUP "$helper"
    until_true configurations_read $((count + 1))
    attack refused
}

# in_order NAME: no time of the journal is earlier than the one that was written before it.
in_order() {
    local sunk
    sunk=$(sqlite3 "$state/journal" "SELECT count(*) FROM incident WHERE changed < created;
        SELECT count(*) FROM incident AS one, incident AS other WHERE one.id < other.id AND one.created > other.created;
        SELECT count(*) FROM step WHERE ended <> 0 AND ended < begun;
        SELECT count(*) FROM step AS one, step AS other WHERE one.id < other.id AND one.begun > other.begun" | tr '\n' ' ')
    [ "$sunk" = "0 0 0 0 " ]
    report "$1/journal-in-order" $? "$sunk: $(sqlite3 "$state/journal" "SELECT begun, ended, name FROM step")"
}

# untouched NAME: nothing of the clock has got into the container.
untouched() {
    ! grep --files-with-matches --silent set_clock "/proc/$(server_process)/maps" "/proc/$(server_process)/environ"
    report "$1/clock-is-the-helpers" $?
}

patched() {
    [ "$(installed "$tree")" = "$2" ] && runs_library && [ -z "$(left)" ]
    report "$1/patched" $? "$(installed "$tree") $(left) $(grep sample-lookup "/proc/$(server_process)/maps")"
}

# ---- before an alarm ----

begin_case expired
set_clock $years
raise_alarm
says expired/refused 1 refused "expired on 20"
set_clock 0
alarm_again
says expired/stays-so 2 refused "expired on 20.*set back, and the journal holds 20"
as_before expired
cp "$recipes/sample-lookup.recipe" "$work/kept.recipe"
recipe_with longer 's/^expires = .*/expires = "2099-01-01";/'
cp "$recipes/sample-lookup.recipe" "$work/recipes/"
alarm_again
says expired/newer-recipe 3 "done" "patched"
patched expired 1.0-2
untouched expired
in_order expired
cp "$work/kept.recipe" "$work/recipes/sample-lookup.recipe"
end_case

begin_case early
set_clock -$years
raise_alarm
says early/refused 1 refused "from the future.*look at the clock"
set_clock 0
alarm_again
says early/by-the-right-clock 2 "done" "patched"
patched early 1.0-2
in_order early
end_case

# ---- while a person is asked ----

# limited LEAST: at least so many events of one sender were too many.
limited() {
    awk -v least="$1" '/rate limit/ { found = $NF } END { exit found < least }' "$work/metrics"
}

begin_case approval
set_clock 0
before=$(digest "$tree")
write_configuration ask "events_per_minute = 1;" "metrics = \"$work/metrics\";"
start_helper
start_asking "$work/asked"
for _ in 1 2 3; do
    attack refused
done
says approval/waits 1 waiting "approve 1"
until_true limited 2
report approval/sender-is-limited $? "$(grep rate "$work/metrics")"
set_clock $years
for _ in 1 2 3; do
    attack refused
done
until_true limited 4
report approval/sender-stays-limited $? "$(grep rate "$work/metrics")"
expect approval/approve 0 approved "$pinion" patch approve --config "$configuration" 1
says approval/expired-meanwhile 1 refused "expired on 20"
set_clock 0
expect approval/stays-so 2 'set back, and the journal holds 20' "$pinion" patch approve --config "$configuration" 1
as_before approval
in_order approval
end_case

# ---- in the middle of a patch ----

installs() {
    sqlite3 -readonly "$state/journal" "SELECT 'under way' FROM step WHERE name = 'install' AND ended = 0" | grep . >/dev/null
}

# jumps NAME SECONDS: the clock is set while the package is installed. The first patch is rolled back, for its check never
# holds; of two restarts in an hour that is what is allowed.
jumps() {
    begin_case "$1"
    set_clock 0
    recipe_of "1.0-3+$1" 'sleep 3'
    sed -i -e 's/^expires = .*/expires = "2099-01-01";/' -e 's/It serves/It never says this/' -e 's/timeout = [0-9]*/timeout = 1/' \
        "$recipes/sample-lookup.recipe"
    "$pinion" recipe sign --key "$work/key" "$recipes/sample-lookup.recipe" >/dev/null
    raise_alarm "restarts_per_hour = 2;"
    until_true installs
    report "$1/in-the-middle" $?
    set_clock "$2"
    says "$1/told" 1 "rolled back" "8080"
    [ "$2" -lt 0 ] || [ "$(sqlite3 "$state/journal" "SELECT max(ended) - min(begun) > $2 * 1000000000 FROM step")" = 1 ]
    report "$1/clock-was-set" $?
    as_before "$1"
    in_order "$1"
    # Its second patch would be one restart too many, whatever the clock says; when the hour has passed it is none.
    recipe_of "1.0-4+$1" 'true'
    sed -i 's/^expires = .*/expires = "2099-01-01";/' "$recipes/sample-lookup.recipe"
    "$pinion" recipe sign --key "$work/key" "$recipes/sample-lookup.recipe" >/dev/null
    write_configuration auto "restarts_per_hour = 2;"
    alarm_again
    says "$1/restarts-are-still-counted" 2 refused "restarted 2 times within an hour"
    sqlite3 "$state/journal" "UPDATE restart SET uptime = uptime - 3600000000000"
    alarm_again
    says "$1/but-no-longer" 3 "done" "patched"
    patched "$1" "1.0-4+$1"
    untouched "$1"
    in_order "$1"
    end_case
}

jumps forward $years
jumps back -$years

exit "$failed"
