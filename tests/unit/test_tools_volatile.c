/* Values that differ in every run become patterns; all others stay as they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "runtime/match.h"
#include "runtime/util.h"
#include "tools/volatile.h"

struct row {
    enum argument_kind kind;
    const char *text;
    const char *pattern; /* NULL: nothing is volatile */
};

static const struct row rows[] = {
    {KIND_PATH, "/proc/1234/status", "/proc/%d/status"},
    {KIND_PATH, "/proc/1234/task/77/comm", "/proc/%d/task/%d/comm"},
    {KIND_PATH, "/proc/self/fd/3", "/proc/self/fd/%d"},
    {KIND_PATH, "/dev/pts/0", "/dev/pts/%d"},
    {KIND_PATH, "/var/cache/nginx/7/42/x", "/var/cache/nginx/%d/%d/x"},
    {KIND_PATH, "/tmp/foo.AbC123", "/tmp/foo.??????"},
    {KIND_PATH, "/tmp/foo-abc123", "/tmp/foo-??????"},
    {KIND_PATH, "/tmp/sessAbC123", "/tmp/sess??????"},
    {KIND_PATH, "/tmp/tmp.rQYrRmt81s/x", "/tmp/tmp.?\?\?\?\?\?\?\?\?\?/x"},
    {KIND_PATH, "/tmp/tmpa8x_k2p1", "/tmp/tmp????????"},
    {KIND_PATH, "/tmp/systemd-private", NULL},
    {KIND_PATH, "/var/lib/foo/.db.x7Gh2Q", "/var/lib/foo/.db.??????"},
    {KIND_PATH, "/run/service-4711.sock", "/run/service-%d.sock"},
    {KIND_PATH, "/tmp/a*b.1234", "/tmp/a\\*b.%d"},
    {KIND_PATH, "/cache/0123456789abcdef.gz", "/cache/????????????????.gz"},
    {KIND_PATH, "/v/123e4567-e89b-12d3-a456-426614174000/data", "/v/???????????????????????????????????\?/data"},
    {KIND_PATH, "/etc/passwd", NULL},
    {KIND_PATH, "/usr/lib/python3.11/os.py", NULL},
    {KIND_PATH, "/usr/lib/x86_64-linux-gnu/gconv/ISO8859-1.so", NULL},
    {KIND_PATH, "/usr/lib/foo-linux6", NULL},
    {KIND_PATH, "/usr/share/defaceddefacedde", NULL}, /* letters alone are a word */
    {KIND_PATH, "/tmp/notes.backup", NULL},
    {KIND_PATH, "/tmp/100%d", "/tmp/%d\\%d"},
    {KIND_PATH, "/proc/12/../34", NULL}, /* such a path matches no pattern */
    {KIND_PATH, "", NULL},
    {KIND_COMMAND, "cat /proc/1234/status", "cat /proc/%d/status"},
    {KIND_COMMAND, "rm /tmp/foo.AbC123", NULL}, /* "??????" would let in ";sh -x" */
    {KIND_COMMAND, "kill 1234", NULL},
    {KIND_ARGV, "/tmp/foo.AbC123", "/tmp/foo.??????"},
    {KIND_ARGV, "rm -f /tmp/foo.AbC123", NULL},
    {KIND_ARGV, "/tmp/x;y.AbC123", NULL},
    {KIND_ARGV, "--jobs", NULL},
    {KIND_NAME, "/tmp/foo.AbC123", NULL},
};

static void test_each_value_becomes_its_pattern(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cleanup_free char *pattern = volatile_pattern(rows[i].text, rows[i].kind);
        if (rows[i].pattern == NULL && pattern != NULL)
            fail_msg("\"%s\" became \"%s\"", rows[i].text, pattern);
        if (rows[i].pattern != NULL && pattern == NULL)
            fail_msg("\"%s\" became no pattern", rows[i].text);
        if (pattern != NULL)
            assert_string_equal(pattern, rows[i].pattern);
    }
}

static void test_a_pattern_allows_what_it_came_from(void **state) {
    (void)state;
    static const char bytes[] = "abX19/.-_*?%d\\ ;0";
    uint32_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        char text[40] = "/";
        size_t length = 1 + round % 38;
        for (size_t i = 1; i < length; i++) {
            seed = seed * 1664525 + 1013904223;
            text[i] = bytes[(seed >> 16) % (sizeof(bytes) - 1)];
        }
        cleanup_free char *pattern = volatile_pattern(text, round % 2 ? KIND_PATH : KIND_COMMAND);
        if (pattern != NULL && !match_glob(pattern, strlen(pattern), text, strlen(text)))
            fail_msg("\"%s\" does not match its own pattern \"%s\"", text, pattern);
    }
}

/* Whatever became variable lies within one component: a '/' more, or a component replaced by "..", is not allowed. */
static void test_a_pattern_spans_no_component(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cleanup_free char *pattern = rows[i].kind == KIND_PATH ? volatile_pattern(rows[i].text, KIND_PATH) : NULL;
        size_t length = strlen(rows[i].text);
        for (size_t at = 1; pattern != NULL && at < length; at++) {
            cleanup_free char *changed = xstrdup(rows[i].text);
            if (rows[i].text[at] == '/')
                continue;
            changed[at] = '/';
            if (match_glob(pattern, strlen(pattern), changed, length))
                fail_msg("\"%s\", from \"%s\", allows \"%s\"", pattern, rows[i].text, changed);
            cleanup_free char *climbing = xasprintf("%.*s../%s", (int)at, rows[i].text, rows[i].text + at);
            if (match_glob(pattern, strlen(pattern), climbing, strlen(climbing)))
                fail_msg("\"%s\", from \"%s\", allows \"%s\"", pattern, rows[i].text, climbing);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_value_becomes_its_pattern),
        cmocka_unit_test(test_a_pattern_allows_what_it_came_from),
        cmocka_unit_test(test_a_pattern_spans_no_component),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
