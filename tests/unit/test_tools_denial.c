/* Lines of the log are read, whatever they hold, and the code around a call is shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <link.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/denial.h"
#include "tools/disassembly.h"

#define LINE(api, argument, args)                                                                             \
    "{\"time\":\"2026-11-22T00:36:27.123456Z\",\"seq\":1,\"pid\":7,\"tid\":7,\"exe\":\"/usr/sbin/nginx\","    \
    "\"build_id\":\"aa01\",\"mode\":\"enforce\",\"verdict\":\"deny\",\"class\":\"exec\",\"api\":\"" api       \
    "\",\"site\":{\"module\":\"/usr/sbin/nginx\",\"build_id\":\"aa01\",\"offset\":\"0x1234\"},\"args\":" args \
    ",\"rule\":\"nginx+0x1234:" api "\",\"reason\":\"argument\",\"argument\":\"" argument "\"}"

static struct denial parse(const char *line) {
    struct denial denial;
    struct mistake mistake;
    if (!denial_parse(line, &denial, &mistake))
        fail_msg("%s", mistake.text);
    return denial;
}

static void test_a_line_is_read(void **state) {
    (void)state;
    struct denial denial = parse(LINE("system", "command", "{\"command\":\"id\"}"));
    struct value value;
    assert_string_equal(denial.program, "/usr/sbin/nginx");
    assert_int_equal(denial.api, API_system);
    assert_int_equal(denial.reason, REASON_ARGUMENT);
    assert_true(denial.has_offset);
    assert_int_equal(denial.offset, 0x1234);
    assert_int_equal(denial.argument, 0);
    assert_true(denial_value(&denial, &value));
    assert_int_equal(value.kind, VALUE_TEXT);
    assert_string_equal(value.text, "id");
    cleanup_free char *call = denial_call(&denial);
    assert_string_equal(call, "system(command = \"id\")");
    free(value.text);
    denial_free(&denial);
}

static void test_values_of_each_sort_are_understood(void **state) {
    (void)state;
    static const struct {
        const char *line;
        bool known;
        enum value_kind kind;
        int64_t low;
        const char *text;
    } rows[] = {
        {LINE("open", "flags", "{\"path\":\"/x\",\"flags\":65}"), true, VALUE_INTEGER, 65, NULL},
        {LINE("open", "flags", "{\"path\":\"/x\",\"flags\":\"O_CREAT|O_WRONLY\"}"), true, VALUE_INTEGER, 65, NULL},
        {LINE("open", "path", "{\"path\":\"/a//b/./c\"}"), true, VALUE_TEXT, 0, "/a/b/c"},
        {LINE("open", "path", "{\"path\":null}"), true, VALUE_NULL, 0, NULL},
        {LINE("open", "path", "{\"path\":\"/very/lo... (4000 bytes)\"}"), false, 0, 0, NULL},
        {LINE("connect", "address", "{\"address\":\"0x7ffd0000\"}"), false, 0, 0, NULL},
        {LINE("connect", "address", "{\"address\":\"inet:127.0.0.1:80\"}"), true, VALUE_ADDRESS, 0, NULL},
        {LINE("open", "nonsense", "{}"), false, 0, 0, NULL},
        {LINE("nonsense", "path", "{\"path\":\"/x\"}"), false, 0, 0, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct denial denial = parse(rows[i].line);
        struct value value;
        assert_int_equal(denial_value(&denial, &value), rows[i].known);
        if (rows[i].known) {
            assert_int_equal(value.kind, rows[i].kind);
            assert_int_equal(value.low, rows[i].low);
            if (rows[i].text != NULL)
                assert_string_equal(value.text, rows[i].text);
            free(value.text);
        }
        denial_free(&denial);
    }
}

static void test_what_is_no_line_is_refused(void **state) {
    (void)state;
    static const char *const lines[] = {
        "",    "{", "[]", "1", "{}", "{\"reason\":1}", "{\"reason\":\"a\"} x", "{\"reason\":\"a\",\"reason\":\"b\"}",
        "\xff"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct denial denial;
        struct mistake mistake;
        assert_false(denial_parse(lines[i], &denial, &mistake));
        assert_true(mistake.text[0] != '\0');
    }
}

static void test_a_cut_or_mutated_line_does_no_harm(void **state) {
    (void)state;
    static const char line[] = LINE("execve", "path", "{\"path\":\"/bin/sh\",\"argv\":\"0x7f\"}");
    uint32_t seed = 1;
    for (size_t i = 0; i < 20000; i++) {
        char text[sizeof(line)];
        memcpy(text, line, sizeof(line));
        seed = seed * 1664525 + 1013904223;
        text[(seed >> 8) % (sizeof(line) - 1)] = (char)(i < sizeof(line) ? '\0' : seed >> 24);
        struct denial denial;
        struct mistake mistake;
        struct value value;
        if (!denial_parse(text, &denial, &mistake))
            continue;
        free(denial_call(&denial));
        if (denial_value(&denial, &value))
            free(value.text);
        denial_free(&denial);
    }
}

static void test_control_characters_do_not_reach_the_terminal(void **state) {
    (void)state;
    struct denial denial = parse("{\"reason\":\"argument\",\"exe\":\"/x\\u001b[2J\",\"api\":\"system\","
                                 "\"args\":{\"command\":\"\\u001b[2J\"}}");
    cleanup_free char *call = denial_call(&denial);
    assert_null(strchr(call, '\x1b'));
    assert_null(strchr(denial.program, '\x1b'));
    denial_free(&denial);
}

/* ---- Disassembly ---- */

static uint64_t return_address;

__attribute__((noinline, noclone)) static void remember_caller(void) {
    return_address = (uint64_t)__builtin_return_address(0);
}

static int own_base(struct dl_phdr_info *info, size_t size, void *base) {
    (void)size;
    *(uint64_t *)base = info->dlpi_addr;
    return 1; /* the first one is the program */
}

static void test_the_call_is_found_and_named(void **state) {
    (void)state;
    struct object object;
    uint64_t base = 0;
    remember_caller();
    dl_iterate_phdr(own_base, &base);
    assert_true(object_open(&object, "/proc/self/exe"));
    struct listing listing = disassemble_call(&object, return_address - base, 4, 2);
    assert_true(listing.found_call);
    assert_int_equal(listing.count, 7);
    const struct instruction_line *call = &listing.lines[4];
    assert_true(call->is_call);
    assert_int_equal(strncmp(call->text, "call", 4), 0);
    assert_string_equal(call->comment, "remember_caller");
    assert_int_equal(listing.lines[5].address, return_address - base);
    listing_free(&listing);
    object_close(&object);
}

static void test_an_address_without_code_gives_no_listing(void **state) {
    (void)state;
    struct object object;
    assert_true(object_open(&object, "/proc/self/exe"));
    struct listing listing = disassemble_call(&object, 0x7fffffff, 4, 2);
    assert_false(listing.found_call);
    assert_int_equal(listing.count, 0);
    listing_free(&listing);
    object_close(&object);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_is_read),
        cmocka_unit_test(test_values_of_each_sort_are_understood),
        cmocka_unit_test(test_what_is_no_line_is_refused),
        cmocka_unit_test(test_a_cut_or_mutated_line_does_no_harm),
        cmocka_unit_test(test_control_characters_do_not_reach_the_terminal),
        cmocka_unit_test(test_the_call_is_found_and_named),
        cmocka_unit_test(test_an_address_without_code_gives_no_listing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
