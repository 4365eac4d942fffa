/* Commits in hostile and busy targets: what is refused, and that nothing was touched then. The upper layer of a stage is
 * laid out by hand here; tests/integration/commit.sh has real stages, and kills.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/util.h"
#include "tools/patch/commit.h"
#include "tools/patch/manifest.h"

#define INCIDENT 12

static char work[] = "/tmp/pinion-commit-XXXXXX";
static struct target target;
static struct stage stage;
static struct changes changes;
static struct mistake mistake;

/* ---- trees ---- */

static void make_at(const char *tree, const char *path, const char *text) {
    cleanup_free char *full = xasprintf("%s/%s%s", work, tree, path);
    size_t length = strlen(full);
    if (full[length - 1] == '/') {
        full[length - 1] = '\0';
        assert_int_equal(mkdir(full, 0755), 0);
        return;
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void old(const char *path, const char *text) {
    make_at("root", path, text);
}

static void new (const char *path, const char *text) {
    make_at("upper", path, text);
}

static void whiteout(const char *path) {
    cleanup_free char *full = xasprintf("%s/upper%s", work, path);
    assert_int_equal(mknod(full, S_IFCHR, 0), 0);
}

static bool holds(const char *path, const char *text) {
    size_t size;
    cleanup_free char *full = xasprintf("%s/root%s", work, path);
    cleanup_free char *content = file_read(full, 1000, &size);
    return text == NULL ? content == NULL : content != NULL && strcmp(content, text) == 0;
}

static int set_up(void **state) {
    (void)state;
    if (geteuid() != 0)
        return 0;
    memcpy(work + strlen(work) - 6, "XXXXXX", 6);
    if (mkdtemp(work) == NULL)
        return 1;
    old("/", "");
    old("/etc/", "");
    old("/var/", "");
    old("/var/lib/", "");
    new ("/", "");
    new ("/etc/", "");
    cleanup_free char *root = xasprintf("%s/root", work);
    stage = (struct stage){.target = &target, .upper = xasprintf("%s/upper", work), .root = -1, .incident = INCIDENT};
    return !target_of_directory(&target, root, &mistake);
}

static int tear_down(void **state) {
    (void)state;
    if (geteuid() != 0)
        return 0;
    changes_free(&changes);
    free(stage.upper);
    target_close(&target);
    return !stage_remove_left(work, &mistake);
}

static void need_root(void) {
    if (geteuid() == 0)
        return;
    print_message("skip: needs root\n");
    skip();
}

static bool read_changes(void) {
    changes_free(&changes);
    return changes_read(&changes, &stage, &mistake);
}

static bool commit(void) {
    return commit_make(&changes, &stage, NULL, &mistake);
}

static bool undo(void) {
    return commit_undo(&target, INCIDENT, &mistake);
}

static bool place_is_gone(void) {
    cleanup_free char *place = xasprintf("%s/root/var/lib/pinion", work);
    return access(place, F_OK) != 0;
}

/* ---- what is a change ---- */

static void test_kinds_in_their_order(void **state) {
    (void)state;
    need_root();
    old("/etc/gone/", "");
    old("/etc/gone/inside", "x");
    old("/etc/same", "same");
    old("/etc/other", "before");
    new ("/etc/other", "after!");
    new ("/etc/added/", "");
    new ("/etc/added/file", "file");
    new ("/tmp/", "");
    new ("/tmp/left", "out");
    new ("/var/", "");
    new ("/var/cache/", "");
    new ("/var/cache/pinion/", "");
    whiteout("/etc/gone");
    whiteout("/etc/never-was");
    assert_true(read_changes());
    static const struct {
        enum change_kind kind;
        const char *path;
    } expected[] = {{CHANGE_CREATE, "/etc/added"},
                    {CHANGE_CREATE, "/etc/added/file"},
                    {CHANGE_REPLACE, "/etc/other"},
                    {CHANGE_REMOVE, "/etc/gone/inside"},
                    {CHANGE_REMOVE, "/etc/gone"}};
    assert_int_equal(changes.count, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < changes.count; i++) {
        assert_string_equal(changes.items[i].path, expected[i].path);
        assert_int_equal(changes.items[i].kind, expected[i].kind);
    }
    assert_true(changes.bytes_before > 0 && changes.bytes_after > 0);
}

static void test_opened_only_is_no_change(void **state) {
    (void)state;
    need_root();
    struct timespec times[2] = {{.tv_sec = 100}, {.tv_sec = 200}};
    old("/etc/file", "content");
    new ("/etc/file", "content");
    cleanup_free char *before = xasprintf("%s/root/etc/file", work), *after = xasprintf("%s/upper/etc/file", work);
    utimensat(AT_FDCWD, before, times, 0);
    utimensat(AT_FDCWD, after, times, 0);
    assert_true(read_changes());
    assert_int_equal(changes.count, 0);
    /* The same size and time are not the same content. */
    new ("/etc/file", "CONTENT");
    utimensat(AT_FDCWD, after, times, 0);
    assert_true(read_changes());
    assert_int_equal(changes.count, 1);
    assert_int_equal(changes.items[0].kind, CHANGE_REPLACE);
    new ("/etc/file", "content");
    utimensat(AT_FDCWD, after, times, 0);
    assert_int_equal(chmod(after, 04755), 0);
    assert_true(read_changes());
    assert_int_equal(changes.count, 1);
    assert_int_equal(changes.items[0].kind, CHANGE_METADATA);
}

static bool check_mount(void) {
    cleanup_free char *etc = xasprintf("%s/root/etc", work);
    return mount("etc", etc, "tmpfs", 0, NULL) == 0 && !read_changes() &&
           strstr(mistake.text, "/etc\" is on a mount of its own") != NULL;
}

static void test_mounts_in_the_target_are_not_changed(void **state) {
    (void)state;
    need_root();
    new ("/etc/file", "x");
    pid_t child = fork();
    if (child == 0) {
        /* The target's descriptor is of the mounts of before. */
        cleanup_free char *root = xasprintf("%s/root", work);
        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
            _exit(77);
        target_close(&target);
        _exit(target_of_directory(&target, root, &mistake) && check_mount() ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

/* ---- others at work ---- */

static void test_file_changed_meanwhile(void **state) {
    (void)state;
    need_root();
    old("/etc/busy", "before");
    old("/etc/other", "other");
    new ("/etc/busy", "patched");
    new ("/etc/other", "patched");
    assert_true(read_changes());
    old("/etc/busy", "by somebody else");
    assert_false(commit());
    assert_non_null(strstr(mistake.text, "/root/etc/busy\" was changed by somebody else"));
    assert_true(place_is_gone());
    assert_true(undo());
    assert_true(holds("/etc/busy", "by somebody else") && holds("/etc/other", "other"));
}

static void test_file_made_meanwhile(void **state) {
    (void)state;
    need_root();
    new ("/etc/new", "patched");
    assert_true(read_changes());
    old("/etc/new", "by somebody else");
    assert_false(commit());
    assert_true(undo());
    assert_true(holds("/etc/new", "by somebody else"));
}

/* A directory that has to go has got an entry: found in the middle of the commit. */
static void test_failure_in_the_middle(void **state) {
    (void)state;
    need_root();
    old("/etc/gone/", "");
    old("/etc/file", "before");
    new ("/etc/file", "after");
    new ("/etc/made", "made");
    whiteout("/etc/gone");
    assert_true(read_changes());
    old("/etc/gone/late", "late");
    assert_false(commit());
    assert_non_null(strstr(mistake.text, "/etc/gone"));
    assert_true(holds("/etc/file", "after"));
    assert_true(commit_is_under_way(&target, INCIDENT));
    assert_true(undo());
    assert_true(holds("/etc/file", "before") && holds("/etc/made", NULL) && holds("/etc/gone/late", "late"));
    assert_true(place_is_gone());
}

static bool is_policy(const char *path) {
    return strcmp(path, "/etc/z/policy") == 0;
}

static void test_some_come_first(void **state) {
    (void)state;
    need_root();
    old("/etc/a/", "");
    new ("/etc/a", "in place of a directory");
    new ("/etc/b", "b");
    new ("/etc/z/", "");
    new ("/etc/z/policy", "policy");
    new ("/etc/z/other", "other");
    assert_true(read_changes());
    old("/etc/a/late", "late"); /* the first change but the policy fails */
    assert_false(commit_make(&changes, &stage, is_policy, &mistake));
    assert_true(holds("/etc/z/policy", "policy") && holds("/etc/z/other", NULL) && holds("/etc/b", NULL));
    assert_true(undo());
    assert_true(holds("/etc/z/policy", NULL) && holds("/etc/a/late", "late"));
}

/* What a program did with the new files goes with them. */
static void test_undo_after_programs_have_run(void **state) {
    (void)state;
    need_root();
    old("/etc/file", "before");
    old("/etc/gone", "gone");
    new ("/etc/file", "after");
    new ("/etc/made/", "");
    new ("/etc/made/file", "x");
    whiteout("/etc/gone");
    assert_true(read_changes() && commit());
    old("/etc/file", "written to");
    old("/etc/gone", "made again");
    old("/etc/made/cache", "made by the program");
    old("/etc/made/deep/", "");
    assert_true(undo());
    assert_true(holds("/etc/file", "before") && holds("/etc/gone", "gone") && holds("/etc/made/cache", NULL));
    cleanup_free char *made = xasprintf("%s/root/etc/made", work);
    assert_int_equal(access(made, F_OK), -1);
}

static void test_no_second_commit(void **state) {
    (void)state;
    need_root();
    new ("/etc/file", "after");
    assert_true(read_changes() && commit());
    cleanup_free char *file = xasprintf("%s/root/etc/file", work);
    unlink(file);
    assert_false(commit());
    assert_true(undo());
    assert_true(holds("/etc/file", NULL));
    /* Without a commit there is nothing to undo or keep, and nothing is left. */
    assert_true(undo() && commit_keep(&target, INCIDENT, &mistake));
    assert_false(commit_is_under_way(&target, INCIDENT));
    assert_true(place_is_gone());
}

static void test_undo_after_packages_were_installed(void **state) {
    (void)state;
    need_root();
    old("/var/lib/dpkg/", "");
    old("/var/lib/dpkg/status", "before");
    old("/etc/file", "before");
    new ("/var/", "");
    new ("/var/lib/", "");
    new ("/var/lib/dpkg/", "");
    new ("/var/lib/dpkg/status", "after");
    new ("/etc/file", "after");
    assert_true(read_changes() && commit());
    cleanup_free char *path = xasprintf("%s/root/var/lib/dpkg/status", work);
    assert_true(atomic_file_write(path, 0644, "later", 5));
    assert_false(undo());
    assert_non_null(strstr(mistake.text, "packages were installed in"));
    assert_true(holds("/etc/file", "after") && holds("/var/lib/dpkg/status", "later"));
    assert_true(commit_is_under_way(&target, INCIDENT));
    assert_true(commit_keep(&target, INCIDENT, &mistake));
}

/* A directory without a manifest is what a helper leaves that is killed right at the beginning. */
static void test_place_left_at_the_beginning(void **state) {
    (void)state;
    need_root();
    cleanup_free char *pinion = xasprintf("%s/root/var/lib/pinion", work);
    cleanup_free char *rollback = xasprintf("%s/rollback", pinion), *place = xasprintf("%s/%d", rollback, INCIDENT);
    mkdir(pinion, 0700);
    mkdir(rollback, 0700);
    mkdir(place, 0700);
    new ("/etc/file", "after");
    assert_true(read_changes() && commit());
    assert_true(holds("/etc/file", "after") && undo());
    assert_true(holds("/etc/file", NULL) && place_is_gone());
}

/* ---- hostile targets ---- */

static void test_rollback_directory_of_others(void **state) {
    (void)state;
    need_root();
    new ("/etc/file", "after");
    assert_true(read_changes());
    cleanup_free char *pinion = xasprintf("%s/root/var/lib/pinion", work);
    cleanup_free char *rollback = xasprintf("%s/rollback", pinion), *place = xasprintf("%s/%d", rollback, INCIDENT);
    assert_int_equal(symlink("../../etc", pinion), 0);
    assert_false(commit());
    assert_false(undo());
    assert_int_equal(unlink(pinion), 0);
    old("/var/lib/pinion/", "");
    assert_int_equal(chown(pinion, 1000, 1000), 0);
    assert_false(commit());
    assert_non_null(strstr(mistake.text, "written to by others than root"));
    assert_int_equal(chown(pinion, 0, 0), 0);
    old("/var/lib/pinion/rollback/", "");
    assert_int_equal(chmod(rollback, 0755), 0);
    assert_false(commit());
    assert_false(commit_keep(&target, INCIDENT, &mistake));
    assert_int_equal(chmod(rollback, 0700), 0);
    assert_int_equal(symlink("/etc", place), 0);
    assert_false(commit());
    assert_false(undo());
    assert_true(commit_is_under_way(&target, INCIDENT)); /* somebody has to look */
    assert_true(holds("/etc/file", NULL));
}

static void test_damaged_manifest(void **state) {
    (void)state;
    need_root();
    old("/etc/file", "before");
    new ("/etc/file", "after");
    assert_true(read_changes() && commit());
    cleanup_free char *path = xasprintf("%s/root" COMMIT_DIRECTORY "/%d/manifest", work, INCIDENT);
    cleanup_fd int fd = open(path, O_RDWR);
    char byte;
    assert_int_equal(pread(fd, &byte, 1, 100), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 100), 1);
    assert_false(undo());
    assert_non_null(strstr(mistake.text, "it is damaged"));
    assert_true(commit_is_under_way(&target, INCIDENT));
    assert_true(holds("/etc/file", "after"));
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 100), 1);
    assert_true(undo());
    assert_true(holds("/etc/file", "before"));
}

/* With the right digest, but of another incident or with a path that leads out. */
static void test_forged_manifest(void **state) {
    (void)state;
    static char *const paths[] = {"/../../etc/passwd", "/a/./b", "/a//b", "relative", "/", "/a/"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct manifest_entry entry = {.kind = CHANGE_CREATE, .path = paths[i]};
        struct manifest manifest = {.incident = INCIDENT, .entries = &entry, .entry_count = 1}, read = {.incident = 0};
        size_t size;
        cleanup_free char *data = manifest_write(&manifest, &size);
        assert_false(manifest_parse(data, size, &read, &mistake));
        assert_null(read.entries);
    }
    static char path_name[] = "/etc", name[] = "trusted.overlay.redirect", good_name[] = "trusted.other";
    for (int i = 0; i < 2; i++) {
        struct attribute attribute = {.name = i == 0 ? name : good_name, .value = (uint8_t *)path_name, .size = 4};
        struct manifest_entry entry = {
            .kind = CHANGE_METADATA, .path = path_name, .attributes = {.items = &attribute, .count = 1}};
        struct manifest manifest = {.incident = INCIDENT, .entries = &entry, .entry_count = 1}, read = {.incident = 0};
        size_t size;
        cleanup_free char *data = manifest_write(&manifest, &size);
        assert_int_equal(manifest_parse(data, size, &read, &mistake), i);
        manifest_free(&read);
    }
    need_root();
    new ("/etc/file", "after");
    assert_true(read_changes() && commit());
    cleanup_free char *path = xasprintf("%s/root" COMMIT_DIRECTORY "/%d/manifest", work, INCIDENT);
    struct manifest other = {.incident = INCIDENT + 1};
    size_t size;
    cleanup_free char *data = manifest_write(&other, &size);
    assert_true(atomic_file_write(path, 0600, data, size));
    assert_false(undo());
    assert_non_null(strstr(mistake.text, "another incident"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kinds_in_their_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_opened_only_is_no_change, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mounts_in_the_target_are_not_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_changed_meanwhile, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_made_meanwhile, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failure_in_the_middle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_some_come_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_undo_after_programs_have_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_second_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_undo_after_packages_were_installed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_place_left_at_the_beginning, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rollback_directory_of_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_manifest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forged_manifest, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
