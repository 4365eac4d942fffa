/* What is remembered of programs, on disk: it comes back as it was, and what is damaged, another's or of another boot starts
 * nothing. tests/integration/patch_killed_between.sh has the kills.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "runtime/sha256.h"
#include "runtime/util.h"
#include "tools/patch/restart_memory.h"

#define INCIDENT 7

static char directory[] = "/tmp/pinion-memory-XXXXXX";
static char *path;
static struct mistake mistake;

static int set_up(void **state) {
    (void)state;
    memcpy(directory + strlen(directory) - 6, "XXXXXX", 6);
    mistake = (struct mistake){.line = 0};
    if (mkdtemp(directory) == NULL)
        return 1;
    path = xasprintf("%s/restart-%d", directory, INCIDENT);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    free(steal_pointer(&path));
    return rmdir(directory);
}

static char **texts(const char *first, const char *second, const char *third) {
    const char *const all[] = {first, second, third};
    char **list = NULL;
    size_t count = 0;
    for (size_t i = 0; i < 3 && all[i] != NULL; i++)
        *array_append(list, count) = xstrdup(all[i]);
    *array_append(list, count) = NULL;
    return list;
}

/* A service that was told to end, and a program of another user with its own command line. */
static struct restart_memory *make(void) {
    struct restart_memory *memory = restart_memory_make();
    struct remembered *service = array_append(memory->items, memory->count);
    *service = (struct remembered){.program = xstrdup("/usr/sbin/server"),
                                   .command = texts("/etc/init.d/server", "start", NULL),
                                   .environment = texts("LD_PRELOAD=/x.so", "PASSWORD=two words", "EMPTY="),
                                   .given = texts("LD_PRELOAD=/x.so", NULL, NULL),
                                   .stop = xstrdup("TERM"),
                                   .groups = xstrdup("0::/service"),
                                   .protected = true,
                                   .identity.outputs = {-1, -1},
                                   .first = {100, 5000}};
    *array_append(service->old, service->old_count) = (struct process_identity){100, 5000};
    *array_append(service->old, service->old_count) = (struct process_identity){101, UINT64_MAX};
    struct remembered *own = array_append(memory->items, memory->count);
    *own = (struct remembered){.program = xstrdup("/opt/own"),
                               .command = texts("/opt/own", "", "restart"),
                               .environment = texts(NULL, NULL, NULL),
                               .given = texts(NULL, NULL, NULL),
                               .as_itself = true,
                               .identity = {.user = 33,
                                            .group = 34,
                                            .no_new_privileges = true,
                                            .directory = xstrdup("/srv"),
                                            .outputs = {-1, -1}},
                               .first = {200, 6000}};
    *array_append(own->identity.groups, own->identity.group_count) = 35;
    memory->touched = 1;
    memory->stopped = 2;
    return memory;
}

static bool keep(void) {
    struct restart_memory *memory = make();
    const struct listener listener = {
        .program = (char[]){"/usr/sbin/server"}, .family = AF_INET, .address = "127.0.0.1", .port = 80, .network = -1};
    bool kept = restart_memory_keep(memory, path, INCIDENT, &listener, 1, &mistake);
    restart_memory_free(memory);
    return kept;
}

static void test_comes_back_as_it_was(void **state) {
    (void)state;
    struct stat status;
    size_t size, again;
    assert_true(keep());
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    struct restart_memory *memory = restart_memory_read(path, INCIDENT, &mistake);
    assert_non_null(memory);
    assert_true(memory->found);
    assert_int_equal(memory->count, 2);
    assert_string_equal(memory->items[0].environment[1], "PASSWORD=two words");
    assert_string_equal(memory->items[0].stop, "TERM");
    assert_string_equal(memory->items[0].groups, "0::/service");
    assert_null(memory->items[1].groups);
    assert_true(memory->items[0].protected && !memory->items[0].as_itself && !memory->items[0].supervised);
    assert_int_equal(memory->items[0].old[1].process, 101);
    assert_string_equal(memory->items[1].command[1], "");
    assert_string_equal(memory->items[1].command[2], "restart");
    assert_null(memory->items[1].command[3]);
    assert_null(memory->items[1].stop);
    assert_int_equal(memory->items[1].identity.outputs[0], -1);
    assert_int_equal(memory->items[1].identity.groups[0], 35);
    assert_int_equal(memory->listeners[0].port, 80);
    cleanup_free char *file = file_read(path, 1 << 20, &size), *written = restart_memory_write(memory, &again);
    assert_int_equal(size, again);
    assert_memory_equal(file, written, size);
    restart_memory_free(memory);
}

static void refused(const char *why) {
    struct restart_memory *memory = restart_memory_read(path, INCIDENT, &mistake);
    assert_null(memory);
    assert_non_null(strstr(mistake.text, path));
    assert_non_null(strstr(mistake.text, why));
}

/* A disk that was full. */
static void test_cut_short_anywhere_it_is_refused(void **state) {
    (void)state;
    size_t size;
    assert_true(keep());
    cleanup_free char *file = file_read(path, 1 << 20, &size);
    for (size_t left = 0; left < size; left++) {
        struct restart_memory *memory = restart_memory_make();
        assert_false(restart_memory_parse(file, left, memory, &mistake));
        assert_int_equal(memory->count, 0);
        restart_memory_free(memory);
    }
    assert_int_equal(truncate(path, (off_t)size - 1), 0);
    refused("damaged");
    assert_int_equal(truncate(path, 0), 0);
    refused("no memory of programs");
    assert_int_equal(unlink(path), 0);
    refused("No such file");
}

static void test_what_others_can_read_or_have_laid_there_is_refused(void **state) {
    (void)state;
    assert_true(keep());
    assert_int_equal(chmod(path, 0640), 0);
    refused("not ours alone");
    cleanup_free char *aside = xasprintf("%s.aside", path);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(symlink(aside, path), 0);
    refused("symbolic links");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rename(aside, path), 0);
    assert_null(restart_memory_read(path, INCIDENT + 1, &mistake));
    assert_non_null(strstr(mistake.text, "another incident"));
}

/* Replaces one text by another of the same length, and puts the digest right. */
static void change(char *file, size_t size, const char *from, const char *to) {
    struct sha256 hash;
    char *at = memmem(file, size, from, strlen(from));
    assert_non_null(at);
    memcpy(at, to, strlen(to));
    sha256_begin(&hash);
    sha256_add(&hash, file, size - SHA256_BYTES);
    sha256_end(&hash, (uint8_t *)file + size - SHA256_BYTES);
}

/* Numbers of processes are others' then, and what starts with the machine has started. */
static void test_another_boot_starts_nothing(void **state) {
    (void)state;
    size_t size, boot_size;
    assert_true(keep());
    cleanup_free char *file = file_read(path, 1 << 20, &size);
    cleanup_free char *boot = xcalloc(1, 64);
    cleanup_file FILE *id = fopen("/proc/sys/kernel/random/boot_id", "re");
    assert_non_null(id);
    boot_size = fread(boot, 1, 36, id);
    assert_int_equal(boot_size, 36);
    change(file, size, boot, boot[0] == '0' ? "1" : "0");
    struct restart_memory *memory = restart_memory_make();
    assert_true(restart_memory_parse(file, size, memory, &mistake));
    assert_int_equal(memory->count, 0);
    assert_int_equal(memory->listener_count, 0);
    restart_memory_free(memory);
}

static void test_nonsense_is_refused(void **state) {
    (void)state;
    static const char *const changes[][2] = {{"TERM", "T;RM"}, {"EMPTY=", "=EMPTY"}, {"EMPTY=", "EMPTY_"}};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        size_t size;
        assert_true(keep());
        cleanup_free char *file = file_read(path, 1 << 20, &size);
        change(file, size, changes[i][0], changes[i][1]);
        struct restart_memory *memory = restart_memory_make();
        assert_false(restart_memory_parse(file, size, memory, &mistake));
        restart_memory_free(memory);
    }
}

static void test_a_disk_that_takes_nothing_is_told(void **state) {
    (void)state;
    char *whole = steal_pointer(&path);
    path = xasprintf("%s/nowhere/restart-7", directory);
    assert_false(keep());
    assert_non_null(strstr(mistake.text, "No such file"));
    free(path);
    path = whole;
}

/* Two instances of one program are told from each other while they run. */
static void test_instances_are_told_apart(void **state) {
    (void)state;
    struct restart_memory *memory = make();
    struct process_facts process = {.process = 200, .start = 6000, .program = (char[]){"/opt/own"}};
    assert_ptr_equal(restart_memory_find(memory, &process), &memory->items[1]);
    process.process = 300; /* 200 has ended */
    assert_ptr_equal(restart_memory_find(memory, &process), &memory->items[1]);
    uint64_t start;
    assert_true(process_start(getpid(), &start));
    memory->items[1].first = (struct process_identity){getpid(), start};
    assert_null(restart_memory_find(memory, &process));
    process.program = (char[]){"/opt/other"};
    assert_null(restart_memory_find(memory, &process));
    restart_memory_free(memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_comes_back_as_it_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_short_anywhere_it_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_others_can_read_or_have_laid_there_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_boot_starts_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nonsense_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_disk_that_takes_nothing_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_instances_are_told_apart, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
