/* `pinion run`: starts a program under its policy, after making sure that this protects it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/launch.h"
#include "tools/options.h"
#include "tools/subject.h"

static struct {
    const char *directory;
    const char *policy;
    const char *log;
    const char *mode;
    const char *shim;
    bool unprotected_ok;
} settings;

static const struct option_row options[] = {
    OPTION_TEXT("policy-dir", 'd', "DIR", &settings.directory,
                "where the policies of all programs are (default PINION_POLICY_DIR, else " POLICY_DIRECTORY ")"),
    OPTION_TEXT("policy", 'p', "FILE", &settings.policy, "one compiled policy, for the program it was made for"),
    OPTION_TEXT("log", 'l', "FILE", &settings.log, "append denials to FILE (default: standard error)"),
    OPTION_TEXT("mode", 'm', "MODE", &settings.mode,
                "enforce or audit; may make a policy stricter, never more lenient"),
    OPTION_TEXT("shim", 0, "FILE", &settings.shim, "the shim (default: the libpinion.so that belongs to this command)"),
    OPTION_FLAG("unprotected-ok", 0, &settings.unprotected_ok,
                "start the program even if it cannot be protected; says why on standard error"),
};

static const char details[] =
    "The program and all programs it starts run with the shim loaded first and keep what LD_PRELOAD held before.\n"
    "Before that `run` asks what `pinion doctor` asks and refuses a program that would not be protected.\n"
    "A model that lies in the directory of policies as pinion.model, or that PINION_MODEL names, scores what they "
    "call.\n"
    "\n"
    "Exit status: that of COMMAND; 1 when it would not be protected, 2 when it cannot be started.\n";

static void check_mode(const struct usage *usage, const char *policy_path_used) {
    if (!settings.mode)
        return;
    if (strcmp(settings.mode, "enforce") != 0 && strcmp(settings.mode, "audit") != 0)
        options_mistake(usage, "unknown mode \"%s\": enforce or audit", settings.mode);
    struct policy_file policy;
    struct mistake mistake = {0};
    if (strcmp(settings.mode, "audit") != 0 || !policy_path_used || !policy_load(policy_path_used, &policy, &mistake))
        return;
    if (policy.document.mode == MODE_ENFORCE)
        die("the mode of \"%s\" is enforce, and --mode may only make it stricter: to audit, write mode = \"audit\" in "
            "the policy and compile it",
            policy_path_used);
    policy_unload(&policy);
}

/* Says what stands in the way; returns whether something does. */
static bool report_obstacles(const struct findings *findings) {
    bool found = false;
    for (size_t i = 0; i < findings->count; i++) {
        if (findings->items[i].weight < WEIGHT_STALE)
            continue;
        warn("%s", findings->items[i].text);
        found = true;
    }
    return found;
}

static bool is_protectable(const char *program, const char *shim, const struct usage *usage) {
    struct subject subject;
    struct policy_place place = {.directory = settings.directory, .file = settings.policy};
    examine_program(&subject, "", program);
    examine_shim(&subject.findings, shim);
    cleanup_free char *policy = examine_policy(&subject, "", &place);
    check_mode(usage, policy);
    bool obstacles = report_obstacles(&subject.findings);
    subject_free(&subject);
    return !obstacles;
}

/* What the command line leaves open is as our own environment has it. */
static void choose_policies(void) {
    if (!settings.directory && !settings.policy)
        settings.policy = getenv("PINION_POLICY");
    if (!settings.policy)
        settings.directory = policy_directory(settings.directory);
}

int verb_run(const struct verb *verb, int argc, char **argv) {
    struct usage usage = {.verb = verb,
                          .arguments = "[--] COMMAND [ARGUMENT...]",
                          .details = details,
                          .options = options,
                          .option_count = sizeof options / sizeof options[0],
                          .stops_at_command = true};
    if (options_read(&usage, argc, argv) == 0)
        options_mistake(&usage, "which command?");
    char **command = argv + 1;
    if (settings.directory && settings.policy)
        options_mistake(&usage, "--policy and --policy-dir exclude one another");
    choose_policies();
    cleanup_free char *program = find_program(command[0]);
    if (!program)
        die_with_error("cannot find the program \"%s\"", command[0]);
    cleanup_free char *shim = find_shim(settings.shim);
    if (!is_protectable(program, shim, &usage)) {
        if (!settings.unprotected_ok) {
            warn("%s would not be protected and was not started (--unprotected-ok starts it all the same)", program);
            return EXIT_FINDINGS;
        }
        warn("%s is started although it is not protected", program);
    }
    if (shim) {
        struct launch launch = {.shim = shim,
                                .policy = settings.policy,
                                .directory = settings.directory,
                                .log = settings.log,
                                .mode = settings.mode};
        launch_prepare(&launch);
    }
    execvp(command[0], command);
    die_with_error("cannot start \"%s\"", command[0]);
}
