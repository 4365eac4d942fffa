#!/bin/bash
# Recipes suggested from a root's own archive: a small Debian with a source of three packages, installed in their old
# version, and an archive that gets the new one.
set -uo pipefail
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh"
command -v jq >/dev/null || { echo "skip suggest: jq is not installed"; exit 0; }
command -v dpkg-scanpackages >/dev/null || { echo "skip suggest: dpkg-dev is not installed"; exit 0; }
tar=$(tests/integration/common/debian_root 2>"$work/why") || { echo "skip suggest: $(tail -n 1 "$work/why")"; exit 0; }

root=$work/root archive=$work/root/srv/archive
r=("$pinion" recipe)
suggest=("${r[@]}" suggest --root "$root" --scratch "$work")
mkdir "$root"
tar -C "$root" -xf "$tar"
rm -f "$root"/etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/archive ./' >"$root/etc/apt/sources.list"
rm -rf "$root"/var/lib/apt/lists/*

# package NAME VERSION [FIELD...]: of the source "demo", into the archive. The service has a program and a unit.
package() {
    local tree=$work/tree-$1-$2 name=$1 version=$2
    shift 2
    mkdir -p "$tree/usr/share/$name"
    echo "$version" >"$tree/usr/share/$name/version"
    if [ "$name" = demo-server ]; then
        mkdir -p "$tree/usr/sbin" "$tree/lib/systemd/system"
        cp /bin/true "$tree/usr/sbin/demod"
        cp /bin/true "$tree/usr/sbin/demo-once"
        printf '[Service]\nType=oneshot\nExecStart=/usr/sbin/demo-once\n' >"$tree/lib/systemd/system/demo-once.service"
        printf '[Service]\nExecStart=-/usr/sbin/demod --foreground\nExecStartPre=/usr/bin/other\n' \
            >"$tree/lib/systemd/system/demo.service"
    fi
    tests/integration/common/debian_package "$tree" "$name" "$version" "$archive" 'Source: demo' "$@"
}

packages() {
    package libdemo1 "$1"
    package demo-server "$1" "Depends: libdemo1 (= $1)"
    package libdemo-dev "$1"
}

packages 1.0-1
for each in libdemo1 demo-server libdemo-dev; do
    dpkg --root="$root" --log=/dev/null --force-not-root --install "$archive/${each}_1.0-1_amd64.deb" >"$work/log" 2>&1 ||
        report "suggest/install-$each" 1 "$(tail -n 1 "$work/log")"
done
cat >"$work/advisories.tsv" <<END
source	cve	fixed_$(sed -n 's/^VERSION_CODENAME=//p' "$root/etc/os-release")	advisory	date
demo	CVE-2020-1111	1.0-1	DSA-1-1	2020-01-01
demo	CVE-2020-2222	1.0-2	DSA-2-1	2020-01-01
demo	CVE-2020-3333	1.0-2	DSA-2-1	2020-01-01
demo	CVE-2020-4444	1.0-3	DSA-3-1	2020-01-01
other	CVE-2020-5555	1	DSA-4-1	2020-01-01
END
advised=(--advisories "$work/advisories.tsv")

# Everything there is of the root but what reading changes.
state() {
    find "$root" -xdev -printf '%P %y %m %U:%G %s %T@ %C@ %l\n' | sort
}

expect suggest/asks-for-lists 2 'no lists of its package sources: give --update .* --package demo-server --update`' \
    "${suggest[@]}" --package demo-server
expect suggest/nothing-newer 3 'nothing newer$' "${suggest[@]}" --package demo-server --update
packages 1.0-2
state >"$work/before"
expect suggest/cve 0 '^recipe = "demo-1.0-2"' "${suggest[@]}" --cve CVE-2020-2222 "${advised[@]}" --update
state >"$work/after"
cmp -s "$work/before" "$work/after"
report suggest/root-is-as-it-was $? "$(diff "$work/before" "$work/after" | head -n 5)"
[ -z "$(find "$work" -maxdepth 1 -name 'pinion-recipe-*')" ]
report suggest/nothing-is-left-behind $?

(cd "$work" && "${suggest[@]}" --cve CVE-2020-2222 "${advised[@]}" --update -o demo.recipe 2>why) || report suggest/draft 1 "$(cat "$work/why")"
show() {
    "${r[@]}" show --json "$work/demo.recipe" 2>/dev/null | jq -r ".recipes[0] | $1"
}
is() {
    [ "$(show "$2")" = "$3" ]
    report "suggest/$1" $? "$(show "$2") is not $3"
}
is name .recipe demo
is package '.package | "\(.name) \(.fixed)"' 'libdemo1 1.0-2'
is cves-of-this-version '.answers.cves | sort | join(" ")' 'CVE-2020-2222 CVE-2020-3333'
is packages '[.files[].package] | sort | join(" ")' 'demo-server libdemo1'
is digest '.files[] | select(.package == "libdemo1") | .sha256' "$(sha256sum <"$archive/libdemo1_1.0-2_amd64.deb" | cut -d' ' -f1)"
is size '.files[] | select(.package == "libdemo1") | .size' "$(stat -c %s "$archive/libdemo1_1.0-2_amd64.deb")"
is restart '.restart | map("\(.program) \(.how)") | join(" ")' '/usr/sbin/demod service'
is unsigned .state unsigned
grep -q '^# - left out.* libdemo-dev' "$work/demo.recipe"
report suggest/says-what-is-left-out $?
expect suggest/never-replaces 2 'is there already' "${suggest[@]}" --package libdemo-dev --update -o "$work/demo.recipe"
# What nobody has verified is not said to be fixed.
for table in none other; do
    known=()
    [ $table = none ] || known=("${advised[@]}")
    text=$("${suggest[@]}" --package libdemo1 --cve CVE-1999-0001 "${known[@]}" --update 2>&1)
    ! grep -v '^#' <<<"$text" | grep -q CVE-1999-0001 && grep -q '^method = "apt"' <<<"$text" &&
        grep -q '^# - cves: CVE-1999-0001 was asked for; nothing here says that this version fixes it' <<<"$text"
    report "suggest/unverified-cve-advisories-$table" $? "$text"
done
expect suggest/cve-is-one 2 '--cve must be a CVE' "${suggest[@]}" --package libdemo1 --cve $'CVE-1999-0001\nserial = 2;'
# told NAME PATTERN: of what the command line tells, each has its place.
told=$("${suggest[@]}" --package libdemo1 --update --violation ab12:open --signature shell --restart /usr/sbin/demod=none \
    --days 3 --serial 7 --summary 'as told' 2>&1)
told() {
    grep -qE "$2" <<<"$told"
    report "suggest/told-$1" $? "no $2 in $told"
}
told violation 'module = "ab12"; +api = "open"'
told signature 'signatures = \[ "shell" \]'
told restart 'program = "/usr/sbin/demod"; how = "none"'
told serial '^serial = 7;'
told summary '^summary = "as told";'
told days "^expires = \"$(date -u -d '+3 days' +%F)\""
[ "$(grep -c /usr/sbin/demod <<<"$told")" = 1 ]
report suggest/told-restart-once $? "$told"
# Nobody says in which package of a source the hole is: all that run are brought along, though none needs the other.
package demo-tools 1.0-1
dpkg --root="$root" --log=/dev/null --force-not-root --install "$archive/demo-tools_1.0-1_amd64.deb" >"$work/log" 2>&1
package demo-tools 1.0-2
expect suggest/all-of-the-source 0 'package = "demo-tools"' "${suggest[@]}" --package libdemo1 --update
expect suggest/signs 0 '' bash -c "'$pinion' recipe key -o '$work/key' && '$pinion' recipe sign -k '$work/key' '$work/demo.recipe'"

# ---- trying what was suggested: nothing of the root may change, whatever comes of it ----

test=("${r[@]}" test --root "$root" --scratch "$work" --trust "$("${r[@]}" key --pin "$work/key" 2>/dev/null)")
untrusted=("${r[@]}" test --root "$root" --scratch "$work" --trust "$("${r[@]}" key -o "$work/other" 2>/dev/null)")
state >"$work/before"
expect suggest/test-unknown-key 1 'result +would be refused: .*signed with the key' "${untrusted[@]}" "$work/demo.recipe"
expect suggest/test-unknown-key-otherwise 1 'otherwise +would be done' "${untrusted[@]}" "$work/demo.recipe"
got=$("${untrusted[@]}" --json "$work/demo.recipe" | jq -r '.test | "\(.result), \(.otherwise): \(.refusal)"')
[[ $got == 'would be refused, would be done: '*'signed with the key'* ]]
report suggest/test-unknown-key-json $? "$got"
expect suggest/test-says-what-would-change 0 'replaced +/usr/share/libdemo1/version' "${test[@]}" "$work/demo.recipe"
expect suggest/test-counts 0 '"downloaded": [1-9]' "${test[@]}" --json "$work/demo.recipe"
# draft NAME SED: the recipe, changed, as another.
draft() {
    sed "1d; s/^recipe = .*/recipe = \"$1\";/; $2" "$work/demo.recipe" >"$work/$1.recipe"
    "${r[@]}" sign -k "$work/key" "$work/$1.recipe"
}
draft digest 's/sha256 = "..../sha256 = "0000/'
expect suggest/test-wrong-digest 1 'would fail, at fetch' "${test[@]}" "$work/digest.recipe"
draft older 's/1\.0-2/1.0-1/g'
expect suggest/test-nothing-to-do 3 'nothing to do, at plan: libdemo1 1.0-1 is installed' "${test[@]}" "$work/older.recipe"
printf 'echo >/etc/written; exit 7\n' >"$work/bad.sh"
"${r[@]}" new --name script --method script --script "$work/bad.sh" -o "$work/script.recipe"
expect suggest/test-unsigned 1 'would be refused: .*not signed' "${test[@]}" "$work/script.recipe"
"${r[@]}" sign -k "$work/key" "$work/script.recipe"
expect suggest/test-failing-script 1 'would fail, at install' "${test[@]}" "$work/script.recipe"
state >"$work/after"
cmp -s "$work/before" "$work/after"
report suggest/test-leaves-the-root-as-it-was $? "$(diff "$work/before" "$work/after" | head -n 5)"

expect suggest/already-fixed 3 'was fixed in 1.0-1' "${suggest[@]}" --cve CVE-2020-1111 "${advised[@]}" --update
expect suggest/not-fixed-yet 2 'was fixed in 1.0-3: add the security archive' "${suggest[@]}" --cve CVE-2020-4444 "${advised[@]}" --update
expect suggest/not-installed 3 'no package with CVE-2020-5555' "${suggest[@]}" --cve CVE-2020-5555 "${advised[@]}"
expect suggest/unknown-cve 3 'know nothing of' "${suggest[@]}" --cve CVE-2020-9999 "${advised[@]}"
expect suggest/cve-without-advisories 2 'Give --advisories' "${suggest[@]}" --cve CVE-2020-2222
# The form of the table as the help shows it is the form that is read.
"${r[@]}" suggest --help | grep '<TAB>' | sed 's/^ *//; s/<TAB>/\t/g' | sed "1s/RELEASE/$(sed -n 's/^VERSION_CODENAME=//p' "$root/etc/os-release")/" >"$work/help.tsv"
expect suggest/help-shows-the-form 3 'no package with CVE-2022-3602' "${suggest[@]}" --cve CVE-2022-3602 --advisories "$work/help.tsv"
sed -i '1s/fixed_[a-z]*/fixed_potato/' "$work/advisories.tsv"
expect suggest/advisories-of-another-release 2 'are of potato' "${suggest[@]}" --cve CVE-2020-2222 "${advised[@]}"

# What would take something else away is not suggested.
package libdemo1 1.0-4 'Conflicts: libdemo-dev'
expect suggest/never-removes 2 'need to be removed|held broken packages' "${suggest[@]}" --package libdemo1 --update
rm "$archive"/libdemo1_1.0-4_amd64.deb
chroot "$root" apt-mark hold libdemo1 >/dev/null
expect suggest/on-hold 2 'libdemo1 is on hold' "${suggest[@]}" --package libdemo1 --update
mv "$root/var/lib/dpkg/status" "$root/var/lib/dpkg/status-away"
expect suggest/no-dpkg 2 'has no dpkg' "${suggest[@]}" --package libdemo1
exit $failed
