/* The order of versions is dpkg's and apk's own, and the databases of both are read whatever they hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "runtime/util.h"
#include "tools/patch/package.h"

struct pair {
    const char *a;
    int order;
    const char *b;
};

static int sign(int number) {
    return (number > 0) - (number < 0);
}

static void check_order(enum package_manager manager, const struct pair *pair) {
    int order = sign(package_compare(manager, pair->a, pair->b));
    int back = sign(package_compare(manager, pair->b, pair->a));
    if (order != pair->order || back != -pair->order)
        fail_msg("\"%s\" and \"%s\": %d and back %d, not %d", pair->a, pair->b, order, back, pair->order);
}

static const struct pair debian_pairs[] = {
    {"1.0", 0, "1.0"},
    {"1.0", 0, "1.0-0"},
    {"1.0", 0, "0:1.0"},
    {"1.00", 0, "1.0"},
    {"1.0", -1, "1.1"},
    {"1.9", -1, "1.10"},
    {"1.0~rc1", -1, "1.0"},
    {"1.0~rc1", -1, "1.0~rc2"},
    {"1.0~~", -1, "1.0~"},
    {"1.0~", -1, "1.0"},
    {"1.0", -1, "1.0a"},
    {"1.0a", -1, "1.0+b"},
    {"1.0a", -1, "1.0.b"},
    {"2.0", -1, "1:1.0"},
    {"9:1", -1, "10:0"},
    {"1.0-1", -1, "1.0-1+deb12u1"},
    {"1.0-1+deb12u2", -1, "1.0-1+deb12u10"},
    {"1.0-1~deb11u1", -1, "1.0-1"},
    {"1.0-1-2", 1, "1.0-1"},
    {"3.0.15-1~deb12u1", -1, "3.0.17-1~deb12u2"},
    {"1.99999999999999999999998", -1, "1.99999999999999999999999"},
    {"0", 1, ""},
    {"", -1, "0a"},
    {"~", -1, ""},
};

static void test_the_order_of_debian_versions(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(debian_pairs) / sizeof(debian_pairs[0]); i++)
        if (debian_pairs[i].b[0] != '\0') /* an empty text is none of Debian's, and equal to 0 */
            check_order(PACKAGES_DPKG, &debian_pairs[i]);
}

/* From the tests of apk itself come the forms, not the lines. */
static const struct pair apk_pairs[] = {
    {"1.0", 0, "1.0"},
    {"1.0", -1, "1.1"},
    {"1.9", -1, "1.10"},
    {"1.01", -1, "1.1"},
    {"01.1", 0, "1.1"},
    {"1.0", -1, "1.0.1"},
    {"1.0", -1, "1.0a"},
    {"1.0a", -1, "1.0b"},
    {"1.0b", -1, "1.0.1"},
    {"1.0_rc1", -1, "1.0"},
    {"1.0_alpha", -1, "1.0_beta"},
    {"1.0_pre3", -1, "1.0_rc1"},
    {"1.0_rc1", -1, "1.0_rc2"},
    {"1.0", -1, "1.0_p1"},
    {"1.0_p1", -1, "1.0_p10"},
    {"1.0_git20220101", -1, "1.0_git20230101"},
    {"1.0-r0", -1, "1.0-r1"},
    {"1.0-r9", -1, "1.0-r10"},
    {"1.0", -1, "1.0-r0"},
    {"1.0_rc1-r5", -1, "1.0-r0"},
    {"1.0~abc", 1, "1.0-r1"},
    {"3.1.4-r5", -1, "3.1.4-r6"},
    {"3.1.8-r0", 1, "3.1.4-r6"},
    {"1.99999999999999999999998", -1, "1.99999999999999999999999"},
};

static void test_the_order_of_apk_versions(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(apk_pairs) / sizeof(apk_pairs[0]); i++)
        check_order(PACKAGES_APK, &apk_pairs[i]);
}

/* dpkg answers for pairs of versions of this machine's packages: each with the next ones, and with changed ones. */
#define SHELL_LISTS                                                                                            \
    "dpkg-query --show --showformat='${Version}\\n' | sort -u | awk '{ v[NR] = $0 } END {"                     \
    " for (i = 1; i <= NR; i++) { print v[i], v[i % NR + 1]; print v[i], v[(i * 7919) % NR + 1];"              \
    " print v[i], v[i] \"~bpo1\"; print v[i], v[i] \"+b1\"; w = v[i]; sub(/[0-9]/, \"10\", w); print v[i], w;" \
    " w = v[i]; sub(/[.]/, \"~\", w); print v[i], w; w = v[i]; sub(/-/, \"a-\", w); print v[i], w } }' |"      \
    " while read -r a b; do"                                                                                   \
    "   if dpkg --compare-versions \"$a\" lt \"$b\"; then echo \"-1 $a $b\";"                                  \
    "   elif dpkg --compare-versions \"$a\" eq \"$b\"; then echo \"0 $a $b\"; else echo \"1 $a $b\"; fi; done"

static void test_the_order_is_that_of_dpkg(void **state) {
    (void)state;
    FILE *answers = popen(SHELL_LISTS, "r"); // NOLINT(cert-env33-c,bugprone-command-processor)
    assert_non_null(answers);
    char a[256], b[256];
    size_t count = 0;
    for (int order; fscanf(answers, "%d %255s %255s", &order, a, b) == 3; count++)
        check_order(PACKAGES_DPKG, &(struct pair){a, order, b});
    int status = pclose(answers);
    if (count == 0 && WIFEXITED(status)) {
        print_message("no dpkg here\n");
        skip();
    }
    assert_true(count > 100);
}

/* ---- databases ---- */

struct root {
    char *directory;
    struct target target;
};

static void put(const struct root *root, const char *path, const char *text) {
    cleanup_free char *whole = xasprintf("%s%s", root->directory, path);
    for (char *slash = whole + strlen(root->directory); (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
        *slash = '\0';
        mkdir(whole, 0755);
    }
    assert_true(atomic_file_write(whole, 0644, text, strlen(text)));
}

static struct root make_root(void) {
    struct root root = {.directory = xstrdup("/tmp/pinion-package-XXXXXX")};
    struct mistake mistake;
    assert_non_null(mkdtemp(root.directory));
    if (!target_of_directory(&root.target, root.directory, &mistake))
        fail_msg("%s", mistake.text);
    return root;
}

static void remove_root(struct root *root) {
    cleanup_free char *command = xasprintf("rm -rf '%s'", root->directory);
    target_close(&root->target);
    assert_int_equal(system(command), 0); // NOLINT(cert-env33-c,bugprone-command-processor)
    free(root->directory);
}

static void check_version(const struct root *root, const char *name, const char *architecture, const char *expected) {
    cleanup_free char *version = package_installed(&root->target, name, architecture);
    if (expected == NULL)
        assert_null(version);
    else
        assert_string_equal(version != NULL ? version : "(none)", expected);
}

static void check_owner(const struct root *root, const char *path, const char *expected) {
    cleanup_free char *owner = package_owner(&root->target, path);
    if (expected == NULL)
        assert_null(owner);
    else
        assert_string_equal(owner != NULL ? owner : "(none)", expected);
}

static const char dpkg_status[] =
    "Package: libone\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.2-3\n"
    "Description: Package: trap\n Version: 9\n\n"
    "Package: libone\nStatus: install ok installed\nArchitecture: i386\nVersion: 1.2-2\n\n"
    "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 4\n\n"
    "Package: half\nStatus: install ok half-configured\nArchitecture: all\nVersion: 5\n\n"
    "Package: kept\nStatus: hold ok installed\nArchitecture: all\nVersion: 6";

static bool count_conditions(const struct package *package, void *context) {
    unsigned *seen = context;
    *seen += 1 + (package->interrupted ? 16 : 0) + (package->held ? 256 : 0);
    if (package->interrupted)
        assert_string_equal(package->name, "half");
    if (package->held)
        assert_string_equal(package->name, "kept");
    return true;
}

static void test_dpkg_is_read(void **state) {
    (void)state;
    struct root root = make_root();
    put(&root, "/var/lib/dpkg/status", dpkg_status);
    put(&root, "/var/lib/dpkg/info/libone:amd64.list", "/.\n/lib\n/lib/libone.so.1\n/usr/share/one\n");
    put(&root, "/var/lib/dpkg/info/kept.list", "/.\n/usr/bin/kept\n");
    put(&root, "/var/lib/dpkg/info/kept.md5sums", "/usr/share/no-list\n");
    assert_int_equal(package_manager_of(&root.target), PACKAGES_DPKG);
    check_version(&root, "libone", "amd64", "1.2-3");
    check_version(&root, "libone", "i386", "1.2-2");
    check_version(&root, "libone", NULL, "1.2-3");
    check_version(&root, "libone", "arm64", NULL);
    check_version(&root, "kept", "amd64", "6");
    check_version(&root, "gone", NULL, NULL);
    check_version(&root, "lib", NULL, NULL);
    unsigned seen = 0;
    assert_true(package_each(&root.target, count_conditions, &seen));
    assert_int_equal(seen, 4 + 16 + 256);
    check_owner(&root, "/lib/libone.so.1", "libone");
    check_owner(&root, "/usr/lib/libone.so.1", "libone");
    check_owner(&root, "/bin/kept", "kept");
    check_owner(&root, "/usr/share/no-list", NULL);
    remove_root(&root);
}

static void test_apk_is_read(void **state) {
    (void)state;
    struct root root = make_root();
    put(&root, "/lib/apk/db/installed",
        "C:Q1x=\nP:musl\nV:1.2.4-r2\nA:x86_64\nI:622592\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\n\n"
        "P:busybox\nV:1.36.1-r5\nA:x86_64\nF:\nR:top\nF:bin\nR:busybox\n\n"
        "P:broken\nV:2-r0\nf:s\n");
    assert_int_equal(package_manager_of(&root.target), PACKAGES_APK);
    check_version(&root, "musl", NULL, "1.2.4-r2");
    check_version(&root, "broken", NULL, "2-r0");
    check_version(&root, "alpine", NULL, NULL);
    check_owner(&root, "/lib/ld-musl-x86_64.so.1", "musl");
    check_owner(&root, "/usr/bin/busybox", "busybox");
    check_owner(&root, "/top", "busybox");
    check_owner(&root, "/bin/musl", NULL);
    remove_root(&root);
}

static void test_a_hostile_root_hides_packages_at_most(void **state) {
    (void)state;
    struct root root = make_root();
    assert_int_equal(package_manager_of(&root.target), PACKAGES_NONE);
    check_version(&root, "libone", NULL, NULL);
    put(&root, "/var/lib/dpkg/x", "");
    cleanup_free char *status = xasprintf("%s/var/lib/dpkg/status", root.directory);
    assert_int_equal(mkfifo(status, 0644), 0);
    check_version(&root, "libone", NULL, NULL);
    unlink(status);
    /* Our own database is not read in its place. */
    assert_int_equal(symlink("../../../../../../../../../../var/lib/dpkg/status", status), 0);
    check_version(&root, "dpkg", NULL, NULL);
    unlink(status);
    put(&root, "/var/lib/dpkg/status",
        "Status:\nPackage\n\n\nPackage: a\nVersion: 1\nStatus: install ok\n\nPackage: b\n"
        "Status: install ok installed\n\n:\nVersion: 1\nStatus: install ok installed\n");
    check_version(&root, "a", NULL, NULL);
    check_version(&root, "b", NULL, NULL);
    remove_root(&root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_order_of_debian_versions),
        cmocka_unit_test(test_the_order_of_apk_versions),
        cmocka_unit_test(test_the_order_is_that_of_dpkg),
        cmocka_unit_test(test_dpkg_is_read),
        cmocka_unit_test(test_apk_is_read),
        cmocka_unit_test(test_a_hostile_root_hides_packages_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
