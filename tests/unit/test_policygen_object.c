/* Objects on the analyser's own example, whole, truncated at every byte and with every byte of their headers changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "policygen/analysis.h"
#include "runtime/util.h"

#define EXAMPLE "tests/fuzz/corpus/policygen_elf/program"

static uint8_t *example;
static size_t example_size;

static uint8_t *copy_of_example(void) {
    uint8_t *copy = xmalloc(example_size);
    memcpy(copy, example, example_size);
    return copy;
}

static void the_example_is_understood(void **state) {
    (void)state;
    struct object object;
    assert_int_equal(object_parse("example", example, example_size, &object), OBJECT_FINE);
    assert_non_null(object.interpreter);
    assert_int_equal(object.needed_count, 1);
    assert_string_equal(object.needed[0], "libc.so.6");
    assert_true(object_is_code(&object, object.entry));
    assert_false(object_is_code(&object, 0));
    unsigned apis = 0;
    for (size_t i = 0; i < object.symbol_count; i++)
        apis += object.symbols[i].api == API_open || object.symbols[i].api == API_socket;
    assert_int_equal(apis, 2);
    object_close(&object);
}

static void other_files_are_named(void **state) {
    (void)state;
    struct object object;
    uint8_t script[] = "#!/bin/sh\n", text[80] = "text";
    assert_int_equal(object_parse("x", script, sizeof script, &object), OBJECT_SCRIPT);
    assert_int_equal(object_parse("x", text, sizeof text, &object), OBJECT_NOT_ELF);
    uint8_t *other = copy_of_example();
    other[EI_CLASS] = ELFCLASS32;
    assert_int_equal(object_parse("x", other, example_size, &object), OBJECT_OTHER_MACHINE);
    free(other);
    assert_int_equal(object_open("/nowhere/at/all", &object), OBJECT_UNREADABLE);
    assert_int_equal(object_open("/", &object), OBJECT_UNREADABLE);
}

static void analyse(uint8_t *bytes, size_t size) {
    struct analysis analysis = {.path = xstrdup("x")};
    if (object_parse("x", bytes, size, &analysis.object) == OBJECT_FINE) {
        analysis_make(&analysis);
        analysis_free(&analysis);
    } else {
        free(analysis.path);
    }
}

static void truncated_files_do_no_harm(void **state) {
    (void)state;
    for (size_t size = 0; size < example_size; size++) {
        uint8_t *cut = xmalloc(size + 1);
        memcpy(cut, example, size);
        analyse(cut, size);
        free(cut);
    }
}

static void changed_headers_do_no_harm(void **state) {
    (void)state;
    static const uint8_t changes[] = {0x01, 0x80, 0xff};
    for (size_t at = 0; at < 2048 && at < example_size; at++) {
        for (size_t i = 0; i < sizeof changes; i++) {
            uint8_t *changed = copy_of_example();
            changed[at] ^= changes[i];
            analyse(changed, example_size);
            free(changed);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_is_understood),
        cmocka_unit_test(other_files_are_named),
        cmocka_unit_test(truncated_files_do_no_harm),
        cmocka_unit_test(changed_headers_do_no_harm),
    };
    example = (uint8_t *)file_read(EXAMPLE, 1u << 20, &example_size);
    if (example == NULL)
        die_with_error("cannot read \"%s\"", EXAMPLE);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(example);
    return failed;
}
