#!/bin/sh
# Builds the vulnerable server, its plugin and its site into a directory: build.sh DIRECTORY
# The directory's name becomes a constant of the program (SITE), as a distribution's paths would be.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# -eq 1 ] || { echo "usage: build.sh DIRECTORY" >&2; exit 2; }
mkdir -p "$1/site"
out=$(cd "$1" && pwd)
cp -R "$here/../site/." "$out/site"
mkdir -p "$out/site/uploads"

# No stack protector and no fortified functions: the holes are to be real. The rest is as a distribution builds.
cd "$here"
# shellcheck disable=SC2086
${CC:-cc} -std=gnu17 -O1 -g -Wall -Wextra -Werror -fPIE -pie -fno-stack-protector -U_FORTIFY_SOURCE -D_GNU_SOURCE \
    -DSITE="\"$out/site\"" ${CFLAGS:-} -o "$out/server" server.c holes.c hijacked.c lookup.c reload.c
${CC:-cc} -std=gnu17 -O1 -Wall -Wextra -Werror -fPIC -shared -o "$out/site/plugin.so" plugin.c
