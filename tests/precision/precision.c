/* Measures how much of what programs pass to critical functions policygen pins down: it has the policies of many programs
 * written, reads them as a user would, and prints a table per argument, the pooled figures, and their gates.
 *
 *   precision POLICYGEN PROGRAMS GATES OUTPUT [record]
 *
 * OUTPUT is a directory: figures go to OUTPUT/precision.json, every unknown argument to OUTPUT/precision-unknown.tsv.
 */
#include <ftw.h>
#include <jansson.h>
#include <string.h>

#include "runtime/constants.h"
#include "runtime/util.h"
#include "tests/precision/analyse.h"
#include "tests/precision/gates.h"
#include "tests/precision/packages.h"
#include "tests/precision/tally.h"

/* Arguments with fewer sites are only in the pools. */
#define MIN_SITES 10
#define SHOWN_REASONS 3

/* What programs load. Jumps to critical functions are the worst that any program says. */
struct object {
    const char *path;
    bool measured;
    size_t calls, tails, open;
    size_t open_anyway; /* not only because names given to dlsym are not known */
};

struct measurement {
    struct tally tally;
    json_t *reports;        /* owns the paths of objects and programs */
    struct object *objects; /* in the order of their paths */
    size_t object_count;
    const char **programs;
    size_t program_count;
    double seconds;
    long peak_kib;
};

/* ---- Analysing ---- */

static char *directory;

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static void remove_directory(void) {
    nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_directory(void) {
    const char *parent = getenv("TMPDIR");
    directory = xasprintf("%s/pinion-precision-XXXXXX", parent == NULL ? "/tmp" : parent);
    if (mkdtemp(directory) == NULL)
        die_with_error("cannot make directory \"%s\"", directory);
    atexit(remove_directory);
}

static size_t count_of(const json_t *module, const char *key, const char *path) {
    const json_t *value = json_object_get(module, key);
    if (!json_is_integer(value))
        die("policygen's report has no \"%s\" for \"%s\"", key, path);
    return (size_t)json_integer_value(value);
}

static int compare_objects(const void *a, const void *b) {
    const struct object *x = a, *y = b;
    return strcmp(x->path, y->path);
}

static const struct object *find_object(const struct measurement *measurement, const char *path) {
    struct object wanted = {.path = path};
    return bsearch(&wanted, measurement->objects, measurement->object_count, sizeof wanted, compare_objects);
}

static void add_module(struct measurement *measurement, const json_t *module) {
    const char *path = json_string_value(json_object_get(module, "path"));
    if (path == NULL)
        die("policygen's report has a module without a path");
    *array_append(measurement->objects, measurement->object_count) =
        (struct object){.path = path,
                        .calls = count_of(module, "calls", path),
                        .tails = count_of(module, "tails", path),
                        .open = count_of(module, "open_tails", path),
                        .open_anyway = count_of(module, "open_tails", path) - count_of(module, "loosened_tails", path)};
}

static void add_report(struct measurement *measurement, const char *text) {
    json_error_t error;
    json_t *reports = json_loads(text, 0, &error);
    if (!json_is_array(reports))
        die("policygen's report is no JSON array: line %d: %s", error.line, error.text);
    json_array_append_new(measurement->reports, reports);
    for (size_t i = 0; i < json_array_size(reports); i++) {
        const json_t *report = json_array_get(reports, i), *modules = json_object_get(report, "modules");
        *array_append(measurement->programs, measurement->program_count) =
            json_string_value(json_object_get(report, "program"));
        for (size_t j = 0; j < json_array_size(modules); j++)
            add_module(measurement, json_array_get(modules, j));
    }
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* One of each object, with the most open tail calls that a program sees. */
static void unite_objects(struct measurement *measurement) {
    struct object *objects = measurement->objects;
    size_t kept = 0;
    if (objects == NULL)
        die("policygen's reports name no module");
    qsort(objects, measurement->object_count, sizeof *objects, compare_objects);
    for (size_t i = 0; i < measurement->object_count; i++) {
        if (kept == 0 || strcmp(objects[kept - 1].path, objects[i].path) != 0) {
            objects[kept++] = objects[i];
            continue;
        }
        objects[kept - 1].open = larger(objects[kept - 1].open, objects[i].open);
        objects[kept - 1].open_anyway = larger(objects[kept - 1].open_anyway, objects[i].open_anyway);
    }
    measurement->object_count = kept;
}

/* Returns how many objects belong to packages that are measured. */
static size_t choose_objects(struct measurement *measurement, const struct gates *gates) {
    const char **paths = xcalloc(measurement->object_count + 1, sizeof *paths);
    size_t measured = 0;
    for (size_t i = 0; i < measurement->object_count; i++)
        paths[i] = measurement->objects[i].path;
    char **packages = packages_of(paths, measurement->object_count);
    for (size_t i = 0; i < measurement->object_count; i++) {
        measurement->objects[i].measured = gates_measure(gates, packages[i]);
        measured += measurement->objects[i].measured;
        free(packages[i]);
    }
    free(packages);
    free(paths);
    return measured;
}

static bool is_measured(const char *path, const void *what) {
    const struct object *object = find_object(what, path);
    return object != NULL && object->measured;
}

static void add_policy(struct measurement *measurement, const char *program) {
    cleanup_free char *stem = policy_file_stem(program);
    cleanup_free char *path = xasprintf("%s/%s.policy", directory, stem);
    struct document document;
    struct mistake mistake;
    document_init(&document);
    if (!document_read_text(path, &document, &mistake))
        die("cannot read policy \"%s\" line %u: %s", path, mistake.line, mistake.text);
    tally_add(&measurement->tally, &document, is_measured, measurement);
    document_free(&document);
}

static void analyse(struct measurement *measurement, char *policygen, const struct command *command) {
    char **arguments = NULL;
    size_t count = 0;
    cleanup_free char *cache = xasprintf("%s/cache", directory);
    char *options[] = {policygen, "--json", "-o", directory, "--cache", cache};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        *array_append(arguments, count) = options[i]; /* NOLINT(bugprone-sizeof-expression) */
    for (size_t i = 0; i < command->count; i++)
        *array_append(arguments, count) = command->arguments[i]; /* NOLINT(bugprone-sizeof-expression) */
    *array_append(arguments, count) = NULL;                      /* NOLINT(bugprone-sizeof-expression) */
    struct run run = run_program(arguments);
    measurement->seconds += run.seconds;
    if (run.peak_kib > measurement->peak_kib)
        measurement->peak_kib = run.peak_kib;
    add_report(measurement, run.report);
    free(run.report);
    free(arguments);
}

/* ---- Printing ---- */

static const struct argument *argument_of(const struct row *row) {
    return &api_table[row->api].arguments[row->argument];
}

static bool belongs_to_argument(const struct row *row, const void *what) {
    const struct row *wanted = what;
    return row->api == wanted->api && row->argument == wanted->argument;
}

static bool belongs_to_kind(const struct row *row, const void *what) {
    bool (*const *wanted)(enum argument_kind kind) = what;
    return (*wanted)((enum argument_kind)argument_of(row)->kind);
}

static bool is_mode(enum argument_kind kind) {
    return argument_constants(kind) == CONSTANTS_OCTAL;
}

static bool is_address(enum argument_kind kind) {
    return argument_shape(kind) == SHAPE_SOCKADDR || argument_shape(kind) == SHAPE_MSGHDR;
}

static bool is_vector(enum argument_kind kind) {
    return argument_shape(kind) == SHAPE_ARGV;
}

static bool is_integer(enum argument_kind kind) {
    return argument_shape(kind) <= SHAPE_INT64 && !is_flag_like(kind) && !is_mode(kind);
}

/* The most frequent reasons, each taken out once printed. */
static void print_reasons(const struct tally *tally, struct pool *pool, unsigned shown) {
    const char *separator = "";
    while (shown-- > 0) {
        size_t best = 0;
        for (size_t i = 1; i < tally->reasons.count; i++) {
            if (pool->reasons[i] > pool->reasons[best])
                best = i;
        }
        if (pool->reasons[best] == 0)
            break;
        printf("%s%s %zu", separator, tally->reasons.items[best], pool->reasons[best]);
        pool->reasons[best] = 0;
        separator = ", ";
    }
    printf("\n");
}

static void print_pool(const struct tally *tally, const char *name, struct pool *pool, unsigned reasons) {
    printf("%-32s %6zu %6.1f %6.1f %6.1f %6.1f %6.1f  ", name, pool->total, pool_percent(pool, FORM_CONSTANT),
           pool_percent(pool, FORM_PATTERN), pool_percent(pool, FORM_MASK), pool_percent(pool, FORM_PARTLY),
           pool_percent(pool, FORM_ANY) + pool_percent(pool, FORM_WEAK));
    print_reasons(tally, pool, reasons);
}

static void print_heading(const char *first) {
    printf("%-32s %6s %6s %6s %6s %6s %6s  %s\n", first, "sites", "const", "pattrn", "mask", "partly", "any",
           "why any");
}

static void print_arguments(const struct tally *tally) {
    print_heading("argument (percent of its sites)");
    for (unsigned api = 0; api < API_COUNT; api++) {
        for (unsigned i = 0; i < api_table[api].argument_count; i++) {
            struct row wanted = {.api = (uint16_t)api, .argument = (uint8_t)i};
            struct pool pool = pool_make(tally, belongs_to_argument, &wanted);
            cleanup_free char *name = xasprintf("%s.%s", api_table[api].name, api_table[api].arguments[i].name);
            if (pool.total >= MIN_SITES)
                print_pool(tally, name, &pool, SHOWN_REASONS);
            pool_free(&pool);
        }
    }
    printf("\n");
}

static struct pool print_kinds(const struct tally *tally, const char *name, bool (*is_kind)(enum argument_kind kind)) {
    struct pool pool = pool_make(tally, belongs_to_kind, &is_kind);
    struct pool copy = pool_make(tally, belongs_to_kind, &is_kind);
    print_pool(tally, name, &copy, 8);
    pool_free(&copy);
    free(pool.reasons);
    pool.reasons = NULL;
    return pool;
}

static void print_definitions(void) {
    static const char *const names[KIND_COUNT] = {
#define KIND(name, shape, constants) [KIND_##name] = #name,
#include "runtime/kinds.def"
    };
    printf("flag-like: every argument whose values have names, descriptors (AT_FDCWD) and file modes aside:\n ");
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        if (is_flag_like((enum argument_kind)kind))
            printf(" %s", names[kind]);
    }
    printf(
        "\nstrings: PATH TEMPLATE COMMAND NAME; paths and commands: PATH TEMPLATE COMMAND\n"
        "const: every value is known; pattrn: a literal first component, no unbounded wildcard before the last '/';\n"
        "mask: a bit that the API defines is forbidden; partly: part of a socket address or vector; weaker ones are "
        "any\n\n");
}

/* ---- Figures ---- */

static double percent(size_t part, size_t whole) {
    return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}

static void set_figure(struct gates *gates, const char *name, double value) {
    struct gate *gate = gates_find(gates, name);
    if (gate == NULL)
        die("the gates have no figure \"%s\"", name);
    gate->measured = value;
}

static void print_figures(const struct measurement *measurement, struct gates *gates) {
    const struct tally *tally = &measurement->tally;
    print_heading("pool");
    struct pool flags = print_kinds(tally, "flag-like", is_flag_like);
    struct pool paths = print_kinds(tally, "paths and commands", is_path_or_command);
    struct pool strings = print_kinds(tally, "all strings", is_string);
    print_kinds(tally, "file modes", is_mode);
    print_kinds(tally, "other integers", is_integer);
    print_kinds(tally, "socket addresses", is_address);
    print_kinds(tally, "argument vectors", is_vector);
    struct site_counts sites = tally_sites(tally);
    printf("\nsites %zu, with an argument that can be constrained %zu, with one that is %zu\n", sites.sites,
           sites.constrainable, sites.constrained);
    struct object sum = {0};
    for (size_t i = 0; i < measurement->object_count; i++) {
        const struct object *object = &measurement->objects[i];
        sum.calls += object->measured ? object->calls : 0;
        sum.tails += object->measured ? object->tails : 0;
        sum.open += object->measured ? object->open : 0;
        sum.open_anyway += object->measured ? object->open_anyway : 0;
    }
    printf("instructions that call critical functions %zu, that jump to them %zu, of which open %zu (%zu, or %.2f %% "
           "of sites, "
           "were every name given to dlsym known)\n\n",
           sum.calls, sum.tails, sum.open, sum.open_anyway, percent(sum.open_anyway, sum.calls + sum.tails));
    set_figure(gates, "flag_constant_pct", pool_percent(&flags, FORM_CONSTANT));
    set_figure(gates, "path_pinned_pct", pool_percent(&paths, FORM_CONSTANT) + pool_percent(&paths, FORM_PATTERN));
    set_figure(gates, "string_pinned_pct",
               pool_percent(&strings, FORM_CONSTANT) + pool_percent(&strings, FORM_PATTERN));
    set_figure(gates, "sites_constrained_pct", percent(sites.constrained, sites.constrainable));
    set_figure(gates, "open_tail_pct", percent(sum.open, sum.calls + sum.tails));
}

/* ---- Files ---- */

static void write_json(const struct measurement *measurement, const struct gates *gates, size_t objects,
                       const char *output) {
    json_t *figures = json_object();
    for (size_t i = 0; i < gates->count; i++)
        json_object_set_new(figures, gates->items[i].name, json_real(gates->items[i].measured));
    json_object_set_new(figures, "objects", json_integer((json_int_t)objects));
    json_object_set_new(figures, "seconds", json_real(measurement->seconds));
    json_object_set_new(figures, "peak_mib", json_real((double)measurement->peak_kib / 1024));
    cleanup_free char *path = xasprintf("%s/precision.json", output);
    if (json_dump_file(figures, path, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) != 0)
        die("cannot write \"%s\"", path);
    json_decref(figures);
}

/* One line for each argument that is not known: what to look at next. */
static void write_unknown(const struct tally *tally, const char *output) {
    cleanup_free char *path = xasprintf("%s/precision-unknown.tsv", output);
    cleanup_file FILE *file = fopen(path, "we");
    if (file == NULL)
        die_with_error("cannot write \"%s\"", path);
    fprintf(file, "api\targument\tkind\treason\tknown_values\tobject\treturn_address\tfunction\n");
    for (size_t i = 0; i < tally->row_count; i++) {
        const struct row *row = &tally->rows[i];
        if (row->argument == SITE_ITSELF || row->form < FORM_WEAK)
            continue;
        const struct argument *argument = argument_of(row);
        fprintf(file, "%s\t%s\t%s\t%s\t%u\t%s\t0x%x\t%s\n", api_table[row->api].name, argument->name,
                is_flag_like(argument->kind)         ? "flag"
                : is_path_or_command(argument->kind) ? "path"
                : is_string(argument->kind)          ? "name"
                                                     : "other",
                tally->reasons.items[row->reason], row->partial, tally->objects.items[row->object], row->offset,
                tally->names.items[row->function]);
    }
}

int main(int count, char **arguments) {
    if (count < 5)
        die("usage: precision POLICYGEN PROGRAMS GATES OUTPUT [record]");
    struct measurement measurement = {.reports = json_array()};
    struct commands commands = {0};
    struct gates gates = {0};
    commands_read(arguments[2], &commands);
    gates_read(arguments[3], &gates);
    make_directory();
    for (size_t i = 0; i < commands.count; i++)
        analyse(&measurement, arguments[1], &commands.items[i]);
    unite_objects(&measurement);
    size_t objects = choose_objects(&measurement, &gates);
    for (size_t i = 0; i < measurement.program_count; i++)
        add_policy(&measurement, measurement.programs[i]);
    tally_finish(&measurement.tally);
    print_arguments(&measurement.tally);
    print_definitions();
    print_figures(&measurement, &gates);
    printf("%zu programs, %zu objects (%zu more of other packages left out), %.1f s, at most %.0f MiB\n\n",
           measurement.program_count, objects, measurement.object_count - objects, measurement.seconds,
           (double)measurement.peak_kib / 1024);
    gates_print_packages(&gates, stdout);
    size_t worse = gates_judge(&gates, stdout);
    write_json(&measurement, &gates, objects, arguments[4]);
    write_unknown(&measurement.tally, arguments[4]);
    if (count > 5)
        gates_record(&gates, arguments[3]);
    tally_free(&measurement.tally);
    json_decref(measurement.reports);
    free(measurement.objects);
    free(measurement.programs);
    gates_free(&gates);
    commands_free(&commands);
    free(directory);
    return worse > 0 && count <= 5 ? EXIT_FINDINGS : EXIT_FINE;
}
