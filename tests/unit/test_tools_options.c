/* Command lines are read from a table; what is no option keeps its order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tools/options.h"

static const struct verb verb = {.name = "test", .summary = "is tested"};
static const char *directory;
static struct text_list list;
static bool flag;

static const struct option_row rows[] = {
    OPTION_TEXT("directory", 'd', "DIR", &directory, "a text"),
    OPTION_LIST("item", 0, "ITEM", &list, "a list"),
    OPTION_FLAG("flag", 'f', &flag, "a switch"),
};

static int forget(void **state) {
    (void)state;
    directory = NULL;
    free(list.items);
    list = (struct text_list){0};
    flag = false;
    return 0;
}

static struct usage usage_of(bool stops_at_command) {
    return (struct usage){.verb = &verb,
                          .arguments = "WORD...",
                          .options = rows,
                          .option_count = 3,
                          .stops_at_command = stops_at_command};
}

static void test_options_may_stand_anywhere(void **state) {
    (void)state;
    char *words[] = {"test", "one", "--directory=x", "two", "--item", "a", "--item=b", "-fdy", "--", "-f", NULL};
    struct usage usage = usage_of(false);
    assert_int_equal(options_read(&usage, 10, words), 3);
    assert_string_equal(words[1], "one");
    assert_string_equal(words[2], "two");
    assert_string_equal(words[3], "-f");
    assert_null(words[4]);
    assert_string_equal(directory, "y");
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[1], "b");
    assert_true(flag);
}

static void test_a_command_keeps_its_own_options(void **state) {
    (void)state;
    char *words[] = {"test", "-d", "x", "command", "-f", "--", "--directory=y", NULL};
    struct usage usage = usage_of(true);
    assert_int_equal(options_read(&usage, 7, words), 4);
    assert_string_equal(words[1], "command");
    assert_string_equal(words[2], "-f");
    assert_string_equal(words[3], "--");
    assert_string_equal(words[4], "--directory=y");
    assert_string_equal(directory, "x");
    assert_false(flag);
}

static void test_sizes_have_units(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t bytes; /* 0: no size */
    } sizes[] = {{"512", 512},
                 {"64K", 65536},
                 {"64m", 64u << 20},
                 {"1G", 1u << 30},
                 {"", 0},
                 {"0", 0},
                 {"-1", 0},
                 {"1X", 0},
                 {"1Kb", 0},
                 {"99999999999999999999", 0},
                 {"18446744073709551615G", 0}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t bytes = 0;
        assert_int_equal(options_size(sizes[i].text, &bytes), sizes[i].bytes != 0);
        if (sizes[i].bytes != 0)
            assert_int_equal(bytes, sizes[i].bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_options_may_stand_anywhere, forget, forget),
        cmocka_unit_test_setup_teardown(test_a_command_keeps_its_own_options, forget, forget),
        cmocka_unit_test(test_sizes_have_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
