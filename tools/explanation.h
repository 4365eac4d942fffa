/* Everything there is to say about one denial, gathered from the log line, the program's file and the policy. Each
 * of the latter two may be missing: the explanation then says so.
 */
#ifndef PINION_TOOLS_EXPLANATION_H
#define PINION_TOOLS_EXPLANATION_H

#include "tools/denial.h"
#include "tools/disassembly.h"
#include "tools/policy_file.h"

struct allowed_row {
    char *value;
    enum origin origin;
    char *why_not; /* why the denied value is not this one; NULL when it is not known */
};

/* What to write into the policy's text to allow this. */
struct edit {
    char *file;
    unsigned line; /* 0: not found there */
    char *place;   /* "in the group `command` of this site" */
    char *text;    /* exactly what to write; NULL when no policy can allow it */
};

enum {
    CHOICE_ATTACK,
    CHOICE_LEARN,
    CHOICE_EDIT,
    CHOICE_COUNT
};

struct explanation {
    const struct denial *denial;
    char *call;
    char *function; /* "handler+0x12", or NULL */
    struct listing listing;
    char *code_note;   /* why there is no listing, or NULL */
    char *policy_path; /* or NULL */
    char *policy_note; /* what is wrong with the policy, or NULL */
    struct policy_file policy;
    const struct module *module; /* of the policy, or NULL */
    const struct site *site;     /* likewise */
    struct allowed_row *rows;    /* what the denied argument may be */
    size_t row_count;
    bool allowed_now; /* the policy as it stands allows the value */
    struct edit edit;
    char *choices[CHOICE_COUNT];
};

struct explain_place {
    const char *policy; /* a file, or NULL */
    const char *directory;
    const char *root; /* put before the paths of programs */
};

void explanation_make(struct explanation *explanation, const struct denial *denial, const struct explain_place *place);
void explanation_free(struct explanation *explanation);

#endif
