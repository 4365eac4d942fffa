#!/bin/bash
# The ways to apply a recipe, each for real in a stage over a small Debian root with a local archive: what would be
# changed, and what is refused with which words. The root itself stays as it is throughout.
set -uo pipefail
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh"

[ "$(id -u)" = 0 ] || { echo "skip methods: needs root"; exit 0; }
unshare --mount true 2>/dev/null || { echo "skip methods: no mount namespaces here"; exit 0; }
tar=$(tests/integration/common/debian_root 2>"$work/why") || { echo "skip methods: $(cat "$work/why")"; exit 0; }
scratch=$(mktemp -d "$PWD/build/methods-XXXXXX")
trap 'rm -rf "$work" "$scratch"' EXIT
methods=$PWD/build/tests/patch/methods
root=$scratch/root archive=$scratch/root/srv/archive
mkdir "$root"
tar --extract --file "$tar" --directory "$root" --exclude './dev/*'

# package NAME VERSION [FIELD...]: a package with one file that tells its version; scripts lie in $work/tree/DEBIAN.
package() {
    mkdir -p "$work/tree/usr/share/$1"
    echo "$1 $2" >"$work/tree/usr/share/$1/version"
    tests/integration/common/debian_package "$work/tree" "$1" "$2" "$archive" "${@:3}"
    rm -rf "$work/tree"
}

# A script of the package that is made next.
maintainer() {
    mkdir -p "$work/tree/DEBIAN"
    printf '#!/bin/sh\nset -e\n%s\n' "$2" >"$work/tree/DEBIAN/$1"
    chmod 755 "$work/tree/DEBIAN/$1"
}

install() {
    cp "$archive/$1" "$root/tmp.deb"
    chroot "$root" dpkg --force-unsafe-io --install /tmp.deb >"$work/dpkg.log" 2>&1 || cat "$work/dpkg.log"
    rm "$root/tmp.deb"
}

# recipe NAME FIXED METHOD TEXT: in $work/recipe.
recipe() {
    printf '%s\n' "recipe = \"test\"; summary = \"test\"; serial = 1; created = \"2026-01-01\"; expires = \"2100-01-01\";" \
        "answers = { }; method = \"$3\";" >"$work/recipe"
    [ -z "$1" ] || echo "package = { name = \"$1\"; fixed = \"$2\"; };" >>"$work/recipe"
    printf '%s\n' "$4" >>"$work/recipe"
}

# pin NAME VERSION FILE: one archive of a recipe.
pin() {
    printf '{ package = "%s"; version = "%s"; architecture = "amd64"; source = "./%s"; size = %s; sha256 = "%s"; }' \
        "$1" "$2" "$3" "$(stat -c %s "$archive/$3")" "$(sha256sum <"$archive/$3" | cut -d' ' -f1)"
}

# source FILE URL: the keys of a file that is fetched.
source_of() {
    printf 'source = "%s"; size = %s; sha256 = "%s";' "$2" "$(stat -c %s "$1")" "$(sha256sum <"$1" | cut -d' ' -f1)"
}

# check NAME STATUS PATTERN: applies $work/recipe in a stage.
check() {
    expect "methods/$1" "$2" "$3" "$methods" "$work/recipe" "$root" "$scratch/stage"
}

# ---- the archive and what is installed ----

for file in "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/*; do rm -f "$file"; done
echo "deb [trusted=yes] file:/srv/archive ./" >"$root/etc/apt/sources.list"
echo "Acquire::Retries \"0\";" >"$root/etc/apt/apt.conf.d/quick"
mkdir -p "$archive"
mkdir -p "$work/tree/etc"
echo "old default" >"$work/tree/etc/victim.conf"
mkdir -p "$work/tree/DEBIAN"
echo /etc/victim.conf >"$work/tree/DEBIAN/conffiles"
package victim 1.0-1
mkdir -p "$work/tree/etc" "$work/tree/DEBIAN"
echo "new default" >"$work/tree/etc/victim.conf"
echo /etc/victim.conf >"$work/tree/DEBIAN/conffiles"
package victim 1.0-2 "Depends: needed" "Recommends: extra"
package victim-tools 1.0-1 "Source: victim"
package victim-tools 1.0-2 "Source: victim"
package needed 1.0 "Depends: needed-data (>= 1)"
package needed-data 1
package extra 1.0
package broken 1
maintainer postinst 'echo "the postinst of broken is broken" >&2; exit 3'
package broken 2
package lonely 1
package lonely 2 "Depends: nowhere"
package base 1:1
package base 1:2
package first 1
package first 2 "Pre-Depends: base (>= 1:2)"
package greedy 1
package greedy 2 "Conflicts: victim"
package greedy 3 "Conflicts: victim-tools" "Replaces: victim-tools"
package maker 1
install victim_1.0-1_amd64.deb
install victim-tools_1.0-1_amd64.deb
for name in broken lonely first greedy; do install "${name}_1_amd64.deb"; done
install base_1:1_amd64.deb
echo "the administrator's" >"$root/etc/victim.conf"
cp "$archive/victim_1.0-1_amd64.deb" "$archive/liar_3_amd64.deb"
state() {
    find "$root" ! -path "$root/srv*" ! -path "$root/etc/apt*" -printf '%P %s %m %U %G %T@ %C@ %i\n' | sort
}
state >"$work/before"

# ---- apt, pinned ----

both="apt = { archives = ( $(pin victim 1.0-2 victim_1.0-2_amd64.deb), $(pin needed 1.0 needed_1.0_amd64.deb),
    $(pin needed-data 1 needed-data_1_amd64.deb) ); };"
recipe victim 1.0-2 apt "$both"
check plan 0 "plan: victim 1.0-1 -> 1.0-2"
check plan_new 0 "plan: needed 1.0 \(new, if another of these needs it\)"
check pinned 0 "replace /usr/share/victim/version 100644"
check dependency 0 "create /usr/share/needed/version"
check database 0 "replace /var/lib/dpkg/status "
check conffile 0 "!(replace|remove|metadata) /etc/victim.conf "
check nothing_of_apt 0 "!/var/(cache|lib)/apt|/var/cache/pinion"
recipe victim 1.0-2 apt "${both/ );/, $(pin extra 1.0 extra_1.0_amd64.deb) );}"
check only_what_is_needed 0 "!/usr/share/extra"
check dependency_of_a_dependency 0 "create /usr/share/needed-data/version"
recipe victim 1.0-2 apt "apt = { archives = ( $(pin victim 1.0-2 victim_1.0-2_amd64.deb) ); };"
check dependency_missing 1 "install failed: .*victim"
recipe victim 1.0-2 apt "${both//sha256 = \"????/sha256 = \"0000}"
check wrong_digest 1 "fetch failed: .*Hash Sum mismatch"
recipe victim 1.0-2 apt "${both//victim_/absent_}"
check archive_missing 1 "fetch failed: none of the target's 1 package sources"
recipe victim 3 apt "apt = { archives = ( $(pin victim 3 liar_3_amd64.deb) ); };"
check archive_of_another_version 1 "install failed: .*victim"
recipe broken 2 apt "apt = { archives = ( $(pin broken 2 broken_2_amd64.deb) ); };"
check postinst_fails 1 "install failed: .*broken"
recipe first 2 apt "apt = { archives = ( $(pin first 2 first_2_amd64.deb), $(pin base 1:2 base_1:2_amd64.deb) ); };"
check pre_depends 0 "replace /usr/share/first/version"
recipe greedy 2 apt "apt = { archives = ( $(pin greedy 2 greedy_2_amd64.deb) ); };"
check conflict 1 "install failed: .*greedy"
recipe greedy 3 apt "apt = { archives = ( $(pin greedy 3 greedy_3_amd64.deb) ); };"
check replaced_package 1 "install failed: victim-tools would be removed"
recipe victim 1.0-1 apt "apt = { archives = ( $(pin victim 1.0-1 victim_1.0-1_amd64.deb) ); };"
check installed_already 3 "plan: nothing to do"
recipe absent 1 apt "apt = { archives = ( $(pin absent 1 victim_1.0-1_amd64.deb) ); };"
check not_installed 3 "plan: nothing to do"

# ---- apt, by its own choice ----

recipe victim 1.0-2 apt ""
check resolved 0 "replace /usr/share/victim/version"
check resolved_dependency 0 "create /usr/share/needed/version"
check no_recommends 0 "!/usr/share/extra"
check not_the_whole_source 0 "!/usr/share/victim-tools"
check no_lists 0 "!/var/(cache|lib)/apt"
check states_of_apt 0 "!extended_states"
recipe victim 1.0-1.5 apt ""
check newer_than_fixed 0 "replace /usr/share/victim/version"
recipe victim 9 apt ""
check not_to_be_had 1 "fetch failed: the target's package sources have no victim 9 or newer"
recipe greedy 2 apt ""
check would_remove 1 "fetch failed: .*(greedy|victim|remove)"
recipe lonely 2 apt ""
check dependency_unknown 1 "fetch failed: "

# ---- apk: there is none for Debian, so one that answers in the words of apk-tools 2.14 ----

alpine=$scratch/alpine
mkdir -p "$alpine/etc/apk"
tar --extract --file "$tar" --directory "$alpine" --exclude './dev/*'
rm -rf "$alpine/var/lib/dpkg"
mkdir -p "$alpine/lib/apk/db" "$alpine/etc/apk" "$alpine/usr/share/victim"
printf 'P:%s\nV:%s\nA:x86_64\nI:10\n\n' victim 1.0-r0 greedy 1-r0 broken 1-r0 >"$alpine/lib/apk/db/installed"
printf '%s\n' victim greedy broken >"$alpine/etc/apk/world"
cat >"$alpine/sbin/apk" <<'APK'
#!/bin/sh
output=/
while [ $# -gt 0 ]; do
    case $1 in
    --no-progress | --no-network) ;;
    --simulate) simulate=yes ;;
    --output) output=$2; shift ;;
    --cache-dir) shift ;;
    --repositories-file) offline=$2; shift ;;
    *) words="$words $1" ;;
    esac
    shift
done
set -- $words
case "$1 $2 $simulate" in
"update  ") ;;
"add victim=1.0-r1 yes") printf '%s\n' "( 1/12) Installing needed (1-r0)" "( 2/12) Upgrading victim (1.0-r0 -> 1.0-r1)" "OK: 1 MiB" ;;
"add greedy=2-r0 yes") printf '%s\n' "(1/2) Purging other (1-r0)" "(2/2) Upgrading greedy (1-r0 -> 2-r0)" ;;
"add broken=2-r0 yes") printf '%s\n' "(1/1) Upgrading broken (1-r0 -> 2-r0)" ;;
"add victim=2-r0 yes") printf '%s\n' "(1/1) Upgrading victim (1.0-r0 -> 2-r0)" ;;
add*yes) printf '%s\n' "ERROR: unable to select packages:" "  victim-1.0-r1:" "    breaks: world[$2]"; exit 1 ;;
fetch*)
    shift
    for name in "$@"; do
        case $name in needed) version=1-r0 ;; victim) version=1.0-r1 ;; *) version=2-r0 ;; esac
        echo "archive" >"$output/$name-$version.apk"
    done
    ;;
"verify "*) ;;
"add "*)
    [ "$offline" = /dev/null ] || exit 9
    case "$*" in *broken*) printf '%s\n' "ERROR: broken-2-r0.post-upgrade: script exited with error 3" "1 error; 1 MiB"; exit 1 ;; esac
    sed -i 's/^V:1.0-r0/V:1.0-r1/' /lib/apk/db/installed
    echo fixed >/usr/share/victim/version
    echo "victim=1.0-r1" >>/etc/apk/world
    ;;
*) exit 8 ;;
esac
APK
chmod 755 "$alpine/sbin/apk"

# alpine NAME STATUS PATTERN PACKAGE FIXED
alpine() {
    recipe "$4" "$5" apk ""
    expect "methods/apk_$1" "$2" "$3" "$methods" "$work/recipe" "$alpine" "$scratch/stage"
}
alpine upgrade 0 "create /usr/share/victim/version" victim 1.0-r1
alpine database 0 "replace /usr/lib/apk/db/installed" victim 1.0-r1
alpine world_is_kept 0 "!(replace|create) /etc/apk" victim 1.0-r1
alpine archive_missing 1 "fetch failed: apk did not bring victim 2-r0" victim 2-r0
alpine would_remove 1 "fetch failed: apk would do more than upgrade \(Purging other\)" greedy 2-r0
alpine not_to_be_had 1 "fetch failed: ERROR: unable to select packages: .*world\[victim=9-r0\]" victim 9-r0
alpine script_fails 1 "install failed: ERROR: broken-2-r0.post-upgrade" broken 2-r0
alpine installed_already 3 "plan: nothing to do" victim 1.0-r0
recipe victim 1.0-2 apt "$both"
expect methods/apt_on_alpine 2 "no dpkg database" "$methods" "$work/recipe" "$alpine" "$scratch/stage"

# ---- files ----

echo "a better tool" >"$work/tool"
cp "$work/tool" "$root/srv/tool"
recipe "" "" files "files = ( { path = \"/usr/share/victim/version\"; $(source_of "$work/tool" file:///srv/tool) } );"
check files 0 "replace /usr/share/victim/version 100644"
python3 - "$root/usr/bin/passwd" <<'PASSWD'
import os, sys
os.chown(sys.argv[1], 33, 34)
os.chmod(sys.argv[1], 0o4750)
os.setxattr(sys.argv[1], "security.capability", b"\1\0\0\2" + b"\0\4\0\0" + bytes(12))
PASSWD
state >"$work/before"
recipe "" "" files "files = ( { path = \"/usr/bin/passwd\"; $(source_of "$work/tool" file:///srv/tool) } );"
check owner_mode_and_capabilities_stay 0 "replace /usr/bin/passwd 104750 33:34 security.capability"
recipe "" "" files "files = ( { path = \"/usr/bin/newtool\"; mode = \"4755\"; $(source_of "$work/tool" file:///srv/tool) } );"
check new_file 0 "create /usr/bin/newtool 104755 0:0$"
recipe "" "" files "files = ( { path = \"/usr/share/nowhere/x\"; $(source_of "$work/tool" file:///srv/tool) } );"
check no_directory 1 "install failed: /usr/share/nowhere/x"
recipe "" "" files "files = ( { path = \"/bin/sh\"; $(source_of "$work/tool" file:///srv/tool) } );"
check link 2 "/bin/sh is no regular file"
recipe "" "" files "files = ( { path = \"/srv/tool\"; $(source_of "$work/tool" file:///nowhere) } );"
check there_already 3 "plan: nothing to do"
recipe "" "" files "files = ( { path = \"/usr/bin/newtool\"; $(source_of "$work/tool" file:///srv/missing) } );"
check file_missing 1 "fetch failed: .*/srv/missing in the target: No such file"
recipe "" "" files "files = ( { path = \"/usr/bin/newtool\"; $(source_of "$work/tool" file:///etc/passwd) } );"
check file_too_large 1 "fetch failed: .*more than the 14 bytes"

# ---- over the network ----

# What it is asked for is in its folder, but for a few names.
cat >"$work/server.py" <<'SERVER'
import functools, http.server, ssl, sys, threading

class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", {"file": "file:///srv/tool", "ftp": "ftp://127.0.0.1/tool", "self": "/to/self"}
                             .get(self.path[4:], "/" + self.path[4:]))
            self.end_headers()
        elif self.path == "/silent":
            self.send_response(200)
            self.end_headers()
            self.wfile.flush()
            threading.Event().wait(20)
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"x" * 65536)
            except OSError:
                pass
        else:
            super().do_GET()

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer.daemon_threads = True
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=sys.argv[1]))
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
SERVER
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -days 2 \
    -keyout "$work/key.pem" -out "$work/certificate.pem" 2>/dev/null
cat "$work/key.pem" "$work/certificate.pem" >"$work/both.pem"
exec 3< <(exec python3 "$work/server.py" "$root/srv")
servers=$!
exec 4< <(exec python3 "$work/server.py" "$root/srv" "$work/both.pem")
servers="$servers $!"
trap 'kill $servers; rm -rf "$work" "$scratch"' EXIT
read -r port <&3
read -r secure_port <&4

# network NAME STATUS PATTERN URL: the tool from this address.
network() {
    recipe "" "" files "files = ( { path = \"/usr/bin/newtool\"; $(source_of "$work/tool" "$4") } );"
    check "$1" "$2" "$3"
}

network http 0 "create /usr/bin/newtool" "http://127.0.0.1:$port/tool"
network redirect 0 "create /usr/bin/newtool" "http://127.0.0.1:$port/to/tool"
network redirect_to_file 1 "fetch failed: .*(not supported|disabled)" "http://127.0.0.1:$port/to/file"
network redirect_to_ftp 1 "fetch failed: .*(not supported|disabled)" "http://127.0.0.1:$port/to/ftp"
network redirect_for_ever 1 "fetch failed: .*redirects" "http://127.0.0.1:$port/to/self"
network not_found 1 "fetch failed: .*404" "http://127.0.0.1:$port/nothing"
network endless 1 "fetch failed: .*more than the 14 bytes" "http://127.0.0.1:$port/endless"
network unknown_certificate 1 "fetch failed: .*certificate" "https://127.0.0.1:$secure_port/tool"
network refused 1 "fetch failed: .*connect" "http://127.0.0.1:1/tool"
echo "another tool!" >"$root/srv/other"
network other_content 1 "fetch failed: .*digest" "http://127.0.0.1:$port/other"
printf x >"$root/srv/other"
network too_short 1 "fetch failed: .*1 bytes came, the recipe says 14" "http://127.0.0.1:$port/other"

recipe victim 1.0-2 apt "$both"
echo "deb [trusted=yes] http://127.0.0.1:1/ ./" >"$root/etc/apt/sources.list"
check archive_unreachable 1 "fetch failed: none of the target's 1 package sources brought it: .*[Cc]onnect"
printf 'Types: deb\nURIs: http://127.0.0.1:%s/archive\nSuites: ./\nTrusted: yes\n' "$port" \
    >"$root/etc/apt/sources.list.d/more.sources"
exec 6< <(exec python3 -c 'import socket, time
listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(8)]
print(*(one.getsockname()[1] for one in listeners), flush=True)
time.sleep(60)')
servers="$servers $!"
read -r silent <&6
for each in $silent; do echo "deb http://127.0.0.1:$each/ ./"; done >"$root/etc/apt/sources.list"
expect methods/silent_sources 1 "fetch failed: after 1 s [12] of the target's 9 package sources" \
    "$methods" "$work/recipe" "$root" "$scratch/stage" 1
: >"$root/etc/apt/sources.list"
check second_source 0 "replace /usr/share/victim/version"
rm "$root/etc/apt/sources.list"
recipe victim 1.0-2 apt ""
check resolved_from_the_network 0 "replace /usr/share/victim/version"
rm "$root/etc/apt/sources.list.d/more.sources"
echo "deb [trusted=yes] file:/srv/archive ./" >"$root/etc/apt/sources.list"

# ---- build ----

mkdir -p "$work/source-1"
printf 'tool built by %s\n' MAKER >"$work/source-1/tool.in"
tar -czf "$root/srv/source.tar.gz" -C "$work" source-1
# shellcheck disable=SC2016
commands='"[ -e /usr/share/maker/version ]", "sed s/MAKER/$(cat /usr/share/maker/version | cut -c1-5)/ tool.in >tool",
    "mkdir -p $DESTDIR/usr/bin $DESTDIR/usr/share/victim $DESTDIR/lib", "cp tool $DESTDIR/usr/bin/built; chmod 755 $DESTDIR/usr/bin/built",
    "cp tool $DESTDIR/usr/share/victim/version; ln -s built $DESTDIR/usr/bin/other; cp tool $DESTDIR/lib/built"'
source=$(source_of "$root/srv/source.tar.gz" file:///srv/source.tar.gz)
recipe victim 2 build "build = { archive = { $source }; depends = [ \"maker\" ]; commands = [ $commands ]; };"
check build 0 "create /usr/bin/built 100755"
check build_replaces 0 "replace /usr/share/victim/version"
check build_links 0 "create /usr/bin/other 120777"
check build_through_links 0 "create /usr/lib/built"
check build_depends_stay_away 0 "!maker|/var/lib/dpkg|/var/cache"
recipe victim 2 build "build = { archive = { $source }; commands = [ $commands ]; };"
check build_fails 1 "install failed: .*"
recipe victim 2 build "build = { archive = { $source }; commands = [ \"false\", \"true\" ]; };"
check build_ends_at_first_failure 1 "install failed: .*"
recipe victim 2 build "build = { archive = { $source }; commands = [ \"mkfifo \$DESTDIR/pipe\" ]; };"
check build_of_a_pipe 1 "/pipe, which was built, is neither"
recipe victim 2 build "build = { archive = { $source }; commands = [ \"mkdir \$DESTDIR/tmp\" ]; };"
check build_of_what_does_not_last 1 "/tmp, which was built, is no path that a patch may change"

# ---- script ----

recipe victim 2 script 'script = { text = "echo fixed >/usr/share/victim/version; read line || rm /usr/share/first/version"; };'
check script 0 "replace /usr/share/victim/version"
check script_removes 0 "remove /usr/share/first/version"
recipe victim 2 script 'script = { text = "echo it cannot be done >&2; exit 7"; };'
check script_fails 1 "install failed: .*it cannot be done"

recipe victim 2 script 'script = { text = "sleep 1000"; };'
expect methods/script_takes_too_long 1 "install failed: .*it still ran after 1 s" "$methods" "$work/recipe" "$root" "$scratch/stage" 1
recipe "" "" files "files = ( { path = \"/usr/bin/newtool\"; $(source_of "$work/tool" "http://127.0.0.1:$port/silent") } );"
expect methods/download_takes_too_long 1 "fetch failed: .*timed out" "$methods" "$work/recipe" "$root" "$scratch/stage" 1

# ---- a target that something has to be done in first ----

state >"$work/after"
expect methods/target_is_untouched 0 "" diff "$work/before" "$work/after"
sed -i '/^Package: lonely$/,/^$/s/^Status: .*/Status: install ok half-configured/' "$root/var/lib/dpkg/status"
recipe victim 1.0-2 apt "$both"
check interrupted 2 "in the middle of lonely: finish it with \"dpkg --configure -a\""
sed -i '/^Package: lonely$/,/^$/s/^Status: .*/Status: install ok installed/' "$root/var/lib/dpkg/status"
chroot "$root" sh -c 'echo victim hold | dpkg --set-selections'
check held 2 "victim is on hold: allow another version with \"apt-mark unhold victim\""
chroot "$root" sh -c 'echo victim install | dpkg --set-selections; echo base hold | dpkg --set-selections'
recipe first 2 apt "apt = { archives = ( $(pin first 2 first_2_amd64.deb), $(pin base 1:2 base_1:2_amd64.deb) ); };"
check another_held 2 "base is on hold"
recipe victim 1.0-2 apt "$both"
exec 5< <(exec python3 -c 'import fcntl, signal, sys
lock = open(sys.argv[1], "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("locked", flush=True)
signal.pause()' "$root/var/lib/dpkg/lock-frontend")
holder=$!
read -r _ <&5
check busy 2 "another package manager is at work"
kill "$holder"
wait "$holder" 2>/dev/null
mv "$root/usr/lib/apt/apt-helper" "$root/usr/lib/apt/helper"
check no_downloader 2 "the target has no /usr/lib/apt/apt-helper: install the package apt"
mv "$root/usr/lib/apt/helper" "$root/usr/lib/apt/apt-helper"
: >"$root/etc/apt/sources.list"
check no_sources 1 "no package sources that are enabled"
exit "$failed"
