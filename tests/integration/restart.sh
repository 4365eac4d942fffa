#!/bin/bash
# A protected server in a root of its own gets a new library and a new binary: nothing is refused while both builds run,
# nothing comes back unprotected, nothing is restarted by guess.
set -uo pipefail
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh"
[ "$(id -u)" = 0 ] || { echo "skip restart: needs root"; exit 0; }
shim=$PWD/build/libpinion.so
root=$work/root
port=$((20000 + $$ % 20000))
server='' group=''
trap 'touch "$work/stop"; [ -z "$server" ] || kill -KILL "$server" $(cat "$root/srv/pid" 2>/dev/null) 2>/dev/null; wait; [ -z "$group" ] || rmdir "$group"; rm -rf "$work"' EXIT
mkdir -p "$root"/{usr/bin,usr/lib,lib/x86_64-linux-gnu,lib64,etc/pinion,srv/union,dev,tmp,run,proc,sys,var/lib} "$work/state"
cd "$work" || exit 2

cat >greet.c <<'END'
#include <fcntl.h>
#include <unistd.h>
int greet(char *answer) {
    int fd = open("/srv/" WORD, O_RDONLY);
    int size = fd < 0 ? -1 : (int)read(fd, answer, 16);
    close(fd);
    return size;
}
END
cat >server.c <<'END'
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int greet(char *answer);
const char *build = BUILD;
static volatile sig_atomic_t again;
static void note(int number) { again = number; }
static void copy(const char *from, const char *to) {
    static char data[1 << 20];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ssize_t size = read(in, data, sizeof data);
    if (size <= 0 || write(out, data, (size_t)size) != size)
        exit(1);
}
static void write_title(void) {
    extern char **environ;
    for (char **entry = environ; *entry; entry++)
        memset(*entry, 0, strlen(*entry));
}
static void serve(char **arguments) {
    if (arguments[3])
        write_title();
    const char *given = getenv("SOCKET");
    if (given && fcntl(atoi(given), F_GETFD) < 0)
        given = NULL;
    int fd = given ? atoi(given) : socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(arguments[2]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!given && (bind(fd, (void *)&address, sizeof address) != 0 || listen(fd, 64) != 0))
        exit(1);
    struct sigaction action = {.sa_handler = note};
    sigaction(SIGHUP, &action, NULL);
    FILE *pid = fopen("/srv/pid", "w");
    fprintf(pid, "%d\n", getpid());
    fclose(pid);
    for (;;) {
        char answer[16], number[16];
        int connection = accept(fd, NULL, NULL);
        if (connection >= 0) {
            int size = greet(answer);
            if (size > 0 && write(connection, answer, (size_t)size) < 0)
                exit(1);
            close(connection);
        }
        if (again) {
            snprintf(number, sizeof number, "%d", fd);
            setenv("SOCKET", number, 1);
            execv("/usr/bin/server", arguments);
            exit(1);
        }
    }
}
int main(int count, char **arguments) {
    char answer[16] = "";
    if (strcmp(build, "broken") == 0)
        return 1;
    if (strcmp(arguments[1], "serve") == 0)
        serve(arguments);
    if (strcmp(arguments[1], "save") == 0) {
        copy("/etc/pinion/usr.bin.server.pinion", "/srv/union/usr.bin.server.pinion");
        copy("/etc/pinion/usr.bin.server.policy", "/srv/union/usr.bin.server.policy");
        return 0;
    }
    int size = greet(answer);
    printf("%s", size > 0 ? answer : "refused\n");
    return count < 2 || size <= 0;
}
END
cat >inside.c <<'END'
#include <unistd.h>
int main(int count, char **arguments) {
    char *environment[] = {"LD_PRELOAD=/usr/lib/libpinion.so", "PINION_COUNTS=", "PINION_LOG=/srv/log", NULL};
    if (count > 2 && chroot(arguments[1]) == 0 && chdir("/") == 0) {
        arguments[1] = "/usr/bin/server";
        execve(arguments[1], arguments + 1, environment);
    }
    return 126;
}
END
cat >bare.c <<'END'
#include <unistd.h>
int main(int count, char **arguments) {
    return count > 1 && execve(arguments[1], arguments + 1, (char *[]){NULL});
}
END
make_library() { # WORD: its build reads /srv/WORD
    ${CC:-gcc} -O1 -g -shared -fPIC -Wl,--build-id=sha1,-soname,libgreet.so -DWORD="\"$1\"" greet.c -o "libgreet.$1"
    echo "$1" >"$root/srv/$1"
}
make_server() {
    ${CC:-gcc} -O1 -g -Wl,--build-id=sha1 -DBUILD="\"$1\"" server.c libgreet.one \
        -Wl,-rpath,/usr/lib -o "server.$1"
}
for word in one two three; do make_library $word || exit 2; done
cp libgreet.one "$root/usr/lib/libgreet.so"
${CC:-gcc} -O1 inside.c -o inside || exit 2
make_server one && make_server two && make_server broken || exit 2
cp server.one "$root/usr/bin/server"
cp "$shim" "$root/usr/lib/libpinion.so"
cp /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
cp /lib/x86_64-linux-gnu/libc.so.6 "$root/lib/x86_64-linux-gnu/"
"$policygen" --image "$root" -o "$root/etc/pinion" /usr/bin/server >/dev/null || exit 2
policy=$root/etc/pinion/usr.bin.server
sed -i 's|static = \[ "/srv/one" \];|& manual = [ "/srv/mine" ];|' "$policy.policy"
"$pinion" check -o "$root/etc/pinion" "$policy.policy" >/dev/null || exit 2
grep -q '/srv/mine' "$policy.policy" || { echo "not ok restart: the policy has no rule for /srv/one"; exit 1; }
cp -a "$root" old

pin=$("$pinion" recipe key -o key.pem 2>/dev/null)
cat >conf <<END
mode = "auto";
state = "$work/state";
recipes = "$work";
signatures = "$work/none";
policygen = "$policygen";
keys = [ "$pin" ];
restarts_per_hour = 1000;
END

# recipe NAME REST FILE=PATH...: the files of the recipe lie in the root's /srv.
recipe() {
    local name=$1 rest=$2 file files=
    shift 2
    for file; do
        cp "${file%%=*}" "$root/srv/"
        files+="${files:+, }{ path = \"${file#*=}\"; source = \"file:///srv/${file%%=*}\"; size = $(stat -c %s "${file%%=*}");
            sha256 = \"$(sha256sum "${file%%=*}" | cut -c1-64)\"; }"
    done
    cat >"$name.recipe" <<END
recipe = "$name"; summary = "test"; serial = 1; created = "2026-01-01"; expires = "2036-01-01";
answers = { cves = [ "CVE-2026-0001" ]; };
method = "files"; files = ( $files );
$rest
END
    "$pinion" recipe sign --key key.pem "$name.recipe" >/dev/null 2>&1 || "$pinion" recipe sign --key key.pem "$name.recipe"
}

ask() {
    local answer=
    exec 7<>"/dev/tcp/127.0.0.1/$port" && read -r answer <&7
    exec 7>&-
    [ -n "$answer" ] && echo "$answer"
}

: >"$root/srv/log"
# As a service manager does it: the program is a mount of its own, which the kernel takes away with the old file.
# shellcheck disable=SC2016 # it is the inner shell that expands
unshare --mount sh -c 'mount --bind "$1" "$1" && exec ./inside "$0" serve "$2"' "$root" "$root/usr/bin/server" $port \
    </dev/null >/dev/null 2>&1 &
server=$!
for ((i = 0; i < 200; i++)); do (ask) >/dev/null 2>&1 && break; sleep 0.05; done
[ "$( (ask) 2>/dev/null)" = one ] || { echo "not ok restart: the server does not serve"; exit 1; }

# What is not known is not touched.
recipe unknown '' libgreet.two=/usr/lib/libgreet.so
expect unknown-server-is-refused-with-the-remedy 2 'give .restart. for it in the recipe' \
    "$pinion" patch apply unknown.recipe --config conf --root "$root"
cmp -s libgreet.one "$root/usr/lib/libgreet.so" && [ "$( (ask) 2>/dev/null)" = one ] && kill -0 "$server"
report unknown-server-is-left-alone $?

# Requests and new processes all the while; each line is one answer.
(until [ -e stop ]; do (ask) 2>/dev/null || echo failed; done) >answers &
(until [ -e stop ]; do ./inside "$root" once || echo failed; done) >starts 2>&1 &
recipe both 'restart = ( { program = "/usr/bin/server"; how = "reload"; signal = "HUP"; } );
health = { checks = ( { command = [ "/usr/bin/server", "save" ]; }, { serving = true; } ); };' \
    libgreet.two=/usr/lib/libgreet.so server.two=/usr/bin/server
expect patch-is-applied 0 patched "$pinion" patch apply both.recipe --config conf --root "$root"
for ((i = 0; i < 100; i++)); do grep -q two answers && grep -q two starts && break; sleep 0.05; done
touch stop
wait %2 %3
rm stop
[ "$(sort -u answers)" = $'one\ntwo' ]
report no-request-failed $? "$(sort answers | uniq -c | tr '\n' ' ')"
[ "$(sort -u starts)" = $'one\ntwo' ]
report no-new-process-was-refused-anything $? "$(sort starts | uniq -c | tr '\n' ' ' | cut -c1-300)"
! grep -qE '"verdict":"(deny|kill)"' "$root/srv/log"
report nothing-was-denied $? "$(grep -E '"verdict":"(deny|kill)"' "$root/srv/log" | head -1)"
running=$(cat "$root/srv/pid")
! grep -q 'libgreet.*(deleted)' "/proc/$running/maps" && grep -q libpinion.so "/proc/$running/maps"
report server-runs-the-new-library-protected $?

# The policy in between knows both builds, the last one the new build alone; what a person wrote is in both.
count() { grep -c 'path = "/usr/lib/libgreet.so"' "$1"; }
union=$root/srv/union/usr.bin.server
[ "$(count "$union.policy")" = 2 ] && [ "$(count "$policy.policy")" = 1 ]
report policy-of-both-builds-gives-way-to-the-final-one $? "$(count "$union.policy"), $(count "$policy.policy")"
grep -q '/srv/mine' "$policy.policy" && grep -q '/srv/two' "$policy.policy" && ! grep -q '/srv/one' "$policy.policy"
report what-a-person-wrote-is-carried-over $?
"$pinion" check "$policy.policy" >/dev/null && cmp -s <("$pinion" check -o "$work" "$policy.policy" >/dev/null; cat usr.bin.server.pinion) "$policy.pinion"
report text-and-compiled-form-agree $?
: >old/srv/log
cp "$union".* old/etc/pinion/
expect old-build-runs-under-the-policy-of-both 0 '^one$' ./inside old once
cp "$policy".* old/etc/pinion/
expect old-build-does-not-run-under-the-final-policy 137 '!one' ./inside old once
grep -q stale-policy old/srv/log
report refusal-of-the-old-build-is-told $?
cp -a "$root" new
cp "$union".* new/etc/pinion/
: >new/srv/log
expect new-build-runs-under-the-policy-of-both 0 '^two$' ./inside new once

# What ends at its reload is started again as it was: same command line, user, environment.
recipe broken 'restart = ( { program = "/usr/bin/server"; how = "reload"; signal = "HUP"; } );' server.broken=/usr/bin/server
# Whose library somebody else has replaced before is none of the roll-back's business.
cp "$(command -v sleep)" "$root/usr/bin/memcached"
env -i "$(command -v chroot)" "$root" /usr/bin/memcached 300 &
bystander=$!
until [ "$(readlink "/proc/$bystander/exe")" = "$root/usr/bin/memcached" ]; do sleep 0.01; done
rm "$root/usr/bin/memcached"
# It is noticed as gone, or a moment later as what does not serve.
expect server-that-ends-is-rolled-back 1 'did not start again|no longer serves' \
    "$pinion" patch apply broken.recipe --config conf --root "$root"
running=$(cat "$root/srv/pid")
cmp -s server.two "$root/usr/bin/server" && [ "$( (ask) 2>/dev/null)" = two ] && grep -q libpinion.so "/proc/$running/maps"
report server-that-ended-serves-again-protected $?
grep -qx "$(grep CapBnd /proc/self/status)" "/proc/$running/status"
report its-capabilities-are-what-they-were $? "$(grep CapBnd "/proc/$running/status")"
kill $bystander
report who-had-nothing-of-the-patch-runs-on $?

# Who comes back without the shim is not kept: here a supervisor starts it so.
(for i in 1 2; do
    running=$(cat "$root/srv/pid")
    while kill -0 "$running" 2>/dev/null; do sleep 0.01; done
    if [ $i = 1 ]; then
        env -i "$(command -v chroot)" "$root" /usr/bin/server serve $port </dev/null >/dev/null 2>&1 &
    else
        ./inside "$root" serve $port </dev/null >/dev/null 2>&1 &
    fi
    until now=$(cat "$root/srv/pid") && [ -n "$now" ] && [ "$now" != "$running" ]; do sleep 0.01; done
done) &
recipe bare 'restart = ( { program = "/usr/bin/server"; how = "signal"; signal = "TERM"; } );' \
    libgreet.three=/usr/lib/libgreet.so
expect unprotected-successor-is-not-kept 1 'came back without libpinion.so' \
    "$pinion" patch apply bare.recipe --config conf --root "$root"
cmp -s libgreet.two "$root/usr/lib/libgreet.so" && [ "$( (ask) 2>/dev/null)" = two ]
report unprotected-successor-is-rolled-back $?

# What its container runs is not stopped by its script: nothing would be left to start it in.
end_server() {
    local running
    running=$(cat "$root/srv/pid")
    kill -KILL "$running" 2>/dev/null
    while kill -0 "$running" 2>/dev/null; do sleep 0.01; done
}
end_server
wait
mkdir -p "$root/etc/init.d" "$root/bin"
cp "$(readlink -f /bin/dash)" "$root/bin/sh"
cp "$(command -v sleep)" "$root/bin/sleep"
cat >"$root/etc/init.d/server" <<END
#!/bin/sh
# Starts /usr/bin/server.
[ "\$1" = status ] && exit 0
echo "\$1" >>/srv/actions
if [ "\$1" = restart ]; then
    read -r running </srv/pid
    kill -TERM "\$running"
    while kill -0 "\$running" 2>/dev/null; do sleep 0.01; done
    sleep 1
fi
read -r bare </srv/bare
[ "\$bare" != once ] || echo never >/srv/bare
[ "\$bare" != never ] || bare=
\${bare:+/bin/bare} /usr/bin/server serve $port title </dev/null >/dev/null 2>&1 &
END
echo never >"$root/srv/bare"
${CC:-gcc} -O1 -static bare.c -o "$root/bin/bare" || exit 2
chmod 755 "$root/etc/init.d/server"
unshare -pf --kill-child ./inside "$root" serve $port </dev/null >/dev/null 2>&1 &
server=$!
for ((i = 0; i < 200; i++)); do (ask) >/dev/null 2>&1 && break; sleep 0.05; done
recipe first '' libgreet.three=/usr/lib/libgreet.so
expect first-process-of-a-container-is-not-stopped 2 'stopping it ends the container.*how = .none' \
    "$pinion" patch apply first.recipe --config conf --root "$root"
[ "$( (ask) 2>/dev/null)" = two ] && kill -0 "$server" && [ ! -e "$root/srv/actions" ]
report container-is-left-alone $?
kill -KILL "$server" && { wait; } 2>/dev/null
in_container() { # COMMAND...: as its first process, once it serves
    unshare -pf --kill-child "$(command -v chroot)" "$root" "$@" </dev/null >/dev/null 2>&1 &
    server=$!
    for ((i = 0; i < 200; i++)); do (ask) >/dev/null 2>&1 && break; sleep 0.05; done
}
serve="LD_PRELOAD=/usr/lib/libpinion.so PINION_COUNTS= PINION_LOG=/srv/log /usr/bin/server serve $port"
in_container /bin/sh -c "$serve; true"
expect what-the-shell-of-a-container-runs-is-not-stopped 2 'stopping it ends the container' \
    "$pinion" patch apply first.recipe --config conf --root "$root"
kill -KILL "$server" && { wait; } 2>/dev/null
unshare -pf --kill-child ./inside "$root" serve $port </dev/null >/dev/null 2>&1 &
server=$!
for ((i = 0; i < 200; i++)); do (ask) >/dev/null 2>&1 && break; sleep 0.05; done
recipe none 'restart = ( { program = "/usr/bin/server"; how = "none"; } );' libgreet.three=/usr/lib/libgreet.so
mkdir -p "$root/run/systemd/system"
printf '#!/bin/sh\necho "$*" >>/srv/units\n' >"$root/bin/systemctl"
chmod 755 "$root/bin/systemctl"
expect container-is-patched-without-a-restart 0 patched "$pinion" patch apply none.recipe --config conf --root "$root"
[ "$(cat "$root/srv/units")" = daemon-reload ]
report systemd-is-told-of-new-units $?
rm -r "$root/run/systemd"
[ "$( (ask) 2>/dev/null)" = two ] && kill -0 "$server"
report container-goes-on $?
kill -KILL "$server" && { wait; } 2>/dev/null
for ((i = 0; i < 200; i++)); do (ask) >/dev/null 2>&1 || break; sleep 0.05; done # what ran in it ends a moment later

# A title over the environment: what starts the server again gets the protection nevertheless.
protected() {
    running=$(cat "$root/srv/pid")
    grep -q libpinion.so "/proc/$running/maps"
}
./inside "$root" serve $port title </dev/null >server.log 2>&1 &
server=$!
for ((i = 0; i < 200; i++)); do (ask) >/dev/null 2>&1 && break; sleep 0.05; done
protected && ! grep -q LD_PRELOAD "/proc/$running/environ" && [ "$( (ask) 2>/dev/null)" = three ]
report environment-is-overwritten $?
# It is accounted for, and limited, in a group of its own, and the helper is in another.
place=/sys/fs/cgroup/$(sed -n 's|^[0-9]*:\(memory\):\(.*\)|\1\2|p; s|^0::/\(.*\)|\1|p' /proc/self/cgroup | head -1)
group=$place/pinion-restart-$$
if mkdir "$group" 2>/dev/null; then
    echo "$running" >"$group/cgroup.procs"
else
    echo "skip restart/server-stays-in-its-control-group: no group can be made in $place"
    group=
fi
recipe title 'restart = ( { program = "/usr/bin/server"; how = "upgrade"; signal = "HUP"; } );' \
    libgreet.two=/usr/lib/libgreet.so
way='/usr/bin/server: service, /etc/init.d/server restart: it runs in the foreground'
expect server-with-a-title-is-patched-as-the-plan-says 0 "restart: *$way" \
    "$pinion" patch apply title.recipe --config conf --root "$root"
"$pinion" incidents -c conf -j -n 1 >newest.json
"$pinion" incidents -c conf show "$(jq '.incidents[0].id' newest.json)" >shown
[ "$(grep -cE "(ready|restart) .*$way" shown)" = 2 ]
report journal-tells-the-way-that-was-taken $? "$(cat shown)"
[ "$(jq '.incidents[0].outage >= 1000000000' newest.json)" = true ]
report time-between-stop-and-start-is-an-outage $? "$(cat newest.json)"
protected && [ "$(cat "$root/srv/actions")" = restart ] && [ "$( (ask) 2>/dev/null)" = two ]
report server-with-a-title-stays-protected $?
stays_in_its_group() {
    if [ -n "$group" ]; then
        [ "$(cat "$group/cgroup.procs")" = "$running" ]
        report "$1" $? "$(cat "$group/cgroup.procs"), not $running"
    fi
}
stays_in_its_group server-stays-in-its-control-group
[ -n "$(find "/proc/$running/fd" -lname "*/srv/log")" ]
report its-log-stays-the-same $? "$(ls -l "/proc/$running/fd")"
recipe reload 'restart = ( { program = "/usr/bin/server"; how = "reload"; signal = "HUP"; } );' server.broken=/usr/bin/server
expect service-that-ends-is-rolled-back 1 'did not start again|no longer serves' \
    "$pinion" patch apply reload.recipe --config conf --root "$root"
protected && [ "$(tail -n 1 "$root/srv/actions")" = start ] && [ "$( (ask) 2>/dev/null)" = two ]
report service-that-ended-is-started-by-its-script $? "$(cat "$root/srv/actions")"
stays_in_its_group service-that-ended-is-started-in-its-control-group
recipe again '' libgreet.three=/usr/lib/libgreet.so
echo once >"$root/srv/bare"
expect script-that-drops-the-protection-is-rolled-back 1 'came back without libpinion.so' \
    "$pinion" patch apply again.recipe --config conf --root "$root"
protected && [ "$( (ask) 2>/dev/null)" = two ]
report roll-back-brings-the-protection-back $?
recipe always '' libgreet.three=/usr/lib/libgreet.so
echo always >"$root/srv/bare"
expect unprotected-after-the-roll-back-is-a-failure 2 'server. now runs UNPROTECTED' \
    "$pinion" patch apply always.recipe --config conf --root "$root"
end_server
wait

# What a wrapper was not started for may be stopped: the container goes on.
cp "$root/bin/sh" "$root/bin/tini"
echo once >"$root/srv/bare" && : >"$root/srv/actions"
in_container /bin/tini -c "sleep 300 & $serve & wait"
first=$(pgrep -P "$server")
recipe beside '' libgreet.three=/usr/lib/libgreet.so
echo >"$root/srv/bare"
expect what-runs-beside-the-program-of-a-container-is-restarted 0 patched \
    "$pinion" patch apply beside.recipe --config conf --pid "$first"
running=$(pgrep -P "$first" -x server)
grep -q libpinion.so "/proc/$running/maps" && [ "$(cat "$root/srv/actions")" = restart ] && [ "$( (ask) 2>/dev/null)" = three ]
report it-serves-protected $? "$(cat "$root/srv/actions")"
kill -KILL "$server"
wait
exit $failed
