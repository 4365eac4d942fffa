/* Targets and stages: nothing leads out of them, nothing in a stage reaches what is outside, and nothing of it is left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "runtime/util.h"
#include "tools/patch/stage.h"

static char work[] = "/tmp/pinion-stage-XXXXXX";
static struct mistake mistake;

static char *in_work(const char *name) {
    return xasprintf("%s/%s", work, name);
}

static int set_up(void **state) {
    (void)state;
    return mkdtemp(work) == NULL;
}

static int tear_down(void **state) {
    (void)state;
    return !stage_remove_left(work, &mistake);
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* ---- targets ---- */

static void test_nothing_leads_out_of_a_target(void **state) {
    (void)state;
    cleanup_free char *root = in_work("root"), *outside = in_work("secret"), *up = in_work("root/up");
    cleanup_free char *absolute = in_work("root/absolute"), *pipe_path = in_work("root/pipe"),
                      *inner = in_work("root/file");
    mkdir(root, 0755);
    write_file(outside, "secret");
    write_file(inner, "inner");
    assert_int_equal(symlink("../secret", up), 0);
    assert_int_equal(symlink("/file", absolute), 0);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    struct target target;
    assert_true(target_of_directory(&target, root, &mistake));
    assert_int_equal(target_openat(&target, "/up", O_RDONLY, 0), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(target_openat(&target, "/../secret", O_RDONLY, 0), -1);
    assert_int_equal(target_openat(&target, "/pipe", O_RDONLY, 0), -1);
    assert_int_equal(errno, EINVAL);
    cleanup_fd int file = target_openat(&target, "/absolute", O_RDONLY, 0);
    char text[8] = "";
    assert_int_equal(read(file, text, 5), 5);
    assert_string_equal(text, "inner");
    cleanup_fd int made = target_openat(&target, "/new", O_WRONLY | O_CREAT | O_EXCL, 0640);
    assert_true(made >= 0);
    assert_int_equal(target_openat(&target, "/new", O_WRONLY | O_CREAT | O_EXCL, 0640), -1);
    assert_int_equal(errno, EEXIST);
    const char *name;
    assert_int_equal(root_parent(target.descriptor, "/up/x", &name), -1);
    assert_int_equal(root_parent(target.descriptor, "/a/../b", &name), -1);
    assert_int_equal(errno, EINVAL);
    target_close(&target);
    assert_false(target_of_directory(&target, outside, &mistake));
    assert_false(target_of_process(&target, 999999999, &mistake));
    target_close(&target);
}

static void test_own_root_has_no_prefix(void **state) {
    (void)state;
    struct target target;
    assert_true(target_of_process(&target, getpid(), &mistake));
    assert_string_equal(target.root, "");
    assert_int_equal(target.process, 0);
    assert_true(target_has(&target, getpid()));
    target_close(&target);
    assert_true(target_of_directory(&target, "/", &mistake));
    assert_string_equal(target.root, "");
    target_close(&target);
}

static void test_package_locks(void **state) {
    (void)state;
    cleanup_free char *root = in_work("locked"), *var = in_work("locked/var"), *lib = in_work("locked/var/lib");
    cleanup_free char *dpkg = in_work("locked/var/lib/dpkg"), *file = in_work("locked/var/lib/dpkg/lock");
    mkdir(root, 0755);
    mkdir(var, 0755);
    mkdir(lib, 0755);
    mkdir(dpkg, 0755);
    write_file(file, "");
    struct target target;
    struct target_lock lock;
    assert_true(target_of_directory(&target, root, &mistake));
    assert_true(target_lock_packages(&target, &lock, &mistake));
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    /* As dpkg takes it, in another process. */
    for (int locked = 1; locked >= 0; locked--) {
        pid_t other = fork();
        if (other == 0)
            _exit(fcntl(open(file, O_RDWR), F_SETLK, &whole) == 0 ? 0 : 1);
        int status;
        waitpid(other, &status, 0);
        assert_int_equal(WEXITSTATUS(status), locked);
        if (locked)
            target_unlock_packages(&lock);
    }
    cleanup_fd int held = open(file, O_RDWR);
    assert_int_equal(fcntl(held, F_SETLK, &whole), 0);
    assert_false(target_lock_packages(&target, &lock, &mistake));
    assert_non_null(strstr(mistake.text, "another package manager is at work"));
    target_close(&target);
}

/* ---- stages ---- */

static struct target target;
static struct stage stage;
static char caller_mounts[64];

/* Whether stages can be made here; each test has one over this machine's own root, in a process of its own. */
static bool can_stage(void) {
    cleanup_free char *scratch = in_work("scratch");
    assert_true(target_of_directory(&target, "/", &mistake));
    cleanup_free char *problem = stage_problem(&target, scratch);
    if (problem != NULL)
        print_message("skip stage: %s\n", problem);
    return problem == NULL;
}

static bool staged(const char *script, enum stage_network network, struct command_result *result) {
    const char *const arguments[] = {"sh", "-c", script, NULL};
    return stage_run(&stage, &(struct command){.arguments = arguments, .timeout_seconds = 60}, network, result,
                     &mistake);
}

static bool says(const char *script, const char *expected) {
    struct command_result result;
    bool good = staged(script, STAGE_OFFLINE, &result);
    if (!good)
        fprintf(stderr, "%s\n", mistake.text);
    else if (strcmp(result.output, expected) != 0)
        fprintf(stderr, "%s: \"%s\", not \"%s\"\n", script, result.output, expected);
    good = good && strcmp(result.output, expected) == 0;
    command_result_free(&result);
    return good;
}

/* Runs a test in a child: a stage leaves its process in a mount namespace of its own. */
static void in_stage(bool (*check)(void)) {
    if (!can_stage())
        skip();
    cleanup_free char *scratch = in_work("scratch");
    pid_t child = fork();
    if (child == 0) {
        bool good = stage_open(&stage, &target, scratch, 5, &mistake);
        if (!good)
            fprintf(stderr, "%s\n", mistake.text);
        good = good && check();
        stage_close(&stage);
        _exit(good ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    target_close(&target);
    assert_int_equal(status, 0);
    assert_int_equal(access(scratch, F_OK), -1);
}

static bool check_isolation(void) {
    cleanup_free char *kill_us = xasprintf("kill -0 %d 2>/dev/null || echo gone", getpid());
    return says("echo $$; ls /sys | wc -l; ls -A /run /tmp | tr '\\n' ' '", "2\n0\n/run: lock  /tmp: ") &&
           says(kill_us, "gone\n") && says("sh /usr/sbin/policy-rc.d; echo $?", "101\n") &&
           says("test -x /usr/sbin/policy-rc.d && echo yes", "yes\n") &&
           says("echo x >/dev/null; head -c 4 /dev/zero | wc -c; : >/dev/stdout; : >/dev/shm/x; echo fine",
                "4\nfine\n") &&
           says("(echo core >/proc/sys/kernel/core_pattern) 2>/dev/null || echo refused", "refused\n") &&
           says("(echo b >/proc/sysrq-trigger) 2>/dev/null || echo refused", "refused\n") &&
           says("mount -t tmpfs x /mnt 2>/dev/null || echo refused", "refused\n") &&
           says("unshare --user --map-root-user true 2>/dev/null || echo refused", "refused\n") &&
           says("unshare --mount true 2>/dev/null || echo refused", "refused\n") &&
           says("python3 -c 'import threading as t; x = t.Thread(target=print, args=[5]); x.start()'", "5\n") &&
           says("mknod /root/null c 1 3 2>/dev/null || echo refused", "refused\n") &&
           says("sort -u /proc/self/mountinfo | cut -d' ' -f5 | grep -cE '/(dev|proc|run|tmp)?$'", "5\n") &&
           says("ls /sys/class/net /proc/net/dev >/dev/null 2>&1; sed -n 's/^ *\\([^ ]*\\):.*/\\1/p' /proc/net/dev",
                "lo\n") &&
           says("kill -TERM $$; sleep 10", "") == false && strstr(mistake.text, "143") != NULL;
}

static void test_isolation(void **state) {
    (void)state;
    in_stage(check_isolation);
}

/* A helper with a strict umask is no reason to keep the target's own users out. */
static bool check_modes(void) {
    return says("stat -c %a /var/cache/pinion /run /tmp /dev", "755\n755\n1777\n755\n") &&
           says("setpriv --reuid 65534 --clear-groups sh -c 'ls / >/dev/null && ls /var/cache/pinion && echo fine'",
                "fine\n");
}

static void test_other_users_get_in(void **state) {
    (void)state;
    mode_t mask = umask(077);
    in_stage(check_modes);
    umask(mask);
}

static bool check_writes(void) {
    cleanup_free char *seen = stage_path(&stage, "/root/mark"), *upper = xasprintf("%s/root/mark", stage.upper);
    bool good = says("echo staged >/root/mark; echo file >" STAGE_WORK "/x", "");
    good = good && access(seen, F_OK) == 0 && access(upper, F_OK) == 0 && access("/root/mark", F_OK) != 0;
    cleanup_free char *hidden = xasprintf("%s%s/x", stage.upper, STAGE_WORK);
    cleanup_free char *policy = xasprintf("%s/usr/sbin/policy-rc.d", stage.upper);
    cleanup_fd int inside = stage_openat(&stage, STAGE_WORK "/x", O_RDONLY, 0);
    return good && access(hidden, F_OK) != 0 && access(policy, F_OK) != 0 && inside >= 0;
}

static void test_writes_stay_in_the_stage(void **state) {
    (void)state;
    in_stage(check_writes);
}

/* Nobody uses the stage any more. */
static bool can_unmount(void) {
    cleanup_free char *inner = xasprintf("%s%s", stage.merged, STAGE_WORK);
    close(stage.root);
    stage.root = -1;
    return umount2(inner, 0) == 0 && umount2(stage.merged, 0) == 0;
}

static bool check_end(void) {
    struct command_result result;
    bool good = staged("setsid sleep 1000 >/dev/null 2>&1 & sleep 1000 & echo fine", STAGE_OFFLINE, &result);
    command_result_free(&result);
    return good && can_unmount();
}

/* A service that is restarted after staging must not stay in the stage's mount namespace. */
static bool check_restart(void) {
    char script[] = "readlink /proc/self/ns/mnt";
    const char *const arguments[] = {"sh", "-c", script, NULL};
    struct command_result result;
    bool good =
        target_run(&target, &(struct command){.arguments = arguments, .timeout_seconds = 60}, &result, &mistake);
    cleanup_free char *line = xasprintf("%s\n", caller_mounts);
    good = good && strcmp(result.output, line) == 0;
    command_result_free(&result);
    return good;
}

static void test_target_is_outside_of_the_stage(void **state) {
    (void)state;
    assert_true(readlink("/proc/self/ns/mnt", caller_mounts, sizeof caller_mounts - 1) > 0);
    in_stage(check_restart);
}

static bool check_timeout(void) {
    const char *const arguments[] = {"sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & sleep 1000", NULL};
    const struct command command = {.arguments = arguments, .timeout_seconds = 1};
    struct command_result result;
    bool good = !stage_run(&stage, &command, STAGE_OFFLINE, &result, &mistake) && result.timed_out;
    command_result_free(&result);
    return good && can_unmount();
}

static void test_timeout_ends_all(void **state) {
    (void)state;
    in_stage(check_timeout);
}

static void test_daemons_end_with_the_command(void **state) {
    (void)state;
    in_stage(check_end);
}

/* A helper that is killed while a command runs leaves no process and no mount, and what it leaves can be removed. */
static void test_killed_helper_leaves_a_directory(void **state) {
    (void)state;
    if (!can_stage())
        skip();
    cleanup_free char *scratch = in_work("scratch");
    int told[2];
    assert_int_equal(pipe(told), 0);
    pid_t helper = fork();
    if (helper == 0) {
        struct command_result result;
        if (!stage_open(&stage, &target, scratch, 5, &mistake))
            _exit(1);
        pid_t watcher = fork();
        if (watcher == 0) {
            struct stat status;
            cleanup_free char *begun = xasprintf("%s/root/begun", stage.upper);
            while (stat(begun, &status) != 0)
                usleep(1000);
            _exit(write(told[1], "x", 1) == 1 ? 0 : 1);
        }
        staged("echo >/root/begun; sleep 1000", STAGE_OFFLINE, &result);
        _exit(0);
    }
    close(told[1]);
    char byte;
    assert_int_equal(read(told[0], &byte, 1), 1);
    close(told[0]);
    kill(helper, SIGKILL);
    waitpid(helper, NULL, 0);
    assert_int_equal(access(scratch, F_OK), 0);
    assert_true(stage_remove_left(scratch, &mistake));
    assert_int_equal(access(scratch, F_OK), -1);
    target_close(&target);
}

/* ---- what cannot be staged ---- */

static bool problem_says(const char *root, const char *scratch, const char *expected) {
    struct target looked_at;
    if (!target_of_directory(&looked_at, root, &mistake))
        return false;
    cleanup_free char *problem = stage_problem(&looked_at, scratch);
    bool good = expected == NULL ? problem == NULL : problem != NULL && strstr(problem, expected) != NULL;
    if (!good)
        fprintf(stderr, "%s\n", problem != NULL ? problem : "no problem");
    target_close(&looked_at);
    return good;
}

static bool check_problems(const char *root, const char *usr) {
    cleanup_free char *scratch = in_work("problems"), *inside = xasprintf("%s/scratch", usr);
    bool good = problem_says(root, scratch, NULL) && mount("overlay", usr, "overlay", 0, "lowerdir=/etc:/usr") == 0 &&
                problem_says(root, scratch, "/usr\" is on a mount of its own") &&
                problem_says("/", inside, "on an overlay file system") && umount2(usr, MNT_DETACH) == 0 &&
                mount("proc", usr, "proc", 0, NULL) == 0 && problem_says("/", inside, "not fit for a stage") &&
                umount2(usr, MNT_DETACH) == 0 && problem_says(root, scratch, NULL);
    return good && mount(root, root, NULL, MS_BIND, NULL) == 0 &&
           mount(NULL, root, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0 &&
           problem_says(root, scratch, "is mounted read-only");
}

static void test_problems_are_named(void **state) {
    (void)state;
    if (!can_stage())
        skip();
    target_close(&target);
    cleanup_free char *root = in_work("problem"), *usr = in_work("problem/usr");
    mkdir(root, 0755);
    mkdir(usr, 0755);
    pid_t child = fork();
    if (child == 0) {
        bool good = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
        _exit(good && check_problems(root, usr) ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

/* Links where the stage mounts something, out of the root or within it. */
static bool opens(const char *root, const char *link, const char *to, const char *expected) {
    struct command_result result = {.output = NULL};
    cleanup_free char *path = xasprintf("%s%s", root, link), *scratch = in_work("hostile-scratch");
    if (symlink(to, path) != 0 || !target_of_directory(&target, root, &mistake))
        return false;
    mistake = (struct mistake){.line = 0};
    bool good = stage_open(&stage, &target, scratch, 5, &mistake) && staged("true", STAGE_OFFLINE, &result);
    command_result_free(&result);
    stage_close(&stage);
    target_close(&target);
    unlink(path);
    if (strstr(mistake.text, expected) == NULL)
        fprintf(stderr, "%s: %s\n", link, mistake.text);
    return !good && strstr(mistake.text, expected) != NULL;
}

static void test_hostile_links(void **state) {
    (void)state;
    if (!can_stage())
        skip();
    target_close(&target);
    cleanup_free char *root = in_work("hostile"), *etc = in_work("hostile/etc"), *var = in_work("hostile/var");
    mkdir(root, 0755);
    mkdir(etc, 0755);
    mkdir(var, 0755);
    pid_t child = fork();
    if (child == 0)
        _exit(opens(root, "/var/cache", "/etc", "/var/cache") && opens(root, "/var/cache", "../..", "/var/cache") &&
                      opens(root, "/dev", "etc", "cannot mount /proc, /dev") &&
                      opens(root, "/proc", work, "cannot mount /proc, /dev") &&
                      opens(root, "/none", "x", "cannot start \"sh\"")
                  ? 0
                  : 1);
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_leads_out_of_a_target),
        cmocka_unit_test(test_own_root_has_no_prefix),
        cmocka_unit_test(test_package_locks),
        cmocka_unit_test(test_problems_are_named),
        cmocka_unit_test(test_hostile_links),
        cmocka_unit_test(test_isolation),
        cmocka_unit_test(test_other_users_get_in),
        cmocka_unit_test(test_writes_stay_in_the_stage),
        cmocka_unit_test(test_target_is_outside_of_the_stage),
        cmocka_unit_test(test_daemons_end_with_the_command),
        cmocka_unit_test(test_timeout_ends_all),
        cmocka_unit_test(test_killed_helper_leaves_a_directory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
