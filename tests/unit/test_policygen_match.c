/* Which call site is which after a rebuild, and what is said of those that are not the same. Documents are built here as
 * policygen would; offsets and names of functions without symbols always differ between the builds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "policygen/difference.h"
#include "policygen/match.h"
#include "tests/unit/policies.h"

struct build {
    struct document document;
    struct module *module;
    uint32_t base;
};

/* The second build lies elsewhere. */
static void build_begin(struct build *build, uint32_t base) {
    build->base = base;
    document_init(&build->document);
    build->document.program = xstrdup("/usr/bin/x");
    identity_parse(base == 0 ? "0a" : "0b", &build->document.identity);
    build->module = document_module(&build->document, &build->document.identity, "/usr/bin/x");
}

/* A site at `place`, in the function that begins at `function`, with a path or NULL for any. */
static struct site *add(struct build *build, uint32_t place, uint32_t function, uint64_t fingerprint, unsigned api,
                        const char *path) {
    struct site *site = module_site(build->module, build->base + place, (uint16_t)api);
    free(site->function);
    site->function = xasprintf("0x%x", build->base + function);
    site->fingerprint = fingerprint;
    struct constraint *constraint = site_constraint(site, 0);
    constraint->any = path == NULL;
    if (path == NULL)
        constraint->why_any = xstrdup("memory");
    else
        constraint_add(constraint, (struct value){.kind = VALUE_TEXT, .text = xstrdup(path)});
    return site;
}

static void name(struct site *site, const char *function) {
    free(site->function);
    site->function = xstrdup(function);
}

static struct build old, new;

static int begin(void **state) {
    (void)state;
    build_begin(&old, 0);
    build_begin(&new, 0x40);
    return 0;
}

static int end(void **state) {
    (void)state;
    document_free(&old.document);
    document_free(&new.document);
    return 0;
}

/* The places of `old` that those of `new` are taken for, in the order of `new`; 0 stands for none. */
static void expect_matches(const uint32_t *places, size_t count) {
    cleanup_free size_t *matches = match_sites(old.module, new.module);
    assert_int_equal(new.module->site_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(matches[i] == NO_SITE ? 0 : old.module->sites[matches[i]].offset, places[i]);
}

#define EXPECT(...)                                                   \
    do {                                                              \
        const uint32_t places[] = {__VA_ARGS__};                      \
        expect_matches(places, sizeof(places) / sizeof((places)[0])); \
    } while (0)

static void a_new_function_between_moves_nothing(void **state) {
    (void)state;
    add(&old, 0x110, 0x100, 1, API_open, NULL);
    add(&old, 0x210, 0x200, 2, API_open, NULL);
    add(&new, 0x110, 0x100, 1, API_open, NULL);
    add(&new, 0x190, 0x180, 7, API_open, "/new");
    add(&new, 0x290, 0x280, 2, API_open, NULL);
    EXPECT(0x110, 0, 0x210);
}

static void functions_of_equal_code_are_told_apart_by_their_rules(void **state) {
    (void)state;
    add(&old, 0x110, 0x100, 1, API_unlink, "/a");
    add(&old, 0x210, 0x200, 1, API_unlink, "/b");
    add(&new, 0x110, 0x100, 1, API_unlink, "/new");
    add(&new, 0x210, 0x200, 1, API_unlink, "/a");
    add(&new, 0x310, 0x300, 1, API_unlink, "/b");
    EXPECT(0, 0x110, 0x210);
}

static void functions_of_equal_code_and_rules_keep_their_order(void **state) {
    (void)state;
    add(&old, 0x110, 0x100, 1, API_unlink, NULL);
    add(&old, 0x210, 0x200, 1, API_unlink, NULL);
    add(&new, 0x110, 0x100, 1, API_unlink, NULL);
    add(&new, 0x210, 0x200, 1, API_unlink, NULL);
    EXPECT(0x110, 0x210);
}

static void a_changed_function_is_known_by_its_name(void **state) {
    (void)state;
    name(add(&old, 0x110, 0x100, 1, API_unlink, "/a"), "first");
    name(add(&old, 0x210, 0x200, 2, API_unlink, "/b"), "second");
    name(add(&new, 0x110, 0x100, 3, API_unlink, "/c"), "second");
    name(add(&new, 0x210, 0x200, 4, API_unlink, "/d"), "first");
    EXPECT(0x210, 0x110);
}

static void a_changed_function_is_known_by_its_calls(void **state) {
    (void)state;
    add(&old, 0x110, 0x100, 1, API_open, "/a");
    add(&old, 0x120, 0x100, 1, API_unlink, "/a");
    add(&old, 0x210, 0x200, 2, API_open, "/b");
    add(&new, 0x110, 0x100, 3, API_open, "/b2");
    add(&new, 0x210, 0x200, 4, API_open, "/a2");
    add(&new, 0x220, 0x200, 4, API_unlink, "/a2");
    EXPECT(0x210, 0x110, 0x120);
}

static void a_changed_function_is_known_by_its_neighbours(void **state) {
    (void)state;
    add(&old, 0x110, 0x100, 1, API_mkdir, NULL);
    add(&old, 0x210, 0x200, 2, API_open, "/a");
    add(&old, 0x310, 0x300, 3, API_rmdir, NULL);
    add(&old, 0x410, 0x400, 4, API_open, "/b");
    add(&new, 0x110, 0x100, 1, API_mkdir, NULL);
    add(&new, 0x210, 0x200, 5, API_open, "/a2");
    add(&new, 0x220, 0x200, 5, API_execve, "/bin/sh");
    add(&new, 0x310, 0x300, 3, API_rmdir, NULL);
    EXPECT(0x110, 0x210, 0, 0x310);
}

static void of_several_calls_in_a_function_the_rules_decide(void **state) {
    (void)state;
    add(&old, 0x110, 0x100, 1, API_unlink, "/a");
    add(&old, 0x120, 0x100, 1, API_unlink, "/b");
    add(&new, 0x110, 0x100, 2, API_unlink, "/new");
    add(&new, 0x120, 0x100, 2, API_unlink, "/a");
    add(&new, 0x130, 0x100, 2, API_unlink, "/b");
    EXPECT(0, 0x110, 0x120);
}

static void a_call_that_moved_is_the_same(void **state) {
    (void)state;
    add(&old, 0x110, 0x100, 1, API_open, "/a");
    add(&old, 0x210, 0x200, 2, API_unlink, "/b");
    add(&old, 0x220, 0x200, 2, API_mkdir, "/c");
    add(&new, 0x110, 0x100, 3, API_open, "/a");
    add(&new, 0x120, 0x100, 3, API_unlink, "/b"); /* inlined */
    add(&new, 0x210, 0x200, 4, API_mkdir, "/c");
    EXPECT(0x110, 0x210, 0x220);
}

static void what_is_reached_through_pointers_is_no_site(void **state) {
    (void)state;
    struct site *site = add(&new, 0x110, 0x100, 3, API_open, NULL);
    free(site->constraints[0].why_any);
    site->constraints[0].why_any = xstrdup("called through a pointer");
    assert_true(site_through_pointer(new.module, site));
    add(&old, 0x110, 0x100, 3, API_open, NULL);
    EXPECT(0);
}

/* ---- Differences ---- */

static json_t *difference(const struct document *a, const struct document *b) {
    struct document before = *a, after = *b;
    const struct policies first = {"a", &before, 1, NULL, 0}, second = {"b", &after, 1, NULL, 0};
    return policies_difference(&first, &second);
}

static long long counted(const json_t *json, const char *kind) {
    return json_integer_value(json_object_get(json_object_get(json, "counts"), kind));
}

static void expect_counts(long long added, long long dropped, long long widened, long long narrowed, bool critical) {
    json_t *json = difference(&old.document, &new.document);
    assert_int_equal(counted(json, "added"), added);
    assert_int_equal(counted(json, "dropped"), dropped);
    assert_int_equal(counted(json, "widened"), widened);
    assert_int_equal(counted(json, "narrowed"), narrowed);
    assert_int_equal(json_is_true(json_object_get(json, "critical")), critical);
    json_decref(json);
}

static void classes_decide_what_is_critical(void **state) {
    (void)state;
    add(&new, 0x110, 0x100, 1, API_unlink, NULL);
    expect_counts(1, 0, 0, 0, false);
    static const unsigned critical[] = {API_execve, API_mprotect, API_dlopen, API_setuid};
    for (size_t i = 0; i < sizeof critical / sizeof critical[0]; i++) {
        struct site *site = module_site(new.module, 0x1000, (uint16_t)critical[i]);
        site->fingerprint = 9;
        expect_counts(2, 0, 0, 0, true);
        new.module->site_count--;
    }
}

static void rules_widen_and_narrow(void **state) {
    (void)state;
    add(&old, 0x110, 0x100, 1, API_unlink, "/a");
    add(&new, 0x110, 0x100, 1, API_unlink, "/b");
    expect_counts(0, 0, 1, 0, true);
    constraint_add(&old.module->sites[0].constraints[0], (struct value){.kind = VALUE_TEXT, .text = xstrdup("/b")});
    expect_counts(0, 0, 0, 1, false);
    old.module->sites[0].constraints[0].any = true;
    expect_counts(0, 0, 0, 1, false);
    new.module->sites[0].constraints[0].any = true;
    expect_counts(0, 0, 0, 0, false); /* listed values beside `any` say nothing */
    old.module->sites[0].constraints[0].any = false;
    expect_counts(0, 0, 1, 0, true);
}

static void looseness_widens(void **state) {
    (void)state;
    add(&old, 0x110, 0x100, 1, API_unlink, "/a");
    add(&new, 0x110, 0x100, 1, API_unlink, "/a");
    module_add_loose(new.module, API_unlink, LOOSE_AFTER_INDIRECT_CALL, "its address is taken");
    expect_counts(0, 0, 1, 0, true);
    module_add_loose(old.module, API_unlink, LOOSE_AFTER_INDIRECT_CALL, "for another reason");
    expect_counts(0, 0, 0, 0, false);
    module_add_loose(new.module, API_unlink, LOOSE_AFTER_ANY_CALL, "tail call with many callers");
    expect_counts(0, 0, 1, 0, true);
}

static void verdicts_and_children_widen(void **state) {
    (void)state;
    add(&old, 0x110, 0x100, 1, API_execve, "/a");
    struct site *site = add(&new, 0x110, 0x100, 1, API_execve, "/a");
    site->mode = MODE_AUDIT;
    expect_counts(0, 0, 1, 0, true);
    site->mode = MODE_ENFORCE; /* as the policy's own */
    site->verdict = VERDICT_KILL;
    expect_counts(0, 0, 0, 1, false);
    site->verdict = VERDICT_INHERIT;
    site_add_child(site, (struct value){.kind = VALUE_TEXT, .text = xstrdup("/bin/static")});
    expect_counts(0, 0, 1, 0, true);
    new.document.on_anonymous_code = VERDICT_LOG;
    expect_counts(0, 0, 2, 0, true);
}

static void a_new_version_of_a_library_is_the_same_library(void **state) {
    (void)state;
    struct identity identity;
    identity_parse("1a", &identity);
    struct module *module = document_module(&old.document, &identity, "/usr/lib/libz.so.1.2.13");
    module_site(module, 0x10, API_open)->fingerprint = 5;
    identity_parse("1b", &identity);
    module = document_module(&new.document, &identity, "/usr/lib/libz.so.1.3.1");
    module_site(module, 0x20, API_open)->fingerprint = 5;
    json_t *json = difference(&old.document, &new.document);
    assert_int_equal(json_array_size(json_object_get(json, "changes")), 0);
    json_decref(json);
}

/* Whatever a policy holds, it does not differ from itself, and what one direction adds the other drops. */
static void differences_of_random_policies(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct document a, b;
        random_document(&a, seed, 3, 12);
        random_document(&b, seed + 1000, 3, 12);
        json_t *same = difference(&a, &a), *forth = difference(&a, &b), *back = difference(&b, &a);
        assert_int_equal(json_array_size(json_object_get(same, "changes")), 0);
        assert_int_equal(counted(forth, "added"), counted(back, "dropped"));
        assert_int_equal(counted(forth, "dropped"), counted(back, "added"));
        json_decref(same);
        json_decref(forth);
        json_decref(back);
        document_free(&a);
        document_free(&b);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_new_function_between_moves_nothing),
        TEST(functions_of_equal_code_are_told_apart_by_their_rules),
        TEST(functions_of_equal_code_and_rules_keep_their_order),
        TEST(a_changed_function_is_known_by_its_name),
        TEST(a_changed_function_is_known_by_its_calls),
        TEST(a_changed_function_is_known_by_its_neighbours),
        TEST(of_several_calls_in_a_function_the_rules_decide),
        TEST(a_call_that_moved_is_the_same),
        TEST(what_is_reached_through_pointers_is_no_site),
        TEST(classes_decide_what_is_critical),
        TEST(rules_widen_and_narrow),
        TEST(looseness_widens),
        TEST(verdicts_and_children_widen),
        TEST(a_new_version_of_a_library_is_the_same_library),
        cmocka_unit_test(differences_of_random_policies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
