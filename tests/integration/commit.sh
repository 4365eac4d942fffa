#!/bin/bash
# The commit, killed in each of its system calls that change something, and with each of them failing: what is undone
# afterwards is the tree of before to the last bit, what is kept is the tree that was staged. So with undoing and keeping.
set -uo pipefail
if [ "$(id -u)" != 0 ]; then
    echo "skip commit: needs root, for namespaces and mounts"
    exit 0
fi
# Mounts of its own, that go with it.
if [ -z "${COMMIT_MOUNTS:-}" ]; then
    if ! unshare --mount true 2>/dev/null; then
        echo "skip commit: this machine allows no mount namespaces"
        exit 0
    fi
    COMMIT_MOUNTS=1 exec unshare --mount --propagation private "$0" "$@"
fi
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh"
trial=$PWD/build/tests/patch/stage_trial
trap 'umount --lazy "$work"; rm -rf "$work"' EXIT
mount -t tmpfs -o size=256m,mode=700 commit "$work" || { echo "skip commit: no tmpfs can be mounted"; exit 0; }
cp build/tests/patch/change_tree "$work"
cd "$work" || exit 2
faults=0 problems=0

problem() {
    echo "# $*"
    problems=$((problems + 1))
}

# ---- the trees ----

mkdir original
cp change_tree original
chroot original /change_tree make || exit 2
# What the change makes where nothing is staged: the standard.
cp -a original reference
chroot reference /change_tree change || exit 2
rm reference/change_tree
cp -a original root
if ! "$trial" stage "$work/root" "$work/scratch" /change_tree change >staged 2>&1; then
    if grep -qE "cannot mount|CAP_SYS_ADMIN|overlay|is not fit" staged; then
        echo "skip commit: $(tail -n 1 staged)"
        exit 0
    fi
    report "commit/stage" 1 "$(tail -n 1 staged)"
    exit 1
fi
cmp -s <("$trial" digest original) <("$trial" digest root)
report "commit/staging touches nothing" $?
rm original/change_tree root/change_tree
touch -d @1700000000 original root
"$trial" digest original >before
"$trial" digest reference loose >after

is_before() {
    "$trial" digest root | cmp -s - before
}

is_after() {
    "$trial" digest root loose | grep -av '^/var/lib/pinion' | cmp -s - after
}

fresh() {
    rm -rf root
    cp -a original root
}

# What must be so after every fault: undone, the tree is that of before, and nothing of ours is left.
undone() {
    if ! "$trial" undo root 2>said; then
        problem "$1: undoing fails: $(cat said)"
    elif ! is_before; then
        problem "$1: not as before: $("$trial" digest root | diff --text before - | head -n 4 | cut -c 1-300 | tr '\n' ' ')"
    elif "$trial" pending root || [ -e root/var/lib/pinion ]; then
        problem "$1: something is left"
    else
        return 0
    fi
    fresh
}

"$trial" commit root scratch && is_after
report "commit/what is committed is what was staged" $?
"$trial" undo root && is_before
report "commit/what is undone is as before" $?
"$trial" commit root scratch && "$trial" keep root && is_after && [ ! -e root/var/lib/pinion ]
report "commit/what is kept is what was staged" $?
fresh

# ---- kills ----

changing="linkat renameat renameat2 unlinkat mkdirat mknodat symlinkat write ftruncate copy_file_range fsync syncfs chmod
    fchownat setxattr removexattr utimensat"
looking="openat openat2 newfstatat statx fstat listxattr getxattr read readlinkat lseek getdents64 fcntl"

# killed CALL N COMMAND...: in its Nth call of this kind; false when it has fewer.
killed() {
    local call=$1 n=$2
    shift 2
    { strace -qq -o /dev/null -e "trace=$call" -e "inject=$call:signal=KILL:when=$n" "$trial" "$@"; } 2>said
    local status=$?
    [ "$status" != 0 ] || return 1
    [ "$status" = 137 ] || problem "$1 killed in $call $n: status $status: $(cat said)"
    faults=$((faults + 1))
}

committed() {
    "$trial" pending root || "$trial" commit root scratch || problem "commit fails"
}

if ! { strace -qq -o /dev/null -e trace=none true; } 2>said; then
    echo "skip commit/faults: no program can be traced here: $(cat said)"
    exit "$failed"
fi

# The stage: killed anywhere, or a part of it, it leaves the target alone and no mount, and can be made again.
problems=0 before_kills=$faults
cp change_tree root
"$trial" digest root >whole
for call in setns open_tree unshare mount move_mount mkdirat symlinkat pivot_root umount2 capset clone execve exit_group; do
    for ((n = 1; ; n++)); do
        { strace -qq -f -o calls -e "trace=$call" -e "inject=$call:signal=KILL:when=$n" \
            "$trial" stage "$work/root" "$work/again" /change_tree change; } >/dev/null 2>&1
        grep -q 'killed by SIGKILL' calls || break
        faults=$((faults + 1))
        "$trial" digest root | cmp -s - whole || problem "stage killed in $call $n: the target is changed"
        ! grep -q "$work/again" /proc/self/mountinfo || problem "stage killed in $call $n: a mount is left"
    done
done
"$trial" stage "$work/root" "$work/again" /change_tree change >staged 2>&1 || problem "cannot stage again: $(cat staged)"
report "commit/stage killed in each of $((faults - before_kills)) calls" "$problems"
fresh

problems=0 before_kills=$faults
for call in $changing; do
    for ((n = 1; ; n++)); do
        killed "$call" "$n" commit root scratch || break
        undone "commit killed in $call $n"
    done
    is_after || problem "commit: not as staged"
    undone "a whole commit"
done
report "commit/killed in each of $((faults - before_kills)) calls" "$problems"

problems=0 before_kills=$faults
for call in $changing; do
    committed
    for ((n = 1; ; n++)); do
        killed "$call" "$n" undo root || break
        undone "undo killed in $call $n"
        committed
    done
    is_before || problem "undo: not as before"
done
report "commit/undo killed in each of $((faults - before_kills)) calls" "$problems"

# Killed again and again, each time a little later.
problems=0 before_kills=$faults
for call in renameat unlinkat utimensat mkdirat; do
    committed
    for ((n = 1; ; n++)); do
        killed "$call" "$n" undo root || break
    done
    undone "undo killed in $call $((n - 1)) times"
done
report "commit/undo killed $((faults - before_kills)) times on end" "$problems"

# Keeping: either it can still be undone, or it is kept.
problems=0 before_kills=$faults
for call in $changing; do
    for ((n = 1; ; n++)); do
        committed
        killed "$call" "$n" keep root || break
        is_after || problem "keep killed in $call $n: not as staged"
        if "$trial" pending root; then
            undone "keep killed in $call $n"
            continue
        fi
        if ! "$trial" keep root || ! is_after || [ -e root/var/lib/pinion ]; then
            problem "keep killed in $call $n: not kept"
        fi
        fresh
    done
    fresh
done
report "commit/keep killed in each of $((faults - before_kills)) calls" "$problems"

# ---- failing calls ----

# failing CALL ERROR N COMMAND...: sets `status`; false when it has fewer such calls.
failing() {
    local call=$1 error=$2 n=$3
    shift 3
    strace -qq --seccomp-bpf -f -o calls -e "trace=$call" -e "inject=$call:error=$error:when=$n" "$trial" "$@" 2>said
    status=$?
    grep -q INJECTED calls || return 1
    faults=$((faults + 1))
    [ "$status" -le 1 ] || problem "$1 with $error in $call $n: status $status: $(cat said)"
    [ "$status" != 1 ] || [ -s said ] || grep -q 'write(2,.*INJECTED' calls || problem "$1 with $error in $call $n: says nothing"
}

# commit_errors CALLS ERROR STEP: in every STEPth call of each kind. undo_errors likewise.
commit_errors() {
    local n call
    for call in $1; do
        for ((n = 1; ; n += $3)); do
            failing "$call" "$2" "$n" commit root scratch || break
            [ "$status" != 0 ] || is_after || problem "commit with $2 in $call $n succeeds, but is not as staged"
            undone "commit with $2 in $call $n"
        done
        undone "a whole commit"
    done
}

undo_errors() {
    local n call
    for call in $1; do
        for ((n = 1; ; n += $3)); do
            committed
            failing "$call" "$2" "$n" undo root || break
            # What is left over in its directory goes the next time.
            [ "$status" != 0 ] || "$trial" digest root | grep -av '^/var/lib/pinion' | cmp -s - before ||
                problem "undo with $2 in $call $n succeeds, but is not as before"
            undone "undo with $2 in $call $n"
        done
    done
}

problems=0
commit_errors "$changing" ENOSPC 1
report "commit/each changing call fails for want of space" "$problems"
problems=0
commit_errors "$looking" EIO 11
report "commit/calls fail with an I/O error" "$problems"
problems=0
undo_errors "$changing" EIO 1
undo_errors "$looking" EIO 11
report "commit/calls of undo fail" "$problems"

# ---- a container ----

# Its root is an overlay whose layers are on two file systems, so that a file's number changes when it is written to.
mkdir lower container
mount -t tmpfs lower lower
cp -a original/. lower
mount -t tmpfs container container
mkdir container/upper container/work container/merged
mkfifo ready
# shellcheck disable=SC2317 # called in the namespaces below
in_container() {
    mount -t overlay container -o "lowerdir=$work/lower,upperdir=$work/container/upper,workdir=$work/container/work" \
        "$work/container/merged" && exec "$work/change_tree" wait "$work/container/merged"
}
export -f in_container
export work
unshare --mount --pid --net --fork --kill-child bash -c in_container >ready 2>said &
read -r -t 60 _ <ready
container=$(pgrep -P $! | head -n 1)
if [ -z "$container" ]; then
    echo "skip commit/container: $(cat said)"
else
    cp change_tree "/proc/$container/root/change_tree"
    "$trial" stage "$container" "$work/scratch" /change_tree change >staged 2>&1
    report "commit/a container's root is staged" $? "$(tail -n 1 staged)"
    # A command in it is in its namespaces, with its capabilities: the second process, or one soon after; neither bit
    # 21 nor bit 27.
    expect "commit/commands run as the container's own" 0 '^[0-9] 0 0$' "$trial" run "$container" /change_tree self
    rm "/proc/$container/root/change_tree"
    "$trial" digest "$container" single >before
    "$trial" digest reference loose | sed 's/ is .*//' >after
    problems=0 before_kills=$faults
    for call in linkat renameat renameat2 unlinkat mkdirat utimensat; do
        for ((n = 1; ; n += 3)); do
            killed "$call" "$n" commit "$container" scratch || break
            "$trial" undo "$container" || problem "container: undo fails"
            "$trial" digest "$container" single | cmp -s - before || problem "container: not as before ($call $n)"
        done
        "$trial" digest "$container" loose | sed 's/ is .*//' | grep -av '^/var/lib/pinion' | cmp -s - after ||
            problem "container: not as staged"
        "$trial" undo "$container" || problem "container: undo fails"
    done
    "$trial" digest "$container" single | cmp -s - before || problem "container: not as before"
    report "commit/killed in $((faults - before_kills)) calls in a container" "$problems"
    kill -KILL "$container"
fi

# ---- what a command in a stage sees in place of the target's files ----

covered=(/usr/sbin/policy-rc.d /etc/ld.so.preload /etc/resolv.conf)
mkdir -p plain/usr/sbin plain/etc plain/run
cp change_tree plain
# seen NAME ROOT VERB EXPECTED: as one line; and nothing of it is a change.
seen() {
    local got
    got=$("$trial" "$3" "$work/$2" "$work/scratch" /change_tree show "${covered[@]}" 2>&1 | tr '\n' ' ' | tr -s ' ')
    [ "$got" = "$4 " ] || problem "$1: $got"
    [ -z "$("$trial" list "$2" scratch)" ] || problem "$1: $("$trial" list "$2" scratch | tr '\n' ' ')"
}
problems=0
resolver=$(tr -s '\n ' ' ' </etc/resolv.conf)
resolver=${resolver% }
refuse="/usr/sbin/policy-rc.d: #!/bin/sh exit 101"
seen "nothing there" plain stage "$refuse /etc/ld.so.preload: none /etc/resolv.conf: none"
seen "nothing there, online" plain online "$refuse /etc/ld.so.preload: none /etc/resolv.conf: $resolver"
ln -s ../run/systemd/resolve/stub-resolv.conf plain/etc/resolv.conf
seen "a link into /run" plain stage "$refuse /etc/ld.so.preload: none /etc/resolv.conf: none"
seen "a link into /run, online" plain online "$refuse /etc/ld.so.preload: none /etc/resolv.conf: $resolver"
rm plain/etc/resolv.conf
: >plain/etc/resolv.conf
seen "an empty resolv.conf" plain online "$refuse /etc/ld.so.preload: none /etc/resolv.conf: $resolver"
echo nameserver 192.0.2.1 >plain/etc/resolv.conf
echo /lib/spy.so >plain/etc/ld.so.preload
echo "its own" >plain/usr/sbin/policy-rc.d
seen "all there" plain online "$refuse /etc/ld.so.preload: /etc/resolv.conf: nameserver 192.0.2.1"
rm plain/usr/sbin/policy-rc.d
ln -s "$work/outside" plain/usr/sbin/policy-rc.d
seen "a link that leads out" plain stage "/usr/sbin/policy-rc.d: none /etc/ld.so.preload: /etc/resolv.conf: nameserver 192.0.2.1"
[ ! -e outside ] || problem "a link was followed out of the root"
report "commit/what commands see of the target's settings" "$problems"

# ---- no room ----

mkdir small
mount -t tmpfs -o size=3m small small
cp -a original/. small
cp change_tree small
"$trial" stage "$work/small" "$work/scratch" /change_tree change >staged 2>&1 || problem "$(cat staged)"
rm small/change_tree
head -c 2100000 /dev/zero >small/filler
"$trial" digest small >before
expect "commit/no room is found before anything is touched" 1 'make room$' "$trial" commit small scratch
"$trial" undo small && "$trial" digest small | cmp -s - before
report "commit/nothing is left of a commit without room" $?

# ---- a disk of its own ----

mkdir disk other
truncate -s 8m image
if ! { mkfs.ext4 -q -N 256 -m 0 image && mount -o loop image disk; } >said 2>&1; then
    echo "skip commit/disk: no image can be mounted: $(tail -n 1 said)"
else
    cp -a original/. disk
    cp change_tree disk
    "$trial" stage "$work/disk" "$work/scratch" /change_tree change >staged 2>&1 || echo "# $(cat staged)"
    rm disk/change_tree
    "$trial" digest disk >before
    "$trial" digest reference loose | grep -av '^/lost+found' >after
    sync --file-system disk

    # after_crash NAME COMMAND...: the power fails now; what is on the disk alone is mounted elsewhere.
    after_crash() {
        cp --sparse=always image crashed
        mount -o loop crashed other || { problem "$1: it cannot be mounted"; return; }
        "${@:2}" || problem "$1: not as it should be: $("$trial" digest other | diff --text before - | head -n 3 | cut -c 1-200 | tr '\n' ' ')"
        umount other
    }
    # shellcheck disable=SC2317 # called by after_crash
    crash_is_before() {
        "$trial" undo other && "$trial" digest other | cmp -s - before
    }
    # shellcheck disable=SC2317
    crash_is_after() {
        "$trial" digest other loose | grep -av -e '^/lost+found' -e '^/var/lib/pinion' | cmp -s - after
    }

    problems=0 before_kills=$faults
    for call in linkat renameat renameat2 unlinkat mkdirat fsync syncfs utimensat; do
        for ((n = 1; ; n += 3)); do
            killed "$call" "$n" commit disk scratch || break
            after_crash "power failed at $call $n of commit" crash_is_before
            "$trial" undo disk || problem "undo fails"
            "$trial" digest disk | cmp -s - before || problem "not as before"
            sync --file-system disk
        done
        after_crash "power failed after commit" crash_is_after
        after_crash "power failed after commit" crash_is_before
        "$trial" undo disk || problem "undo fails"
        after_crash "power failed after undo" crash_is_before
    done
    for call in renameat unlinkat fsync syncfs; do
        for ((n = 1; ; n += 3)); do
            "$trial" commit disk scratch || problem "commit fails"
            killed "$call" "$n" undo disk || break
            after_crash "power failed at $call $n of undo" crash_is_before
            "$trial" undo disk || problem "undo fails"
        done
    done
    "$trial" commit disk scratch || problem "commit fails"
    "$trial" keep disk || problem "keep fails"
    "$trial" digest disk loose | grep -av -e '^/lost+found' | cmp -s - after || problem "not as staged"
    after_crash "power failed after keep" crash_is_after
    report "commit/power failed at $((faults - before_kills)) calls" "$problems"

    # Full to the last block and inode when the commit has to be undone.
    umount disk
    mkfs.ext4 -q -F -N 256 -m 0 image && mount -o loop image disk
    cp -a original/. disk
    touch -d @1700000000 disk/lost+found
    "$trial" digest disk >before
    "$trial" commit disk scratch || echo "# commit fails"
    mkdir disk/filler
    cat /dev/zero >disk/filler/blocks 2>/dev/null
    for ((n = 0; n < 256; n++)); do
        mkdir "disk/filler/$n" 2>/dev/null || touch "disk/filler/$n" 2>/dev/null || break
    done
    ! mkdir disk/more 2>/dev/null
    report "commit/the disk is full" $?
    expect "commit/undone on a full disk" 0 '' "$trial" undo disk
    rm -rf disk/filler
    "$trial" digest disk | cmp -s - before
    report "commit/as before on a full disk" $?
    umount disk
fi

echo "# $faults faults injected"
[ "$faults" -ge 200 ]
report "commit/at least 200 faults ($faults)" $?
exit "$failed"
