#!/bin/bash
# Programs started by a protected program: the protection is handed on whatever their environment says, and what cannot
# be protected is a violation. Also what the verdict "kill" does to the first process of a container and to a child of vfork.
set -uo pipefail
# shellcheck source=tests/hazards/common.sh
. "$(dirname "$0")/../hazards/common.sh"

# Short names, because some ways of starting search in PATH or go through a shell.
cp "$programs"/{show_child,start_child,plain_static} "$work"
show=$work/show_child
starter=$work/start_child
settings="PINION_LOG:1,PINION_MODE:1,PINION_POLICY:0,LD_AUDIT:0"
ways="execve execv execvp execvpe execl execlp execle fexecve execveat execveat-empty posix_spawn posix_spawnp system popen
    wordexp SYS_execve SYS_execveat"

# ---- the environment ----

for way in $ways; do
    for environment in null empty cleared dirty; do
        kept=
        [ $environment = dirty ] && kept=,kept:1
        shim PINION_MODE=enforce "$starter" $environment "$way" "$show"
        expect 0 "shim:yes,LD_PRELOAD:1,$settings$kept"
    done
    bare "$starter" empty "$way" "$show"
    expect 0 "shim:no,LD_PRELOAD:0,PINION_LOG:0,PINION_MODE:0,PINION_POLICY:0,LD_AUDIT:0"
    case_ends "child-by-$way-without-environment"
done

for way in execvp execlp execvpe posix_spawnp; do
    # Found in the default path, with PATH gone.
    shim PINION_MODE=enforce "$starter" cleared "$way" true
    expect 0 ""
    shim PINION_MODE=enforce PATH="/nowhere:$work" "$starter" as-is "$way" show_child
    expect 0 "shim:yes,LD_PRELOAD:1,$settings"
done
case_ends child-found-in-path

printf '#!%s\n' "$show" >"$work/script"
printf '%s\n' "$show" >"$work/unnamed-script"
chmod 755 "$work/script" "$work/unnamed-script"
shim PINION_MODE=enforce "$starter" empty execve "$work/script"
expect 0 "shim:yes,LD_PRELOAD:1,$settings,$work/script"
for way in execvp execlp posix_spawnp system; do
    bare "$starter" empty "$way" "$work/unnamed-script"
    if [[ $output = refused* ]]; then continue; fi
    shim PINION_MODE=enforce "$starter" empty "$way" "$work/unnamed-script"
    expect 0 "shim:yes,LD_PRELOAD:1,$settings"
done
case_ends child-is-a-script

# A child cannot be told another mode, and it keeps the other preloads of its parent.
shim PINION_MODE=enforce "$starter" dirty execve "$show" mode
expect 0 "shim:yes,LD_PRELOAD:1,$settings,kept:1,enforce"
how="with two preloads"
for preload in "$programs/libown.so:$shim" "$shim:$programs/libown.so" "$programs/libown.so $shim"; do
    output=$(env LD_PRELOAD="$preload" PINION_LOG="$log" "$starter" as-is execve "$show" preload 2>&1)
    status=$?
    rm -f "$log"
    [[ $output = *,"$shim:$programs/libown.so" ]] || wrong "$how: $preload became $output"
    [[ $output = shim:yes,LD_PRELOAD:1,* ]] || wrong "$how: $output"
done
case_ends mode-and-other-preloads-are-kept

for way in $ways memory; do
    shim PINION_MODE=enforce "$starter" large "$way" "$show"
    expect 0 "shim:yes,LD_PRELOAD:1,$settings"
done
case_ends child-with-a-large-environment

# ---- children that cannot be protected ----

# unprotected NAME PROGRAM: refused by a policy, noted without one, allowed where the policy names it.
unprotected() {
    local name=$1 program=$2 way
    make_policy "$name" "$starter"
    for way in execve execv execvp execl execle fexecve execveat posix_spawn posix_spawnp SYS_execve; do
        shim PINION_POLICY="$policy" "$starter" as-is "$way" "$program"
        [ "$status $output" = "0 refused: Operation not permitted" ] || wrong "$way: status $status, output $output"
        [ "$(log_kinds)" = "deny ${way#SYS_} unprotected-child" ] || wrong "$way: log $(log_kinds)"
    done
}

unprotected static "$work/plain_static"
shim "$starter" as-is execve "$work/plain_static"
expect 0 fine "log execve unprotected-child"
make_policy static-allowed "$starter" "main:execve:children=$work/plain_static"
shim PINION_POLICY="$policy" "$starter" as-is execve "$work/plain_static"
expect 0 fine
shim PINION_POLICY="$policy" "$starter" as-is execv "$work/plain_static"
expect 0 "refused: Operation not permitted" "deny execv unprotected-child"
shim PINION_POLICY="$policy" "$starter" as-is memory "$work/plain_static"
expect 0 "refused: Operation not permitted" "deny fexecve unprotected-child"
printf '#!%s\n' "$work/plain_static" >"$work/static-script"
chmod 755 "$work/static-script"
unprotected static-script "$work/static-script"
case_ends static-child

# The child enters another directory first; there, a relative name is another program.
make_policy elsewhere "$starter"
shim "$starter" as-is posix_spawn-elsewhere "$show"
[[ $status = 0 && $output = shim:yes,LD_PRELOAD:1,* ]] || wrong "a protected child: $output; $(log_kinds)"
shim PINION_POLICY="$policy" "$starter" as-is posix_spawn-elsewhere "$work/plain_static"
expect 0 "refused: Operation not permitted" "deny posix_spawn unprotected-child"
case_ends static-child-in-another-directory

# ---- programs that look like others ----

# hidden NAME API [PROGRAM]: by this way of hide_child a static program is refused; without the shim it starts.
hidden() {
    bare "${search[@]}" "$programs/hide_child" "$1" "$work" "${3:-plain_static}"
    [[ $status = 0 && $output = *fine ]] || wrong "$1, $how: $output"
    shim "${search[@]}" PINION_POLICY="$policy" "$programs/hide_child" "$1" "$work" "${3:-plain_static}"
    expect 0 "refused: Operation not permitted" "deny $2 unprotected-child"
}

# The first directory of PATH has a directory of the program's name, the second a script that nothing can run.
mkdir -p "$work/ahead/plain_static" "$work/behind" "$work/scripts"
printf '#!/nowhere/at/all\n' >"$work/behind/plain_static"
chmod 755 "$work/behind/plain_static"
search=(PATH="$work/ahead:$work/behind:$work")
make_policy hidden "$programs/hide_child"
hidden path execvp
search=()
case_ends static-child-behind-others-in-path

for way in fexecve execveat; do
    hidden $way $way
    shim PINION_POLICY="$policy" "$programs/hide_child" $way "$work" show_child
    [[ $status = 0 && $output = shim:yes,* ]] || wrong "$way of a dynamic program: $output; $(log_kinds)"
done
case_ends child-by-a-descriptor-that-only-names

printf '#!./plain_static\n' >"$work/scripts/script"
chmod 755 "$work/scripts/script"
hidden script-elsewhere execveat script
case_ends script-with-relative-interpreter

for ((number = 1; number <= 5; number++)); do
    printf '#!%s\n' "$([ $number = 5 ] && echo "$work/plain_static" || echo "$work/chain$((number + 1))")" >"$work/chain$number"
    chmod 755 "$work/chain$number"
done
bare "$starter" as-is execv "$work/chain1"
[[ $status = 0 && $output = *fine ]] || wrong "$how: $output"
make_policy chain "$starter"
shim PINION_POLICY="$policy" "$starter" as-is execv "$work/chain1"
expect 0 "refused: Operation not permitted" "deny execv unprotected-child"
case_ends static-child-behind-five-scripts

make_policy hidden "$programs/hide_child"
for way in opened-directory working-directory descriptor many-actions entered-directory; do
    hidden $way posix_spawn
done
case_ends static-child-hidden-by-file-actions

# The shim's own name is relative to a directory that the child has left.
how="with a relative LD_PRELOAD"
output=$(cd "${shim%/*}" && env LD_PRELOAD="./${shim##*/}" "$programs/hide_child" entered-directory "$work" show_child 2>&1)
[[ $output = *shim:yes,* ]] || wrong "$how: $output"
case_ends child-by-a-relative-preload

# An i386 program: exit(7).
{
    printf '\177ELF\1\1\1\0\0\0\0\0\0\0\0\0\2\0\3\0\1\0\0\0\124\200\4\10\64\0\0\0\0\0\0\0\0\0\0\0\64\0\40\0\1\0\0\0\0\0\0\0'
    printf '\1\0\0\0\0\0\0\0\0\200\4\10\0\200\4\10\140\0\0\0\140\0\0\0\5\0\0\0\0\20\0\0'
    printf '\270\1\0\0\0\273\7\0\0\0\315\200'
} >"$work/small"
chmod 755 "$work/small"
unprotected i386 "$work/small"
case_ends i386-child

if [ "$(id -u)" = 0 ]; then
    # Its user is not root: a program that gains privilege ignores LD_PRELOAD.
    cp "$show" "$work/privileged"
    chmod 4755 "$work/privileged"
    cp "$shim" "$work/libpinion.so"
    mkdir -m 1777 "$work/public"
    make_policy privileged "$starter"
    chmod 755 "$work/policies"
    user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    how="as another user"
    output=$("${user[@]}" env LD_PRELOAD="$work/libpinion.so" PINION_POLICY="$policy" PINION_LOG="$work/public/log" \
        "$starter" as-is execve "$work/privileged" 2>&1)
    [ "$output" = "refused: Operation not permitted" ] || wrong "$how: $output"
    grep -q '"reason":"unprotected-child"' "$work/public/log" || wrong "$how: log $(cat "$work/public/log")"
    output=$(env LD_PRELOAD="$work/libpinion.so" PINION_POLICY="$policy" PINION_LOG="$log" \
        "$starter" as-is execve "$work/privileged" 2>&1)
    [[ $output = shim:yes,* ]] || wrong "as its owner: $output"
    case_ends setuid-child

    # A process whose effective user is not its real one: every program that it starts ignores LD_PRELOAD.
    make_policy identity "$programs/hide_child"
    chmod 755 "$work/policies"
    for way in as-another-user as-another-group; do
        bare "$programs/hide_child" $way "$work" show_child
        [[ $status = 0 && $output = shim:no,* ]] || wrong "$way, $how: $output"
        shim PINION_POLICY="$policy" "$programs/hide_child" $way "$work" show_child
        expect 0 "refused: Operation not permitted" "deny execv unprotected-child"
    done
    case_ends child-of-a-process-with-another-effective-identity

    # A root that has the program and its libraries but no shim.
    mkdir -p "$work/jail/lib64" "$work/jail/lib/x86_64-linux-gnu" "$work/jail/proc"
    cp "$show" "$work/jail/"
    cp /lib64/ld-linux-x86-64.so.2 "$work/jail/lib64/"
    cp /lib/x86_64-linux-gnu/libc.so.6 "$work/jail/lib/x86_64-linux-gnu/"
    bare "$programs/change_root" "$work/jail" /show_child
    [[ $status = 0 && $output = shim:no,* ]] || wrong "the jail does not work: $output"
    make_policy jail "$programs/change_root"
    shim PINION_POLICY="$policy" "$programs/change_root" "$work/jail" /show_child
    expect 0 "refused: Operation not permitted" "deny execl unprotected-child"
    shim "$programs/change_root" "$work/jail" /show_child
    [[ $status = 0 && $output = *shim:no,* ]] || wrong "without a policy: $output"
    [ "$(log_kinds)" = "log execl unprotected-child" ] || wrong "without a policy: log $(log_kinds)"
    make_policy jail-allowed "$programs/change_root" main:execl:children=/show_child
    shim PINION_POLICY="$policy" "$programs/change_root" "$work/jail" /show_child
    [ "$(log_kinds)" = "" ] || wrong "named in the policy: log $(log_kinds)"
    case_ends chroot-without-the-shim
else
    skip setuid-child "needs root"
    skip child-of-a-process-with-another-effective-identity "needs root"
    skip chroot-without-the-shim "needs root"
fi

# ---- the verdict "kill" ----

make_policy killed "$programs/killed" violate:open:path=/nowhere/at/all violate:open:verdict=kill
shim PINION_POLICY="$policy" "$programs/killed"
expect 137 "" "kill open argument"
case_ends kill-runs-no-handler
shim PINION_POLICY="$policy" "$programs/killed" vfork
expect 0 "child 137" "kill open argument"
case_ends kill-in-a-vfork-child
if unshare --pid --fork true 2>/dev/null; then
    how="as the first process"
    for command in "$programs/killed" "$programs/killed vfork"; do
        rm -f "$log"
        # shellcheck disable=SC2086 # two words
        output=$(unshare --pid --fork --kill-child env LD_PRELOAD="$shim" PINION_POLICY="$policy" PINION_LOG="$log" $command 2>&1)
        status=$?
        alive="first process, still there after SIGKILL: 0"
        if [[ $command = *vfork ]]; then
            expect 0 "$alive
child 137" "kill open argument"
        else
            expect 137 "$alive" "kill open argument"
        fi
    done
    case_ends kill-of-the-first-process
else
    skip kill-of-the-first-process "no new process namespace can be had"
fi

exit "$failed"
