#!/bin/bash
# policygen exposure: what it says of policies of both sorts, of programs, and of a list of known payloads.
set -uo pipefail
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh" || exit 2

for policy in tests/exposure/*.policy; do
    name=$(basename "$policy" .policy)
    "$policygen" exposure "$policy" >"$work/$name" 2>&1
    difference=$(diff "tests/exposure/$name.expected" "$work/$name" | head -5)
    [ -z "$difference" ]
    report "exposure_$name" $? "$difference"
done

# edited NAME SED PATTERN: the pinned policy with one change can do one thing more.
edited() {
    sed "$2" tests/exposure/pinned.policy >"$work/edited.policy"
    if cmp -s tests/exposure/pinned.policy "$work/edited.policy"; then
        report "exposure_$1" 1 "the edit changes nothing"
    else
        expect "exposure_$1" 0 "$3" "$policygen" exposure "$work/edited.policy"
    fi
}
edited any_path '/gzip/s/path = {[^}]*}/path = { any = "x" }/' '^  no     start a shell$'
edited any_program '/gzip/s/path = {[^}]*}.*}; }/path = { any = "x"; }; }/' '^  yes    start a shell$'
edited shell_arguments 's/"\[2\] sync"/"[2] glob:**"/' '^  yes    run any program$'
edited interactive_shell 's/, "\[1\] -c", "\[2\] sync"//' '^  yes    start a shell$'
edited command_pattern 's/"sync" \]/"glob:tar cf \*" ]/' '^  yes    run any program$'
edited temporary_program 's,"/usr/bin/gzip",/"/tmp/gzip",; s,/"/tmp,"/tmp,' '^  yes    run any program$'
edited directory_pattern 's,"/usr/bin/gzip","glob:/usr/bin/g*",' '^  no     run any program$'
edited executable 's/"PROT_READ" \]/"PROT_READ|PROT_EXEC" ]/' '^  yes    make memory executable$'
edited executable_mask 's/"PROT_NONE", "PROT_READ" \]/"mask:PROT_READ|PROT_EXEC" ]/' '^  yes    make memory executable$'
edited module 's/file = {[^}]*}/file = { any = "x"; }/' '^  yes    load any library$'
edited system_call_number 's/"202"/"169"/' '^  yes    stop or restart the machine$'
edited any_system_call 's/number = {[^}]*}/number = { any = "x"; }/' '^  yes    change mounts$'
edited written_file 's,"/etc/pinned.conf","/etc/passwd",' '^  yes    write account files$'
edited written_start_up 's,"/etc/pinned.conf","/root/.ssh/authorized_keys",' '^  yes    write files that others run$'
edited read_file 's,"w" \],"r" ],; s,"/etc/pinned.conf","/etc/shadow",' '^  yes    read account files$'
edited prefix 's,prefix:/usr/share/pinned/,prefix:/etc/,' '^  yes    read account files$'
edited climbing 's,prefix:/usr/share/pinned/,glob:/usr/share/pinned/%s,' '^  yes    read account files$'
edited climbing_to_a_suffix 's,prefix:/usr/share/pinned/,glob:/usr/share/pinned/%s.png,' '^  no     read account files$'
edited climbing_program 's,"/usr/bin/gzip","glob:/usr/bin/%s",' '^  yes    run any program$'
edited signal 's/"0" \]/"-1" ]/' '^  yes    kill all processes$'
edited audit '/^modules/i mode = "audit";' 'the policy is in mode audit'
edited site_audit 's/in = "wait"; pid = /in = "wait"; site_mode = "audit"; pid = /' '^  yes    kill all processes$'
edited anonymous '/^modules/i on_anonymous_code = "log";' '^  loose  load any library'

# A program that can, one that cannot, and one that no policy protects.
cat >"$work/can.c" <<'C'
#include <stdlib.h>
int main(int count, char **arguments) { return system(arguments[count - 1]) == 0; }
C
cat >"$work/cannot.c" <<'C'
#include <stdio.h>
#include <stdlib.h>
int main(void) { return system("sync") + (fopen("/etc/motd", "r") == NULL); }
C
gcc -O2 -o "$work/can" "$work/can.c" && gcc -O2 -o "$work/cannot" "$work/cannot.c" &&
    gcc -O2 -static -o "$work/static" "$work/cannot.c" || exit 1
expect exposure_can 0 '^  yes    run any program$' "$policygen" exposure "$work/can"
expect exposure_can_where 0 '^           system in can 0x[0-9a-f]+: command = any' "$policygen" exposure "$work/can"
expect exposure_cannot 0 '^  no     run any program$' "$policygen" exposure "$work/cannot"
expect exposure_unprotectable 1 'cannot be protected: nothing is closed' "$policygen" exposure "$work/static"
"$policygen" -o "$work/policies" "$work/can" "$work/cannot"
expect exposure_image 0 '^run any program +yes +no' "$policygen" exposure "$work/policies"
expect exposure_scope 0 'meets no check and is not counted' "$policygen" exposure "$work/policies"

expect exposure_help 0 'Usage: policygen exposure' "$policygen" exposure --help
expect exposure_no_policy 2 'no policy named' "$policygen" exposure
expect exposure_missing 2 'cannot read' "$policygen" exposure "$work/nowhere"
sed 's/"execve"/"exceve"/' tests/exposure/pinned.policy >"$work/damaged.policy"
expect exposure_damaged 2 'line 10: unknown API "exceve" \(did you mean "execve"\?\)' "$policygen" exposure "$work/damaged.policy"

if command -v jq >/dev/null; then
    found=$("$policygen" exposure --json tests/exposure/server.policy | jq -r '
        .programs[0].steps as $steps |
        (.programs[0].behaviours[] | select(.name == "bind_shell") |
            [.allowed, (.steps | length), $steps[.steps[3]].sites[0].api, $steps[.steps[3]].sites[0].function] | join(" ")),
        ($steps["make memory executable"].loose[0] | .api + " " + .modules[0]),
        (.image[] | select(.name == "run_data") | .loose[0])' | tr '\n' ' ')
    [ "$found" = "yes 4 execve run_script mprotect /usr/lib/libjit.so.1 /usr/sbin/server " ]
    report exposure_json $? "$found"
else
    echo "skip exposure_json: jq is not installed"
fi

output=$(tests/exposure/measure tests/exposure/*.policy 2>&1)
case $? in
77) echo "skip exposure_payloads: $output" ;;
0)
    grep -qE '^ +0 +0 +[0-9]+  /usr/bin/pinned$' <<<"$output" && grep -qE '^ +[1-9][0-9]* +[1-9][0-9]* +[1-9][0-9]*  /usr/sbin/server$' <<<"$output"
    report exposure_payloads $? "$output"
    ;;
*) report exposure_payloads 1 "$output" ;;
esac
exit $failed
