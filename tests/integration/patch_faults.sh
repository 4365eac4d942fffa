#!/bin/bash
# What goes wrong while a server is patched that runs in a container, asked all the time: whatever it is, the container ends
# patched or with identical files and the server on its old library, and the journal says which.
# shellcheck disable=SC2317 # much is called by name, through until_true
set -uo pipefail
if [ "${1:-}" != inside ]; then # what is mounted here outlives the test in no case
    unshare --mount --propagation private true 2>/dev/null || { echo "skip patch-faults: no mount namespace"; exit 0; }
    exec unshare --mount --propagation private "$0" inside
fi
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh"
# shellcheck source=tests/integration/common/sample_container.sh
. "$(dirname "$0")/common/sample_container.sh"

prepare patch-faults
patience=60

# ---- faults ----

begin_case archive-unreachable
rm "$tree"/srv/archive/*.deb
raise_alarm
ends_in archive-unreachable "rolled back" "libsample-lookup1"
as_before archive-unreachable
end_case

# The container cannot reach its archive, the helper can.
begin_case mirror
mkdir "$work/mirrored"
mv "$tree"/srv/archive/*.deb "$work/mirrored"
begin python3 -u -m http.server --bind 127.0.0.1 --directory "$work/mirrored" 0 >"$work/mirrored.log" 2>&1
mirror=$begun
until_true grep -q 'port [0-9]' "$work/mirrored.log"
raise_alarm "mirrors = [ \"http://127.0.0.1:$(grep -o 'port [0-9]*' "$work/mirrored.log" | cut -d' ' -f2)\" ];"
ends_in mirror "done" "patched"
[ "$(installed "$tree")" = 1.0-2 ]
report mirror/patched $? "$(installed "$tree")"
ends "$mirror"
end_case

begin_case wrong-digest
python3 - "$tree/srv/archive/${library}_1.0-2_amd64.deb" <<'END'
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(1500)
    byte = file.read(1)[0]
    file.seek(1500)
    file.write(bytes([byte ^ 1]))
END
raise_alarm
ends_in wrong-digest "rolled back" "digest|SHA-?256|[Hh]ash"
as_before wrong-digest
end_case

begin_case wrong-signature
recipe_with wrong-signature
sed -i 's/^summary = "/&Really: /' "$recipes/sample-lookup.recipe"
raise_alarm
ends_in wrong-signature refused "sign"
as_before wrong-signature
end_case

begin_case another-key
"$pinion" recipe key --output "$work/other-key" >/dev/null 2>&1
recipe_with another-key
"$pinion" recipe sign --key "$work/other-key" "$recipes/sample-lookup.recipe" >/dev/null
raise_alarm
ends_in another-key refused "sign|key"
as_before another-key
end_case

# A check that only the old library meets; and one that nothing meets, which tells nothing of the roll-back.
begin_case unhealthy
recipe_with unhealthy 's|{ url = [^}]*}|{ command = [ "sh", "-c", "! grep -q 1.0-2 /var/lib/dpkg/status" ]; }|' 's/timeout = [0-9]*/timeout = 1/'
raise_alarm
ends_in unhealthy "rolled back" "exit|status|ended"
as_before unhealthy
end_case

begin_case never-healthy
recipe_with never-healthy 's/It serves/It never says this/' 's/timeout = [0-9]*/timeout = 1/'
raise_alarm
ends_in never-healthy "rolled back" "8080"
as_before never-healthy
end_case

begin_case postinst
recipe_of 1.0-3 'echo "this will not do" >&2; date >/etc/changed; exit 1'
raise_alarm
ends_in postinst "rolled back" "post-?inst|dpkg|this will not do"
as_before postinst
end_case

begin_case hanging-postinst
recipe_of 1.0-4 'sleep 1000'
raise_alarm "step_timeout = 3;"
ends_in hanging-postinst "rolled back" "still ran after 3 s"
as_before hanging-postinst
nothing_sleeps() {
    ! pgrep --full "^sleep 1000$" >/dev/null
}
until_true nothing_sleeps
report hanging-postinst/nothing-runs-on $? "$(pgrep --full --list-full "^sleep 1000")"
end_case

# ---- a root in layers, as container engines make it ----

# begin_layered_case NAME: the library's file lies in a layer below, the upper one is empty.
begin_layered_case() {
    echo "# $1"
    new_tree "$1"
    mv "$tree" "$tree.lower"
    mkdir "$tree" "$tree.upper" "$tree.work"
    recipes=$work/recipes
    mount -t overlay -o "lowerdir=$tree.lower,upperdir=$tree.upper,workdir=$tree.work" overlay "$tree" && start_server "$tree"
    report "$1/start" $? "$(tail -n 2 "$tree/tmp/output")"
}

end_layered_case() {
    stop_helper
    ends "$asker"
    stop_container
    umount "$tree"
    rm -rf --one-file-system "$tree"{,.lower,.upper,.work} "$state"
}

begin_layered_case layered
raise_alarm
ends_in layered "done" "patched"
[ "$(installed "$tree")" = 1.0-2 ] && runs_library && [ -z "$(left)" ]
report layered/patched $? "$(installed "$tree") $(left) $(grep sample-lookup "/proc/$(server_process)/maps")"
! attack later
report layered/attack-fails $?
end_layered_case

begin_layered_case layered-unhealthy
recipe_with layered-unhealthy 's/It serves/It never says this/' 's/timeout = [0-9]*/timeout = 1/'
raise_alarm
ends_in layered-unhealthy "rolled back" "8080"
as_before layered-unhealthy
end_layered_case

# ---- two containers, one of which holds the helper up ----

# states STATE...: of the incidents, in their order.
states() {
    [ "$(incidents '[.incidents | sort_by(.id)[].state] | join(", ")')" = "$1" ]
}

# planned INCIDENT: the number of the step with which it was begun.
planned() {
    incident_of "$1" | jq '[.steps[] | select(.name == "plan").id][0]'
}

begin_case patient
patient=$tree patient_container=$container patient_outer=$outer
begin_case greedy
greedy_container=$container
recipe_of 1.0-6 'sleep 1000'
raise_alarm "time_limit = 15;"
until_true states applying
# Another recipe is the answer from now on: first for the one that is at it already, then for the other.
rm "$recipes/sample-lookup.recipe"
sed 's/^recipe = .*/recipe = "another";/' "$work/drafts/sample-lookup.recipe" >"$recipes/another.recipe"
"$pinion" recipe sign --key "$work/key" "$recipes/another.recipe" >/dev/null
kill -HUP "$helper"
until_true grep -q "was read anew" "$work/helper"
attack refused
until_true states "applying, approved"
container=$patient_container
attack refused
until_true states "applying, approved, approved"
report greedy/all-wait $? "$(incidents -c '.incidents[] | {id, state, detail}')"
until_true states "rolled back, done, done"
report greedy/all-end $? "$(incidents -c '.incidents[] | {id, state, detail}')"
incident_of 1 | jq --exit-status '.detail | test("all the time that one may .time_limit")' >/dev/null
report greedy/has-its-time $? "$(incident_of 1 | jq .detail)"
[ "$(planned 3)" -lt "$(planned 2)" ]
report greedy/who-had-less-is-next $? "$(planned 3) $(planned 2)"
[ "$(installed "$tree") $(installed "$patient")" = "1.0-2 1.0-2" ]
report greedy/both-are-patched $? "$(installed "$tree") $(installed "$patient")"
container=$greedy_container
end_case
container=$patient_container outer=$patient_outer
stop_container
rm -rf --one-file-system "$patient"

# ---- no room ----

# The package says that it is small; what it writes is more than there is room for.
echo "# disk-full"
new_tree full
mv "$tree" "$tree.files"
mkdir "$tree"
mount -t tmpfs -o "size=$(($(du --summarize --block-size=1M "$tree.files" | cut -f1) + 24))M,nr_inodes=0" tmpfs "$tree"
cp -a "$tree.files/." "$tree"
start_server "$tree"
recipe_of 1.0-5 'head -c 60000000 /dev/urandom >/var/lib/large'
raise_alarm
ends_in disk-full "rolled back" "[Nn]o space|room|full"
as_before disk-full
stop_helper
ends "$asker"
stop_container
umount "$tree"

exit "$failed"
