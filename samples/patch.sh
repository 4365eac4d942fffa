#!/bin/bash
# From an attack to the patched library, shown: patch.sh. The sample server runs in a container under Pinion, its lookup in a
# vulnerable library of a package of its own. Exit status: 0 all as promised, 1 not, 3 no container can be had here.
set -uo pipefail
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/../tests/integration/common/expect.sh"
# shellcheck source=tests/integration/common/sample_container.sh
. "$(dirname "$0")/../tests/integration/common/sample_container.sh"

broken_promise() {
    printf 'Not as promised: %s\n' "$*" >&2
    exit 1
}

if container_problem >"$work/problem"; then
    echo "Left out: $(<"$work/problem")"
    exit 3
fi
prepare patch >"$work/prepared" || broken_promise "$(grep '^not ok' "$work/prepared")"
new_tree container
start_server "$tree" || broken_promise "the server does not start: $(<"$tree/tmp/output")"
start_asking "$work/asked"
write_configuration auto
start_helper || broken_promise "the patch helper does not start: $(<"$work/helper")"
echo "A small Debian root with the packages sample-server and $library $(installed "$tree"), the server in it under"
echo "its policy, asked every 20 ms; and beside it the patch helper, with one signed recipe (pinion recipe suggest):"
echo
"$pinion" recipe show --trust "$key" "$recipes/sample-lookup.recipe" 2>&1 | sed 's/^/  /'
echo
attack now && broken_promise "the attack should be refused"
echo "The attack: refused. Its event reaches the helper, which does the rest (pinion incidents show):"
echo
until_true ended >/dev/null
"$pinion" incidents show --config "$configuration" 1 | sed 's/^/  /'
echo
{ in_state "done" >/dev/null && [ "$(installed "$tree")" = 1.0-2 ] && runs_library; } ||
    broken_promise "the library should be patched, and be what the server runs: $(<"$work/helper")"
ends "$asker"
read -r gap failures < <(longest_gap "$work/asked")
{ [ "$failures" = 0 ] && [ "$gap" -lt 1000 ]; } || broken_promise "$failures requests failed, $gap ms without an answer"
stop_helper
stop_container
{ start_container "$tree" "$server" "${address#*:}" && until_true answers; } || broken_promise "the server does not start again"
attack later && broken_promise "the attack should fail against the patched library"
echo "The server runs $library $(installed "$tree"). While it was patched no request failed, and the longest time"
echo "without an answer was $gap ms. The same attack now fails without Pinion as well."
