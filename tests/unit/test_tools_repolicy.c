/* What becomes of a policy when a file of its program is replaced: what is carried over, and what both builds may do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/util.h"
#include "tools/patch/repolicy.h"
#include "tools/policy_file.h"

#define HEAD(mode)                                                                                             \
    "format = 1; program = \"/p\"; build_id = \"01\"; mode = \"" mode "\";\n"                                  \
    "on_violation = \"deny\"; on_broken_stack = \"kill\"; on_unknown_stack = \"allow\"; on_unlisted_module = " \
    "\"deny\";\n"                                                                                              \
    "on_anonymous_code = \"deny\"; on_foreign_stack = \"kill\";\n"
#define MODULE(path, build, sites)                                      \
    "{ path = \"" path "\"; build_id = \"" build "\"; sites = ( " sites \
    " ); loose = ( ); returns = [ ]; tails = ( ); "                     \
    "tails_complete = true; }"
#define POLICY(mode, modules) HEAD(mode) "modules = ( " modules " );\n"
#define OPEN(at, function, code, path) \
    "{ at = " at "; api = \"open\"; in = \"" function "\"; fingerprint = \"" code "\"; " path " }"

static struct document parse(const char *text) {
    struct document document;
    struct mistake mistake = {.line = 0};
    document_init(&document);
    if (!document_parse_text(text, &document, &mistake))
        fail_msg("line %u: %s in %s", mistake.line, mistake.text, text);
    return document;
}

/* The new policy after carrying over, as text; `notes` is the caller's. */
static char *carry(const char *old_text, const char *fresh_text, char **notes) {
    struct document old = parse(old_text), fresh = parse(fresh_text);
    size_t length, text_length;
    char *text;
    FILE *out = xopen_memstream(notes, &length);
    repolicy_carry(&fresh, &old, out);
    fclose(out);
    document_sort(&fresh);
    out = xopen_memstream(&text, &text_length);
    document_write_text(&fresh, out);
    fclose(out);
    document_free(&old);
    document_free(&fresh);
    return text;
}

static void check_carried(const char *old_text, const char *fresh_text, const char *wanted, const char *unwanted,
                          const char *noted) {
    char *notes_text;
    cleanup_free char *text = carry(old_text, fresh_text, &notes_text);
    cleanup_free char *notes = notes_text;
    if (wanted != NULL && strstr(text, wanted) == NULL)
        fail_msg("no \"%s\" in %s", wanted, text);
    if (unwanted != NULL && strstr(text, unwanted) != NULL)
        fail_msg("\"%s\" in %s", unwanted, text);
    if (noted == NULL)
        assert_string_equal(notes, "");
    else if (strstr(notes, noted) == NULL)
        fail_msg("no \"%s\" in %s", noted, notes);
}

#define CODE "00000000000000aa"
#define OTHER "00000000000000bb"

static void test_settings_are_kept(void **state) {
    (void)state;
    check_carried(POLICY("audit", MODULE("/l.so", "02", "")), POLICY("enforce", MODULE("/l.so", "03", "")),
                  "mode = \"audit\"", NULL, NULL);
}

static void test_same_build_keeps_what_was_learned(void **state) {
    (void)state;
    check_carried(
        POLICY("enforce", MODULE("/l.so", "02", OPEN("0x10L", "f", CODE, "path = { learned = [ \"/seen\" ]; };"))),
        POLICY("enforce", MODULE("/l.so", "02", OPEN("0x10L", "f", CODE, "path = { any = \"heap\"; };"))),
        "learned = [ \"/seen\" ]", "any = \"heap\"", NULL);
}

static void test_other_build_is_known_by_the_function(void **state) {
    (void)state;
    check_carried(
        POLICY("enforce", MODULE("/l.so.1.2", "02", OPEN("0x10L", "f", CODE, "path = { manual = [ \"/mine\" ]; };"))),
        POLICY("enforce", MODULE("/l.so.1.3", "03", OPEN("0x90L", "f", CODE, "path = { any = \"heap\"; };"))),
        "manual = [ \"/mine\" ]", "any = \"heap\"", NULL);
}

static void test_order_decides_among_calls_of_one_function(void **state) {
    (void)state;
    check_carried(POLICY("enforce", MODULE("/l.so", "02",
                                           OPEN("0x10L", "f", CODE, "path = { any = \"heap\"; };") ", " OPEN(
                                               "0x20L", "f", CODE, "path = { learned = [ \"/b\" ]; };"))),
                  POLICY("enforce", MODULE("/l.so", "03",
                                           OPEN("0x50L", "f", CODE, "path = { any = \"first\"; };") ", " OPEN(
                                               "0x60L", "f", CODE, "path = { any = \"second\"; };"))),
                  "any = \"first\"", "any = \"second\"", NULL);
}

/* Two functions of equal code, without names: which is which cannot be known. A wrong guess would refuse the program
 * what it needs. */
static void test_what_is_not_certain_is_named(void **state) {
    (void)state;
    check_carried(POLICY("enforce", MODULE("/l.so", "02",
                                           OPEN("0x10L", "0x8", CODE, "path = { learned = [ \"/a\" ]; };") ", " OPEN(
                                               "0x20L", "0x18", CODE, "path = { any = \"heap\"; };"))),
                  POLICY("enforce", MODULE("/l.so", "03",
                                           OPEN("0x50L", "0x8", CODE, "path = { any = \"heap\"; };") ", " OPEN(
                                               "0x60L", "0x58", CODE, "path = { any = \"heap\"; };"))),
                  NULL, "/a", "/l.so+0x10:open");
    check_carried(
        POLICY("enforce", MODULE("/l.so", "02", OPEN("0x10L", "f", CODE, "path = { learned = [ \"/a\" ]; };"))),
        POLICY("enforce", MODULE("/l.so", "03", OPEN("0x10L", "f", OTHER, "path = { any = \"heap\"; };"))), NULL, "/a",
        "(in f)");
}

static const struct constraint *rule_at(const struct document *document, const char *build, uint32_t offset) {
    struct identity identity;
    assert_true(identity_parse(build, &identity));
    for (size_t i = 0; i < document->module_count; i++)
        for (size_t j = 0; j < document->modules[i].site_count; j++)
            if (identity_equal(&document->modules[i].identity, &identity) &&
                document->modules[i].sites[j].offset == offset)
                return &document->modules[i].sites[j].constraints[0];
    return NULL;
}

static void test_union_has_both_builds(void **state) {
    (void)state;
    struct document old =
        parse(POLICY("enforce", MODULE("/p", "01",
                                       OPEN("0x10L", "f", CODE, "path = { static = [ \"/a\" ]; };") ", " OPEN(
                                           "0x20L", "f", CODE, "path = { any = \"heap\"; };")) ", " //
                     MODULE("/l.so", "02", OPEN("0x10L", "f", CODE, "path = { static = [ \"/old\" ]; };"))));
    struct document fresh =
        parse(POLICY("enforce", MODULE("/p", "01",
                                       OPEN("0x10L", "f", CODE, "path = { static = [ \"/b\" ]; };") ", " OPEN(
                                           "0x20L", "f", CODE, "path = { static = [ \"/b\" ]; };")) ", " //
                     MODULE("/l.so", "03", OPEN("0x10L", "f", CODE, "path = { static = [ \"/new\" ]; };"))));
    repolicy_unite(&fresh, &old);
    assert_int_equal(fresh.module_count, 3);
    assert_int_equal(rule_at(&fresh, "01", 0x10)->value_count, 2);
    assert_true(rule_at(&fresh, "01", 0x20)->any);
    assert_string_equal(rule_at(&fresh, "02", 0x10)->values[0].text, "/old");
    assert_string_equal(rule_at(&fresh, "03", 0x10)->values[0].text, "/new");
    size_t size;
    cleanup_free void *image = document_compile(&fresh, &size);
    assert_null(policy_validate(image, size));
    cleanup_free char *text = NULL;
    size_t length;
    FILE *out = xopen_memstream(&text, &length);
    document_write_text(&fresh, out);
    fclose(out);
    struct document again = parse(text);
    assert_int_equal(again.module_count, 3);
    document_free(&again);
    document_free(&old);
    document_free(&fresh);
}

/* The build before last, which a union left in the policy, does not speak for the new one. */
static void test_union_is_no_source_of_its_own(void **state) {
    (void)state;
    check_carried(POLICY("enforce",
                         MODULE("/l.so", "02", OPEN("0x10L", "f", CODE, "path = { learned = [ \"/last\" ]; };")) ", " //
                         MODULE("/l.so", "04", OPEN("0x10L", "f", CODE, "path = { learned = [ \"/before\" ]; };"))),
                  POLICY("enforce", MODULE("/l.so", "03", OPEN("0x10L", "f", CODE, "path = { any = \"heap\"; };"))),
                  "learned = [ \"/last\" ]", "/before", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings_are_kept),
        cmocka_unit_test(test_same_build_keeps_what_was_learned),
        cmocka_unit_test(test_other_build_is_known_by_the_function),
        cmocka_unit_test(test_order_decides_among_calls_of_one_function),
        cmocka_unit_test(test_what_is_not_certain_is_named),
        cmocka_unit_test(test_union_has_both_builds),
        cmocka_unit_test(test_union_is_no_source_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
