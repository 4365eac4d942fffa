#!/bin/bash
# The image of samples/nginx/Dockerfile: built by buildah on a base that mmdebstrap makes, run by podman. nginx, the
# container's process 1, serves and reloads without a denial; a shell in the container is handled as its policy says.
# Where podman cannot run, the same root runs under unshare and chroot; the first line says which way was taken.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
store=$PWD/build/container
image=localhost/pinion-nginx
base=localhost/pinion-base
packages=nginx-light,libconfig9,libdw1,libelf1,libjansson4,libssl3,libzydis4.0

# A mount namespace shared by all podman commands: on machines with hybrid cgroups crun must not see the unified
# hierarchy, and nothing that is mounted here outlives the test. In a chroot whose / is no mount point the propagation
# cannot be changed; what is mounted is then unmounted by clean_up alone.
if [ "${1:-}" != inside ]; then
    [ "$(id -u)" = 0 ] || { echo "skip container: needs root"; exit 0; }
    for propagation in private unchanged; do
        unshare --mount --propagation "$propagation" true 2>/dev/null &&
            exec unshare --mount --propagation "$propagation" "$0" inside
    done
    echo "skip container: $(unshare --mount --propagation unchanged true 2>&1)"
    exit 0
fi
if mountpoint -q /sys/fs/cgroup/unified; then mount --make-rprivate /sys && umount /sys/fs/cgroup/unified; fi

work=$(mktemp -d)
way=podman container='' first='' failed=0

with_podman() {
    podman --root "$store/storage" --runroot "$store/run" --storage-driver overlay --log-level error "$@"
}

clean_up() {
    if [ -n "$container" ]; then with_podman rm --force --time 2 "$container" >/dev/null 2>&1; fi
    if [ -n "$first" ]; then kill -KILL "$first" 2>/dev/null; fi
    umount "$work"/root/dev/* 2>/dev/null
    rm -rf --one-file-system "$work"
}
trap clean_up EXIT

ok() {
    echo "ok container/$1"
}

not_ok() {
    echo "not ok container/$1: $2"
    failed=1
}

give_up() {
    not_ok "$1" "$2"
    exit 1
}

until_true() {
    local i
    for ((i = 0; i < 200; i++)); do
        "$@" && return 0
        sleep 0.05
    done
    return 1
}

# ---- the base, made once ----

make_base() {
    base_tar=$store/base-$(cksum <<<"$packages" | cut -d' ' -f1).tar
    [ -e "$base_tar" ] && return
    rm -rf "$store"
    mkdir -p "$store"
    mmdebstrap --quiet --variant=minbase --format=tar --include="$packages" bookworm "$base_tar.new" \
        >"$work/base.log" 2>&1 && mv "$base_tar.new" "$base_tar"
}

# ---- with podman ----

podman_build() {
    with_podman image exists "$base" || with_podman import --quiet "$base_tar" "$base" || return 1
    for target in policy final; do
        buildah --root "$store/storage" --runroot "$store/run" --storage-driver overlay --log-level error bud --quiet \
            --isolation=chroot --build-arg BASE="$base" --file samples/nginx/Dockerfile --target "$target" \
            --tag "$image-$target" . || return 1
    done
    with_podman image prune --force >/dev/null
}

podman_start() {
    container=$(with_podman run --detach --network none --ulimit nofile=1024:4096 --ulimit nproc=4096:4096 \
        "$image-final") || return 1
    first=$(with_podman inspect --format '{{.State.Pid}}' "$container")
}

# ---- with chroot: the Dockerfile's steps by hand ----

chroot_build() {
    root=$work/root
    mkdir "$root"
    tar -C "$root" -xf "$base_tar" --exclude='./dev/*' && mkdir -p "$root/srv/nginx/temp" &&
        cp build/policygen "$root/usr/local/bin/" &&
        chroot "$root" /usr/local/bin/policygen -o /etc/pinion /usr/sbin/nginx &&
        cp build/libpinion.so "$root/usr/local/lib/" && cp samples/nginx/nginx.conf "$root/srv/nginx/" &&
        cp -R samples/site/pages "$root/srv/nginx/pages"
}

chroot_start() {
    local device outer
    for device in null zero urandom; do
        : >"$root/dev/$device" && mount --bind "/dev/$device" "$root/dev/$device" || return 1
    done
    unshare --mount --propagation unchanged --uts --ipc --net --pid --fork --kill-child --root="$root" --mount-proc \
        env LD_PRELOAD=/usr/local/lib/libpinion.so \
        nginx -p /srv/nginx -c /srv/nginx/nginx.conf -g 'daemon off;' >"$work/log" 2>&1 &
    outer=$!
    until_true pgrep --parent "$outer" >/dev/null || return 1
    first=$(pgrep --parent "$outer")
    nsenter --target "$first" --net ip link set lo up
}

# ---- either way ----

in_container() {
    case $way in
    podman) with_podman exec "$container" "$@" ;;
    chroot) nsenter --target "$first" --all --root --wd env LD_PRELOAD=/usr/local/lib/libpinion.so "$@" ;;
    esac
}

container_log() {
    case $way in
    podman) with_podman logs "$container" 2>&1 ;;
    chroot) cat "$work/log" ;;
    esac
}

# The image's own policygen analyses a program of the image; the policy comes to $work/policy.
analyse() {
    mkdir -p "$work/policy"
    case $way in
    podman)
        with_podman run --rm --network none --ulimit nofile=1024:4096 --ulimit nproc=4096:4096 \
            --volume "$work/policy:/policy" "$image-policy" policygen -o /policy "$1"
        ;;
    chroot) chroot "$root" /usr/local/bin/policygen -o /policy "$1" && cp "$root/policy/"* "$work/policy" ;;
    esac
}

# Brings a file into the container.
bring() {
    cat "$1" >"/proc/$first/root/$2" && chmod 644 "/proc/$first/root/$2"
}

page() {
    nsenter --target "$first" --net curl --silent --fail --max-time 5 http://127.0.0.1:8080/ 2>&1 | grep 'It serves' >/dev/null
}

workers() {
    pgrep --parent "$first" | sort
}

all_workers_new() {
    [ -n "$(workers)" ] && [ -z "$(comm -12 <(workers) <(echo "$1"))" ]
}

refusals() {
    grep -E '"verdict":"(deny|kill)"'
}

# ---- what is promised ----

check_nginx() {
    local before count
    until_true page || give_up serves "no page within ten seconds: $(container_log | tail -n 5 | tr '\n' ';')"
    grep -q libpinion "/proc/$first/maps" || give_up serves "the container's first process runs without the shim"
    ok serves
    before=$(workers)
    kill -HUP "$first"
    if until_true all_workers_new "$before" && page; then ok reload; else not_ok reload "no new workers that serve"; fi
    count=$(container_log | refusals | wc -l)
    if [ "$count" = 0 ]; then ok no-denial; else
        not_ok no-denial "$count calls were refused: $(container_log | refusals | head -n 2 | tr '\n' ';')"
    fi
}

# A shell that the image has no policy for runs, and the log says that it has none.
check_shell_without_policy() {
    local output
    output=$(in_container sh -c 'grep -c libpinion /proc/$$/maps; ls /srv/nginx/pages' 2>"$work/shell.log")
    if [[ $output != [1-9]*about.html* ]]; then
        not_ok shell-without-policy "does not run under the shim: $output $(<"$work/shell.log")"
    elif ! grep -q '"reason":"no-policy"' "$work/shell.log"; then
        not_ok shell-without-policy "nothing says that there is none: $(<"$work/shell.log")"
    else
        ok shell-without-policy
    fi
}

# A shell with a policy that a person made tighter: it may start /usr/bin/true and nothing else.
check_shell_with_policy() {
    local output
    if ! analyse /usr/bin/dash >"$work/analyse" 2>&1; then
        not_ok shell-with-policy "policygen: $(tail -n 2 "$work/analyse" | tr '\n' ';')"
        return
    fi
    sed -i '/api = "execve"/,/};/s|path = {.*};|path = { manual = [ "/usr/bin/true" ]; };|' \
        "$work/policy/usr.bin.dash.policy"
    if ! build/pinion check --compile --ignore-files "$work/policy/usr.bin.dash.policy" >"$work/check" 2>&1; then
        not_ok shell-with-policy "pinion check: $(tr '\n' ';' <"$work/check")"
        return
    fi
    bring "$work/policy/usr.bin.dash.pinion" /etc/pinion/usr.bin.dash.pinion
    output=$(in_container sh -c '/usr/bin/true && echo "true ran"; /usr/bin/ls / || echo "ls: status $?"' \
        2>"$work/shell.log")
    if [ "$output" != $'true ran\nls: status 126' ]; then
        not_ok shell-with-policy "expected true to run and ls to be refused: $output $(<"$work/shell.log")"
    elif ! refusals <"$work/shell.log" | grep '"api":"execve"' | grep '"reason":"argument"' >/dev/null; then
        not_ok shell-with-policy "no denial in the log: $(<"$work/shell.log")"
    else
        ok shell-with-policy
    fi
}

for needed in build/libpinion.so build/policygen build/pinion; do
    [ -e "$needed" ] || { echo "skip container: $needed has not been built"; exit 0; }
done
if ! make_base; then
    echo "skip container: no base image can be made: $(tail -n 1 "$work/base.log")"
    exit 0
fi
if { podman_build && podman_start; } >"$work/podman" 2>&1; then
    echo "# built by buildah, run by podman"
else
    echo "# podman cannot run here ($(tail -n 1 "$work/podman")): the same root under unshare and chroot"
    way=chroot
    { chroot_build && chroot_start; } >"$work/chroot" 2>&1 || give_up build "$(tail -n 2 "$work/chroot" | tr '\n' ';')"
fi
ok build
check_nginx
check_shell_without_policy
check_shell_with_policy
[ "$failed" = 0 ]
