/* Writes a C program whose critical calls pass values that are known, because they are put together here, and beside it
 * what is known. The same seed gives the same program.
 *
 *   generate SEED DIRECTORY [CASES [CASE]]   writes program.c and expected; with CASE, that one alone
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/api.h"
#include "runtime/util.h"
#include "tests/oracle/program.h"
#include "tests/oracle/record.h"

#define CASES 40

/* ---- Sinks ---- */

/* What is recorded of the argument that the value goes into. */
enum encoding {
    ENCODE_VALUE, /* it is the argument */
    ENCODE_FIRST_ELEMENT,
    ENCODE_SECOND_ELEMENT,
    ENCODE_PORT, /* of 127.0.0.1 */
    ENCODE_HOST, /* with port 53 */
    ENCODE_UNIX,
};

struct sink {
    uint16_t api;
    uint8_t pool;
    uint8_t argument;
    uint8_t encoding;
    const char *before, *behind;
};

static const struct sink sinks[] = {
#define SINK(function, pool, argument, encoding, before, behind) \
    {API_##function, POOL_##pool, argument, ENCODE_##encoding, before, behind},
#include "tests/oracle/sinks.def"
};

#define SINK_COUNT (sizeof sinks / sizeof sinks[0])

static void put_sink(struct program *program, const struct sink *sink) {
    put(program, "%s%s%s;", sink->before, program->value, sink->behind);
    if (!one_in(program, 3))
        put(program, "effect++;");
}

/* ---- What is expected ---- */

static void write_text(const char *text, FILE *out) {
    for (; *text != '\0'; text++)
        fprintf(out, record_is_plain(*text) ? "%c" : "\\%02x", (unsigned char)*text);
}

static void write_unix_address(const char *path, FILE *out) {
    fprintf(out, "%c0100", RECORD_ADDRESS);
    for (; *path != '\0'; path++)
        fprintf(out, "%02x", (unsigned char)*path);
}

/* The argument as the recorder writes it, with this value. */
static void write_item(const struct sink *sink, const struct item *item, FILE *out) {
    enum shape shape = argument_shape((enum argument_kind)api_table[sink->api].arguments[sink->argument].kind);
    switch ((enum encoding)sink->encoding) {
    case ENCODE_FIRST_ELEMENT:
    case ENCODE_SECOND_ELEMENT:
        fprintf(out, sink->encoding == ENCODE_FIRST_ELEMENT ? "%c" : "%ctool,", RECORD_VECTOR);
        write_text(item->text, out);
        fputs(",-x", out);
        return;
    case ENCODE_PORT: fprintf(out, "%c0200%04x7f000001", RECORD_ADDRESS, item->integer & 0xffff); return;
    case ENCODE_HOST: fprintf(out, "%c02000035%08x", RECORD_ADDRESS, item->integer); return;
    case ENCODE_UNIX: write_unix_address(item->text, out); return;
    case ENCODE_VALUE: break;
    }
    if (sink->pool == POOL_TEXT) {
        fputc(RECORD_TEXT, out);
        write_text(item->text, out);
        return;
    }
    fprintf(out, "%c%llx", RECORD_INTEGER,
            shape == SHAPE_INT64 ? (unsigned long long)item->integer : (uint32_t)item->integer);
}

static void write_expected(const struct program *program, const struct sink *sink, FILE *out) {
    fprintf(out, "%u\t%s\t%s\t%s\t", program->number, api_table[sink->api].name,
            api_table[sink->api].arguments[sink->argument].name,
            program->set.open ? "open" : (program->provable ? "provable" : "closed"));
    for (unsigned i = 0; i < program->shape_count; i++)
        fprintf(out, "%s%s", i == 0 ? "" : ",", program->shapes[i]);
    for (unsigned i = 0; i < program->set.count; i++) {
        fputc('\t', out);
        write_item(sink, &program->set.items[i], out);
    }
    fprintf(out, "\n");
}

/* ---- Cases ---- */

static void add_part(struct program *program, const struct part *part) {
    program->shapes[program->shape_count++] = part->name;
    part->make(program);
}

static unsigned count_parts(const struct part *parts) {
    unsigned count = 0;
    while (parts[count].name != NULL)
        count++;
    return count;
}

static const struct part *choose_part(struct program *program, const struct part *parts, const struct part *more) {
    unsigned first = count_parts(parts), all = first + count_parts(more);
    const struct part *part;
    do {
        unsigned number = chance(program, all);
        part = number < first ? &parts[number] : &more[number - first];
    } while (is_text(program) ? !part->texts : !part->integers);
    return part;
}

static unsigned step_count(struct program *program) {
    static const unsigned char likelihood[] = {0, 0, 1, 1, 1, 2, 2, 3, 4, 5};
    return likelihood[chance(program, sizeof likelihood)];
}

/* Every case has chances of its own, so that it is the same whichever others are written. */
static void write_case(struct program *program, unsigned seed, unsigned number, FILE *expected) {
    program->random = ((uint64_t)seed << 32 | number) * 0xd1342543de82ef95u;
    program->number = number;
    program->names = 0;
    program->callers = 0;
    program->shape_count = 0;
    program->provable = true;
    program->in_callback = false;
    program->short_lived = false;
    program->set = (struct set){0};
    const struct sink *sink = &sinks[chance(program, SINK_COUNT)];
    program->pool = (enum pool)sink->pool;
    cleanup_free char *entry = xasprintf("case_%u", number);
    fprintf(program->entries, "    for (unsigned run = 0; run < %u; run++) {\n", RUNS_PER_CASE);
    fprintf(program->entries, "        srand(%u * %u + run);\n", number, RUNS_PER_CASE);
    fprintf(program->entries, "        if (setjmp(next_run) == 0) {\n");
    add_entry(program, entry);
    begin_function(program, "__attribute__((noinline)) void %s(void)", entry);
    add_part(program, choose_part(program, sources, text_sources));
    for (unsigned i = step_count(program); i > 0; i--)
        add_part(program, choose_part(program, steps, more_steps));
    put_sink(program, sink);
    end_function(program);
    fprintf(program->entries, "        }\n    }\n");
    write_expected(program, sink, expected);
}

static void write_program(struct program *program, const char *path) {
    cleanup_file FILE *out = fopen(path, "w");
    if (out == NULL)
        die_with_error("cannot write \"%s\"", path);
    fflush(program->declarations);
    fflush(program->functions);
    fflush(program->entries);
    fputs("#ifdef CALLER\nint CALLER(void);\nint main(void) { return CALLER(); }\n#else\n#include \"prologue.h\"\n\n",
          out);
    fprintf(out, "%s\n%s", program->declarations_text, program->functions_text);
    fprintf(out, "int ENTRY(void) {\n%s    return 0;\n}\n#endif\n", program->entries_text);
}

int main(int count, char **arguments) {
    if (count < 3)
        die("usage: generate SEED DIRECTORY [CASES [CASE]]");
    unsigned seed = (unsigned)strtoul(arguments[1], NULL, 10);
    unsigned cases = count > 3 ? (unsigned)strtoul(arguments[3], NULL, 10) : CASES;
    unsigned only = count > 4 ? (unsigned)strtoul(arguments[4], NULL, 10) : UINT32_MAX;
    cleanup_free char *source = xasprintf("%s/program.c", arguments[2]);
    cleanup_free char *expectations = xasprintf("%s/expected", arguments[2]);
    cleanup_file FILE *expected = fopen(expectations, "w");
    if (expected == NULL)
        die_with_error("cannot write \"%s\"", expectations);
    struct program program = {0};
    program.declarations = xopen_memstream(&program.declarations_text, &program.declarations_length);
    program.functions = xopen_memstream(&program.functions_text, &program.functions_length);
    program.entries = xopen_memstream(&program.entries_text, &program.entries_length);
    for (unsigned i = 0; i < cases; i++) {
        if (only == UINT32_MAX || i == only)
            write_case(&program, seed, i, expected);
    }
    write_program(&program, source);
    fclose(program.declarations);
    fclose(program.functions);
    fclose(program.entries);
    free(program.declarations_text);
    free(program.functions_text);
    free(program.entries_text);
    return EXIT_FINE;
}
