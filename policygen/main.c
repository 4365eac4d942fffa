/* policygen: analyses programs and writes their policies. The command line; everything it does is elsewhere. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "policygen/commands.h"
#include "policygen/loader.h"
#include "policygen/report.h"
#include "runtime/util.h"

struct options {
    const char *directory;
    bool json, coverage, print_sites;
    const char **also;
    size_t also_count;
};

static const char help[] =
    "Usage: policygen [OPTION]... PROGRAM...\n"
    "       policygen diff OLD NEW         what a new version may do that the old one might not\n"
    "\n"
    "Analyses each PROGRAM with all libraries it loads, writes what its calls of critical functions may pass as\n"
    "DIR/<name>.policy (text, to be read and changed) and DIR/<name>.pinion (what libpinion.so loads), and reports\n"
    "how much of it could be pinned down. In a Dockerfile: RUN policygen -o /etc/pinion /usr/sbin/nginx\n"
    "\n"
    "  -o, --output DIR   where the policies go; without it nothing is written, only reported\n"
    "      --also PATH    a library, or a directory of libraries, that the programs load by themselves (plug-ins)\n"
    "      --coverage     report coverage even though policies are written\n"
    "      --json         report as JSON\n"
    "      --print-sites  print every call site with its rules, one a line\n"
    "  -h, --help         this text\n"
    "\n"
    "Reading the report: a site is a place that calls a critical function. Its argument is constrained where every\n"
    "value the program can pass there is known; all others may hold anything, for the reason that is printed. A\n"
    "loose function may also be called through pointers or tail calls from places that cannot be listed; \"pointers\" "
    "counts\n"
    "the listed places that are allowed for that reason alone, with any argument.\n"
    "\n"
    "Exit status: 0 fine, 1 a program cannot be protected, 2 error.\n";

enum long_option {
    OPTION_ALSO = 256,
    OPTION_JSON,
    OPTION_COVERAGE,
    OPTION_PRINT_SITES,
};

static const struct option long_options[] = {
    {"output", required_argument, NULL, 'o'},
    {"also", required_argument, NULL, OPTION_ALSO},
    {"json", no_argument, NULL, OPTION_JSON},
    {"coverage", no_argument, NULL, OPTION_COVERAGE},
    {"print-sites", no_argument, NULL, OPTION_PRINT_SITES},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void parse_options(int count, char **arguments, struct options *options) {
    int option;
    while ((option = getopt_long(count, arguments, "o:h", long_options, NULL)) != -1) {
        switch (option) {
        case 'o': options->directory = optarg; break;
        case OPTION_ALSO: *array_append(options->also, options->also_count) = optarg; break;
        case OPTION_JSON: options->json = true; break;
        case OPTION_COVERAGE: options->coverage = true; break;
        case OPTION_PRINT_SITES: options->print_sites = true; break;
        case 'h': fputs(help, stdout); exit(EXIT_FINE);
        default: fputs("Try 'policygen --help'.\n", stderr); exit(EXIT_ERROR);
        }
    }
    if (optind == count) {
        fputs("policygen: no program named\nTry 'policygen --help'.\n", stderr);
        exit(EXIT_ERROR);
    }
}

/* ---- Writing ---- */

static void write_text(const struct document *document, const char *path) {
    struct atomic_file file;
    if (!atomic_file_open(&file, path, 0644))
        die_with_error("cannot write \"%s\"", path);
    document_write_text(document, file.stream);
    if (!atomic_file_commit(&file))
        die_with_error("cannot write \"%s\"", path);
}

static void write_policy(const struct document *document, const char *directory) {
    cleanup_free char *stem = policy_file_stem(document->program);
    cleanup_free char *text = xasprintf("%s/%s.policy", directory, stem);
    cleanup_free char *binary = xasprintf("%s/%s.pinion", directory, stem);
    size_t size;
    cleanup_free void *compiled = document_compile(document, &size);
    if (mkdir(directory, 0755) != 0 && errno != EEXIST)
        die_with_error("cannot make directory \"%s\"", directory);
    write_text(document, text);
    if (!atomic_file_write(binary, 0644, compiled, size))
        die_with_error("cannot write \"%s\"", binary);
}

/* ---- One site a line, for tests ---- */

static void print_constraint(const struct site *site, const struct constraint *constraint) {
    const struct argument *argument = &api_table[site->api].arguments[constraint->argument];
    printf(" %s=", argument->name);
    for (size_t i = 0; i < constraint->value_count; i++) {
        char text[4096 + 64];
        value_format(&constraint->values[i], (enum argument_kind)argument->kind, text, sizeof text);
        printf("%s%s", i == 0 ? "" : ",", text);
    }
    if (constraint->any)
        printf("%sany(%s)", constraint->value_count == 0 ? "" : ",", constraint->why_any);
}

static void print_site(const struct site *site) {
    printf("  %s %s", site->function == NULL ? "-" : site->function, api_table[site->api].name);
    for (size_t i = 0; i < site->constraint_count; i++)
        print_constraint(site, &site->constraints[i]);
    printf("\n");
}

static void print_sites(const struct document *document) {
    for (size_t i = 0; i < document->module_count; i++) {
        const struct module *module = &document->modules[i];
        printf("%s\n", module->path);
        for (size_t j = 0; j < module->site_count; j++)
            print_site(&module->sites[j]);
        for (size_t j = 0; j < module->loose_count; j++)
            printf("  loose %s %s (%s)\n", api_table[module->loose[j].api].name,
                   module->loose[j].how == LOOSE_AFTER_ANY_CALL ? "after any call" : "after an indirect call",
                   module->loose[j].why);
    }
}

/* ---- */

static void make_policy(const struct options *options, const struct program *program, json_t *reports) {
    struct document document;
    cleanup_free struct coverage *coverage = xcalloc(program->module_count, sizeof *coverage);
    program_link(program, &document, coverage);
    if (options->directory != NULL)
        write_policy(&document, options->directory);
    if (options->print_sites)
        print_sites(&document);
    else if (options->json)
        json_array_append_new(reports, report_json(program, coverage));
    else if (options->coverage || options->directory == NULL)
        report_table(stdout, program, coverage);
    document_free(&document);
}

static const struct command {
    const char *name;
    int (*run)(int count, char **arguments);
} commands[] = {
    {"diff", diff_command},
};

int main(int count, char **arguments) {
    for (size_t i = 0; count > 1 && i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(arguments[1], commands[i].name) == 0)
            return commands[i].run(count - 1, arguments + 1);
    }
    struct options options = {0};
    parse_options(count, arguments, &options);
    struct loader loader = {.also = options.also, .also_count = options.also_count, .progress = isatty(STDERR_FILENO)};
    json_t *reports = json_array();
    int status = EXIT_FINE;
    for (int i = optind; i < count; i++) {
        struct program program;
        if (loader_program(&loader, arguments[i], &program))
            make_policy(&options, &program, reports);
        else
            status = EXIT_FINDINGS;
        program_free(&program);
    }
    if (options.json) {
        json_dumpf(reports, stdout, JSON_INDENT(2));
        printf("\n");
    }
    json_decref(reports);
    loader_free(&loader);
    free(options.also);
    if (fflush(stdout) != 0 || ferror(stdout))
        die_with_error("cannot write the report");
    return status;
}
