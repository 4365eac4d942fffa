/* What the root of a container could try while it is patched: to be taken for somebody else, to be run with more than it
 * has, to get at what is beside it, to keep the helper busy for ever.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "runtime/util.h"
#include "tools/event_socket.h"
#include "tools/patch/changes.h"
#include "tools/patch/claim.h"
#include "tools/patch/confine.h"

static char work[] = "/tmp/pinion-hostile-XXXXXX";
static struct mistake mistake;

static int set_up(void **state) {
    (void)state;
    return mkdtemp(work) == NULL;
}

static int tear_down(void **state) {
    (void)state;
    return !stage_remove_left(work, &mistake);
}

/* Whether all of `check` holds, in a process of its own whose namespaces may be changed; skips without privilege. */
static void apart(bool (*check)(void)) {
    int status;
    pid_t child = geteuid() == 0 ? fork() : -1;
    if (child < 0)
        skip();
    if (child == 0) {
        if (unshare(CLONE_NEWNS | CLONE_NEWPID) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
            _exit(77);
        pid_t first = fork();
        if (first == 0)
            _exit(mount("proc", "/proc", "proc", 0, NULL) != 0 ? 77 : check() ? 0 : 1);
        _exit(first > 0 && waitpid(first, &status, 0) == first && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

/* Says what is wrong; for checks in other processes. */
static bool holds(bool condition, const char *what) {
    if (!condition)
        fprintf(stderr, "does not hold: %s (%s)\n", what, mistake.text);
    return condition;
}

#define HOLDS(condition) holds(condition, #condition)

/* A process with a mount namespace of its own, as a container's first. `become` makes it what it is to be. */
static pid_t start_container(bool (*become)(void)) {
    int ready[2];
    char byte = 0;
    if (pipe2(ready, O_CLOEXEC) != 0)
        return -1;
    pid_t container = fork();
    if (container == 0) {
        if (unshare(CLONE_NEWNS | CLONE_NEWNET) == 0 && (become == NULL || become()) && write(ready[1], "x", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    close(ready[1]);
    ssize_t got = read(ready[0], &byte, 1);
    close(ready[0]);
    return got == 1 ? container : -1;
}

static bool run(const struct target *target, const char *script, struct command_result *result) {
    const char *const arguments[] = {"sh", "-c", script, NULL};
    return target_run(target, &(struct command){.arguments = arguments, .timeout_seconds = 60}, result, &mistake);
}

/* ---- taken for somebody else ---- */

static pid_t fork_as(pid_t number) {
    struct clone_args arguments = {.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&number, .set_tid_size = 1};
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

/* The container's process ends, and its number becomes that of one with all the machine: what is run for the container
 * then would be run in the machine. */
static bool check_number_of_another(void) {
    struct target target;
    struct command_result result;
    pid_t container = start_container(NULL);
    if (!HOLDS(container > 0) || !HOLDS(target_of_process(&target, container, &mistake)))
        return false;
    bool good = HOLDS(run(&target, "exit 0", &result));
    command_result_free(&result);
    kill(container, SIGKILL);
    waitpid(container, NULL, 0);
    pid_t mighty = fork_as(container);
    if (mighty == 0)
        for (;;)
            pause();
    good = good && HOLDS(mighty == container) && HOLDS(!run(&target, "echo escaped", &result));
    good = good && HOLDS(strstr(result.output, "escaped") == NULL);
    command_result_free(&result);
    kill(mighty, SIGKILL);
    waitpid(mighty, NULL, 0);
    target_close(&target);
    return good;
}

static void test_number_of_another_process_is_not_entered(void **state) {
    (void)state;
    apart(check_number_of_another);
}

/* Its programs change their root, or leave their parents: they are of the same container. */
static bool check_one_container(void) {
    struct incident first = {.id = 1}, second = {.id = 2};
    int told[2];
    pid_t orphan = 0;
    if (pipe(told) != 0)
        return false;
    pid_t container = fork();
    if (container == 0) {
        if (unshare(CLONE_NEWNS) != 0 || chroot("/tmp") != 0)
            _exit(1);
        pid_t middle = fork();
        if (middle == 0) {
            pid_t child = fork();
            if (child == 0) {
                pid_t self = getpid();
                while (getppid() != 1)
                    usleep(1000);
                if (chroot(work + strlen("/tmp")) == 0 && write(told[1], &self, sizeof self) == sizeof self)
                    for (;;)
                        pause();
            }
            _exit(0);
        }
        for (;;)
            pause();
    }
    bool good = HOLDS(read(told[0], &orphan, sizeof orphan) == sizeof orphan);
    first.sender = container;
    second.sender = orphan;
    good = good && HOLDS(claim_target(&first)) && HOLDS(claim_target(&second)) && HOLDS(first.target == container) &&
           HOLDS(strcmp(first.root, second.root) == 0) && HOLDS(first.target_start == second.target_start);
    second.sender_start = 1; /* the number is another's by now */
    good = good && HOLDS(!claim_target(&second));
    free(first.root);
    free(second.root);
    kill(orphan, SIGKILL);
    kill(container, SIGKILL);
    waitpid(container, NULL, 0);
    return good;
}

static void test_a_container_is_one_target(void **state) {
    (void)state;
    apart(check_one_container);
}

/* A service to which its manager has given namespaces with less in them is of the system all the same. */
static bool become_service(void) {
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && mount(work, "/usr", NULL, MS_BIND, NULL) == 0;
}

static bool check_service(void) {
    pid_t service = start_container(become_service);
    struct incident incident = {.id = 1, .sender = service};
    bool good = HOLDS(service > 0) && HOLDS(claim_target(&incident)) && HOLDS(incident.target == 0) &&
                HOLDS(strcmp(incident.root, "") == 0);
    free(incident.root);
    kill(service, SIGKILL);
    waitpid(service, NULL, 0);
    return good;
}

static void test_a_service_with_less_in_sight_is_of_the_system(void **state) {
    (void)state;
    apart(check_service);
}

/* Any user can have that, and a root directory whose files are all the user's own. */
static bool check_root_of_a_user(void) {
    int told[2];
    char byte;
    struct incident incident = {.id = 1};
    if (pipe(told) != 0)
        return false;
    incident.sender = fork();
    if (incident.sender == 0) {
        if (unshare(CLONE_NEWUSER) == 0 && chroot(work) == 0 && write(told[1], "x", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    close(told[1]);
    bool good = HOLDS(read(told[0], &byte, 1) == 1) && HOLDS(!claim_target(&incident));
    free(incident.root);
    close(told[0]);
    kill(incident.sender, SIGKILL);
    waitpid(incident.sender, NULL, 0);
    return good;
}

static void test_the_root_directory_of_a_user_is_no_target(void **state) {
    (void)state;
    apart(check_root_of_a_user);
}

/* Open to all by no second call, which would name what somebody has put there meanwhile. */
static void test_the_socket_is_open_from_the_start(void **state) {
    (void)state;
    struct stat status;
    cleanup_free char *path = xasprintf("%s/events", work);
    mode_t old = umask(077);
    cleanup_fd int listener = event_listen(path);
    assert_int_equal(umask(old), 077);
    assert_true(listener >= 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0666);
}

/* What a command of the target writes comes to a terminal as it is told of: as text. */
static void test_words_of_the_target_command_no_terminal(void **state) {
    (void)state;
    const char *const arguments[] = {"sh", "-c", "printf 'a\\033[2Jb\\302\\2332Jc\\303\\234'; exit 1", NULL};
    struct command_result result;
    assert_false(command_run(&(struct command){.arguments = arguments, .timeout_seconds = 60}, &result, &mistake));
    command_result_free(&result);
    assert_non_null(strstr(mistake.text, "a?[2Jb??2Jc\303\234"));
}

/* ---- run with more than it has ---- */

#define KEPT (UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_SETUID)

static bool become_weak(void) {
    struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {1, all};
    FILE *score = fopen("/proc/self/oom_score_adj", "w");
    return score != NULL && fputs("321", score) >= 0 && fclose(score) == 0 &&
           prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
           capabilities_limit(KEPT);
}

static bool says(const struct target *target, const char *script, const char *expected) {
    struct command_result result;
    bool good = HOLDS(run(target, script, &result));
    if (good && strcmp(result.output, expected) != 0)
        fprintf(stderr, "%s: \"%s\", not \"%s\"\n", script, result.output, expected);
    good = good && strcmp(result.output, expected) == 0;
    command_result_free(&result);
    return good;
}

static bool check_powers(void) {
    struct target target;
    char expected[80];
    pid_t container = start_container(become_weak);
    if (!HOLDS(container > 0) || !HOLDS(target_of_process(&target, container, &mistake)))
        return false;
    snprintf(expected, sizeof expected, "CapBnd:%016llx\nNoNewPrivs:1\nSeccomp:2\n", (unsigned long long)KEPT);
    bool good = says(&target, "grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t '", expected) &&
                says(&target, "cat /proc/self/oom_score_adj; ls /proc/self/fd | tr '\\n' ' '", "321\n0 1 2 3 ") &&
                says(&target, "unshare --user true 2>/dev/null || echo refused", "refused\n") &&
                says(&target, "python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(250, 0, -3, 0))'", "-1\n") &&
                says(&target, "tty; tail -n +1 /proc/self/stat | cut -d' ' -f7", "not a tty\n0\n");
    kill(container, SIGKILL);
    waitpid(container, NULL, 0);
    target_close(&target);
    return good;
}

static void test_commands_have_what_the_container_has(void **state) {
    (void)state;
    apart(check_powers);
}

/* A root directory with the machine's programs; its own processes have few capabilities. */
static bool make_directory_root(const char *root) {
    static const char *const names[] = {"usr", "bin", "lib", "lib64", "proc"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cleanup_free char *from = xasprintf("/%s", names[i]), *to = xasprintf("%s/%s", root, names[i]);
        if (access(from, F_OK) == 0 && (mkdir(to, 0755) != 0 || mount(from, to, NULL, MS_BIND, NULL) != 0))
            return false;
    }
    return true;
}

static bool check_directory(void) {
    struct target target;
    char expected[80];
    cleanup_free char *root = xasprintf("%s/root", work);
    if (!HOLDS(mkdir(root, 0755) == 0) || !HOLDS(mount("none", root, "tmpfs", 0, NULL) == 0) ||
        !HOLDS(make_directory_root(root)) || !HOLDS(target_of_directory(&target, root, &mistake)))
        return false;
    bool good = says(&target, "chroot / true 2>&- || echo refused", "refused\n"); /* nobody is there yet */
    int ready[2];
    char byte;
    if (!HOLDS(pipe(ready) == 0))
        return false;
    pid_t resident = fork();
    if (resident == 0) {
        if (chroot(root) == 0 && capabilities_limit(KEPT) && write(ready[1], "x", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    good = good && HOLDS(read(ready[0], &byte, 1) == 1);
    snprintf(expected, sizeof expected, "CapBnd:%016llx\n", (unsigned long long)KEPT);
    good = good && says(&target, "grep CapBnd /proc/self/status | tr -d '\\t'", expected);
    kill(resident, SIGKILL);
    waitpid(resident, NULL, 0);
    target_close(&target);
    return good;
}

static void test_commands_have_what_a_root_directory_has(void **state) {
    (void)state;
    apart(check_directory);
}

/* ---- what is beside it ---- */

static bool staged(struct stage *stage, const char *script, const char *expected) {
    struct command_result result;
    const char *const arguments[] = {"sh", "-c", script, NULL};
    const struct command command = {.arguments = arguments, .timeout_seconds = 60};
    bool good = HOLDS(stage_run(stage, &command, STAGE_ONLINE, &result, &mistake));
    if (good && strcmp(result.output, expected) != 0)
        fprintf(stderr, "%s: \"%s\", not \"%s\"\n", script, result.output, expected);
    good = good && strcmp(result.output, expected) == 0;
    command_result_free(&result);
    return good;
}

/* The container's downloader is no way into the helper's network, nor to services that listen on local sockets. */
static bool check_network(void) {
    struct target target;
    struct stage stage;
    char link[64], space[64] = "";
    pid_t container = start_container(NULL);
    if (!HOLDS(container > 0) || !HOLDS(target_of_process(&target, container, &mistake)))
        return false;
    cleanup_free char *scratch = xasprintf("%s/stage", work), *problem = stage_problem(&target, scratch);
    if (problem != NULL)
        _exit(77);
    snprintf(link, sizeof link, "/proc/%d/ns/net", container);
    ssize_t length = readlink(link, space, sizeof space - 1);
    cleanup_free char *expected = xasprintf("%.*s\n", (int)length, space);
    bool good =
        HOLDS(stage_open(&stage, &target, scratch, 3, &mistake)) &&
        staged(&stage, "readlink /proc/self/ns/net", expected) &&
        staged(&stage, "python3 -c 'import socket\ntry: socket.socket(socket.AF_UNIX)\nexcept OSError: print(1)'",
               "1\n");
    stage_close(&stage);
    kill(container, SIGKILL);
    waitpid(container, NULL, 0);
    target_close(&target);
    return good;
}

static void test_downloads_use_the_containers_network(void **state) {
    (void)state;
    apart(check_network);
}

/* A device node of the machine's disk, made where nobody can open it, would be committed to where somebody can. */
static bool check_devices(void) {
    struct target target;
    struct changes changes;
    cleanup_free char *root = xasprintf("%s/target", work), *upper = xasprintf("%s/upper", work);
    cleanup_free char *node = xasprintf("%s/disk", upper), *old = xasprintf("%s/disk", root);
    const struct stage stage = {.target = &target, .upper = upper, .root = -1};
    if (!HOLDS(mkdir(root, 0755) == 0) || !HOLDS(mkdir(upper, 0755) == 0) ||
        !HOLDS(mknod(node, S_IFBLK | 0600, makedev(7, 0)) == 0) || !HOLDS(target_of_directory(&target, root, &mistake)))
        return false;
    bool good = HOLDS(!changes_read(&changes, &stage, &mistake)) && HOLDS(strstr(mistake.text, "device node") != NULL);
    good = good && HOLDS(mknod(old, S_IFBLK | 0600, makedev(7, 1)) == 0) &&
           HOLDS(!changes_read(&changes, &stage, &mistake));
    good = good && HOLDS(unlink(old) == 0) && HOLDS(mknod(old, S_IFBLK | 0640, makedev(7, 0)) == 0) &&
           HOLDS(changes_read(&changes, &stage, &mistake)) && HOLDS(changes.count == 1);
    if (good)
        changes_free(&changes);
    target_close(&target);
    return good;
}

static void test_no_device_node_is_brought(void **state) {
    (void)state;
    apart(check_devices);
}

static char *writable;

static bool confine(void *context, struct mistake *why) {
    (void)context;
    return confine_reader(writable, why);
}

static bool confined(const char *script, const char *expected) {
    const char *const arguments[] = {"sh", "-c", script, NULL};
    const struct command command = {.arguments = arguments, .timeout_seconds = 60, .enter = confine};
    struct command_result result;
    bool good = HOLDS(command_run(&command, &result, &mistake));
    if (good && strcmp(result.output, expected) != 0)
        fprintf(stderr, "%s: \"%s\", not \"%s\"\n", script, result.output, expected);
    good = good && strcmp(result.output, expected) == 0;
    command_result_free(&result);
    return good;
}

/* Whoever takes over our analyser by a program that it reads has nothing but the policy that it writes. */
static bool check_reader(void) {
    writable = xasprintf("%s/written", work);
    cleanup_free char *beside = xasprintf("echo x 2>&- >%s/beside || echo refused", work);
    cleanup_free char *inside = xasprintf("echo x >%s/file; cat %s/file", writable, writable);
    cleanup_free char *again = xasprintf("mount -o remount,rw,bind / 2>&- || echo refused");
    cleanup_free char *policygen = realpath("build/policygen", NULL);
    cleanup_free char *analysis =
        xasprintf("%s --image / --output %s --cache %s/cache /bin/true >%s/log 2>&1 && ls %s | grep -c policy",
                  policygen, writable, writable, writable, writable);
    bool good =
        HOLDS(mkdir(writable, 0700) == 0) && HOLDS(policygen != NULL) && confined(inside, "x\n") &&
        confined(beside, "refused\n") && confined(again, "refused\n") &&
        confined("echo $$", "1\n") /* nobody else can be signalled */ &&
        confined("cat /proc/1/environ 2>&- >&2 || echo refused", "refused\n") &&
        confined("grep -E '^Cap(Prm|Bnd)' /proc/self/status | tr -d '\t'",
                 "CapPrm:0000000000000000\nCapBnd:0000000000000000\n") &&
        confined("python3 -c 'import socket\ntry: socket.socket(socket.AF_UNIX)\nexcept OSError: print(1)'", "1\n") &&
        confined(analysis, "1\n");
    free(writable);
    return good;
}

static void test_a_reader_of_hostile_programs_has_nothing(void **state) {
    (void)state;
    apart(check_reader);
}

/* ---- busy for ever ---- */

/* Two files of holes, larger than any disk, are not read to their ends. */
static bool check_holes(void) {
    struct target target;
    struct changes changes;
    cleanup_free char *root = xasprintf("%s/holes", work), *upper = xasprintf("%s/holes-upper", work);
    const struct stage stage = {.target = &target, .upper = upper, .root = -1};
    if (!HOLDS(mkdir(root, 0755) == 0) || !HOLDS(mkdir(upper, 0755) == 0) ||
        !HOLDS(mount("none", root, "tmpfs", 0, NULL) == 0) || !HOLDS(mount("none", upper, "tmpfs", 0, NULL) == 0) ||
        !HOLDS(target_of_directory(&target, root, &mistake)))
        return false;
    for (int i = 0; i < 2; i++) {
        cleanup_free char *path = xasprintf("%s/file", i == 0 ? root : upper);
        cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (!HOLDS(ftruncate(fd, INT64_MAX / 2) == 0))
            return false;
    }
    bool good = HOLDS(changes_read(&changes, &stage, &mistake)) && HOLDS(changes.count == 1);
    if (good)
        changes_free(&changes);
    target_close(&target);
    return good;
}

static void test_holes_are_not_read(void **state) {
    (void)state;
    apart(check_holes);
}

/* A file system of five gigabytes that takes no room, or false. */
static bool mount_large(const char *place) {
    cleanup_free char *image = xasprintf("%s/image", work);
    cleanup_free char *script =
        xasprintf("truncate -s 5G %s && mkfs.ext4 -q -O ^has_journal -E lazy_itable_init=1 %s && "
                  "mount -o loop %s %s",
                  image, image, image, place);
    const char *const arguments[] = {"sh", "-c", script, NULL};
    struct command_result result;
    bool good = mkdir(place, 0700) == 0 &&
                command_run(&(struct command){.arguments = arguments, .timeout_seconds = 60}, &result, &mistake);
    command_result_free(&result);
    return good;
}

/* The journal needs the disk that the stage is on. */
static bool check_disk(void) {
    struct target target;
    struct stage stage;
    struct command_result result = {.output = NULL};
    cleanup_free char *place = xasprintf("%s/large", work), *scratch = xasprintf("%s/stage", place);
    if (!mount_large(place)) {
        print_message("skip disk: %s\n", mistake.text);
        _exit(77);
    }
    const char *const arguments[] = {"sh", "-c", "fallocate -l 4500M /root/huge && exec sleep 1000", NULL};
    bool good =
        HOLDS(target_of_directory(&target, "/", &mistake)) && HOLDS(stage_open(&stage, &target, scratch, 3, &mistake));
    if (good)
        good = HOLDS(!stage_run(&stage, &(struct command){.arguments = arguments, .timeout_seconds = 60}, STAGE_OFFLINE,
                                &result, &mistake)) &&
               HOLDS(strstr(mistake.text, "less than 256 MiB free") != NULL);
    command_result_free(&result);
    stage_close(&stage);
    umount2(place, MNT_DETACH);
    return good;
}

static void test_a_stage_does_not_fill_the_disk(void **state) {
    (void)state;
    apart(check_disk);
}

/* A process that lies where its environment should be read is another user's, and is not looked at. */
static bool check_marks(void) {
    pid_t processes[2];
    for (int i = 0; i < 2; i++) {
        int ready[2];
        char byte;
        if (!HOLDS(pipe(ready) == 0))
            return false;
        processes[i] = fork();
        if (processes[i] == 0) {
            char *const environment[] = {COMMAND_MARK "=991", NULL};
            char *const arguments[] = {"sh", "-c", "echo >&3; exec sleep 1000", NULL};
            dup2(ready[1], 3);
            if (i == 1 && setuid(65534) != 0)
                _exit(1);
            execve("/bin/sh", arguments, environment);
            _exit(1);
        }
        if (!HOLDS(read(ready[0], &byte, 1) == 1))
            return false;
    }
    bool good = HOLDS(command_kill_marked(991, &mistake));
    int status;
    good = good && HOLDS(waitpid(processes[0], &status, 0) == processes[0]) && HOLDS(WIFSIGNALED(status)) &&
           HOLDS(waitpid(processes[1], &status, WNOHANG) == 0);
    kill(processes[1], SIGKILL);
    waitpid(processes[1], &status, 0);
    return good;
}

static void test_marks_of_other_users_are_not_looked_for(void **state) {
    (void)state;
    apart(check_marks);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number_of_another_process_is_not_entered),
        cmocka_unit_test(test_a_container_is_one_target),
        cmocka_unit_test(test_a_service_with_less_in_sight_is_of_the_system),
        cmocka_unit_test(test_the_root_directory_of_a_user_is_no_target),
        cmocka_unit_test(test_the_socket_is_open_from_the_start),
        cmocka_unit_test(test_words_of_the_target_command_no_terminal),
        cmocka_unit_test(test_commands_have_what_the_container_has),
        cmocka_unit_test(test_commands_have_what_a_root_directory_has),
        cmocka_unit_test(test_downloads_use_the_containers_network),
        cmocka_unit_test(test_no_device_node_is_brought),
        cmocka_unit_test(test_a_reader_of_hostile_programs_has_nothing),
        cmocka_unit_test(test_holes_are_not_read),
        cmocka_unit_test(test_a_stage_does_not_fill_the_disk),
        cmocka_unit_test(test_marks_of_other_users_are_not_looked_for),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
