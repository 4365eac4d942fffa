/* One rule covers another exactly where everything the other allows is allowed by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "policygen/subset.h"
#include "runtime/match.h"
#include "runtime/util.h"

/* A constraint from values as a policy writes them, separated by semicolons. */
static struct constraint constraint_of(enum argument_kind kind, const char *texts) {
    struct constraint constraint = {0};
    struct mistake mistake;
    cleanup_free char *copy = xstrdup(texts);
    char *rest = copy, *text;
    while ((text = strsep(&rest, ";")) != NULL) {
        struct value value;
        if (!value_parse(text, kind, &value, &mistake))
            fail_msg("%s: %s", text, mistake.text);
        constraint_add(&constraint, value);
    }
    return constraint;
}

static void free_constraint(struct constraint *constraint) {
    for (size_t i = 0; i < constraint->value_count; i++)
        free(constraint->values[i].text);
    free(constraint->values);
}

static bool covers(enum argument_kind kind, const char *wide, const char *narrow) {
    struct constraint a = constraint_of(kind, wide), b = constraint_of(kind, narrow);
    bool all = true;
    for (size_t i = 0; i < b.value_count; i++)
        all &= constraint_covers(&a, kind, &b, &b.values[i]);
    free_constraint(&a);
    free_constraint(&b);
    return all;
}

struct row {
    enum argument_kind kind;
    const char *wide, *narrow;
    bool covers;
};

static void check_rows(const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (covers(rows[i].kind, rows[i].wide, rows[i].narrow) != rows[i].covers)
            fail_msg("\"%s\" %s \"%s\"", rows[i].wide, rows[i].covers ? "does not cover" : "covers", rows[i].narrow);
    }
}

#define CHECK(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))

static void integers(void **state) {
    (void)state;
    static const struct row rows[] = {
        {KIND_INT, "1;2;3", "2", true},
        {KIND_INT, "1;3", "2", false},
        {KIND_INT, "1..5", "2;5", true},
        {KIND_INT, "1..5", "6", false},
        {KIND_INT, "1..3;4;5..9", "2..8", true},
        {KIND_INT, "1..3;5..9", "2..8", false},
        {KIND_INT, "1;2;3", "1..3", true},
        {KIND_INT, "1..3", "0..3", false},
        {KIND_INT, "-1", "4294967295", true}, /* the same 32 bits */
        {KIND_OPEN_FLAGS, "mask:O_CREAT|O_TRUNC", "O_CREAT", true},
        {KIND_OPEN_FLAGS, "mask:O_CREAT|O_TRUNC", "O_RDONLY", true},
        {KIND_OPEN_FLAGS, "mask:O_CREAT|O_TRUNC", "O_CREAT|O_EXCL", false},
        {KIND_OPEN_FLAGS, "mask:O_CREAT|O_TRUNC", "mask:O_TRUNC", true},
        {KIND_OPEN_FLAGS, "mask:O_CREAT|O_TRUNC", "mask:O_TRUNC|O_EXCL", false},
        {KIND_OPEN_FLAGS, "O_RDONLY;O_CREAT;O_TRUNC;O_CREAT|O_TRUNC", "mask:O_CREAT|O_TRUNC", true},
        {KIND_OPEN_FLAGS, "O_RDONLY;O_CREAT;O_TRUNC", "mask:O_CREAT|O_TRUNC", false},
    };
    CHECK(rows);
}

static void texts(void **state) {
    (void)state;
    static const struct row rows[] = {
        {KIND_PATH, "/a;/b", "/b", true},
        {KIND_PATH, "/a//b", "/a/./b", true},
        {KIND_PATH, "/a", "null", false},
        {KIND_PATH, "/a;null", "null", true},
        {KIND_PATH, "prefix:/var/", "/var/x", true},
        {KIND_PATH, "prefix:/var/", "/var/../etc", false},
        {KIND_PATH, "prefix:/var/", "prefix:/var/lib/", true},
        {KIND_PATH, "prefix:/var/lib/", "prefix:/var/", false},
        {KIND_PATH, "prefix:/var/", "glob:/var/*.log", true},
        {KIND_PATH, "prefix:/var/", "glob:/*/x", false},
        {KIND_PATH, "prefix:/var/", "glob:/var/%s", false}, /* may climb */
        {KIND_PATH, "glob:/var/**", "prefix:/var/log/", true},
        {KIND_PATH, "glob:/var/*", "prefix:/var/log/", false},
        {KIND_PATH, "glob:/var/*", "/var/x", true},
        {KIND_PATH, "glob:/var/*", "/var/x/y", false},
        {KIND_PATH, "glob:/var/**", "glob:/var/*/x", true},
        {KIND_PATH, "glob:/var/*", "glob:/var/**", false},
        {KIND_PATH, "glob:/var/%s", "glob:/var/**", true},
        {KIND_PATH, "glob:/var/**", "glob:/var/%s", false},
        {KIND_PATH, "glob:/proc/*/stat", "glob:/proc/%d/stat", true},
        {KIND_PATH, "glob:/proc/%d/stat", "glob:/proc/*/stat", false},
        {KIND_PATH, "glob:/proc/%d/stat", "glob:/proc/12/stat", true},
        {KIND_PATH, "glob:/proc/%d/stat", "/proc/12/stat", true},
        {KIND_PATH, "glob:/a/?", "glob:/a/*", false},
        {KIND_PATH, "glob:/a/*", "glob:/a/??", true},
        {KIND_PATH, "glob:*a*", "glob:xa?", true},
        {KIND_PATH, "/a", "glob:/a*", false},
        {KIND_PATH, "glob:a\\*", "glob:a*", false},
        {KIND_COMMAND, "ls;cat", "cat", true},
        {KIND_COMMAND, "ls", "ls -l", false},
    };
    CHECK(rows);
}

static void vectors(void **state) {
    (void)state;
    static const struct row rows[] = {
        {KIND_ARGV, "[0] sh;[1] -c;[*] glob:**", "[0] sh", true},
        {KIND_ARGV, "[0] sh;[1] -c;[*] glob:**", "[1] -x", false},
        {KIND_ARGV, "[0] sh;[1] -c;[*] glob:**", "[2] any", true},
        {KIND_ARGV, "[0] sh", "[1] -c", false},
        {KIND_ARGV, "[0] sh;[*] glob:**", "[*] x", false}, /* at place 0, too */
        {KIND_ARGV, "[0] sh;[*] x", "[0] sh;[*] x", true},
        {KIND_ARGV, "[*] glob:**", "[*] x", true},
        {KIND_ARGV, "[0] a;[1] b;[2] c;[1] null", "[2] null", false},
        {KIND_ARGV, "[0] a;[1] b;[1] null", "[5] null", true},
        {KIND_ARGV, "[0] sh;[1] -c", "[1] null", false},
        {KIND_ARGV, "[0] sh;[1] -c;[1] null", "[1] null", true},
        {KIND_ARGV, "null", "null", true},
        {KIND_ARGV, "[0] sh", "null", false},
    };
    CHECK(rows);
    struct constraint vector = constraint_of(KIND_ARGV, "[0] sh;[1] -c;[1] null");
    assert_int_equal(constraint_least_elements(&vector), 1);
    free_constraint(&vector);
    vector = constraint_of(KIND_ARGV, "[0] sh;[1] -c");
    assert_int_equal(constraint_least_elements(&vector), 2);
    struct constraint shorter = constraint_of(KIND_ARGV, "[0] sh");
    assert_true(constraint_ends_elsewhere(&vector, &shorter));
    assert_false(constraint_ends_elsewhere(&shorter, &vector));
    assert_false(constraint_ends_elsewhere(&vector, &vector));
    free_constraint(&vector);
    free_constraint(&shorter);
}

static void addresses(void **state) {
    (void)state;
    static const struct row rows[] = {
        {KIND_SOCKADDR, "inet:127.0.0.1:80", "inet:127.0.0.1:80", true},
        {KIND_SOCKADDR, "inet:127.0.0.1:80", "inet:127.0.0.1:81", false},
        {KIND_SOCKADDR, "inet:127.0.0.1:*", "inet:127.0.0.1:81", true},
        {KIND_SOCKADDR, "inet:127.0.0.1:80", "inet:127.0.0.1:*", false},
        {KIND_SOCKADDR, "inet:*:80", "inet:10.0.0.1:80", true},
        {KIND_SOCKADDR, "inet:10.0.0.1:80", "inet:*:80", false},
        {KIND_SOCKADDR, "inet:*:*", "inet6:[::1]:80", false},
        {KIND_SOCKADDR, "inet6:*:*", "inet6:[::1]:80", true},
        {KIND_SOCKADDR, "unix:/run/x", "unix:/run/y", false},
        {KIND_SOCKADDR, "unix:prefix:/run/", "unix:/run/y", true},
        {KIND_SOCKADDR, "unspec", "unspec", true},
        {KIND_SOCKADDR, "null", "inet:*:*", false},
    };
    CHECK(rows);
}

/* What covers must hold for every text: tried on many small patterns and texts. */
static void patterns_that_cover_match_no_less(void **state) {
    (void)state;
    static const char *const parts[] = {"a", "/", "*", "**", "?", "%d", "1", "%s", ".."};
    enum {
        PARTS = sizeof parts / sizeof parts[0],
        PATTERNS = PARTS * PARTS * PARTS
    };
    static const char *const samples[] = {"",   "a",   "aa",  "1",   "11",   "-1",   "/",   "//",  "a/a", "1/a", "a1",
                                          "..", "a..", "../", "/..", "a/..", "../a", "..1", "...", "a/1", "-11", "/11"};
    char patterns[PATTERNS][8];
    for (size_t i = 0; i < PATTERNS; i++)
        snprintf(patterns[i], sizeof patterns[i], "%s%s%s", parts[i % PARTS], parts[i / PARTS % PARTS],
                 parts[i / PARTS / PARTS]);
    size_t covering = 0;
    for (size_t i = 0; i < PATTERNS; i++) {
        for (size_t j = 0; j < PATTERNS; j++) {
            if (!glob_covers(patterns[i], patterns[j]))
                continue;
            covering += i != j;
            for (size_t k = 0; k < sizeof samples / sizeof samples[0]; k++) {
                const char *text = samples[k];
                if (match_glob(patterns[j], strlen(patterns[j]), text, strlen(text)) &&
                    !match_glob(patterns[i], strlen(patterns[i]), text, strlen(text)))
                    fail_msg("\"%s\" covers \"%s\", but not \"%s\"", patterns[i], patterns[j], text);
            }
        }
    }
    assert_true(covering > 1000);
}

static void conditions(void **state) {
    (void)state;
    struct document document;
    document_init(&document);
    struct module *module = document_module(&document, &document.identity, "/bin/x");
    struct site *site = module_site(module, 0x10, API_open);
    assert_true(site_argument_matters(site, 2)); /* any flags */
    struct constraint *flags = site_constraint(site, 1);
    constraint_add(flags, (struct value){.kind = VALUE_INTEGER, .low = 0});
    assert_false(site_argument_matters(site, 2));
    constraint_add(flags, (struct value){.kind = VALUE_INTEGER, .low = 0100});
    assert_true(site_argument_matters(site, 2));
    document_free(&document);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(texts),
        cmocka_unit_test(vectors),
        cmocka_unit_test(addresses),
        cmocka_unit_test(patterns_that_cover_match_no_less),
        cmocka_unit_test(conditions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
