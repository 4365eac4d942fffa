/* What was fixed is stated as it was, whatever the target says of itself; what was not fixed is not stated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/util.h"
#include "tools/patch/vex.h"

static char directory[64], documents[96];
static struct journal *journal;

static int set_up(void **state) {
    (void)state;
    char path[96];
    struct mistake mistake;
    strcpy(directory, "/tmp/vex.XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/" JOURNAL_NAME, directory);
    snprintf(documents, sizeof documents, "%s/documents", directory);
    journal = journal_open(path, true, &mistake);
    assert_non_null(journal);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[100];
    journal_close(journal);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static struct incident fixed_bash(void) {
    return (struct incident){.state = INCIDENT_DONE,
                             .cve = (char *)"CVE-2014-6271",
                             .package = (char *)"bash",
                             .recipe = (char *)"bash-shellshock",
                             .from = (char *)"5.1-1",
                             .to = (char *)"1:5.2~rc1-2+b7"};
}

static json_t *document_of(const struct incident *incident, const struct vex_system *system) {
    struct mistake mistake = {0};
    int64_t id = journal_add(journal, incident);
    if (!vex_write(documents, journal, id, system, &mistake))
        fail_msg("%s", mistake.text);
    char path[160];
    snprintf(path, sizeof path, "%s/pinion-%lld.openvex.json", documents, (long long)id);
    return json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
}

static const char *text_at(json_t *document, size_t statement, const char *key) {
    return json_string_value(json_object_get(json_array_get(json_object_get(document, "statements"), statement), key));
}

static const char *product_of(json_t *document) {
    json_t *statement = json_array_get(json_object_get(document, "statements"), 0);
    return json_string_value(json_object_get(json_array_get(json_object_get(statement, "products"), 0), "@id"));
}

static const char *vulnerability_of(json_t *document, size_t index) {
    json_t *statement = json_array_get(json_object_get(document, "statements"), index);
    return json_string_value(json_object_get(json_object_get(statement, "vulnerability"), "name"));
}

static void test_a_fix_is_stated(void **state) {
    (void)state;
    struct vex_system system = {.os_release = "PRETTY_NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\nHOME=x\n",
                                .architecture = "amd64"};
    struct incident incident = fixed_bash();
    json_t *document = document_of(&incident, &system);
    assert_non_null(document);
    assert_string_equal(json_string_value(json_object_get(document, "@context")), "https://openvex.dev/ns/v0.2.0");
    assert_int_equal(json_integer_value(json_object_get(document, "version")), 1);
    assert_non_null(json_object_get(document, "author"));
    assert_int_equal(strncmp(json_string_value(json_object_get(document, "@id")), "urn:uuid:", 9), 0);
    assert_int_equal(json_array_size(json_object_get(document, "statements")), 1);
    assert_string_equal(vulnerability_of(document, 0), "CVE-2014-6271");
    assert_string_equal(text_at(document, 0, "status"), "fixed");
    assert_int_equal(strlen(text_at(document, 0, "timestamp")), strlen("2026-11-22T10:00:00Z"));
    assert_string_equal(product_of(document), "pkg:deb/debian/bash@1:5.2~rc1-2%2Bb7?arch=amd64&distro=debian-12");
    json_decref(document);
}

static void test_each_cve_has_its_statement(void **state) {
    (void)state;
    static const char *const cves[] = {"CVE-2014-6271", "CVE-2014-7169", NULL};
    struct vex_system system = {.cves = cves};
    struct incident incident = fixed_bash();
    incident.cve = NULL;
    json_t *document = document_of(&incident, &system);
    assert_int_equal(json_array_size(json_object_get(document, "statements")), 2);
    assert_string_equal(vulnerability_of(document, 1), "CVE-2014-7169");
    json_decref(document);
}

static void test_the_product_is_of_its_distribution(void **state) {
    (void)state;
    static const struct {
        const char *os_release, *url;
    } rows[] = {
        {NULL, "pkg:generic/bash@1:5.2~rc1-2%2Bb7"},
        {"", "pkg:generic/bash@1:5.2~rc1-2%2Bb7"},
        {"ID=alpine\nVERSION_ID=3.18.4", "pkg:apk/alpine/bash@1:5.2~rc1-2%2Bb7?distro=alpine-3.18.4"},
        {"ID='raspbian'\nID_LIKE=\"other debian\"", "pkg:deb/raspbian/bash@1:5.2~rc1-2%2Bb7"},
        {"ID=x\nID_LIKE=undebian", "pkg:generic/bash@1:5.2~rc1-2%2Bb7"},
        {"ID_LIKE=debian", "pkg:generic/bash@1:5.2~rc1-2%2Bb7"},
        {"ID=a/b?c\nID_LIKE=debian\nVERSION_ID=\"1&arch=x\"",
         "pkg:deb/a%2Fb%3Fc/bash@1:5.2~rc1-2%2Bb7?distro=a%2Fb%3Fc-1%26arch%3Dx"},
        {"ID=debian\nVERSION_ID=0123456789012345678901234567890123456789012345678901234567890123456789",
         "pkg:deb/debian/bash@1:5.2~rc1-2%2Bb7"},
    };
    struct incident incident = fixed_bash();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct vex_system system = {.os_release = rows[i].os_release};
        json_t *document = document_of(&incident, &system);
        assert_string_equal(product_of(document), rows[i].url);
        json_decref(document);
    }
}

static void test_the_same_incident_is_the_same_document(void **state) {
    (void)state;
    struct vex_system system = {0};
    struct incident incident = fixed_bash();
    struct mistake mistake;
    json_t *first = document_of(&incident, &system);
    assert_true(vex_write(documents, journal, 1, &system, &mistake));
    char path[160];
    snprintf(path, sizeof path, "%s/pinion-1.openvex.json", documents);
    json_t *again = json_load_file(path, 0, NULL), *other = document_of(&incident, &system);
    assert_true(json_equal(first, again));
    assert_string_not_equal(json_string_value(json_object_get(first, "@id")),
                            json_string_value(json_object_get(other, "@id")));
    json_decref(first);
    json_decref(again);
    json_decref(other);
}

static void test_nothing_is_stated_of_what_is_not_fixed(void **state) {
    (void)state;
    struct vex_system system = {0};
    for (int i = 0; i < INCIDENT_STATES; i++) {
        struct incident incident = fixed_bash();
        struct mistake mistake = {0};
        incident.state = (enum incident_state)i;
        if (i != INCIDENT_DONE)
            assert_false(vex_write(documents, journal, journal_add(journal, &incident), &system, &mistake));
    }
    struct mistake mistake = {0};
    assert_false(vex_write(documents, journal, 99, &system, &mistake));
    assert_non_null(strstr(mistake.text, "99"));
    assert_int_not_equal(access(documents, F_OK), 0);
}

static void test_without_a_cve_or_a_version_no_file_is_written(void **state) {
    (void)state;
    struct vex_system system = {0};
    struct incident incident = fixed_bash();
    incident.cve = NULL;
    assert_null(document_of(&incident, &system));
    incident = fixed_bash();
    incident.to = NULL;
    assert_null(document_of(&incident, &system));
}

static void test_a_directory_that_cannot_be_is_a_mistake(void **state) {
    (void)state;
    struct vex_system system = {0};
    struct incident incident = fixed_bash();
    struct mistake mistake = {0};
    assert_false(vex_write("/proc/none", journal, journal_add(journal, &incident), &system, &mistake));
    assert_non_null(strstr(mistake.text, "/proc/none"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_fix_is_stated),
        TEST(test_each_cve_has_its_statement),
        TEST(test_the_product_is_of_its_distribution),
        TEST(test_the_same_incident_is_the_same_document),
        TEST(test_nothing_is_stated_of_what_is_not_fixed),
        TEST(test_without_a_cve_or_a_version_no_file_is_written),
        TEST(test_a_directory_that_cannot_be_is_a_mistake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
