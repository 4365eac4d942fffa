#!/bin/sh
# Builds the vulnerable server as a distribution would, its lookup in a library of a package of its own, and archives of the
# packages for apt: package.sh DIRECTORY
#
#   DIRECTORY/before    sample-server and libsample-lookup1, both 1.0-1: the hole of /lookup is in the library
#   DIRECTORY/after     the same, and libsample-lookup1 1.0-2, which has lookup-names.patch
#
# A line "deb [trusted=yes] file:/srv/archive ./" makes one of them, copied to /srv/archive, a source of packages.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# -eq 1 ] || { echo "usage: package.sh DIRECTORY" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
triplet=$(${CC:-cc} -print-multiarch)
architecture=$(dpkg --print-architecture)
umask 022

# compile OUTPUT ARGUMENT...: with real holes, see build.sh.
compile() {
    output=$1
    shift
    # shellcheck disable=SC2086
    ${CC:-cc} -std=gnu17 -O1 -Wall -Wextra -Werror -fno-stack-protector -U_FORTIFY_SOURCE -D_GNU_SOURCE \
        -ffile-prefix-map="$work=." -Wl,--build-id=sha1,-s ${CFLAGS:-} -o "$output" "$@"
}

# package NAME VERSION DEPENDS SECTION SUMMARY: from the tree $work/NAME; the result goes to DIRECTORY.
package() {
    mkdir -p "$work/$1/DEBIAN"
    cat >"$work/$1/DEBIAN/control" <<END
Package: $1
Version: $2
Architecture: $architecture
Maintainer: Nobody <nobody@localhost>
Section: $4
Priority: optional
Depends: $3
Description: $5
END
    dpkg-deb --root-owner-group --build "$work/$1" "$out/$1_$2_$architecture.deb" >/dev/null
}

# library VERSION: from the sources in $work/source.
library() {
    directory=$work/libsample-lookup1/usr/lib/$triplet
    mkdir -p "$directory"
    compile "$directory/libsample-lookup.so.1.0" -fPIC -shared -Wl,-soname,libsample-lookup.so.1 "$work/source/lookup.c"
    ln -sfn libsample-lookup.so.1.0 "$directory/libsample-lookup.so.1"
    mkdir -p "$work/libsample-lookup1/DEBIAN"
    echo "activate-noawait ldconfig" >"$work/libsample-lookup1/DEBIAN/triggers"
    package libsample-lookup1 "$1" libc6 libs "library of the vulnerable sample server"
}

server() {
    tree=$work/sample-server
    program=/usr/sbin/sample-server site=/usr/share/sample-server
    mkdir -p "$tree/usr/sbin" "$tree$site/uploads"
    cp -R "$here/../site/." "$tree$site"
    compile "$tree$program" -fPIE -pie -DSITE="\"$site\"" -DPROGRAM="\"$program\"" "$work/source/server.c" \
        "$work/source/holes.c" "$work/source/hijacked.c" "$work/source/reload.c" \
        "$work/libsample-lookup1/usr/lib/$triplet/libsample-lookup.so.1"
    package sample-server 1.0-1 "libc6, libsample-lookup1 (>= 1.0-1)" net "vulnerable sample server"
}

# archive NAME FILE...: the packages and their index.
archive() {
    name=$1
    shift
    rm -rf "${out:?}/$name"
    mkdir "$out/$name"
    cp "$@" "$out/$name"
    (cd "$out/$name" && dpkg-scanpackages --multiversion . 2>"$work/complaints" >Packages) || {
        cat "$work/complaints" >&2
        exit 1
    }
}

mkdir "$work/source"
cp "$here"/*.[ch] "$work/source"
library 1.0-1
server
patch -s -d "$work/source" -p1 <"$here/lookup-names.patch"
library 1.0-2
cd "$out"
archive before ./*_1.0-1_*.deb
archive after ./*.deb
rm ./*.deb
