/* The API table against the libcs of this machine: no alias of a listed function is missing, nothing is listed
 * that does not exist, and a missing row would be noticed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/api.h"
#include "tests/symbols/symbols.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

struct exemption {
    const char *symbol;
    const char *reason;
};

/* clang-format off */
#define UNLISTED(symbol, reason) {#symbol, reason},
static const struct exemption unlisted[] = {
#include "tests/symbols/exemptions.def"
};

#define ABSENT(symbol, reason) {#symbol, reason},
static const struct exemption absent[] = {
#include "tests/symbols/exemptions.def"
};
/* clang-format on */

static struct {
    const char *name;
    char path[4096];
    bool present;
    struct symbol_list symbols;
} libcs[] = {{.name = "glibc"}, {.name = "musl"}};

static bool is_exempt(const struct exemption *exemptions, size_t count, const char *symbol) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(exemptions[i].symbol, symbol) == 0)
            return true;
    return false;
}

static bool any_libc_has(const char *name) {
    for (size_t i = 0; i < LENGTH(libcs); i++)
        if (libcs[i].present && symbol_list_has(&libcs[i].symbols, name))
            return true;
    return false;
}

static bool all_libcs_present(void) {
    for (size_t i = 0; i < LENGTH(libcs); i++)
        if (!libcs[i].present)
            return false;
    return true;
}

/* ---- missing siblings ---- */

struct findings {
    const char *libc;
    const char *wanted; /* only this symbol counts; NULL counts and prints every one without an exemption */
    unsigned count;
};

static void count_finding(const char *symbol, const char *sibling, void *data) {
    struct findings *findings = data;
    if (findings->wanted != NULL) {
        findings->count += strcmp(symbol, findings->wanted) == 0;
    } else if (!is_exempt(unlisted, LENGTH(unlisted), symbol)) {
        print_error("%s exports %s, a sibling of %s: list it in runtime/apis.def or tests/symbols/exemptions.def\n",
                    findings->libc, symbol, sibling);
        findings->count++;
    }
}

/* The table's spellings except one. */
static size_t list_names(const char *names[SPELLING_COUNT], const char *without) {
    size_t count = 0;
    for (unsigned i = 0; i < SPELLING_COUNT; i++)
        if (without == NULL || strcmp(spelling_table[i].name, without) != 0)
            names[count++] = spelling_table[i].name;
    return count;
}

static unsigned count_siblings(const char *without, const char *wanted) {
    const char *names[SPELLING_COUNT];
    size_t count = list_names(names, without);
    unsigned sum = 0;
    for (size_t i = 0; i < LENGTH(libcs); i++) {
        struct findings findings = {libcs[i].name, wanted, 0};
        if (libcs[i].present)
            find_siblings(&libcs[i].symbols, names, count, count_finding, &findings);
        sum += findings.count;
    }
    return sum;
}

static void test_no_sibling_is_missing(void **state) {
    (void)state;
    assert_int_equal(count_siblings(NULL, NULL), 0);
}

/* The comparison itself: each of these rows, taken out of the table, is found and named. */
static void test_a_missing_row_is_noticed(void **state) {
    (void)state;
    static const char *const rows[] = {"open64", "__open64_2", "__libc_system",     "mmap64", "__read_chk",
                                       "_Fork",  "__xstat",    "__open64_nocancel", "write",  "_IO_popen"};
    for (size_t i = 0; i < LENGTH(rows); i++)
        if (count_siblings(rows[i], rows[i]) == 0)
            fail_msg("nobody would notice that %s is not listed", rows[i]);
}

static void test_base_names(void **state) {
    (void)state;
    static const struct {
        const char *name;
        const char *base;
    } pairs[] = {
        {"open", "open"},
        {"__open64_2", "open"},
        {"__libc_fcntl64", "fcntl"},
        {"_IO_fopen64", "fopen"},
        {"preadv64v2", "preadv"},
        {"__fxstatat64", "fstatat"},
        {"__xmknod", "mknod"},
        {"umount2", "umount2"},
        {"_Fork", "fork"},
        {"execve", "execve"},
        {"__", "_"},
        {"x", "x"},
    };
    for (size_t i = 0; i < LENGTH(pairs); i++) {
        char base[64];
        base_name(pairs[i].name, base, sizeof base);
        assert_string_equal(base, pairs[i].base);
    }
}

/* ---- rows for nothing ---- */

static void test_every_function_exists(void **state) {
    (void)state;
    if (!all_libcs_present()) {
        print_message("skipped: needs both glibc and musl\n");
        skip();
    }
    unsigned missing = 0;
    for (unsigned i = 0; i < SPELLING_COUNT; i++) {
        const char *name = spelling_table[i].name;
        if (any_libc_has(name) || is_exempt(absent, LENGTH(absent), name))
            continue;
        print_error("neither libc exports %s\n", name);
        missing++;
    }
    assert_int_equal(missing, 0);
}

static void test_canonical_names_have_no_exemption(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(absent); i++) {
        unsigned spelling = spelling_by_name(absent[i].symbol);
        assert_int_not_equal(spelling, SPELLING_COUNT);
        assert_string_not_equal(api_table[spelling_table[spelling].api].name, absent[i].symbol);
    }
}

/* A raw row whose name libc has would leave that function without a stub. */
static void test_raw_rows_have_no_function(void **state) {
    (void)state;
    for (unsigned i = 0; i < API_COUNT; i++)
        if (api_table[i].level == LEVEL_RAW && any_libc_has(api_table[i].name))
            fail_msg("%s is a raw row, but libc has the function", api_table[i].name);
}

static void test_every_exemption_is_needed(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(unlisted); i++)
        if (count_siblings(NULL, unlisted[i].symbol) == 0)
            fail_msg("the exemption of %s is not needed", unlisted[i].symbol);
    for (size_t i = 0; i < LENGTH(absent); i++)
        if (any_libc_has(absent[i].symbol))
            fail_msg("the exemption of %s is not needed: libc has it", absent[i].symbol);
}

/* ---- set-up ---- */

/* The libc that this very program runs on, and musl where Debian puts it. */
static void find_libcs(void) {
    struct link_map *map = NULL;
    void *handle = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    if (handle != NULL && dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0)
        snprintf(libcs[0].path, sizeof libcs[0].path, "%s", map->l_name);
    snprintf(libcs[1].path, sizeof libcs[1].path, "/lib/ld-musl-x86_64.so.1");
}

static int read_libcs(void **state) {
    (void)state;
    find_libcs();
    unsigned present = 0;
    for (size_t i = 0; i < LENGTH(libcs); i++) {
        libcs[i].present = access(libcs[i].path, R_OK) == 0 && symbol_list_read(&libcs[i].symbols, libcs[i].path);
        present += libcs[i].present;
        if (!libcs[i].present)
            print_message("%s is not compared: \"%s\" is not here\n", libcs[i].name, libcs[i].path);
    }
    return present > 0 ? 0 : -1;
}

static int free_libcs(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(libcs); i++)
        if (libcs[i].present)
            symbol_list_free(&libcs[i].symbols);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_sibling_is_missing),
        cmocka_unit_test(test_a_missing_row_is_noticed),
        cmocka_unit_test(test_base_names),
        cmocka_unit_test(test_every_function_exists),
        cmocka_unit_test(test_canonical_names_have_no_exemption),
        cmocka_unit_test(test_raw_rows_have_no_function),
        cmocka_unit_test(test_every_exemption_is_needed),
    };
    return cmocka_run_group_tests(tests, read_libcs, free_libcs);
}
