/* A program under construction. It is made of cases, each a pipeline: a source makes a value, steps hand it on and
 * change it, a sink passes it to a critical call. All the while the set of values that execution can bring about is
 * kept beside it.
 *
 * Text is written into the function that is current; a step may end that function and go on in another one.
 */
#ifndef PINION_TESTS_ORACLE_PROGRAM_H
#define PINION_TESTS_ORACLE_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define MAX_ITEMS 64
#define MAX_SHAPES 8

/* Which values suit an argument. */
enum pool {
    POOL_OPEN_FLAGS,
    POOL_SMALL,
    POOL_ANY,
    POOL_PROTECTION,
    POOL_MODE,
    POOL_TEXT,
};

struct item {
    int32_t integer;
    char text[64];
};

/* What the value may be. An open set holds more than its items. */
struct set {
    struct item items[MAX_ITEMS];
    unsigned count;
    bool open;
};

struct program {
    uint64_t random;
    FILE *declarations, *functions, *body, *entries;
    char *declarations_text, *functions_text, *body_text, *entries_text;
    size_t declarations_length, functions_length, body_length, entries_length;
    unsigned blocks; /* of the current function, still open */
    unsigned names;  /* so many were made up */
    unsigned number; /* of the case */
    unsigned callers;
    bool short_lived; /* the value points into the frame of a function of this run */
    bool in_callback; /* of a library: not to be left by longjmp */
    enum pool pool;
    char value[32]; /* the variable of the current function that holds the value */
    struct set set;
    bool provable; /* within what the analyser states that it can do */
    const char *shapes[MAX_SHAPES];
    unsigned shape_count;
};

/* ---- Chance ---- */

unsigned chance(struct program *program, unsigned of); /* 0 .. of - 1 */
static inline bool one_in(struct program *program, unsigned of) {
    return chance(program, of) == 0;
}

/* ---- Text ---- */

/* Each writes into the current function, or to the file's declarations. */
void put(struct program *program, const char *format, ...) __attribute__((format(printf, 2, 3)));
void declare(struct program *program, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A new name with this prefix, unique in the program. */
const char *new_name(struct program *program, const char *prefix);
/* "int" or "const char *". */
const char *type_name(const struct program *program);
/* As it stands in C; valid until 16 more are made, as are names. */
const char *literal(const struct program *program, const struct item *item);

/* The value is now in a new variable that begins as this. */
const char *put_value(struct program *program, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Begins a block that lasts to the function's end. */
void open_block(struct program *program, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Begins a function with this head, of which a declaration is made, too. */
void begin_function(struct program *program, const char *format, ...) __attribute__((format(printf, 2, 3)));
void end_function(struct program *program);
/* A whole small function, beside the current one. */
void whole_function(struct program *program, const char *head, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The function is called in every run of the case. */
void add_entry(struct program *program, const char *function);

/* ---- Values ---- */

bool is_text(const struct program *program);
struct item pool_item(struct program *program);
void set_add(struct set *set, const struct item *item);
/* The value is now in this variable of the current function. */
void value_is_in(struct program *program, const char *variable);
/* Every item becomes what the function makes of it. */
void set_map(struct program *program, int32_t (*function)(int32_t item, int32_t operand), int32_t operand);
void set_open(struct program *program);
void not_provable(struct program *program);

/* ---- The parts of a pipeline ---- */

struct part {
    const char *name;
    void (*make)(struct program *program);
    bool integers, texts; /* what it can carry */
};

/* Each ends with a part without a name. */
extern const struct part sources[], text_sources[], steps[], more_steps[];

#endif
