/* What happens to a value on its way to the call: it is handed on to other functions, stored and read again, changed.
 * A step that is not provable may still turn out known; what must never happen is that a value is missing.
 */
#include <stdlib.h>

#include "runtime/util.h"
#include "tests/oracle/program.h"

#define NOINLINE "static __attribute__((noinline))"

/* ---- Handing on to functions ---- */

/* Another function that calls `function` with a constant of its own, in every run. */
static void add_caller(struct program *program, const char *function, const char *before, const char *behind) {
    struct item item = pool_item(program);
    set_add(&program->set, &item);
    const char *caller = new_name(program, "caller");
    cleanup_free char *head = xasprintf("__attribute__((noinline)) void %s(void)", caller);
    whole_function(program, head, "%s(%s%s%s);%s", function, before, literal(program, &item), behind,
                   one_in(program, 2) ? " effect++;" : "");
    add_entry(program, caller);
}

static void add_callers(struct program *program, const char *function, const char *before, const char *behind) {
    for (unsigned i = chance(program, 3); i > 0; i--)
        add_caller(program, function, before, behind);
}

/* Ends the current function with a call and goes on in the called one, whose parameter `incoming` is the value. */
static void enter(struct program *program, const char *storage, const char *function, const char *before_type,
                  const char *behind_type) {
    const char *incoming = new_name(program, "incoming");
    end_function(program);
    begin_function(program, "%s void %s(%s%s %s%s)", storage, function, before_type, type_name(program), incoming,
                   behind_type);
    value_is_in(program, incoming);
    if (++program->callers > 3)
        not_provable(program);
}

static void wrapper(struct program *program) {
    const char *function = new_name(program, "wrapper");
    put(program, "%s(%s);", function, program->value);
    if (one_in(program, 3))
        put(program, "effect++;");
    add_callers(program, function, "", "");
    enter(program, one_in(program, 4) ? "static" : NOINLINE, function, "", "");
}

static void wrapper_with_others(struct program *program) {
    const char *function = new_name(program, "wrapper");
    put(program, "%s(effect, 5, %s, \"text\");", function, program->value);
    add_callers(program, function, "1, 2, ", ", \"other\"");
    enter(program, NOINLINE, function, "int first, long second, ", ", const char *last");
    if (one_in(program, 2))
        put(program, "effect += first + second + last[0];");
}

/* The seventh parameter stands on the stack. */
static void stack_parameter(struct program *program) {
    const char *function = new_name(program, "wrapper");
    put(program, "%s(1, 2, 3, 4, 5, effect, %s, 8);", function, program->value);
    add_callers(program, function, "9, 8, 7, 6, 5, 4, ", ", 2");
    enter(program, NOINLINE, function, "int a, int b, int c, int d, int e, int f, ", ", int h");
    put(program, "effect += a + b + c + d + e + f + h;");
    not_provable(program);
}

static void exported_wrapper(struct program *program) {
    const char *function = new_name(program, "exported");
    put(program, "%s(%s);", function, program->value);
    add_callers(program, function, "", "");
    enter(program, "__attribute__((noinline))", function, "", "");
    not_provable(program);
}

static void pointer_to_wrapper(struct program *program) {
    const char *function = new_name(program, "pointed"), *pointer = new_name(program, "pointer");
    declare(program, "static void %s(%s);", function, type_name(program));
    declare(program, "static void (*%s %s)(%s) = %s;", one_in(program, 2) ? "volatile" : "", pointer,
            type_name(program), function);
    put(program, "%s(%s);", pointer, program->value);
    add_callers(program, pointer, "", "");
    enter(program, NOINLINE, function, "", "");
    not_provable(program);
}

/* A function that calls itself, the value unchanged or changed once on the way. */
static void recursion(struct program *program) {
    const char *function = new_name(program, "recursion");
    struct item item = pool_item(program);
    bool changes = one_in(program, 2);
    put(program, "%s(rand() %% 4, %s);", function, program->value);
    enter(program, NOINLINE, function, "int depth, ", "");
    put(program, "effect++;");
    if (changes)
        set_add(&program->set, &item);
    put(program, "if (depth > 0) %s(depth - 1, %s);", function, changes ? literal(program, &item) : program->value);
    if (one_in(program, 2))
        put(program, "if (depth > 0) return;");
}

static void variadic(struct program *program) {
    const char *function = new_name(program, "variadic");
    put(program, "%s(2, 77, %s);", function, program->value);
    end_function(program);
    begin_function(program, NOINLINE " void %s(int count, ...)", function);
    put(program, "va_list list;");
    put(program, "va_start(list, count);");
    put(program, "effect += va_arg(list, int);");
    put_value(program, "va_arg(list, %s)", type_name(program));
    put(program, "va_end(list);");
    not_provable(program);
}

/* ---- Structures ---- */

static void structure_by_pointer(struct program *program) {
    const char *type = new_name(program, "record"), *function = new_name(program, "taker"),
               *local = new_name(program, "local");
    declare(program, "struct %s { long first; %s value; char rest[%u]; };", type, type_name(program),
            1 + chance(program, 40));
    put(program, "struct %s %s = {1, %s, {0}};", type, local, program->value);
    put(program, "%s(&%s);", function, local);
    end_function(program);
    begin_function(program, NOINLINE " void %s(struct %s *record)", function, type);
    if (one_in(program, 2)) {
        struct item item = pool_item(program);
        set_add(&program->set, &item);
        put(program, "if (rand() %% 3 == 0) record->value = %s;", literal(program, &item));
    }
    put_value(program, "record->value");
    not_provable(program);
}

static void structure_by_value(struct program *program) {
    const char *type = new_name(program, "record"), *function = new_name(program, "taker");
    bool small = one_in(program, 2);
    declare(program, "struct %s { %s value; int second; char rest[%u]; };", type, type_name(program), small ? 1 : 60);
    put(program, "struct %s local = {%s, 1, {0}};", type, program->value);
    put(program, "%s(local);", function);
    end_function(program);
    begin_function(program, NOINLINE " void %s(struct %s record)", function, type);
    put(program, "effect += record.second;");
    put_value(program, "record.value");
    not_provable(program);
}

static void structure_returned(struct program *program) {
    const char *type = new_name(program, "record"), *function = new_name(program, "maker");
    struct item item = pool_item(program);
    declare(program, "struct %s { %s value; int second; char rest[%u]; };", type, type_name(program),
            one_in(program, 2) ? 1 : 60);
    cleanup_free char *head =
        xasprintf(NOINLINE " struct %s %s(int which, %s value)", type, function, type_name(program));
    whole_function(program, head,
                   "struct %s made = {value, which, {0}};\n    if (which == 2) made.value = %s;\n    return made;",
                   type, literal(program, &item));
    set_add(&program->set, &item);
    put_value(program, "%s(rand() %% 3, %s).value", function, program->value);
    not_provable(program);
}

/* A field that a pointer to the structure's start reaches by its offset. */
static void field_by_offset(struct program *program) {
    const char *type = new_name(program, "record"), *name = new_name(program, "kept"),
               *function = new_name(program, "write");
    struct item item = pool_item(program);
    declare(program, "static struct %s { long first; %s value; } %s = {1, 0};", type, type_name(program), name);
    cleanup_free char *head = xasprintf(NOINLINE " void %s(char *start, long offset)", function);
    whole_function(program, head, "*(%s *)(start + offset) = %s; HIDE(start);", type_name(program),
                   literal(program, &item));
    put(program, "%s.value = %s;", name, program->value);
    put(program, "if (rand() & 1) %s((char *)&%s, %s);", function, name, one_in(program, 2) ? "8 + (rand() & 0)" : "8");
    set_add(&program->set, &item);
    put_value(program, "%s.value", name);
    not_provable(program);
}

/* ---- Memory ---- */

static void out_parameter(struct program *program) {
    const char *function = new_name(program, "fill");
    struct item item = pool_item(program);
    cleanup_free char *head = xasprintf(NOINLINE " void %s(%s*place)", function, type_name(program));
    whole_function(program, head, "if (rand() & 1) *place = %s;", literal(program, &item));
    const char *name = put_value(program, "%s", program->value);
    put(program, "%s(&%s);", function, name);
    set_add(&program->set, &item);
    not_provable(program);
}

static void copied_by_call(struct program *program) {
    const char *from = put_value(program, "%s", program->value), *copy = new_name(program, "copy");
    struct item item = pool_item(program);
    put(program, "%s %s = %s;", type_name(program), copy, literal(program, &item));
    put(program, "memcpy(&%s, &%s, sizeof %s);", copy, from, copy);
    value_is_in(program, copy);
    not_provable(program);
}

static void store_through_pointer(struct program *program) {
    const char *one = put_value(program, "%s", program->value), *other = new_name(program, "other"),
               *place = new_name(program, "place");
    struct item item = pool_item(program), stored = pool_item(program);
    put(program, "%s %s = %s;", type_name(program), other, literal(program, &item));
    put(program, "%s *%s = rand() & 1 ? &%s : &%s;", type_name(program), place, one, other);
    put(program, "HIDE(%s);", place);
    put(program, "*%s = %s;", place, literal(program, &stored));
    put(program, "effect += !%s;", other);
    set_add(&program->set, &stored);
    value_is_in(program, one);
    not_provable(program);
}

/* Neighbours in an array on the stack, written with an index that is not known. */
static void array_element(struct program *program) {
    const char *array = new_name(program, "array"), *index = new_name(program, "index");
    struct item item = pool_item(program);
    unsigned kept = chance(program, 4);
    put(program, "%s %s[4] = {%s, %s, %s, %s};", type_name(program), array, program->value, program->value,
        program->value, program->value);
    put(program, "unsigned %s = rand() & 3;", index);
    put(program, "%s[%s] = %s;", array, index, literal(program, &item));
    set_add(&program->set, &item);
    put_value(program, "%s[%u]", array, kept);
    not_provable(program);
}

/* Mostly stores the value, so that what stands there already counts as well. What will be gone is always replaced. */
static void store_mostly(struct program *program, const char *variable, const struct item *initial) {
    put(program, program->short_lived ? "%s = %s;" : "if (rand() & 1) %s = %s;", variable, program->value);
    if (!program->short_lived)
        set_add(&program->set, initial);
}

static void through_global(struct program *program) {
    const char *name = new_name(program, "global"), *function = new_name(program, "reader");
    bool known = one_in(program, 2);
    struct item initial = pool_item(program);
    declare(program, "static %s %s = %s;", type_name(program), name, literal(program, &initial));
    store_mostly(program, name, &initial);
    if (!known) {
        const char *writer = new_name(program, "writer");
        struct item item = pool_item(program);
        cleanup_free char *head = xasprintf(NOINLINE " void %s(%s*place)", writer, type_name(program));
        whole_function(program, head, "*place = %s;", literal(program, &item));
        put(program, "if (rand() %% 3 == 0) %s(&%s);", writer, name);
        set_add(&program->set, &item);
        not_provable(program);
    }
    put(program, "%s();", function);
    end_function(program);
    begin_function(program, NOINLINE " void %s(void)", function);
    put(program, "effect++;");
    put_value(program, "%s", name);
}

static void exported_global(struct program *program) {
    const char *name = new_name(program, "variable");
    struct item initial = pool_item(program);
    declare(program, "%s %s = %s;", type_name(program), name, literal(program, &initial));
    store_mostly(program, name, &initial);
    put_value(program, "%s", name);
    not_provable(program);
}

static void partly_overwritten(struct program *program) {
    const char *name = put_value(program, "%s", program->value);
    put(program, "HIDE_MEMORY(%s);", name);
    put(program, "((unsigned char *)&%s)[0] |= 1;", name);
    struct set changed = {.open = program->set.open};
    for (unsigned i = 0; i < program->set.count; i++) {
        struct item item = {.integer = program->set.items[i].integer | 1};
        set_add(&changed, &item);
    }
    program->set = changed;
    not_provable(program);
}

/* ---- Control ---- */

static void override(struct program *program) {
    struct item item = pool_item(program);
    const char *name = put_value(program, "%s", program->value);
    put(program, "if (rand() %% 5 == 0) %s = %s;", name, literal(program, &item));
    set_add(&program->set, &item);
}

static void in_loop(struct program *program) {
    struct item item = pool_item(program);
    const char *name = put_value(program, "%s", program->value), *counter = new_name(program, "counter");
    bool changes = one_in(program, 2);
    if (changes) {
        open_block(program, "for (int %s = 0; %s < 3; %s = rand() %% 4, %s++, %s = %s)", counter, counter, counter,
                   counter, name, literal(program, &item));
        set_add(&program->set, &item);
    } else {
        open_block(program, "for (int %s = rand() & 3; %s < 3; %s++)", counter, counter, counter);
    }
}

static void cold_path(struct program *program) {
    struct item item = pool_item(program);
    const char *name = put_value(program, "%s", program->value);
    put(program, "if (__builtin_expect(rand() %% 11 == 0, 0)) { seldom(%u); %s = %s; }", program->number, name,
        literal(program, &item));
    set_add(&program->set, &item);
}

/* What is set before a function that does not return never gets to the call. */
static void leaving_path(struct program *program) {
    struct item item = pool_item(program);
    const char *name = put_value(program, "%s", program->value);
    if (program->in_callback)
        return;
    put(program, "if (rand() %% 5 == 0) { %s = %s; HIDE(%s); leave(); }", name, literal(program, &item), name);
}

static void called_between(struct program *program) {
    put(program, "effect += getppid() + seldom(2);");
}

static void jumps_back(struct program *program) {
    struct item item = pool_item(program);
    const char *type = type_name(program), *name = new_name(program, "kept"), *place = new_name(program, "place");
    put(program, "jmp_buf %s;", place);
    put(program, is_text(program) ? "%svolatile %s = %s;" : "volatile %s %s = %s;", type, name, program->value);
    put(program, "if (setjmp(%s) == 0) { %s = %s; if (rand() & 1) jump(%s); %s = %s; }", place, name,
        literal(program, &item), place, name, program->value);
    set_add(&program->set, &item);
    put_value(program, "%s", name);
    not_provable(program);
}

static void child_writes(struct program *program) {
    struct item item = pool_item(program);
    const char *type = type_name(program), *name = new_name(program, "kept");
    put(program, is_text(program) ? "%svolatile %s = %s;" : "volatile %s %s = %s;", type, name, program->value);
    put(program, "if (rand() %% 16 == 0 && vfork() == 0) { %s = %s; _exit(0); }", name, literal(program, &item));
    set_add(&program->set, &item);
    put_value(program, "%s", name);
    not_provable(program);
}

/* ---- Arithmetic ---- */

static int32_t add_to(int32_t item, int32_t operand) {
    return (int32_t)((uint32_t)item + (uint32_t)operand);
}

static int32_t or_with(int32_t item, int32_t operand) {
    return item | operand;
}

static int32_t and_with(int32_t item, int32_t operand) {
    return item & operand;
}

static int32_t xor_with(int32_t item, int32_t operand) {
    return item ^ operand;
}

static int32_t shift_left(int32_t item, int32_t operand) {
    return (int32_t)((uint32_t)item << operand);
}

static int32_t shift_right(int32_t item, int32_t operand) {
    return (int32_t)((uint32_t)item >> operand);
}

static int32_t shift_arithmetic(int32_t item, int32_t operand) {
    return item >> operand;
}

static int32_t multiply(int32_t item, int32_t operand) {
    return (int32_t)((uint32_t)item * (uint32_t)operand);
}

static int32_t negate(int32_t item, int32_t operand) {
    return (int32_t)((uint32_t)operand - (uint32_t)item);
}

static int32_t rotate(int32_t item, int32_t operand) {
    return (int32_t)((uint32_t)item << operand | (uint32_t)item >> (32 - operand));
}

static void arithmetic(struct program *program) {
    static const struct {
        int32_t (*function)(int32_t item, int32_t operand);
        const char *format;
        int32_t least, most;
        bool provable;
    } operations[] = {
        {add_to, "(int)((unsigned)%s + %du)", 1, 2000, true},
        {or_with, "%s | %d", 1, 0x8000, true},
        {and_with, "%s & %d", 1, 0x1ffff, true},
        {xor_with, "%s ^ %d", 1, 0xff, true},
        {shift_left, "(int)((unsigned)%s << %d)", 1, 9, true},
        {shift_right, "(int)((unsigned)%s >> %d)", 1, 9, true},
        {shift_arithmetic, "%s >> %d", 1, 9, true},
        {multiply, "(int)((unsigned)%s * %du)", 2, 12, true},
        {rotate, "ROTATE(%s, %d)", 1, 15, false},
    };
    unsigned number = chance(program, sizeof operations / sizeof operations[0]);
    int32_t operand = operations[number].least +
                      (int32_t)chance(program, (unsigned)(operations[number].most - operations[number].least + 1));
    cleanup_free char *value = xstrdup(program->value);
    /* The formats differ in nothing but the operator. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    put_value(program, operations[number].format, value, operand);
#pragma GCC diagnostic pop
    set_map(program, operations[number].function, operand);
    if (!operations[number].provable)
        not_provable(program);
}

static void difference(struct program *program) {
    int32_t from = (int32_t)chance(program, 100);
    put_value(program, "(int)(%du - (unsigned)%s)", from, program->value);
    set_map(program, negate, from);
}

static int32_t to_signed_byte(int32_t item, int32_t operand) {
    (void)operand;
    return (int8_t)item;
}

static int32_t to_byte(int32_t item, int32_t operand) {
    (void)operand;
    return (uint8_t)item;
}

static int32_t to_short(int32_t item, int32_t operand) {
    (void)operand;
    return (int16_t)item;
}

static int32_t to_unsigned_short(int32_t item, int32_t operand) {
    (void)operand;
    return (uint16_t)item;
}

static int32_t to_field(int32_t item, int32_t operand) {
    return (int32_t)((uint32_t)item & ((1u << operand) - 1));
}

static void narrow(struct program *program) {
    static const struct {
        int32_t (*function)(int32_t item, int32_t operand);
        const char *type;
    } types[] = {
        {to_signed_byte, "signed char"},
        {to_byte, "unsigned char"},
        {to_short, "short"},
        {to_unsigned_short, "unsigned short"},
    };
    unsigned number = chance(program, 4);
    if (one_in(program, 3)) {
        const char *small = new_name(program, "small");
        put(program, "%s %s = (%s)%s;", types[number].type, small, types[number].type, program->value);
        put(program, "HIDE_MEMORY(%s);", small);
        put_value(program, "%s", small);
        not_provable(program);
    } else {
        put_value(program, "(%s)%s", types[number].type, program->value);
    }
    set_map(program, types[number].function, 0);
}

static void bit_field(struct program *program) {
    const char *type = new_name(program, "fields"), *name = new_name(program, "field");
    int32_t width = 3 + (int32_t)chance(program, 20);
    declare(program, "struct %s { unsigned first : 5; unsigned value : %d; unsigned last : 4; };", type, width);
    put(program, "struct %s %s = {3, (unsigned)%s, 1};", type, name, program->value);
    put(program, "HIDE_MEMORY(%s);", name);
    put_value(program, "(int)%s.value", name);
    set_map(program, to_field, width);
    not_provable(program);
}

static void wide(struct program *program) {
    const char *name = new_name(program, "wide");
    put(program, "long %s = %s;", name, program->value);
    if (one_in(program, 2))
        put(program, "%s += 0x%x00000000L;", name, 1 + chance(program, 100));
    put_value(program, "(int)%s", name);
}

const struct part steps[] = {
    {"wrapper", wrapper, true, true},
    {"wrapper with others", wrapper_with_others, true, true},
    {"stack parameter", stack_parameter, true, true},
    {"exported wrapper", exported_wrapper, true, true},
    {"function pointer", pointer_to_wrapper, true, true},
    {"recursion", recursion, true, true},
    {"variadic", variadic, true, true},
    {"structure by pointer", structure_by_pointer, true, true},
    {"structure by value", structure_by_value, true, true},
    {"structure returned", structure_returned, true, true},
    {"field by offset", field_by_offset, true, true},
    {"out parameter", out_parameter, true, true},
    {"copy", copied_by_call, true, true},
    {"store through pointer", store_through_pointer, true, true},
    {"array element", array_element, true, true},
    {"global", through_global, true, true},
    {"exported global", exported_global, true, true},
    {"partly overwritten", partly_overwritten, true, false},
    {"override", override, true, true},
    {"loop", in_loop, true, true},
    {"cold path", cold_path, true, true},
    {"leaving path", leaving_path, true, true},
    {"call between", called_between, true, true},
    {"setjmp", jumps_back, true, true},
    {"vfork", child_writes, true, true},
    {"arithmetic", arithmetic, true, false},
    {"difference", difference, true, false},
    {"narrow", narrow, true, false},
    {"bit field", bit_field, true, false},
    {"wide", wide, true, false},
    {0},
};
