/* Measures how long policygen takes and how much memory: on some 300 objects with 100 MB of code, cold and with a warm cache,
 * and on nginx alone. Each figure is the least of several runs; where other work goes on, processor time tells more than
 * wall time.
 *
 *   speed POLICYGEN OUTPUT
 *
 * OUTPUT is a directory: figures go to OUTPUT/speed.json.
 */
#include <elf.h>
#include <ftw.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/util.h"
#include "tests/precision/analyse.h"

#define RUNS 3

static char *const programs[] = {"/usr/sbin/nginx", "/usr/bin/php8.2", "/usr/bin/python3.11",     "/usr/sbin/mariadbd",
                                 "/usr/bin/git",    "/usr/sbin/sshd",  "/usr/bin/redis-benchmark"};

struct figure {
    const char *name, *text, *unit;
    double aim; /* 0: only for information */
    double value;
};

enum {
    FIGURE_OBJECTS,
    FIGURE_TEXT,
    FIGURE_COLD,
    FIGURE_COLD_PROCESSOR,
    FIGURE_WARM,
    FIGURE_WARM_PROCESSOR,
    FIGURE_NGINX,
    FIGURE_NGINX_PROCESSOR,
    FIGURE_PEAK,
};

static struct figure figures[] = {
    [FIGURE_OBJECTS] = {"objects", "objects", "", 0, 0},
    [FIGURE_TEXT] = {"text_mb", "their code", "MB", 0, 0},
    [FIGURE_COLD] = {"cold_s", "all of them, nothing cached", "s", 8, 0},
    [FIGURE_COLD_PROCESSOR] = {"cold_cpu_s", "  processor time", "s", 0, 0},
    [FIGURE_WARM] = {"warm_s", "all of them, all cached", "s", 1, 0},
    [FIGURE_WARM_PROCESSOR] = {"warm_cpu_s", "  processor time", "s", 0, 0},
    [FIGURE_NGINX] = {"nginx_s", "nginx and all that it loads, nothing cached", "s", 0.5, 0},
    [FIGURE_NGINX_PROCESSOR] = {"nginx_cpu_s", "  processor time", "s", 0, 0},
    [FIGURE_PEAK] = {"peak_mib", "peak memory", "MiB", 300, 0},
};

/* ---- What is analysed ---- */

/* Bytes in executable segments. */
static double code_size(const char *path) {
    cleanup_file FILE *file = fopen(path, "re");
    Elf64_Ehdr header;
    double size = 0;
    if (file == NULL || fread(&header, sizeof header, 1, file) != 1)
        die_with_error("cannot read \"%s\"", path);
    for (unsigned i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        if (fseek(file, (long)(header.e_phoff + i * sizeof segment), SEEK_SET) != 0 ||
            fread(&segment, sizeof segment, 1, file) != 1)
            die_with_error("cannot read \"%s\"", path);
        size += segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0 ? (double)segment.p_filesz : 0;
    }
    return size;
}

static void count_objects(const char *report) {
    json_error_t error;
    json_t *list = json_loads(report, 0, &error), *seen = json_object();
    if (!json_is_array(list))
        die("policygen's report is no JSON array: line %d: %s", error.line, error.text);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *modules = json_object_get(json_array_get(list, i), "modules");
        for (size_t j = 0; j < json_array_size(modules); j++)
            json_object_set_new(seen, json_string_value(json_object_get(json_array_get(modules, j), "path")),
                                json_true());
    }
    figures[FIGURE_OBJECTS].value = (double)json_object_size(seen);
    for (void *at = json_object_iter(seen); at != NULL; at = json_object_iter_next(seen, at))
        figures[FIGURE_TEXT].value += code_size(json_object_iter_key(at)) / 1e6;
    json_decref(seen);
    json_decref(list);
}

/* ---- Running ---- */

static void keep_least(struct figure *figure, double value) {
    if (figure->value == 0 || value < figure->value)
        figure->value = value;
}

static void measure(char **arguments, struct figure *wall, struct figure *processor) {
    struct run run = run_program(arguments);
    keep_least(wall, run.seconds);
    keep_least(processor, run.processor_seconds);
    if ((double)run.peak_kib / 1024 > figures[FIGURE_PEAK].value)
        figures[FIGURE_PEAK].value = (double)run.peak_kib / 1024;
    if (figures[FIGURE_OBJECTS].value == 0)
        count_objects(run.report);
    free(run.report);
}

static char *directory;

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static void remove_directory(void) {
    nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void measure_all(char *policygen) {
    char *all[8 + sizeof programs / sizeof *programs] = {policygen, "--json", "-o", NULL, "--cache", NULL};
    memcpy(all + 6, programs, sizeof programs);
    for (unsigned i = 0; i < RUNS; i++) {
        cleanup_free char *cache = xasprintf("%s/cache-%u", directory, i);
        cleanup_free char *policies = xasprintf("%s/policies", directory);
        all[3] = policies;
        all[5] = cache;
        measure(all, &figures[FIGURE_COLD], &figures[FIGURE_COLD_PROCESSOR]);
        measure(all, &figures[FIGURE_WARM], &figures[FIGURE_WARM_PROCESSOR]);
        char *nginx[] = {policygen, "--json", "-o", policies, programs[0], NULL};
        measure(nginx, &figures[FIGURE_NGINX], &figures[FIGURE_NGINX_PROCESSOR]);
    }
}

int main(int count, char **arguments) {
    if (count != 3)
        die("usage: speed POLICYGEN OUTPUT");
    const char *parent = getenv("TMPDIR");
    directory = xasprintf("%s/pinion-speed-XXXXXX", parent == NULL ? "/tmp" : parent);
    if (mkdtemp(directory) == NULL)
        die_with_error("cannot make directory \"%s\"", directory);
    atexit(remove_directory);
    measure_all(arguments[1]);
    json_t *json = json_object();
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        const struct figure *figure = &figures[i];
        json_object_set_new(json, figure->name, json_real(figure->value));
        printf("%-45s %8.2f %-4s", figure->text, figure->value, figure->unit);
        if (figure->aim > 0)
            printf("  <= %g: %s", figure->aim, figure->value <= figure->aim ? "reached" : "not reached");
        printf("\n");
    }
    cleanup_free char *path = xasprintf("%s/speed.json", arguments[2]);
    if (json_dump_file(json, path, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) != 0)
        die("cannot write \"%s\"", path);
    json_decref(json);
    return EXIT_FINE;
}
