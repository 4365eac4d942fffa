#!/bin/bash
# The command policygen as a user meets it: policies written, reports, messages and exit statuses, and that the same input
# gives the same policy.
set -uo pipefail
# shellcheck source=tests/integration/common/expect.sh
. "$(dirname "$0")/common/expect.sh" || exit 2

cat >"$work/program.c" <<'C'
#include <dlfcn.h>
#include <fcntl.h>
int main(void) { return open("/etc/hosts", O_RDONLY) + (dlopen("libplug.so", RTLD_NOW) == 0); }
C
cat >"$work/plug.c" <<'C'
#include <unistd.h>
int plug(void) { return unlink("/tmp/plugged") + 1; }
C
cat >"$work/main.c" <<'C'
int main(void) { return 0; }
C
mkdir "$work/plugins" "$work/lib"
# shellcheck disable=SC2016 # $ORIGIN is the loader's
gcc -O2 -w -o "$work/program" "$work/program.c" -Wl,-rpath,'$ORIGIN/lib' &&
    gcc -O2 -w -shared -fPIC -o "$work/lib/libplug.so" "$work/plug.c" &&
    gcc -O2 -w -static -o "$work/static" "$work/main.c" || exit 1
cp "$work/lib/libplug.so" "$work/plugins/other.so"
echo "no library" >"$work/plugins/README"
printf '#!/bin/sh\n' >"$work/script"
head -c 3000 "$work/program" >"$work/cut"

expect policygen_help 0 'Usage: policygen' "$policygen" --help
expect policygen_no_program 2 'no program named' "$policygen"
expect policygen_unknown_option 2 'policygen --help' "$policygen" --frobnicate x
expect policygen_missing_file 2 'cannot read' "$policygen" "$work/nowhere"
expect policygen_script 1 'interpreter' "$policygen" "$work/script"
expect policygen_static 1 'statically linked' "$policygen" "$work/static"
expect policygen_library 1 'it is a library' "$policygen" /lib/x86_64-linux-gnu/libz.so.1
expect policygen_damaged 1 'cannot be protected' "$policygen" "$work/cut"
expect policygen_missing_plugin 2 'cannot read' "$policygen" --also "$work/nowhere" "$work/program"
expect policygen_report 0 'arguments that stay unknown' "$policygen" "$work/program"
expect policygen_opened_library 0 'path=/tmp/plugged' "$policygen" --print-sites "$work/program"
expect policygen_plugin_directory 0 'plugins/other.so' "$policygen" --print-sites --also "$work/plugins" "$work/program"

"$policygen" --json "$work/program" >"$work/report.json"
if command -v jq >/dev/null; then
    sites=$(jq '.[0].total.sites' "$work/report.json")
    [ "${sites:-0}" -ge 2 ]
    report policygen_json $? "sites: $sites"
else
    echo "skip policygen_json: jq is not installed"
fi

"$policygen" -o "$work/first" "$work/program" /usr/bin/env >/dev/null && "$policygen" -o "$work/second" /usr/bin/env "$work/program"
diff -r "$work/first" "$work/second" >/dev/null
report policygen_repeatable $? "the order of the programs changes their policies"
stem=$(cd "$work" && pwd -P | sed 's,^/,,; s,/,.,g').program
[ -s "$work/first/$stem.policy" ] && [ -s "$work/first/$stem.pinion" ]
report policygen_files $? "$(ls "$work/first")"
if [ -x "$pinion" ]; then
    "$pinion" check "$work/first/$stem.policy" >"$work/check" 2>&1
    report policygen_policy_is_valid $? "$(head -1 "$work/check")"
fi
# Tail calls of functions that nobody calls: from a signal handler, a new context, a thread, libc's own callbacks. Their
# return addresses lie in libc, some of them behind no call.
cat >"$work/callbacks.c" <<'C'
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>
static pid_t pid;
static ucontext_t context, other;
static char stack[65536];
static void *at_thread(void *p) { return (void *)(long)kill(pid, 0); }
static int at_sort(const void *a, const void *b) { return kill(pid, 0); }
static void at_signal(int signal) { kill(pid, 0); }
static void at_context(void) { kill(pid, 0); }
int main(void) {
    pthread_t thread;
    void *result;
    int numbers[] = {3, 1, 2};
    pid = getpid();
    signal(SIGUSR1, at_signal);
    raise(SIGUSR1);
    pthread_create(&thread, NULL, at_thread, NULL);
    pthread_join(thread, &result);
    qsort(numbers, 3, sizeof numbers[0], at_sort);
    getcontext(&other);
    other.uc_stack.ss_sp = stack;
    other.uc_stack.ss_size = sizeof stack;
    other.uc_link = &context;
    makecontext(&other, at_context, 0);
    swapcontext(&context, &other);
    printf("errno %d result %p\n", errno, result);
    return 0;
}
C
if [ -x "$pinion" ] && [ -e build/libpinion.so ]; then
    gcc -O2 -w -pthread -o "$work/callbacks" "$work/callbacks.c" && "$policygen" -o "$work/policies" "$work/callbacks"
    expect policygen_callbacks 0 '^errno 0 result \(nil\)' "$pinion" run --policy-dir "$work/policies" -- "$work/callbacks"
else
    echo "skip policygen_callbacks: the shim or pinion is not built"
fi

touch "$work/file"
expect policygen_directory_is_file 2 'cannot' "$policygen" -o "$work/file" "$work/program"
exit $failed
