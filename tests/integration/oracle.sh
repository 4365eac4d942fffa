#!/bin/bash
# Generated programs whose calls pass known values, built in many ways, run, and compared with their policies: see
# tests/oracle/run. A few seeds; `make oracle SEEDS=N` runs more.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2

output=$(ORACLE_FLOORS=$PWD/tests/oracle/floors tests/oracle/run 6)
status=$?
echo "$output"
if [ "$status" = 0 ]; then
    echo "ok oracle"
else
    echo "not ok oracle: $(grep -m1 -E '^(seed|floor)' <<<"$output")"
fi
exit "$status"
