# shellcheck shell=bash
# What the workloads share. A workload runs under the shim in a directory of its own, as everything it starts does; what it
# does must succeed, so that nobody takes a program that refused to work for one that did nothing wrong.
set -uo pipefail
export LC_ALL=C.UTF-8
servers=()

# Processes that become another user must still be able to write what they do.
chmod 666 record/*

# The command that learns, our parent, adopts what daemons leave behind, and waits for them.
end_servers() {
    set +e
    local pid round
    kill "${servers[@]}" 2>/dev/null
    for round in {1..40}; do
        # shellcheck disable=SC2013 # they are words of one line
        for pid in $(cat "/proc/$PPID/task/$PPID/children" "/proc/$$/task/$$/children"); do
            [ "$pid" = $$ ] || kill -"$([ "$round" -lt 20 ] && echo TERM || echo KILL)" "$pid" 2>/dev/null
        done
        [ "$(cat "/proc/$PPID/task/$PPID/children")" = "$$ " ] && return
        sleep 0.1
    done
}
trap end_servers EXIT

fail() {
    echo "not done: $*"
    exit 1
}

needs() {
    local program
    for program in "$@"; do
        type -P "$program" >/dev/null || fail "$program is not installed"
    done
}

# do_it COMMAND...: it must succeed.
do_it() {
    "$@" || fail "status $? of: $*"
}

# quietly COMMAND...: it must succeed; what it says goes into a file.
quietly() {
    "$@" >>output 2>&1 || fail "status $? of: $*"
}

# Port numbers that nobody listens at.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 20000))
        (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

answers() {
    (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# until_true SECONDS COMMAND...
until_true() {
    local limit=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$limit" ] || fail "in vain: $*"
        sleep 0.05
    done
}

# serve PORT COMMAND...: in the background, until the workload ends.
serve() {
    local port=$1
    shift
    "$@" &
    servers+=($!)
    until_true 20 answers "$port"
}
