/* What is not ours reaches a terminal as text and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "runtime/util.h"
#include "tools/describe.h"

static void only_text_is_printed(void **state) {
    static const struct {
        const char *given, *printed;
    } rows[] = {
        {"plain", "plain"},
        {"M\xc3\xbcller \xe2\x82\xac \xf0\x9f\x98\x80", "M\xc3\xbcller \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\x1b[2J\n\x7f", "\\x1b[2J\\x0a\\x7f"},
        {"\xc2\x9b"
         "2J",
         "\\xc2\\x9b"
         "2J"}, /* the one-byte form of ESC [ */
        {"\xff\xc3", "\\xff\\xc3"},
        {"a\xe2\x80\xae"
         "b",
         "a\\xe2\\x80\\xae"
         "b"}, /* turns what follows around */
        {"a\xe2\x81\xa6"
         "b",
         "a\\xe2\\x81\\xa6"
         "b"},
        {"a\xe2\x80\xa8"
         "b",
         "a\\xe2\\x80\\xa8"
         "b"}, /* another line */
        {"a\xd8\x9c", "a\\xd8\\x9c"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cleanup_free char *printed = printable(rows[i].given);
        assert_string_equal(printed, rows[i].printed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_text_is_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
