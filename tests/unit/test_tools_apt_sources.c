/* Which addresses a target's package sources give: those that apt would ask for packages, and no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "runtime/util.h"
#include "tools/patch/method_parts.h"

typedef void adder(struct names *addresses, const char *text);

/* `expected`: the addresses, with a blank behind each. */
static void check(adder *add, const char *text, const char *expected) {
    struct names addresses = {0};
    cleanup_free char *got = xstrdup("");
    add(&addresses, text);
    for (size_t i = 0; i < addresses.count; i++) {
        char *longer = xasprintf("%s%s ", got, addresses.items[i]);
        free(got);
        got = longer;
    }
    names_free(&addresses);
    if (strcmp(got, expected) != 0)
        fail_msg("\"%s\": \"%s\", not \"%s\"", text, got, expected);
}

static void test_one_line_sources(void **state) {
    (void)state;
    check(addresses_add_list, "deb http://a/debian bookworm main\n", "http://a/debian/ ");
    check(addresses_add_list, "\t deb\thttps://a/b/  ./", "https://a/b/ ");
    check(addresses_add_list, "deb [ arch=amd64 signed-by=/x ] http://a/x y main", "http://a/x/ ");
    check(addresses_add_list, "deb [trusted=yes] file:/srv/archive ./", "copy:/srv/archive/ ");
    check(addresses_add_list, "deb file:///srv/archive ./", "copy:///srv/archive/ ");
    check(addresses_add_list, "deb http://a/ x\ndeb http://b/ x\ndeb http://a/ y\n", "http://a/ http://b/ ");
    check(addresses_add_list, "deb http://a/ x # deb http://b/ y", "http://a/ ");
    check(addresses_add_list, "#deb http://a/ x", "");
    check(addresses_add_list, "deb-src http://a/ x", "");
    check(addresses_add_list, "deb http://a/", "");
    check(addresses_add_list, "deb http://a/ # x", "");
    check(addresses_add_list, "deb cdrom:[Debian 12]/ x main", "");
    check(addresses_add_list, "deb [never=closed http://a/ x", "");
    check(addresses_add_list, "deb -oDpkg::Pre-Invoke::=id x", "");
    check(addresses_add_list, "deb http://a/`id` x", "");
    check(addresses_add_list, "deb", "");
}

static void test_stanzas(void **state) {
    (void)state;
    check(addresses_add_stanzas, "Types: deb\nURIs: http://a/debian\nSuites: x\n", "http://a/debian/ ");
    check(addresses_add_stanzas, "types: deb-src deb\nuris: http://a http://b/\nsuites: x", "http://a/ http://b/ ");
    check(addresses_add_stanzas, "Types: deb\nURIs:\n http://a\n http://b\n# no\n http://c\nSuites: x",
          "http://a/ http://b/ http://c/ ");
    check(addresses_add_stanzas, "Types: deb\nURIs: http://a\nSigned-By:\n -----BEGIN-----\n http://b\n", "http://a/ ");
    check(addresses_add_stanzas, "Types: deb\nURIs: http://a\n\nTypes: deb\nURIs: http://b\n", "http://a/ http://b/ ");
    check(addresses_add_stanzas, "Enabled: no\nTypes: deb\nURIs: http://a\n \nTypes: deb\nURIs: http://b\n",
          "http://b/ ");
    check(addresses_add_stanzas, "Enabled: yes\nTypes: deb\nURIs: http://a", "http://a/ ");
    check(addresses_add_stanzas, "Types: deb-src\nURIs: http://a", "");
    check(addresses_add_stanzas, "URIs: http://a", "");
    check(addresses_add_stanzas, " http://a\nno colon\n: \n", "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_line_sources),
        cmocka_unit_test(test_stanzas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
