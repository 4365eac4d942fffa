/* Arithmetic on sets of values. Where a result would not be certain it is unknown: no operation here guesses. */
#include "policygen/value.h"

#include <string.h>

#include "runtime/util.h"

#define ARENA_BLOCK_BYTES (256u << 10)
/* An unknown part with so few open bits is written out as the integers it can be. */
#define MAX_OPEN_BITS 5

struct arena_block {
    struct arena_block *next;
    _Alignas(16) char bytes[];
};

void *arena_take(struct arena *arena, size_t size) {
    size = (size + 15) & ~(size_t)15;
    if (size > ARENA_BLOCK_BYTES)
        die("an analysis step needs too much memory");
    if (arena->blocks == NULL || arena->used + size > ARENA_BLOCK_BYTES) {
        struct arena_block *block = xmalloc(sizeof *block + ARENA_BLOCK_BYTES);
        block->next = arena->blocks;
        arena->blocks = block;
        arena->used = 0;
        arena->total += ARENA_BLOCK_BYTES;
    }
    void *taken = arena->blocks->bytes + arena->used;
    arena->used += size;
    return taken;
}

void arena_free(struct arena *arena) {
    while (arena->blocks != NULL) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    *arena = (struct arena){0};
}

/* ---- Building ---- */

/* A set under construction, on the stack. */
struct builder {
    struct element elements[RULE_MAX_VALUES];
    unsigned count;
    enum unknown unknown;
    bool derived, extended;
    uint64_t maybe, must;
    uint32_t entries[VALUE_MAX_ENTRIES];
    unsigned entry_count; /* 0: the unknown part, if there is one, depends on nothing */
    struct pointer_origin origins[VALUE_MAX_ORIGINS];
    unsigned origin_count; /* 0: where the unknown part, if there is one, comes from is not known */
};

/* An unknown part: its bits, why, through which entries it comes in, and where it was got. */
struct bits {
    uint64_t maybe, must;
    enum unknown why;
    const uint32_t *entries;
    unsigned entry_count;
    bool extended;
    const struct pointer_origin *origins;
    unsigned origin_count;
};

static int compare(struct element a, struct element b) {
    if (a.kind != b.kind)
        return a.kind < b.kind ? -1 : 1;
    return a.value < b.value ? -1 : a.value > b.value;
}

static void add_entry(struct builder *builder, uint32_t entry) {
    unsigned at = builder->entry_count;
    while (at > 0 && builder->entries[at - 1] > entry)
        at--;
    if (at > 0 && builder->entries[at - 1] == entry)
        return;
    if (builder->entry_count == VALUE_MAX_ENTRIES) {
        builder->entry_count = 0;
        return;
    }
    memmove(&builder->entries[at + 1], &builder->entries[at], (builder->entry_count - at) * sizeof entry);
    builder->entries[at] = entry;
    builder->entry_count++;
}

static void add_entries(struct builder *builder, const uint32_t *entries, unsigned count) {
    bool depends = count > 0 && (builder->unknown == UNKNOWN_NOTHING || builder->entry_count > 0);
    if (!depends)
        builder->entry_count = 0;
    for (unsigned i = 0; depends && i < count; i++) {
        add_entry(builder, entries[i]);
        depends = builder->entry_count > 0;
    }
}

static int compare_origins(struct pointer_origin a, struct pointer_origin b) {
    if (a.instruction != b.instruction)
        return a.instruction < b.instruction ? -1 : 1;
    return a.offset < b.offset ? -1 : a.offset > b.offset;
}

static void add_origin(struct builder *builder, struct pointer_origin origin) {
    unsigned at = builder->origin_count;
    while (at > 0 && compare_origins(builder->origins[at - 1], origin) > 0)
        at--;
    if (at > 0 && compare_origins(builder->origins[at - 1], origin) == 0)
        return;
    if (builder->origin_count == VALUE_MAX_ORIGINS) {
        builder->origin_count = 0;
        return;
    }
    memmove(&builder->origins[at + 1], &builder->origins[at], (builder->origin_count - at) * sizeof origin);
    builder->origins[at] = origin;
    builder->origin_count++;
}

static void add_origins(struct builder *builder, const struct pointer_origin *origins, unsigned count) {
    bool known = count > 0 && (builder->unknown == UNKNOWN_NOTHING || builder->origin_count > 0);
    if (!known)
        builder->origin_count = 0;
    for (unsigned i = 0; known && i < count; i++) {
        add_origin(builder, origins[i]);
        known = builder->origin_count > 0;
    }
}

static void add_unknown(struct builder *builder, struct bits bits) {
    add_entries(builder, bits.entries, bits.entry_count);
    add_origins(builder, bits.origins, bits.origin_count);
    builder->extended = bits.extended && (builder->unknown == UNKNOWN_NOTHING || builder->extended);
    if (builder->unknown == UNKNOWN_NOTHING) {
        builder->maybe = bits.maybe;
        builder->must = bits.must;
    } else {
        builder->maybe |= bits.maybe;
        builder->must &= bits.must;
    }
    if (bits.why > builder->unknown)
        builder->unknown = bits.why;
}

static struct bits bits_of_element(struct element element) {
    if (element.kind == ELEMENT_LOW)
        return (struct bits){.maybe = ~(uint64_t)UINT32_MAX | (uint64_t)element.value,
                             .must = (uint64_t)element.value,
                             .why = UNKNOWN_COMPUTED};
    if (element.kind != ELEMENT_INTEGER)
        return (struct bits){.maybe = UINT64_MAX, .why = UNKNOWN_ADDRESS};
    return (struct bits){.maybe = (uint64_t)element.value, .must = (uint64_t)element.value};
}

static struct bits bits_of_unknown(struct abstract value) {
    return (struct bits){value.maybe,       value.must,     value.unknown, value.entries,
                         value.entry_count, value.extended, value.origins, value.origin_count};
}

/* Too many: what is left of the set are its bits, and those only of integers. */
static void overflow(struct builder *builder, struct element last) {
    for (unsigned i = 0; i <= builder->count; i++) {
        struct bits bits = bits_of_element(i < builder->count ? builder->elements[i] : last);
        bits.why = UNKNOWN_MANY;
        add_unknown(builder, bits);
    }
    builder->count = 0;
}

static void add_element(struct builder *builder, struct element element) {
    unsigned at = builder->count;
    while (at > 0 && compare(builder->elements[at - 1], element) > 0)
        at--;
    if (at > 0 && compare(builder->elements[at - 1], element) == 0)
        return;
    if (builder->unknown >= UNKNOWN_MANY && element.kind == ELEMENT_INTEGER &&
        (builder->maybe | (uint64_t)element.value) == builder->maybe &&
        (builder->must & (uint64_t)element.value) == builder->must)
        return;
    if (builder->count == RULE_MAX_VALUES) {
        overflow(builder, element);
        return;
    }
    memmove(&builder->elements[at + 1], &builder->elements[at], (builder->count - at) * sizeof element);
    builder->elements[at] = element;
    builder->count++;
}

/* Few open bits: the integers themselves, unless they are there only under a condition. */
static void add_bits(struct builder *builder, struct bits bits) {
    uint64_t open = bits.maybe & ~bits.must;
    if (__builtin_popcountll(open) > MAX_OPEN_BITS || bits.entry_count > 0) {
        add_unknown(builder, bits);
        return;
    }
    uint64_t subset = open;
    while (true) {
        add_element(builder, (struct element){ELEMENT_INTEGER, (int64_t)(bits.must | subset)});
        if (subset == 0)
            return;
        subset = (subset - 1) & open;
    }
}

static struct abstract finish(struct arena *arena, const struct builder *builder) {
    struct abstract value = {.count = (uint8_t)builder->count,
                             .unknown = (uint8_t)builder->unknown,
                             .derived = builder->derived && builder->unknown != UNKNOWN_NOTHING,
                             .extended = builder->extended,
                             .maybe = builder->maybe,
                             .must = builder->must};
    if (builder->count > 0) {
        struct element *elements = arena_take(arena, builder->count * sizeof *elements);
        memcpy(elements, builder->elements, builder->count * sizeof *elements);
        value.elements = elements;
    }
    if (builder->unknown != UNKNOWN_NOTHING && builder->entry_count > 0) {
        uint32_t *entries = arena_take(arena, builder->entry_count * sizeof *entries);
        memcpy(entries, builder->entries, builder->entry_count * sizeof *entries);
        value.entries = entries;
        value.entry_count = (uint8_t)builder->entry_count;
    }
    if (builder->unknown != UNKNOWN_NOTHING && builder->origin_count > 0) {
        struct pointer_origin *origins = arena_take(arena, builder->origin_count * sizeof *origins);
        memcpy(origins, builder->origins, builder->origin_count * sizeof *origins);
        value.origins = origins;
        value.origin_count = (uint8_t)builder->origin_count;
    }
    return value;
}

struct abstract value_unknown_through(struct arena *arena, enum unknown why, uint32_t entry) {
    struct builder builder = {.count = 0};
    add_unknown(&builder, (struct bits){.maybe = UINT64_MAX, .why = why, .entries = &entry, .entry_count = 1});
    return finish(arena, &builder);
}

struct abstract value_unknown_from(struct arena *arena, enum unknown why, struct pointer_origin origin) {
    struct builder builder = {.count = 0};
    add_unknown(&builder, (struct bits){.maybe = UINT64_MAX, .why = why, .origins = &origin, .origin_count = 1});
    return finish(arena, &builder);
}

struct abstract value_unknown(enum unknown why) {
    return (struct abstract){.unknown = (uint8_t)why, .maybe = UINT64_MAX};
}

struct abstract value_unknown_bits(enum unknown why, uint64_t maybe) {
    return (struct abstract){.unknown = (uint8_t)why, .maybe = maybe};
}

struct abstract value_of(struct arena *arena, enum element_kind kind, int64_t value) {
    struct builder builder = {.count = 0};
    add_element(&builder, (struct element){(uint8_t)kind, value});
    return finish(arena, &builder);
}

static bool same_origins(struct abstract a, struct abstract b) {
    if (a.origin_count != b.origin_count)
        return false;
    for (unsigned i = 0; i < a.origin_count; i++) {
        if (compare_origins(a.origins[i], b.origins[i]) != 0)
            return false;
    }
    return true;
}

bool value_equal(struct abstract a, struct abstract b) {
    if (a.count != b.count || a.unknown != b.unknown || a.derived != b.derived || a.extended != b.extended ||
        a.maybe != b.maybe || a.must != b.must || a.entry_count != b.entry_count ||
        (a.entry_count > 0 && memcmp(a.entries, b.entries, a.entry_count * sizeof *a.entries) != 0) ||
        !same_origins(a, b))
        return false;
    for (unsigned i = 0; i < a.count; i++) {
        if (compare(a.elements[i], b.elements[i]) != 0)
            return false;
    }
    return true;
}

struct abstract value_join(struct arena *arena, struct abstract a, struct abstract b) {
    if (value_is_nothing(b) || value_equal(a, b))
        return a;
    if (value_is_nothing(a))
        return b;
    struct builder builder = {.count = 0, .derived = a.derived || b.derived};
    if (a.unknown != UNKNOWN_NOTHING)
        add_unknown(&builder, bits_of_unknown(a));
    if (b.unknown != UNKNOWN_NOTHING)
        add_unknown(&builder, bits_of_unknown(b));
    for (unsigned i = 0; i < a.count; i++)
        add_element(&builder, a.elements[i]);
    for (unsigned i = 0; i < b.count; i++)
        add_element(&builder, b.elements[i]);
    return finish(arena, &builder);
}

uint64_t value_bits(struct abstract value) {
    uint64_t bits = value.unknown != UNKNOWN_NOTHING ? value.maybe : 0;
    for (unsigned i = 0; i < value.count; i++)
        bits |= bits_of_element(value.elements[i]).maybe;
    return bits;
}

/* ---- Operations ---- */

static uint64_t width_mask(unsigned size) {
    return size >= 8 ? UINT64_MAX : ((uint64_t)1 << (8 * size)) - 1;
}

static uint64_t sign_extend(uint64_t value, unsigned size) {
    unsigned shift = size >= 8 ? 0 : 64 - 8 * size;
    return (uint64_t)((int64_t)(value << shift) >> shift);
}

static uint64_t operate_integers(enum value_operation operation, uint64_t a, uint64_t b, unsigned size) {
    unsigned count = (unsigned)(b & (size == 8 ? 63 : 31));
    switch (operation) {
    case VALUE_ADD: return a + b;
    case VALUE_SUBTRACT: return a - b;
    case VALUE_AND: return a & b;
    case VALUE_OR: return a | b;
    case VALUE_XOR: return a ^ b;
    case VALUE_SHIFT_LEFT: return a << count;
    case VALUE_SHIFT_RIGHT: return (a & width_mask(size)) >> count;
    case VALUE_SHIFT_ARITHMETIC: return (uint64_t)((int64_t)sign_extend(a, size) >> count);
    case VALUE_MULTIPLY: return a * b;
    }
    return 0;
}

/* Integers as kinds that keep their meaning when something is added. */
static bool operate_addresses(enum value_operation operation, struct element a, struct element b,
                              struct element *result) {
    if (operation == VALUE_ADD && a.kind == ELEMENT_INTEGER) {
        struct element swapped = a;
        a = b;
        b = swapped;
    }
    bool movable = a.kind == ELEMENT_ADDRESS || a.kind == ELEMENT_STACK;
    if (movable && b.kind == ELEMENT_INTEGER && (operation == VALUE_ADD || operation == VALUE_SUBTRACT)) {
        uint64_t moved = operate_integers(operation, (uint64_t)a.value, (uint64_t)b.value, 8);
        *result = (struct element){a.kind, (int64_t)moved};
        return true;
    }
    if (movable && a.kind == b.kind && operation == VALUE_SUBTRACT) {
        *result = (struct element){ELEMENT_INTEGER, (int64_t)((uint64_t)a.value - (uint64_t)b.value)};
        return true;
    }
    return false;
}

/* `movslq (table,index,4), r; add table, r`. */
static bool operate_tables(enum value_operation operation, struct element a, struct element b, struct element *result) {
    if (operation != VALUE_ADD)
        return false;
    if (b.kind == ELEMENT_TABLE4) {
        struct element swapped = a;
        a = b;
        b = swapped;
    }
    if (a.kind != ELEMENT_TABLE4 || (b.kind != ELEMENT_ADDRESS && b.kind != ELEMENT_INTEGER) || a.value != b.value)
        return false;
    *result = (struct element){ELEMENT_SWITCH, a.value};
    return true;
}

static void operate_bits(struct builder *builder, enum value_operation operation, struct bits a, struct bits b,
                         unsigned size) {
    uint64_t mask = width_mask(size), maybe = mask, must = 0;
    bool counted = b.maybe == b.must; /* a shift by a known count */
    unsigned count = (unsigned)(b.must & (size == 8 ? 63 : 31));
    switch (operation) {
    case VALUE_AND:
        maybe = a.maybe & b.maybe & mask;
        must = a.must & b.must & mask;
        break;
    case VALUE_OR:
        maybe = (a.maybe | b.maybe) & mask;
        must = (a.must | b.must) & mask;
        break;
    case VALUE_XOR: {
        uint64_t open = (a.maybe & ~a.must) | (b.maybe & ~b.must);
        must = (a.must ^ b.must) & ~open & mask;
        maybe = must | (open & mask);
        break;
    }
    case VALUE_SHIFT_LEFT:
        if (counted) {
            maybe = a.maybe << count & mask;
            must = a.must << count & mask;
        }
        break;
    case VALUE_SHIFT_RIGHT:
        if (counted) {
            maybe = (a.maybe & mask) >> count;
            must = (a.must & mask) >> count;
        }
        break;
    case VALUE_SHIFT_ARITHMETIC:
        if (counted) {
            maybe = (uint64_t)((int64_t)sign_extend(a.maybe, size) >> count) & mask;
            must = (uint64_t)((int64_t)sign_extend(a.must, size) >> count) & mask;
        }
        break;
    case VALUE_ADD:
        /* No bit in common: no carry. */
        if ((a.maybe & b.maybe) == 0) {
            maybe = (a.maybe | b.maybe) & mask;
            must = (a.must | b.must) & mask;
        }
        break;
    case VALUE_SUBTRACT:
    case VALUE_MULTIPLY: break;
    }
    /* The result is there only if both are: the condition of either will do. */
    const struct bits *condition = a.entry_count > 0 ? &a : &b;
    add_bits(builder, (struct bits){maybe, must, a.why > b.why ? a.why : b.why, condition->entries,
                                    condition->entry_count, false, NULL, 0});
}

/* As an operation on no more than 32 bits sees it. */
static struct element low_element(struct element element) {
    return element.kind == ELEMENT_LOW ? (struct element){ELEMENT_INTEGER, element.value} : element;
}

static void operate_elements(struct builder *builder, enum value_operation operation, struct element a,
                             struct element b, unsigned size) {
    struct element result;
    if (size <= 4) {
        a = low_element(a);
        b = low_element(b);
    }
    if (a.kind == ELEMENT_LOW || b.kind == ELEMENT_LOW) {
        operate_bits(builder, operation, bits_of_element(a), bits_of_element(b), size);
        return;
    }
    if (size == 8 && operate_tables(operation, a, b, &result)) {
        add_element(builder, result);
        return;
    }
    if (a.kind == ELEMENT_INTEGER && b.kind == ELEMENT_INTEGER) {
        uint64_t integer = operate_integers(operation, (uint64_t)a.value, (uint64_t)b.value, size) & width_mask(size);
        add_element(builder, (struct element){ELEMENT_INTEGER, (int64_t)integer});
        return;
    }
    if (size == 8 && operate_addresses(operation, a, b, &result))
        add_element(builder, result);
    else
        add_unknown(builder, (struct bits){.maybe = width_mask(size), .why = UNKNOWN_ADDRESS});
}

struct abstract value_operate(struct arena *arena, enum value_operation operation, struct abstract a, struct abstract b,
                              unsigned size) {
    if (value_is_nothing(a) || value_is_nothing(b))
        return value_nothing();
    struct builder builder = {.count = 0, .derived = true};
    for (unsigned i = 0; i < a.count; i++) {
        for (unsigned j = 0; j < b.count; j++)
            operate_elements(&builder, operation, a.elements[i], b.elements[j], size);
        if (b.unknown != UNKNOWN_NOTHING)
            operate_bits(&builder, operation, bits_of_element(a.elements[i]), bits_of_unknown(b), size);
    }
    for (unsigned j = 0; a.unknown != UNKNOWN_NOTHING && j < b.count; j++)
        operate_bits(&builder, operation, bits_of_unknown(a), bits_of_element(b.elements[j]), size);
    if (a.unknown != UNKNOWN_NOTHING && b.unknown != UNKNOWN_NOTHING)
        operate_bits(&builder, operation, bits_of_unknown(a), bits_of_unknown(b), size);
    return finish(arena, &builder);
}

struct abstract value_truncate(struct arena *arena, struct abstract value, unsigned size) {
    if (size >= 8)
        return value;
    struct builder builder = {.count = 0, .derived = true};
    uint64_t mask = width_mask(size);
    if (value.unknown != UNKNOWN_NOTHING)
        add_bits(&builder, (struct bits){value.maybe & mask, value.must & mask, value.unknown, value.entries,
                                         value.entry_count, false, NULL, 0});
    for (unsigned i = 0; i < value.count; i++) {
        struct element element = low_element(value.elements[i]);
        if (element.kind == ELEMENT_INTEGER)
            add_element(&builder, (struct element){ELEMENT_INTEGER, (int64_t)((uint64_t)element.value & mask)});
        else if (element.kind == ELEMENT_TABLE4 && size == 4)
            add_element(&builder, element);
        else
            add_unknown(&builder, (struct bits){.maybe = mask, .why = UNKNOWN_ADDRESS});
    }
    return finish(arena, &builder);
}

struct abstract value_sign_extend(struct arena *arena, struct abstract value, unsigned from, unsigned to) {
    struct builder builder = {.count = 0, .derived = true};
    uint64_t mask = width_mask(to);
    struct abstract low = value_truncate(arena, value, from);
    if (low.unknown != UNKNOWN_NOTHING)
        add_bits(&builder, (struct bits){sign_extend(low.maybe, from) & mask, sign_extend(low.must, from) & mask,
                                         low.unknown, low.entries, low.entry_count, from <= 4 && to == 8, NULL, 0});
    for (unsigned i = 0; i < low.count; i++) {
        struct element element = low.elements[i];
        if (element.kind == ELEMENT_INTEGER)
            element.value = (int64_t)(sign_extend((uint64_t)element.value, from) & mask);
        add_element(&builder, element);
    }
    return finish(arena, &builder);
}

struct abstract value_not(struct arena *arena, struct abstract value, unsigned size) {
    return value_operate(arena, VALUE_XOR, value, value_of(arena, ELEMENT_INTEGER, (int64_t)width_mask(size)), size);
}

struct abstract value_without_stack(struct arena *arena, struct abstract value) {
    struct builder builder = {.count = 0, .derived = value.derived};
    struct bits unknown = bits_of_unknown(value);
    unknown.origin_count = 0;
    if (value.unknown != UNKNOWN_NOTHING)
        add_unknown(&builder, unknown);
    for (unsigned i = 0; i < value.count; i++) {
        if (value.elements[i].kind == ELEMENT_STACK)
            add_unknown(&builder, (struct bits){.maybe = UINT64_MAX, .why = UNKNOWN_LOCAL_BUFFER});
        else
            add_element(&builder, value.elements[i]);
    }
    return finish(arena, &builder);
}

/* ---- Comparisons ---- */

static bool holds(enum condition_code condition, uint64_t value, uint64_t constant, unsigned size) {
    uint64_t a = value & width_mask(size), b = constant & width_mask(size);
    int64_t x = (int64_t)sign_extend(a, size), y = (int64_t)sign_extend(b, size);
    switch (condition) {
    case CONDITION_OTHER: return true;
    case CONDITION_EQUAL: return a == b;
    case CONDITION_NOT_EQUAL: return a != b;
    case CONDITION_BELOW: return a < b;
    case CONDITION_BELOW_EQUAL: return a <= b;
    case CONDITION_ABOVE: return a > b;
    case CONDITION_ABOVE_EQUAL: return a >= b;
    case CONDITION_LESS: return x < y;
    case CONDITION_LESS_EQUAL: return x <= y;
    case CONDITION_GREATER: return x > y;
    case CONDITION_GREATER_EQUAL: return x >= y;
    }
    return true;
}

/* Nothing has the address 0, and no small number is an address. */
static bool may_hold(struct element element, enum condition_code condition, uint64_t constant, unsigned size) {
    if (element.kind == ELEMENT_INTEGER || (element.kind == ELEMENT_LOW && size <= 4))
        return holds(condition, (uint64_t)element.value, constant, size);
    bool pointer = element.kind == ELEMENT_ADDRESS || element.kind == ELEMENT_STACK;
    return !pointer || size != 8 || constant != 0 || condition != CONDITION_EQUAL;
}

/* A number whose low bytes are known. */
static void add_low(struct builder *builder, struct bits bits, uint64_t value, unsigned size) {
    uint64_t mask = width_mask(size);
    if ((value & ~bits.maybe) != 0 || (bits.must & mask & ~value) != 0)
        return;
    if (size == 4 && bits.extended) {
        bits.maybe = bits.must = sign_extend(value, 4);
        add_bits(builder, bits);
        return;
    }
    if (size == 4 && (bits.maybe & ~mask) != 0 && bits.entry_count == 0) {
        add_element(builder, (struct element){ELEMENT_LOW, (int64_t)value});
        return;
    }
    bits.maybe = (bits.maybe & ~mask) | value;
    bits.must = (bits.must & ~mask) | value;
    add_bits(builder, bits);
}

/* An unknown part that is no greater than the constant: each number, where there are few. */
static void add_below(struct builder *builder, struct bits bits, uint64_t highest, unsigned size) {
    uint64_t mask = width_mask(size), low = highest == 0 ? 0 : UINT64_MAX >> __builtin_clzll(highest);
    if (highest >= RULE_MAX_VALUES || bits.entry_count > 0) {
        bits.maybe &= ~mask | low;
        bits.must &= ~mask | low;
        add_bits(builder, bits);
        return;
    }
    for (uint64_t value = 0; value <= highest; value++)
        add_low(builder, bits, value, size);
}

static void add_where(struct builder *builder, struct bits bits, enum condition_code condition, uint64_t constant,
                      unsigned size) {
    constant &= width_mask(size);
    switch (condition) {
    case CONDITION_EQUAL: add_low(builder, bits, constant, size); return;
    case CONDITION_BELOW:
        if (constant > 0)
            add_below(builder, bits, constant - 1, size);
        return;
    case CONDITION_BELOW_EQUAL: add_below(builder, bits, constant, size); return;
    default: add_unknown(builder, bits);
    }
}

struct abstract value_where(struct arena *arena, struct abstract value, enum condition_code condition,
                            uint64_t constant, unsigned size) {
    struct builder builder = {.count = 0, .derived = value.derived};
    for (unsigned i = 0; i < value.count; i++) {
        if (may_hold(value.elements[i], condition, constant, size))
            add_element(&builder, value.elements[i]);
    }
    if (value.unknown != UNKNOWN_NOTHING)
        add_where(&builder, bits_of_unknown(value), condition, constant, size);
    return finish(arena, &builder);
}

struct abstract value_where_bits(struct arena *arena, struct abstract value, uint64_t bits, bool clear, unsigned size) {
    struct builder builder = {.count = 0, .derived = value.derived};
    bits &= width_mask(size);
    for (unsigned i = 0; i < value.count; i++) {
        struct element element = value.elements[i];
        bool known = element.kind == ELEMENT_INTEGER || (element.kind == ELEMENT_LOW && bits <= UINT32_MAX);
        bool fits = !known || (((uint64_t)element.value & bits) == 0) == clear;
        if (element.kind == ELEMENT_ADDRESS || element.kind == ELEMENT_STACK)
            fits = !clear || bits != UINT64_MAX;
        if (fits)
            add_element(&builder, element);
    }
    struct bits unknown = bits_of_unknown(value);
    if (clear)
        unknown.maybe &= ~bits;
    else if ((bits & (bits - 1)) == 0)
        unknown.must |= bits & unknown.maybe;
    bool impossible = clear ? (unknown.must & bits) != 0 : (unknown.maybe & bits) == 0;
    if (value.unknown != UNKNOWN_NOTHING && !impossible)
        add_bits(&builder, unknown);
    return finish(arena, &builder);
}
