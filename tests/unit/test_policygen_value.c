/* The lattice of values: what joins and operations may lose, and what they must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policygen/value.h"

static struct arena arena;

static struct abstract number(int64_t value) {
    return value_of(&arena, ELEMENT_INTEGER, value);
}

static struct abstract join(struct abstract a, struct abstract b) {
    return value_join(&arena, a, b);
}

static bool holds(struct abstract value, enum element_kind kind, int64_t wanted) {
    for (unsigned i = 0; i < value.count; i++) {
        if (value.elements[i].kind == kind && value.elements[i].value == wanted)
            return true;
    }
    return false;
}

/* Whether the integer is a possible value. */
static bool allows(struct abstract value, uint64_t wanted) {
    bool in_unknown =
        value.unknown != UNKNOWN_NOTHING && (wanted & ~value.maybe) == 0 && (wanted & value.must) == value.must;
    return in_unknown || holds(value, ELEMENT_INTEGER, (int64_t)wanted);
}

static void join_is_a_union(void **state) {
    (void)state;
    struct abstract a = join(number(1), number(7)), b = join(number(7), number(1));
    assert_true(value_equal(a, b));
    assert_int_equal(a.count, 2);
    assert_true(value_equal(join(a, value_nothing()), a));
    assert_true(value_equal(join(value_nothing(), a), a));
    struct abstract partly = join(a, value_unknown(UNKNOWN_HEAP));
    assert_int_equal(partly.count, 2);
    assert_int_equal(partly.unknown, UNKNOWN_HEAP);
}

static void too_many_values_become_unknown(void **state) {
    (void)state;
    struct abstract value = value_nothing();
    for (int64_t i = 0; i < RULE_MAX_VALUES; i++)
        value = join(value, number(i * 2));
    assert_int_equal(value.unknown, UNKNOWN_NOTHING);
    value = join(value, number(1000));
    assert_int_equal(value.unknown, UNKNOWN_MANY);
    for (uint64_t i = 0; i < RULE_MAX_VALUES; i++)
        assert_true(allows(value, i * 2));
    assert_true(allows(value, 1000));
    assert_false(allows(value, 1));
}

static void addresses_keep_their_meaning_under_addition_only(void **state) {
    (void)state;
    struct abstract address = value_of(&arena, ELEMENT_ADDRESS, 0x2000);
    assert_true(holds(value_operate(&arena, VALUE_ADD, address, number(8), 8), ELEMENT_ADDRESS, 0x2008));
    assert_true(holds(value_operate(&arena, VALUE_SUBTRACT, address, number(8), 8), ELEMENT_ADDRESS, 0x1ff8));
    assert_int_not_equal(value_operate(&arena, VALUE_AND, address, number(-16), 8).unknown, UNKNOWN_NOTHING);
    assert_int_not_equal(value_operate(&arena, VALUE_ADD, address, number(8), 4).unknown, UNKNOWN_NOTHING);
    assert_int_not_equal(value_truncate(&arena, address, 4).unknown, UNKNOWN_NOTHING);
}

static void switches_need_the_table_they_were_read_from(void **state) {
    (void)state;
    struct abstract entry = value_of(&arena, ELEMENT_TABLE4, 0x2000);
    struct abstract target = value_operate(&arena, VALUE_ADD, entry, value_of(&arena, ELEMENT_ADDRESS, 0x2000), 8);
    assert_true(holds(target, ELEMENT_SWITCH, 0x2000));
    assert_int_equal(target.unknown, UNKNOWN_NOTHING);
    target = value_operate(&arena, VALUE_ADD, entry, value_of(&arena, ELEMENT_ADDRESS, 0x3000), 8);
    assert_int_equal(target.count, 0);
    assert_int_not_equal(target.unknown, UNKNOWN_NOTHING);
}

static void known_bits_survive(void **state) {
    (void)state;
    struct abstract unknown = value_unknown(UNKNOWN_MEMORY);
    struct abstract masked = value_operate(&arena, VALUE_AND, unknown, number(0xff0), 8);
    assert_int_equal(value_bits(masked), 0xff0);
    struct abstract with = value_operate(&arena, VALUE_OR, masked, number(1), 8);
    assert_true(allows(with, 0x11));
    assert_false(allows(with, 0x10));
    struct abstract few = value_operate(&arena, VALUE_AND, unknown, number(5), 4);
    assert_int_equal(few.unknown, UNKNOWN_NOTHING);
    assert_int_equal(few.count, 4);
    assert_true(unknown.derived == false && masked.derived);
}

/* Every operation on possible values gives a possible value: checked on numbers with awkward signs and widths. */
static void operations_lose_no_value(void **state) {
    (void)state;
    static const uint64_t samples[] = {0,         1,          2,          7,          31,
                                       32,        63,         0x7f,       0x80,       0xff,
                                       0x8000,    0x7fffffff, 0x80000000, 0xffffffff, UINT64_C(0x8000000000000000),
                                       UINT64_MAX};
    size_t count = sizeof samples / sizeof *samples;
    static const unsigned sizes[] = {1, 2, 4, 8};
    for (int operation = VALUE_ADD; operation <= VALUE_MULTIPLY; operation++) {
        for (size_t i = 0; i < count * count * 4; i++) {
            unsigned size = sizes[i % 4];
            uint64_t mask = size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;
            uint64_t a = samples[i / 4 % count] & mask, b = samples[i / 4 / count] & mask;
            struct abstract exact =
                value_operate(&arena, (enum value_operation)operation, number((int64_t)a), number((int64_t)b), size);
            assert_int_equal(exact.count, 1);
            uint64_t result = (uint64_t)exact.elements[0].value;
            assert_int_equal(result & ~mask, 0);
            struct abstract any = value_unknown_bits(UNKNOWN_MEMORY, mask);
            struct abstract both = value_operate(&arena, (enum value_operation)operation, any, any, size);
            struct abstract left =
                value_operate(&arena, (enum value_operation)operation, any, number((int64_t)b), size);
            struct abstract right =
                value_operate(&arena, (enum value_operation)operation, number((int64_t)a), any, size);
            assert_true(allows(both, result) && allows(left, result) && allows(right, result));
        }
    }
}

static void extensions(void **state) {
    (void)state;
    assert_true(allows(value_sign_extend(&arena, number(0x80), 1, 4), 0xffffff80));
    assert_true(allows(value_sign_extend(&arena, number(0x80000000), 4, 8), UINT64_C(0xffffffff80000000)));
    struct abstract byte = value_unknown_bits(UNKNOWN_MEMORY, 0xff);
    assert_true(allows(value_sign_extend(&arena, byte, 1, 4), 0xffffff80));
    assert_true(allows(value_sign_extend(&arena, byte, 1, 4), 0x7f));
    assert_true(allows(value_not(&arena, number(0), 4), 0xffffffff));
}

static int forget(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(join_is_a_union),
        cmocka_unit_test(too_many_values_become_unknown),
        cmocka_unit_test(addresses_keep_their_meaning_under_addition_only),
        cmocka_unit_test(switches_need_the_table_they_were_read_from),
        cmocka_unit_test(known_bits_survive),
        cmocka_unit_test(operations_lose_no_value),
        cmocka_unit_test(extensions),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}
