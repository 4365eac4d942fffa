/* The fields of incidents and steps as data: columns of the journal, keys of JSON and what is to be freed all come from
 * these tables. Nothing here knows of SQLite.
 */
#ifndef PINION_TOOLS_PATCH_FIELDS_H
#define PINION_TOOLS_PATCH_FIELDS_H

#include "tools/patch/journal.h"

enum field_kind {
    FIELD_IDENTIFIER, /* int64_t, given by the journal */
    FIELD_TIME,       /* int64_t */
    FIELD_INTEGER,    /* int64_t */
    FIELD_SIZE,       /* uint64_t */
    FIELD_NUMBER,     /* unsigned, uid_t */
    FIELD_PROCESS,    /* pid_t */
    FIELD_BOOL,       /* bool */
    FIELD_REAL,       /* double, finite */
    FIELD_TEXT,       /* char *, owned, or NULL */
    FIELD_STATE,      /* enum incident_state, as its word */
    FIELD_CLAIM,      /* enum claim, as its word */
    FIELD_EVENT,      /* struct event, as its bytes */
    FIELD_KINDS,
};

struct field {
    const char *name;
    enum field_kind kind;
    bool fixed; /* never changed by journal_update */
    size_t offset;
};

struct fields {
    const struct field *items;
    size_t count;
};

extern const struct fields incident_fields, step_fields;

static inline void *field_of(const struct field *field, const void *record) {
    return (char *)record + field->offset;
}

/* The index of a word, or -1. */
int incident_state_of(const char *word);
int claim_of(const char *word);

#endif
