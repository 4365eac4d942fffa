/* Running commands: how they end, what is kept of what they say, and that nothing of them or of us is left over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/command.h"

static struct command_result result;
static struct mistake mistake;

static bool run_with(struct command command, const char *script) {
    const char *const arguments[] = {"sh", "-c", script, NULL};
    command.arguments = arguments;
    if (command.timeout_seconds == 0)
        command.timeout_seconds = 60;
    command_result_free(&result);
    mistake = (struct mistake){.line = 0};
    return command_run(&command, &result, &mistake);
}

static bool run(const char *script) {
    return run_with((struct command){.timeout_seconds = 60}, script);
}

static int tear_down(void **state) {
    (void)state;
    command_result_free(&result);
    return 0;
}

/* Waits until a process that is no child of ours has ended. */
static bool ends(pid_t process) {
    cleanup_fd int handle = pidfd_open(process, 0);
    if (handle < 0)
        return errno == ESRCH;
    struct pollfd polled = {.fd = handle, .events = POLLIN};
    return poll(&polled, 1, 30000) == 1;
}

static void test_output_and_cost(void **state) {
    (void)state;
    assert_true(run("echo one; echo two >&2"));
    assert_string_equal(result.output, "one\ntwo\n");
    assert_int_equal(result.output_size, 8);
    assert_false(result.timed_out);
    assert_true(result.nanoseconds > 0);
    assert_true(result.memory > 100000);
}

static void test_failures_are_told(void **state) {
    (void)state;
    assert_false(run("echo first; echo the reason; exit 3"));
    assert_int_equal(WEXITSTATUS(result.status), 3);
    assert_string_equal(mistake.text, "\"sh\" ended with status 3: the reason");
    assert_false(run("kill -SEGV $$"));
    assert_non_null(strstr(mistake.text, "signal 11"));
    const char *const missing[] = {"/nowhere/program", NULL};
    command_result_free(&result);
    assert_false(command_run(&(struct command){.arguments = missing, .timeout_seconds = 9}, &result, &mistake));
    assert_string_equal(mistake.text, "cannot start \"/nowhere/program\": No such file or directory");
}

static bool refuse(void *context, struct mistake *why) {
    return text_mistake(why, 0, "no: %s", (const char *)context);
}

static void test_enter_refuses(void **state) {
    (void)state;
    char context[] = "not today";
    assert_false(run_with((struct command){.enter = refuse, .context = context}, "echo never"));
    assert_string_equal(mistake.text, "no: not today");
    assert_string_equal(result.output, "");
}

static void test_nothing_of_ours_is_handed_on(void **state) {
    (void)state;
    setenv("LD_PRELOAD", "", 1);
    setenv("SECRET", "x", 1);
    int leak = open("/dev/null", O_RDONLY), high = fcntl(leak, F_DUPFD, 77);
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, &old);
    signal(SIGINT, SIG_IGN);
    /* Signals 32 and 33 are the C library's: what they were set to before it began cannot be changed by it. */
    assert_true(run_with((struct command){.incident = 7},
                         "env | sort | grep -v ^PWD= | grep -v ^_=; pwd; ulimit -c; "
                         /* No pipe, which would be seen as well; the directory itself is closed again. */
                         "for fd in /proc/$$/fd/*; do [ -e $fd ] && printf '%s ' ${fd##*/}; done; "
                         "grep -E 'Sig(Blk|Ign)' "
                         "/proc/$$/status | tr -d '\\t' | sed 's/180000000$/000000000/'"));
    sigprocmask(SIG_SETMASK, &old, NULL);
    signal(SIGINT, SIG_DFL);
    close(leak);
    close(high);
    unsetenv("LD_PRELOAD");
    unsetenv("SECRET");
    assert_string_equal(result.output,
                        "HOME=/root\nLC_ALL=C.UTF-8\n"
                        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPINION_PATCH=7\n/\n0\n"
                        "0 1 2 SigBlk:0000000000000000\nSigIgn:0000000000000000\n");
}

static void test_environment_and_input(void **state) {
    (void)state;
    const char *const environment[] = {"PATH=/usr/bin:/bin", "COLOUR=blue", NULL};
    assert_true(run_with((struct command){.environment = environment, .input = "a\nb\n"}, "echo $COLOUR; cat"));
    assert_string_equal(result.output, "blue\na\nb\n");
    assert_true(run("cat"));
    assert_string_equal(result.output, "");
}

static void test_head_and_tail_are_kept(void **state) {
    (void)state;
    assert_true(run("echo begin; head -c 10000000 /dev/zero | tr '\\0' x; echo; echo end"));
    assert_true(result.output_size < COMMAND_OUTPUT_MOST + 100);
    assert_memory_equal(result.output, "begin\n", 6);
    assert_non_null(strstr(result.output, "bytes are left out]\n"));
    assert_memory_equal(result.output + result.output_size - 4, "end\n", 4);
    /* Around the borders of the two halves every byte is there. */
    static const unsigned sizes[] = {32767, 32768, 32769, 65535, 65536};
    for (size_t i = 0; i < 5; i++) {
        cleanup_free char *script = xasprintf("head -c %u /dev/zero | tr '\\0' x", sizes[i]);
        assert_true(run(script));
        assert_int_equal(result.output_size, sizes[i]);
        assert_int_equal(strspn(result.output, "x"), sizes[i]);
    }
    assert_true(run("head -c 65537 /dev/zero | tr '\\0' x"));
    assert_non_null(strstr(result.output, "[1 bytes are left out]"));
}

static void test_timeout_kills_all(void **state) {
    (void)state;
    /* One child in the group, one in a session of its own. */
    assert_false(run_with((struct command){.timeout_seconds = 1, .incident = 424242},
                          "sleep 1000 & echo $!; setsid sleep 1000 & sleep 1000"));
    assert_true(result.timed_out);
    assert_non_null(strstr(mistake.text, "it still ran after 1 s"));
    assert_true(ends((pid_t)strtol(result.output, NULL, 10)));
    assert_true(command_kill_marked(424242, &mistake));
    assert_true(run("grep -la PINION_PATCH=424242 /proc/[0-9]*/environ 2>/dev/null; true"));
    assert_string_equal(result.output, "");
}

static void test_stragglers_of_the_group_end(void **state) {
    (void)state;
    assert_true(run("sleep 1000 & echo $!"));
    assert_true(ends((pid_t)strtol(result.output, NULL, 10)));
}

static void test_daemons_live_on(void **state) {
    (void)state;
    assert_true(run_with((struct command){.incident = 424243}, "setsid sleep 1000 >/dev/null 2>&1 & echo $!; "
                                                               "until [ \"$(ps -o sid= $! | tr -d ' ')\" = $! ]; do :; "
                                                               "done"));
    pid_t daemon = (pid_t)strtol(result.output, NULL, 10);
    assert_int_equal(kill(daemon, 0), 0);
    assert_true(command_kill_marked(1424243, &mistake)); /* another incident's */
    assert_int_equal(kill(daemon, 0), 0);
    assert_true(command_kill_marked(424243, &mistake));
    assert_true(ends(daemon));
}

/* A service that writes to what it was started with does not end when nobody reads that any more, nor fill memory. */
static void test_what_a_service_writes_later_ends_it_not(void **state) {
    (void)state;
    char directory[] = "/tmp/pinion-command-XXXXXX";
    assert_non_null(mkdtemp(directory));
    cleanup_free char *begin = xasprintf("%s/begin", directory);
    cleanup_free char *status = xasprintf("%s/status", directory);
    assert_int_equal(mkfifo(begin, 0600), 0);
    assert_int_equal(mkfifo(status, 0600), 0);
    cleanup_free char *script =
        xasprintf("echo first; setsid sh -c 'read go <%s; echo later && head -c 3000000 /dev/zero "
                  "2>/dev/null; echo $? >%s' & echo started",
                  begin, status);
    assert_true(run_with((struct command){.service = true}, script));
    assert_string_equal(result.output, "first\nstarted\n");
    cleanup_file FILE *go = fopen(begin, "we");
    fputs("go\n", go);
    fflush(go);
    cleanup_fd int answer = open(status, O_RDWR | O_CLOEXEC); /* not waiting for who may have ended */
    struct pollfd polled = {.fd = answer, .events = POLLIN};
    char ended;
    assert_int_equal(poll(&polled, 1, 30000), 1);
    assert_int_equal(read(answer, &ended, 1), 1);
    assert_int_equal(ended, '1'); /* head could not write it all; it and the shell live on */
    unlink(begin);
    unlink(status);
    rmdir(directory);
}

/* However much time each of them may take for itself. */
static void test_all_commands_together_have_a_limit(void **state) {
    (void)state;
    assert_int_equal(command_seconds(7), 7);
    command_limit(100);
    assert_int_equal(command_seconds(7), 7);
    assert_true(command_seconds(1000) <= 100);
    command_limit(1);
    assert_false(run("sleep 1000"));
    assert_true(result.timed_out);
    assert_non_null(strstr(mistake.text, "still ran after 1 s: the patch has taken all the time"));
    assert_int_equal(command_seconds(7), 0);
    assert_false(run("true"));
    assert_non_null(strstr(mistake.text, "\"sh\" was not started: the patch has taken all the time"));
    command_limit(0);
    assert_true(run("true"));
}

/* Another helper's incident of the same number is nobody's business. */
static void test_marks_of_two_helpers(void **state) {
    (void)state;
    assert_false(command_owner("/nowhere/at/all", &mistake));
    assert_true(command_owner("/", &mistake));
    assert_true(run_with((struct command){.incident = 424244},
                         "setsid sleep 1000 >/dev/null 2>&1 & echo $!; "
                         "until [ \"$(ps -o sid= $! | tr -d ' ')\" = $! ]; do :; done"));
    pid_t daemon = (pid_t)strtol(result.output, NULL, 10);
    assert_true(command_owner("/proc", &mistake));
    assert_true(command_kill_marked(424244, &mistake));
    assert_int_equal(kill(daemon, 0), 0);
    assert_true(command_owner("/", &mistake));
    assert_true(command_kill_marked(424244, &mistake));
    assert_true(ends(daemon));
}

/* The helper is killed: its command goes with it. */
static void test_command_dies_with_helper(void **state) {
    (void)state;
    int told[2];
    assert_int_equal(pipe(told), 0);
    pid_t helper = fork();
    if (helper == 0) {
        cleanup_free char *script = xasprintf("echo $$ >/proc/%d/fd/%d; exec sleep 1000", getpid(), told[1]);
        run(script);
        _exit(0);
    }
    char line[32] = "";
    assert_true(read(told[0], line, sizeof line - 1) > 0);
    kill(helper, SIGKILL);
    waitpid(helper, NULL, 0);
    close(told[0]);
    close(told[1]);
    assert_true(ends((pid_t)strtol(line, NULL, 10)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_and_cost),
        cmocka_unit_test(test_failures_are_told),
        cmocka_unit_test(test_enter_refuses),
        cmocka_unit_test(test_nothing_of_ours_is_handed_on),
        cmocka_unit_test(test_environment_and_input),
        cmocka_unit_test(test_head_and_tail_are_kept),
        cmocka_unit_test(test_timeout_kills_all),
        cmocka_unit_test(test_stragglers_of_the_group_end),
        cmocka_unit_test(test_daemons_live_on),
        cmocka_unit_test(test_what_a_service_writes_later_ends_it_not),
        cmocka_unit_test(test_all_commands_together_have_a_limit),
        cmocka_unit_test(test_marks_of_two_helpers),
        cmocka_unit_test(test_command_dies_with_helper),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
