# shellcheck shell=bash disable=SC2034,SC2154 # what scripts use, and what expect.sh sets
# Sourced, after expect.sh, by scripts that patch the packaged sample server while it runs in a container: a Debian root,
# namespaces of its own, and visitors that never stop asking.

root=$PWD
vulnerable=$root/samples/vulnerable
common=$root/tests/integration/common
library=libsample-lookup1
server=/usr/sbin/sample-server
address=127.0.0.1:8080
stem=usr.sbin.sample-server
# What the commands of Pinion need in the root, for learning there.
needed=libconfig9,libcurl4,libdw1,libelf1,libjansson4,libsqlite3-0,libssl3,libzydis4.0
running=()
helper_environment=() # NAME=VALUE, for the helper and its workers alone
recipes=$work/recipes
unset PINION_COUNTS PINION_INTERVAL PINION_MODEL PINION_EVENTS PINION_POLICY PINION_POLICY_DIR LD_PRELOAD

end_all() {
    local process
    exec 2>/dev/null # of what is killed here the shell has nothing to tell
    for process in "${running[@]}"; do
        kill -KILL "$process" 2>/dev/null
    done
    wait 2>/dev/null
    rm -rf --one-file-system "$work"
}
trap end_all EXIT

# begin COMMAND...: in the background, ended with the script. Sets $begun.
begin() {
    "$@" &
    begun=$!
    running+=("$begun")
}

# ends PROCESS...: and waits for it.
ends() {
    local process
    for process; do
        kill "$process" 2>/dev/null
        wait "$process" 2>/dev/null
    done
}

# ---- a root ----

# unpack DIRECTORY: a Debian root with the sample server, its library still with the hole.
unpack() {
    mkdir "$1" && tar -C "$1" -xf "$debian" && cp -r "$work/archives/before" "$1/srv/archive" &&
        mkdir -p "$1/etc/pinion" "$1/run/pinion" && cp "$root/build/libpinion.so" "$1/usr/local/lib/" &&
        cp "$pinion" "$1/usr/local/bin/" && rm -f "$1"/etc/apt/sources.list.d/* &&
        echo "deb [trusted=yes] file:/srv/archive ./" >"$1/etc/apt/sources.list" &&
        echo "127.0.0.1 localhost" >"$1/etc/hosts" &&
        chroot "$1" sh -c 'dpkg --install /srv/archive/*.deb && apt-get -qq update'
}

# container_problem: prints why no container can be had here; false if one can. Sets $debian.
container_problem() {
    [ "$(id -u)" = 0 ] || { echo "needs root"; return; }
    unshare --mount --propagation private --net --pid --ipc --uts --fork true 2>&1 | grep . && return
    debian=$("$common/debian_root" "$needed" 2>"$work/told") || echo "no Debian root: $(<"$work/told")"
    [ -z "$debian" ]
}

# prepare NAME: all that is the same for every container. Ends the script where none can be had.
prepare() {
    local each
    name=$1
    for each in "$pinion" "$policygen" "$root/build/libpinion.so"; do
        [ -e "$each" ] || { echo "not ok $name: $each has not been built"; exit 1; }
    done
    if container_problem >"$work/problem"; then
        echo "skip $name: $(<"$work/problem")"
        exit 0
    fi
    { "$vulnerable/package.sh" "$work/archives" && unpack "$work/first"; } >"$work/told" 2>&1
    report "$name/packages" $? "$(tail -n 3 "$work/told")"
    chmod 755 "$work"
    mkdir "$work/recipes" "$work/run"
    key=$("$pinion" recipe key --output "$work/key" 2>"$work/told") && make_recipe >>"$work/told" 2>&1
    report "$name/recipe" $? "$(<"$work/told")"
    learn_policy "$work/first" >"$work/told" 2>&1 && tar -C "$work/first" -cf "$work/prepared.tar" .
    report "$name/policy" $? "$(<"$work/told")"
    [ "$failed" = 0 ] || exit 1
}

# new_tree NAME: sets $tree to a fresh copy, in which the archive has the fixed library; and $state, the helper's directory.
new_tree() {
    tree=$work/$1 state=$work/$1.state
    mkdir "$tree" && tar -C "$tree" -xf "$work/prepared.tar" && rm -rf "$tree/srv/archive" &&
        cp -r "$work/archives/after" "$tree/srv/archive"
}

library_file=/usr/lib/x86_64-linux-gnu/libsample-lookup.so.1.0

build_id() {
    readelf --notes "$1" | awk '/Build ID/ { print $3 }'
}

installed() {
    dpkg-query --admindir="$1/var/lib/dpkg" --show --showformat='${Version}' "$library"
}

# What the operator has prepared long before: a recipe suggested by the archive, completed by what it answers, signed.
make_recipe() {
    local draft=$work/drafts/sample-lookup.recipe module
    module=$(build_id "$work/first$library_file")
    mkdir -p "$work/drafts"
    cp -r "$work/archives/after/." "$work/first/srv/archive"
    "$pinion" recipe suggest --package "$library" --root "$work/first" --update --scratch "$work" --output "$draft" || return
    python3 - "$draft" "$module" <<'END'
import re
import sys

path, module = sys.argv[1:]
text = open(path, encoding="utf-8").read()
text, count = re.subn(r"answers = \{\n?(.*?)\};", f"""answers = {{
    signatures = [ "lookup-injection" ];
    cves = [ "CVE-2026-99999" ];
    violations = ( {{ module = "{module}"; api = "popen"; }} );
}};""", text, count=1, flags=re.S)
assert count == 1, text
text = re.sub(r"^(restart = \(.*?^\);|health = \{.*?^\};)\n", "", text, flags=re.S | re.M)
text += """restart = ( { program = "/usr/sbin/sample-server"; how = "reload"; signal = "HUP"; } );
health = { timeout = 10; checks = ( { url = "http://127.0.0.1:8080/"; contains = "It serves"; } ); };
"""
open(path, "w", encoding="utf-8").write(text)
END
    cp "$draft" "$work/recipes/" && "$pinion" recipe sign --key "$work/key" "$work/recipes/sample-lookup.recipe" || return
    rm -rf "$work/first/srv/archive" && cp -r "$work/archives/before" "$work/first/srv/archive"
}

# digest DIRECTORY: all files of a root with their owners, modes, times and contents, but for what comes and goes.
digest() {
    (cd "$1" && find . -path ./run -prune -o -path ./tmp -prune -o -path ./proc -prune -o -path ./dev -prune -o \
        -path ./var/log -prune -o -path ./var/lib/pinion -prune -o -type d -printf '%p %y %m %U:%G\n' -o \
        -printf '%p %y %m %U:%G %l %i %s %T@\n' | sort
        find usr/lib/x86_64-linux-gnu/libsample* usr/sbin/sample* etc var/lib/dpkg -type f -print0 | sort -z | xargs -0 sha256sum)
}

# ---- recipes of other packages ----

# recipe_with NAME EXPRESSION...: a directory $work/NAME with the recipe, changed by sed and signed again; sets $recipes.
recipe_with() {
    local arguments=(-e '') each
    recipes=$work/$1.recipes
    for each in "${@:2}"; do
        arguments+=(-e "$each")
    done
    mkdir "$recipes" && sed "${arguments[@]}" "$work/drafts/sample-lookup.recipe" >"$recipes/sample-lookup.recipe" &&
        "$pinion" recipe sign --key "$work/key" "$recipes/sample-lookup.recipe" >/dev/null
}

# recipe_of VERSION POSTINST: the recipe of a package with the fix and this script, which goes into the archive of $tree.
recipe_of() {
    local package=$work/package-$1 archive=$tree/srv/archive deb size digest
    dpkg-deb --raw-extract "$archive/${library}_1.0-2_amd64.deb" "$package" &&
        printf '#!/bin/sh\n%s\n' "$2" >"$package/DEBIAN/postinst" && chmod 755 "$package/DEBIAN/postinst" &&
        "$common/debian_package" "$package" "$library" "$1" "$archive" "Depends: libc6" || return
    deb=$archive/${library}_${1}_amd64.deb
    size=$(stat --format=%s "$deb") digest=$(sha256sum "$deb" | cut -d' ' -f1)
    recipe_with "$1" "s/1\.0-2/$1/g" "s/size = [0-9]*;/size = $size;/" "s/sha256 = \"[0-9a-f]*\"/sha256 = \"$digest\"/"
}

# ---- a container ----

# What runs in the container first: whoever takes care of the server starts it again should it end.
# shellcheck disable=SC2016
keep_serving='while :; do env "$@" '$server' '${address#*:}'; sleep 0.1; done'

# shellcheck disable=SC2016
enter_root='mount --bind "$1" "$1" && mount --bind "$2" "$1/run/pinion" && mount -t proc proc "$1/proc" && ip link set lo up && cd "$1" && pivot_root . . &&
    perl -e "\$here = q(.); exit syscall(166, \$here, 2) != 0" && cd / && shift 2 && exec "$@"' # umount2(".", MNT_DETACH)

# start_container ROOT COMMAND...: sets $container, the first process in it. All containers share the volume of the socket.
start_container() {
    begin unshare --mount --propagation private --net --pid --ipc --uts --fork --kill-child \
        sh -c "$enter_root" enter "$1" "$work/run" "${@:2}" >"$1/tmp/output" 2>&1
    outer=$begun
    until_true pgrep --parent "$outer" >/dev/null && container=$(pgrep --parent "$outer")
}

# start_server ROOT NAME=VALUE...: with Pinion; it answers when this returns.
start_server() {
    local directory=$1
    shift
    start_container "$directory" sh -c "$keep_serving" keep LD_PRELOAD=/usr/local/lib/libpinion.so \
        PINION_EVENTS=/run/pinion/events PINION_LOG=/var/log/pinion.log "$@" && until_true answers
}

stop_container() {
    kill -KILL "$outer"
    wait "$outer" 2>/dev/null
    until_true gone "$container"
}

gone() {
    ! kill -0 "$1"
}

# The server itself, as it is now.
server_process() {
    local process
    for process in $(pgrep --ns "$container" --nslist pid --full "^$server"); do
        [ "$(readlink "/proc/$process/exe")" = "$server" ] && echo "$process"
    done
}

visit() {
    nsenter --target "$container" --net curl --silent --fail --max-time 5 --get "http://$address$1" "${@:2}"
}

answers() {
    visit / >/dev/null
}

# attack MARK: the injection, which makes a file in the container if it succeeds.
attack() {
    visit "/lookup?host=localhost%3B%20touch%20/tmp/$1" >/dev/null
    [ -e "/proc/$container/root/tmp/$1" ]
}

# start_asking FILE
start_asking() {
    begin nsenter --target "$container" --net "$common/asker" "$address" / "It serves" "$1"
    asker=$begun
}

# Prints the longest time between two good answers, in milliseconds, and how many requests failed.
longest_gap() {
    awk '$2 == "good" { if (last && $1 - last > most) most = $1 - last; last = $1; next } { failed++ }
        END { print most + 0, failed + 0 }' "$1"
}

# ---- a policy and a model of the server, from its ordinary work ----

pages=(/ /status /report '/file?name=about.html' '/lookup?host=localhost' '/hello?name=World')

# learn_policy ROOT: policygen and a learning run in the root.
learn_policy() {
    local page process
    "$policygen" --image "$1" -o "$1/etc/pinion" "$server" &&
        start_container "$1" pinion learn --policy-dir /etc/pinion --shim /usr/local/lib/libpinion.so --record /tmp/record -- \
            "$server" "${address#*:}" && until_true answers || return
    for page in "${pages[@]}"; do
        visit "$page" >/dev/null || return
    done
    process=$(server_process)
    kill -HUP "$process"
    visit / >/dev/null || return
    kill "$process"
    until_true gone "$container" && wait "$outer"
    "$pinion" merge --pin all --data-dir /usr/share/sample-server/pages "$1/etc/pinion/$stem.policy" "$1/tmp/record"
}

# set_mode ROOT MODE: of the policy.
set_mode() {
    sed -i "s/^mode = \".*\";/mode = \"$2\";/" "$1/etc/pinion/$stem.policy" &&
        "$pinion" check --compile --ignore-files "$1/etc/pinion/$stem.policy"
}

# ---- the helper ----

# write_configuration MODE [LINE...]: for the container $tree.
write_configuration() {
    configuration=$work/$(basename "$tree").conf
    printf '%s\n' "mode = \"$1\";" "socket = \"$work/run/events\";" "state = \"$state\";" \
        "recipes = \"$recipes\";" "keys = [ \"$key\" ];" "${@:2}" >"$configuration"
}

# start_helper: it listens when this returns. Sets $helper.
start_helper() {
    : >"$work/helper"
    begin env "${helper_environment[@]}" "$pinion" patchd --config "$configuration" >>"$work/helper" 2>&1
    helper=$begun
    until_true grep -q "listening on" "$work/helper"
}

# At once, whatever it is at.
stop_helper() {
    kill -KILL "$helper" $(pgrep --parent "$helper") 2>/dev/null
    wait "$helper" 2>/dev/null
}

# Prints what jq makes of the list of incidents.
incidents() {
    "$pinion" incidents list --json --config "$configuration" | jq -r "$@"
}

incident_of() {
    "$pinion" incidents show --json --config "$configuration" "$1"
}

steps() {
    incident_of "$1" | jq -r '[.steps[].name | select(. != "person")] | join(" ")'
}

# shellcheck disable=SC2016
# in_state STATE...: prints the number of the first incident that is in one of these; false if none is.
in_state() {
    local found
    found=$(incidents --args '[.incidents[] | select(.state as $state | $ARGS.positional | index($state))] | last | .id // empty' \
        "$@" 2>/dev/null)
    [ -n "$found" ] && echo "$found"
}

ended() {
    in_state "done" "rolled back" failed refused ignored
}

nothing_under_way() {
    [ "$(incidents '[.incidents[] | select(.state | IN("received", "approved", "applying"))] | length')" = 0 ]
}

# ---- one fault, in a container of its own ----

# begin_case NAME: the container runs, the helper does not yet.
begin_case() {
    echo "# $1"
    new_tree "$1"
    recipes=$work/recipes
    start_server "$tree" || report "$1/start" 1 "$(tail -n 2 "$tree/tmp/output")"
}

# raise_alarm: the helper runs, and a call is refused.
raise_alarm() {
    before=$(digest "$tree")
    write_configuration auto "$@"
    start_helper
    start_asking "$work/asked"
    attack refused
}

end_case() {
    stop_helper
    ends "$asker"
    stop_container
    rm -rf --one-file-system "$tree" "$state"
}

# ends_in NAME STATE PATTERN: the incident's state, and what it says.
ends_in() {
    until_true ended >/dev/null
    [ "$(incidents '.incidents[-1].state')" = "$2" ] && incidents '.incidents[-1].detail' | grep -E "$3" >/dev/null
    report "$1/told" $? "$(incidents -c '.incidents[] | {state, detail}') $(tail -n 2 "$work/helper")"
}

# left: what a patch that has ended should not have left.
left() {
    find "$tree/var/lib/pinion" "$state" -path '*/rollback/*' -o -name 'stage-*' 2>/dev/null
}

# runs_library: the server has mapped the very file that the container now has. That its name "was deleted" says nothing after a
# roll-back, which brings the same file back.
runs_library() {
    awk -v wanted="$(stat --format=%i "$tree$library_file")" '/libsample-lookup/ { found++; other += $5 != wanted }
        END { exit !found || other > 0 }' "/proc/$(server_process)/maps"
}

# as_before NAME: nothing of the container has changed, and the server serves on, on its old library.
as_before() {
    local gap failures
    [ "$(digest "$tree")" = "$before" ]
    report "$1/identical-files" $? "$(diff <(echo "$before") <(digest "$tree") | head -n 5)"
    runs_library && answers
    report "$1/serves-on" $? "$(grep sample-lookup "/proc/$(server_process)/maps"); it is $(stat --format=%i "$tree$library_file")"
    [ -z "$(left)" ]
    report "$1/nothing-left" $? "$(left)"
    read -r gap failures < <(longest_gap "$work/asked")
    [ "$gap" -lt 1000 ] && [ "$failures" = 0 ]
    report "$1/never-stops-answering" $? "$gap ms without an answer, $failures requests failed"
}
