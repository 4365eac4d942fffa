/* The signature database is read strictly, written the same each time, and grows by recordings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "runtime/util.h"
#include "tools/signatures.h"

#define DIGEST "3a3069e40533beeb9dd401b652d04f67af1a48fb6494873e2e0b1242935fc814"
#define TOP "[ \"read\", \"writev\", \"mmap\", \"close\", \"switch\" ]"
#define RECORDING(risen) "{ signature = \"" DIGEST "\"; top = " TOP "; never_seen = [ \"pipe\" ]; risen = " risen "; }"
#define ENTRY(name, recordings) "{ name = \"" name "\"; cve = \"CVE-2014-6271\"; recordings = ( " recordings " ); }"
#define DATABASE(entries) "format = 1;\ntop = 5;\nentries = (\n" entries "\n);\n"
#define GOOD RECORDING("[ \"execve 87\", \"pipe 100\" ]")

static struct signatures parse(const char *text) {
    struct signatures signatures;
    struct mistake mistake;
    if (!signatures_parse(text, &signatures, &mistake))
        fail_msg("line %u: %s", mistake.line, mistake.text);
    return signatures;
}

static char *write_text(const struct signatures *signatures) {
    char *text = NULL;
    size_t size;
    FILE *stream = xopen_memstream(&text, &size);
    signatures_write(signatures, stream);
    fclose(stream);
    return text;
}

static void test_what_is_written_reads_back(void **state) {
    (void)state;
    struct signatures signatures = parse(DATABASE(ENTRY("z", GOOD) ",\n" ENTRY("a\\\" \xc3\xa9", GOOD)));
    assert_int_equal(signatures.count, 2);
    assert_string_equal(signatures.entries[1].name, "z"); /* ordered */
    assert_string_equal(signatures.entries[1].cve, "CVE-2014-6271");
    assert_null(signatures.entries[1].recipe);
    const struct evidence *evidence = &signatures.entries[1].recordings[0];
    assert_int_equal(evidence->risen_count, 2);
    assert_string_equal(evidence->risen[0].name, "execve");
    assert_int_equal(evidence->risen[0].rise, 87);
    cleanup_free char *text = write_text(&signatures);
    struct signatures again = parse(text);
    cleanup_free char *text_again = write_text(&again);
    assert_string_equal(text, text_again);
    signatures_free(&signatures);
    signatures_free(&again);
}

static void test_each_mistake_has_its_line_and_remedy(void **state) {
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
        const char *message;
    } rows[] = {
        {"format = 2; top = 5; entries = ();", 1, "this version reads format 1"},
        {"format = 1;\ntop = 9; entries = ();", 2, "from 1 to 8"},
        {"format = 1; top = 5;", 0, "no \"entries\""},
        {"format = 1; top = 5;\nentires = ();", 2, "did you mean \"entries\"?"},
        {"format = 1; top = 5;\n@include \"/etc/passwd\"\n", 2, "no other file"},
        {DATABASE("( )"), 4, "must be a group"},
        {DATABASE("{ name = \"x\"; recordings = (); }"), 4, "has no recording: remove the entry"},
        {DATABASE("{ name = \"\"; recordings = ( " GOOD " ); }"), 4, "empty"},
        {DATABASE(ENTRY("x", GOOD) ",\n" ENTRY("x", GOOD)), 5, "there twice"},
        {DATABASE(ENTRY("x", RECORDING("[ \"execve\" ]"))), 4, "as \"execve 87\""},
        {DATABASE(ENTRY("x", RECORDING("[ \"execve 101\" ]"))), 4, "as \"execve 87\""},
        {DATABASE(ENTRY("x", RECORDING("[ \"execve 0\" ]"))), 4, "as \"execve 87\""},
        {DATABASE(ENTRY("x", RECORDING("[ \"execve -1\" ]"))), 4, "as \"execve 87\""},
        {DATABASE(ENTRY("x", RECORDING("[ 5 ]"))), 4, "no text in quotes"},
        {DATABASE(ENTRY("x", RECORDING("[ \"b 1\", \"a 1\" ]"))), 4, "not in order"},
        {DATABASE(ENTRY("x", RECORDING("[ \"a 1\", \"a 2\" ]"))), 4, "not in order"},
        {DATABASE(ENTRY("x", "{ signature = \"abc\"; top = " TOP "; never_seen = []; risen = []; }")), 4, "64 digits"},
        {DATABASE(ENTRY("x", "{ signature = \"" DIGEST "\"; top = [ \"read\" ]; never_seen = []; risen = []; }")), 4,
         "not that of the calls in \"top\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct signatures signatures;
        struct mistake mistake;
        if (signatures_parse(rows[i].text, &signatures, &mistake))
            fail_msg("accepted: %s", rows[i].text);
        if (mistake.line != rows[i].line || strstr(mistake.text, rows[i].message) == NULL)
            fail_msg("line %u: %s\nfor: %s", mistake.line, mistake.text, rows[i].text);
    }
}

static void test_recordings_of_one_name_are_kept_together(void **state) {
    (void)state;
    struct signatures known = parse(DATABASE(ENTRY("b", GOOD)));
    struct signatures other = parse(DATABASE(ENTRY("b", RECORDING("[ \"execve 50\" ]"))));
    const struct evidence *same = &known.entries[0].recordings[0], *new = &other.entries[0].recordings[0];
    assert_int_equal(signatures_learn(&known, "b", new), LEARNED_RECORDING);
    assert_int_equal(signatures_learn(&known, "b", new), LEARNED_NOTHING);
    assert_int_equal(signatures_learn(&known, "a", new), LEARNED_ENTRY);
    same = &signatures_find(&known, "b")->recordings[0];
    assert_int_equal(signatures_learn(&known, "b", same), LEARNED_NOTHING);
    assert_int_equal(known.count, 2);
    assert_string_equal(known.entries[0].name, "a");
    assert_int_equal(known.entries[1].recording_count, 2);
    signatures_free(&known);
    signatures_free(&other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_reads_back),
        cmocka_unit_test(test_each_mistake_has_its_line_and_remedy),
        cmocka_unit_test(test_recordings_of_one_name_are_kept_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
