/* `pinion doctor`: says for programs and processes whether Pinion can protect them, whether it does, and what it
 * cannot see. It looks, it changes nothing.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/util.h"
#include "tools/counts_view.h"
#include "tools/json.h"
#include "tools/model_view.h"
#include "tools/options.h"
#include "tools/process.h"
#include "tools/subject.h"

static struct {
    const char *directory;
    const char *shim;
    bool json;
} settings;

static const struct option_row options[] = {
    OPTION_TEXT("policy-dir", 'd', "DIR", &settings.directory,
                "where policies are (default PINION_POLICY_DIR, else " POLICY_DIRECTORY ")"),
    OPTION_TEXT("shim", 0, "FILE", &settings.shim, "the shim (default: the libpinion.so that belongs to this command)"),
    OPTION_FLAG("json", 'j', &settings.json, "print one JSON object"),
};

static const char details[] =
    "Each PROGRAM (a path, or a name that is looked up in PATH) is asked: is it static, 32-bit, set-user-ID,\n"
    "a script, a Go program, built with a sanitizer, linked with an unknown libc? Has it a policy, and does that\n"
    "still fit the program and every library? Is there a model, and can it be used? Each PID is asked in addition: is\n"
    "the shim loaded there, with which policy, does it score with that model?\n"
    "\n"
    "Exit status: 0 everything can be protected, 1 something cannot or its policy is stale, 2 error.\n";

/* One program or process that was asked about. */
struct report {
    const char *asked;
    struct subject subject;
    char *policy;
    char *model;            /* what it is, or NULL */
    struct process process; /* pid is 0 for a program */
};

static void examine_running(struct report *report) {
    const struct process *process = &report->process;
    struct findings *findings = &report->subject.findings;
    if (!process->shim)
        findings_add(findings, WEIGHT_UNPROTECTABLE, "not-loaded",
                     "the shim is not loaded in process %d: it was started without it", (int)process->pid);
    else if (process->shim_deleted)
        findings_add(findings, WEIGHT_WARNING, "old-shim",
                     "process %d runs a shim whose file was replaced since: restart it", (int)process->pid);
    if (process->program_deleted)
        findings_add(findings, WEIGHT_STALE, "old-program",
                     "process %d runs a program whose file was replaced since: restart it", (int)process->pid);
}

/* Where the processes of a container cannot add up their calls, each is scored by its own. */
static void examine_counts(struct findings *findings, const struct process *process, const char *page) {
    if (page && !*page)
        findings_add(findings, WEIGHT_WARNING, "own-counts",
                     "process %d counts for itself and its children: the page that the container shares could not be "
                     "used when it started",
                     (int)process->pid);
}

/* The page as a program started now would find it. */
static void examine_page(struct findings *findings, const char *path) {
    const char *problem;
    const struct counts_page *page = *path ? counts_view_open(path, &problem) : NULL;
    if (page) {
        counts_view_close(page);
        return;
    }
    cleanup_free char *directory = xstrndup(path, base_name(path) - path);
    if (*path && access(path, F_OK) != 0 && access(directory, W_OK) == 0)
        return; /* the first process makes it */
    findings_add(findings, WEIGHT_WARNING, "own-counts",
                 "processes will each count for themselves: the page \"%s\" that a container shares cannot be used: %s",
                 path, *path ? problem : "none is wanted");
}

static bool report_process(struct report *report, pid_t pid) {
    if (!process_read(&report->process, pid)) {
        warn("cannot look at process %d: %s", (int)pid, strerror(errno));
        return false;
    }
    const struct process *process = &report->process;
    examine_program(&report->subject, process->root, process->program);
    struct policy_place place = {.directory = settings.directory};
    cleanup_free char *directory = NULL;
    cleanup_free char *file = NULL;
    if (process->policy && !place.directory)
        place.file = file = xasprintf("%s%s", process->root, process->policy);
    else if (process->policy_directory && !place.directory)
        place.directory = directory = xasprintf("%s%s", process->root, process->policy_directory);
    cleanup_free char *fallback = xasprintf("%s" POLICY_DIRECTORY, process->root);
    if (!place.directory)
        place.directory = fallback;
    examine_running(report);
    cleanup_free char *page = process_counts_page(pid);
    examine_counts(&report->subject.findings, process, page);
    report->policy = examine_policy(&report->subject, process->root, &place);
    const char *models = process->policy_directory ? process->policy_directory : POLICY_DIRECTORY;
    struct model_place model = {.root = process->root, .given = process->model, .directory = models};
    report->model = examine_model(&report->subject.findings, &model, process, page);
    return true;
}

static bool report_program(struct report *report) {
    cleanup_free char *path = find_program(report->asked);
    if (!path) {
        warn("cannot find the program \"%s\": %s", report->asked, strerror(errno));
        return false;
    }
    examine_program(&report->subject, "", path);
    char default_page[COUNTS_PATH_BYTES];
    const char *page = getenv("PINION_COUNTS");
    counts_default_path(default_page);
    page = page ? page : default_page;
    examine_page(&report->subject.findings, page);
    struct policy_place place = {.directory = policy_directory(settings.directory)};
    report->policy = examine_policy(&report->subject, "", &place);
    struct model_place model = {.root = "", .given = getenv("PINION_MODEL"), .directory = place.directory};
    report->model = examine_model(&report->subject.findings, &model, &report->process, page);
    return true;
}

static bool is_number(const char *word) {
    return *word && word[strspn(word, "0123456789")] == '\0';
}

static const char *answer(const struct report *report) {
    switch (findings_worst(&report->subject.findings)) {
    case WEIGHT_UNPROTECTABLE:
        return report->process.pid && report->process.shim == NULL ? "NOT protected" : "cannot be protected";
    case WEIGHT_STALE:
    case WEIGHT_MISSING: return report->process.pid ? "protection is stale" : "can be protected, but not as it stands";
    default: return report->process.pid ? "is protected" : "can be protected";
    }
}

static void print_report(const struct report *report) {
    if (report->process.pid)
        printf("process %d, %s: %s\n", (int)report->process.pid, report->subject.given, answer(report));
    else
        printf("%s: %s\n", report->subject.given, answer(report));
    findings_print(&report->subject.findings);
    if (report->policy)
        printf("  policy: %s\n", report->policy);
    if (report->model)
        printf("  model: %s\n", report->model);
    if (report->process.pid && report->process.shim)
        printf("  shim: %s\n", report->process.shim);
}

static json_t *report_json(const struct report *report) {
    enum weight worst = findings_worst(&report->subject.findings);
    json_t *object = json_pack("{s:o, s:o, s:b, s:b, s:o, s:o, s:o}", "asked", json_text(report->asked), "program",
                               json_text(report->subject.program), "protectable", worst != WEIGHT_UNPROTECTABLE,
                               "current", worst < WEIGHT_STALE, "policy", json_text(report->policy), "model",
                               json_text(report->model), "findings", findings_json(&report->subject.findings));
    if (report->process.pid) {
        json_object_set_new(object, "pid", json_integer(report->process.pid));
        json_object_set_new(object, "shim", json_text(report->process.shim));
    }
    return object;
}

static void report_free(struct report *report) {
    subject_free(&report->subject);
    process_free(&report->process);
    free(report->policy);
    free(report->model);
}

int verb_doctor(const struct verb *verb, int argc, char **argv) {
    struct usage usage = {.verb = verb,
                          .arguments = "PROGRAM|PID...",
                          .details = details,
                          .options = options,
                          .option_count = sizeof options / sizeof options[0]};
    size_t words = options_read(&usage, argc, argv);
    if (words == 0)
        options_mistake(&usage, "which program or process?");
    struct findings shim_findings = {0};
    cleanup_free char *shim = find_shim(settings.shim);
    examine_shim(&shim_findings, shim);
    enum weight worst = findings_worst(&shim_findings);
    json_t *list = json_array();
    bool missing = false;
    for (size_t i = 1; i <= words; i++) {
        struct report report = {.asked = argv[i]};
        if (is_number(argv[i]) ? report_process(&report, (pid_t)strtol(argv[i], NULL, 10)) : report_program(&report)) {
            if (findings_worst(&report.subject.findings) > worst)
                worst = findings_worst(&report.subject.findings);
            if (settings.json)
                json_array_append_new(list, report_json(&report));
            else
                print_report(&report);
        } else {
            missing = true;
        }
        report_free(&report);
    }
    if (settings.json) {
        json_print(json_pack("{s:O, s:o, s:o, s:s}", "subjects", list, "shim", json_text(shim), "shim_findings",
                             findings_json(&shim_findings), "not_protected", threat_model_sentence));
    } else {
        if (shim_findings.count)
            printf("the shim%s%s:\n", shim ? " " : "", shim ? shim : "");
        findings_print(&shim_findings);
        printf("\n%s\n", threat_model_sentence);
    }
    json_decref(list);
    findings_free(&shim_findings);
    if (missing)
        return EXIT_ERROR;
    return worst >= WEIGHT_STALE ? EXIT_FINDINGS : EXIT_FINE;
}
