/* The metrics say what the journal says, in a text that Prometheus can read whatever the reasons hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <regex.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/util.h"
#include "tools/patch/metrics.h"

static char directory[64], path[128], metrics[128];
static struct journal *journal;

static int set_up(void **state) {
    (void)state;
    struct mistake mistake;
    strcpy(directory, "/tmp/metrics.XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/" JOURNAL_NAME, directory);
    snprintf(metrics, sizeof metrics, "%s/pinion.prom", directory);
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

static char *written(uint64_t waiting) {
    struct mistake mistake = {0};
    if (!metrics_write(metrics, journal, waiting, &mistake))
        fail_msg("%s", mistake.text);
    size_t size;
    return file_read(metrics, 1 << 20, &size);
}

static void assert_line(const char *text, const char *line) {
    cleanup_free char *whole = xasprintf("\n%s\n", line);
    if (strstr(text, whole) == NULL)
        fail_msg("no line \"%s\" in:\n%s", line, text);
}

static void test_counts_are_those_of_the_journal(void **state) {
    (void)state;
    static const enum incident_state states[] = {INCIDENT_DONE, INCIDENT_DONE, INCIDENT_ROLLED_BACK, INCIDENT_WAITING};
    cleanup_free char *none = written(0);
    assert_line(none, "pinion_incidents{state=\"done\"} 0");
    assert_line(none, "pinion_last_patch_timestamp_seconds 0");
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        journal_add(journal, &(struct incident){.state = states[i], .repeats = 2});
    journal_refused(journal, "too short", 41);
    cleanup_free char *some = written(17);
    assert_line(some, "pinion_incidents{state=\"done\"} 2");
    assert_line(some, "pinion_incidents{state=\"rolled back\"} 1");
    assert_line(some, "pinion_incidents{state=\"waiting\"} 1");
    assert_line(some, "pinion_incidents{state=\"failed\"} 0");
    assert_line(some, "pinion_patches_total{outcome=\"done\"} 2");
    assert_line(some, "pinion_patches_total{outcome=\"rolled back\"} 1");
    assert_line(some, "pinion_incident_repeats 8");
    assert_line(some, "pinion_refused_datagrams_total{reason=\"too short\"} 41");
    assert_line(some, "pinion_queue_length 17");
    assert_null(strstr(some, "pinion_last_patch_timestamp_seconds 0\n"));
}

/* Each line is a comment or a sample, as the text format has them. */
static void test_every_line_can_be_read(void **state) {
    (void)state;
    regex_t sample;
    journal_refused(journal, "a\"b\\c\nd\x1b[31m\xff} 1", 3);
    cleanup_free char *text = written(UINT64_MAX);
    assert_int_equal(
        regcomp(&sample,
                "^(# (HELP|TYPE) pinion_[a-z_]+ .+|pinion_[a-z_]+(\\{[a-z]+=\"([^\"\\\\]|\\\\[\"\\\\n])*\"\\})? "
                "[0-9]+)$",
                REG_EXTENDED | REG_NOSUB),
        0);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        if (regexec(&sample, line, 0, NULL, 0) != 0)
            fail_msg("cannot be read: %s", line);
    regfree(&sample);
}

static void test_the_collector_may_read_it_and_nothing_else_is_left(void **state) {
    (void)state;
    struct stat status;
    free(written(0));
    free(written(1));
    assert_int_equal(stat(metrics, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0644);
    assert_int_equal(unlink(metrics), 0);
    char command[160];
    snprintf(command, sizeof command, "! ls -A %s | grep -v ^" JOURNAL_NAME, directory);
    assert_int_equal(system(command), 0);
}

static void test_a_file_that_cannot_be_written_is_a_mistake(void **state) {
    (void)state;
    struct mistake mistake = {0};
    assert_false(metrics_write("/proc/none/pinion.prom", journal, 0, &mistake));
    assert_non_null(strstr(mistake.text, "/proc/none/pinion.prom"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_counts_are_those_of_the_journal),
        TEST(test_every_line_can_be_read),
        TEST(test_the_collector_may_read_it_and_nothing_else_is_left),
        TEST(test_a_file_that_cannot_be_written_is_a_mistake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
