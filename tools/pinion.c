/* The command `pinion`: a table of verbs, and nothing else. Each verb is a file of its own. */
#include <stdio.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/verb.h"

static const struct verb verbs[] = {
    {"run", "start a program under its policy", verb_run},
    {"learn", "run a program and record what its policy does not know yet", verb_learn},
    {"merge", "fold records of learning runs into a policy", verb_merge},
    {"check", "look for mistakes in policies and compile them", verb_check},
    {"show", "print what a policy allows", verb_show},
    {"explain", "say what a denial means and what to do", verb_explain},
    {"counts", "show live what a process or a container calls", verb_counts},
    {"record", "run a program and write what it calls, interval by interval", verb_record},
    {"train", "make a model of normal operation from recorded counts", verb_train},
    {"score", "score recorded counts with a model", verb_score},
    {"evaluate", "measure detection on recorded attacks", verb_evaluate},
    {"doctor", "say whether programs can be protected, and whether they are", verb_doctor},
    {"signature", "name the attack that a recording shows, or learn it", verb_signature},
    {"events", "listen for anomalies and refused calls of protected programs", verb_events},
    {"recipe", "write, sign and look at what fixes a vulnerability", verb_recipe},
    {"patchd", "the patch helper: from an alarm to the package that fixes it", verb_patchd},
    {"patch", "apply a recipe by hand, or answer what the patch helper asks", verb_patch},
    {"incidents", "show what the patch helper met, and what it did about it", verb_incidents},
};

enum {
    VERB_COUNT = sizeof verbs / sizeof verbs[0]
};

static void print_help(FILE *out) {
    fputs("Usage: pinion VERB [OPTION...] ...\n\nVerbs:\n", out);
    for (size_t i = 0; i < VERB_COUNT; i++)
        fprintf(out, "  %-10s%s\n", verbs[i].name, verbs[i].summary);
    fputs("\n`pinion VERB --help` tells more. Exit status: 0 fine, 1 something was found, 2 error.\n", out);
}

static _Noreturn void unknown_verb(const char *word) {
    struct nearest nearest = nearest_begin(word);
    for (size_t i = 0; i < VERB_COUNT; i++)
        nearest_offer(&nearest, verbs[i].name);
    if (nearest.best)
        die("unknown verb \"%s\" (did you mean \"%s\"?)", word, nearest.best);
    die("unknown verb \"%s\": pinion --help lists them", word);
}

int main(int argc, char **argv) {
    const char *word = argc > 1 ? argv[1] : "";
    if (argc < 2) {
        print_help(stderr);
        return EXIT_ERROR;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_help(stdout);
        return fflush(stdout) == 0 ? EXIT_FINE : EXIT_ERROR;
    }
    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (strcmp(verbs[i].name, word) != 0)
            continue;
        int status = verbs[i].handler(&verbs[i], argc - 1, argv + 1);
        if (fflush(stdout) != 0 || ferror(stdout))
            die_with_error("cannot write the output");
        return status;
    }
    unknown_verb(word);
}
