/* Whether a program can be protected, and is: the questions behind `doctor`, which `run` asks as well. */
#ifndef PINION_TOOLS_SUBJECT_H
#define PINION_TOOLS_SUBJECT_H

#include "tools/findings.h"
#include "tools/policy_file.h"

/* What no in-process protection can see, in one sentence a user can read. */
extern const char threat_model_sentence[];

struct subject {
    char *given;   /* the file that was asked about: canonical path */
    char *program; /* the program that runs: `given`, or for a script its interpreter; NULL when there is none */
    struct findings findings;
};

/* Where the shim looks for policies. `file` goes first. */
struct policy_place {
    const char *directory;
    const char *file;
};

/* A program as execvp would find it: canonical path, or NULL with errno. */
char *find_program(const char *word);

/* The shim: `given`, or the one that belongs to the running `pinion`. NULL when there is none. */
char *find_shim(const char *given);

/* Everything that follows from the program's file. `root` is put before all paths: "" or /proc/PID/root. */
void examine_program(struct subject *subject, const char *root, const char *path);
/* The policy that the shim would use for subject->program, and whether it still fits. Returns the policy's path, or
 * NULL when there is none that can be used. */
char *examine_policy(struct subject *subject, const char *root, const struct policy_place *place);
void examine_shim(struct findings *findings, const char *shim);
void subject_free(struct subject *subject);

#endif
