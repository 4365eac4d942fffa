/* The compiled policy: the perfect hash, and that no file whatsoever makes a look-up leave it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/policies.h"

/* ---- Finding sites ---- */

struct site_name {
    uint32_t offset;
    uint16_t api;
};

static bool in_document(const struct module *module, uint32_t offset, unsigned api) {
    for (size_t i = 0; i < module->site_count; i++)
        if (module->sites[i].offset == offset && module->sites[i].api == api)
            return true;
    return false;
}

static void check_hash(unsigned count) {
    struct document document;
    document_init(&document);
    document.program = xstrdup("/bin/x");
    struct identity identity = {.kind = IDENTITY_BUILD_ID, .length = 1};
    struct module *module = document_module(&document, &identity, "/bin/x");
    for (unsigned i = 0; i < count; i++)
        module_site(module, 0x1000 + i / 2 * 5, i % 2 == 0 ? API_open : API_execve);
    size_t size;
    cleanup_free struct policy_header *policy = document_compile(&document, &size);
    const struct policy_module *compiled = policy_section(policy, policy->modules);
    assert_int_equal(module->site_count, count);
    assert_true(compiled->site_count <= count + count / 8 + 8);
    for (size_t i = 0; i < module->site_count; i++) {
        const struct policy_site *site =
            policy_find_site(policy, compiled, module->sites[i].offset, module->sites[i].api);
        assert_non_null(site);
        assert_int_equal(site->offset, module->sites[i].offset);
        assert_int_equal(site->api, module->sites[i].api);
    }
    for (uint32_t offset = 0xff0; offset < 0x1000 + 3000; offset++)
        for (unsigned api = 0; api < API_COUNT; api += 7)
            if (policy_find_site(policy, compiled, offset, api) != NULL)
                assert_true(in_document(module, offset, api));
    document_free(&document);
}

static void test_hash_finds_its_sites_and_no_others(void **state) {
    (void)state;
    static const unsigned counts[] = {0, 1, 2, 3, 5, 17, 100, 999, 5000, 20000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        check_hash(counts[i]);
}

/* Neighbouring return addresses, as real code has them, and addresses far apart. */
static void test_hash_holds_any_spacing(void **state) {
    (void)state;
    for (unsigned shift = 0; shift < 20; shift++) {
        struct document document;
        document_init(&document);
        document.program = xstrdup("/bin/x");
        struct identity identity = {.kind = IDENTITY_BUILD_ID, .length = 1};
        struct module *module = document_module(&document, &identity, "/bin/x");
        for (uint32_t i = 0; i < 1000; i++)
            module_site(module, i << shift, (uint16_t)(i % API_COUNT));
        size_t size;
        cleanup_free struct policy_header *policy = document_compile(&document, &size);
        const struct policy_module *compiled = policy_section(policy, policy->modules);
        for (uint32_t i = 0; i < 1000; i++)
            assert_non_null(policy_find_site(policy, compiled, i << shift, i % API_COUNT));
        document_free(&document);
    }
}

static void test_sites_of_one_module_are_not_another_s(void **state) {
    (void)state;
    struct document document;
    random_document(&document, 3, 4, 50);
    size_t size;
    cleanup_free struct policy_header *policy = document_compile(&document, &size);
    const struct policy_module *modules = policy_section(policy, policy->modules);
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 4; j++)
            for (size_t k = 0; k < document.modules[i].site_count; k++) {
                const struct site *site = &document.modules[i].sites[k];
                bool found = policy_find_site(policy, &modules[j], site->offset, site->api) != NULL;
                assert_int_equal(found, in_document(&document.modules[j], site->offset, site->api));
            }
    document_free(&document);
}

/* ---- Lists of a module ---- */

static void test_looseness_and_tails_are_found(void **state) {
    (void)state;
    struct document document;
    document_init(&document);
    document.program = xstrdup("/bin/x");
    struct identity identity = {.kind = IDENTITY_BUILD_ID, .length = 1};
    struct module *module = document_module(&document, &identity, "/bin/x");
    module_add_loose(module, API_openat, LOOSE_AFTER_INDIRECT_CALL, "");
    module_add_loose(module, API_execve, LOOSE_AFTER_INDIRECT_CALL, "");
    module_add_loose(module, API_execve, LOOSE_AFTER_ANY_CALL, "");
    for (uint32_t i = 40; i > 0; i--)
        module_add_return(module, i * 8);
    module_add_return(module, 16);
    for (uint32_t i = 40; i > 0; i--) {
        struct tail *tail = module_add_tail(module, i * 16);
        tail_add_member(tail, i * 16 + 8);
    }
    tail_add_member(module_add_tail(module, 160), 7);
    module_add_tail(module, 160)->flags = TAIL_LEAVES_MODULE;
    module->has_tails = true;
    size_t size;
    cleanup_free struct policy_header *policy = document_compile(&document, &size);
    const struct policy_module *compiled = policy_section(policy, policy->modules);
    const uint32_t *members = policy_section(policy, policy->members);

    assert_int_equal(compiled->flags, MODULE_HAS_TAILS);
    assert_int_equal(policy_looseness(policy, compiled, API_execve), LOOSE_AFTER_ANY_CALL);
    assert_int_equal(policy_looseness(policy, compiled, API_openat), LOOSE_AFTER_INDIRECT_CALL);
    assert_int_equal(policy_looseness(policy, compiled, API_open), 0);
    assert_int_equal(compiled->return_count, 40);
    for (uint32_t offset = 0; offset < 41 * 8; offset++)
        assert_int_equal(policy_is_return(policy, compiled, offset), offset % 8 == 0 && offset != 0);
    assert_false(policy_is_return(policy, compiled, UINT32_MAX));
    for (uint32_t target = 0; target < 41 * 16; target++) {
        const struct policy_tail *tail = policy_find_tail(policy, compiled, target);
        assert_int_equal(tail != NULL, target % 16 == 0 && target != 0);
        if (tail != NULL && target != 160) {
            assert_int_equal(tail->member_count, 1);
            assert_int_equal(members[tail->first_member], target + 8);
        }
    }
    const struct policy_tail *united = policy_find_tail(policy, compiled, 160);
    assert_int_equal(united->member_count, 2);
    assert_int_equal(members[united->first_member], 7);
    assert_int_equal(members[united->first_member + 1], 168);
    assert_int_equal(united->flags, TAIL_LEAVES_MODULE);
    document_free(&document);
}

/* A closure that no reader would search member by member is as good as any function. */
static void test_a_huge_tail_leads_anywhere(void **state) {
    (void)state;
    struct document document;
    document_init(&document);
    document.program = xstrdup("/bin/x");
    struct identity identity = {.kind = IDENTITY_BUILD_ID, .length = 1};
    struct tail *tail = module_add_tail(document_module(&document, &identity, "/bin/x"), 1);
    for (uint32_t i = 0; i < 70000; i++)
        tail_add_member(tail, i);
    size_t size;
    cleanup_free struct policy_header *policy = document_compile(&document, &size);
    const struct policy_tail *found = policy_find_tail(policy, policy_section(policy, policy->modules), 1);
    assert_int_equal(found->flags, TAIL_ANYWHERE);
    assert_int_equal(found->member_count, 0);
    document_free(&document);
}

static void test_equal_documents_give_equal_bytes(void **state) {
    (void)state;
    struct document first, second;
    random_document(&first, 9, 3, 100);
    random_document(&second, 9, 3, 100);
    size_t first_size, second_size;
    cleanup_free void *a = document_compile(&first, &first_size);
    cleanup_free void *b = document_compile(&second, &second_size);
    assert_int_equal(first_size, second_size);
    assert_memory_equal(a, b, first_size);
    document_free(&first);
    document_free(&second);
}

/* ---- Damaged files ---- */

static void *random_policy(uint64_t seed, size_t *size) {
    struct document document;
    random_document(&document, seed, 3, 12);
    void *image = document_compile(&document, size);
    document_free(&document);
    return image;
}

static void expect_problem(const void *image, size_t size, const char *problem) {
    const char *found = policy_validate(image, size);
    assert_non_null(found);
    assert_string_equal(found, problem);
}

static void test_each_damage_has_its_name(void **state) {
    (void)state;
    size_t size;
    cleanup_free struct policy_header *good = random_policy(1, &size);
    cleanup_free struct policy_header *bad = xmalloc(size + 8);
#define DAMAGE(change, problem)             \
    do {                                    \
        memcpy(bad, good, size);            \
        change;                             \
        expect_problem(bad, size, problem); \
    } while (0)
    struct policy_module *modules = (struct policy_module *)((char *)bad + good->modules.offset);
    struct policy_site *sites = (struct policy_site *)((char *)bad + good->sites.offset);
    struct policy_constraint *constraints = (struct policy_constraint *)((char *)bad + good->constraints.offset);
    struct policy_string *strings = (struct policy_string *)((char *)bad + good->strings.offset);

    DAMAGE(bad->magic[0] = 'p', "it is no compiled policy");
    DAMAGE(bad->version++, "it has another version of the format");
    DAMAGE(bad->size++, "it is cut off or too long");
    DAMAGE(bad->table_fingerprint++, "it was compiled by another version of Pinion");
    DAMAGE(bad->mode = 0, "its mode is none");
    DAMAGE(bad->mode = MODE_OFF + 1, "its mode is none");
    DAMAGE(bad->on_violation = 0, "one of its verdicts is none");
    DAMAGE(bad->on_foreign_stack = VERDICT_ALLOW + 1, "one of its verdicts is none");
    DAMAGE(bad->program.length = 21, "the identity of its program is damaged");
    DAMAGE(bad->sites.offset += 4, "one of its sections lies outside the file");
    DAMAGE(bad->sites.offset = 0, "one of its sections lies outside the file");
    DAMAGE(bad->integers.count = UINT32_MAX, "one of its sections lies outside the file");
    DAMAGE(((char *)bad)[size - 1] = 'x', "its texts do not end");
    DAMAGE(bad->text.count = 0, "its texts do not end");
    DAMAGE(bad->program_path = bad->text.count, "the path of its program lies outside its texts");
    DAMAGE(modules[1].path = bad->text.count, "a module is damaged");
    DAMAGE(modules[1].flags = 2, "a module is damaged");
    DAMAGE(modules[1].first_site--, "the parts of a module do not follow those of the one before");
    DAMAGE(modules[0].displacement_count = 0, "a module's sites cannot be looked up");
    DAMAGE(modules[2].site_count++, "the parts of the modules do not fill their sections");
    DAMAGE(bad->modules.count--, "the parts of the modules do not fill their sections");
    DAMAGE(sites[3].api = API_COUNT, "a call site is damaged");
    DAMAGE(sites[3].mode = MODE_OFF + 1, "a call site is damaged");
    DAMAGE(sites[3].verdict = VERDICT_ALLOW + 1, "a call site is damaged");
    DAMAGE(sites[3].first_constraint = UINT32_MAX, "a call site is damaged");
    DAMAGE(sites[3].constraint_count = bad->constraints.count + 1, "a call site is damaged");
    DAMAGE(constraints[0].argument = API_MAX_ARGUMENTS, "the rule of an argument is damaged");
    DAMAGE(constraints[0].kind = 0, "the rule of an argument is damaged");
    DAMAGE(constraints[0].kind = CONSTRAINT_CHILDREN + 1, "the rule of an argument is damaged");
    DAMAGE(constraints[0].shape = SHAPE_OPAQUE + 1, "the rule of an argument is damaged");
    DAMAGE(constraints[0].condition = 200, "the rule of an argument is damaged");
    DAMAGE(constraints[0].count = UINT32_MAX, "the rule of an argument is damaged");
    DAMAGE((constraints[0].kind = CONSTRAINT_RANGES, constraints[0].first = 0, constraints[0].count = 3),
           "the rule of an argument is damaged");
    DAMAGE(strings[0].length++, "a string is damaged");
    DAMAGE(strings[0].text = UINT32_MAX, "a string is damaged");
    DAMAGE(strings[0].match = 0, "a string is damaged");
#undef DAMAGE
    expect_problem((char *)memcpy((char *)bad + 4, good, size), size, "it is not aligned in memory");
    assert_null(policy_validate(good, size));
}

static void test_a_cut_file_is_refused_at_every_byte(void **state) {
    (void)state;
    size_t size;
    cleanup_free char *image = random_policy(2, &size);
    struct guarded guarded = guarded_allocate(size);
    for (size_t length = 0; length < size; length++) {
        char *copy = guarded_copy(&guarded, image, length);
        assert_non_null(policy_validate(copy, length));
        if (length >= sizeof(struct policy_header)) { /* also with a size that agrees */
            ((struct policy_header *)copy)->size = (uint32_t)length;
            if (policy_validate(copy, length) == NULL)
                exercise_policy((const struct policy_header *)copy);
        }
    }
    guarded_free(&guarded);
}

/* Either refused, or every look-up stays in the file: behind it lies memory that faults. */
static void test_mutated_files_do_no_harm(void **state) {
    (void)state;
    struct random random = {77};
    unsigned accepted = 0, refused = 0;
    for (unsigned round = 0; round < 60; round++) {
        size_t size;
        cleanup_free char *image = random_policy(round, &size);
        struct guarded guarded = guarded_allocate(size);
        for (unsigned i = 0; i < 500; i++) {
            char *copy = guarded_copy(&guarded, image, size);
            for (unsigned j = 1 + random_below(&random, 4); j > 0; j--) {
                static const uint32_t values[] = {0, 1, 0x7f, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff};
                uint32_t value =
                    random_below(&random, 2) == 0 ? values[random_below(&random, 8)] : random_number(&random);
                size_t width = (size_t)1 << random_below(&random, 3);
                size_t at = random_below(&random, (uint32_t)(size / width)) * width;
                if (random_below(&random, 3) == 0)
                    at = random_below(&random, sizeof(struct policy_header) / 4) * 4;
                memcpy(copy + at, &value, width);
            }
            bool good = policy_validate(copy, size) == NULL;
            accepted += good;
            refused += !good;
            if (good)
                exercise_policy((const struct policy_header *)copy);
        }
        guarded_free(&guarded);
    }
    assert_true(accepted > 1000);
    assert_true(refused > 1000);
}

/* ---- Names ---- */

static void test_names(void **state) {
    (void)state;
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        assert_true(strlen(reason_text((enum reason)i)) > 0);
        assert_true(strlen(reason_explanation((enum reason)i)) > 10);
    }
    assert_string_equal(reason_text(REASON_STACK_PIVOT), "stack-pivot");
    assert_string_equal(reason_text(REASON_COUNT), "");
    assert_string_equal(mode_name(MODE_ENFORCE), "enforce");
    assert_string_equal(mode_name(MODE_OFF + 1), "");
    assert_string_equal(verdict_name(VERDICT_KILL), "kill");
    assert_string_equal(verdict_name(VERDICT_ALLOW), "allow");
    assert_string_equal(verdict_name(VERDICT_ALLOW + 1), "");
}

/* The arrays that hold them have a fixed width. */
static void test_names_are_whole(void **state) {
    (void)state;
#define REASON(name, text, explanation)                    \
    assert_string_equal(reason_text(REASON_##name), text); \
    assert_string_equal(reason_explanation(REASON_##name), explanation);
#include "runtime/reasons.def"
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash_finds_its_sites_and_no_others),
        cmocka_unit_test(test_hash_holds_any_spacing),
        cmocka_unit_test(test_sites_of_one_module_are_not_another_s),
        cmocka_unit_test(test_looseness_and_tails_are_found),
        cmocka_unit_test(test_a_huge_tail_leads_anywhere),
        cmocka_unit_test(test_equal_documents_give_equal_bytes),
        cmocka_unit_test(test_each_damage_has_its_name),
        cmocka_unit_test(test_a_cut_file_is_refused_at_every_byte),
        cmocka_unit_test(test_mutated_files_do_no_harm),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_names_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
