/* Constraints, from the document over the compiled policy to the answer that the shim gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "runtime/rule.h"
#include "tests/unit/policies.h"

#define BIAS UINT64_C(0x7f0000000000)

/* A compiled policy with one site of `api` whose argument allows the values, written as in a policy's text. */
struct rule {
    struct policy_header *policy;
    const struct policy_constraint *constraint;
};

static struct rule make_rule_of(unsigned api, unsigned argument, const char *const *texts) {
    struct document document;
    document_init(&document);
    document.program = xstrdup("/bin/x");
    struct identity identity = {.kind = IDENTITY_BUILD_ID, .length = 1};
    struct site *site = module_site(document_module(&document, &identity, "/bin/x"), 1, (uint16_t)api);
    struct constraint *constraint = site_constraint(site, (uint8_t)argument);
    for (; *texts != NULL; texts++) {
        const char *text = *texts;
        struct value value;
        struct mistake mistake;
        if (!value_parse(text, api_table[api].arguments[argument].kind, &value, &mistake))
            fail_msg("%s: %s", text, mistake.text);
        if (value.kind == VALUE_TEXT)
            value.constant = 0x1000 + (uint32_t)strlen(text);
        constraint_add(constraint, value);
    }
    size_t size;
    struct rule rule = {.policy = document_compile(&document, &size)};
    rule.constraint = policy_section(rule.policy, rule.policy->constraints);
    document_free(&document);
    return rule;
}

#define make_rule(api, argument, ...) make_rule_of(api, argument, (const char *const[]){__VA_ARGS__, NULL})

static bool allows(const struct rule *rule, uint64_t value) {
    return rule_allows_integer(rule->policy, rule->constraint, value);
}

static bool allows_text(const struct rule *rule, unsigned position, const char *text) {
    return rule_allows_text(rule->policy, rule->constraint, position, text, strlen(text));
}

static int64_t nearest_integer(const struct rule *rule, uint64_t value) {
    int64_t index = rule_nearest_integer(rule->policy, rule->constraint, value);
    assert_true(index >= 0);
    return ((const int64_t *)policy_section(rule->policy, rule->policy->integers))[index];
}

static const char *nearest_text(const struct rule *rule, const char *text) {
    int64_t index = rule_nearest_text(rule->policy, rule->constraint, text, strlen(text));
    assert_true(index >= 0);
    const struct policy_string *strings = policy_section(rule->policy, rule->policy->strings);
    return policy_text(rule->policy, strings[index].text);
}

/* ---- Integers ---- */

static void test_integers(void **state) {
    (void)state;
    struct rule rule = make_rule(API_socket, 0, "AF_INET", "AF_UNIX");
    assert_int_equal(rule.constraint->kind, CONSTRAINT_INTEGERS);
    assert_true(allows(&rule, AF_INET));
    assert_true(allows(&rule, AF_UNIX));
    assert_false(allows(&rule, AF_NETLINK));
    assert_true(allows(&rule, UINT64_C(0xdead00000000) | AF_INET)); /* the upper half of an int's register is noise */
    assert_int_equal(nearest_integer(&rule, AF_NETLINK), AF_INET);
    assert_int_equal(nearest_integer(&rule, 0), AF_UNIX);
    free(rule.policy);
}

static void test_a_signed_argument_is_sign_extended(void **state) {
    (void)state;
    struct rule rule = make_rule(API_openat, 0, "AT_FDCWD");
    assert_true(allows(&rule, (uint64_t)-100));
    assert_true(allows(&rule, (uint32_t)-100)); /* as mov edi, -100 leaves it */
    assert_false(allows(&rule, 100));
    free(rule.policy);
}

static void test_an_unsigned_argument_is_zero_extended(void **state) {
    (void)state;
    struct rule rule = make_rule(API_setuid, 0, "-1");
    assert_true(allows(&rule, UINT32_MAX));
    assert_true(allows(&rule, UINT64_MAX));
    assert_false(allows(&rule, 0));
    free(rule.policy);
}

static void test_ranges(void **state) {
    (void)state;
    struct rule rule = make_rule(API_kill, 0, "-5..5", "100");
    assert_int_equal(rule.constraint->kind, CONSTRAINT_RANGES);
    for (int value = -10; value <= 110; value++)
        assert_int_equal(allows(&rule, (uint64_t)value), (value >= -5 && value <= 5) || value == 100);
    assert_int_equal(nearest_integer(&rule, 7), 5);
    assert_int_equal(nearest_integer(&rule, (uint64_t)-9), -5);
    assert_int_equal(nearest_integer(&rule, 99), 100);
    free(rule.policy);
}

/* In 32 unsigned bits -1..5 is the largest number and the six smallest. */
static void test_a_range_that_wraps_becomes_two(void **state) {
    (void)state;
    struct rule rule = make_rule(API_setuid, 0, "-1..5");
    assert_true(allows(&rule, UINT32_MAX));
    assert_true(allows(&rule, 0));
    assert_true(allows(&rule, 5));
    assert_false(allows(&rule, 6));
    assert_false(allows(&rule, UINT32_MAX - 1));
    free(rule.policy);
    rule = make_rule(API_setuid, 0, "-1..0x100000000");
    assert_true(allows(&rule, 12345));
    free(rule.policy);
}

static void test_masks(void **state) {
    (void)state;
    struct rule rule = make_rule(API_open, 1, "mask:O_CREAT|O_CLOEXEC");
    assert_int_equal(rule.constraint->kind, CONSTRAINT_MASK);
    assert_true(allows(&rule, 0));
    assert_true(allows(&rule, 0100));
    assert_true(allows(&rule, 02000100));
    assert_false(allows(&rule, 1));
    assert_false(allows(&rule, 0x80000000));
    assert_int_equal(nearest_integer(&rule, 1), 02000100);
    free(rule.policy);
}

static void test_masks_beside_other_values_loosen_nothing(void **state) {
    (void)state;
    struct rule rule = make_rule(API_open, 1, "mask:O_CREAT|O_CLOEXEC", "O_RDWR|O_TRUNC", "mask:O_NONBLOCK");
    assert_true(allows(&rule, 0100));
    assert_true(allows(&rule, 01002));
    assert_true(allows(&rule, 04000));
    assert_false(allows(&rule, 02));
    assert_false(allows(&rule, 01000));
    assert_false(allows(&rule, 04100));
    assert_false(allows(&rule, 01102));
    assert_int_equal(nearest_integer(&rule, 01003), 01002);
    free(rule.policy);
    rule = make_rule(API_kill, 0, "mask:0x300", "-37..1000", "5000");
    for (int value = -300; value < 6000; value++) {
        bool expected = (value & ~0x300) == 0 || (value >= -37 && value <= 1000) || value == 5000;
        assert_int_equal(allows(&rule, (uint64_t)value), expected);
    }
    free(rule.policy);
    rule = make_rule(API_personality, 0, "mask:1", "-9223372036854775808..9223372036854775807");
    assert_true(allows(&rule, 0));
    assert_true(allows(&rule, UINT64_MAX));
    assert_true(allows(&rule, UINT64_C(1) << 63));
    free(rule.policy);
}

static void test_no_value_allows_nothing(void **state) {
    (void)state;
    struct rule rule = make_rule_of(API_open, 1, (const char *const[]){NULL});
    assert_false(allows(&rule, 0));
    assert_int_equal(rule_nearest_integer(rule.policy, rule.constraint, 0), -1);
    free(rule.policy);
}

static void test_any_is_not_enforced(void **state) {
    (void)state;
    struct document document;
    document_init(&document);
    document.program = xstrdup("/bin/x");
    struct identity identity = {.kind = IDENTITY_BUILD_ID, .length = 1};
    struct site *site = module_site(document_module(&document, &identity, "/bin/x"), 1, API_open);
    struct constraint *constraint = site_constraint(site, 1);
    constraint->any = true;
    constraint_add(constraint, (struct value){.kind = VALUE_INTEGER, .low = 1});
    size_t size;
    cleanup_free struct policy_header *policy = document_compile(&document, &size);
    assert_int_equal(policy->constraints.count, 0);
    document_free(&document);
}

/* ---- Strings ---- */

static void test_strings(void **state) {
    (void)state;
    struct rule rule = make_rule(API_open, 0, "/etc//hosts", "prefix:/var/www/", "glob:/tmp/*.sock");
    assert_true(allows_text(&rule, 0, "/etc/hosts")); /* stored as it is compared: normalised */
    assert_false(allows_text(&rule, 0, "/etc/hosts2"));
    assert_false(allows_text(&rule, 0, "/etc/host"));
    assert_true(allows_text(&rule, 0, "/var/www/a/b"));
    assert_false(allows_text(&rule, 0, "/var/www/../../etc/shadow"));
    assert_true(allows_text(&rule, 0, "/tmp/x.sock"));
    assert_false(allows_text(&rule, 0, "/tmp/x/y.sock"));
    assert_false(allows_text(&rule, 0, ""));
    assert_string_equal(nearest_text(&rule, "/etc/shadow"), "/etc/hosts");
    assert_string_equal(nearest_text(&rule, "/var/lib"), "/var/www/");
    assert_false(rule_allows_constant(rule.policy, rule.constraint, 0, BIAS));
    free(rule.policy);
}

static void test_dot_dot_matches_exactly_only(void **state) {
    (void)state;
    struct rule rule = make_rule(API_open, 0, "../conf/x", "glob:**");
    assert_true(allows_text(&rule, 0, "../conf/x"));
    assert_false(allows_text(&rule, 0, "../conf/y"));
    assert_true(allows_text(&rule, 0, "/conf/y"));
    free(rule.policy);
}

static void test_constants_by_their_address(void **state) {
    (void)state;
    struct rule rule = make_rule(API_open, 0, "/etc/hosts", "glob:/tmp/*", "null");
    uint64_t address = BIAS + 0x1000 + strlen("/etc/hosts");
    assert_true(rule_allows_constant(rule.policy, rule.constraint, address, BIAS));
    assert_false(rule_allows_constant(rule.policy, rule.constraint, address + 1, BIAS));
    assert_false(rule_allows_constant(rule.policy, rule.constraint, address, 0));
    assert_false(rule_allows_constant(rule.policy, rule.constraint, BIAS, BIAS)); /* 0 is no constant */
    assert_false(rule_allows_constant(rule.policy, rule.constraint, address + (UINT64_C(1) << 32), BIAS));
    assert_true(rule_allows_constant(rule.policy, rule.constraint, 0, BIAS)); /* "null" */
    assert_false(allows_text(&rule, 0, ""));
    free(rule.policy);
}

static void test_argv_by_position(void **state) {
    (void)state;
    struct rule rule = make_rule(API_execve, 1, "[0] sh", "[0] bash", "[1] -c", "[2] glob:exec *", "[*] prefix:--");
    assert_int_equal(rule.constraint->kind, CONSTRAINT_ARGV);
    assert_true(allows_text(&rule, 0, "sh"));
    assert_true(allows_text(&rule, 0, "bash"));
    assert_false(allows_text(&rule, 0, "--x"));
    assert_true(allows_text(&rule, 1, "-c"));
    assert_false(allows_text(&rule, 1, "sh"));
    assert_true(allows_text(&rule, 2, "exec ls"));
    assert_false(allows_text(&rule, 2, "rm x"));
    assert_true(allows_text(&rule, 3, "--all"));
    assert_true(allows_text(&rule, 254, "--all"));
    assert_true(allows_text(&rule, 255, "--all"));
    assert_true(allows_text(&rule, 100000, "--all"));
    assert_false(allows_text(&rule, 3, "-c"));
    assert_false(rule_allows_constant(rule.policy, rule.constraint, 0, BIAS));
    free(rule.policy);
    rule = make_rule(API_execve, 1, "[0] sh", "null");
    assert_false(allows_text(&rule, 1, "-c")); /* nothing is listed for the rest */
    assert_false(allows_text(&rule, 1, ""));
    assert_true(rule_allows_constant(rule.policy, rule.constraint, 0, BIAS));
    free(rule.policy);
}

static void test_a_vector_may_not_be_cut_short(void **state) {
    (void)state;
    struct rule rule = make_rule(API_execve, 1, "[0] sh", "[1] -c", "[2] uptime");
    assert_false(rule_allows_end(rule.policy, rule.constraint, 0));
    assert_false(rule_allows_end(rule.policy, rule.constraint, 1));
    assert_true(rule_allows_end(rule.policy, rule.constraint, 3));
    free(rule.policy);
    rule = make_rule(API_execve, 1, "[0] sh", "[1] -x", "[1] null", "[*] glob:*");
    assert_false(rule_allows_end(rule.policy, rule.constraint, 0));
    assert_true(rule_allows_end(rule.policy, rule.constraint, 1)); /* where it may end */
    assert_true(rule_allows_end(rule.policy, rule.constraint, 2));
    assert_true(rule_allows_end(rule.policy, rule.constraint, 9));
    free(rule.policy);
}

static void test_children_are_a_constraint_of_the_site(void **state) {
    (void)state;
    struct document document;
    document_init(&document);
    document.program = xstrdup("/bin/x");
    struct identity identity = {.kind = IDENTITY_BUILD_ID, .length = 1};
    struct site *site = module_site(document_module(&document, &identity, "/bin/x"), 1, API_execve);
    site_add_child(site, (struct value){.kind = VALUE_TEXT, .text = xstrdup("/usr/bin//sudo")});
    size_t size;
    struct rule rule = {.policy = document_compile(&document, &size)};
    rule.constraint = policy_section(rule.policy, rule.policy->constraints);
    assert_int_equal(rule.policy->constraints.count, 1);
    assert_int_equal(rule.constraint->kind, CONSTRAINT_CHILDREN);
    assert_true(allows_text(&rule, 0, "/usr/bin/sudo"));
    assert_false(allows_text(&rule, 0, "/usr/bin/su"));
    free(rule.policy);
    document_free(&document);
}

/* ---- Socket addresses ---- */

static bool allows_inet(const struct rule *rule, const char *host, uint16_t port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    return rule_allows_address(rule->policy, rule->constraint, &address, sizeof(address));
}

static bool allows_inet6(const struct rule *rule, const char *host, uint16_t port) {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    inet_pton(AF_INET6, host, &address.sin6_addr);
    return rule_allows_address(rule->policy, rule->constraint, &address, sizeof(address));
}

static bool allows_unix(const struct rule *rule, const char *path, size_t path_length, size_t length) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, path_length);
    return rule_allows_address(rule->policy, rule->constraint, &address, length);
}

static void test_internet_addresses(void **state) {
    (void)state;
    struct rule rule = make_rule(API_connect, 1, "inet:127.0.0.1:80", "inet:*:53", "inet:10.0.0.1:*", "inet6:[::1]:80");
    assert_true(allows_inet(&rule, "127.0.0.1", 80));
    assert_false(allows_inet(&rule, "127.0.0.1", 81));
    assert_false(allows_inet(&rule, "127.0.0.2", 80));
    assert_true(allows_inet(&rule, "8.8.8.8", 53));
    assert_true(allows_inet(&rule, "10.0.0.1", 9));
    assert_true(allows_inet6(&rule, "::1", 80));
    assert_false(allows_inet6(&rule, "::1", 53));
    assert_false(allows_inet6(&rule, "::ffff:127.0.0.1", 80));
    struct sockaddr_in good = {.sin_family = AF_INET, .sin_port = htons(53)};
    for (size_t length = 0; length < 8; length++)
        assert_false(rule_allows_address(rule.policy, rule.constraint, &good, length));
    assert_true(rule_allows_address(rule.policy, rule.constraint, &good, 8));
    assert_false(rule_allows_address(rule.policy, rule.constraint, NULL, 0));

    struct sockaddr_in wrong = {.sin_family = AF_INET, .sin_port = htons(99), .sin_addr.s_addr = htonl(0x0a000002)};
    int64_t index = rule_nearest_address(rule.policy, rule.constraint, &wrong, sizeof(wrong));
    const struct policy_address *addresses = policy_section(rule.policy, rule.policy->addresses);
    assert_true(index >= 0);
    assert_int_equal(addresses[index].family, AF_INET);
    free(rule.policy);
}

static void test_unix_addresses(void **state) {
    (void)state;
    size_t head = offsetof(struct sockaddr_un, sun_path);
    struct rule rule = make_rule(API_connect, 1, "unix:/run/x", "unix:@name", "unix:glob:/tmp/*/s");
    assert_true(allows_unix(&rule, "/run/x", 6, head + 6)); /* no NUL is needed */
    assert_true(allows_unix(&rule, "/run/x", 7, sizeof(struct sockaddr_un)));
    assert_true(allows_unix(&rule, "/run/.//x", 9, head + 10));
    assert_false(allows_unix(&rule, "/run/xy", 7, head + 7));
    assert_true(allows_unix(&rule, "/run/x\0y", 8, head + 8)); /* the kernel stops at the NUL, too */
    assert_true(allows_unix(&rule, "\0name", 5, head + 5));
    assert_true(allows_unix(&rule, "\0name", 5, sizeof(struct sockaddr_un)));
    assert_false(allows_unix(&rule, "\0name2", 6, head + 6));
    assert_false(allows_unix(&rule, "\0na\0me", 6, head + 6));
    assert_false(allows_unix(&rule, "@name", 5, head + 5)); /* a file of that name is not the abstract one */
    assert_true(allows_unix(&rule, "/tmp/a/s", 8, head + 8));
    assert_false(allows_unix(&rule, "/tmp/../s", 9, head + 9));
    assert_false(allows_unix(&rule, "", 0, head));
    assert_false(allows_unix(&rule, "", 0, 1));
    free(rule.policy);
}

static void test_other_families(void **state) {
    (void)state;
    struct rule rule = make_rule(API_connect, 1, "family:AF_NETLINK", "unspec", "null");
    struct sockaddr_nl netlink = {.nl_family = AF_NETLINK};
    struct sockaddr unspec = {.sa_family = AF_UNSPEC};
    assert_true(rule_allows_address(rule.policy, rule.constraint, &netlink, sizeof(netlink)));
    assert_true(rule_allows_address(rule.policy, rule.constraint, &unspec, sizeof(unspec)));
    assert_true(rule_allows_address(rule.policy, rule.constraint, NULL, 0));
    assert_true(rule_allows_constant(rule.policy, rule.constraint, 0, BIAS));
    assert_false(allows_inet(&rule, "0.0.0.0", 0));
    free(rule.policy);
    rule = make_rule(API_connect, 1, "inet:0.0.0.0:0");
    assert_false(rule_allows_address(rule.policy, rule.constraint, &unspec, sizeof(unspec)));
    free(rule.policy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_a_signed_argument_is_sign_extended),
        cmocka_unit_test(test_an_unsigned_argument_is_zero_extended),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_a_range_that_wraps_becomes_two),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_masks_beside_other_values_loosen_nothing),
        cmocka_unit_test(test_no_value_allows_nothing),
        cmocka_unit_test(test_any_is_not_enforced),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_dot_dot_matches_exactly_only),
        cmocka_unit_test(test_constants_by_their_address),
        cmocka_unit_test(test_argv_by_position),
        cmocka_unit_test(test_a_vector_may_not_be_cut_short),
        cmocka_unit_test(test_children_are_a_constraint_of_the_site),
        cmocka_unit_test(test_internet_addresses),
        cmocka_unit_test(test_unix_addresses),
        cmocka_unit_test(test_other_families),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
