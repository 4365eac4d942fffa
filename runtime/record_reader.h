/* Reading a learn record when the run is over. Hosted code only. The file may be anything at all: it is read once,
 * checked as a whole, and refused with a reason, or every entry is in bounds.
 */
#ifndef PINION_RUNTIME_RECORD_READER_H
#define PINION_RUNTIME_RECORD_READER_H

#include <stdbool.h>

#include "runtime/document.h"
#include "runtime/record.h"

struct record {
    char *content; /* owned */
    const struct record_header *header;
    uint32_t next_slot;
};

/* False and a mistake when the file is no usable record; nothing is then to be closed. */
bool record_open(struct record *record, const char *path, struct mistake *mistake);

/* The next published entry, in no particular order, or NULL behind the last. Its `api` is an API, or API_NONE for
 * RECORD_PROGRAM and RECORD_MODULE; its text has `text_length` bytes and no NUL behind. */
const struct record_entry *record_next(struct record *record);

void record_close(struct record *record);

#endif
