/* Paths and patterns, as an attacker would bend them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "runtime/match.h"
#include "tests/unit/globs.h"
#include "tests/unit/policies.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static bool glob(const char *pattern, const char *text) {
    return match_glob(pattern, strlen(pattern), text, strlen(text));
}

static bool prefix(const char *start, const char *text) {
    return match_prefix(start, strlen(start), text, strlen(text));
}

static void test_paths_are_normalised(void **state) {
    (void)state;
    static const struct {
        const char *path, *normal;
    } cases[] = {
        {"", ""},
        {"/", "/"},
        {"//", "/"},
        {"///", "/"},
        {"/./", "/"},
        {"/.//./", "/"},
        {"/etc//passwd", "/etc/passwd"},
        {"/etc/./passwd", "/etc/passwd"},
        {"/etc/././passwd", "/etc/passwd"},
        {"/etc/.//./passwd/", "/etc/passwd/"},
        {"/etc/.hidden", "/etc/.hidden"},
        {"/etc/..//passwd", "/etc/../passwd"},
        {"/etc/./../passwd", "/etc/../passwd"},
        {"/etc/...//x", "/etc/.../x"},
        {"./x", "./x"},
        {"a/./b", "a/b"},
        {"a./b", "a./b"},
        {"/a./b", "/a./b"},
        {"/etc/.", "/etc/."},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char path[64];
        snprintf(path, sizeof(path), "%s", cases[i].path);
        path[path_normalise(path, strlen(path))] = '\0';
        assert_string_equal(path, cases[i].normal);
    }
}

static void test_normalising_twice_changes_nothing(void **state) {
    (void)state;
    struct random random = {1};
    for (unsigned i = 0; i < 20000; i++) {
        char path[24], again[24];
        size_t length = random_below(&random, sizeof(path));
        for (size_t j = 0; j < length; j++)
            path[j] = "/./.a"[random_below(&random, 5)];
        length = path_normalise(path, length);
        memcpy(again, path, length);
        assert_int_equal(path_normalise(again, length), length);
        for (size_t j = 0; j + 1 < length; j++)
            assert_false(path[j] == '/' && path[j + 1] == '/');
        for (size_t j = 0; j + 2 < length; j++)
            assert_false(path[j] == '/' && path[j + 1] == '.' && path[j + 2] == '/');
    }
}

static void test_dot_dot_is_seen_as_a_component_only(void **state) {
    (void)state;
    static const char *const with[] = {"..", "../x", "/..", "/../x", "a/../b", "a/.."};
    static const char *const without[] = {"", ".", "...", "a..", "..a", "/a../b", "/..a/b", "a/.../b"};
    for (size_t i = 0; i < LENGTH(with); i++)
        assert_true(match_has_dot_dot(with[i], strlen(with[i])));
    for (size_t i = 0; i < LENGTH(without); i++)
        assert_false(match_has_dot_dot(without[i], strlen(without[i])));
}

static void test_patterns(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"/tmp/x", "/tmp/x", true},
        {"/tmp/x", "/tmp/xy", false},
        {"/tmp/*", "/tmp/", true},
        {"/tmp/*", "/tmp/abc", true},
        {"/tmp/*", "/tmp/a/b", false},
        {"/tmp/**", "/tmp/a/b", true},
        {"/tmp/**/b", "/tmp/a/c/b", true},
        {"/tmp/**b", "/tmp/b", true},
        {"/tmp/***", "/tmp/a/b", true},
        {"/tmp/?", "/tmp/a", true},
        {"/tmp/?", "/tmp//", false},
        {"/tmp/?", "/tmp/", false},
        {"/proc/%d/stat", "/proc/123/stat", true},
        {"/proc/%d/stat", "/proc/-1/stat", true},
        {"/proc/%d/stat", "/proc//stat", false},
        {"/proc/%d/stat", "/proc/-/stat", false},
        {"/proc/%d/stat", "/proc/--1/stat", false},
        {"/proc/%d/stat", "/proc/1-2/stat", false},
        {"/proc/%d/stat", "/proc/self/stat", false},
        {"/proc/%d/stat", "/proc/12a/stat", false},
        {"%d5", "155", true},
        {"%d5", "5", false},
        {"%d%d", "12", true},
        {"%d%d", "1", false},
        {"%d%d", "1-2", true},
        {"%", "%", true},
        {"%x", "%x", true},
        {"100%", "100%", true},
        {"\\%d", "%d", true},
        {"\\%d", "1", false},
        {"%\\d", "%d", true},
        {"\\\\%d", "\\7", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"\\?", "a", false},
        {"a\\", "a\\", true},
        {"*a*b", "xayb", true},
        {"*a*b", "xaab/b", false},
        {"**a*b", "a/ab", true},
        {"**a*b", "a/b", false},
        {"*.so.%d", "libc.so.6", true},
        {"*.so.%d", "dir/libc.so.6", false},
        {"*", "relative", true},
        {"/*", "relative", false},
        {"/**", "relative/x", false},
        {"/**", "/a/../b", false},
        {"/a/../b", "/a/../b", false},
        {"**", "..", false},
        {"**", "a..b", true},
        {"/tmp/%s", "/tmp/", true},
        {"/tmp/%s", "/tmp/a/b", true},
        {"/tmp/%s", "/tmp/../etc/shadow", true},
        {"/tmp/%s", "/etc/shadow", false},
        {"/tmp/%s.log", "/tmp/../x.log", true},
        {"/tmp/%s.log", "/tmp/../x", false},
        {"/a/*/%d", "/a/../1", false},
        {"\\%s", "%s", true},
        {"\\%s", "x", false},
        {"/**\\%s", "/../%s", false},
        {"%s", "..", true},
        {"100%", "100", false},
    };
    for (size_t i = 0; i < LENGTH(cases); i++)
        if (glob(cases[i].pattern, cases[i].text) != cases[i].matches)
            fail_msg("pattern \"%s\", text \"%s\"", cases[i].pattern, cases[i].text);
}

static void test_prefixes(void **state) {
    (void)state;
    assert_true(prefix("/var/www/", "/var/www/index.html"));
    assert_true(prefix("/var/www/", "/var/www/"));
    assert_false(prefix("/var/www/", "/var/www"));
    assert_false(prefix("/var/www/", "/var/wwwx"));
    assert_false(prefix("/var/www/", "/var/www/../../etc/passwd"));
    assert_false(prefix("/var/www/", "/var/www/.."));
    assert_true(prefix("/var/www/", "/var/www/..x"));
    assert_false(prefix("/", "etc/passwd"));
    assert_true(prefix("", "anything"));
    assert_false(prefix("", ".."));
}

/* Against the plain definition, on patterns that are dense in special bytes. */
static void test_random_patterns_agree_with_the_definition(void **state) {
    (void)state;
    struct random random = {42};
    unsigned matched = 0;
    for (unsigned i = 0; i < 300000; i++) {
        char pattern[16], text[16];
        size_t pattern_length = random_below(&random, 12), length = random_below(&random, 12);
        for (size_t j = 0; j < pattern_length; j++)
            pattern[j] = "aa1-/**?%ds\\"[random_below(&random, 12)];
        for (size_t j = 0; j < length; j++)
            text[j] = "aad1-/1%"[random_below(&random, 8)];
        bool expected = reference_glob(pattern, pattern_length, text, length);
        if (match_glob(pattern, pattern_length, text, length) != expected)
            fail_msg("pattern \"%.*s\", text \"%.*s\"", (int)pattern_length, pattern, (int)length, text);
        matched += expected;
    }
    assert_true(matched > 1000);
}

/* A backtracking matcher would not come back from these. */
static void test_the_worst_patterns_end(void **state) {
    (void)state;
    char pattern[MATCH_PATTERN_MAX + 2], text[4096];
    static const char *const pieces[] = {"*a", "**a", "%d", "*", "**", "?*", "*%d", "%s", "%sa", "*%s"};
    for (size_t i = 0; i < LENGTH(pieces); i++) {
        for (unsigned byte = 0; byte < 2; byte++) {
            size_t step = strlen(pieces[i]), length = 0;
            for (; length + step < MATCH_PATTERN_MAX; length += step)
                memcpy(pattern + length, pieces[i], step);
            pattern[length++] = 'X';
            memset(text, byte == 0 ? 'a' : '1', sizeof(text));
            assert_false(match_glob(pattern, length, text, sizeof(text)));
        }
    }
}

static void test_a_pattern_beyond_the_limit_matches_nothing(void **state) {
    (void)state;
    char text[MATCH_PATTERN_MAX + 1];
    memset(text, 'a', sizeof(text));
    assert_true(match_glob(text, MATCH_PATTERN_MAX, text, MATCH_PATTERN_MAX));
    assert_false(match_glob(text, MATCH_PATTERN_MAX + 1, text, MATCH_PATTERN_MAX + 1));
    memset(text, '?', sizeof(text));
    char letters[MATCH_PATTERN_MAX];
    memset(letters, 'b', sizeof(letters));
    assert_true(match_glob(text, MATCH_PATTERN_MAX, letters, sizeof(letters)));
    assert_false(match_glob(text, MATCH_PATTERN_MAX, letters, sizeof(letters) - 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_are_normalised),
        cmocka_unit_test(test_normalising_twice_changes_nothing),
        cmocka_unit_test(test_dot_dot_is_seen_as_a_component_only),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_random_patterns_agree_with_the_definition),
        cmocka_unit_test(test_the_worst_patterns_end),
        cmocka_unit_test(test_a_pattern_beyond_the_limit_matches_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
