/* Texts that are put together in buffers, and steps in which more than one function of the program takes part: callbacks,
 * exceptions, constructors.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"
#include "tests/oracle/program.h"

#define NOINLINE "static __attribute__((noinline))"

/* ---- Sets of texts ---- */

/* Every item becomes before + item + behind, no longer than a buffer of `size` bytes holds. */
static void wrap_items(struct program *program, const char *before, const char *behind, unsigned size) {
    struct set wrapped = {.open = program->set.open};
    for (unsigned i = 0; i < program->set.count; i++) {
        struct item item = {0};
        cleanup_free char *text = xasprintf("%s%s%s", before, program->set.items[i].text, behind);
        if (strlen(text) >= sizeof item.text) /* the item would not hold what the program passes */
            wrapped.open = true;
        snprintf(item.text, size < sizeof item.text ? size : sizeof item.text, "%s", text);
        set_add(&wrapped, &item);
    }
    program->set = wrapped;
}

/* A buffer of the current function, rarely a static one. */
static const char *put_buffer(struct program *program, unsigned size) {
    const char *buffer = new_name(program, "buffer");
    bool fixed = one_in(program, 6);
    put(program, "%schar %s[%u];", fixed ? "static " : "", buffer, size);
    program->short_lived = !fixed;
    return buffer;
}

/* ---- Making texts ---- */

static void number_template(struct program *program) {
    static const struct {
        const char *before, *conversion, *behind;
        bool provable;
    } templates[] = {
        {"/dev/tty", "%d", "", true},  {"/proc/", "%d", "/stat", true}, {"/var/run/x-", "%d", ".pid", true},
        {"", "%d", ".core", false},    {"/tmp/", "%x", "", false},      {"/tmp/n", "%03d", "", false},
        {"/tmp/p", "%5d", "q", false}, {"/tmp/", "%u", "-%%", false},
    };
    unsigned number = chance(program, sizeof templates / sizeof templates[0]);
    int least = -(int)chance(program, 8), count = 2 + (int)chance(program, 20);
    const char *buffer = put_buffer(program, 40);
    put(program, "snprintf(%s, sizeof %s, \"%s%s%s\", (int)(%d + (unsigned)rand() %% %d));", buffer, buffer,
        templates[number].before, templates[number].conversion, templates[number].behind, least, count);
    for (int i = least; i < least + count; i++) {
        struct item item = {0};
        char digits[16];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(digits, sizeof digits, templates[number].conversion, i);
#pragma GCC diagnostic pop
        snprintf(item.text, sizeof item.text, "%s%s%s", templates[number].before, digits,
                 strcmp(templates[number].behind, "-%%") == 0 ? "-%" : templates[number].behind);
        set_add(&program->set, &item);
    }
    if (!templates[number].provable)
        not_provable(program);
    value_is_in(program, buffer);
}

static void text_template(struct program *program) {
    static const struct {
        const char *before, *behind;
    } templates[] = {{"/run/", ".pid"}, {"/var/lib/", ""}, {"/srv/x-", "/y"}, {"", ".conf"}, {"", ""}};
    unsigned number = chance(program, sizeof templates / sizeof templates[0]);
    bool truncates = one_in(program, 3);
    unsigned size = truncates ? 6 + chance(program, 16) : 64;
    const char *buffer = put_buffer(program, size);
    put(program, "snprintf(%s, sizeof %s, \"%s%%s%s\", %s);", buffer, buffer, templates[number].before,
        templates[number].behind, program->value);
    wrap_items(program, templates[number].before, templates[number].behind, size);
    if (templates[number].before[0] == '\0' || truncates)
        not_provable(program);
    value_is_in(program, buffer);
}

static void copied_text(struct program *program) {
    const char *buffer = put_buffer(program, 96);
    put(program, one_in(program, 2) ? "strcpy(%s, %s);" : "strncpy(%s, %s, 95);", buffer, program->value);
    put(program, "%s[95] = 0;", buffer);
    not_provable(program);
    value_is_in(program, buffer);
}

static void joined_text(struct program *program) {
    const char *buffer = put_buffer(program, 96);
    bool ends = one_in(program, 2);
    put(program, "strcpy(%s, \"/opt/\");", buffer);
    put(program, "strcat(%s, %s);", buffer, program->value);
    if (ends)
        put(program, "strcat(%s, \".so\");", buffer);
    wrap_items(program, "/opt/", ends ? ".so" : "", 96);
    not_provable(program);
    value_is_in(program, buffer);
}

/* One byte of a text in a buffer is changed, here or in another function. */
static void changed_text(struct program *program) {
    const char *buffer = put_buffer(program, 96), *function = new_name(program, "change");
    unsigned at = chance(program, 4);
    put(program, "snprintf(%s, sizeof %s, \"/lib/%%s\", %s);", buffer, buffer, program->value);
    switch (chance(program, 3)) {
    case 0: put(program, "%s[%u] = 'X';", buffer, at); break;
    case 1: put(program, "*(char *)memchr(%s, \"/lib\"[%u], 9) = 'X';", buffer, at); break;
    default: {
        cleanup_free char *head = xasprintf(NOINLINE " void %s(char *text)", function);
        whole_function(program, head, "text[%u] = 'X';", at);
        put(program, "%s(%s);", function, buffer);
    }
    }
    wrap_items(program, "/lib/", "", 96);
    for (unsigned i = 0; i < program->set.count; i++)
        program->set.items[i].text[at] = 'X';
    not_provable(program);
    value_is_in(program, buffer);
}

/* Two ways to fill one buffer. */
static void filled_either_way(struct program *program) {
    const char *buffer = put_buffer(program, 96);
    struct item item = pool_item(program);
    put(program, "if (rand() & 1) snprintf(%s, sizeof %s, \"/usr/%%s\", %s);", buffer, buffer, program->value);
    put(program, "else strcpy(%s, %s);", buffer, literal(program, &item));
    wrap_items(program, "/usr/", "", 96);
    set_add(&program->set, &item);
    value_is_in(program, buffer);
    not_provable(program);
}

/* ---- Callbacks ---- */

/* The value waits in a static variable until a handler of a signal reads it. */
static void signal_handler(struct program *program) {
    const char *kept = new_name(program, "kept"), *handler = new_name(program, "handler");
    declare(program, "static %s volatile %s;", type_name(program), kept);
    declare(program, "static void %s(int number);", handler);
    put(program, "%s = %s;", kept, program->value);
    put(program, "handle(%s);", handler);
    end_function(program);
    begin_function(program, "static void %s(int number)", handler);
    put(program, "effect += number;");
    put_value(program, "%s", kept);
    not_provable(program);
}

static void sorting(struct program *program) {
    const char *list = new_name(program, "list"), *compare = new_name(program, "compare");
    declare(program, "static int %s(const void *a, const void *b);", compare);
    put(program, "%s %s[3] = {%s, %s, %s};", type_name(program), list, program->value, program->value, program->value);
    put(program, "qsort(%s, 3, sizeof %s[0], %s);", list, list, compare);
    end_function(program);
    begin_function(program, "static int %s(const void *a, const void *b)", compare);
    put_value(program, "*(%s const *)(rand() & 1 ? a : b)", type_name(program));
    open_block(program, "for (int once = 0;; once++)");
    put(program, "if (once > 0) return 0;");
    program->in_callback = true;
    not_provable(program);
}

static void thread(struct program *program) {
    const char *start = new_name(program, "start"), *waiting = new_name(program, "waiting");
    declare(program, "static void *%s(void *argument);", start);
    put(program, "pthread_t %s;", waiting);
    put_value(program, "%s", program->value);
    put(program, "if (pthread_create(&%s, 0, %s, (void *)&%s) == 0) pthread_join(%s, 0);", waiting, start,
        program->value, waiting);
    end_function(program);
    begin_function(program, "static void *%s(void *argument)", start);
    put_value(program, "*(%s *)argument", type_name(program));
    open_block(program, "for (int once = 0;; once++)");
    put(program, "if (once > 0) return 0;");
    program->in_callback = true;
    not_provable(program);
}

/* A variable that a constructor sets before main begins. */
static void constructor(struct program *program) {
    const char *kept = new_name(program, "kept"), *function = new_name(program, "construct");
    struct item initial = pool_item(program), item = pool_item(program);
    declare(program, "static %s %s = %s;", type_name(program), kept, literal(program, &initial));
    cleanup_free char *head = xasprintf("static __attribute__((constructor)) void %s(void)", function);
    whole_function(program, head, "%s = %s;", kept, literal(program, &item));
    set_add(&program->set, &item);
    put_value(program, "rand() %% 3 == 0 ? %s : %s", kept, program->value);
}

/* ---- Exceptions: in C++ the value is set on the way from a call that throws to the handler ---- */

static void exception(struct program *program) {
    struct item thrown = pool_item(program), passed = pool_item(program);
    const char *name = put_value(program, "%s", program->value);
    put(program, "HIDE(%s);", name);
    fputs("#ifdef __cplusplus\n", program->body);
    put(program, "try { %s = rand() & 1 ? %s : %s; throws(rand() & 1); %s = %s; } catch (int) { effect++; }", name,
        name, literal(program, &thrown), name, literal(program, &passed));
    fputs("#else\n", program->body);
    put(program, "switch (rand() & 3) { case 0: break; case 1: %s = %s; break; default: %s = %s; }", name,
        literal(program, &thrown), name, literal(program, &passed));
    fputs("#endif\n", program->body);
    set_add(&program->set, &thrown);
    set_add(&program->set, &passed);
}

/* ---- Memory that is changed in unusual ways ---- */

static void atomics(struct program *program) {
    struct item item = pool_item(program);
    const char *name = put_value(program, "%s", program->value);
    static const char *const formats[] = {
        "if (rand() & 1) __atomic_exchange_n(&%s, (__typeof__(%s))%s, __ATOMIC_SEQ_CST);",
        "if (rand() & 1) __atomic_store_n(&%s, (__typeof__(%s))%s, __ATOMIC_SEQ_CST);",
    };
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    put(program, formats[chance(program, 2)], name, name, literal(program, &item));
#pragma GCC diagnostic pop
    set_add(&program->set, &item);
    not_provable(program);
}

static void assembler(struct program *program) {
    struct item item = pool_item(program);
    const char *name = put_value(program, "%s", program->value), *other = new_name(program, "other");
    put(program, "%s %s = %s;", type_name(program), other, literal(program, &item));
    switch (chance(program, 3)) {
    case 0:
        put(program, "if (rand() & 1) __asm__ volatile(\"mov %%1, %%0\" : \"+r\"(%s) : \"r\"(%s));", name, other);
        break;
    case 1:
        put(program, "if (rand() & 1) __asm__ volatile(\"mov %%1, %%0\" : \"=m\"(%s) : \"r\"(%s));", name, other);
        break;
    default: put(program, "if (rand() & 1) __asm__ volatile(\"xchg %%0, %%1\" : \"+r\"(%s), \"+m\"(%s));", name, other);
    }
    set_add(&program->set, &item);
    not_provable(program);
}

static void whole_structures(struct program *program) {
    const char *type = new_name(program, "record"), *one = new_name(program, "one"), *two = new_name(program, "two");
    struct item item = pool_item(program);
    declare(program, "struct %s { long first; %s value; %s last; char rest[%u]; };", type, type_name(program),
            type_name(program), 8 * chance(program, 20));
    put(program, "struct %s %s = {1, %s, 0}, %s = {2, %s, 0};", type, one, program->value, two,
        literal(program, &item));
    put(program, "HIDE_MEMORY(%s);", two);
    put(program, "if (rand() & 1) %s = %s;", one, two);
    set_add(&program->set, &item);
    put_value(program, "%s.value", one);
    not_provable(program);
}

static void variable_length(struct program *program) {
    const char *array = new_name(program, "array"), *length = new_name(program, "length");
    put(program, "int %s = 3 + (rand() & 7);", length);
    put(program, "%s *%s = (%s *)__builtin_alloca(%s * sizeof *%s);", type_name(program), array, type_name(program),
        length, array);
    put(program, "%s[2] = %s;", array, program->value);
    put(program, "HIDE_MEMORY(%s[1]);", array);
    put_value(program, "%s[2]", array);
    not_provable(program);
}

static void overlaid(struct program *program) {
    struct item item = pool_item(program);
    const char *name = new_name(program, "overlaid");
    put(program, "union { %s value; struct { %s other; long more[3]; } all; } %s;", type_name(program),
        type_name(program), name);
    put(program, "%s.value = %s;", name, program->value);
    put(program, "if (rand() %% 3 == 1) { %s.all.other = %s; %s.all.more[0] = effect; HIDE_MEMORY(%s); }", name,
        literal(program, &item), name, name);
    set_add(&program->set, &item);
    put_value(program, "%s.value", name);
    not_provable(program);
}

const struct part text_sources[] = {
    {"number template", number_template, false, true},
    {0},
};

const struct part more_steps[] = {
    {"text template", text_template, false, true},
    {"copied text", copied_text, false, true},
    {"joined text", joined_text, false, true},
    {"changed text", changed_text, false, true},
    {"filled either way", filled_either_way, false, true},
    {"signal handler", signal_handler, true, true},
    {"sorting", sorting, true, true},
    {"thread", thread, true, true},
    {"constructor", constructor, true, true},
    {"exception", exception, true, true},
    {"atomics", atomics, true, true},
    {"assembler", assembler, true, true},
    {"whole structures", whole_structures, true, true},
    {"variable length", variable_length, true, true},
    {"overlaid", overlaid, true, true},
    {0},
};
