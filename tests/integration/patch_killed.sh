#!/bin/bash
# The patch helper, or its worker, is killed in each step while a server is patched that runs in a container, asked all the
# time: started anew, it finishes, begins anew or brings back identical files, and the journal says which.
# patch_killed_between.sh kills it in the midst of a restart.
# shellcheck disable=SC2317 # much is called by name, through until_true
set -uo pipefail
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh"
# shellcheck source=tests/integration/common/sample_container.sh
. "$(dirname "$0")/common/sample_container.sh"

prepare patch-killed
patience=60

# What may come of it.
done_or_undone() {
    local incident
    until_true ended >/dev/null
    incident=$(ended)
    case $(incident_of "$incident" | jq -r .state) in
    "done")
        [ "$(installed "$tree")" = 1.0-2 ] && runs_library && [ -z "$(left)" ]
        report "$1/patched" $? "$(installed "$tree") $(left) $(grep sample-lookup "/proc/$(server_process)/maps")"
        read -r gap failures < <(longest_gap "$work/asked")
        [ "$gap" -lt 1000 ] && [ "$failures" = 0 ]
        report "$1/never-stops-answering" $? "$gap ms without an answer, $failures requests failed"
        ;;
    "rolled back") as_before "$1" ;;
    *) report "$1/done-or-undone" 1 "$(incident_of "$incident")" ;;
    esac
    [ "$(incident_of "$incident" | jq '[.steps[] | select(.ended == null)] | length')" -le 1 ]
    report "$1/journal" $? "$(steps "$incident")"
    echo "# $1: $(incident_of "$incident" | jq -r '"\(.state): \([.steps[].name] | join(" "))"')"
    ! grep -lsz "^PINION_PATCH=" /proc/[0-9]*/environ >/dev/null
    report "$1/nothing-runs-on" $? "$(grep -lsz "^PINION_PATCH=" /proc/[0-9]*/environ)"
}

# killed STEP helper|worker
killed() {
    local name=$2-killed-in-$1
    begin_case "$name"
    before=$(digest "$tree")
    write_configuration auto
    start_helper
    start_asking "$work/asked"
    "$common/kill_at" "$state" "$1" "$2" "$helper" &
    killer=$!
    attack refused
    wait "$killer"
    report "$name/killed" $? "the step never came: $(incidents -c '.incidents[] | {state, detail}')"
    if [ "$2" = helper ]; then
        wait "$helper" 2>/dev/null
        start_helper
    fi
    done_or_undone "$name"
    end_case
}

for step in plan fetch install policy ready commit restart health keep; do
    killed "$step" helper
done
for step in install commit restart keep; do
    killed "$step" worker
done

# The server runs the new library, and nothing but the recipe says how it is restarted: that is gone when the helper comes
# back.
begin_case recipe-removed
recipe_with removed
before=$(digest "$tree")
write_configuration auto
start_helper
start_asking "$work/asked"
"$common/kill_at" "$state" health helper "$helper" &
killer=$!
attack refused
wait "$killer"
report recipe-removed/killed $? "$(incidents -c '.incidents[] | {state, detail}')"
wait "$helper" 2>/dev/null
rm "$recipes/sample-lookup.recipe"
start_helper
until_true ended >/dev/null
[ "$(incident_of 1 | jq -r .state)" = "rolled back" ]
report recipe-removed/rolled-back $? "$(incident_of 1)"
as_before recipe-removed
[ -z "$(find "$state" -mindepth 1 -name "recipe-*")" ]
report recipe-removed/nothing-left $? "$(ls "$state")"
end_case

exit "$failed"
