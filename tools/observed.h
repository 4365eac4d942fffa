/* What learning runs observed: the facts of any number of records, with the paths of programs and modules. */
#ifndef PINION_TOOLS_OBSERVED_H
#define PINION_TOOLS_OBSERVED_H

#include "runtime/document.h"

/* A fact about one site: it was reached, passed a value, or started a child unprotected. */
struct fact {
    struct identity program, module;
    uint32_t offset;
    uint16_t api;
    uint8_t argument;   /* index, RECORD_SITE or RECORD_CHILD */
    struct value value; /* unless RECORD_SITE; its text belongs to the fact */
};

struct named {
    struct identity identity;
    char *path;
};

struct observed {
    struct fact *facts;
    size_t fact_count;
    struct named *programs;
    size_t program_count;
    struct named *modules;
    size_t module_count;
    uint64_t lost;     /* facts that the records had no room for */
    uint64_t unread;   /* arguments that were too long to be recorded */
    size_t unreadable; /* facts that no policy can express */
};

/* Adds a record's facts; returns false and fills `mistake` when it cannot be read. */
bool observed_read(struct observed *observed, const char *path, struct mistake *mistake);
/* Brings the facts into one order and drops those that came twice. */
void observed_sort(struct observed *observed);
void observed_free(struct observed *observed);

/* The path under which an object was seen, or "". */
const char *observed_program_path(const struct observed *observed, const struct identity *identity);
const char *observed_module_path(const struct observed *observed, const struct identity *identity);

#endif
