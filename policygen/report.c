/* Formats coverage, as a table for people and as JSON for programs. */
#include "policygen/report.h"

#include <string.h>

#include "policygen/entries.h"
#include "runtime/util.h"

static const char lacking_plugins[] =
    "        it loads libraries whose names are not known, and none was found: name them with --also\n";

static void add_counts(struct coverage *sum, const struct coverage *coverage) {
    sum->sites += coverage->sites;
    sum->constrained_sites += coverage->constrained_sites;
    sum->loose += coverage->loose;
    sum->pointed += coverage->pointed;
    sum->calls += coverage->calls;
    sum->tails += coverage->tails;
    sum->unknown_lookups += coverage->unknown_lookups;
    sum->loosened += coverage->loosened;
    sum->loosened_tails += coverage->loosened_tails;
    sum->loosened_apis += coverage->loosened_apis;
    sum->open_tails += coverage->open_tails;
    sum->arguments.set += coverage->arguments.set;
    sum->arguments.masked += coverage->arguments.masked;
    sum->arguments.any += coverage->arguments.any;
    for (unsigned i = 0; i < UNKNOWN_COUNT; i++)
        sum->unknown[i] += coverage->unknown[i];
}

static struct coverage total(const struct program *program, const struct coverage *coverage) {
    struct coverage sum = {0};
    for (size_t i = 0; i < program->module_count; i++)
        add_counts(&sum, &coverage[i]);
    return sum;
}

static double percent(size_t part, size_t whole) {
    return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}

static size_t argument_total(const struct coverage *coverage) {
    return coverage->arguments.set + coverage->arguments.masked + coverage->arguments.any;
}

static void print_row(FILE *out, const char *name, const struct coverage *coverage) {
    size_t known = coverage->arguments.set + coverage->arguments.masked;
    fprintf(out, "%7zu %7zu %6.1f %% %9zu %7zu %6.1f %% %6zu %9zu  %s\n", coverage->sites, coverage->constrained_sites,
            percent(coverage->constrained_sites, coverage->sites), argument_total(coverage), known,
            percent(known, argument_total(coverage)), coverage->loose, coverage->pointed, name);
}

/* ---- What dlsym with names that are not known costs ---- */

static char *describe_lookup(const struct program *program, const struct lookup *lookup) {
    const struct program_module *module = &program->modules[lookup->module];
    const struct summary *summary = module->summary;
    const struct summary_call *call = lookup->call;
    const char *slash = strrchr(module->path, '/'), *name = slash == NULL ? module->path : slash + 1;
    const char *function =
        call->function < summary->functions_count ? summary_text(summary, summary->functions[call->function].name) : "";
    if (function[0] != 0)
        return xasprintf("%s in %s", function, name);
    return xasprintf("0x%x in %s", call->return_address, name);
}

static void print_places(FILE *out, const struct entries *entries, bool described) {
    const char *separator = " ";
    for (size_t i = 0; i < entries->lookup_count; i++) {
        if (entries->lookups[i].described != described)
            continue;
        cleanup_free char *text = describe_lookup(entries->program, &entries->lookups[i]);
        fprintf(out, "%s%s", separator, text);
        separator = ", ";
    }
    fprintf(out, "\n");
}

static void print_lookups(FILE *out, const struct program *program, const struct coverage *sum) {
    struct entries entries;
    bool described = false;
    entries_find(&entries, program);
    for (size_t i = 0; i < entries.lookup_count; i++)
        described |= entries.lookups[i].described;
    if (described) {
        fprintf(out, "taken from lookups.def, which names are given to dlsym:");
        print_places(out, &entries, true);
    }
    if (entries.unknown) {
        fprintf(out, "dlsym with names that are not known makes %zu functions loose and %zu arguments unknown:",
                sum->loosened_apis, sum->loosened);
        print_places(out, &entries, false);
    }
    entries_free(&entries);
}

static json_t *lookups_json(const struct entries *entries, bool described) {
    json_t *list = json_array();
    for (size_t i = 0; i < entries->lookup_count; i++) {
        if (entries->lookups[i].described != described)
            continue;
        cleanup_free char *text = describe_lookup(entries->program, &entries->lookups[i]);
        json_array_append_new(list, json_string(text));
    }
    return list;
}

/* ---- Tables and JSON ---- */

void report_heading(FILE *out) {
    fprintf(out, "  sites  constrained    arguments  constrained     loose  pointers  program\n");
}

void report_row(FILE *out, const struct program *program, const struct coverage *coverage, bool lacks_plugins) {
    struct coverage sum = total(program, coverage);
    print_row(out, program->modules[0].path, &sum);
    if (lacks_plugins)
        fprintf(out, "%s", lacking_plugins);
}

void report_table(FILE *out, const struct program *program, const struct coverage *coverage, bool lacks_plugins) {
    struct coverage sum = total(program, coverage);
    fprintf(out, "%s\n", program->modules[0].path);
    fprintf(out, "  sites  constrained    arguments  constrained     loose  pointers  module\n");
    for (size_t i = 0; i < program->module_count; i++) {
        if (coverage[i].sites + coverage[i].loose + coverage[i].pointed > 0)
            print_row(out, program->modules[i].path, &coverage[i]);
    }
    print_row(out, "in all", &sum);
    fprintf(out, "arguments that stay unknown, by reason:");
    const char *separator = " ";
    for (unsigned i = 0; i < UNKNOWN_COUNT; i++) {
        if (sum.unknown[i] > 0) {
            fprintf(out, "%s%s %zu", separator, unknown_text((enum unknown)i), sum.unknown[i]);
            separator = ", ";
        }
    }
    fprintf(out, "\n");
    print_lookups(out, program, &sum);
    if (lacks_plugins)
        fprintf(out, "%s", lacking_plugins);
}

static json_t *counts_json(const struct coverage *coverage) {
    json_t *unknown = json_object();
    for (unsigned i = 0; i < UNKNOWN_COUNT; i++) {
        if (coverage->unknown[i] > 0)
            json_object_set_new(unknown, unknown_text((enum unknown)i), json_integer((json_int_t)coverage->unknown[i]));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "sites",
                     (json_int_t)coverage->sites, "constrained_sites", (json_int_t)coverage->constrained_sites, "loose",
                     (json_int_t)coverage->loose, "through_pointers", (json_int_t)coverage->pointed, "calls",
                     (json_int_t)coverage->calls, "tails", (json_int_t)coverage->tails, "open_tails",
                     (json_int_t)coverage->open_tails, "loosened_tails", (json_int_t)coverage->loosened_tails,
                     "arguments_known", (json_int_t)coverage->arguments.set, "arguments_masked",
                     (json_int_t)coverage->arguments.masked, "arguments_unknown", (json_int_t)coverage->arguments.any,
                     "unknown_by_reason", unknown);
}

json_t *report_json(const struct program *program, const struct coverage *coverage, bool lacks_plugins) {
    struct coverage sum = total(program, coverage);
    struct entries entries;
    json_t *modules = json_array();
    for (size_t i = 0; i < program->module_count; i++) {
        json_t *counts = counts_json(&coverage[i]);
        json_object_set_new(counts, "path", json_string(program->modules[i].path));
        json_array_append_new(modules, counts);
    }
    entries_find(&entries, program);
    json_t *report =
        json_pack("{s:s, s:o, s:b, s:o, s:o, s:I, s:I, s:o}", "program", program->modules[0].path, "total",
                  counts_json(&sum), "lacks_plugins", lacks_plugins, "unknown_lookups", lookups_json(&entries, false),
                  "described_lookups", lookups_json(&entries, true), "loosened_functions",
                  (json_int_t)sum.loosened_apis, "loosened_arguments", (json_int_t)sum.loosened, "modules", modules);
    entries_free(&entries);
    return report;
}

json_t *report_problem_json(const char *path, const char *problem) {
    return json_pack("{s:s, s:s}", "program", path, "not_protected", problem);
}
