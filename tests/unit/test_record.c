/* Learn records as they are found after a run: whole, cut off, damaged, or something else altogether. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "tests/unit/policies.h"
#include "tests/unit/records.h"

#define BYTES 2048

static char *make_record(void) {
    char *image = record_create(BYTES);
    struct identity program, module;
    identity_parse("0011", &program);
    identity_parse("derived:2233", &module);
    struct record_entry base = {.program = program, .module = module};
    struct record_entry entry = base;
    entry.api = API_NONE;
    entry.argument = RECORD_PROGRAM;
    record_put(image, 5, entry, "/usr/sbin/nginx", 15);
    entry.argument = RECORD_MODULE;
    record_put(image, 9, entry, "/lib/libc.so.6", 14);
    entry = base;
    entry.api = API_open;
    entry.offset = 0x1234;
    entry.argument = RECORD_SITE;
    record_put(image, 63, entry, "", 0);
    entry.argument = 0;
    record_put(image, 0, entry, "/etc/hosts", 10);
    entry.argument = 1;
    entry.integer = 02000000;
    record_put(image, 1, entry, "", 0);
    entry = base;
    entry.api = API_connect;
    entry.argument = 1;
    record_put(image, 2, entry, "\2\0\0\120\177\0\0\1\0\0\0\0\0\0\0\0", 16);
    entry.api = API_execve;
    entry.argument = RECORD_CHILD;
    record_put(image, 3, entry, "/usr/bin/sudo", 13);
    return image;
}

static void expect_refusal(const void *bytes, size_t size, const char *text) {
    struct record record;
    struct mistake mistake = {0};
    assert_false(record_open_bytes(&record, bytes, size, &mistake));
    assert_string_equal(mistake.text, text);
}

static void test_every_entry_is_read(void **state) {
    (void)state;
    cleanup_free char *image = make_record();
    struct record record;
    struct mistake mistake = {0};
    assert_true(record_open_bytes(&record, image, BYTES, &mistake));
    const struct record_entry *entry = record_next(&record);
    assert_int_equal(entry->api, API_open);
    assert_int_equal(entry->argument, 0);
    assert_int_equal(entry->offset, 0x1234);
    assert_int_equal(entry->text_length, 10);
    assert_memory_equal(entry->text, "/etc/hosts", 10);
    assert_int_equal(record_exercise(&record), 6);
    assert_null(record_next(&record));
    record_close(&record);
}

static void test_an_empty_record_has_no_entries(void **state) {
    (void)state;
    cleanup_free char *image = record_create(BYTES);
    struct record record;
    struct mistake mistake = {0};
    assert_true(record_open_bytes(&record, image, BYTES, &mistake));
    assert_null(record_next(&record));
    record_close(&record);
}

/* When the room ran out, writers have added to `used` beyond the end; what was published is good. */
static void test_a_full_record_is_read(void **state) {
    (void)state;
    cleanup_free char *image = make_record();
    struct record_header *header = (struct record_header *)image;
    header->used = 10 * BYTES;
    header->lost = 5;
    struct record record;
    struct mistake mistake = {0};
    assert_true(record_open_bytes(&record, image, BYTES, &mistake));
    assert_int_equal(record.header->lost, 5);
    assert_int_equal(record_exercise(&record), 7);
    record_close(&record);
}

static void test_what_is_no_record_is_refused_with_a_reason(void **state) {
    (void)state;
    cleanup_free char *good = make_record();
    cleanup_free char *bad = xmalloc(BYTES);
    struct record_header *header = (struct record_header *)bad;
    uint32_t *slots = (uint32_t *)(header + 1);
    char text[128];
#define ENTRY ((struct record_entry *)(bad + 8 * (uint64_t)slots[0]))
#define DAMAGE(change, reason)                                                                            \
    do {                                                                                                  \
        memcpy(bad, good, BYTES);                                                                         \
        snprintf(text, sizeof(text), "it is damaged: the entry at byte %u makes no sense", 8 * slots[0]); \
        change;                                                                                           \
        expect_refusal(bad, BYTES, reason);                                                               \
    } while (0)
    DAMAGE(bad[0] = 'p', "it is no learn record");
    DAMAGE(header->version = 3, "it is a record of format 3, this version reads format 2");
    DAMAGE(header->table_fingerprint++, "it was recorded by another version of Pinion: record again");
    DAMAGE(header->size *= 2, "it is cut off: 2048 bytes of 4096");
    DAMAGE(header->slot_count = 0, "it is damaged: its table does not fit");
    DAMAGE(header->slot_count = 63, "it is damaged: its table does not fit");
    DAMAGE(header->slot_count = 0x80000000, "it is damaged: its table does not fit");
    DAMAGE(header->used = 100, "it is damaged: its table is cut off");
    DAMAGE(slots[7] = 1, "it is damaged: the entry at byte 8 makes no sense");
    DAMAGE(slots[7] = BYTES / 8, "it is damaged: the entry at byte 2048 makes no sense");
    DAMAGE(slots[7] = UINT32_MAX, "it is damaged: the entry at byte 34359738360 makes no sense");
    DAMAGE(ENTRY->size = 8, text);
    DAMAGE(ENTRY->size = UINT32_MAX, text);
    DAMAGE(ENTRY->text_length = 17, text);
    DAMAGE(ENTRY->text_length = UINT32_MAX, text);
    DAMAGE(ENTRY->api = API_COUNT, text);
    DAMAGE(ENTRY->api = API_NONE, text);
    DAMAGE(ENTRY->argument = 3, text);
    DAMAGE(ENTRY->argument = RECORD_PROGRAM, text);
    DAMAGE(ENTRY->program.length = 21, text);
    DAMAGE(ENTRY->module.kind = 3, text);
    DAMAGE(ENTRY->text[3] = '\0', text);
#undef DAMAGE
#undef ENTRY
    struct record record;
    struct mistake mistake = {0};
    assert_false(record_open(&record, "/nonexistent", &mistake));
    assert_string_equal(mistake.text, strerror(ENOENT));
    assert_false(record_open(&record, "/", &mistake));
    assert_string_equal(mistake.text, "it is no learn record");
    assert_false(record_open(&record, "/dev/zero", &mistake));
    assert_string_equal(mistake.text, "it is no learn record");
}

static void test_a_cut_record_is_refused_at_every_byte(void **state) {
    (void)state;
    cleanup_free char *image = make_record();
    struct record record;
    struct mistake mistake = {0};
    for (size_t length = 0; length < BYTES; length++) {
        assert_false(record_open_bytes(&record, image, length, &mistake));
        assert_true(strlen(mistake.text) > 10);
    }
}

static void test_mutated_records_do_no_harm(void **state) {
    (void)state;
    cleanup_free char *image = make_record();
    struct random random = {4};
    unsigned accepted = 0;
    for (unsigned i = 0; i < 20000; i++) {
        char bad[BYTES];
        memcpy(bad, image, BYTES);
        uint32_t used = (uint32_t)((const struct record_header *)image)->used;
        for (unsigned j = 1 + random_below(&random, 3); j > 0; j--)
            bad[random_below(&random, used)] = (char)(random_below(&random, 2) ? random_number(&random) : 0xff);
        struct record record;
        struct mistake mistake = {0};
        if (!record_open_bytes(&record, bad, BYTES, &mistake))
            continue;
        accepted++;
        record_exercise(&record);
        record_close(&record);
    }
    assert_true(accepted > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_entry_is_read),
        cmocka_unit_test(test_an_empty_record_has_no_entries),
        cmocka_unit_test(test_a_full_record_is_read),
        cmocka_unit_test(test_what_is_no_record_is_refused_with_a_reason),
        cmocka_unit_test(test_a_cut_record_is_refused_at_every_byte),
        cmocka_unit_test(test_mutated_records_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
