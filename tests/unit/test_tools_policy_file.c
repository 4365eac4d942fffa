/* Policies as files: both forms are read, and a compiled one turned back decides the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/policies.h"
#include "tools/policy_file.h"

/* A file without a name; its path is good while the descriptor is open. */
static int file_with(const void *content, size_t size, char path[32]) {
    int fd = memfd_create("policy", MFD_CLOEXEC);
    assert_int_equal(write(fd, content, size), size);
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

static const struct policy_site *site_in(const struct policy_header *policy, uint32_t module, const struct site *site) {
    const struct policy_module *modules = policy_section(policy, policy->modules);
    return policy_find_site(policy, &modules[module], site->offset, site->api);
}

static unsigned decision(const struct policy_header *policy, const struct policy_site *site, int64_t seen) {
    static const char *const texts[] = {"", "/", "/a", "abc", "a/../b", "*"};
    const struct policy_constraint *constraints = policy_section(policy, policy->constraints);
    const char *text = texts[(uint64_t)seen % 6];
    unsigned result = 1;
    for (uint32_t i = 0; i < site->constraint_count; i++) {
        const struct policy_constraint *constraint = &constraints[site->first_constraint + i];
        result = result * 5 + rule_allows_integer(policy, constraint, (uint64_t)seen);
        result = result * 5 + rule_allows_text(policy, constraint, (unsigned)seen % 3, text, strlen(text));
        result = result * 5 + rule_allows_constant(policy, constraint, 0, 0);
    }
    return result;
}

static void test_a_compiled_policy_turned_back_decides_the_same(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct document document;
        struct document back;
        random_document(&document, seed, 1 + seed % 4, 1 + seed % 20);
        size_t size;
        size_t size_again;
        cleanup_free void *image = document_compile(&document, &size);
        document_from_compiled(image, &back);
        cleanup_free void *again = document_compile(&back, &size_again);
        assert_int_equal(back.module_count, document.module_count);
        assert_int_equal(back.on_unknown_stack, document.on_unknown_stack);
        for (uint32_t m = 0; m < document.module_count; m++) {
            assert_string_equal(back.modules[m].path, document.modules[m].path);
            assert_int_equal(back.modules[m].loose_count, document.modules[m].loose_count);
            assert_int_equal(back.modules[m].has_tails, document.modules[m].has_tails);
            for (size_t s = 0; s < document.modules[m].site_count; s++) {
                const struct policy_site *before = site_in(image, m, &document.modules[m].sites[s]);
                const struct policy_site *after = site_in(again, m, &document.modules[m].sites[s]);
                assert_non_null(after);
                assert_int_equal(after->mode, before->mode);
                assert_int_equal(after->verdict, before->verdict);
                assert_int_equal(after->constraint_count, before->constraint_count);
                for (int64_t seen = -100; seen < 200; seen++)
                    assert_int_equal(decision(again, after, seen), decision(image, before, seen));
            }
        }
        document_free(&document);
        document_free(&back);
    }
}

static void test_both_forms_are_loaded(void **state) {
    (void)state;
    struct document document;
    random_document(&document, 7, 3, 9);
    size_t size;
    cleanup_free void *image = document_compile(&document, &size);
    char *text = NULL;
    size_t text_size;
    FILE *stream = open_memstream(&text, &text_size);
    assert_non_null(stream);
    document_write_text(&document, stream);
    fclose(stream);
    char path[32];
    char text_path[32];
    cleanup_fd int fd = file_with(image, size, path);
    cleanup_fd int text_fd = file_with(text, text_size, text_path);
    struct policy_file compiled;
    struct policy_file written;
    struct mistake mistake;
    assert_true(policy_load(path, &compiled, &mistake));
    assert_true(policy_load(text_path, &written, &mistake));
    assert_true(compiled.compiled);
    assert_false(written.compiled);
    assert_int_equal(compiled.size, written.size);
    assert_memory_equal(compiled.image, written.image, size);
    policy_unload(&compiled);
    policy_unload(&written);
    document_free(&document);
    free(text);
}

static void test_a_damaged_compiled_policy_is_refused_with_a_reason(void **state) {
    (void)state;
    struct document document;
    random_document(&document, 9, 2, 5);
    size_t size;
    cleanup_free char *image = document_compile(&document, &size);
    for (size_t cut = sizeof(POLICY_MAGIC) - 1; cut < size; cut += 7) {
        char path[32];
        cleanup_fd int fd = file_with(image, cut, path);
        struct policy_file policy;
        struct mistake mistake;
        assert_false(policy_load(path, &policy, &mistake));
        assert_true(mistake.text[0] != '\0');
    }
    document_free(&document);
}

static void test_names_of_policies(void **state) {
    (void)state;
    cleanup_free char *path = policy_path("/etc/pinion", "/usr/sbin/nginx", POLICY_TEXT_SUFFIX);
    assert_string_equal(path, "/etc/pinion/usr.sbin.nginx.policy");
    cleanup_free char *compiled = compiled_path(path);
    assert_string_equal(compiled, "/etc/pinion/usr.sbin.nginx.pinion");
    assert_true(has_suffix("x.policy", ".policy"));
    assert_false(has_suffix(".policy", ".policy"));
}

static void test_a_change_is_told_with_both_builds(void **state) {
    (void)state;
    struct identity old;
    struct identity new;
    identity_parse("8a00", &old);
    identity_parse("9100", &new);
    cleanup_free char *text = describe_change("/usr/sbin/nginx", &old, &new);
    assert_string_equal(text, "policy is for build 8a00 of /usr/sbin/nginx, the file there is build 9100: run "
                              "policygen again");
}

static void test_a_file_is_compared_by_its_build(void **state) {
    (void)state;
    struct identity own;
    struct identity other;
    struct identity found;
    identity_parse("8a00", &other);
    assert_int_equal(compare_with_file(&other, "", "/proc/self/exe", &own), CHANGED);
    assert_int_equal(compare_with_file(&own, "", "/proc/self/exe", &found), FRESH);
    assert_int_equal(compare_with_file(&own, "/nowhere", "/proc/self/exe", &found), MISSING);
    assert_int_equal(compare_with_file(&own, "", "/proc/self/status", &found), UNREADABLE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_compiled_policy_turned_back_decides_the_same),
        cmocka_unit_test(test_both_forms_are_loaded),
        cmocka_unit_test(test_a_damaged_compiled_policy_is_refused_with_a_reason),
        cmocka_unit_test(test_names_of_policies),
        cmocka_unit_test(test_a_change_is_told_with_both_builds),
        cmocka_unit_test(test_a_file_is_compared_by_its_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
