/* A function keeps its fingerprint where a rebuild only moves things about, and loses it where its code changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policygen/fingerprint.h"

static uint64_t fingerprint_of(const struct object *object, const char *code, size_t length, const char *import) {
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MINIMAL, ZYAN_TRUE);
    struct fingerprint fingerprint;
    fingerprint_begin(&fingerprint, object, 0x1000, 0x1000 + (uint32_t)length);
    struct outline instruction;
    for (size_t offset = 0; offset < length; offset += instruction.length) {
        const uint8_t *bytes = (const uint8_t *)code + offset;
        assert_true(outline_any(&decoder, bytes, length - offset, &instruction));
        fingerprint_add(&fingerprint, &instruction, bytes, length - offset, 0x1000 + (uint32_t)offset, import);
    }
    return fingerprint_end(&fingerprint);
}

static struct object shared = {.type = ET_DYN};

#define SAME(a, b) \
    assert_true(fingerprint_of(&shared, a, sizeof(a) - 1, NULL) == fingerprint_of(&shared, b, sizeof(b) - 1, NULL))
#define OTHER(a, b) \
    assert_false(fingerprint_of(&shared, a, sizeof(a) - 1, NULL) == fingerprint_of(&shared, b, sizeof(b) - 1, NULL))

static void what_lies_elsewhere_does_not_count(void **state) {
    (void)state;
    SAME("\x48\x8d\x3d\x10\x00\x00\x00", "\x48\x8d\x3d\x30\x20\x00\x00"); /* lea x(%rip), %rdi */
    SAME("\xe8\x00\x10\x00\x00", "\xe8\x00\x20\x00\x00");                 /* call */
    SAME("\xe9\x00\x10\x00\x00", "\xe9\xff\x20\x00\x00");                 /* jmp, out */
    SAME("\xff\x15\x00\x10\x00\x00", "\xff\x15\xff\x20\x00\x00");         /* call *slot(%rip) */
    SAME("\xc7\x05\x10\x00\x00\x00\x07\x00\x00\x00", "\xc7\x05\x20\x00\x00\x00\x07\x00\x00\x00"); /* movl $7, x(%rip) */
    SAME("\xc5\xf9\x6f\x05\x10\x00\x00\x00", "\xc5\xf9\x6f\x05\x20\x00\x00\x00"); /* vmovdqa x(%rip), %xmm0 */
    /* mov %fs:-8, %eax; mov %fs:-16, %eax */
    SAME("\x64\x8b\x04\x25\xf8\xff\xff\xff", "\x64\x8b\x04\x25\xf0\xff\xff\xff");
}

static void the_length_of_jumps_does_not_count(void **state) {
    (void)state;
    SAME("\x74\x01\x90\xc3", "\x0f\x84\x01\x00\x00\x00\x90\xc3");         /* je; nop; ret */
    SAME("\xeb\x70", "\xe9\x00\x10\x00\x00");                             /* jmp, out */
    SAME("\x74\x00\xc3", "\x74\x03\x0f\x1f\x00\xc3");                     /* padding before a target */
    SAME("\xc3", "\xc3\x66\x2e\x0f\x1f\x84\x00\x00\x00\x00\x00\xcc\xcc"); /* and behind the end */
}

static void what_the_code_does_counts(void **state) {
    (void)state;
    OTHER("\xbf\x05\x00\x00\x00", "\xbf\x06\x00\x00\x00");                                         /* mov $5, %edi */
    OTHER("\xbf\x05\x00\x00\x00", "\xbe\x05\x00\x00\x00");                                         /* %esi */
    OTHER("\x8b\x47\x08", "\x8b\x47\x10");                                                         /* mov 8(%rdi) */
    OTHER("\xc7\x05\x10\x00\x00\x00\x07\x00\x00\x00", "\xc7\x05\x10\x00\x00\x00\x08\x00\x00\x00"); /* movl $7 */
    OTHER("\x74\x01\x90\xc3", "\x75\x01\x90\xc3");                                                 /* je, jne */
    OTHER("\x74\x00\xc3", "\x74\xfe\xc3");                                                         /* on, back */
    OTHER("\x74\x00\xc3", "\x74\x70\xc3");                                                         /* on, out */
    OTHER("\xe8\x00\x10\x00\x00", "\xe9\x00\x10\x00\x00");                                         /* call, jmp */
    OTHER("\x64\x8b\x04\x25\x28\x00\x00\x00", "\x64\x8b\x04\x25\x30\x00\x00\x00");                 /* %fs:40 */
    OTHER("\xc3", "\xc3\xc3");
}

static void the_import_counts(void **state) {
    (void)state;
    static const char call[] = "\xe8\x00\x10\x00\x00";
    uint64_t open = fingerprint_of(&shared, call, sizeof call - 1, "open");
    assert_true(open == fingerprint_of(&shared, call, sizeof call - 1, "open"));
    assert_false(open == fingerprint_of(&shared, call, sizeof call - 1, "execve"));
    assert_false(open == fingerprint_of(&shared, call, sizeof call - 1, NULL));
}

static void addresses_count_only_where_they_are_none(void **state) {
    (void)state;
    struct segment segment = {.address = 0x400000, .memory_size = 0x5000};
    struct object fixed = {.type = ET_EXEC, .segments = &segment, .segment_count = 1};
    static const char first[] = "\xbf\x10\x20\x40\x00", second[] = "\xbf\x18\x30\x40\x00"; /* mov $x, %edi */
    static const char table[] = "\xff\x24\xc5\x10\x20\x40\x00", other[] = "\xff\x24\xc5\x20\x30\x40\x00";
    static const char small[] = "\xbf\x10\x00\x00\x00", large[] = "\xbf\x18\x00\x00\x00";
    assert_true(fingerprint_of(&fixed, first, 5, NULL) == fingerprint_of(&fixed, second, 5, NULL));
    assert_true(fingerprint_of(&fixed, table, 7, NULL) == fingerprint_of(&fixed, other, 7, NULL));
    assert_false(fingerprint_of(&fixed, small, 5, NULL) == fingerprint_of(&fixed, large, 5, NULL));
    OTHER("\xbf\x10\x20\x40\x00", "\xbf\x18\x30\x40\x00");
    /* A program that grows keeps the fingerprints of its functions. */
    static const char beyond[] = "\xbf\x10\x20\x48\x00";
    uint64_t before = fingerprint_of(&fixed, beyond, 5, NULL);
    segment.memory_size = 0x100000;
    assert_true(before == fingerprint_of(&fixed, beyond, 5, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lies_elsewhere_does_not_count),
        cmocka_unit_test(the_length_of_jumps_does_not_count),
        cmocka_unit_test(what_the_code_does_counts),
        cmocka_unit_test(the_import_counts),
        cmocka_unit_test(addresses_count_only_where_they_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
