#!/bin/bash
# The patch helper, or its worker, is killed in the midst of restarting a server that runs in a container: what it had ended
# and not started again serves again, as it did before, and of two binaries one is left.
# shellcheck disable=SC2317 # much is called by name, through until_true
set -uo pipefail
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh"
# shellcheck source=tests/integration/common/sample_container.sh
. "$(dirname "$0")/common/sample_container.sh"

prepare patch-killed-between
patience=60

# ---- between stop and start ----

# write_init LINE...: the first process of a container that goes on whatever becomes of its servers: it only starts them.
# shellcheck disable=SC2016
write_init() {
    printf '%s\n' '#!/bin/sh' "$@" 'while :; do sleep 0.2; done' >"$tree/sbin/init"
    chmod 755 "$tree/sbin/init"
}

is_protected() {
    grep libpinion.so "/proc/$1/maps" >/dev/null
}

# begin_between NAME: the container's init starts the server.
begin_between() {
    name=$1
    start_container "$tree" /sbin/init && until_true answers && asked=$(server_process) && is_protected "$asked"
    report "$name/start" $? "$(tail -n 2 "$tree/tmp/output")"
    before=$(digest "$tree")
}

# Though nobody may have waited for it yet.
has_ended() {
    ! grep -s '^State:[[:space:]]*[^ZX]' "/proc/$1/status" >/dev/null
}

# is_asked PROCESS SIGNAL: it has not got it yet.
is_asked() {
    local pending
    pending=$(awk '/^ShdPnd:/ { print $2 }' "/proc/$1/status")
    [ $((0x$pending >> ($(kill -l "$2") - 1) & 1)) = 1 ]
}

# begin_apply SIGNAL: by hand. What the server is told it does not get before it is let.
begin_apply() {
    kill -STOP "$asked"
    begin "$pinion" patch apply --config "$configuration" --pid "$container" "$recipes/sample-lookup.recipe" >"$work/told" 2>&1
    applying=$begun
    until_true is_asked "$asked" "$1"
    report "$name/asked" $? "$(<"$work/told")"
}

# kill_between: when the server has ended, and before it is started again.
kill_between() {
    kill -STOP "$applying"
    kill -CONT "$asked"
    until_true has_ended "$asked"
    report "$name/ended" $?
    kill -KILL "$applying"
    wait "$applying" 2>/dev/null
    ! answers
    report "$name/is-down" $?
}

restart_told() {
    incident_of 1 | jq -r '[.steps[] | select(.name == "restart")] | last | .detail // empty'
}

# remembered: what is known of programs lies on disk, where nobody else can read it.
remembered() {
    [ "$(stat --format='%a %u' "$state"/restart-*)" = "600 0" ]
    report "$name/remembered-for-root-alone" $? "$(ls -l "$state")"
}

rolled_back() {
    until_true ended >/dev/null
    [ "$(incident_of 1 | jq -r .state)" = "rolled back" ]
    report "$name/rolled-back" $? "$(incident_of 1)"
    [ "$(digest "$tree")" = "$before" ]
    report "$name/identical-files" $? "$(diff <(echo "$before") <(digest "$tree") | head -n 5)"
}

# serves_again: as it did, on its old library, with Pinion.
serves_again() {
    rolled_back
    answers && [ "$(server_process | wc -l)" = 1 ] && runs_library
    report "$name/serves-again" $? "$(server_process) $(restart_told)"
    is_protected "$(server_process)"
    report "$name/protected-again" $? "$(grep "\.so" "/proc/$(server_process)/maps")"
    restart_told | grep "started again: $server" >/dev/null
    report "$name/journal-says-so" $? "$(restart_told)"
    [ -z "$(left)$(find "$state" -name "restart-*")" ]
    report "$name/nothing-left" $? "$(left) $(ls "$state")"
    [ "$(incident_of 1 | jq '.outage > 0')" = true ]
    report "$name/outage-is-told" $? "$(incident_of 1 | jq .outage)"
}

end_between() {
    stop_helper
    stop_container
    rm -rf --one-file-system "$tree" "$state"
    server=/usr/sbin/sample-server
}

# A daemon that no service and no script starts: the same command line does. It goes by the name of one that is known to
# end at SIGTERM.
new_daemon() {
    echo "# $1"
    new_tree "$1"
    recipes=$work/recipes server=/usr/sbin/memcached
    ${CC:-cc} -O1 -D_GNU_SOURCE -Wl,--build-id=sha1 -o "$tree$server" "$common/daemon.c" "$tree$library_file" &&
        "$policygen" --image "$tree" -o "$tree/etc/pinion" "$server" >"$work/told" 2>&1
    report "$1/daemon" $? "$(tail -n 2 "$work/told")"
    write_init "KEPT=for-ever LD_PRELOAD=/usr/local/lib/libpinion.so PINION_LOG=/var/log/pinion.log $server ${address#*:}"
    write_configuration auto
    begin_between "$1"
}

has_environment() {
    tr '\0' '\n' <"/proc/$(server_process)/environ" | grep -x "KEPT=for-ever" >/dev/null
}

new_daemon daemon-ended
begin_apply TERM
remembered
kill_between
start_helper
serves_again
has_environment
report daemon-ended/same-environment $?
end_between

# It ends only when the helper has come back.
new_daemon daemon-ends-late
begin_apply TERM
kill -KILL "$applying"
wait "$applying" 2>/dev/null
start_helper
files_are_back() {
    [[ $(steps 1) = *"undo restart" ]]
}
until_true files_are_back
kill -CONT "$asked"
serves_again
end_between

new_daemon memory-damaged
begin_apply TERM
kill_between
truncate --size=-1 "$state"/restart-1
start_helper
until_true ended >/dev/null
[ "$(incident_of 1 | jq -r .state)" = failed ] &&
    incident_of 1 | jq -r .detail | grep "restart-1.*damaged.*start those that do not run" >/dev/null
report memory-damaged/told $? "$(incident_of 1)"
[ "$(digest "$tree")" = "$before" ]
report memory-damaged/identical-files $? "$(diff <(echo "$before") <(digest "$tree") | head -n 5)"
end_between

# Another user's, which nothing but its own command line starts, and which ends where it should have reloaded.
echo "# user-ended"
new_tree user-ended
recipe_with user 's/signal = "HUP"/signal = "TERM"/'
write_init 'cd /srv' "KEPT=for-ever LD_PRELOAD=/usr/local/lib/libpinion.so \\
    setpriv --reuid 33 --regid 34 --groups 35,36 --no-new-privs $server ${address#*:} &"
write_configuration auto
begin_between user-ended
begin_apply TERM
kill_between
start_helper
serves_again
restart_told | grep "standard output goes nowhere" >/dev/null
report user-ended/lost-output-is-told $? "$(restart_told)"
process=$(server_process)
[ "$(awk '/^(Uid|Gid|Groups|NoNewPrivs):/ { $1 = ""; print }' "/proc/$process/status" | xargs)" = "33 33 33 33 34 34 34 34 35 36 1" ] &&
    [ "$(readlink "/proc/$process/cwd")" = /srv ] && has_environment
report user-ended/as-it-was $? "$(readlink "/proc/$process/cwd") $(grep -E '^(Uid|Gid|Groups|NoNewPrivs):' "/proc/$process/status")"
end_between

# service_ended helper|worker: a script starts the server, and is still between stop and start when that one is killed.
service_ended() {
    echo "# service-ended-$1"
    new_tree "service-ended-$1"
    recipe_with "service-$1" 's/how = "reload"; signal = "HUP";/how = "service";/'
    cat >"$tree/etc/init.d/sample" <<END
#!/bin/sh
# Starts $server.
[ "\$1" != status ] || exit 0
if [ "\$1" = restart ]; then
    read -r running </run/sample.pid
    kill "\$running"
    while kill -0 "\$running"; do sleep 0.01; done
    : >/tmp/between
    sleep 1000
fi
setsid $server ${address#*:} </dev/null >/dev/null 2>&1 &
echo \$! >/run/sample.pid
END
    chmod 755 "$tree/etc/init.d/sample"
    write_init "LD_PRELOAD=/usr/local/lib/libpinion.so PINION_LOG=/var/log/pinion.log PINION_EVENTS=/run/pinion/events \\
        /etc/init.d/sample start"
    write_configuration auto
    begin_between "service-ended-$1"
    start_helper
    attack refused
    until_true test -e "$tree/tmp/between"
    report "$name/between" $? "$(incidents -c '.incidents[] | {state, detail}')"
    if [ "$1" = helper ]; then
        stop_helper
        remembered
        start_helper
    else
        kill -KILL "$(pgrep --parent "$helper")"
    fi
    serves_again
    ! attack later
    report "$name/attack-is-refused" $?
    end_between
}

service_ended helper
service_ended worker

# ---- between a new binary and the end of the old one ----

# begin_nginx NAME: a server that starts its new binary beside the old one. The library is not its own, but it runs it.
begin_nginx() {
    local each
    echo "# $1"
    new_tree "$1"
    name=$1 recipes=$work/recipes server=/usr/sbin/nginx
    mkdir -p "$tree/etc/nginx" "$tree/var/log/nginx" "$tree/var/lib/nginx"
    cp "$server" "$tree$server"
    for each in $(ldd "$server" | grep -o '/[^ ]*'); do
        [ -e "$tree$each" ] || cp --dereference "$each" "$tree$each"
    done
    printf '%s\n' "env LD_PRELOAD; worker_processes 2; user root; pid /run/nginx.pid; events {}" \
        "http { server { listen $address; location / { return 200 'It serves'; } } }" >"$tree/etc/nginx/nginx.conf"
    write_init "LD_PRELOAD=/usr/local/lib/libpinion.so:${library_file%.0} $server"
    write_configuration auto
    start_container "$tree" /sbin/init && until_true answers && until_true has_binaries 1
    report "$1/start" $? "$(tail -n 2 "$tree/tmp/output")"
    asked=$(binaries)
    before=$(digest "$tree")
    start_asking "$work/asked"
}

binaries() {
    pgrep --ns "$container" --nslist pid --full '^nginx: master'
}

has_binaries() {
    [ "$(binaries | wc -l)" = "$1" ] &&
        [ "$(pgrep --ns "$container" --nslist pid --full '^nginx: worker process$' | wc -l)" = $((2 * $1)) ]
}

# new_binary: the helper, by hand, has the new binary started, and then stands still.
new_binary() {
    begin_apply USR2
    kill -STOP "$applying"
    kill -CONT "$asked"
    until_true has_binaries 2
    report "$name/two-binaries" $? "$(<"$work/told")"
}

# one_serves NAME: one binary is left, on the library that is there now, and no request was lost.
one_serves() {
    local gap failures
    until_true has_binaries 1
    report "$name/one-binary" $? "$(pgrep --ns "$container" --nslist pid --full --list-full '^nginx')"
    awk -v wanted="$(stat --format=%i "$tree$library_file")" '/libsample-lookup/ { found++; other += $5 != wanted }
        END { exit !found || other > 0 }' "/proc/$(binaries)/maps" && is_protected "$(binaries)"
    report "$name/on-the-right-library" $? "$(grep sample-lookup "/proc/$(binaries)/maps")"
    read -r gap failures < <(longest_gap "$work/asked")
    [ "$gap" -lt 1000 ] && [ "$failures" = 0 ]
    report "$name/never-stops-answering" $? "$gap ms without an answer, $failures requests failed"
}

begin_nginx old-binary-serves
new_binary
kill -KILL "$applying"
wait "$applying" 2>/dev/null
start_helper
rolled_back
one_serves
[ "$(binaries)" = "$asked" ]
report old-binary-serves/the-old-one-stays $?
ends "$asker"
end_between

# The old one is busy with somebody who takes his time, so that for a while no newer one can be started.
begin_nginx old-binary-ends
nsenter --target "$container" --net bash -c "exec 3<>/dev/tcp/${address/:/\/} && printf 'GET / HTTP/1.1\r\n' >&3 && read -r _ <&3" &
visitor=$!
running+=("$visitor")
new_binary
kill -STOP "$asked"
kill -CONT "$applying"
until_true is_asked "$asked" QUIT
report old-binary-ends/asked-to-end $?
kill -KILL "$applying"
wait "$applying" 2>/dev/null
kill -CONT "$asked"
serves_no_more() {
    [ "$(pgrep --ns "$container" --nslist pid --full '^nginx: worker process is shutting down' | wc -l)" -ge 1 ]
}
until_true serves_no_more
report old-binary-ends/drains $? "$(pgrep --ns "$container" --nslist pid --full --list-full '^nginx')"
start_helper
until_true files_are_back
ends "$visitor"
rolled_back
one_serves
ends "$asker"
end_between

# Whoever has left two, the next patch makes one of them.
begin_nginx two-binaries
kill -USR2 "$asked"
until_true has_binaries 2
"$pinion" patch apply --config "$configuration" --pid "$container" "$recipes/sample-lookup.recipe" >"$work/told" 2>&1
report two-binaries/patched $? "$(<"$work/told")"
one_serves
ends "$asker"
end_between

exit "$failed"
