/* What an instruction changes is exact, and what is not modelled is never taken for something that is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "policygen/decode.h"

static struct decoder *decoder;

static struct instruction decode(const char *bytes, size_t length) {
    struct instruction instruction;
    assert_true(decode_instruction(decoder, (const uint8_t *)bytes, length, 0x1000, &instruction));
    assert_int_equal(instruction.length, length);
    return instruction;
}

#define DECODE(bytes) decode(bytes, sizeof(bytes) - 1)

static void moves(void **state) {
    (void)state;
    struct instruction move = DECODE("\xbf\x05\x00\x00\x00"); /* mov $5, %edi */
    assert_int_equal(move.operation, OPERATION_MOVE);
    assert_int_equal(move.destination.base, REGISTER_RDI);
    assert_int_equal(move.destination.size, 4);
    assert_int_equal(move.source.value, 5);
    assert_int_equal(move.writes, REGISTER_BIT(REGISTER_RDI));
    move = DECODE("\xb4\x05"); /* mov $5, %ah */
    assert_true(move.destination.high);
    move = DECODE("\x48\x8d\x3d\x10\x00\x00\x00"); /* lea 16(%rip), %rdi */
    assert_int_equal(move.operation, OPERATION_ADDRESS);
    assert_int_equal(move.source.value, 0x1017);
    move = DECODE("\x64\x48\x8b\x04\x25\x28\x00\x00\x00"); /* mov %fs:40, %rax */
    assert_true(move.source.segment);
}

static void writes_to_memory(void **state) {
    (void)state;
    struct instruction store = DECODE("\x0f\x11\x44\x24\x10"); /* movups %xmm0, 16(%rsp) */
    assert_int_equal(store.operation, OPERATION_VECTOR_MOVE);
    assert_true(store.writes_memory);
    assert_int_equal(store.destination.kind, OPERAND_MEMORY);
    assert_int_equal(store.destination.base, REGISTER_RSP);
    assert_int_equal(store.destination.size, 16);
    store = DECODE("\xf3\x48\xab"); /* rep stos */
    assert_true(store.writes_memory);
    assert_int_equal(store.destination.size, 0);
    assert_int_equal(store.writes, REGISTER_BIT(REGISTER_RCX) | REGISTER_BIT(REGISTER_RDI));
    store = DECODE("\x0f\x05"); /* syscall */
    assert_true(store.writes_memory);
    assert_int_equal(store.destination.kind, OPERAND_NONE);
    store = DECODE("\x39\x44\x24\x10"); /* cmp %eax, 16(%rsp) */
    assert_false(store.writes_memory);
}

static void hidden_results(void **state) {
    (void)state;
    struct instruction product = DECODE("\x48\xf7\xe1"); /* mul %rcx */
    assert_int_equal(product.operation, OPERATION_OTHER);
    assert_int_equal(product.writes, REGISTER_BIT(REGISTER_RAX) | REGISTER_BIT(REGISTER_RDX));
    struct instruction exchange = DECODE("\x48\x87\xd8"); /* xchg %rbx, %rax */
    assert_int_equal(exchange.operation, OPERATION_OTHER);
    assert_int_equal(exchange.writes, REGISTER_BIT(REGISTER_RAX) | REGISTER_BIT(REGISTER_RBX));
    struct instruction borrow = DECODE("\x19\xc8"); /* sbb %ecx, %eax */
    assert_int_equal(borrow.operation, OPERATION_OTHER);
    borrow = DECODE("\x19\xc0"); /* sbb %eax, %eax */
    assert_int_equal(borrow.operation, OPERATION_BORROW);
}

static void control(void **state) {
    (void)state;
    struct instruction call = DECODE("\xe8\x0b\x00\x00\x00");
    assert_int_equal(call.operation, OPERATION_CALL);
    assert_int_equal(call.target, 0x1010);
    assert_int_equal(call.writes & CALL_CHANGES, CALL_CHANGES);
    assert_int_equal(call.writes & REGISTER_BIT(REGISTER_RBX), 0);
    struct instruction jump = DECODE("\x3e\xff\xe0"); /* notrack jmp *%rax */
    assert_int_equal(jump.operation, OPERATION_JUMP_INDIRECT);
    assert_int_equal(jump.source.base, REGISTER_RAX);
    jump = DECODE("\x75\xfe");
    assert_int_equal(jump.operation, OPERATION_BRANCH);
    assert_int_equal(jump.target, 0x1000);
    assert_int_equal(DECODE("\x66\x90").operation, OPERATION_PADDING);
    assert_int_equal(DECODE("\x66\x0f\x1f\x44\x00\x00").operation, OPERATION_PADDING);
    assert_int_equal(DECODE("\x0f\x0b").operation, OPERATION_STOP);
    struct instruction bad;
    assert_false(decode_instruction(decoder, (const uint8_t *)"\x06", 1, 0, &bad));
    assert_false(decode_instruction(decoder, (const uint8_t *)"\xe8\x00", 2, 0, &bad));
}

static int start(void **state) {
    (void)state;
    decoder = decoder_new();
    return 0;
}

static int stop(void **state) {
    (void)state;
    decoder_free(decoder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves),
        cmocka_unit_test(writes_to_memory),
        cmocka_unit_test(hidden_results),
        cmocka_unit_test(control),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
