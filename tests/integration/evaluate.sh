#!/bin/bash
# Models as a user meets them: trained on recordings made here, their scores, what is refused; and detection on recorded
# attacks, held against tests/evaluation/gates, where such recordings are at hand.
set -uo pipefail
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh"

# recording SEED ROWS LOAD [ATTACK]: a server's intervals under a load; in the 4 rows from the 100th on an attack: "shell"
# makes calls that it never made, "scan" makes one that it knows out of all proportion.
recording() {
    awk -v seed="$1" -v rows="$2" -v base="$3" -v attack="${4:-}" 'BEGIN {
        srand(seed)
        print "start,interval_ms,read,write,close,accept,poll,openat,execve,pipe"
        for (i = 0; i < rows; i++) {
            load = base + int(base * rand() / 2)
            hit = i >= 100 && i < 104
            printf "%d,1000,%d,%d,%d,%d,%d,%d,%d,%d\n", i, 3 * load, 2 * load + int(3 * rand()), load, load,
                load + int(5 * rand()), int(3 * rand()) + (attack == "scan" && hit ? 60 : 0),
                attack == "shell" && hit ? 2 : 0, attack == "shell" && hit ? 1 : 0
        }
    }'
}

for load in 30 50 90; do
    recording $load 400 $load >"$work/normal$load.csv"
done
expect train 0 'trained on 1200 intervals of 1000 ms with 6 calls; alarm above' "$pinion" train -o "$work/model" "$work"/normal*.csv
"$pinion" train -o "$work/again" "$work"/normal*.csv >/dev/null
cmp -s "$work/model" "$work/again"
report train_twice_alike $? "two models of the same recordings differ"

gzip -k "$work/normal50.csv"
expect train_gzip 0 'trained on 400 intervals' "$pinion" train -o "$work/gzip" "$work/normal50.csv.gz"

printf '\x1f\x8b\x08bad' >"$work/bad.gz"
expect train_bad_gzip 2 '"[^"]*bad.gz": [^/]*; the file is damaged or cut off$' "$pinion" train -o "$work/none" "$work/bad.gz"
expect train_into_directory 2 'it is a directory' "$pinion" train -o "$work" "$work/normal50.csv"

# A terminal sees how far training is, a file does not.
if command -v script >/dev/null; then
    script -qec "'$pinion' train -o '$work/progress' '$work/normal50.csv'" /dev/null </dev/null >"$work/terminal" 2>&1
    grep -q 'training: part 1 of 4, epoch 1' "$work/terminal"
    report train_progress $? "no progress on a terminal: $(head -c 300 "$work/terminal")"
else
    echo "skip train_progress: script is not installed"
fi
expect train_no_progress 0 '!epoch' "$pinion" train -o "$work/progress" "$work/normal50.csv"

# ---- scores ----

recording 7 400 70 >"$work/other.csv"
recording 8 400 50 shell >"$work/shell.csv"
recording 9 400 50 scan >"$work/scan.csv"
expect score_other_load 0 '400 intervals, 0 in alarm' "$pinion" score --model "$work/model" "$work/other.csv"
expect score_never_seen 1 '^.* 100 .*alarm  never seen: execve, pipe' "$pinion" score --model "$work/model" "$work/shell.csv"
expect score_time 1 '^.* 100  1970-01-01T00:01:40.000Z .*alarm' "$pinion" score --model "$work/model" "$work/shell.csv"
# What a recording calls its traces does not reach the terminal as it is.
awk 'BEGIN { FS = OFS = "," } { print (NR == 1 ? "trace" : "\033[2Jx"), $0 }' "$work/shell.csv" >"$work/hostile.csv"
"$pinion" score --model "$work/model" "$work/hostile.csv" >"$work/scores"
! grep -q $'\033' "$work/scores" && grep -q '2Jx' "$work/scores"
report score_hostile_trace $? "an escape sequence of the recording was printed"
expect score_header 1 '^trace +row +time +score$' "$pinion" score --model "$work/model" "$work/shell.csv"
lines=$("$pinion" score --json --model "$work/model" "$work/shell.csv" | grep -c '^{.*"time":"1970-01-01T00:01:4.*}$')
[ "$lines" = 4 ]
report score_json_lines $? "$lines lines of JSON, not 4"
expect score_directory 2 'it is a directory' "$pinion" score --model "$work" "$work/shell.csv"
expect score_never_seen_rows 1 '400 intervals, 4 in alarm' "$pinion" score --model "$work/model" "$work/shell.csv"
expect score_residual 1 '^.* 100 .*alarm$' "$pinion" score --model "$work/model" "$work/scan.csv"
expect score_residual_nothing_new 1 '!never seen' "$pinion" score --model "$work/model" "$work/scan.csv"
(head -n 1 "$work/other.csv"; yes 0,1000,0,0,0,0,0,0,0,0 | head -n 50) >"$work/idle.csv"
expect score_idle 0 'idle$' "$pinion" score --all --model "$work/model" "$work/idle.csv"
"$pinion" train --consecutive 5 -o "$work/patient" "$work"/normal*.csv >/dev/null
expect score_consecutive 0 ' 0 in alarm' "$pinion" score --model "$work/patient" "$work/shell.csv"
"$pinion" train --merge "$work/model" -o "$work/merged" "$work/shell.csv" >/dev/null
expect score_merged 1 '!never seen' "$pinion" score --model "$work/merged" "$work/other.csv" "$work/shell.csv"
if command -v jq >/dev/null; then
    found=$("$pinion" score --json --model "$work/model" "$work/shell.csv" |
        jq -r 'select(.alarm) | [.interval, (.never_seen | join("+")), (.score | type)] | join(" ")' | head -n 1)
    [ "$found" = "100 execve+pipe number" ]
    report score_json $? "$found"
    { head -n 1 "$work/shell.csv" | sed 's/execve/ex\xffecve/'; sed -n '102p' "$work/shell.csv"; } >"$work/odd"$'\xff'.csv
    found=$("$pinion" score --json --model "$work/model" "$work/odd"$'\xff'.csv | jq -r '.never_seen | length')
    [ "$found" = 2 ]
    report score_json_of_any_name $? "$found"
    found=$("$pinion" train --json -o "$work/json" "$work/normal50.csv" | jq -r '[.intervals, .calls, .interval_ms, .rate] | join(" ")')
    [ "$found" = "400 6 1000 0.0015" ]
    report train_json $? "$found"
else
    echo "skip score_json: jq is not installed"
fi

# ---- what is refused ----

rm -f "$work/none"
expect train_too_few 2 'too few to learn from: record at least 120' "$pinion" train -o "$work/none" <(head -n 50 "$work/other.csv")
expect train_idle 2 '0 intervals with calls are too few' "$pinion" train -o "$work/none" "$work/idle.csv"
expect train_nothing 2 'which recording' "$pinion" train
expect train_split 2 'has no rows of split attack' "$pinion" train --split attack -o "$work/none" "$work/other.csv"
expect train_rate 2 'rate must lie between' "$pinion" train --rate 2 -o "$work/none" "$work/other.csv"
sed '77s/,1000,[0-9]*,/,1000,many,/' "$work/other.csv" >"$work/damaged.csv"
expect train_damaged 2 'line 77: "many" is not a whole number' "$pinion" train -o "$work/none" "$work/damaged.csv"
[ ! -e "$work/none" ]
report train_failed_writes_nothing $?
sed 's/,1000,/,100,/' "$work/other.csv" >"$work/fast.csv"
expect train_other_interval 2 'has intervals of 100 ms, the others of 1000 ms: record them alike' "$pinion" train -o "$work/none" "$work/other.csv" "$work/fast.csv"
expect score_other_interval 2 'has intervals of 100 ms, the model was trained on 1000 ms' "$pinion" score --model "$work/model" "$work/fast.csv"
head -c 1000 "$work/model" >"$work/cut"
expect score_damaged_model 2 'cut off, or too large; train it anew with pinion train' "$pinion" score --model "$work/cut" "$work/other.csv"
expect score_no_model 2 'which model' "$pinion" score "$work/other.csv"
expect evaluate_nothing 2 'has no recorded attacks: files NAME.csv.gz' "$pinion" evaluate "$work"

# ---- a folder of attacks, made here: two containers, the attack starts programs ----

mkdir "$work/attacks"
awk 'BEGIN {
    srand(5)
    print "split,label,trace,start,read,write,close,accept,execve"
    for (train = 1; train <= 6; train++) rows("train-normal", "train" train, 100, 0)
    for (container = 1; container <= 2; container++) {
        rows("validation-normal", "c" container, 200, 0)
        rows("attack", "c" container, 20, 2)
    }
}
function rows(split_name, trace, count, started, i, load) {
    for (i = 0; i < count; i++) {
        load = 20 + int(20 * rand())
        printf "%s,x,%s,%d,%d,%d,%d,%d,%d\n", split_name, trace, i, 2 * load, load, load + int(3 * rand()), load, (i > 5 ? started : 0)
    }
}' | gzip >"$work/attacks/CVE-1 it's.csv.gz"
expect evaluate_detects 0 '^all +0.00 % .* 2 of 2 +1.4 s' "$pinion" evaluate "$work/attacks"
if command -v jq >/dev/null; then
    found=$("$pinion" evaluate --json "$work/attacks" | jq -r '[.false_alarm_pct, .detected_pct, .strict_false_alarm_pct, .strict_detected_pct,
        .cold_false_alarm_pct, .cold_detected_pct, .chance_pct, .alarms_per_hour, .worst_container_pct, .signature_right_pct, .signature_wrong_pct,
        .absent_named_pct, .false_alarm_named_pct, .pca_detected_pct, .zscore_detected_pct, .never_seen_detected_pct] |
        [(map(type) | unique | join(" ")), .[1], .[5]] | join(" ")')
    [ "$found" = "number 100 100" ]
    report evaluate_json $? "$found"
fi
if command -v gnuplot >/dev/null; then
    expect evaluate_plots 0 'all' "$pinion" evaluate --plots "$work/plots" "$work/attacks"
    [ "$(head -c 4 "$work/plots/CVE-1 it's.png" | tail -c 3)" = PNG ] && grep -q '</svg>' "$work/plots/CVE-1 it's.svg"
    report evaluate_plots_of_any_name $? "$(ls -l "$work/plots")"
else
    echo "skip evaluate_plots: gnuplot is not installed"
fi
gunzip -c "$work/attacks/CVE-1 it's.csv.gz" | grep -v '^attack,x,c2' | gzip >"$work/half.csv.gz"
mv "$work/half.csv.gz" "$work/attacks/CVE-1 it's.csv.gz"
expect evaluate_half 2 'container c2 has no rows of split attack' "$pinion" evaluate "$work/attacks"

gunzip -c "$work/attacks/CVE-1 it's.csv.gz" | grep -Ev '^[a-z-]*,x,(c2|train[456]),' | gzip >"$work/half.csv.gz"
mv "$work/half.csv.gz" "$work/attacks/CVE-1 it's.csv.gz"
expect evaluate_one_container 2 'one container alone: there is no other to train on' "$pinion" evaluate "$work/attacks"

# ---- recorded attacks ----

output=$(tests/evaluation/run quiet 2>&1)
case $? in
77) echo "skip evaluate: $output" ;;
0) echo "ok evaluate" ;;
*) report evaluate 1 "$(grep -E 'WORSE|:' <<<"$output" | tr '\n' ';')" ;;
esac
exit $failed
