#!/bin/bash
# The demonstration (make demo): Debian's nginx analysed, preloaded, enforced and put under load; then a vulnerable
# server attacked without and with Pinion, and patched. Every promise is checked: exit status 1 when one is not kept.
set -uo pipefail
samples=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$samples/.." && pwd)/build
export PINION_LIB=${PINION_LIB:-$build/libpinion.so}
export POLICYGEN=${POLICYGEN:-$build/policygen} PINION=${PINION:-$build/pinion}
NGINX=${NGINX:-/usr/sbin/nginx}
LOAD_SECONDS=${LOAD_SECONDS:-4}

work=$(mktemp -d)
chmod 755 "$work"
nginx=
bold='' plain=''
[ -t 1 ] && bold=$'\e[1m' plain=$'\e[0m'

clean_up() {
    if [ -n "$nginx" ]; then
        kill "$nginx" 2>/dev/null
        wait "$nginx" 2>/dev/null
    fi
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

number=0
step() {
    number=$((number + 1))
    printf '\n%s%d. %s%s\n' "$bold" "$number" "$*" "$plain"
}

say() {
    printf '   %s\n' "$*"
}

indent() {
    sed 's/^/   /'
}

broken_promise() {
    printf '\nNot as promised: %s\n' "$*" >&2
    exit 1
}

# How many calls a log says were refused.
refused() {
    if [ -e "$1" ]; then grep -cE '"verdict":"(deny|kill)"' "$1"; else echo 0; fi
}

expect_no_refusal() {
    local count
    count=$(refused "$work/nginx.log")
    [ "$count" = 0 ] || {
        grep -E '"verdict":"(deny|kill)"' "$work/nginx.log" | head -n 3 >&2
        broken_promise "$count calls of nginx were refused, $1"
    }
    say "calls refused $1: 0"
}

# Waits until a command succeeds, at most ten seconds.
until_true() {
    local i
    for ((i = 0; i < 200; i++)); do
        "$@" && return 0
        sleep 0.05
    done
    return 1
}

serves() {
    curl --silent --fail --max-time 5 "http://127.0.0.1:$port/$1" | grep "$2" >/dev/null
}

workers() {
    pgrep --parent "$nginx" | sort
}

all_workers_new() {
    [ -n "$(workers)" ] && [ -z "$(comm -12 <(workers) <(echo "$1"))" ]
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# ---- nginx ----

step "policygen reads nginx and its libraries, as the distribution built them, and writes a policy"
mkdir "$work/policy" "$work/nginx" "$work/nginx/temp"
chmod 755 "$work/policy"
"$POLICYGEN" --coverage -o "$work/policy" "$NGINX" >"$work/coverage" || broken_promise "policygen cannot analyse $NGINX"
# The head, the program itself, the sum of it and its libraries, and the reasons.
awk -v program="$NGINX" 'NF > 2 && (/ module$/ || $NF == program || / in all$/) || /by reason/' "$work/coverage" | indent

step "nginx starts with libpinion.so preloaded, the policy enforced"
cp -R "$samples/site/pages" "$work/nginx/pages"
port=$(free_port)
sed "s/127\.0\.0\.1:8080/127.0.0.1:$port/" "$samples/nginx/nginx.conf" >"$work/nginx/nginx.conf"
[ "$(id -u)" = 0 ] || sed -i '/^user /d' "$work/nginx/nginx.conf"
LD_PRELOAD=$PINION_LIB PINION_POLICY_DIR=$work/policy PINION_LOG=$work/nginx.log \
    "$NGINX" -p "$work/nginx" -c "$work/nginx/nginx.conf" -g 'daemon off;' 2>"$work/nginx/error.log" &
nginx=$!
until_true serves index.html 'It serves' || {
    indent <"$work/nginx/error.log" >&2
    [ -e "$work/nginx.log" ] && head -n 3 "$work/nginx.log" >&2
    broken_promise "nginx does not serve under Pinion"
}
for process in $nginx $(workers); do
    grep -q libpinion "/proc/$process/maps" || broken_promise "process $process of nginx runs without the shim"
done
say "http://127.0.0.1:$port/ is served by $(workers | wc -l) workers, the shim in each"

step "Load for $LOAD_SECONDS seconds, then new workers (reload), then load again"
load() {
    ab -q -k -c 16 -t "$1" -n 10000000 "http://127.0.0.1:$port/$2" >"$work/load" 2>&1 || {
        indent <"$work/load" >&2
        broken_promise "the load could not be run"
    }
    awk '/^Complete requests/ { n = $3 } /^Failed requests/ { f = $3 } /^Requests per second/ { r = $4 }
        /^Non-2xx responses/ { f += $3 }
        END { printf "%d requests, %d failed, %d a second\n", n, f, r; exit f > 0 || n == 0 }' "$work/load" |
        indent || broken_promise "requests failed under load"
}
load "$LOAD_SECONDS" index.html
before=$(workers)
kill -HUP "$nginx"
until_true all_workers_new "$before" || broken_promise "nginx did not reload"
say "reloaded: workers $(echo "$before" | xargs) became $(workers | xargs)"
load 1 about.html
expect_no_refusal "under load and reload"
kill -QUIT "$nginx"
wait "$nginx" || broken_promise "nginx did not end well"
nginx=
expect_no_refusal "until its end"

# ---- the attack ----

# Attacks a freshly started server, whose command line is $1, and shows what came of it.
attack() {
    outcome=$("$samples/vulnerable/attack" --program "$sample/server" --server "$1" "$2" 2>&1)
    say "The attack:${outcome#"$2:"}"
}

step "A vulnerable server, attacked without Pinion"
sample=$work/sample
"$samples/vulnerable/build.sh" "$sample" || broken_promise "the vulnerable server cannot be built"
say 'Its page /lookup?host=NAME runs the shell command "getent hosts NAME". The attacker asks for the host'
say '"localhost; touch FILE": one command becomes two.'
attack "$sample/server" command-injection
[[ $outcome = *succeeded* ]] || broken_promise "the attack should succeed without Pinion"

step "The same server, its policy made by policygen and one learning run, attacked with Pinion"
"$samples/vulnerable/protect.sh" "$sample" >"$work/protect" 2>&1 || {
    indent <"$work/protect" >&2
    broken_promise "the vulnerable server's policy cannot be made"
}
attack "env LD_PRELOAD=$PINION_LIB PINION_POLICY_DIR=$sample/policy PINION_LOG=$work/attack.log $sample/server" \
    command-injection
[[ $outcome = *"stopped; the server still serves" ]] || broken_promise "the attack should be stopped by Pinion"
[ "$(refused "$work/attack.log")" = 1 ] || broken_promise "exactly one call should be refused: $(cat "$work/attack.log")"

step "What Pinion logged, explained (pinion explain)"
grep '"verdict":"deny"' "$work/attack.log" >"$work/denial"
fold -w 110 "$work/denial" | indent
echo
"$PINION" explain --policy-dir "$sample/policy" <"$work/denial" >"$work/explained" ||
    [ $? = 1 ] || broken_promise "the denial cannot be explained"
[ -s "$work/explained" ] || broken_promise "the explanation is empty"
indent <"$work/explained"

step "The hole itself: the patch helper takes the refused call for what it is, and patches the library (pinion patchd)"
"$samples/patch.sh" >"$work/patched" 2>&1
status=$?
fold -s -w 110 "$work/patched" | indent
[ "$status" = 0 ] || [ "$status" = 3 ] || broken_promise "the library should be patched while its server serves"

printf '\n%sAll as promised%s, in %d seconds: nginx served under an enforced policy and nothing was refused; the attack\n' \
    "$bold" "$plain" "$SECONDS"
printf 'that takes over the unprotected server was refused by the protected one, which serves on.\n'
[ "$status" = 3 ] || printf 'Then the package with the hole was brought to its fixed version, and nobody noticed.\n'
