/* The tools judge values as the shim does, and say why one is not allowed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include "runtime/match.h"
#include "tests/unit/policies.h"
#include "tools/allows.h"

/* ---- Agreement with the compiled rules ---- */

/* A policy of one site with one constraint on `argument` of `api`. */
static void one_constraint(struct document *document, unsigned api, uint8_t argument, const struct value *values,
                           size_t count) {
    document_init(document);
    document->program = xstrdup("/usr/sbin/service");
    identity_parse("aa01", &document->identity);
    struct module *module = document_module(document, &document->identity, document->program);
    struct constraint *constraint = site_constraint(module_site(module, 0x10, (uint16_t)api), argument);
    for (size_t i = 0; i < count; i++) {
        struct value value = values[i];
        value.text = value.text != NULL ? xstrdup(value.text) : NULL;
        constraint_add(constraint, value);
    }
}

static const struct policy_constraint *compiled_constraint(const struct policy_header *policy) {
    const struct policy_module *module = policy_section(policy, policy->modules);
    const struct policy_site *sites = policy_section(policy, policy->sites);
    const struct policy_constraint *constraints = policy_section(policy, policy->constraints);
    for (uint32_t i = 0; i < module->site_count; i++)
        if (sites[i].api != API_NONE && sites[i].constraint_count > 0)
            return &constraints[sites[i].first_constraint];
    return NULL;
}

static void test_integers_are_judged_as_the_shim_does(void **state) {
    (void)state;
    struct random random = {3};
    for (int round = 0; round < 400; round++) {
        struct value values[3];
        for (int i = 0; i < 3; i++)
            values[i] = random_integer(&random, SHAPE_INT32);
        struct document document;
        size_t size;
        one_constraint(&document, API_open, 1, values, 3);
        cleanup_free void *image = document_compile(&document, &size);
        const struct policy_constraint *compiled = compiled_constraint(image);
        assert_non_null(compiled);
        const struct constraint *constraint = &document.modules[0].sites[0].constraints[0];
        for (int64_t seen = -70; seen < 170; seen++) {
            struct value value = {.kind = VALUE_INTEGER, .low = seen};
            bool expected = rule_allows_integer(image, compiled, (uint64_t)seen);
            assert_int_equal(constraint_lists(constraint, KIND_OPEN_FLAGS, &value), expected);
        }
        document_free(&document);
    }
}

static void test_texts_are_judged_as_the_shim_does(void **state) {
    (void)state;
    static const char *const seen[] = {"",
                                       "/",
                                       "/etc/passwd",
                                       "/etc/../etc/passwd",
                                       "/tmp/a.sock",
                                       "/tmp/a/b",
                                       "etc/hosts",
                                       "/var/lib/x/y",
                                       "/var/lib/x/../y",
                                       "*",
                                       "/proc/12",
                                       "/proc/-1",
                                       "/proc/12/status",
                                       "/proc/x"};
    static const struct value allowed[] = {
        {.kind = VALUE_TEXT, .text = "/etc/passwd"}, {.kind = VALUE_TEXT, .text = "/etc/../etc/passwd"},
        {.kind = VALUE_PREFIX, .text = "/var/lib/"}, {.kind = VALUE_GLOB, .text = "/tmp/*.sock"},
        {.kind = VALUE_GLOB, .text = "/proc/%d"},    {.kind = VALUE_GLOB, .text = "**"},
        {.kind = VALUE_GLOB, .text = "\\*"},         {.kind = VALUE_NULL},
    };
    for (size_t a = 0; a < sizeof(allowed) / sizeof(allowed[0]); a++) {
        struct document document;
        size_t size;
        one_constraint(&document, API_open, 0, &allowed[a], 1);
        cleanup_free void *image = document_compile(&document, &size);
        const struct policy_constraint *compiled = compiled_constraint(image);
        const struct constraint *constraint = &document.modules[0].sites[0].constraints[0];
        for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++) {
            struct value value = {.kind = VALUE_TEXT, .text = (char *)(uintptr_t)seen[i]};
            bool expected = rule_allows_text(image, compiled, 0, seen[i], strlen(seen[i]));
            if (constraint_lists(constraint, KIND_PATH, &value) != expected)
                fail_msg("\"%s\" against \"%s\"", seen[i], allowed[a].text ? allowed[a].text : "null");
        }
        struct value null = {.kind = VALUE_NULL};
        assert_int_equal(constraint_lists(constraint, KIND_PATH, &null), rule_allows_constant(image, compiled, 0, 0));
        document_free(&document);
    }
}

static void test_elements_of_argv_go_by_their_position(void **state) {
    (void)state;
    static const struct value allowed[] = {
        {.kind = VALUE_TEXT, .text = "sh", .position = 0},
        {.kind = VALUE_TEXT, .text = "-c", .position = 1},
        {.kind = VALUE_TEXT, .text = "more", .position = POSITION_REST},
    };
    static const struct {
        unsigned position;
        const char *text;
        bool allowed;
    } seen[] = {{0, "sh", true},   {0, "-c", false},  {1, "-c", true},  {1, "more", false},
                {2, "more", true}, {7, "more", true}, {7, "sh", false}, {POSITION_REST, "more", true}};
    struct document document;
    one_constraint(&document, API_execve, 1, allowed, 3);
    const struct constraint *constraint = &document.modules[0].sites[0].constraints[0];
    for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++) {
        struct value value = {
            .kind = VALUE_TEXT, .text = (char *)(uintptr_t)seen[i].text, .position = (uint8_t)seen[i].position};
        assert_int_equal(constraint_lists(constraint, KIND_ARGV, &value), seen[i].allowed);
    }
    document_free(&document);
}

/* ---- Why not ---- */

static void assert_why(struct value allowed, enum argument_kind kind, struct value seen, const char *expected) {
    cleanup_free char *why = why_not(&allowed, kind, &seen);
    assert_string_equal(why, expected);
}

static void test_the_reason_names_the_difference(void **state) {
    (void)state;
    struct value flags = {.kind = VALUE_INTEGER, .low = O_RDONLY | O_CLOEXEC};
    assert_why(flags, KIND_OPEN_FLAGS, (struct value){.kind = VALUE_INTEGER, .low = O_RDONLY | O_CLOEXEC | O_CREAT},
               "O_CREAT is set in addition");
    assert_why(flags, KIND_OPEN_FLAGS, (struct value){.kind = VALUE_INTEGER, .low = O_RDONLY}, "O_CLOEXEC is missing");
    assert_why((struct value){.kind = VALUE_RANGE, .low = 3, .high = 9}, KIND_INT,
               (struct value){.kind = VALUE_INTEGER, .low = 10}, "the value is above it");
    assert_why((struct value){.kind = VALUE_TEXT, .text = "/etc/hosts"}, KIND_PATH,
               (struct value){.kind = VALUE_TEXT, .text = "/etc/shadow"},
               "the same up to \"/etc/\", then the value has \"shadow\"");
    assert_why((struct value){.kind = VALUE_TEXT, .text = "ls"}, KIND_COMMAND,
               (struct value){.kind = VALUE_TEXT, .text = "ls; id"}, "the value goes on after it: \"; id\"");
    assert_why((struct value){.kind = VALUE_GLOB, .text = "/srv/**"}, KIND_PATH,
               (struct value){.kind = VALUE_TEXT, .text = "/srv/../etc/shadow"},
               "a path with \"..\" matches no pattern");
    struct value null = {.kind = VALUE_NULL};
    assert_why((struct value){.kind = VALUE_TEXT, .text = "x"}, KIND_PATH, null, "the value is a null pointer");
}

static void test_what_an_attacker_wrote_is_made_harmless(void **state) {
    (void)state;
    assert_why((struct value){.kind = VALUE_TEXT, .text = "ls"}, KIND_COMMAND,
               (struct value){.kind = VALUE_TEXT, .text = "ls\x1b[2J\n\xff"},
               "the value goes on after it: \"\\x1b[2J\\x0a\\xff\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_are_judged_as_the_shim_does),
        cmocka_unit_test(test_texts_are_judged_as_the_shim_does),
        cmocka_unit_test(test_elements_of_argv_go_by_their_position),
        cmocka_unit_test(test_the_reason_names_the_difference),
        cmocka_unit_test(test_what_an_attacker_wrote_is_made_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
