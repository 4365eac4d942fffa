/* What the precision figures count as constant, pattern, mask, and what they count as unknown; that each site counts once,
 * and the weaker rule of two programs. The figures mean nothing if this is lenient.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "runtime/util.h"
#include "tests/precision/tally.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static void allow(struct constraint *constraint, enum argument_kind kind, const char *text) {
    struct value value;
    struct mistake mistake = {0};
    if (!value_parse(text, kind, &value, &mistake))
        fail_msg("\"%s\": %s", text, mistake.text);
    constraint_add(constraint, value);
}

static enum form form_of(enum argument_kind kind, const char *const *values, size_t count) {
    struct constraint constraint = {0};
    for (size_t i = 0; i < count && values[i] != NULL; i++)
        allow(&constraint, kind, values[i]);
    enum form form = constraint_form(&constraint, kind);
    for (size_t i = 0; i < constraint.value_count; i++)
        free(constraint.values[i].text);
    free(constraint.values);
    return form;
}

static void test_forms(void **state) {
    (void)state;
    static const struct {
        enum argument_kind kind;
        const char *values[3];
        enum form form;
    } cases[] = {
        {KIND_OPEN_FLAGS, {"O_RDONLY", "O_RDWR|O_CREAT"}, FORM_CONSTANT},
        {KIND_OPEN_FLAGS, {"mask:O_WRONLY|O_CREAT"}, FORM_MASK},
        {KIND_OPEN_FLAGS, {"O_RDONLY", "mask:O_CREAT"}, FORM_MASK},
        {KIND_OPEN_FLAGS, {"mask:0xffffffff"}, FORM_WEAK},
        {KIND_OPEN_FLAGS, {"mask:0x7fffffff"}, FORM_WEAK}, /* no flag has the upper bit */
        {KIND_SIGNAL, {"mask:0x7f"}, FORM_WEAK},
        {KIND_SIGNAL, {"mask:1"}, FORM_MASK},
        {KIND_MODE, {"mask:0777"}, FORM_MASK},
        {KIND_MODE, {"mask:07777"}, FORM_WEAK},
        {KIND_INT, {"mask:0xff"}, FORM_MASK},
        {KIND_INT, {"1..5"}, FORM_PARTLY},
        {KIND_PATH, {"/etc/passwd", "null"}, FORM_CONSTANT},
        {KIND_PATH, {"glob:/proc/%d/stat"}, FORM_PATTERN},
        {KIND_PATH, {"/etc/passwd", "glob:/proc/%d/stat"}, FORM_PATTERN},
        {KIND_PATH, {"glob:/tmp/%s"}, FORM_PATTERN},
        {KIND_PATH, {"glob:pg_wal/xlogtemp.%d"}, FORM_PATTERN},
        {KIND_PATH, {"glob:/%s/passwd"}, FORM_WEAK},
        {KIND_PATH, {"glob:/etc/%s/passwd"}, FORM_WEAK},
        {KIND_PATH, {"glob:/etc/*/passwd"}, FORM_WEAK},
        {KIND_PATH, {"glob:/etc/**/x"}, FORM_WEAK},
        {KIND_PATH, {"glob:/etc%d/passwd"}, FORM_WEAK},
        {KIND_PATH, {"glob:core.%d"}, FORM_WEAK},
        {KIND_PATH, {"glob:%s"}, FORM_WEAK},
        {KIND_PATH, {"glob:/etc/\\*/x%d"}, FORM_PATTERN},
        {KIND_PATH, {"/etc/passwd", "glob:%s"}, FORM_WEAK},
        {KIND_PATH, {"prefix:/etc/"}, FORM_PATTERN},
        {KIND_PATH, {"prefix:/"}, FORM_WEAK},
        {KIND_COMMAND, {"glob:gzip -d %s"}, FORM_PATTERN},
        {KIND_COMMAND, {"glob:%s -d"}, FORM_WEAK},
        {KIND_SOCKADDR, {"inet:127.0.0.1:80"}, FORM_CONSTANT},
        {KIND_SOCKADDR, {"inet:*:80"}, FORM_PARTLY},
        {KIND_SOCKADDR, {"unix:/run/x"}, FORM_CONSTANT},
        {KIND_ARGV, {"[0] sh", "[1] -c", "[2] null"}, FORM_CONSTANT},
        {KIND_ARGV, {"[0] sh", "[1] glob:%s"}, FORM_PARTLY},
        {KIND_ARGV, {"[0] glob:%s"}, FORM_WEAK},
    };
    for (size_t i = 0; i < LENGTH(cases); i++)
        if (form_of(cases[i].kind, cases[i].values, 3) != cases[i].form)
            fail_msg("case %zu, \"%s\": %d", i, cases[i].values[0], (int)form_of(cases[i].kind, cases[i].values, 3));
}

/* ---- Many programs ---- */

static bool measure_all(const char *path, const void *what) {
    (void)what;
    return strcmp(path, "/lib/foreign.so") != 0;
}

static bool belongs(const struct row *row, const void *what) {
    (void)what;
    return row->argument == 0;
}

static void add(struct tally *tally, const char *text) {
    struct document document;
    struct mistake mistake = {0};
    document_init(&document);
    if (!document_parse_text(text, &document, &mistake))
        fail_msg("line %u: %s", mistake.line, mistake.text);
    tally_add(tally, &document, measure_all, NULL);
    document_free(&document);
}

#define PROGRAM(name, sites)                                                                                         \
    "format = 1; program = \"/bin/" name "\"; build_id = \"aa\"; mode = \"enforce\";\n"                              \
    "modules = ( { path = \"/lib/shared.so\"; build_id = \"bb\"; sites = ( " sites " ); },\n"                        \
    "{ path = \"/lib/foreign.so\"; build_id = \"cc\"; sites = ( { at = 1L; api = \"chroot\"; path = { any = \"x\"; " \
    "}; } ); } );"

static void test_the_weaker_rule_of_a_shared_site_counts_once(void **state) {
    (void)state;
    struct tally tally = {0};
    add(&tally, PROGRAM("a", "{ at = 16L; api = \"chroot\"; path = { static = [ \"/a\" ]; }; },"
                             "{ at = 32L; api = \"chroot\"; path = { any = \"heap\"; static = [ \"/a\" ]; }; }"));
    add(&tally, PROGRAM("b", "{ at = 16L; api = \"chroot\"; path = { any = \"heap\"; }; },"
                             "{ at = 48L; api = \"chroot\"; path = { static = [ \"/a\" ]; }; },"
                             "{ at = 64L; api = \"chroot\"; },"
                             "{ at = 80L; api = \"tmpfile\"; }"));
    tally_finish(&tally);
    struct pool pool = pool_make(&tally, belongs, NULL);
    assert_int_equal(pool.total, 4);
    assert_int_equal(pool.forms[FORM_CONSTANT], 1);
    assert_int_equal(pool.forms[FORM_ANY], 3); /* what a site does not list may hold anything */
    struct site_counts sites = tally_sites(&tally);
    assert_int_equal(sites.sites, 5);
    assert_int_equal(sites.constrainable, 4);
    assert_int_equal(sites.constrained, 1);
    assert_int_equal(tally.objects.count, 1);
    pool_free(&pool);
    tally_free(&tally);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_the_weaker_rule_of_a_shared_site_counts_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
