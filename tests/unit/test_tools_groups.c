/* Control groups: a successor is accounted for where the program before it was; our own memory is given back, nobody
 * else's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/util.h"
#include "tools/patch/groups.h"
#include "tools/patch/proc.h"

#define FILE_BYTES (32u << 20)

static char *group, *large; /* a control group that accounts for memory; a file */

static bool accounts_for_memory(const char *directory) {
    char text[256] = "";
    cleanup_free char *path = xasprintf("%s/cgroup.subtree_control", directory);
    cleanup_file FILE *file = fopen(path, "re");
    return file != NULL && fgets(text, sizeof text, file) != NULL && strstr(text, "memory") != NULL;
}

/* Where a group can be made that accounts for memory: below our own in version 1; version 2 has none below a group with
 * members, so the next further up that hands the memory on to its groups. NULL: nowhere. */
static char *parent_group(void) {
    cleanup_free char *text = process_text(PROCESS_OURS, "cgroup");
    char *at = strstr(text, ":memory:");
    if (at != NULL)
        return xasprintf("/sys/fs/cgroup/memory%.*s", (int)strcspn(at + 8, "\n"), at + 8);
    at = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (at == NULL)
        return NULL;
    at = strstr(at, "::") + 2;
    char *directory = xasprintf("/sys/fs/cgroup%.*s", (int)strcspn(at, "\n"), at);
    while (!accounts_for_memory(directory) && strlen(directory) > strlen("/sys/fs/cgroup"))
        *strrchr(directory, '/') = '\0';
    return directory;
}

static bool write_in(const char *name, const char *text) {
    cleanup_free char *path = xasprintf("%s/%s", group, name);
    cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static uint64_t used(void) {
    cleanup_free char *first = xasprintf("%s/memory.current", group);
    cleanup_free char *second = xasprintf("%s/memory.usage_in_bytes", group);
    cleanup_file FILE *file = fopen(access(first, F_OK) == 0 ? first : second, "re");
    unsigned long long bytes = 0;
    assert_true(file != NULL && fscanf(file, "%llu", &bytes) == 1);
    return bytes;
}

static bool can_give_back(void) {
    cleanup_free char *first = xasprintf("%s/memory.reclaim", group);
    cleanup_free char *second = xasprintf("%s/memory.force_empty", group);
    return access(first, W_OK) == 0 || access(second, W_OK) == 0;
}

static int set_up(void **state) {
    (void)state;
    cleanup_free char *parent = parent_group();
    group = xasprintf("%s/pinion-test-%d", parent != NULL ? parent : "", (int)getpid());
    large = xasprintf("/var/tmp/pinion-test-%d", (int)getpid());
    if (parent == NULL || mkdir(group, 0755) != 0)
        free(steal_pointer(&group));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(large);
    return group != NULL && rmdir(group) != 0;
}

static void need(bool condition, const char *what) {
    if (condition)
        return;
    print_message("skip: %s\n", what);
    skip();
}

/* A child in the group; it runs `work` and tells whether that was so. */
static bool holds_in_group(bool (*work)(void)) {
    pid_t child = fork();
    if (child == 0)
        _exit(write_in("cgroup.procs", "0") && work() ? 0 : 1);
    int status = -1;
    waitpid(child, &status, 0);
    return status == 0;
}

static bool same_groups(pid_t process) {
    cleanup_free char *ours = process_text(PROCESS_OURS, "cgroup");
    cleanup_free char *its = process_text(process, "cgroup");
    return strcmp(ours, its) == 0;
}

/* ---- another's ---- */

static void test_what_comes_after_is_where_the_first_was(void **state) {
    (void)state;
    need(group != NULL, "no control group can be made here");
    int tie[2];
    assert_int_equal(pipe(tie), 0);
    pid_t first = fork();
    if (first == 0) {
        char byte;
        close(tie[1]);
        _exit(write_in("cgroup.procs", "0") && read(tie[0], &byte, 1) == 0 ? 0 : 1);
    }
    while (same_groups(first))
        continue;
    cleanup_free char *its = process_text(first, "cgroup");
    struct groups groups;
    struct mistake mistake;
    assert_true(groups_open(&groups, first, &mistake));
    assert_int_equal(groups.count, 1);
    close(tie[0]);
    close(tie[1]);
    waitpid(first, NULL, 0);
    pid_t second = fork();
    if (second == 0) {
        bool joined = groups_join(&groups);
        cleanup_free char *now = process_text(PROCESS_OURS, "cgroup");
        _exit(joined && strcmp(now, its) == 0 ? 0 : 1);
    }
    int status;
    waitpid(second, &status, 0);
    assert_int_equal(status, 0);
    groups_close(&groups);
}

static void test_who_is_beside_us_has_nothing_to_join(void **state) {
    (void)state;
    struct groups groups;
    struct mistake mistake;
    assert_true(groups_open(&groups, getpid(), &mistake));
    assert_int_equal(groups.count, 0);
    groups_close(&groups);
}

static void test_a_process_that_has_ended_is_told(void **state) {
    (void)state;
    struct groups groups;
    struct mistake mistake;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    assert_false(groups_open(&groups, child, &mistake));
    assert_non_null(strstr(mistake.text, "has ended"));
}

/* ---- our own memory ---- */

/* The group's page cache holds it. */
static bool write_large(void) {
    cleanup_fd int fd = open(large, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cleanup_free char *block = xcalloc(1, 1u << 20);
    for (size_t i = 0; i < FILE_BYTES >> 20; i++)
        if (write(fd, block, 1u << 20) != 1 << 20)
            return false;
    return fsync(fd) == 0 && used() > FILE_BYTES / 2;
}

static bool gives_back(void) {
    if (!write_large())
        return false;
    groups_give_back();
    return used() < FILE_BYTES / 4;
}

static bool leaves_alone_what_is_shared(void) {
    pid_t other = fork();
    if (other == 0) {
        execl("/bin/sleep", "sleep", "60", (char *)NULL);
        _exit(127);
    }
    while (process_shares(other, PROCESS_OURS, "exe"))
        continue;
    bool good = write_large();
    groups_give_back();
    good = good && used() > FILE_BYTES / 2;
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    return good;
}

static void test_what_was_written_once_is_given_back(void **state) {
    (void)state;
    need(group != NULL && can_give_back(), "no control group here gives memory back when it is told to");
    assert_true(holds_in_group(gives_back));
}

static void test_what_is_shared_with_others_stays(void **state) {
    (void)state;
    need(group != NULL && can_give_back(), "no control group here gives memory back when it is told to");
    assert_true(holds_in_group(leaves_alone_what_is_shared));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_comes_after_is_where_the_first_was),
        cmocka_unit_test(test_who_is_beside_us_has_nothing_to_join),
        cmocka_unit_test(test_a_process_that_has_ended_is_told),
        cmocka_unit_test(test_what_was_written_once_is_given_back),
        cmocka_unit_test(test_what_is_shared_with_others_stays),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
