/* The policy document: adding, ordering, and its text, read back as it was written and refused with a place and a hint
 * where it is wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "tests/unit/policies.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static char *write_text(const struct document *document) {
    char *text = NULL;
    size_t size;
    FILE *stream = xopen_memstream(&text, &size);
    document_write_text(document, stream);
    fclose(stream);
    return text;
}

/* ---- In memory ---- */

static void test_the_defaults(void **state) {
    (void)state;
    struct document document;
    document_init(&document);
    assert_int_equal(document.mode, MODE_ENFORCE);
    assert_int_equal(document.on_violation, VERDICT_DENY);
    assert_int_equal(document.on_broken_stack, VERDICT_KILL);
    assert_int_equal(document.on_unknown_stack, VERDICT_ALLOW);
    assert_int_equal(document.on_unlisted_module, VERDICT_DENY);
    assert_int_equal(document.on_anonymous_code, VERDICT_DENY);
    assert_int_equal(document.on_foreign_stack, VERDICT_KILL);
    document_free(&document);
}

static void test_modules_sites_and_constraints_are_found_again(void **state) {
    (void)state;
    struct document document;
    document_init(&document);
    struct identity first, second, none = {.kind = IDENTITY_NONE};
    identity_parse("01", &first);
    identity_parse("02", &second);
    document_module(&document, &first, "/a");
    document_module(&document, &second, "/a");
    document_module(&document, &none, "/a");
    document_module(&document, &none, "/b");
    assert_int_equal(document.module_count, 4);
    assert_ptr_equal(document_module(&document, &first, "/elsewhere"), &document.modules[0]);
    assert_ptr_equal(document_module(&document, &none, "/b"), &document.modules[3]);
    assert_int_equal(document.module_count, 4);

    struct module *module = &document.modules[0];
    struct random random = {1};
    bool added[500][3] = {0};
    size_t distinct = 0;
    for (unsigned i = 0; i < 2000; i++) {
        uint32_t offset = random_below(&random, 500), api = random_below(&random, 3);
        module_site(module, offset, (uint16_t)api);
        distinct += !added[offset][api];
        added[offset][api] = true;
    }
    assert_int_equal(module->site_count, distinct);
    for (size_t i = 1; i < module->site_count; i++) {
        const struct site *a = &module->sites[i - 1], *b = &module->sites[i];
        assert_true(a->offset < b->offset || (a->offset == b->offset && a->api < b->api));
    }
    size_t count = module->site_count;
    struct site *site = module_site(module, module->sites[7].offset, module->sites[7].api);
    assert_ptr_equal(site, &module->sites[7]);
    assert_int_equal(module->site_count, count);

    site_constraint(site, 2);
    site_constraint(site, 0);
    site_constraint(site, 1);
    assert_ptr_equal(site_constraint(site, 2), &site->constraints[2]);
    assert_int_equal(site->constraint_count, 3);
    document_free(&document);
}

static struct value text_value(const char *text, enum origin origin, uint32_t constant) {
    return (struct value){.kind = VALUE_TEXT, .origin = origin, .text = xstrdup(text), .constant = constant};
}

/* Whatever the order in which equal values come, the result is the same. */
static void test_equal_values_unite(void **state) {
    (void)state;
    for (unsigned order = 0; order < 2; order++) {
        struct constraint constraint = {0};
        constraint_add(&constraint, text_value("/x", order == 0 ? ORIGIN_LEARNED : ORIGIN_STATIC, order == 0 ? 0 : 8));
        constraint_add(&constraint, text_value("/y", ORIGIN_MANUAL, 0));
        constraint_add(&constraint, text_value("/x", order == 0 ? ORIGIN_STATIC : ORIGIN_LEARNED, order == 0 ? 8 : 0));
        assert_int_equal(constraint.value_count, 2);
        assert_int_equal(constraint.values[0].origin, ORIGIN_STATIC);
        assert_int_equal(constraint.values[0].constant, 8);
        for (size_t i = 0; i < 2; i++)
            free(constraint.values[i].text);
        free(constraint.values);
    }
    struct constraint constraint = {0};
    constraint_add(&constraint, (struct value){.kind = VALUE_INTEGER, .low = 5, .high = 77});
    constraint_add(&constraint, (struct value){.kind = VALUE_INTEGER, .low = 5});
    constraint_add(&constraint, (struct value){.kind = VALUE_MASK, .low = 5});
    constraint_add(&constraint, (struct value){.kind = VALUE_RANGE, .low = 5, .high = 77});
    constraint_add(&constraint, (struct value){.kind = VALUE_RANGE, .low = 5, .high = 78});
    assert_int_equal(constraint.value_count, 4);
    free(constraint.values);
}

static void test_the_looser_of_two_stays(void **state) {
    (void)state;
    struct module module = {0};
    module_add_loose(&module, API_open, LOOSE_AFTER_INDIRECT_CALL, "one");
    module_add_loose(&module, API_open, LOOSE_AFTER_ANY_CALL, "two");
    module_add_loose(&module, API_open, LOOSE_AFTER_INDIRECT_CALL, "three");
    assert_int_equal(module.loose_count, 1);
    assert_int_equal(module.loose[0].how, LOOSE_AFTER_ANY_CALL);
    assert_string_equal(module.loose[0].why, "two");
    free(module.loose[0].why);
    free(module.loose);
}

static void test_file_stem(void **state) {
    (void)state;
    static const char *const cases[][2] = {{"/usr/sbin/nginx", "usr.sbin.nginx"},
                                           {"nginx", "nginx"},
                                           {"//bin/sh", "bin.sh"},
                                           {"/", ""},
                                           {"", ""},
                                           {"/opt/a.b/c", "opt.a.b.c"}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        cleanup_free char *stem = policy_file_stem(cases[i][0]);
        assert_string_equal(stem, cases[i][1]);
    }
}

/* ---- There and back ---- */

static void check_round_trip(uint64_t seed) {
    struct document document, again;
    random_document(&document, seed, 3, 20);
    cleanup_free char *text = write_text(&document);
    struct mistake mistake;
    document_init(&again);
    if (!document_parse_text(text, &again, &mistake))
        fail_msg("seed %u line %u: %s", (unsigned)seed, mistake.line, mistake.text);
    cleanup_free char *text_again = write_text(&again);
    assert_string_equal(text, text_again);
    size_t size, size_again;
    cleanup_free void *image = document_compile(&document, &size);
    cleanup_free void *image_again = document_compile(&again, &size_again);
    assert_int_equal(size, size_again);
    assert_memory_equal(image, image_again, size);
    document_free(&document);
    document_free(&again);
}

static void test_text_is_read_back_as_it_was_written(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++)
        check_round_trip(seed);
}

static void test_sorting_twice_changes_nothing(void **state) {
    (void)state;
    struct document document;
    random_document(&document, 5, 3, 30);
    cleanup_free char *once = write_text(&document);
    document_sort(&document);
    cleanup_free char *twice = write_text(&document);
    assert_string_equal(once, twice);
    document_free(&document);
}

/* A person may write sites and values in any order and numbers without their L. */
static void test_the_text_of_a_person(void **state) {
    (void)state;
    struct document document;
    struct mistake mistake;
    document_init(&document);
    const char *text = "modules = ({ build_id = \"01\"; path = \"/bin/x\"; sites = (\n"
                       "  { api = \"open64\"; flags = { manual = [ \"O_CREAT|O_RDWR\", \"2\" ]; }, at = 0xf0000000 },\n"
                       "  { api = \"system\"; at = 17; site_mode = \"audit\"; site_verdict = \"kill\";\n"
                       "    command = { any = \"heap\" }; children = { manual = [\"/usr/bin/sudo\"] } } ) });\n"
                       "format = 1, program = \"/bin/x\"; build_id = \"none\"; mode = \"learn\";\n";
    if (!document_parse_text(text, &document, &mistake))
        fail_msg("line %u: %s", mistake.line, mistake.text);
    const struct module *module = &document.modules[0];
    assert_int_equal(document.mode, MODE_LEARN);
    assert_int_equal(module->site_count, 2);
    assert_int_equal(module->sites[0].api, API_system);
    assert_int_equal(module->sites[0].mode, MODE_AUDIT);
    assert_int_equal(module->sites[0].verdict, VERDICT_KILL);
    assert_true(module->sites[0].constraints[0].any);
    assert_string_equal(module->sites[0].children[0].text, "/usr/bin/sudo");
    assert_int_equal(module->sites[1].offset, 0xf0000000);
    assert_int_equal(module->sites[1].api, API_open);
    assert_int_equal(module->sites[1].constraints[0].value_count, 2);
    assert_int_equal(module->sites[1].constraints[0].values[0].low, 2);
    assert_int_equal(module->sites[1].constraints[0].values[0].origin, ORIGIN_MANUAL);
    document_free(&document);
}

static void test_the_layout(void **state) {
    (void)state;
    struct document document;
    document_init(&document);
    document.program = xstrdup("/bin/x\n\"y\"");
    identity_parse("0a0b", &document.identity);
    struct module *module = document_module(&document, &document.identity, "/bin/x");
    struct site *site = module_site(module, 0x2c1f4, API_open);
    site->function = xstrdup("open_file");
    site->fingerprint = 0xabcdef;
    struct constraint *path = site_constraint(site, 0);
    path->any = true;
    path->why_any = xstrdup("heap");
    struct constraint *flags = site_constraint(site, 1);
    constraint_add(flags, (struct value){.kind = VALUE_INTEGER, .low = 02000000});
    constraint_add(flags, (struct value){.kind = VALUE_INTEGER, .low = 1, .origin = ORIGIN_LEARNED});
    site = module_site(module, 0x2c200, API_unlink);
    site->origin = ORIGIN_LEARNED;
    constraint_add(site_constraint(site, 0), text_value("/run/x.pid", ORIGIN_STATIC, 0x4523));
    constraint_add(site_constraint(site, 0), (struct value){.kind = VALUE_NULL});
    module_add_loose(module, API_system, LOOSE_AFTER_INDIRECT_CALL, "its address is stored at 0x10");
    module_add_return(module, 0x2c300);
    module_add_return(module, 0x20);
    module_add_return(module, 0x2c300);
    struct tail *tail = module_add_tail(module, 0x1234);
    tail_add_member(tail, 0x20);
    tail->flags = TAIL_LEAVES_MODULE;
    module->has_tails = true;
    document_sort(&document);
    cleanup_free char *text = write_text(&document);
    static const char expected[] =
        "modules = (\n"
        "  {\n"
        "    path = \"/bin/x\";\n"
        "    build_id = \"0a0b\";\n"
        "    sites = (\n"
        "      { at = 0x2c1f4L; api = \"open\"; in = \"open_file\"; fingerprint = \"0000000000abcdef\";\n"
        "        path = { any = \"heap\"; };\n"
        "        flags = { static = [ \"O_RDONLY|O_CLOEXEC\" ]; learned = [ \"O_WRONLY\" ]; }; },\n"
        "      { at = 0x2c200L; api = \"unlink\"; origin = \"learned\";\n"
        "        path = { static = [ \"null\", \"/run/x.pid\" ]; constants = [ 0x0L, 0x4523L ]; }; } );\n"
        "    loose = (\n"
        "      { api = \"system\"; after = \"indirect call\"; why = \"its address is stored at 0x10\"; } );\n"
        "    returns = [ 0x20L, 0x2c300L ];\n"
        "    tails = (\n"
        "      { target = 0x1234L; members = [ 0x20L ]; leaves_module = true; } );\n"
        "    tails_complete = true;\n"
        "  } );\n";
    const char *found = strstr(text, "modules = (");
    assert_non_null(found);
    assert_string_equal(found, expected);
    assert_non_null(strstr(text, "# Policy of \"/bin/x\\n\\\"y\\\"\", in"));
    document_free(&document);
}

/* ---- Values ---- */

static void test_values(void **state) {
    (void)state;
    static const struct {
        enum argument_kind kind;
        const char *text;
    } cases[] = {
        {KIND_OPEN_FLAGS, "O_RDONLY|O_CLOEXEC"},
        {KIND_OPEN_FLAGS, "mask:O_WRONLY|O_CREAT|O_TRUNC"},
        {KIND_OPEN_FLAGS, "mask:O_RDONLY|O_CREAT|0xff000000"},
        {KIND_MAP_FLAGS, "mask:0x80000000"},
        {KIND_SIGNAL, "mask:0x3f"},
        {KIND_INT, "mask:0xffffff00"},
        {KIND_UINT, "mask:0xffffff00"},
        {KIND_LONG, "mask:0xffffffffffffff00"},
        {KIND_MODE, "mask:0755"},
        {KIND_MODE, "0644"},
        {KIND_MODE, "0600..0644"},
        {KIND_DIRFD, "AT_FDCWD"},
        {KIND_INT, "-1"},
        {KIND_INT, "-5..5"},
        {KIND_LONG, "9223372036854775807"},
        {KIND_ID, "0"},
        {KIND_SIGNAL, "SIGTERM"},
        {KIND_SIGNAL, "1..15"},
        {KIND_PATH, "/etc/passwd"},
        {KIND_PATH, ""},
        {KIND_PATH, "null"},
        {KIND_PATH, "text:null"},
        {KIND_PATH, "glob:/proc/%d/stat"},
        {KIND_PATH, "prefix:/var/www/"},
        {KIND_PATH, "text:glob:x"},
        {KIND_PATH, "text:text:"},
        {KIND_PATH, "text:glb:x"},
        {KIND_PATH, "http://x"},
        {KIND_COMMAND, "rm -f \"x\""},
        {KIND_ARGV, "[0] sh"},
        {KIND_ARGV, "[254] "},
        {KIND_ARGV, "[*] glob:*.c"},
        {KIND_ARGV, "[1] text:null"},
        {KIND_ARGV, "[1] text:prefix:a"},
        {KIND_ARGV, "null"},
        {KIND_SOCKADDR, "inet:127.0.0.1:80"},
        {KIND_SOCKADDR, "inet:*:*"},
        {KIND_SOCKADDR, "inet:10.0.0.1:*"},
        {KIND_SOCKADDR, "inet6:[::1]:80"},
        {KIND_SOCKADDR, "inet6:*:443"},
        {KIND_SOCKADDR, "inet6:[2001:db8::7]:*"},
        {KIND_SOCKADDR, "unix:/run/x"},
        {KIND_SOCKADDR, "unix:@name"},
        {KIND_SOCKADDR, "unix:"},
        {KIND_SOCKADDR, "unix:glob:/tmp/*"},
        {KIND_SOCKADDR, "unix:text:null"},
        {KIND_MSGHDR, "unspec"},
        {KIND_MSGHDR, "null"},
        {KIND_SOCKADDR, "family:AF_NETLINK"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct value value;
        struct mistake mistake = {0};
        char text[64];
        if (!value_parse(cases[i].text, cases[i].kind, &value, &mistake))
            fail_msg("\"%s\": %s", cases[i].text, mistake.text);
        assert_int_equal(value_format(&value, cases[i].kind, text, sizeof(text)), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
        free(value.text);
    }
}

static void test_a_value_is_cut_to_its_buffer(void **state) {
    (void)state;
    struct value value = {.kind = VALUE_TEXT, .text = "/etc/passwd"};
    char text[8] = "xxxxxxx";
    assert_int_equal(value_format(&value, KIND_PATH, NULL, 0), 11);
    assert_int_equal(value_format(&value, KIND_PATH, text, 5), 11);
    assert_string_equal(text, "/etc");
    assert_int_equal(text[6], 'x');
}

static void test_bad_values(void **state) {
    (void)state;
    static const struct {
        enum argument_kind kind;
        const char *text, *mistake;
    } cases[] = {
        {KIND_OPEN_FLAGS, "O_RDONLY|O_CLOEXC", "unknown value \"O_CLOEXC\" (did you mean \"O_CLOEXEC\"?)"},
        {KIND_OPEN_FLAGS, "mask:O_WRNLY", "unknown value \"O_WRNLY\" (did you mean \"O_WRONLY\"?)"},
        {KIND_OPEN_FLAGS, "bananas", "unknown value \"bananas\""},
        {KIND_INT, "x", "\"x\" is no number"},
        {KIND_INT, "", "\"\" is no number"},
        {KIND_INT, "5000000000", "\"5000000000\" does not fit into the 32 bits of this argument"},
        {KIND_INT, "1|2", "\"1|2\" is not one value (values of this argument are not joined with \"|\")"},
        {KIND_INT, "5..1", "the range \"5..1\" is empty: its first number is the larger one"},
        {KIND_INT, "1..", "\"\" is no number"},
        {KIND_MODE, "644", "\"644\" is no file mode (write it in octal with a leading zero: \"0644\")"},
        {KIND_SIGNAL, "SIGTRM", "unknown value \"SIGTRM\" (did you mean \"SIGTERM\"?)"},
        {KIND_PATH, "golb:/tmp/*",
         "unknown form of value \"golb:\" (did you mean \"glob:\"? a text like this is written \"text:golb:/tmp/*\")"},
        {KIND_ARGV, "sh",
         "\"sh\" names no element of the vector (begin with \"[0] \" to \"[254] \", or \"[*] \" for all others)"},
        {KIND_ARGV, "[255] x",
         "\"[255] x\" names no element of the vector (begin with \"[0] \" to \"[254] \", or \"[*] \" for all others)"},
        {KIND_ARGV, "[1]x",
         "\"[1]x\" names no element of the vector (begin with \"[0] \" to \"[254] \", or \"[*] \" for all others)"},
        {KIND_SOCKADDR, "inet:127.0.0.1", "\"127.0.0.1\" has no port (write \":*\" for any)"},
        {KIND_SOCKADDR, "inet:localhost:80", "\"localhost\" is no IPv4 address (or \"*\")"},
        {KIND_SOCKADDR, "inet:127.0.0.1:http", "\"http\" is no port (a number up to 65535, or \"*\")"},
        {KIND_SOCKADDR, "inet:127.0.0.1:65536", "\"65536\" is no port (a number up to 65535, or \"*\")"},
        {KIND_SOCKADDR, "inet6:::1:80", "an IPv6 address stands in brackets: \"inet6:[::1]:80\""},
        {KIND_SOCKADDR, "inet6:[::g]:80", "\"::g\" is no IPv6 address (or \"*\")"},
        {KIND_SOCKADDR, "inte:127.0.0.1:80", "unknown form of address \"inte:127.0.0.1:80\" (did you mean \"inet\"?)"},
        {KIND_SOCKADDR, "127.0.0.1:80",
         "unknown form of address \"127.0.0.1:80\" (forms are \"inet:127.0.0.1:80\", \"inet6:[::1]:80\", "
         "\"unix:/run/x\", \"unspec\", \"family:AF_NETLINK\", \"null\")"},
        {KIND_SOCKADDR, "family:AF_NETLNK", "unknown value \"AF_NETLNK\" (did you mean \"AF_NETLINK\"?)"},
        {KIND_SOCKADDR, "family:AF_INET",
         "\"family:AF_INET\" is written \"unspec\", \"unix:...\", \"inet:*:*\" or \"inet6:*:*\""},
        {KIND_ADDRESS, "1", "this argument is never checked"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct value value;
        struct mistake mistake = {0};
        if (value_parse(cases[i].text, cases[i].kind, &value, &mistake))
            fail_msg("\"%s\" was taken", cases[i].text);
        assert_string_equal(mistake.text, cases[i].mistake);
        free(value.text);
    }
    cleanup_free char *pattern = xmalloc(4000);
    memcpy(pattern, "glob:", 5);
    memset(pattern + 5, 'a', 3994);
    pattern[3999] = '\0';
    struct value value;
    struct mistake mistake = {0};
    assert_false(value_parse(pattern, KIND_PATH, &value, &mistake));
    assert_string_equal(mistake.text, "the pattern is longer than 2048 bytes");
}

/* ---- Mistakes in a file ---- */

#define HEAD "format = 1;\nprogram = \"/bin/x\";\nbuild_id = \"00\";\n"
/* In line 5 and what follows it. */
#define MODULE(content) HEAD "modules = (\n { path = \"/bin/x\"; build_id = \"01\"; " content " } );\n"
#define SITE(content) MODULE("sites = (\n { at = 0x10L; api = \"open\"; " content " } );")

static void test_each_mistake_has_its_line_and_hint(void **state) {
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
        const char *mistake;
    } cases[] = {
        {"format = 1;\nprogram = \"x\n", 3, "syntax error (is a quote, bracket or \";\" missing here or just before?)"},
        {"format = 1;\nformat = 1;\n", 2,
         "duplicate setting name (is a quote, bracket or \";\" missing here or just before?)"},
        {"# x\n  @include \"/etc/passwd\"\n", 2, "no other file can be included"},
        {"format = 1;\nprogram = \"/bin/x\\x00y\";\n", 2, "a text cannot hold the byte \"\\x00\""},
        {"format = 1;\nprogam = \"/bin/x\";\n", 2, "unknown key \"progam\" (did you mean \"program\"?)"},
        {"format = 1;\nprogram = 7;\n", 2, "\"program\" must be a text in quotes"},
        {"format = 1;\nprogram = \"/bin/x\";\n", 0, "the policy has no \"build_id\""},
        {"format = 2;\nprogram = \"/bin/x\"; build_id = \"00\"; modules = ();\n", 1,
         "format 2 is not known (this version reads format 1)"},
        {"format = 1;\nprogram = \"/bin/x\";\nbuild_id = \"0x00\";\nmodules = ();\n", 3,
         "\"0x00\" is no build-id (an even number of hexadecimal digits, or \"none\")"},
        {HEAD "mode = \"enforced\";\nmodules = ();\n", 4, "unknown mode \"enforced\" (did you mean \"enforce\"?)"},
        {HEAD "on_violation = \"block\";\nmodules = ();\n", 4, "unknown verdict \"block\""},
        {HEAD "on_broken_stack = \"kil\";\nmodules = ();\n", 4, "unknown verdict \"kil\" (did you mean \"kill\"?)"},
        {HEAD "modules = [];\n", 4, "\"modules\" must be a list in ( )"},
        {HEAD "modules = (\n 1 );\n", 5, "an element of \"modules\" must be a group in { }"},
        {HEAD "modules = (\n { path = \"/x\"; } );\n", 5, "the module has no \"build_id\""},
        {MODULE("site = ();"), 5, "unknown key \"site\" (did you mean \"sites\"?)"},
        {MODULE("tails_complete = 1;"), 5, "\"tails_complete\" must be true or false"},
        {HEAD "modules = (\n{ path = \"/x\"; build_id = \"01\"; },\n{ path = \"/y\"; build_id = \"01\"; } );", 6,
         "module \"/y\" has the same build-id as \"/x\""},
        {MODULE("sites = (\n { api = \"open\"; } );"), 6, "the site has no \"at\""},
        {MODULE("sites = (\n { at = 1; } );"), 6, "the site has no \"api\""},
        {MODULE("sites = (\n { at = -1; api = \"open\"; } );"), 6, "-1 is no offset in a program or library"},
        {MODULE("sites = (\n { at = 0x100000000L; api = \"open\"; } );"), 6,
         "4294967296 is no offset in a program or library"},
        {MODULE("sites = (\n { at = \"1\"; api = \"open\"; } );"), 6, "\"at\" must be a whole number"},
        {MODULE("sites = (\n { at = 1; api = \"opne\"; } );"), 6, "unknown API \"opne\" (did you mean \"open\"?)"},
        {MODULE("sites = (\n { at = 1; api = \"frobnicate\"; } );"), 6, "unknown API \"frobnicate\""},
        {MODULE("sites = (\n { at = 1; api = \"open\"; },\n { at = 1; api = \"open64\"; } );"), 7,
         "the site of \"open\" at 0x1 is there twice"},
        {SITE("flag = { };"), 6, "\"open\" has no argument \"flag\" (did you mean \"flags\"?)"},
        {SITE("orign = \"static\";"), 6, "\"open\" has no argument \"orign\" (did you mean \"origin\"?)"},
        {SITE("xyzzy = 1;"), 6, "\"open\" has no argument \"xyzzy\""},
        {SITE("mode = \"audit\";"), 6,
         "\"mode\" is an argument of \"open\" and must be a group in { } (the mode of a site is written "
         "\"site_mode\")"},
        {SITE("verdict = \"kill\";"), 6,
         "\"open\" has no argument \"verdict\" (the verdict of a site is written \"site_verdict\")"},
        {SITE("flags = [ ];"), 6, "\"flags\" must be a group in { }"},
        {SITE("origin = \"leaned\";"), 6, "unknown origin \"leaned\" (did you mean \"learned\"?)"},
        {SITE("site_mode = \"of\";"), 6, "unknown mode \"of\" (did you mean \"off\"?)"},
        {SITE("in = 1;"), 6, "\"in\" must be a text in quotes"},
        {SITE("fingerprint = \"12\";"), 6, "\"12\" is no fingerprint (16 digits, 0 to 9 and a to f)"},
        {SITE("fingerprint = \"000000000000000G\";"), 6,
         "\"000000000000000G\" is no fingerprint (16 digits, 0 to 9 and a to f)"},
        {SITE("flags = {\n statik = [ ]; };"), 7, "unknown key \"statik\" (did you mean \"static\"?)"},
        {SITE("flags = {\n static = \"O_RDONLY\"; };"), 7, "\"static\" must be an array in [ ]"},
        {SITE("flags = {\n static = [ 1 ]; };"), 7, "values are texts in quotes, numbers too: [ \"80\" ]"},
        {SITE("flags = {\n manual = [\n \"O_RDWR\",\n \"O_RDWRR\" ]; };"), 9,
         "unknown value \"O_RDWRR\" (did you mean \"O_RDWR\"?)"},
        {SITE("path = {\n static = [ \"/a\", \"/b\" ]; constants = [ 1 ]; };"), 7,
         "\"constants\" has 1 elements, but \"static\" has 2"},
        {SITE("path = {\n static = [ \"/a\" ]; constants = [ \"1\" ]; };"), 7,
         "\"constants\" holds something that is no number"},
        {SITE("path = {\n static = [ \"/a\" ]; constants = [ -1 ]; };"), 7, "-1 is no offset in a program or library"},
        {SITE("children = {\n any = \"x\"; };"), 7, "unknown key \"any\""},
        {MODULE("sites = (\n { at = 1; api = \"mmap\"; length = { }; } );"), 6,
         "argument \"length\" of \"mmap\" is never checked"},
        {MODULE("loose = (\n { api = \"open\"; } );"), 6, "the entry has no \"after\""},
        {MODULE("loose = (\n { api = \"open\"; after = \"indirect cal\"; } );"), 6,
         "unknown kind of call \"indirect cal\" (did you mean \"indirect call\"?)"},
        {MODULE(
             "loose = (\n { api = \"open\"; after = \"any call\"; },\n { api = \"open\"; after = \"any call\"; } );"),
         7, "\"open\" is listed as loose twice"},
        {MODULE("tails = (\n { members = [ 1 ]; } );"), 6, "the tail call has no \"target\""},
        {MODULE("tails = (\n { target = 1; members = [ \"x\" ]; } );"), 6,
         "\"members\" holds something that is no number"},
        {MODULE("tails = (\n { target = 1; anywere = true; } );"), 6,
         "unknown key \"anywere\" (did you mean \"anywhere\"?)"},
        {HEAD "mode = \"a\\nb\\x1b[31m\";\nmodules = ();\n", 4, "unknown mode \"a?b?[31m\""},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct document document;
        struct mistake mistake;
        document_init(&document);
        if (document_parse_text(cases[i].text, &document, &mistake))
            fail_msg("taken without \"%s\":\n%s", cases[i].mistake, cases[i].text);
        if (strcmp(mistake.text, cases[i].mistake) != 0 || mistake.line != cases[i].line)
            fail_msg("line %u: %s\nexpected line %u: %s\nof:\n%s", mistake.line, mistake.text, cases[i].line,
                     cases[i].mistake, cases[i].text);
        document_free(&document);
    }
}

/* A literal backslash before "x00" is no escaped zero. */
static void test_an_escaped_backslash_is_no_escape(void **state) {
    (void)state;
    struct document document;
    struct mistake mistake;
    document_init(&document);
    assert_true(document_parse_text("format = 1; program = \"a\\\\x00b\"; build_id = \"00\"; modules = ();", &document,
                                    &mistake));
    assert_string_equal(document.program, "a\\x00b");
    document_free(&document);
}

static void expect_unreadable(const char *path, const char *problem) {
    struct document document;
    struct mistake mistake;
    document_init(&document);
    assert_false(document_read_text(path, &document, &mistake));
    assert_string_equal(mistake.text, problem);
    assert_int_equal(mistake.line, 0);
    document_free(&document);
}

static void test_files_that_are_no_text(void **state) {
    (void)state;
    char path[] = "/tmp/pinion-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    expect_unreadable("/nonexistent/policy", strerror(ENOENT));
    expect_unreadable("/", "it is no regular file");
    expect_unreadable("/dev/zero", "it is no regular file");
    assert_int_equal(write(fd, "format\0= 1;", 11), 11);
    expect_unreadable(path, "it is no text: it holds a zero byte");
    struct document document;
    random_document(&document, 1, 1, 1);
    size_t size;
    cleanup_free char *image = document_compile(&document, &size);
    assert_int_equal(pwrite(fd, image, size, 0), size);
    expect_unreadable(path, "it is a compiled policy, not the text of one");
    document_free(&document);
    close(fd);
    unlink(path);
}

/* Cut anywhere, a text is refused or read as a shorter policy, never anything else. */
static void test_a_text_cut_or_changed_anywhere_does_no_harm(void **state) {
    (void)state;
    struct document document;
    random_document(&document, 8, 2, 5);
    cleanup_free char *text = write_text(&document);
    document_free(&document);
    struct random random = {3};
    size_t length = strlen(text);
    for (size_t i = 0; i < 3000; i++) {
        cleanup_free char *bad = xstrdup(text);
        if (i < 1000)
            bad[length - 1 - i * length / 1000] = '\0';
        else
            for (unsigned j = random_below(&random, 3); j < 3; j++)
                bad[random_below(&random, (uint32_t)length)] = "\"\\;:,()[]{}=0x\n*#"[random_below(&random, 18)];
        struct mistake mistake;
        document_init(&document);
        if (document_parse_text(bad, &document, &mistake)) {
            size_t size;
            free(document_compile(&document, &size));
        } else {
            assert_true(strlen(mistake.text) > 5);
        }
        document_free(&document);
    }
}

/* Every argument is a key of its site. */
static void test_no_argument_is_named_as_a_key_of_its_site(void **state) {
    (void)state;
    static const char *const keys[] = {"at",     "api",       "in",           "fingerprint",
                                       "origin", "site_mode", "site_verdict", "children"};
    for (unsigned i = 0; i < API_COUNT; i++)
        for (unsigned j = 0; j < api_table[i].argument_count; j++)
            for (size_t k = 0; k < LENGTH(keys); k++)
                assert_string_not_equal(api_table[i].arguments[j].name, keys[k]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_defaults),
        cmocka_unit_test(test_modules_sites_and_constraints_are_found_again),
        cmocka_unit_test(test_equal_values_unite),
        cmocka_unit_test(test_the_looser_of_two_stays),
        cmocka_unit_test(test_file_stem),
        cmocka_unit_test(test_text_is_read_back_as_it_was_written),
        cmocka_unit_test(test_sorting_twice_changes_nothing),
        cmocka_unit_test(test_the_text_of_a_person),
        cmocka_unit_test(test_the_layout),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_a_value_is_cut_to_its_buffer),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_each_mistake_has_its_line_and_hint),
        cmocka_unit_test(test_an_escaped_backslash_is_no_escape),
        cmocka_unit_test(test_files_that_are_no_text),
        cmocka_unit_test(test_a_text_cut_or_changed_anywhere_does_no_harm),
        cmocka_unit_test(test_no_argument_is_named_as_a_key_of_its_site),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
