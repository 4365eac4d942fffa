/* What apt and a table of advisories say becomes names, versions and digests, or is refused: a root may say anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "runtime/util.h"
#include "tools/patch/advisories.h"
#include "tools/patch/suggest.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define DIGEST "3a3069e40533beeb9dd401b652d04f67af1a48fb6494873e2e0b1242935fc814"

static void test_what_apt_would_install_is_understood(void **state) {
    (void)state;
    struct upgrades upgrades;
    struct mistake mistake;
    assert_true(upgrades_parse(
        "Reading package lists...\nInst libssl3 [3.0.20-1~deb12u2] (3.0.22-1~deb12u2 "
        "Debian-Security:12/stable-security "
        "[amd64]) []\n"
        "Inst libc6:i386 [2.36-9] (2:2.36-10 Debian:12/stable, Debian-Security:12/stable-security [i386])\n"
        "Inst new-one (1 Debian:12/stable [all])\nConf libssl3 (3.0.22-1~deb12u2 Debian-Security [amd64])\n",
        &upgrades, &mistake));
    assert_int_equal(upgrades.count, 3);
    assert_string_equal(upgrades.items[0].name, "libssl3");
    assert_string_equal(upgrades.items[0].from, "3.0.20-1~deb12u2");
    assert_string_equal(upgrades.items[0].to, "3.0.22-1~deb12u2");
    assert_string_equal(upgrades.items[0].architecture, "amd64");
    assert_string_equal(upgrades.items[1].name, "libc6");
    assert_string_equal(upgrades.items[1].to, "2:2.36-10");
    assert_string_equal(upgrades.items[1].architecture, "i386");
    assert_null(upgrades.items[2].from);
    upgrades_free(&upgrades);
}

static void test_a_hostile_answer_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *output, *message;
    } rows[] = {
        {"Inst a;b [1] (2 X [amd64])\n", "not understood"},
        {"Inst ../../etc [1] (2 X [amd64])\n", "not understood"},
        {"Inst -oX [1] (2 X [amd64])\n", "not understood"},
        {"Inst libx [1] ($(reboot) X [amd64])\n", "not understood"},
        {"Inst libx [1] (2 X [amd64;x])\n", "not understood"},
        {"Inst libx [1] (2 X", "not understood"},
        {"Inst libx", "not understood"},
        {"Inst ", "not understood"},
        {"Inst libx [1] (2 X [amd64])\nRemv important [1]\n", "would remove a package (important"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct upgrades upgrades;
        struct mistake mistake;
        if (upgrades_parse(rows[i].output, &upgrades, &mistake))
            fail_msg("accepted: %s", rows[i].output);
        if (strstr(mistake.text, rows[i].message) == NULL)
            fail_msg("%s\nfor: %s", mistake.text, rows[i].output);
        assert_null(upgrades.items);
    }
}

#define STANZA(version, filename, size, digest)                                                     \
    "Package: libx\nVersion: " version "\nArchitecture: amd64\nFilename: " filename "\nSize: " size \
    "\nSHA256: " digest "\nDescription: x\n Filename: /etc/shadow\n"

static bool parse(const char *output, struct recipe_file *file) {
    struct upgrade upgrade = {"libx", "1", "2", "amd64"};
    struct mistake mistake;
    *file = (struct recipe_file){0};
    return archive_parse(output, &upgrade, file, &mistake);
}

static void test_an_archive_is_pinned_by_what_the_index_says(void **state) {
    (void)state;
    struct recipe_file file;
    /* The installed stanza, another version, and the one that is meant. */
    assert_true(parse("Package: libx\nStatus: install ok installed\nVersion: 2\n\n" STANZA(
                          "1", "pool/1.deb", "1", DIGEST) "\n" STANZA("2", "pool/2.deb", "4294967297", DIGEST) "\n",
                      &file));
    assert_string_equal(file.source, "pool/2.deb");
    assert_true(file.size == 4294967297u);
    assert_int_equal(file.sha256[0], 0x3a);
    free(file.package);
    free(file.version);
    free(file.architecture);
    free(file.source);
    static const char *const bad[] = {
        "",
        STANZA("3", "pool/2.deb", "1", DIGEST),
        STANZA("2", "../2.deb", "1", DIGEST),
        STANZA("2", "/etc/shadow", "1", DIGEST),
        STANZA("2", "pool/2.deb", "-1", DIGEST),
        STANZA("2", "pool/2.deb", "1x", DIGEST),
        STANZA("2", "pool/2.deb", "0", DIGEST),
        STANZA("2", "pool/2.deb", "1", "abc"),
        "Version: 2\nFilename: pool/2.deb\nSize: 1\nMD5sum: 0\n",
    };
    for (size_t i = 0; i < COUNT(bad); i++)
        if (parse(bad[i], &file))
            fail_msg("accepted: %s", bad[i]);
}

static void test_a_package_knows_its_source(void **state) {
    (void)state;
    static const struct {
        const char *field, *source, *version;
    } rows[] = {
        {NULL, "libx1", "1+b1"}, {"x", "x", "1+b1"}, {"x (1)", "x", "1"}, {"x (1", "x", "1"}, {"", "", "1+b1"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        cleanup_free char *source = NULL, *version = NULL;
        source_of(rows[i].field, "libx1", "1+b1", &source, &version);
        assert_string_equal(source, rows[i].source);
        assert_string_equal(version, rows[i].version);
    }
}

#define HEAD "source\tcve\tfixed_bookworm\tadvisory\tdate\n"

static bool read_advisories(const char *text, struct advisories *advisories, struct mistake *mistake) {
    char path[] = "/tmp/pinion-advisories-XXXXXX";
    cleanup_fd int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    bool good = advisories_read(path, advisories, mistake);
    unlink(path);
    return good;
}

static void test_advisories_are_read(void **state) {
    (void)state;
    struct advisories advisories;
    struct mistake mistake;
    assert_true(read_advisories(HEAD "openssl\tCVE-2026-7383\t3.0.20-1~deb12u2\tDSA-6335-1\t2026-06-09\n", &advisories,
                                &mistake));
    assert_int_equal(advisories.count, 1);
    assert_string_equal(advisories.release, "bookworm");
    assert_string_equal(advisories.items[0].source, "openssl");
    assert_string_equal(advisories.items[0].name, "DSA-6335-1");
    advisories_free(&advisories);
}

static void test_each_mistake_in_advisories_has_its_line(void **state) {
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
    } rows[] = {
        {"", 1},
        {"source,cve,fixed_bookworm,advisory\n", 1},
        {HEAD "openssl\tCVE-2026-7383\n", 2},
        {HEAD "a\tCVE-2026-7383\t1\tx\t\n", 2},
        {HEAD "openssl\tCVE-2026-7383\t$(x)\tDSA-1\t\n", 2},
        {HEAD "openssl\tCVE-2026-7383\t1\tDSA-1\t\nopenssl\tCVE-x\t1\tDSA-1\t\n", 3},
        {HEAD "openssl\tCVE-2026-7383\t1\tDSA\x1b[2J\t\n", 2},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct advisories advisories;
        struct mistake mistake;
        if (read_advisories(rows[i].text, &advisories, &mistake))
            fail_msg("accepted: %s", rows[i].text);
        if (mistake.line != rows[i].line)
            fail_msg("line %u: %s\nfor: %s", mistake.line, mistake.text, rows[i].text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_apt_would_install_is_understood),
        cmocka_unit_test(test_a_hostile_answer_is_refused),
        cmocka_unit_test(test_an_archive_is_pinned_by_what_the_index_says),
        cmocka_unit_test(test_a_package_knows_its_source),
        cmocka_unit_test(test_advisories_are_read),
        cmocka_unit_test(test_each_mistake_in_advisories_has_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
