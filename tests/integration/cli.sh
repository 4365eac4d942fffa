#!/bin/bash
# The command `pinion` as a user meets it: every verb with its exit status, its messages and its JSON; and the way
# from a first learning run over a denial to the line that `explain` says to write.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2

pinion=$PWD/build/pinion
policygen=$PWD/build/policygen
shim=$PWD/build/libpinion.so
reasons=$(grep -oE '^REASON\([A-Z_]+, "[a-z-]+"' runtime/reasons.def | cut -d'"' -f2)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
output=
status=0
name=

for needed in "$pinion" "$shim"; do
    if [ ! -e "$needed" ]; then
        echo "not ok cli: $needed is not built"
        exit 1
    fi
done
if ! command -v jq >/dev/null; then
    echo "skip cli: jq is not installed"
    exit 0
fi
unset PINION_POLICY PINION_POLICY_DIR PINION_LOG PINION_MODE PINION_RECORD LD_PRELOAD

# ---- Helpers ----

problem=

begin() {
    name=$1
    problem=
}

wrong() {
    [ -n "$problem" ] || problem=$1
}

end() {
    if [ -n "$problem" ]; then
        echo "not ok $name: $problem" | tr '\n' ' ' | cut -c1-600
        echo
        failed=1
    else
        echo "ok $name"
    fi
}

# run STATUS COMMAND...: keeps what it prints, standard error included, and compares the exit status.
run() {
    local expected=$1
    shift
    output=$(timeout 60 "$@" 2>&1 </dev/null)
    status=$?
    [ "$status" = "$expected" ] || wrong "status $status instead of $expected of $*: $output"
}

# The same without standard error.
run_out() {
    local expected=$1
    shift
    output=$(timeout 60 "$@" 2>/dev/null </dev/null)
    status=$?
    [ "$status" = "$expected" ] || wrong "status $status instead of $expected of $*: $output"
}

says() {
    local text
    for text; do
        [[ $output == *"$text"* ]] || wrong "does not say \"$text\": $output"
    done
}

silent_about() {
    [[ $output != *"$1"* ]] || wrong "says \"$1\": $output"
}

# json EXPRESSION VALUE
json() {
    local found
    found=$(jq -r "$1" <<<"$output" 2>&1)
    [ "$found" = "$2" ] || wrong "$1 is $found instead of $2"
}

compile() {
    ${CC:-gcc} -O1 -g "$@" || wrong "cannot compile"
}

# ---- Programs ----

mkdir "$work/files" "$work/policies" "$work/src"
# By relative names: the temporary directory's own name is one that `merge` makes a pattern of.
cd "$work" || exit 2
echo first >"files/first"
echo second >"files/second"

cat >"$work/src/reader.c" <<'EOF'
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
__attribute__((noinline)) int read_file(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        perror(path);
        return 1;
    }
    char text[64];
    ssize_t length = read(fd, text, sizeof text);
#ifdef OTHER
    length = length > 1 ? length : 1;
#endif
    close(fd);
    return write(1, text, (size_t)length) < 0;
}
int main(int count, char **words) {
    int failures = 0;
    for (int i = 1; i < count; i++)
        failures += read_file(words[i]);
    return failures;
}
EOF
cat >"$work/src/helped.c" <<'EOF'
int help(void);
int main(void) { return help(); }
EOF
echo 'int help(void) { return 0; }' >"$work/src/helper.c"
reader=$work/reader
name=programs
compile "$work/src/reader.c" -o "$reader"
compile -fPIC -shared "$work/src/helper.c" -o "$work/libhelper.so"
# shellcheck disable=SC2016
compile "$work/src/helped.c" "$work/libhelper.so" -Wl,-rpath,'$ORIGIN' -o "$work/helped"
[ -z "$problem" ] || { end; exit 1; }
stem=${work#/}
stem=${stem//\//.}

# A policy of the program that allows what it does with these arguments, in mode enforce, in the directory.
make_policy() {
    local directory=$1
    shift
    rm -f "$work/record"
    "$pinion" learn --policy-dir "$directory" -o "$work/record" -- "$@" >/dev/null 2>&1 || wrong "cannot learn $1"
    "$pinion" merge --new "$directory" "$work/record" >/dev/null 2>&1 || wrong "cannot merge $1"
    sed -i 's/^mode = "audit"/mode = "enforce"/' "$directory"/*.policy
    "$pinion" check --compile "$directory" >/dev/null 2>&1 || wrong "cannot compile the policy of $1"
}

# ---- Help and mistakes on the command line ----

begin help
run 0 "$pinion" --help
verbs=$(awk '/^  [a-z]/ { print $1 }' <<<"$output")
[ "$(wc -w <<<"$verbs")" -ge 7 ] || wrong "names fewer than seven verbs: $verbs"
for verb in $verbs; do
    run 0 "$pinion" "$verb" --help
    says "Usage: pinion $verb" "Options:" "Exit status:"
done
end

begin unknown_words_have_hints
run 2 "$pinion" lern
says 'did you mean "learn"?'
run 2 "$pinion" show --jsn x
says "did you mean --json?"
run 2 "$pinion" show --api
says "needs a value"
run 2 "$pinion" show --api opne /dev/null
says 'did you mean "open"?'
run 2 "$pinion"
run 2 "$pinion" run
run 2 "$pinion" merge x
end

# ---- learn, merge, run ----

begin learn_and_run
make_policy "$work/policies" "$reader" "files/first"
run 0 "$pinion" run -d "$work/policies" -- "$reader" "files/first"
[ "$output" = first ] || wrong "printed $output"
run 1 "$pinion" run -d "$work/policies" -l "$work/log" -- "$reader" "files/first" "files/second"
says first "Operation not permitted"
[ "$(wc -l <"$work/log")" = 1 ] || wrong "the log is: $(cat "$work/log")"
end
policy=$work/policies/$stem.reader.policy

# What may be one of the known values or anything else is open: the known ones are there for readers.
begin partly_known_values_are_shown_and_decide_nothing
cat >"$work/src/partly.c" <<'EOF'
#include <fcntl.h>
int main(int count, char **words) {
    int fd = open(count > 1 ? words[1] : "files/first", count > 2 ? count << 7 : O_RDONLY);
    return fd < 0;
}
EOF
compile "$work/src/partly.c" -o "$work/partly"
run 0 "$policygen" -o "$work/partly.policies" "$work/partly"
run 0 "$pinion" show "$work/partly.policies/$stem.partly.policy" --api open
says "files/first" any
for words in "" "files/second" "files/second x"; do
    # shellcheck disable=SC2086 # words
    run 0 "$pinion" run -d "$work/partly.policies" -l "$work/partly.log" -- "$work/partly" $words
done
[ ! -s "$work/partly.log" ] || wrong "the log is: $(cat "$work/partly.log")"
sed -i 's/any = "[^"]*"; static/static/' "$work/partly.policies/$stem.partly.policy"
run 0 "$pinion" check --compile "$work/partly.policies/$stem.partly.policy"
run 1 "$pinion" run -d "$work/partly.policies" -l "$work/partly.log" -- "$work/partly" "files/second"
[ -s "$work/partly.log" ] || wrong "without \"any\" nothing is denied"
end

begin run_passes_the_status_on
run 3 "$pinion" run --unprotected-ok -d "$work/policies" -- sh -c 'exit 3'
says "has no policy"
run 2 "$pinion" run -d "$work/policies" -- "$work/nothing"
end

begin run_keeps_other_preloads_behind_the_shim
# shellcheck disable=SC2016
show_preload='echo $LD_PRELOAD'
run_out 0 env LD_PRELOAD="$work/libhelper.so" "$pinion" run --unprotected-ok -d "$work/policies" -- sh -c "$show_preload"
[ "$output" = "$shim:$work/libhelper.so" ] || wrong "LD_PRELOAD is $output"
run_out 0 env LD_PRELOAD="$shim:$work/libhelper.so" "$pinion" run --unprotected-ok -d "$work/policies" -- sh -c "$show_preload"
[ "$output" = "$shim:$work/libhelper.so" ] || wrong "with two shims LD_PRELOAD is $output"
end

begin run_refuses_what_it_cannot_protect
run 1 "$pinion" run -d "$work/policies" -- "$work/helped"
says "has no policy" "was not started"
run 0 "$pinion" run -d "$work/policies" --unprotected-ok -- "$work/helped"
says "although it is not protected"
end

begin run_does_not_loosen
run 2 "$pinion" run -d "$work/policies" --mode audit -- "$reader" "files/second"
says "may only make it stricter"
silent_about second
run 2 "$pinion" run -d "$work/policies" --mode strict -- "$reader"
says "enforce or audit"
end

begin run_follows_no_link_to_a_log
ln -sf "$work/elsewhere" "$work/linked.log"
run 2 "$pinion" run -d "$work/policies" -l "$work/linked.log" -- "$reader"
says "symbolic link"
[ ! -e "$work/elsewhere" ] || wrong "wrote through the link"
end

begin learn_keeps_what_exists
run 2 "$pinion" learn -d "$work/policies" -o "$work/record" -- true
says "exists" "--force"
run 0 "$pinion" learn -d "$work/policies" -o "$work/record" --force -- true
[ "$(stat -c %a "$work/record")" = 600 ] || wrong "the record's mode is $(stat -c %a "$work/record")"
end

begin learn_changes_no_policy_and_leaves_nothing
before=$(cat "$work/policies"/* | cksum)
mkdir -p "$work/tmp"
run 0 env TMPDIR="$work/tmp" "$pinion" learn -d "$work/policies" -fo "$work/record" -- "$reader" "files/first" "files/second"
says second
[ "$(cat "$work/policies"/* | cksum)" = "$before" ] || wrong "a policy changed"
[ -z "$(ls -A "$work/tmp")" ] || wrong "left $(ls "$work/tmp")"
end

begin learn_tells_what_it_lost
mapfile -t many < <(seq 1024)
run 1 "$pinion" learn -d "$work/policies" -fo "$work/record" --size 64K -- "$reader" "${many[@]}"
says "are lost" "--size"
run 2 "$pinion" learn -fo "$work/record" --size 1K -- true
says "no size"
end

begin learn_tells_what_was_too_long
run 0 "$pinion" learn -d "$work/policies" -fo "$work/record" -- awk 'BEGIN { exit system(sprintf("true %40000s", "")) }'
says "1 arguments were too long"
mapfile -t many < <(seq 5000)
run 0 "$pinion" learn -d "$work/policies" -fo "$work/record" -- env true "${many[@]}"
says "too long"
end

begin learn_reports_a_failed_command
run 1 "$pinion" learn -d "$work/policies" -fo "$work/record" -- sh -c 'exit 4'
says "status 4"
run_out 0 "$pinion" learn --json -d "$work/policies" -fo "$work/record" -- "$reader"
json .lost 0
json .status 0
end

begin learn_waits_for_what_is_left_behind
run 0 "$pinion" learn -d "$work/policies" -fo "$work/record" -- \
    sh -c "(sleep 0.3; exec cat 'files/second') >$work/late 2>&1 & exit 0"
[ "$(cat "$work/late")" = second ] || wrong "did not wait"
says "left behind"
run 0 "$pinion" merge --new "$work/tmp" "$work/record"
grep -q files/second "$work/tmp/"*cat.policy || wrong "the late process was not recorded"
rm -f "$work/tmp"/*
end

begin learn_passes_an_interrupt_on
"$pinion" learn -d "$work/policies" -fo "$work/record" -- sh -c "echo \$\$ >$work/pid; exec sleep 100" 2>"$work/messages" &
learner=$!
until [ -s "$work/pid" ] || ! kill -0 $learner 2>/dev/null; do sleep 0.02; done
kill -TERM $learner
wait $learner || wrong "the status is not 0: $(cat "$work/messages")"
kill -0 "$(cat "$work/pid")" 2>/dev/null && wrong "the command is still running"
# shellcheck disable=SC2016
run 1 "$pinion" learn -d "$work/policies" -fo "$work/record" -- sh -c 'kill -SEGV $$'
says "signal 11"
end

# ---- merge ----

begin merge_is_a_union_in_any_order
for file in first second; do
    "$pinion" learn -d "$work/policies" -fo "$work/record.$file" -- "$reader" "files/$file" >/dev/null 2>&1
done
for order in "first second" "second first"; do
    read -r one two <<<"$order"
    run 0 "$pinion" merge "$policy" "$work/record.$one" "$work/record.$two" -o "$work/together.$one.policy"
    run 0 "$pinion" merge "$policy" "$work/record.$one" -o "$work/turn.$one.policy"
    run 0 "$pinion" merge "$work/turn.$one.policy" "$work/record.$two" -o "$work/turn.$one.policy"
    cmp -s "$work/together.$one.policy" "$work/turn.$one.policy" || wrong "one by one differs from all at once"
done
cmp -s "$work/together.first.policy" "$work/together.second.policy" || wrong "the order matters"
run 0 "$pinion" check "$work/together.first.pinion"
run 0 "$pinion" run -p "$work/together.first.pinion" -- "$reader" "files/second"
[ "$output" = second ] || wrong "printed $output"
end

begin merge_refuses_conflicts
sed 's/learned = /static = /' "$policy" >"$work/closed.policy"
before=$(cksum <"$work/closed.policy")
run 1 "$pinion" merge "$work/closed.policy" "$work/record.second"
says conflict files/second "argument path"
[ "$(cksum <"$work/closed.policy")" = "$before" ] || wrong "the policy was written"
[ ! -e "$work/closed.pinion" ] || wrong "a compiled policy was written"
run_out 1 "$pinion" merge --json "$work/closed.policy" "$work/record.second"
json '.policies[0].conflicts' 1
json '.policies[0].written' false
run 0 "$pinion" merge "$work/closed.policy" "$work/record.first"
end

begin merge_names_records_of_another_build
cp "$reader" "$work/reader.kept"
compile -DOTHER -O2 "$work/src/reader.c" -o "$reader"
"$pinion" learn -fo "$work/record.other" -- "$reader" "files/second" >/dev/null 2>&1
run 1 "$pinion" merge "$policy" "$work/record.other"
says "another build"
cp "$work/reader.kept" "$reader"
end

begin merge_refuses_damaged_records
head -c 5000 "$work/record.first" >"$work/cut"
run 2 "$pinion" merge "$policy" "$work/cut"
says "cut off"
run 2 "$pinion" merge "$policy" "$policy"
says "cannot read the record"
run 2 "$pinion" merge "$work/policies/$stem.reader.pinion" "$work/record.first"
says "compiled policy"
end

# ---- check ----

begin check_names_file_line_and_word
sed 's/api = "open"/api = "opne"/' "$policy" >"$work/wrong.policy"
run 1 "$pinion" check "$work/wrong.policy"
line=$(grep -n '"opne"' "$work/wrong.policy" | cut -d: -f1)
says "$work/wrong.policy" "line $line" 'did you mean "open"?'
run_out 1 "$pinion" check --json "$work/wrong.policy"
json '.policies[0].mistake.line' "$line"
run 2 "$pinion" check "$work/missing.policy"
end

begin check_compiles
rm -rf "$work/out"
run 0 "$pinion" check -o "$work/out" "$policy"
cmp -s "$work/out/$stem.reader.pinion" "$work/policies/$stem.reader.pinion" || wrong "compiled to something else"
run_out 0 "$pinion" check --json "$work/out/$stem.reader.pinion"
json .fine true
json '.policies[0].program' "$reader"
head -c 300 "$work/out/$stem.reader.pinion" >"$work/cut.pinion"
run 1 "$pinion" check "$work/cut.pinion"
says "cut off"
end

begin check_refuses_another_build
compile -O2 -DOTHER "$work/src/reader.c" -o "$work/other"
run 1 "$pinion" check --program "$work/other" "$policy" -o "$work/out2"
says "policy is for build" "$work/other" "run policygen again"
[ -z "$(ls -A "$work/out2" 2>/dev/null)" ] || wrong "compiled a stale policy"
run 1 "$pinion" check --program "$work/nothing" "$policy"
run 0 "$pinion" check --program "$reader" "$policy"
end

# ---- show ----

begin show_tells_what_is_allowed
run 0 "$pinion" show "$policy"
says open "files/first" "(learned)" "mode enforce"
run 0 "$pinion" show "$work/policies/$stem.reader.pinion"
says open "files/first"
run_out 0 "$pinion" show --json "$policy" --api open
json '.modules[0].sites[0].arguments[0].values[0].value' "files/first"
json '.modules[0].sites[0].arguments[0].values[0].origin' learned
offset=$(jq -r '.modules[0].sites[0].offset' <<<"$output")
run_out 0 "$pinion" show --json "$policy" --site "reader+$offset:open"
json '.statistics.sites' 1
run 1 "$pinion" show "$policy" --class exec
says "no site"
run 2 "$pinion" show "$policy" --class exek
says 'did you mean "exec"?'
end

# ---- explain ----

begin explain_shows_the_place_and_the_rule
run 0 "$pinion" explain -d "$work/policies" "$work/log"
says "Denied: open(path = \"files/second\"" "read_file+" "-->" "; open" "files/first (learned)" \
    "the same up to" "pinion learn --policy-dir $work/policies -- $reader" "manual = [ \"files/second\" ];"
run 0 "$pinion" explain -d "$work/policies" "$(cat "$work/log")"
says "read_file+"
end

begin explain_says_exactly_what_to_write
run_out 0 "$pinion" explain --json -d "$work/policies" "$work/log"
json '.explanations[0].edit.file' "$policy"
json '[.explanations[0].code[] | select(.call) | .comment] | join(" ")' open
text=$(jq -r '.explanations[0].edit.text' <<<"$output")
line=$(jq -r '.explanations[0].edit.line' <<<"$output")
cp "$policy" "$work/edited.policy"
# Into the group that begins on that line.
awk -v at="$line" -v text="$text" 'NR == at { sub(/{/, "{ " text) } { print }' "$policy" >"$work/edited.policy"
run 0 "$pinion" check --compile "$work/edited.policy"
run 0 "$pinion" run -p "$work/edited.pinion" -- "$reader" "files/first" "files/second"
says second
run 0 "$pinion" explain -p "$work/edited.policy" "$work/log"
says "allows this value: the process runs with an older one"
end

begin explain_an_unknown_site
sed '/at = .*"open"/,/};/d' "$policy" | sed 's/sites = (.*/sites = ( );/; /^ *path = .*};.*}/d' >"$work/empty.policy"
cat >"$work/empty.policy" <<EOF
format = 1;
program = "$reader";
build_id = "$(jq -r .build_id "$work/log")";
modules = ( { path = "$reader"; build_id = "$(jq -r .build_id "$work/log")"; } );
EOF
run 0 "$pinion" check -c "$work/empty.policy"
rm -f "$work/log2"
run 1 "$pinion" run -p "$work/empty.pinion" -l "$work/log2" -- "$reader" "files/first"
run 0 "$pinion" explain -p "$work/empty.policy" "$work/log2"
says unknown-site "read_file+" "knows no call of open" "{ at = 0x"
end

begin explain_needs_neither_policy_nor_program
sed "s|$reader|$work/gone|g" "$work/log" >"$work/log3"
run 0 "$pinion" explain -d "$work/nowhere" "$work/log3"
says "Denied: open" "cannot show the code" "there is no policy" "nearest value" "files/first"
end

begin explain_groups_and_passes_over
{ echo "starting"; cat "$work/log" "$work/log"; echo '{"level":"info"}'; } >"$work/mixed"
run_out 0 "$pinion" explain --json -d "$work/policies" "$work/mixed"
json '.explanations | length' 1
json '.explanations[0].count' 2
json .passed_over 2
run 1 "$pinion" explain /dev/null
run 2 "$pinion" explain '{"a":1}'
run 2 "$pinion" explain "$work/nothing"
output=$(printf '{"reason":"argument","api":"system","args":{"command":"\\u001b[2J"},"exe":"/\\u001b]0;x"}\n' |
    "$pinion" explain -)
[[ $output != *$'\x1b'* ]] || wrong "passes control characters on to the terminal"
end

begin explain_every_reason
for reason in $reasons; do
    run 0 "$pinion" explain -d "$work/policies" \
        "{\"reason\":\"$reason\",\"verdict\":\"kill\",\"api\":\"system\",\"exe\":\"$reader\"}"
    says "What happened" "  $reason:" "What to do" "  1. " "  2. " "  3. "
done
end

# What a policy has no say in: neither learn nor merge helps.
begin explain_an_anomaly
anomaly="{\"reason\":\"anomaly\",\"verdict\":\"log\",\"exe\":\"$reader\",\"interval\":42,\"score\":7.250000,\"threshold\":1.500000,
\"violations\":3,\"signature\":\"aa\",\"top\":[\"read\",\"write\"],\"never_seen\":[\"execve\"]}"
anomaly=${anomaly//$'\n'/}
run 0 "$pinion" explain -d "$work/policies" "$anomaly"
says "interval 42" "score 7.25, threshold 1.50" "calls: read, write" "never seen in training: execve" "refused since the last anomaly: 3" \
    "Nothing was stopped" "pinion record -i MS -o more.csv" "pinion train --merge MODEL -o MODEL more.csv" \
    "pinion signature lookup" "pinion events --db"
[[ $output != *"What the policy says"* && $output != *"pinion learn"* ]] || wrong "speaks of the policy: $output"
printf '%s\n' "$anomaly" "$anomaly" "${anomaly/aa/bb}" >"$work/anomalies"
run_out 0 "$pinion" explain --json "$work/anomalies"
json '[.explanations[].count] | join(" ")' "2 1"
end

begin explain_a_bad_model
run 0 "$pinion" explain -d "$work/policies" \
    "{\"reason\":\"bad-model\",\"verdict\":\"log\",\"exe\":\"$reader\",\"detail\":\"the model is cut off\"}"
says "the model is cut off" "train it anew" "remove the page, so that it is made with the model's interval" "Nothing was stopped"
[[ $output != *"What the policy says"* && $output != *"pinion learn"* ]] || wrong "speaks of the policy: $output"
end

# ---- doctor ----

begin doctor_is_content
run 0 "$pinion" doctor -d "$work/policies" "$reader"
says "can be protected" "Not protected, whatever the policy" "not a sandbox"
run_out 0 "$pinion" doctor --json -d "$work/policies" "$reader"
json '.subjects[0].protectable' true
json '.subjects[0].current' true
end

# finds WORD PROGRAM [OPTION...]: doctor's findings about the program hold the word.
finds() {
    local word=$1 program=$2
    shift 2
    run_out 1 "$pinion" doctor --json -d "$work/policies" "$@" "$program"
    json "[.subjects[0].findings[].word, .shim_findings[].word] | index(\"$word\") != null" true
}

begin doctor_static
compile -static "$work/src/reader.c" -o "$work/static"
finds static "$work/static"
end

begin doctor_no_policy
finds no-policy "$work/helped"
run 1 "$pinion" doctor -d "$work/policies" "$work/helped"
says "missing: $work/helped has no policy"
silent_about stale
end

begin doctor_setuid
cp "$reader" "$work/setuid"
chmod u+s "$work/setuid"
finds setuid "$work/setuid"
end

begin doctor_capabilities
cp "$reader" "$work/capable"
if command -v setcap >/dev/null && setcap cap_net_raw+ep "$work/capable" 2>/dev/null; then
    finds capabilities "$work/capable"
    end
else
    echo "skip doctor_capabilities: setcap is not there or does not work here"
fi

begin doctor_script
printf '#!%s -x\n' "$reader" >"$work/script"
chmod +x "$work/script"
run 0 "$pinion" doctor -d "$work/policies" "$work/script"
says "is a script" "$reader"
printf '#!/usr/bin/env %s\n' "${work#/}" >"$work/script"
finds no-policy "$work/script"
printf '#!%s\n' "$work/script" >"$work/script"
run 1 "$pinion" doctor -d "$work/policies" "$work/script"
says "names no interpreter"
end

begin doctor_32_bit
cp "$reader" "$work/narrow"
printf '\x01' | dd of="$work/narrow" bs=1 seek=4 conv=notrunc status=none
finds 32-bit "$work/narrow"
end

begin doctor_go
objcopy --add-section .go.buildinfo="files/first" "$reader" "$work/go"
finds go "$work/go"
end

begin doctor_unknown_libc
sed 's|/lib64/ld-linux-x86-64.so.2|/lib64/ld-other-x86-64.so.2|' "$reader" >"$work/unknown"
chmod +x "$work/unknown"
finds unknown-libc "$work/unknown"
end

begin doctor_sanitizer
if ${CC:-gcc} -fsanitize=address "$work/src/reader.c" -o "$work/sanitized" 2>/dev/null; then
    finds sanitizer "$work/sanitized"
    end
else
    echo "skip doctor_sanitizer: the compiler has no AddressSanitizer"
fi

begin doctor_libc_free
printf 'void _start(void) { for (;;) ; }\n' >"$work/src/free.c"
compile -nostdlib -Wl,--dynamic-linker=/lib64/ld-linux-x86-64.so.2 -pie "$work/src/free.c" -o "$work/free"
finds no-libc "$work/free"
end

begin doctor_musl
if command -v musl-gcc >/dev/null; then
    musl-gcc "$work/src/reader.c" -o "$work/musl"
    run_out 1 "$pinion" doctor --json -d "$work/policies" "$work/musl"
    json '.subjects[0].protectable' true
    end
else
    echo "skip doctor_musl: musl-gcc is not installed"
fi

begin doctor_stale_policy
compile -O2 -DOTHER "$work/src/reader.c" -o "$reader"
finds stale-policy "$reader"
cp "$work/reader.kept" "$reader"
end

begin doctor_changed_library
build_id=$(readelf -n "$work/helped" | awk '/Build ID/ { print $3 }')
library_id=$(readelf -n "$work/libhelper.so" | awk '/Build ID/ { print $3 }')
cat >"$work/policies/$stem.helped.policy" <<EOF
format = 1;
program = "$work/helped";
build_id = "$build_id";
modules = ( { path = "$work/helped"; build_id = "$build_id"; },
    { path = "$work/libhelper.so"; build_id = "$library_id"; } );
EOF
run 0 "$pinion" check --compile "$work/policies/$stem.helped.policy"
run 0 "$pinion" doctor -d "$work/policies" "$work/helped"
echo 'int help(void) { return 1; }' >"$work/src/helper.c"
compile -fPIC -shared "$work/src/helper.c" -o "$work/libhelper.so"
finds changed-module "$work/helped"
run 1 "$pinion" check "$work/policies/$stem.helped.policy"
says "$work/libhelper.so" "run policygen again"
sed -i '/libhelper.so/d; s/build_id = "[0-9a-f]*"; },$/build_id = "'"$build_id"'"; } );/' "$work/policies/$stem.helped.policy"
run 0 "$pinion" check --compile "$work/policies/$stem.helped.policy"
finds unlisted-module "$work/helped"
end

begin doctor_edited_text
sed -i 's/^mode = "enforce"/mode = "audit"/' "$policy"
finds not-compiled "$reader"
sed -i 's/^mode = "audit"/mode = "enforce"/' "$policy"
run 0 "$pinion" doctor -d "$work/policies" "$reader"
end

begin doctor_writable_files
chmod g+w "$work/policies/$stem.reader.pinion"
finds policy-writable "$reader"
chmod g-w "$work/policies/$stem.reader.pinion"
cp "$shim" "$work/libpinion.so"
chmod o+w "$work/libpinion.so"
finds shim-writable "$reader" --shim "$work/libpinion.so"
rm "$work/libpinion.so"
finds no-shim "$reader" --shim "$work/libpinion.so"
end

begin doctor_damaged_policy
cp "$work/policies/$stem.reader.pinion" "$work/kept.pinion"
head -c 200 "$work/kept.pinion" >"$work/policies/$stem.reader.pinion"
finds bad-policy "$reader"
cp "$work/kept.pinion" "$work/policies/$stem.reader.pinion"
end

begin doctor_processes
mkfifo "$work/pipe"
"$pinion" run -d "$work/policies" --unprotected-ok -- sleep 100 2>/dev/null &
protected=$!
sleep 100 &
bare=$!
until grep -q libpinion "/proc/$protected/maps" 2>/dev/null || ! kill -0 $protected; do sleep 0.02; done
run_out 1 "$pinion" doctor --json "$protected" "$bare"
json '.subjects[0].shim' "$shim"
json '[.subjects[1].findings[].word] | index("not-loaded") != null' true
kill $protected $bare
wait $protected $bare 2>/dev/null
run 2 "$pinion" doctor -d "$work/policies" 999999999 "$reader"
says "cannot look at process" "can be protected"
end

exit $failed
