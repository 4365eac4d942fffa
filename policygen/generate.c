/* From the command line to policies and reports. Programs are linked and written on all processors; what is printed
 * keeps the order in which they were named.
 */
#include "policygen/commands.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "policygen/report.h"
#include "policygen/sites.h"
#include "policygen/survey.h"
#include "runtime/util.h"

static const char help[] =
    "Usage: policygen [OPTION]... PROGRAM...\n"
    "       policygen [OPTION]... --image ROOT\n"
    "       policygen diff OLD NEW         what a new version may do that the old one might not\n"
    "       policygen exposure POLICY...   what attackers could still make the programs do\n"
    "\n"
    "Analyses each PROGRAM, or every program below ROOT, with all libraries that it loads, writes what its calls of\n"
    "critical functions may pass as DIR/<name>.policy (text, to be read and changed) and DIR/<name>.pinion (what\n"
    "libpinion.so loads), and reports how much of it could be pinned down.\n"
    "\n"
    "In a Dockerfile, as the last line that changes programs or libraries:\n"
    "    RUN policygen --image / -o /etc/pinion\n"
    "or, for one service alone:\n"
    "    RUN policygen -o /etc/pinion /usr/sbin/nginx\n"
    "\n"
    "      --image ROOT   the image: libraries are looked for inside ROOT alone, links included, and policies carry\n"
    "                     paths as they are inside it; without a PROGRAM, all programs on ROOT's file system\n"
    "  -o, --output DIR   where the policies go; without it nothing is written, only reported\n"
    "      --also PATH    a library, or a directory of libraries, that the programs load by themselves (plug-ins) and\n"
    "                     that is not found from constants and name services; inside ROOT; may be given again\n"
    "      --cache DIR    keep what is known of each object there: the next run analyses only what has changed\n"
    "      --jobs N       use N processors (all)\n"
    "      --coverage     report coverage of each module even though policies are written\n"
    "      --json         report as JSON\n"
    "      --print-sites  print every call site with its rules, one a line\n"
    "  -h, --help         this text\n"
    "\n"
    "Reading the report: a site is a place that calls a critical function. Its argument is constrained where every\n"
    "value the program can pass there is known; all others may hold anything, for the reason that is printed. A\n"
    "loose function may also be called through pointers or tail calls from places that cannot be listed; \"pointers\" "
    "counts\n"
    "the listed places that are allowed for that reason alone, with any argument. A program that hands dlsym names\n"
    "that are not known makes all functions of the table loose: the report names the calls and what they cost.\n"
    "What cannot be protected (static and Go programs, scripts, other machines) is listed with the reason.\n"
    "\n"
    "Objects are known by their build-id; one without is known by a digest of its program headers and the first page\n"
    "of its code, and its summary in the cache by its content.\n"
    "\n"
    "Exit status: 0 fine, 1 a PROGRAM that was named cannot be protected, 2 error.\n";

struct options {
    const char *directory;
    bool json, coverage, print_sites;
    const char **also;
    struct survey_options survey;
};

enum long_option {
    OPTION_ALSO = 256,
    OPTION_JSON,
    OPTION_COVERAGE,
    OPTION_PRINT_SITES,
    OPTION_IMAGE,
    OPTION_CACHE,
    OPTION_JOBS,
};

static const struct option long_options[] = {
    {"output", required_argument, NULL, 'o'},
    {"also", required_argument, NULL, OPTION_ALSO},
    {"image", required_argument, NULL, OPTION_IMAGE},
    {"cache", required_argument, NULL, OPTION_CACHE},
    {"jobs", required_argument, NULL, OPTION_JOBS},
    {"json", no_argument, NULL, OPTION_JSON},
    {"coverage", no_argument, NULL, OPTION_COVERAGE},
    {"print-sites", no_argument, NULL, OPTION_PRINT_SITES},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

_Noreturn static void refuse(const char *message) {
    if (message != NULL)
        warn("%s", message);
    fputs("Try 'policygen --help'.\n", stderr);
    exit(EXIT_ERROR);
}

static unsigned parse_jobs(const char *text) {
    char *end;
    unsigned long jobs = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0 || jobs == 0 || jobs > 1024)
        refuse("--jobs takes a number from 1 to 1024");
    return (unsigned)jobs;
}

static void parse_options(int count, char **arguments, struct options *options) {
    int option;
    *options = (struct options){0};
    optind = 0;
    while ((option = getopt_long(count, arguments, "o:h", long_options, NULL)) != -1) {
        switch (option) {
        case 'o': options->directory = optarg; break;
        case OPTION_ALSO: *array_append(options->also, options->survey.also_count) = optarg; break;
        case OPTION_IMAGE: options->survey.root = optarg; break;
        case OPTION_CACHE: options->survey.cache = optarg; break;
        case OPTION_JOBS: options->survey.jobs = parse_jobs(optarg); break;
        case OPTION_JSON: options->json = true; break;
        case OPTION_COVERAGE: options->coverage = true; break;
        case OPTION_PRINT_SITES: options->print_sites = true; break;
        case 'h': fputs(help, stdout); exit(EXIT_FINE);
        default: refuse(NULL);
        }
    }
    options->survey.also = options->also;
    options->survey.programs = arguments + optind;
    options->survey.program_count = (size_t)(count - optind);
    if (options->survey.program_count == 0 && options->survey.root == NULL)
        refuse("no program named");
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
    write_text(document, text);
    if (!atomic_file_write(binary, 0644, compiled, size))
        die_with_error("cannot write \"%s\"", binary);
}

/* ---- Programs ---- */

/* What became of one program. */
struct outcome {
    const struct options *options;
    const struct subject *subject;
    struct program program;
    struct coverage *coverage; /* per module */
    char *sites;               /* what --print-sites prints */
};

static void link_one(void *context, void *made) {
    const struct options *options = context;
    struct outcome *outcome = made;
    struct document document;
    size_t length;
    loader_program(outcome->subject, &outcome->program);
    outcome->coverage = xcalloc(outcome->program.module_count, sizeof *outcome->coverage);
    program_link(&outcome->program, &document, outcome->coverage);
    if (options->directory != NULL)
        write_policy(&document, options->directory);
    if (options->print_sites) {
        FILE *out = xopen_memstream(&outcome->sites, &length);
        sites_print(&document, out);
        fclose(out);
    }
    document_free(&document);
}

static size_t weight_of(const struct subject *subject) {
    size_t weight = 0;
    for (size_t i = 0; i < subject->module_count; i++)
        weight += subject->modules[i].file->summary.header->size;
    return weight;
}

static struct outcome *link_all(const struct options *options, const struct survey *survey) {
    const struct loader *loader = &survey->loader;
    struct outcome *outcomes = xcalloc(loader->subject_count + 1, sizeof *outcomes);
    if (options->directory != NULL && mkdir(options->directory, 0755) != 0 && errno != EEXIST)
        die_with_error("cannot make directory \"%s\"", options->directory);
    for (size_t i = 0; i < loader->subject_count; i++) {
        const struct subject *subject = loader->subjects[i];
        outcomes[i].subject = subject;
        if (subject->problem == NULL)
            workers_add(survey->workers, (struct job){.run = link_one,
                                                      .context = (void *)options,
                                                      .subject = &outcomes[i],
                                                      .doing = "linking",
                                                      .name = subject->name,
                                                      .weight = weight_of(subject)});
    }
    workers_wait(survey->workers);
    return outcomes;
}

static void free_outcomes(struct outcome *outcomes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        program_free(&outcomes[i].program);
        free(outcomes[i].coverage);
        free(outcomes[i].sites);
    }
    free(outcomes);
}

/* ---- Reporting ---- */

static void hint_at_plugins(const struct loader *loader) {
    const struct subject *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < loader->subject_count; i++) {
        const struct subject *subject = loader->subjects[i];
        if (!subject_lacks_plugins(subject))
            continue;
        first = first == NULL ? subject : first;
        count++;
    }
    if (count == 1)
        warn("%s loads libraries whose names are not known, and none was found: name them with --also, or its calls "
             "from them will be refused",
             first->name);
    else if (count > 1)
        warn("%s and %zu other programs load libraries whose names are not known, and none was found: name them with "
             "--also, or calls from them will be refused (the report marks the programs)",
             first->name, count - 1);
}

static void report_as_json(const struct options *options, const struct outcome *outcomes, const struct survey *survey) {
    const struct loader *loader = &survey->loader;
    const struct image *image = &survey->image;
    json_t *reports = json_array();
    for (size_t i = 0; i < loader->subject_count; i++) {
        const struct subject *subject = outcomes[i].subject;
        if (subject->problem == NULL)
            json_array_append_new(
                reports, report_json(&outcomes[i].program, outcomes[i].coverage, subject_lacks_plugins(subject)));
        else if (options->survey.program_count > 0)
            json_array_append_new(reports, report_problem_json(subject->name, subject->problem));
    }
    for (size_t i = 0; i < image->unprotected_count; i++)
        json_array_append_new(reports, report_problem_json(image->unprotected[i].path, image->unprotected[i].why));
    json_dumpf(reports, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(reports);
}

static void report_as_text(const struct options *options, const struct outcome *outcomes, const struct survey *survey) {
    const struct loader *loader = &survey->loader;
    const struct image *image = &survey->image;
    bool whole_image = options->survey.program_count == 0;
    bool tables = options->coverage || (options->directory == NULL && !whole_image);
    bool rows = !tables && whole_image && !options->print_sites;
    if (rows)
        report_heading(stdout);
    for (size_t i = 0; i < loader->subject_count; i++) {
        const struct outcome *outcome = &outcomes[i];
        if (outcome->subject->problem != NULL)
            continue;
        if (options->print_sites)
            fputs(outcome->sites, stdout);
        else if (tables)
            report_table(stdout, &outcome->program, outcome->coverage, subject_lacks_plugins(outcome->subject));
        else if (rows)
            report_row(stdout, &outcome->program, outcome->coverage, subject_lacks_plugins(outcome->subject));
    }
    for (size_t i = 0; i < image->unprotected_count; i++)
        printf("not protected: %s: %s\n", image->unprotected[i].path, image->unprotected[i].why);
}

/* Programs that were named must be protectable; of an image it is only told. */
static int tell_problems(const struct options *options, const struct loader *loader) {
    int status = EXIT_FINE;
    for (size_t i = 0; options->survey.program_count > 0 && i < loader->subject_count; i++) {
        const struct subject *subject = loader->subjects[i];
        if (subject->problem == NULL)
            continue;
        warn("\"%s\" cannot be protected: %s", subject->name, subject->problem);
        status = EXIT_FINDINGS;
    }
    return status;
}

int generate_command(int count, char **arguments) {
    struct options options;
    struct survey survey;
    parse_options(count, arguments, &options);
    survey_make(&survey, &options.survey);
    struct outcome *outcomes = link_all(&options, &survey);
    int status = tell_problems(&options, &survey.loader);
    hint_at_plugins(&survey.loader);
    if (options.json)
        report_as_json(&options, outcomes, &survey);
    else
        report_as_text(&options, outcomes, &survey);
    free_outcomes(outcomes, survey.loader.subject_count);
    survey_free(&survey);
    free(options.also);
    return status;
}
