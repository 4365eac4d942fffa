/* Whatever the quick decoder takes, the slow one describes the same way: every form of every opcode, and every byte of
 * the code that this process has loaded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <link.h>
#include <string.h>

#include "policygen/outline.h"

static ZydisDecoder decoder;
static size_t taken, refused;

static int set_up(void **state) {
    (void)state;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MINIMAL, ZYAN_TRUE);
    taken = refused = 0;
    return 0;
}

static void print_difference(const uint8_t *bytes, const struct outline *quick, const struct outline *slow) {
    for (unsigned i = 0; i < OUTLINE_ROOM - 1; i++)
        print_error("%02x ", bytes[i]);
    print_error("has %u bytes, for Zydis %u\n", quick->length, slow->length);
}

static void compare(const uint8_t *bytes) {
    struct outline quick, slow = {0};
    if (!outline_common(bytes, &quick)) {
        refused++;
        return;
    }
    taken++;
    bool known = outline_any(&decoder, bytes, OUTLINE_ROOM, &slow);
    bool same = known && quick.length == slow.length && quick.map == slow.map && quick.opcode == slow.opcode &&
                quick.has_modrm == slow.has_modrm && quick.mod == slow.mod && quick.reg == slow.reg &&
                quick.rm == slow.rm && quick.scale == slow.scale && quick.index == slow.index &&
                quick.base == slow.base && quick.rex_r == slow.rex_r && quick.rex_x == slow.rex_x &&
                quick.rex_b == slow.rex_b && quick.displacement_size == slow.displacement_size &&
                quick.displacement_offset == slow.displacement_offset && quick.displacement == slow.displacement &&
                quick.immediate_size == slow.immediate_size && quick.immediate_offset == slow.immediate_offset &&
                quick.immediate == slow.immediate && quick.is_nop == slow.is_nop && quick.is_endbr64 == slow.is_endbr64;
    if (!same)
        print_difference(bytes, &quick, &slow);
    assert_true(same);
}

/* Behind the ModR/M byte stands what may be anything. */
static void compare_forms(const uint8_t *prefixes, size_t count, bool two_bytes) {
    uint8_t bytes[OUTLINE_ROOM] = {0};
    memcpy(bytes, prefixes, count);
    if (two_bytes)
        bytes[count++] = 0x0f;
    for (unsigned i = 0; i < 0x10000; i++) {
        bytes[count] = (uint8_t)(i >> 8);
        bytes[count + 1] = (uint8_t)i;
        for (size_t j = count + 2; j < OUTLINE_ROOM; j++)
            bytes[j] = (uint8_t)(i * 37 + j * 101);
        compare(bytes);
    }
}

static void every_form_of_every_opcode(void **state) {
    (void)state;
    static const uint8_t legacy[] = {0, 0x66, 0xf3, 0xf2, 0x64, 0x65, 0x2e, 0x67, 0xf0};
    for (size_t i = 0; i < sizeof legacy; i++) {
        for (unsigned rex = 0x3f; rex < 0x50; rex++) {
            uint8_t prefixes[2];
            size_t count = 0;
            if (legacy[i] != 0)
                prefixes[count++] = legacy[i];
            if (rex >= 0x40)
                prefixes[count++] = (uint8_t)rex;
            compare_forms(prefixes, count, false);
            compare_forms(prefixes, count, true);
        }
    }
    assert_true(taken > 1000000 && refused > 1000000);
}

static void every_form_of_vex(void **state) {
    (void)state;
    for (unsigned i = 0; i < 0x100; i++) {
        compare_forms((const uint8_t[]){0xc5, (uint8_t)i}, 2, false);
        for (unsigned map = 0; map < 5; map++)
            compare_forms((const uint8_t[]){0xc4, (uint8_t)((i << 5) | map), (uint8_t)i}, 3, false);
    }
    assert_true(taken > 1000000 && refused > 1000000);
}

static void several_prefixes(void **state) {
    (void)state;
    static const uint8_t sets[][3] = {
        {0x64, 0x66, 0x48}, {0x65, 0xf3, 0x41}, {0x66, 0x64, 0x48}, {0x66, 0xf3, 0x48}, {0x48, 0x66, 0x48},
        {0x48, 0x48, 0x48}, {0x64, 0x65, 0x48}, {0xf2, 0x66, 0x4f}, {0xf3, 0xf2, 0x40}, {0x66, 0x66, 0x2e},
    };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        compare_forms(sets[i], 3, false);
        compare_forms(sets[i], 3, true);
    }
}

static int compare_code(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    (void)context;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const Elf64_Phdr *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_LOAD || (header->p_flags & (PF_X | PF_R)) != (PF_X | PF_R))
            continue;
        const uint8_t *code =
            (const uint8_t *)(info->dlpi_addr + header->p_vaddr); /* NOLINT(performance-no-int-to-ptr) */
        for (size_t at = 0; at + OUTLINE_ROOM <= header->p_memsz; at++)
            compare(code + at);
    }
    return 0;
}

static void every_byte_of_loaded_code(void **state) {
    (void)state;
    dl_iterate_phdr(compare_code, NULL);
    assert_true(taken > refused);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_form_of_every_opcode, set_up),
        cmocka_unit_test_setup(every_form_of_vex, set_up),
        cmocka_unit_test_setup(several_prefixes, set_up),
        cmocka_unit_test_setup(every_byte_of_loaded_code, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
