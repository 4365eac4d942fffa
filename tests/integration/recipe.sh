#!/bin/bash
# Recipes as their author meets them: made, signed, looked at; and as an attacker would like to have them.
set -uo pipefail
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh"
command -v jq >/dev/null || { echo "skip recipe: jq is not installed"; exit 0; }

cd "$work" || exit 2
recipe() {
    "$pinion" recipe "$@"
}
# The same as a command that `timeout` can start.
r=("$pinion" recipe)

pin=$(recipe key -o mine.pem 2>/dev/null)
other=$(recipe key -o other.pem 2>/dev/null)
[[ $pin == ed25519:* ]]
report recipe/key-prints-its-pin $? "printed $pin"
[ "$(stat -c %a mine.pem)" = 600 ]
report recipe/key-is-private $?
expect recipe/key-never-replaces 2 'never replaced' "${r[@]}" key -o mine.pem
[ "$(recipe key --pin -o mine.pem 2>/dev/null)" = "$pin" ]
report recipe/key-can-be-pinned-later $?
for words in 'mine.pem' '-k mine.pem' '--key=mine.pem'; do
    # shellcheck disable=SC2086 # several words
    [ "$(recipe key --pin $words 2>/dev/null)" = "$pin" ]
    report "recipe/pin-of-$words" $?
done
expect recipe/pin-of-one-file 2 'which file\?' "${r[@]}" key --pin mine.pem -k other.pem
expect recipe/key-without-a-file 2 '--output FILE for a new key' "${r[@]}" key mine.pem
name=$(base64 -d <<<"${pin#ed25519:}" | sha256sum | cut -c 1-16)
expect recipe/key-says-its-name 0 "name this key $name" "${r[@]}" key --pin mine.pem
if command -v openssl >/dev/null; then
    raw=$(openssl pkey -in mine.pem -pubout -outform DER | tail -c 32 | base64)
    [ "ed25519:$raw" = "$pin" ]
    report recipe/key-is-openssls $? "openssl has $raw for $pin"
fi

# ---- writing ----

recipe new --name fix-1 --summary 'A fix' --cve CVE-2022-3602 --package libssl3 --fixed '3.0.15-1~deb12u1' \
    --restart /usr/sbin/nginx=upgrade -o fix-1.recipe
report recipe/new $?
expect recipe/new-never-replaces 2 'is there already' "${r[@]}" new --name fix-1 --package libssl3 --fixed 1 -o fix-1.recipe
expect recipe/new-refuses-what-a-shell-would-run 2 '--package must be' "${r[@]}" new --name x --package 'a;reboot' --fixed 1
expect recipe/new-refuses-an-option-as-a-package 2 '--package must be' "${r[@]}" new --name x --package=-oDPkg::x --fixed 1
expect recipe/new-asks-for-what-is-missing 2 'needs --file PATH=FILE' "${r[@]}" new --name x --method files
expect recipe/new-answers-a-violation 0 'module = "derived:ab12"; *api = "execve"' "${r[@]}" new --name x --method apk \
    --package x --fixed 1 --violation derived:ab12:execve --violation cd34
expect recipe/new-knows-its-calls 2 'no call that a policy knows' "${r[@]}" new --name x --method apk --package x --fixed 1 \
    --violation ab12:opne
echo content >new.so
recipe new --name file-1 --method files --file "/usr/lib/x.so=new.so" -o file-1.recipe
grep -q "$(sha256sum new.so | cut -d' ' -f1)" file-1.recipe
report recipe/new-pins-a-file $?

# ---- signing ----

expect recipe/unsigned-is-not-good 1 'unsigned' "${r[@]}" verify --trust "$pin" fix-1.recipe
expect recipe/sign 0 '' "${r[@]}" sign --key mine.pem fix-1.recipe file-1.recipe
expect recipe/good 0 'good, signed by' "${r[@]}" verify --trust "$pin" fix-1.recipe file-1.recipe
[ "$(recipe verify -j --trust "$pin" fix-1.recipe file-1.recipe | jq -r '.recipes[] | "\(.file) \(.state) \(.signer)"' | paste -sd,)" = \
    "fix-1.recipe good $name,file-1.recipe good $name" ]
report recipe/verify-json $?
expect recipe/verify-json-bad 1 '"state": "unknown key"' "${r[@]}" verify --json --trust "$other" fix-1.recipe
# refuse OPTION ACTION ARGUMENT...: what an action does not take is not passed over.
refuse() {
    expect "recipe/$2-takes-no-$1" 2 "--$1 is of .* alone, not of $2" "${r[@]}" "${@:2}"
}
refuse json key --json -o third.pem
refuse update show --update fix-1.recipe
refuse package verify -p nginx fix-1.recipe
refuse fixed suggest -p nginx --fixed 1
refuse key suggest -p nginx -k mine.pem
refuse serial sign --serial 3 -k mine.pem fix-1.recipe
[ ! -e third.pem ]
report recipe/refused-before-anything $?
expect recipe/another-key 1 'unknown key' "${r[@]}" verify --trust "$other" fix-1.recipe
cp fix-1.recipe before
expect recipe/sign-replaces 0 '' "${r[@]}" sign --key other.pem fix-1.recipe
[ "$(grep -c '^# pinion-recipe ' fix-1.recipe)" = 1 ]
report recipe/one-signature-line $?
expect recipe/signed-by-the-other 0 'good' "${r[@]}" verify --trust "$other" fix-1.recipe
cp before fix-1.recipe
if command -v openssl >/dev/null; then
    { printf 'pinion recipe 1\n'; tail -n +2 fix-1.recipe; } >signed
    head -n 1 fix-1.recipe | cut -d' ' -f4 | base64 -d >signature
    openssl pkeyutl -verify -inkey mine.pem -rawin -in signed -sigfile signature >/dev/null
    report recipe/signature-is-openssls $?
fi

# change NAME SED: what is no longer what was signed.
change() {
    mkdir -p changed
    sed "$2" before >changed/fix-1.recipe
    ! cmp -s before changed/fix-1.recipe || report "recipe/$1" 1 "nothing was changed"
    expect "recipe/$1" 1 "$3" "${r[@]}" verify --trust "$pin" changed/fix-1.recipe
}
change changed-version 's/3\.0\.15-1/3.0.14-1/' 'bad signature'
change longer-life 's/^expires = "20/expires = "21/' 'bad signature'
change added-line '3i # harmless' 'bad signature'
change windows-lines 's/$/\r/' 'bad signature'
change taken-away '1d' 'unsigned'
change two-lines '1p' 'bad signature'
change further-down '1{h;d};2{G}' 'bad signature'

cp fix-1.recipe fix-2.recipe
expect recipe/renamed 1 'misnamed' "${r[@]}" verify --trust "$pin" fix-2.recipe
printf '\0' | cat fix-1.recipe - >zero.recipe
expect recipe/zero-byte 2 'zero byte' "${r[@]}" verify --trust "$pin" zero.recipe
head -c 2000000 /dev/zero | tr '\0' ' ' >huge.recipe
expect recipe/huge 2 'too large' "${r[@]}" verify --trust "$pin" huge.recipe
mkfifo pipe.recipe
expect recipe/pipe 2 'no regular file' "${r[@]}" verify --trust "$pin" pipe.recipe
rm -f zero.recipe huge.recipe pipe.recipe

sed 's/^expires = .*/expires = "2021-01-01";/; s/^created = .*/created = "2020-01-01";/; 1d' fix-1.recipe >old.recipe
sed -i 's/^recipe = .*/recipe = "old";/' old.recipe
expect recipe/expired-is-not-signed 2 'expired on 2021-01-01' "${r[@]}" sign --key mine.pem old.recipe
sed 's/^recipe = .*/recipe = "broken"; moed = 1;/; 1d' fix-1.recipe >broken.recipe
expect recipe/mistake-is-not-signed 2 'line 3: unknown key "moed"' "${r[@]}" sign --key mine.pem broken.recipe
chmod 644 mine.pem
expect recipe/key-that-others-may-read 2 'others may read' "${r[@]}" sign --key mine.pem fix-1.recipe
chmod 600 mine.pem
rm -f old.recipe broken.recipe

# ---- the helper's own keys ----

mkdir recipes
cp fix-1.recipe recipes/fix-1.recipe
cp changed/fix-1.recipe recipes/fix-3.recipe
cp fix-1.recipe recipes/fix-2.recipe
echo 'nonsense' >recipes/worse.recipe
echo 'no recipe' >recipes/README
printf 'keys = [ "%s" ];\nrecipes = "%s/recipes";\nstate = "%s/state";\n' "$pin" "$work" "$work" >patchd.conf
expect recipe/pinned 0 'good' "${r[@]}" verify --config patchd.conf fix-1.recipe
chmod 666 patchd.conf
expect recipe/pins-that-others-may-write 2 'chmod go-w' "${r[@]}" verify --config patchd.conf fix-1.recipe
chmod 644 patchd.conf
expect recipe/list-states 1 '^fix-2 +misnamed' "${r[@]}" list --config patchd.conf
expect recipe/list-good 1 '^fix-1 +good +1 .* libssl3 3.0.15' "${r[@]}" list --config patchd.conf
states=$(recipe list --config patchd.conf --json | jq -r '.recipes[].state' | paste -sd,)
[ "$states" = "good,misnamed,bad signature,unsigned" ]
report recipe/list-json $? "states $states"
expect recipe/show 0 'fixes +libssl3 in version 3.0.15-1~deb12u1' "${r[@]}" show --trust "$pin" fix-1.recipe
expect recipe/show-what-is-not-trusted 0 'state +bad signature' "${r[@]}" show --trust "$pin" recipes/fix-3.recipe
expect recipe/show-nonsense 2 'cannot read' "${r[@]}" show recipes/worse.recipe
expect recipe/nearest-action 2 'did you mean "verify"' "${r[@]}" verfy
exit $failed
