#!/bin/bash
# A library is replaced that systemd itself maps, as the C library or OpenSSL on any Debian: it executes itself anew when
# all services have been restarted, and its sockets, by which services are started that do not run yet, are not asked.
set -uo pipefail
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh"
[ "$(id -u)" = 0 ] || { echo "skip service_manager: needs root"; exit 0; }
root=$work/root
port=$((20000 + $$ % 20000))
manager=
trap '[ -z "$manager" ] || kill -KILL "$manager"; { wait; } 2>/dev/null; rm -rf "$work"' EXIT
mkdir -p "$root"/{usr/bin,usr/lib/systemd,lib/x86_64-linux-gnu,lib64,bin,run/systemd/system,srv,dev,tmp,proc,var/lib} "$work/state"
cd "$work" || exit 2

echo 'const char *word(void) { return WORD; }' >word.c
cat >systemd.c <<'END'
/* As /usr/lib/systemd/systemd it listens for two services, starts one of them, is about to start another, and executes
 * itself anew when told to. As /usr/bin/server it is that service, and has its socket from it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
const char *word(void);
enum { SERVED = 10, IDLE, REEXECUTE = 59 };
static volatile sig_atomic_t again, restart;
static void note(int number) { *(number == REEXECUTE ? &again : &restart) = 1; }
static void act(const char *text) {
    int fd = open("/srv/actions", O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        exit(1);
    close(fd);
}
static void open_socket(int number, int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (void *)&address, sizeof address) != 0 || listen(fd, 64) != 0 || dup2(fd, number) != number)
        exit(1);
    close(fd);
}
static void serve(void) {
    for (;;) {
        int connection = accept(SERVED, NULL, NULL);
        if (connection >= 0 && dprintf(connection, "%s\n", word()) < 0)
            exit(1);
        close(connection);
    }
}
static pid_t start(void) {
    pid_t child = fork();
    if (child == 0) {
        close(IDLE);
        execl("/usr/bin/server", "/usr/bin/server", (char *)NULL);
        _exit(1);
    }
    return child;
}
int main(int count, char **arguments) {
    if (strstr(arguments[0], "server"))
        serve();
    struct sigaction action = {.sa_handler = note};
    sigaction(REEXECUTE, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    sigset_t blocked, none;
    sigemptyset(&none);
    blocked = none;
    sigaddset(&blocked, REEXECUTE);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    pid_t server = count > 2 ? atoi(arguments[2]) : 0;
    if (server == 0) {
        open_socket(SERVED, atoi(arguments[1]));
        open_socket(IDLE, atoi(arguments[1]) + 1);
        server = start();
        if (fork() == 0) {
            close(SERVED);
            close(IDLE);
            signal(REEXECUTE, SIG_DFL);
            sigprocmask(SIG_SETMASK, &none, NULL);
            for (;;)
                pause();
        }
    }
    for (;;) {
        struct pollfd idle = {.fd = IDLE, .events = POLLIN};
        if (ppoll(&idle, 1, NULL, &none) > 0) {
            act("activated\n");
            close(accept(IDLE, NULL, NULL));
        }
        if (restart) {
            kill(server, SIGKILL);
            server = start();
            restart = 0;
        }
        if (again) {
            char number[16];
            snprintf(number, sizeof number, "%d", (int)server);
            act("again\n");
            execl(arguments[0], arguments[0], arguments[1], number, (char *)NULL);
            exit(1);
        }
    }
}
END
for build in one two; do
    ${CC:-gcc} -shared -fPIC -Wl,-soname,libword.so -DWORD="\"$build\"" word.c -o "libword.$build" || exit 2
done
${CC:-gcc} systemd.c libword.one -Wl,-rpath,/usr/lib -o systemd || exit 2
cp libword.one "$root/usr/lib/libword.so"
cp systemd "$root/usr/lib/systemd/systemd"
cp systemd "$root/usr/bin/server"
cp /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
cp /lib/x86_64-linux-gnu/libc.so.6 "$root/lib/x86_64-linux-gnu/"
cp "$(readlink -f /bin/dash)" "$root/bin/sh"
cat >"$root/bin/systemctl" <<'END'
#!/bin/sh
[ "$1" != try-restart ] || { echo "$*" >>/srv/actions; kill -USR1 1; }
END
chmod 755 "$root/bin/systemctl"

pin=$("$pinion" recipe key -o key.pem 2>/dev/null)
cat >conf <<END
state = "$work/state";
keys = [ "$pin" ];
END
cp libword.two "$root/srv/"
cat >word.recipe <<END
recipe = "word"; summary = "test"; serial = 1; created = "2026-01-01"; expires = "2036-01-01";
answers = { cves = [ "CVE-2026-0001" ]; };
method = "files"; files = ( { path = "/usr/lib/libword.so"; source = "file:///srv/libword.two";
    size = $(stat -c %s libword.two); sha256 = "$(sha256sum libword.two | cut -c1-64)"; } );
restart = ( { program = "/usr/bin/server"; how = "command"; command = [ "/bin/systemctl", "try-restart", "server.service" ]; } );
END
"$pinion" recipe sign --key key.pem word.recipe >/dev/null 2>&1 || exit 2

ask() {
    local answer=
    exec 7<>"/dev/tcp/127.0.0.1/$port" && read -r answer <&7
    exec 7>&-
    [ -n "$answer" ] && echo "$answer"
}
# shellcheck disable=SC2016 # expanded by the inner shell
unshare -mpf --kill-child --propagation private sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" /usr/lib/systemd/systemd "$1"' \
    "$root" $port </dev/null >manager.log 2>&1 &
manager=$!
for ((i = 0; i < 200; i++)); do (ask) >/dev/null 2>&1 && break; sleep 0.05; done
[ "$( (ask) 2>/dev/null)" = one ] || { echo "not ok service_manager: the server does not serve"; cat manager.log; exit 1; }
first=$(cat "/proc/$manager/task/$manager/children")
first=${first% }

expect what-the-service-manager-maps-is-patched 0 'patched' "$pinion" patch apply word.recipe --config conf --pid "$first"
kill -0 "$first" && ! grep -q '(deleted)' "/proc/$first/maps" && grep -q libword "/proc/$first/maps"
report service-manager-runs-the-new-library $? "$(grep libword "/proc/$first/maps")"
[ "$( (ask) 2>/dev/null)" = two ]
report service-runs-the-new-library $?
about_to_start=
read -ra children <"/proc/$first/task/$first/children"
for child in "${children[@]}"; do
    [[ $(readlink "/proc/$child/exe") != */systemd ]] || about_to_start=$child
done
[ -n "$about_to_start" ]
report what-it-is-about-to-start-is-not-ended $?
[ "$(cat "$root/srv/actions")" = $'try-restart server.service\nagain' ]
report service-manager-is-last-and-its-idle-socket-is-not-asked $? "$(cat "$root/srv/actions")"
exit $failed
