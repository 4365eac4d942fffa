/* The signature database: libconfig text, one entry for each vulnerability with what its attacks looked like. It is
 * meant to be read, reviewed and kept under version control.
 */
#ifndef PINION_TOOLS_SIGNATURES_H
#define PINION_TOOLS_SIGNATURES_H

#include <stdio.h>

#include "runtime/document.h"
#include "tools/evidence.h"

#define RECORDINGS_MOST 64 /* of one vulnerability */

struct signature_entry {
    char *name;                   /* unique */
    char *cve, *package, *recipe; /* NULL where not known */
    struct evidence *recordings;  /* one for each recorded attack, at least one */
    size_t recording_count;
};

struct signatures {
    unsigned top; /* calls in a digest */
    struct signature_entry *entries;
    size_t count;
};

void signatures_init(struct signatures *signatures); /* empty, SIGNATURE_TOP */
void signatures_free(struct signatures *signatures);

/* Return false and fill `mistake`; nothing is left to release then. */
bool signatures_parse(const char *text, struct signatures *signatures, struct mistake *mistake);
bool signatures_read(const char *path, struct signatures *signatures, struct mistake *mistake);
/* Ends the program with a message. */
void signatures_read_or_die(const char *path, struct signatures *signatures);

/* Entries ordered by name; the same entries give the same text. */
void signatures_write(const struct signatures *signatures, FILE *out);

/* The entry of this name, or NULL. */
struct signature_entry *signatures_find(const struct signatures *signatures, const char *name);

enum learned {
    LEARNED_ENTRY,     /* a new entry */
    LEARNED_RECORDING, /* one more recording of a known one */
    LEARNED_NOTHING,   /* the entry has this very recording */
    LEARNED_TOO_MANY,  /* it has RECORDINGS_MOST */
};

/* Adds a copy of a recorded attack under a name. */
enum learned signatures_learn(struct signatures *signatures, const char *name, const struct evidence *evidence);

#endif
