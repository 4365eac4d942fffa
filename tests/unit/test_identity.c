/* Identities of objects: real ones as the loader maps them, and program headers made to mislead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <link.h>
#include <string.h>

#include "runtime/identity.h"
#include "tests/unit/policies.h"

/* An object of one segment that holds notes and code. */
struct object {
    Elf64_Phdr headers[3];
    unsigned char content[512];
    unsigned reads;
};

#define NOTES_AT 64
#define CODE_AT 256

static const void *read_object(void *context, uint64_t address, size_t length) {
    struct object *object = context;
    object->reads++;
    assert_true(address + length <= sizeof(object->content)); /* never asked for what is not loaded */
    return object->content + address;
}

static void put_note(struct object *object, uint32_t name_length, uint32_t content_length, uint32_t type,
                     const char *name, unsigned char first) {
    unsigned char *note = object->content + NOTES_AT + object->headers[1].p_filesz;
    uint32_t head[3] = {name_length, content_length, type};
    memcpy(note, head, sizeof(head));
    memcpy(note + 12, name, 4);
    for (uint32_t i = 0; i < content_length && i < 64; i++)
        note[16 + i] = (unsigned char)(first + i);
    object->headers[1].p_filesz += 16 + ((content_length < 64 ? content_length : 0) + 3) / 4 * 4;
}

static struct object make_object(void) {
    struct object object = {
        .headers = {{.p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = 256, .p_memsz = 256},
                    {.p_type = PT_NOTE, .p_flags = PF_R, .p_vaddr = NOTES_AT, .p_align = 4},
                    {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = CODE_AT, .p_filesz = 200}}};
    memset(object.content + CODE_AT, 0x90, 200);
    return object;
}

static struct identity identity_of(struct object *object) {
    return identity_read(object->headers, 3, read_object, object);
}

static void expect(const struct identity *identity, const char *text) {
    char found[IDENTITY_TEXT_BYTES];
    assert_int_equal(identity_format(identity, found), strlen(text));
    assert_string_equal(found, text);
}

static void test_the_build_id_is_found_among_other_notes(void **state) {
    (void)state;
    struct object object = make_object();
    put_note(&object, 4, 16, NT_GNU_ABI_TAG, "GNU", 0);
    put_note(&object, 4, 8, NT_GNU_BUILD_ID, "XYZ", 0x40);
    put_note(&object, 4, 20, NT_GNU_BUILD_ID, "GNU", 0x10);
    struct identity identity = identity_of(&object);
    assert_int_equal(identity.kind, IDENTITY_BUILD_ID);
    expect(&identity, "101112131415161718191a1b1c1d1e1f20212223");
}

static void test_build_ids_of_other_lengths(void **state) {
    (void)state;
    struct object object = make_object();
    put_note(&object, 4, 32, NT_GNU_BUILD_ID, "GNU", 0);
    struct identity identity = identity_of(&object);
    expect(&identity, "000102030405060708090a0b0c0d0e0f10111213");
    object = make_object();
    put_note(&object, 4, 5, NT_GNU_BUILD_ID, "GNU", 1);
    identity = identity_of(&object);
    expect(&identity, "0102030405");
}

static void test_an_object_without_a_build_id_gets_a_digest(void **state) {
    (void)state;
    struct object object = make_object();
    struct identity first = identity_of(&object), again = identity_of(&object);
    assert_int_equal(first.kind, IDENTITY_DERIVED);
    assert_int_equal(first.length, IDENTITY_BYTES);
    assert_true(identity_equal(&first, &again));
    for (unsigned i = 0; i < 200; i++) {
        struct object other = make_object();
        other.content[CODE_AT + i] ^= 1;
        struct identity changed = identity_of(&other);
        assert_false(identity_equal(&first, &changed));
        unsigned same = 0; /* the change reaches all of the digest */
        for (unsigned j = 0; j < IDENTITY_BYTES; j++)
            same += changed.bytes[j] == first.bytes[j];
        assert_true(same < 8);
    }
    struct object other = make_object();
    other.headers[0].p_memsz++;
    struct identity changed = identity_of(&other);
    assert_false(identity_equal(&first, &changed));
}

static const void *read_nothing(void *context, uint64_t address, size_t length) {
    (void)context;
    (void)address;
    (void)length;
    return NULL;
}

static void test_what_cannot_be_read_has_no_identity(void **state) {
    (void)state;
    struct object object = make_object();
    struct identity identity = identity_read(object.headers, 3, read_nothing, NULL);
    assert_int_equal(identity.kind, IDENTITY_NONE);
    expect(&identity, "none");
    assert_false(identity_equal(&identity, &identity));
    identity = identity_read(NULL, 0, read_object, &object);
    assert_int_equal(identity.kind, IDENTITY_NONE);
}

/* Lengths that lie, notes outside all segments: nothing beyond the loaded bytes is read (see read_object). */
static void test_misleading_notes(void **state) {
    (void)state;
    static const uint32_t lengths[] = {0, 1, 3, 4, 5, 0x7fffffff, 0xfffffff0, 0xffffffff};
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned j = 0; j < 8; j++) {
            struct object object = make_object();
            put_note(&object, lengths[i], lengths[j], NT_GNU_BUILD_ID, "GNU", 1);
            struct identity identity = identity_of(&object);
            bool good = lengths[i] == 4 && lengths[j] >= 1 && lengths[j] <= 5;
            assert_int_equal(identity.kind, good ? IDENTITY_BUILD_ID : IDENTITY_DERIVED);
        }
    }
    static const uint64_t places[][2] = {{0, 257}, {255, 2}, {UINT64_MAX - 3, 8}, {300, 600}, {0, UINT64_MAX}};
    for (unsigned i = 0; i < 5; i++) {
        struct object object = make_object();
        object.headers[1].p_vaddr = places[i][0];
        object.headers[1].p_filesz = places[i][1];
        assert_int_equal(identity_of(&object).kind, IDENTITY_DERIVED);
    }
}

static void test_random_notes_do_no_harm(void **state) {
    (void)state;
    struct random random = {5};
    for (unsigned i = 0; i < 100000; i++) {
        struct object object = make_object();
        object.headers[1].p_filesz = random_below(&random, 190);
        object.headers[1].p_align = 4u << random_below(&random, 2);
        for (unsigned j = 0; j < 190; j++)
            object.content[NOTES_AT + j] = (unsigned char)(random_below(&random, 3) == 0 ? random_number(&random) : 0);
        identity_of(&object);
    }
}

/* ---- The running program ---- */

static const void *read_mapped(void *context, uint64_t address, size_t length) {
    (void)length;
    return (const char *)context + address;
}

static int compare_with_file(struct dl_phdr_info *info, size_t size, void *count) {
    (void)size;
    const char *path = info->dlpi_name[0] != '\0' ? info->dlpi_name : "/proc/self/exe";
    size_t length;
    cleanup_free char *file = file_read(path, 64u << 20, &length);
    if (file == NULL) /* the kernel's vdso is no file */
        return 0;
    struct identity mapped =
        identity_read(info->dlpi_phdr, info->dlpi_phnum, read_mapped, (void *)(uintptr_t)info->dlpi_addr);
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
    struct identity stored =
        identity_read((const Elf64_Phdr *)(file + header->e_phoff), header->e_phnum, read_mapped, file);
    assert_int_not_equal(mapped.kind, IDENTITY_NONE);
    assert_true(identity_equal(&mapped, &stored));
    ++*(unsigned *)count;
    return 0;
}

static void test_memory_and_file_agree_for_every_loaded_object(void **state) {
    (void)state;
    unsigned count = 0;
    dl_iterate_phdr(compare_with_file, &count);
    assert_true(count >= 2);
}

/* ---- Text ---- */

static void test_text_form(void **state) {
    (void)state;
    static const char *const good[] = {"none", "00", "0123456789abcdef",
                                       "derived:0123456789abcdef0123456789abcdef01234567",
                                       "0123456789abcdef0123456789abcdef01234567"};
    static const char *const bad[] = {
        "", "0", "0g", "g0", "none ", "nonesuch", "derived:", "00 ", "derived:0", "0x00", "01-2", "001", "derive:00"};
    struct identity identity;
    for (unsigned i = 0; i < 5; i++) {
        assert_true(identity_parse(good[i], &identity));
        expect(&identity, good[i]);
    }
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(identity_parse(bad[i], &identity));
        assert_int_equal(identity.kind, IDENTITY_NONE);
    }
    assert_true(identity_parse("ABCDEF", &identity));
    expect(&identity, "abcdef");
    assert_true(identity_parse("0123456789abcdef0123456789abcdef0123456789abcdef", &identity));
    expect(&identity, "0123456789abcdef0123456789abcdef01234567");
}

static void test_equality(void **state) {
    (void)state;
    struct identity a, b;
    identity_parse("0123", &a);
    identity_parse("0123", &b);
    assert_true(identity_equal(&a, &b));
    identity_parse("012300", &b);
    assert_false(identity_equal(&a, &b));
    identity_parse("derived:0123", &b);
    assert_false(identity_equal(&a, &b));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_build_id_is_found_among_other_notes),
        cmocka_unit_test(test_build_ids_of_other_lengths),
        cmocka_unit_test(test_an_object_without_a_build_id_gets_a_digest),
        cmocka_unit_test(test_what_cannot_be_read_has_no_identity),
        cmocka_unit_test(test_misleading_notes),
        cmocka_unit_test(test_random_notes_do_no_harm),
        cmocka_unit_test(test_memory_and_file_agree_for_every_loaded_object),
        cmocka_unit_test(test_text_form),
        cmocka_unit_test(test_equality),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
