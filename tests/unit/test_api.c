/* The API table and the symbolic constants: look-ups, conditions, and that reading undoes writing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "runtime/api.h"
#include "runtime/constants.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    enum constant_set set;
    const char *name;
} names[] = {
/* clang-format off */
#define CONSTANT(set, name, value) {CONSTANTS_##set, #name},
#include "runtime/constants.def"
};

static const char *const set_names[CONSTANTS_COUNT] = {
#define CONSTANT_SET(name, combines) [CONSTANTS_##name] = #name,
#include "runtime/constants.def"
};

static const bool set_combines[CONSTANTS_COUNT] = {
#define CONSTANT_SET(name, combines) [CONSTANTS_##name] = combines,
#include "runtime/constants.def"
};
/* clang-format on */

/* ---- the table ---- */

static void test_names_are_whole_and_unique(void **state) {
    (void)state;
    for (unsigned i = 0; i < SPELLING_COUNT; i++) {
        assert_non_null(memchr(spelling_table[i].name, '\0', sizeof spelling_table[i].name));
        assert_int_equal(spelling_by_name(spelling_table[i].name), i);
        assert_int_equal(api_by_name(spelling_table[i].name), spelling_table[i].api);
    }
    for (unsigned i = 0; i < API_COUNT; i++) {
        assert_non_null(memchr(api_table[i].name, '\0', sizeof api_table[i].name));
        assert_int_equal(api_by_name(api_table[i].name), i);
        for (unsigned j = 0; j < api_table[i].argument_count; j++)
            assert_non_null(memchr(api_table[i].arguments[j].name, '\0', sizeof api_table[i].arguments[j].name));
    }
}

static void test_rows_keep_the_table_s_rules(void **state) {
    (void)state;
    for (unsigned i = 0; i < API_COUNT; i++) {
        const struct api *api = &api_table[i];
        assert_true(api->argument_count <= API_MAX_ARGUMENTS);
        assert_int_equal(api->level == LEVEL_COUNTED, api->class == CLASS_COUNT);
        if (api->level == LEVEL_COUNTED)
            assert_int_equal(api->argument_count, 0);
        for (unsigned j = 0; j < api->argument_count; j++) {
            assert_true(api->arguments[j].kind < KIND_COUNT);
            if (argument_shape(api->arguments[j].kind) == SHAPE_SOCKADDR)
                assert_int_equal(api->arguments[j + 1].kind, KIND_SIZE);
        }
    }
}

static void test_a_spelling_leads_to_its_api(void **state) {
    (void)state;
    assert_int_equal(api_by_name("open"), API_open);
    assert_int_equal(api_by_name("__open64_2"), API_open);
    assert_int_equal(api_by_name("_IO_popen"), API_popen);
    assert_int_equal(api_by_name("__xstat64"), API_stat);
    assert_int_not_equal(spelling_by_name("open64"), spelling_by_name("open"));
    assert_string_equal(api_table[API_mmap].name, "mmap");
    assert_string_equal(spelling_table[SPELLING_mmap64].name, "mmap64");
}

static void test_unknown_names_are_refused(void **state) {
    (void)state;
    assert_int_equal(api_by_name("opne"), API_NONE);
    assert_int_equal(api_by_name(""), API_NONE);
    assert_int_equal(api_by_name("open6"), API_NONE);
    assert_int_equal(api_by_name("malloc"), API_NONE);
    assert_int_equal(spelling_by_name("opne"), SPELLING_COUNT);
}

static void test_raw_apis_have_no_spelling(void **state) {
    (void)state;
    assert_int_equal(api_by_name("io_uring_setup"), API_io_uring_setup);
    assert_int_equal(spelling_by_name("io_uring_setup"), SPELLING_COUNT);
}

static void test_every_system_call_row_is_found(void **state) {
    (void)state;
/* clang-format off */
#define SYSCALL(name, number) assert_int_equal(api_by_system_call(number), API_##name);
#include "runtime/apis.def"
    /* clang-format on */
}

static void test_system_calls_without_a_row(void **state) {
    (void)state;
    assert_int_equal(api_by_system_call(__NR_exit), API_NONE);
    assert_int_equal(api_by_system_call(-1), API_NONE);
    assert_int_equal(api_by_system_call(100000), API_NONE);
}

/* The kernel takes the number from the low 32 bits, and the x32 bit leads to the same calls. */
static void test_a_number_cannot_be_disguised(void **state) {
    (void)state;
    assert_int_equal(api_by_system_call(0x40000000L | __NR_execve), API_execve);
    assert_int_equal(api_by_system_call(0x40000000L | 520), API_execve);
    assert_int_equal(api_by_system_call((1L << 32) | __NR_execve), API_execve);
    assert_int_equal(api_by_system_call((long)0xffffffff00000000u | __NR_ptrace), API_ptrace);
}

static void test_system_calls_with_other_arguments_have_their_own_rows(void **state) {
    (void)state;
    assert_string_equal(api_table[api_by_system_call(__NR_clone)].name, "sys_clone");
    assert_string_equal(api_table[api_by_system_call(__NR_fchmodat)].name, "sys_fchmodat");
    assert_string_equal(api_table[api_by_system_call(__NR_reboot)].name, "sys_reboot");
}

static void test_kinds_and_classes(void **state) {
    (void)state;
    assert_string_equal(api_class_name(CLASS_EXEC), "exec");
    assert_string_equal(api_class_name(CLASS_TOTAL), "");
    assert_int_equal(argument_shape(KIND_PATH), SHAPE_PATH);
    assert_int_equal(argument_shape(KIND_FD), SHAPE_INT32);
    assert_int_equal(argument_shape(KIND_COUNT), SHAPE_OPAQUE);
    assert_int_equal(argument_constants(KIND_MODE), CONSTANTS_OCTAL);
    assert_int_equal(argument_constants(KIND_ACCEPT_FLAGS), CONSTANTS_SOCKET_TYPE);
    assert_int_equal(argument_constants(KIND_COUNT), CONSTANTS_NONE);
}

static void test_the_fingerprint_is_one_value(void **state) {
    (void)state;
    assert_true(api_table_fingerprint() != 0);
    assert_true(api_table_fingerprint() == api_table_fingerprint());
}

/* ---- arguments that mean something only sometimes ---- */

static bool matters(enum api_index index, unsigned argument, uint64_t second) {
    uint64_t values[API_MAX_ARGUMENTS] = {0, second};
    return argument_matters(&api_table[index], argument, values);
}

static void test_mode_matters_when_open_creates(void **state) {
    (void)state;
    assert_true(matters(API_open, 0, O_RDONLY));
    assert_true(matters(API_open, 1, O_RDONLY));
    assert_false(matters(API_open, 2, O_RDONLY));
    assert_true(matters(API_open, 2, O_WRONLY | O_CREAT));
    assert_true(matters(API_open, 2, O_RDWR | O_TMPFILE));
    assert_false(matters(API_open, 2, O_DIRECTORY));
    assert_false(matters(API_open, 2, (O_TMPFILE & ~O_DIRECTORY)));
    assert_true(matters(API_open, 2, 0xffffffff00000000u | O_CREAT));
    assert_true(matters(API_creat, 1, 0));
    assert_false(matters(API_open, 3, O_CREAT));
}

static void test_openat_finds_its_flags(void **state) {
    (void)state;
    uint64_t values[API_MAX_ARGUMENTS] = {0, 0, O_CREAT};
    assert_true(argument_matters(&api_table[API_openat], 3, values));
    values[2] = 0;
    assert_false(argument_matters(&api_table[API_openat], 3, values));
}

static void test_fcntl_s_argument_matters_by_command(void **state) {
    (void)state;
    assert_true(matters(API_fcntl, 2, F_SETFL));
    assert_true(matters(API_fcntl, 2, F_SETFD));
    assert_true(matters(API_fcntl, 2, F_ADD_SEALS));
    assert_false(matters(API_fcntl, 2, F_GETFL));
    assert_false(matters(API_fcntl, 2, F_SETLK));
    assert_false(matters(API_fcntl, 2, F_DUPFD));
}

static void test_prctl_s_argument_matters_by_option(void **state) {
    (void)state;
    uint64_t values[API_MAX_ARGUMENTS] = {PR_SET_DUMPABLE, 1};
    assert_true(argument_matters(&api_table[API_prctl], 1, values));
    values[0] = PR_SET_NAME;
    assert_false(argument_matters(&api_table[API_prctl], 1, values));
}

static void test_mremap_s_address_matters_when_fixed(void **state) {
    (void)state;
    uint64_t values[API_MAX_ARGUMENTS] = {0, 0, 0, MREMAP_MAYMOVE};
    assert_false(argument_matters(&api_table[API_mremap], 4, values));
    values[3] |= MREMAP_FIXED;
    assert_true(argument_matters(&api_table[API_mremap], 4, values));
}

/* ---- constants ---- */

static void check_text(enum constant_set set, int64_t value, const char *expected) {
    char text[CONSTANT_TEXT_BYTES];
    assert_int_equal(constant_format(set, value, text, sizeof text), strlen(expected));
    assert_string_equal(text, expected);
}

static void check_round_trip(enum constant_set set, int64_t value) {
    char text[CONSTANT_TEXT_BYTES];
    assert_true(constant_format(set, value, text, sizeof text) < sizeof text);
    int64_t again = ~value;
    if (!constant_parse(set, text, &again) || again != value)
        fail_msg("%s: %lld is written \"%s\" and read as %lld", set_names[set] != NULL ? set_names[set] : "number",
                 (long long)value, text, (long long)again);
}

static void test_flags_are_written_by_name(void **state) {
    (void)state;
    check_text(CONSTANTS_OPEN_FLAGS, O_RDONLY | O_CLOEXEC, "O_RDONLY|O_CLOEXEC");
    check_text(CONSTANTS_OPEN_FLAGS, 0, "O_RDONLY");
    check_text(CONSTANTS_OPEN_FLAGS, O_WRONLY | O_CREAT | O_TRUNC, "O_WRONLY|O_CREAT|O_TRUNC");
    check_text(CONSTANTS_OPEN_FLAGS, O_RDWR | O_SYNC, "O_RDWR|O_SYNC");
    check_text(CONSTANTS_OPEN_FLAGS, O_RDWR | O_DSYNC, "O_RDWR|O_DSYNC");
    check_text(CONSTANTS_OPEN_FLAGS, O_RDWR | O_TMPFILE, "O_RDWR|O_TMPFILE");
    check_text(CONSTANTS_OPEN_FLAGS, O_DIRECTORY, "O_RDONLY|O_DIRECTORY");
    check_text(CONSTANTS_OPEN_FLAGS, O_PATH | 0x10000000, "O_RDONLY|O_PATH|0x10000000");
    check_text(CONSTANTS_PROTECTION, PROT_NONE, "PROT_NONE");
    check_text(CONSTANTS_PROTECTION, PROT_READ | PROT_EXEC, "PROT_READ|PROT_EXEC");
    check_text(CONSTANTS_MAP_FLAGS, 0, "0");
    check_text(CONSTANTS_MAP_FLAGS, MAP_SHARED_VALIDATE | MAP_SYNC, "MAP_SHARED_VALIDATE|MAP_SYNC");
    check_text(CONSTANTS_MAP_FLAGS, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 21 << 26,
               "MAP_PRIVATE|MAP_HUGE_2MB|MAP_ANONYMOUS|MAP_HUGETLB");
    check_text(CONSTANTS_SOCKET_TYPE, SOCK_RAW | SOCK_CLOEXEC, "SOCK_RAW|SOCK_CLOEXEC");
    check_text(CONSTANTS_CLONE_FLAGS, 0x4111, "SIGCHLD|CLONE_VM|CLONE_VFORK");
    check_text(CONSTANTS_PERSONALITY, 0x40000, "PER_LINUX|ADDR_NO_RANDOMIZE");
    check_text(CONSTANTS_PERSONALITY, 0xffffffff, "0xffffffff");
    check_text(CONSTANTS_MOUNT_FLAGS, 0xc0ed0000 | 1, "MS_MGC_VAL|MS_RDONLY");
}

static void test_single_values_are_written_by_name(void **state) {
    (void)state;
    check_text(CONSTANTS_SIGNAL, 9, "SIGKILL");
    check_text(CONSTANTS_SIGNAL, 34, "34");
    check_text(CONSTANTS_DIRFD, -100, "AT_FDCWD");
    check_text(CONSTANTS_DIRFD, 7, "7");
    check_text(CONSTANTS_DOMAIN, 1, "AF_UNIX");
    check_text(CONSTANTS_SYSTEM_CALL, __NR_read, "read");
    check_text(CONSTANTS_SYSTEM_CALL, 462, "mseal");
    check_text(CONSTANTS_IOCTL_REQUEST, 0x5401, "TCGETS");
    check_text(CONSTANTS_IOCTL_REQUEST, 0x80101234, "0x80101234");
    check_text(CONSTANTS_REBOOT_COMMAND, (int32_t)0x89abcdef, "RB_ENABLE_CAD");
    check_text(CONSTANTS_OCTAL, 0644, "0644");
    check_text(CONSTANTS_OCTAL, 0, "0");
    check_text(CONSTANTS_NONE, 123456, "123456");
    check_text(CONSTANTS_NONE, -1, "-1");
    check_text(CONSTANTS_OPEN_FLAGS, -1, "-1");
}

static void test_formatting_fits_the_buffer(void **state) {
    (void)state;
    char text[8] = "xxxxxxx";
    assert_int_equal(constant_format(CONSTANTS_SIGNAL, 9, text, 4), 7);
    assert_string_equal(text, "SIG");
    assert_int_equal(text[4], 'x');
    assert_int_equal(constant_format(CONSTANTS_SIGNAL, 9, NULL, 0), 7);
}

static void test_the_longest_text_fits_its_bound(void **state) {
    (void)state;
    for (unsigned set = 0; set < CONSTANTS_COUNT; set++)
        assert_true(constant_format(set, INT64_MAX, NULL, 0) < CONSTANT_TEXT_BYTES);
}

static void test_every_name_round_trips(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(names); i++) {
        int64_t value;
        assert_true(constant_parse(names[i].set, names[i].name, &value));
        check_round_trip(names[i].set, value);
        check_round_trip(names[i].set, value + 1);
        check_round_trip(names[i].set, ~value);
    }
}

static void test_every_pair_of_flags_round_trips(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(names); i++)
        for (size_t j = i + 1; j < LENGTH(names) && names[j].set == names[i].set; j++) {
            if (!set_combines[names[i].set])
                continue;
            int64_t a;
            int64_t b;
            assert_true(constant_parse(names[i].set, names[i].name, &a));
            assert_true(constant_parse(names[j].set, names[j].name, &b));
            check_round_trip(names[i].set, a | b);
        }
}

static void test_every_value_round_trips(void **state) {
    (void)state;
    uint64_t random = 1;
    for (unsigned set = 0; set < CONSTANTS_COUNT; set++)
        for (unsigned i = 0; i < 3000; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            check_round_trip(set, i - 20);
            if (set != CONSTANTS_OCTAL)
                check_round_trip(set, (int64_t)(random ^ random >> 29) >> (random >> 58));
            check_round_trip(set, (int64_t)(random >> 32));
        }
}

/* A constant that the argument's shape cannot hold would never equal what the shim reads. */
static void test_constants_fit_their_arguments(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(names); i++) {
        int64_t value;
        assert_true(constant_parse(names[i].set, names[i].name, &value));
        for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
            if (argument_constants(kind) != names[i].set)
                continue;
            if (argument_shape(kind) == SHAPE_INT32)
                assert_true(value == (int32_t)value);
            if (argument_shape(kind) == SHAPE_UINT32)
                assert_true(value == (uint32_t)value);
        }
    }
}

static void check_parse(enum constant_set set, const char *text, int64_t expected) {
    int64_t value = ~expected;
    assert_true(constant_parse(set, text, &value));
    assert_true(value == expected);
}

static void test_texts_are_read(void **state) {
    (void)state;
    check_parse(CONSTANTS_OPEN_FLAGS, "O_RDWR | O_CREAT", O_RDWR | O_CREAT);
    check_parse(CONSTANTS_OPEN_FLAGS, " O_RDWR\t", O_RDWR);
    check_parse(CONSTANTS_OPEN_FLAGS, "O_RDWR|0100|0x80", O_RDWR | 0100 | 0x80);
    check_parse(CONSTANTS_OPEN_FLAGS, "577", 577);
    check_parse(CONSTANTS_OCTAL, "0755", 0755);
    check_parse(CONSTANTS_OCTAL, "7", 7);
    check_parse(CONSTANTS_NONE, "-5", -5);
    check_parse(CONSTANTS_NONE, "0xffffffffffffffff", -1);
    check_parse(CONSTANTS_SOCKET_LEVEL, "IPPROTO_TCP", 6);
    check_parse(CONSTANTS_SOCKET_LEVEL, "SOL_TCP", 6);
}

static void test_other_texts_are_refused(void **state) {
    (void)state;
    static const struct {
        enum constant_set set;
        const char *text;
    } refused[] = {
        {CONSTANTS_OPEN_FLAGS, ""},
        {CONSTANTS_OPEN_FLAGS, "|"},
        {CONSTANTS_OPEN_FLAGS, "O_RDWR|"},
        {CONSTANTS_OPEN_FLAGS, "|O_RDWR"},
        {CONSTANTS_OPEN_FLAGS, "O_RDWR||O_CREAT"},
        {CONSTANTS_OPEN_FLAGS, "O_RDWR O_CREAT"},
        {CONSTANTS_OPEN_FLAGS, "O_RDWRX"},
        {CONSTANTS_OPEN_FLAGS, "o_rdwr"},
        {CONSTANTS_OPEN_FLAGS, "PROT_READ"},
        {CONSTANTS_OPEN_FLAGS, "12x"},
        {CONSTANTS_OPEN_FLAGS, "+1"},
        {CONSTANTS_OPEN_FLAGS, "0x"},
        {CONSTANTS_OPEN_FLAGS, "--1"},
        {CONSTANTS_SIGNAL, "SIGHUP|SIGINT"},
        {CONSTANTS_NONE, "99999999999999999999"},
        {CONSTANTS_NONE, "1 2"},
        {CONSTANTS_OCTAL, "644"},
        {CONSTANTS_OCTAL, "0888"},
    };
    for (size_t i = 0; i < LENGTH(refused); i++) {
        int64_t value = 4711;
        if (constant_parse(refused[i].set, refused[i].text, &value) || value != 4711)
            fail_msg("\"%s\" was read", refused[i].text);
    }
    char long_word[300];
    memset(long_word, 'O', sizeof long_word - 1);
    long_word[sizeof long_word - 1] = '\0';
    int64_t value;
    assert_false(constant_parse(CONSTANTS_OPEN_FLAGS, long_word, &value));
}

static void test_misspelt_names_are_guessed(void **state) {
    (void)state;
    assert_string_equal(constant_nearest(CONSTANTS_OPEN_FLAGS, "O_CRAET"), "O_CREAT");
    assert_string_equal(constant_nearest(CONSTANTS_PROTECTION, "PROT_EXECUTE"), "PROT_EXEC");
    assert_string_equal(constant_nearest(CONSTANTS_SIGNAL, "SIGKIL"), "SIGKILL");
    assert_null(constant_nearest(CONSTANTS_SIGNAL, "umbrella"));
    assert_null(constant_nearest(CONSTANTS_NONE, "SIGKILL"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_whole_and_unique),
        cmocka_unit_test(test_rows_keep_the_table_s_rules),
        cmocka_unit_test(test_a_spelling_leads_to_its_api),
        cmocka_unit_test(test_unknown_names_are_refused),
        cmocka_unit_test(test_raw_apis_have_no_spelling),
        cmocka_unit_test(test_every_system_call_row_is_found),
        cmocka_unit_test(test_system_calls_without_a_row),
        cmocka_unit_test(test_a_number_cannot_be_disguised),
        cmocka_unit_test(test_system_calls_with_other_arguments_have_their_own_rows),
        cmocka_unit_test(test_kinds_and_classes),
        cmocka_unit_test(test_the_fingerprint_is_one_value),
        cmocka_unit_test(test_mode_matters_when_open_creates),
        cmocka_unit_test(test_openat_finds_its_flags),
        cmocka_unit_test(test_fcntl_s_argument_matters_by_command),
        cmocka_unit_test(test_prctl_s_argument_matters_by_option),
        cmocka_unit_test(test_mremap_s_address_matters_when_fixed),
        cmocka_unit_test(test_flags_are_written_by_name),
        cmocka_unit_test(test_single_values_are_written_by_name),
        cmocka_unit_test(test_formatting_fits_the_buffer),
        cmocka_unit_test(test_the_longest_text_fits_its_bound),
        cmocka_unit_test(test_every_name_round_trips),
        cmocka_unit_test(test_every_pair_of_flags_round_trips),
        cmocka_unit_test(test_every_value_round_trips),
        cmocka_unit_test(test_constants_fit_their_arguments),
        cmocka_unit_test(test_texts_are_read),
        cmocka_unit_test(test_other_texts_are_refused),
        cmocka_unit_test(test_misspelt_names_are_guessed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
