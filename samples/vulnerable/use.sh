#!/bin/sh
# Uses the vulnerable server as its visitors do, every page once, without an attack: use.sh URL DIRECTORY
# DIRECTORY is where build.sh put the server. Fails when a page is not served.
set -eu
[ $# -eq 2 ] || { echo "usage: use.sh URL DIRECTORY" >&2; exit 2; }
url=$1 site=$(cd "$2/site" && pwd)

visit() {
    curl --silent --show-error --fail --max-time 10 --output /dev/null "$@" || {
        echo "use.sh: not served: $*" >&2
        exit 1
    }
}

visit "$url/"
visit "$url/status"
visit "$url/report"
visit "$url/leak"
visit "$url/lookup?host=localhost"
visit "$url/file?name=about.html"
visit "$url/file?name=index.html"
visit --data "a note" "$url/upload?path=$site/uploads/note.txt"
visit "$url/plugin?path=$site/plugin.so"
visit "$url/hello?name=World"
visit --data "a line" "$url/echo"
# One instruction: return.
printf '\303' | visit --data-binary @- "$url/compiled?protection=5"
