/* The text of a program and the set of its current value. */
#include "tests/oracle/program.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/util.h"

/* ---- Chance ---- */

/* splitmix64: the same seed gives the same program everywhere. */
unsigned chance(struct program *program, unsigned of) {
    uint64_t value = program->random += 0x9e3779b97f4a7c15u;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return (unsigned)((value ^ value >> 31) % of);
}

/* ---- Text ---- */

void put(struct program *program, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("    ", program->body);
    vfprintf(program->body, format, arguments);
    fputc('\n', program->body);
    va_end(arguments);
}

void declare(struct program *program, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(program->declarations, format, arguments);
    fputc('\n', program->declarations);
    va_end(arguments);
}

/* The names of one function body at a time are needed together. */
const char *new_name(struct program *program, const char *prefix) {
    static char names[16][32];
    char *name = names[program->names % 16];
    snprintf(name, sizeof names[0], "%s_%u_%u", prefix, program->number, program->names++);
    return name;
}

const char *type_name(const struct program *program) {
    return is_text(program) ? "const char *" : "int";
}

const char *literal(const struct program *program, const struct item *item) {
    static char texts[16][80];
    static unsigned next;
    char *text = texts[next++ % 16];
    if (is_text(program))
        snprintf(text, sizeof texts[0], "\"%s\"", item->text);
    else if (item->integer == INT32_MIN)
        snprintf(text, sizeof texts[0], "(-2147483647 - 1)");
    else
        snprintf(text, sizeof texts[0], "%d", item->integer);
    return text;
}

void open_block(struct program *program, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("    ", program->body);
    vfprintf(program->body, format, arguments);
    fputs(" {\n", program->body);
    va_end(arguments);
    program->blocks++;
}

void begin_function(struct program *program, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    cleanup_free char *head = xvasprintf(format, arguments);
    va_end(arguments);
    declare(program, "%s;", head);
    program->body = xopen_memstream(&program->body_text, &program->body_length);
    fprintf(program->body, "%s {\n", head);
    program->blocks = 0;
}

void end_function(struct program *program) {
    for (; program->blocks > 0; program->blocks--)
        put(program, "}");
    fputs("}\n\n", program->body);
    fclose(program->body);
    fputs(program->body_text, program->functions);
    free(program->body_text);
    program->body = NULL;
    program->body_text = NULL;
}

void whole_function(struct program *program, const char *head, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    declare(program, "%s;", head);
    fprintf(program->functions, "%s {\n    ", head);
    vfprintf(program->functions, format, arguments);
    fputs("\n}\n\n", program->functions);
    va_end(arguments);
}

const char *put_value(struct program *program, const char *format, ...) {
    const char *name = new_name(program, "value");
    va_list arguments;
    va_start(arguments, format);
    cleanup_free char *expression = xvasprintf(format, arguments);
    va_end(arguments);
    put(program, "%s %s = %s;", type_name(program), name, expression);
    value_is_in(program, name);
    return name;
}

void add_entry(struct program *program, const char *function) {
    fprintf(program->entries, "            %s();\n", function);
}

/* ---- Values ---- */

bool is_text(const struct program *program) {
    return program->pool == POOL_TEXT;
}

static int32_t pool_integer(struct program *program) {
    static const int32_t open_flags[] = {O_RDONLY,
                                         O_WRONLY,
                                         O_RDWR,
                                         O_RDONLY | O_CLOEXEC,
                                         O_WRONLY | O_TRUNC,
                                         O_WRONLY | O_CREAT | O_APPEND,
                                         O_RDWR | O_CREAT,
                                         O_RDONLY | O_NONBLOCK,
                                         O_WRONLY | O_EXCL,
                                         O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC};
    static const int32_t modes[] = {0600, 0644, 0640, 0755, 0700, 04755, 01777, 0};
    static const int32_t any[] = {0, -1, 1000, 65534, INT32_MIN, INT32_MAX, 128, 255, 32768, 65536, -128, 12345};
    switch (program->pool) {
    case POOL_OPEN_FLAGS: return open_flags[chance(program, sizeof open_flags / sizeof open_flags[0])];
    case POOL_MODE: return modes[chance(program, sizeof modes / sizeof modes[0])];
    case POOL_PROTECTION: return (int32_t)chance(program, 8);
    case POOL_ANY: return any[chance(program, sizeof any / sizeof any[0])];
    default: return (int32_t)chance(program, 40);
    }
}

struct item pool_item(struct program *program) {
    static const char *const folders[] = {"/etc", "/usr/lib", "/var/lib/service", "", "relative"};
    struct item item = {0};
    if (is_text(program))
        snprintf(item.text, sizeof item.text, "%s/file%u", folders[chance(program, 5)], chance(program, 100));
    else
        item.integer = pool_integer(program);
    return item;
}

void set_add(struct set *set, const struct item *item) {
    for (unsigned i = 0; i < set->count; i++) {
        if (set->items[i].integer == item->integer && strcmp(set->items[i].text, item->text) == 0)
            return;
    }
    if (set->count == MAX_ITEMS)
        set->open = true;
    else
        set->items[set->count++] = *item;
}

void value_is_in(struct program *program, const char *variable) {
    snprintf(program->value, sizeof program->value, "%s", variable);
}

void set_map(struct program *program, int32_t (*function)(int32_t item, int32_t operand), int32_t operand) {
    struct set mapped = {.open = program->set.open};
    for (unsigned i = 0; i < program->set.count; i++) {
        struct item item = {.integer = function(program->set.items[i].integer, operand)};
        set_add(&mapped, &item);
    }
    program->set = mapped;
}

void set_open(struct program *program) {
    program->set.open = true;
    program->provable = false;
}

void not_provable(struct program *program) {
    program->provable = false;
}
