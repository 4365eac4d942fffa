/* Where values come from. Each writes code into the current function that leaves a value in a variable of its own. */
#include "runtime/util.h"
#include "tests/oracle/program.h"

/* Fills the set with `count` values of the pool, each of which stands in `items` too. */
static unsigned draw(struct program *program, struct item *items, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        items[i] = pool_item(program);
        set_add(&program->set, &items[i]);
    }
    return count;
}

static void constant(struct program *program) {
    struct item item;
    draw(program, &item, 1);
    put_value(program, "%s", literal(program, &item));
}

static void ternary(struct program *program) {
    struct item items[2];
    draw(program, items, 2);
    put_value(program, "rand() %% 3 == 0 ? %s : %s", literal(program, &items[0]), literal(program, &items[1]));
}

static void conditions(struct program *program) {
    struct item items[4];
    unsigned count = draw(program, items, 2 + chance(program, 3));
    put(program, "int choice = rand() %% %u;", count);
    const char *name = put_value(program, "%s", literal(program, &items[0]));
    for (unsigned i = 1; i < count; i++)
        put(program, "if (choice == %u) %s = %s;", i, name, literal(program, &items[i]));
}

/* Something happens in every case, so that compilers make a jump table and not a table of values. */
static void dense_switch(struct program *program) {
    struct item items[12];
    unsigned count = draw(program, items, 5 + chance(program, 7));
    bool effects = !one_in(program, 3);
    const char *name = put_value(program, "%s", literal(program, &items[0]));
    put(program, "switch (rand() %% %u) {", count + chance(program, 3));
    for (unsigned i = 1; i < count; i++)
        put(program, "case %u: %s = %s; %s break;", i, name, literal(program, &items[i]),
            !effects             ? ""
            : one_in(program, 2) ? "effect++;"
                                 : "effect = effect * 3;");
    put(program, "default: break;");
    put(program, "}");
}

static void sparse_switch(struct program *program) {
    struct item items[5];
    unsigned count = draw(program, items, 3 + chance(program, 3));
    const char *name = put_value(program, "%s", literal(program, &items[0]));
    put(program, "switch (rand() %% %u * 1009) {", count);
    for (unsigned i = 1; i < count; i++)
        put(program, "case %u: %s = %s; effect++; break;", i * 1009, name, literal(program, &items[i]));
    put(program, "}");
}

/* A table of so many values of the pool at file scope. */
static const char *declare_table(struct program *program, bool constant_table, unsigned count) {
    const char *table = new_name(program, "table");
    struct item items[16];
    draw(program, items, count);
    declare(program, "static %s%s %s[%u] = {", type_name(program), constant_table ? " const" : "", table, count);
    for (unsigned i = 0; i < count; i++)
        declare(program, "    %s,", literal(program, &items[i]));
    declare(program, "};");
    return table;
}

static void table_by_mask(struct program *program) {
    unsigned bits = 1 + chance(program, 4);
    const char *table = declare_table(program, true, 1u << bits);
    put_value(program, "%s[rand() & %u]", table, (1u << bits) - 1);
}

static void table_by_bound(struct program *program) {
    unsigned count = 2 + chance(program, 14);
    const char *table = declare_table(program, true, count);
    if (one_in(program, 2)) {
        put(program, "unsigned index = (unsigned)rand() %% %u;", count + 2);
        put(program, "if (index >= %u) return;", count);
    } else {
        put(program, "unsigned index = (unsigned)rand() %% %u;", count);
    }
    put_value(program, "%s[index]", table);
}

static void writable_table(struct program *program) {
    unsigned count = 2 + chance(program, 14);
    const char *table = declare_table(program, false, count);
    struct item item = pool_item(program);
    set_add(&program->set, &item);
    put(program, "if (rand() %% 9 == 0) %s[rand() %% %u] = %s;", table, count, literal(program, &item));
    put_value(program, "%s[rand() %% %u]", table, count);
    not_provable(program);
}

static void flags(struct program *program) {
    unsigned bits = 1 + chance(program, 4), base = chance(program, 2);
    int32_t chosen[4];
    for (unsigned i = 0; i < bits; i++)
        chosen[i] = 1 << (6 + 3 * i + chance(program, 3));
    for (unsigned subset = 0; subset < 1u << bits; subset++) {
        struct item item = {.integer = (int32_t)base};
        for (unsigned i = 0; i < bits; i++)
            item.integer |= (subset >> i & 1) != 0 ? chosen[i] : 0;
        set_add(&program->set, &item);
    }
    const char *name = put_value(program, "%u", base);
    for (unsigned i = 0; i < bits; i++)
        put(program, "if (rand() & %u) %s |= %d;", 1u << i, name, chosen[i]);
}

static void masked(struct program *program) {
    int32_t mask = (int32_t)(1u << chance(program, 8) | 1u << (8 + chance(program, 4)) | chance(program, 4));
    for (int32_t subset = mask;; subset = (subset - 1) & mask) {
        struct item item = {.integer = subset};
        set_add(&program->set, &item);
        if (subset == 0)
            break;
    }
    put_value(program, "rand() & %d", mask);
}

static void boolean(struct program *program) {
    int32_t base = (int32_t)chance(program, 20), step = (int32_t)chance(program, 9);
    struct item items[2] = {{.integer = base}, {.integer = base + step}};
    set_add(&program->set, &items[0]);
    set_add(&program->set, &items[1]);
    put_value(program, one_in(program, 2) ? "%d + (rand() %% 5 == 1) * %d" : "%d + (-(rand() %% 7 > 2) & %d)", base,
              step);
}

static void input(struct program *program) {
    set_open(program);
    put_value(program, "rand()");
}

static void labels(struct program *program) {
    struct item items[4];
    draw(program, items, 4);
    const char *name = put_value(program, "%s", literal(program, &items[0]));
    unsigned number = program->names;
    put(program, "static void *const labels_%u[] = {&&first_%u, &&second_%u, &&third_%u, &&done_%u};", number, number,
        number, number, number);
    put(program, "goto *labels_%u[rand() & 3];", number);
    put(program, "first_%u: %s = %s; effect++; goto *labels_%u[1 + (rand() & 1)];", number, name,
        literal(program, &items[1]), number);
    put(program, "second_%u: %s = %s; goto done_%u;", number, name, literal(program, &items[2]), number);
    put(program, "third_%u: %s = %s; effect += 2;", number, name, literal(program, &items[3]));
    put(program, "done_%u:;", number);
    /* From the first label one always goes on. */
    struct set reached = {0};
    set_add(&reached, &items[0]);
    set_add(&reached, &items[2]);
    set_add(&reached, &items[3]);
    program->set = reached;
}

/* What a static function returns, chosen there. */
static void returned(struct program *program) {
    struct item items[6];
    unsigned count = draw(program, items, 2 + chance(program, 5));
    const char *function = new_name(program, "chosen");
    declare(program, "static __attribute__((noinline)) %s %s(int which);", type_name(program), function);
    fprintf(program->functions, "static __attribute__((noinline)) %s %s(int which) {\n", type_name(program), function);
    for (unsigned i = 1; i < count; i++)
        fprintf(program->functions, "    if (which == %u) { effect++; return %s; }\n", i, literal(program, &items[i]));
    fprintf(program->functions, "    return %s;\n}\n\n", literal(program, &items[0]));
    put_value(program, "%s(rand() %% %u)", function, count);
}

/* A static variable that is only ever set to constants. */
static void global(struct program *program) {
    struct item items[4];
    unsigned count = draw(program, items, 2 + chance(program, 3));
    const char *name = new_name(program, "global");
    declare(program, "static %s %s = %s;", type_name(program), name, literal(program, &items[0]));
    for (unsigned i = 1; i < count; i++) {
        const char *setter = new_name(program, "set");
        cleanup_free char *head = xasprintf("static __attribute__((noinline)) void %s(void)", setter);
        whole_function(program, head, "%s = %s;", name, literal(program, &items[i]));
        put(program, "if (rand() %% 4 == %u) %s();", i, setter);
    }
    put_value(program, "%s", name);
}

const struct part sources[] = {
    {"constant", constant, true, true},
    {"ternary", ternary, true, true},
    {"conditions", conditions, true, true},
    {"dense switch", dense_switch, true, true},
    {"sparse switch", sparse_switch, true, true},
    {"table by mask", table_by_mask, true, true},
    {"table by bound", table_by_bound, true, true},
    {"writable table", writable_table, true, true},
    {"flags", flags, true, false},
    {"mask", masked, true, false},
    {"boolean", boolean, true, false},
    {"input", input, true, false},
    {"labels", labels, true, true},
    {"return", returned, true, true},
    {"global", global, true, true},
    {0},
};
