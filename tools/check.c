/* `pinion check`: looks for mistakes in policies, compares them with what is installed, and compiles them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/util.h"
#include "tools/findings.h"
#include "tools/json.h"
#include "tools/options.h"
#include "tools/policy_file.h"

static struct {
    const char *output;
    const char *program;
    const char *root;
    bool compile;
    bool ignore_files;
    bool json;
} settings = {.root = ""};

static const struct option_row options[] = {
    OPTION_TEXT("output", 'o', "DIR", &settings.output,
                "compile into this directory, under the names the shim looks for"),
    OPTION_FLAG("compile", 'c', &settings.compile, "compile each FILE.policy to FILE.pinion beside it"),
    OPTION_TEXT("program", 'P', "PATH", &settings.program,
                "compare with this program instead of the one at the policy's path"),
    OPTION_TEXT("root", 'r', "DIR", &settings.root, "the root of an image: programs and libraries are looked up there"),
    OPTION_FLAG("ignore-files", 0, &settings.ignore_files, "do not compare with programs and libraries"),
    OPTION_FLAG("json", 'j', &settings.json, "print one JSON object"),
};

static const char details[] =
    "FILE is a policy's text or its compiled form; a directory means every *.policy in it. A policy that was made for\n"
    "another build of its program or of a library is a finding; it is then not compiled. A program or library that is\n"
    "not there is none, except with --program.\n"
    "\n"
    "Exit status: 0 no mistake, 1 a mistake or a stale policy, 2 a file cannot be read or written.\n";

struct report {
    const char *path;
    struct policy_file policy;
    struct mistake mistake; /* text is empty when there was none */
    struct findings findings;
    char *compiled;
};

static void compare(struct report *report, const char *root, const char *path, const struct identity *identity,
                    bool must_exist) {
    struct identity found;
    switch (compare_with_file(identity, root, path, &found)) {
    case CHANGED: {
        cleanup_free char *text = describe_change(path, identity, &found);
        findings_add(&report->findings, WEIGHT_STALE, "stale", "%s", text);
        break;
    }
    case UNREADABLE:
        findings_add(&report->findings, must_exist ? WEIGHT_STALE : WEIGHT_WARNING, "unreadable",
                     "cannot compare with %s%s: it is not readable, or no ELF file", root, path);
        break;
    case MISSING:
        if (must_exist)
            findings_add(&report->findings, WEIGHT_MISSING, "missing", "%s%s is not there", root, path);
        break;
    default: break;
    }
}

static void compare_all(struct report *report) {
    const struct document *document = &report->policy.document;
    if (settings.program)
        compare(report, "", settings.program, &document->identity, true);
    else
        compare(report, settings.root, document->program, &document->identity, false);
    for (size_t i = 0; i < document->module_count; i++) {
        const struct module *module = &document->modules[i];
        if (!identity_equal(&module->identity, &document->identity))
            compare(report, settings.root, module->path, &module->identity, false);
    }
}

static void compile(struct report *report) {
    const struct policy_file *policy = &report->policy;
    if (settings.output && has_suffix(settings.output, POLICY_COMPILED_SUFFIX))
        report->compiled = xstrdup(settings.output);
    else if (settings.output)
        report->compiled = policy_path(settings.output, policy->document.program, POLICY_COMPILED_SUFFIX);
    else if (settings.compile && !policy->compiled)
        report->compiled = compiled_path(report->path);
    if (!report->compiled)
        return;
    if (!atomic_file_write(report->compiled, 0644, policy->image, policy->size))
        die_with_error("cannot write \"%s\"", report->compiled);
}

static void check_file(struct report *report) {
    if (access(report->path, R_OK) != 0)
        die_with_error("cannot read policy \"%s\"", report->path);
    if (!policy_load(report->path, &report->policy, &report->mistake)) {
        if (!report->mistake.text[0])
            snprintf(report->mistake.text, sizeof report->mistake.text, "it cannot be read");
        return;
    }
    if (!settings.ignore_files)
        compare_all(report);
    if (findings_worst(&report->findings) < WEIGHT_STALE)
        compile(report);
}

static size_t count_sites(const struct document *document) {
    size_t count = 0;
    for (size_t i = 0; i < document->module_count; i++)
        count += document->modules[i].site_count;
    return count;
}

static void print_report(const struct report *report) {
    if (report->mistake.text[0]) {
        if (report->mistake.line)
            warn("cannot read policy \"%s\" line %u: %s", report->path, report->mistake.line, report->mistake.text);
        else
            warn("cannot read policy \"%s\": %s", report->path, report->mistake.text);
        return;
    }
    for (size_t i = 0; i < report->findings.count; i++)
        warn("policy \"%s\": %s", report->path, report->findings.items[i].text);
    const struct document *document = &report->policy.document;
    if (findings_worst(&report->findings) >= WEIGHT_STALE)
        return;
    printf("%s: fine, %s, %zu modules, %zu sites, mode %s", report->path, document->program, document->module_count,
           count_sites(document), mode_name(document->mode));
    printf(report->compiled ? ", compiled to %s\n" : "\n", report->compiled);
}

static json_t *report_json(const struct report *report) {
    json_t *object = json_pack("{s:o}", "file", json_text(report->path));
    if (report->mistake.text[0]) {
        json_object_set_new(
            object, "mistake",
            json_pack("{s:i, s:o}", "line", (int)report->mistake.line, "text", json_text(report->mistake.text)));
        return object;
    }
    const struct document *document = &report->policy.document;
    json_object_set_new(object, "program", json_text(document->program));
    json_object_set_new(object, "build_id", json_identity(&document->identity));
    json_object_set_new(object, "mode", json_string(mode_name(document->mode)));
    json_object_set_new(object, "modules", json_integer((json_int_t)document->module_count));
    json_object_set_new(object, "sites", json_integer((json_int_t)count_sites(document)));
    json_object_set_new(object, "findings", findings_json(&report->findings));
    json_object_set_new(object, "compiled", json_text(report->compiled));
    return object;
}

static bool check_one(const char *path, json_t *list) {
    struct report report = {.path = path};
    check_file(&report);
    bool fine = !report.mistake.text[0] && findings_worst(&report.findings) < WEIGHT_STALE;
    if (settings.json)
        json_array_append_new(list, report_json(&report));
    else
        print_report(&report);
    policy_unload(&report.policy);
    findings_free(&report.findings);
    free(report.compiled);
    return fine;
}

static bool check_directory(const char *path, json_t *list) {
    struct path_list files = list_directory(path, POLICY_TEXT_SUFFIX);
    bool fine = true;
    for (size_t i = 0; i < files.count; i++)
        fine = check_one(files.items[i], list) && fine;
    path_list_free(&files);
    return fine;
}

int verb_check(const struct verb *verb, int argc, char **argv) {
    struct usage usage = {.verb = verb,
                          .arguments = "FILE...",
                          .details = details,
                          .options = options,
                          .option_count = sizeof options / sizeof options[0]};
    size_t words = options_read(&usage, argc, argv);
    if (words == 0)
        options_mistake(&usage, "which policy?");
    if (settings.program && (words > 1 || is_directory(argv[1])))
        options_mistake(&usage, "--program goes with one policy");
    if (settings.output && !has_suffix(settings.output, POLICY_COMPILED_SUFFIX) && mkdir(settings.output, 0755) != 0 &&
        errno != EEXIST)
        die_with_error("cannot make the directory \"%s\"", settings.output);
    json_t *list = json_array();
    bool fine = true;
    for (size_t i = 1; i <= words; i++)
        fine = (is_directory(argv[i]) ? check_directory(argv[i], list) : check_one(argv[i], list)) && fine;
    if (settings.json)
        json_print(json_pack("{s:b, s:O}", "fine", fine, "policies", list));
    json_decref(list);
    return fine ? EXIT_FINE : EXIT_FINDINGS;
}
