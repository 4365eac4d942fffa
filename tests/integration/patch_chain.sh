#!/bin/bash
# From an alarm to the one package that fixes it, live: the sample server runs in a container under Pinion, its lookup in a
# vulnerable library of a package of its own, visitors ask it all the time. Attacked, it is patched by a signed recipe,
# without a pause: once known by the signature of the anomaly, with nothing refused, once by the refused call. Then who may
# have something done at all: modes, forged events, floods.
# shellcheck disable=SC2317 # much is called by name, through until_true
set -uo pipefail
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh"
# shellcheck source=tests/integration/common/sample_container.sh
. "$(dirname "$0")/common/sample_container.sh"

prepare patch-chain
patience=60
events=/run/pinion

cat >"$work/hook" <<'END'
#!/bin/sh
cat >>"$(dirname "$0")/hooked"
END
chmod 755 "$work/hook"
mkdir "$work/vex"
outside=("hook = \"$work/hook\";" "metrics = \"$work/metrics\";" "vex = \"$work/vex\";")

# ---- what every chain ends with ----

# is_patched NAME: the container has the fix and runs it, the attack fails, and all was told.
is_patched() {
    local incident maps gap failures left
    until_true in_state "done" "rolled back" failed refused >/dev/null
    until_true nothing_under_way
    incident=$(in_state "done")
    report "$1/done" $? "$(tail -n 5 "$work/helper")"
    [ "$(steps "$incident")" = "plan fetch install policy ready commit restart health keep" ]
    report "$1/steps" $? "$(incident_of "$incident")"
    [ "$(installed "$tree")" = 1.0-2 ]
    report "$1/installed" $? "$library $(installed "$tree")"
    maps=$(cat "/proc/$(server_process)/maps")
    grep -q libpinion.so <<<"$maps" && runs_library && ! grep -q 'libsample.*(deleted)$' <<<"$maps"
    report "$1/runs-the-new-library" $? "$(grep -E 'sample-lookup|libpinion' <<<"$maps")"
    grep -q "$(build_id "$tree$library_file")" "$tree/etc/pinion/$stem.policy"
    report "$1/policy-knows-it" $? "no $(build_id "$tree$library_file") in $(grep build "$tree/etc/pinion/$stem.policy")"
    ! attack "$1-again"
    report "$1/attack-fails" $? "it still succeeds"
    visit '/lookup?host=localhost' | grep localhost >/dev/null
    report "$1/ordinary-use-goes-on" $? "$(tail -n 2 "$tree/var/log/pinion.log")"
    ends "$asker"
    read -r gap failures < <(longest_gap "$work/asked")
    [ "$gap" -lt 1000 ] && [ "$failures" = 0 ]
    report "$1/never-stops-answering" $? "$gap ms without an answer, $failures requests failed: $(grep failed "$work/asked" | head -n 3)"
    echo "# $1: longest time without an answer $gap ms; $(incident_of "$incident" | jq -r \
        '"\(.downloaded) bytes fetched, disk \(.disk_growth) bytes, memory \(.memory) bytes"')"
    left=$(find "$tree/var/lib/pinion" "$state" -path '*/rollback/*' -o -name 'stage-*' 2>/dev/null)
    [ -z "$left" ]
    report "$1/nothing-left" $? "$left"
}

# is_fixed: the library itself, without Pinion, in a server of its own.
is_fixed() {
    local fixed
    stop_container
    start_container "$tree" "$server" "${address#*:}" && until_true answers
    ! grep -q libpinion "/proc/$container/maps"
    report "$1/without-pinion" $?
    ! attack "$1-without-pinion"
    fixed=$?
    visit '/lookup?host=localhost' | grep localhost >/dev/null && [ "$fixed" = 0 ]
    report "$1/fixed-without-pinion" $? "the attack still succeeds, or nothing works"
    stop_container
}

hook_told() {
    jq -es --argjson id "$1" 'any(.id == $id and .state == "done")' "$work/hooked" >/dev/null
}

is_told() {
    local incident count
    incident=$(in_state "done")
    count=$(incidents '[.incidents[] | select(.state == "done")] | length')
    until_true hook_told "$incident"
    report "$1/hook" $? "$(cat "$work/hooked")"
    jq -e '.statements[] | select(.status == "fixed" and .vulnerability.name == "CVE-2026-99999")' \
        "$work/vex/pinion-$incident.openvex.json" >/dev/null
    report "$1/vex" $? "$(cat "$work"/vex/*)"
    grep -q "^pinion_patches_total{outcome=\"done\"} $count\$" "$work/metrics"
    report "$1/metrics" $? "$(cat "$work/metrics")"
    "$pinion" incidents show --config "$configuration" "$incident" >"$work/shown"
    grep -q "$library" "$work/shown" && grep -q "$2" "$work/shown"
    report "$1/shown" $? "$(cat "$work/shown")"
}

# ---- known by its anomaly, nothing refused ----

new_tree anomaly
page=$work/run/page
set_mode "$tree" audit >"$work/told" 2>&1
report anomaly/audit $? "$(<"$work/told")"

interval() {
    "$pinion" counts --page "$page" --json | jq .interval
}

reached() {
    [ "$(interval)" -ge "$1" ]
}

# start_load: what the server has to do all day.
start_load() {
    begin nsenter --target "$container" --net "$common/visitors" "$address" 2 "${pages[@]}"
    load=$begun
    start_asking "$work/asked"
}

# record_for INTERVALS FILE
record_for() {
    begin "$pinion" record --quiet --page "$page" --output "$2" 2>"$work/told"
    until_true compgen -G "$2*" >/dev/null
    until_true reached $(($(interval) + $1))
    ends "$begun"
}

begins_to_attack() {
    local each
    for each in 1 2 3; do
        attack "training-$each" || return
    done
}

start_server "$tree" PINION_COUNTS=$events/page PINION_INTERVAL=50
start_load
record_for 260 "$work/normal.csv"
report anomaly/record $? "$(<"$work/told")"
ends "$load" "$asker"
stop_container
expect anomaly/train 0 "alarm above" "$pinion" train --rate 0.00001 --output "$tree/etc/pinion/model" "$work/normal.csv"

model=(PINION_COUNTS="$events/watched" PINION_INTERVAL=50 PINION_MODEL=/etc/pinion/model)
page=$work/run/watched
start_server "$tree" "${model[@]}"
start_load
until_true reached 10
record_for 20 "$work/attack.csv" &
recording=$!
until_true compgen -G "$work/attack.csv*" >/dev/null
attack training
report anomaly/attack-succeeds $? "nothing refuses it, and yet it fails"
wait "$recording"
expect anomaly/learn-signature 0 "recorded" "$pinion" signature learn --db "$work/signatures" --name lookup-injection \
    --cve CVE-2026-99999 --package "$library" --recipe sample-lookup --model "$tree/etc/pinion/model" "$work/attack.csv"

write_configuration auto "signatures = \"$work/signatures\";" "${outside[@]}"
start_helper
report anomaly/helper $? "$(<"$work/helper")"
# The first alarm may be told by a shell that has ended by the time it is looked at: then a person has to decide, and the
# next one counts.
attack_is_taken_up() {
    attack alarm
    in_state approved applying "done" "rolled back" failed refused >/dev/null
}
until_true attack_is_taken_up
report anomaly/attack-is-through $? "$(incidents -c '.incidents[]')"
is_patched anomaly
ends "$load"
[ "$(incident_of "$(in_state "done")" | jq -r '"\(.claim) \(.answer) \(.name) \(.event.event)"')" = "good named lookup-injection anomaly" ]
report anomaly/why $? "$(incident_of "$(in_state "done")")"
is_told anomaly lookup-injection
stop_helper
is_fixed anomaly

# ---- known by the refused call; two containers at once ----

# The server enforces its policy; whoever has the socket's volume sees its events.
new_tree first_of_two
other=$tree
start_server "$other"
other_container=$container other_outer=$outer
new_tree violation
write_configuration auto "${outside[@]}"
rm -f "$work/hooked" "$work/metrics"
start_helper
start_server "$tree"
start_asking "$work/asked"
! attack refused
report violation/refused $? "the policy lets it through"
container=$other_container attack refused
is_patched violation
until_true nothing_under_way
[ "$(incidents '[.incidents[] | "\(.state) \(.claim) \(.answer) \(.event.event)"] | join(", ")')" = \
    "done good violation violation, done good violation violation" ]
report violation/two-at-once $? "$(incidents -c '.incidents[]')"
[ "$(installed "$other")" = 1.0-2 ]
report violation/the-other-container $? "$library $(installed "$other") in the other one"
is_told violation violation
stop_helper
stop_container
outer=$other_outer container=$other_container stop_container

# ---- modes ----

is_untouched() {
    [ "$(digest "$tree")" = "$before" ]
    report "$1" $? "$(diff <(echo "$before") <(digest "$tree"))"
}

# attacked_in_mode MODE STATE: a helper in this mode takes the attack for one.
attacked_in_mode() {
    write_configuration "$1" "${outside[@]}"
    start_helper
    attack "$1"
    until_true in_state "$2" >/dev/null
    report "modes/$1" $? "$(incidents -c '.incidents[]')"
}

new_tree modes
start_server "$tree"
before=$(digest "$tree")
rm -f "$work/hooked"
attacked_in_mode notify notified
until_true grep -qs '"notified"' "$work/hooked"
report modes/notify-tells $? "$(cat "$work/hooked")"
is_untouched modes/notify-does-nothing
stop_helper
attacked_in_mode ask waiting
is_untouched modes/ask-waits
expect modes/reject 0 rejected "$pinion" patch reject --config "$configuration" "$(in_state waiting)"
expect modes/no-second-answer 2 "waits for no answer" "$pinion" patch approve --config "$configuration" "$(in_state rejected)"
stop_helper
is_untouched modes/rejected-is-rejected
# No is no, until there is a newer recipe.
attacked_in_mode ask ignored
stop_helper
sed 's/^serial = 1;/serial = 2;/' "$work/drafts/sample-lookup.recipe" >"$recipes/sample-lookup.recipe"
"$pinion" recipe sign --key "$work/key" "$recipes/sample-lookup.recipe" >/dev/null
attacked_in_mode ask waiting
start_asking "$work/asked"
expect modes/approve 0 approved "$pinion" patch approve --config "$configuration" "$(in_state waiting)"
is_patched modes
stop_helper
stop_container

# ---- who lies ----

# A genuine event, as it was sent.
new_tree forged
start_server "$tree"
rm -f "$work/run/events"
python3 - "$work/run/events" "$work/event" <<'END' &
import os, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
open(sys.argv[2] + ".new", "wb").write(listener.recv(65536))
os.rename(sys.argv[2] + ".new", sys.argv[2])
END
listener=$!
running+=("$listener")
until_true test -S "$work/run/events"
attack captured
wait "$listener"
rm "$work/run/events"
cp "$work/event" "$tree/tmp/event"

# A process of the container, of another user, that sends what it likes: the server's own event; the same with its own number;
# with an argument then bytes of all lengths and events that differ each time. It lives on until it is ended.
cat >"$tree/tmp/liar" <<'END'
use Socket;
socket(my $out, AF_UNIX, SOCK_DGRAM, 0) or die;
my $to = sockaddr_un("/run/pinion/events");
local $/;
open(my $file, "<", "/tmp/event") or die;
my $event = <$file>;
my $own = $event;
substr($own, 20, 4) = pack("V", $$);
sub tell_it { send($out, $_[0], 0, $to) // ($!{EAGAIN} || $!{ENOBUFS} ? 0 : die "send: $!"); }
tell_it($event);
tell_it($own);
if (@ARGV) {
    srand(1);
    for my $i (1 .. $ARGV[0]) {
        tell_it(join("", map { chr(rand(256)) } 1 .. rand(4000))) if $i % 2;
        my $other = $own;
        substr($other, 64, 8) = pack("Q", $i);
        substr($other, $i % length($other), 1) = chr(rand(256));
        tell_it($other);
    }
}
print "sent\n";
close(STDOUT);
sleep;
END
chmod 644 "$tree/tmp/event" "$tree/tmp/liar"

# lie [COUNT]: sets $liar when all is sent.
lie() {
    : >"$work/sent"
    begin nsenter --target "$container" --mount --pid --root --wd --setuid 65534 --setgid 65534 perl /tmp/liar "$@" >"$work/sent"
    liar=$begun
    until_true grep -q sent "$work/sent"
}

refused_by_size_or_rate() {
    grep -Eq '^pinion_[a-z_]*(refused|datagrams)[a-z_]*\{[^}]*\} [1-9]' "$work/metrics"
}

before=$(digest "$tree")
write_configuration auto "events_per_minute = 60;" "${outside[@]}"
rm -f "$work/metrics"
start_helper
lie
report forged/sent $?
both_judged() {
    [ "$(incidents '[.incidents[] | select(.state == "ignored" and .claim == "false") | 1 + .repeats] | add')" = 2 ]
}
until_true both_judged
report forged/not-believed $? "$(incidents -c '.incidents[] | {state, claim, claim_detail, repeats}')"
ends "$liar"
lie 2000
report forged/flood $?
until_true nothing_under_way
ends "$liar"
# Who has ended before it could be looked at may have spoken the truth: that is told, and no more.
[ "$(incidents '[.incidents[] | select(.state | IN("ignored", "notified") | not)] | length')" = 0 ]
report forged/nothing-done $? "$(incidents -c '.incidents[] | select(.state | IN("ignored", "notified") | not)')"
is_untouched forged/untouched
start_asking "$work/asked"
! attack genuine
report forged/genuine-refused $?
is_patched forged
until_true refused_by_size_or_rate
report forged/flood-is-counted $? "$(cat "$work/metrics")"
stop_helper
stop_container

exit "$failed"
