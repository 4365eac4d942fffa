#!/bin/bash
# Makes the policy of the vulnerable server: protect.sh DIRECTORY, where build.sh put it. The result is in DIRECTORY/policy.
#
#   policygen       reads from the program what it can pass at each place
#   pinion learn    watches ordinary use for what only a configuration or a visitor determines
#   pinion merge    adds the one to the other: what may be anything is closed to what was seen, and files of the two
#                   directories whose contents come and go may have any name there
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$here/../.." && pwd)/build
POLICYGEN=${POLICYGEN:-$build/policygen} PINION=${PINION:-$build/pinion}
PINION_LIB=${PINION_LIB:-$build/libpinion.so}
[ $# -eq 1 ] || { echo "usage: protect.sh DIRECTORY" >&2; exit 2; }
directory=$(cd "$1" && pwd)
policy=$directory/policy

rm -rf "$policy"
(umask 022 && mkdir "$policy")
umask 022
"$POLICYGEN" -o "$policy" "$directory/server"

rm -f "$directory/learning"
"$PINION" learn --force --policy-dir "$policy" --shim "$PINION_LIB" --record "$directory/record" -- \
    "$directory/server" 0 >"$directory/learning" &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
while ! grep -q '^listening on ' "$directory/learning"; do
    kill -0 "$server" 2>/dev/null || { echo "protect.sh: the server does not start in learn mode" >&2; exit 1; }
    sleep 0.05
done
"$here/use.sh" "http://$(sed -n 's/^listening on //p' "$directory/learning")" "$directory"
# The server ends by this signal only, so that learn reports a failure of the command: none of the record.
kill "$server"
wait "$server" || [ $? = 1 ]

stem=${directory#/}/server
"$PINION" merge --pin all --data-dir "$directory/site/pages" --data-dir "$directory/site/uploads" \
    "$policy/${stem//\//.}.policy" "$directory/record"
