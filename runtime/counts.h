/* The page on which the processes of a container add up their calls: a file, mapped shared by each of them and by who
 * looks on. One writer closes an interval of time by putting the totals of that moment into the next row of a ring; what
 * was counted in an interval is the growth from row to row. Free of libc, for both sides.
 *
 * Whoever maps the page may write anything to it at any time: what is read from it decides no address and no length.
 */
#ifndef PINION_RUNTIME_COUNTS_H
#define PINION_RUNTIME_COUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/api.h"
#include "runtime/model.h"

/* One entry for each API, and behind them the context switches. */
#define COUNTS_SWITCH API_COUNT
#define COUNTS_ENTRIES (API_COUNT + 1)

#define COUNTS_MAGIC "PINCNT\r\n"
#define COUNTS_VERSION 2
#define COUNTS_ROWS 256 /* closed intervals that can still be read */

#define COUNTS_DEFAULT_MS 1000
#define COUNTS_LEAST_MS 10
#define COUNTS_MOST_MS 3600000

/* The state when one interval was closed. Written in place: valid while the number is that of the interval before and
 * after reading, and the check fits. */
struct counts_row {
    uint64_t number; /* of the closed interval; 0: none, or being written */
    uint64_t next;   /* of the interval that was opened then; those in between had no call */
    uint64_t check;
    uint64_t totals[COUNTS_ENTRIES];
};

struct counts_page {
    char magic[8];
    uint32_t version;
    uint32_t entries;
    uint64_t fingerprint; /* of the API table */
    uint64_t size;
    uint64_t interval;    /* nanoseconds */
    uint64_t origin;      /* when interval 1 began: CLOCK_MONOTONIC_COARSE, nanoseconds */
    uint64_t origin_unix; /* the same moment since 1970 */

    _Alignas(64) uint64_t current; /* number of the open interval; atomic, as all that follows */
    uint64_t published;            /* number of the last row that was written */
    _Alignas(64) uint64_t totals[COUNTS_ENTRIES];
    struct counts_row rows[COUNTS_ROWS];

    /* What the one who closes an interval hands on to the next who does. */
    struct model_state scoring;
    struct {
        uint64_t intervals;              /* in alarm, one after the other, so far */
        uint64_t counts[COUNTS_ENTRIES]; /* of these */
        uint8_t rises[COUNTS_ENTRIES];   /* the most of these, as signature_rise */
    } alarm;
    uint32_t violations; /* calls refused since the last anomaly; atomic */
};

/* Where the processes of a container meet unless PINION_COUNTS says otherwise: builds with other tables or
 * another layout use another page. */
#define COUNTS_DIRECTORY "/dev/shm/"
#define COUNTS_PATH_BYTES 48
void counts_default_path(char path[COUNTS_PATH_BYTES]);

/* Fills in all but the origins, which the caller has set. The page is zeroed. */
void counts_prepare(struct counts_page *page, uint64_t interval);

/* Whether an interval may be so long (nanoseconds). */
bool counts_interval_fits(uint64_t interval);

/* NULL, or why this is no page that can be used. */
const char *counts_problem(const struct counts_page *page, uint64_t size);

/* Writes the totals of now into the row of interval `number`. */
void counts_write_row(struct counts_page *page, uint64_t number, uint64_t next);

/* Copies the row of interval `number` and returns true, if it is there and whole. */
bool counts_read_row(const struct counts_page *page, uint64_t number, uint64_t *next, uint64_t totals[COUNTS_ENTRIES]);

/* "switch" for the entry behind the APIs, else the API's name. */
const char *counts_name(unsigned entry);

/* ---- the counts of one process, which lie in its own memory ---- */

/* Lies in the shim's read-only data; found there from outside by its magic, and by its own address, which a copy of the
 * file's bytes does not have. */
#define COUNTS_LOCATOR_MAGIC "PINSLOTS"

struct counts_locator {
    char magic[8];
    const struct counts_locator *self;
    uint32_t bytes;             /* of this structure */
    uint32_t entries;           /* counters of a slot */
    const struct api *table;    /* their names, in this order */
    const void *slots;          /* array of struct counts_slot */
    const uint32_t *slots_used; /* so many of its elements, but no more than: */
    uint32_t slots_max;
    uint32_t table_stride;  /* from name to name */
    uint32_t counts_offset; /* from a slot's address to its counters */
    uint32_t unused;
    struct counts_page *const *page; /* where the process adds them up, NULL before its first call */
};

/* A slot's owner in one word, which changes atomically: its thread, its process, and how often the slot changed hands.
 * Thread 0: free. The kernel's numbers have 22 bits. */
#define COUNTS_NUMBER_BITS 22
#define COUNTS_NUMBER_MASK ((1u << COUNTS_NUMBER_BITS) - 1)

struct counts_slot {
    uint64_t owner;
    void *address; /* NULL: not mapped yet */
};

static inline uint32_t counts_owner_thread(uint64_t owner) {
    return owner & COUNTS_NUMBER_MASK;
}

static inline uint32_t counts_owner_process(uint64_t owner) {
    return owner >> COUNTS_NUMBER_BITS & COUNTS_NUMBER_MASK;
}

#endif
