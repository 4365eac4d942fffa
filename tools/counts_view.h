/* Reading counts from outside: the page of a container, with its ring of closed intervals, and the counters in the
 * memory of one process. Nothing is stopped, and nothing is written but a page that we make ourselves.
 */
#ifndef PINION_TOOLS_COUNTS_VIEW_H
#define PINION_TOOLS_COUNTS_VIEW_H

#include <stdbool.h>
#include <sys/types.h>

#include "runtime/counts.h"

/* ---- the page ---- */

/* Maps a page for reading; NULL where that cannot be done, and *problem says why. */
const struct counts_page *counts_view_open(const char *path, const char **problem);

/* Makes a page for processes of any user, for a recording of our own. Ends the program where that cannot be done. */
const struct counts_page *counts_view_make(const char *path, unsigned milliseconds);
void counts_view_close(const struct counts_page *page);

void counts_view_totals(const struct counts_page *page, uint64_t totals[COUNTS_ENTRIES]);

/* ---- closed intervals, each once ---- */

struct counts_ring {
    const struct counts_page *page;
    uint64_t interval, origin, origin_unix; /* as the page had them when we began, whoever writes there meanwhile */
    uint64_t since;                         /* intervals that were over before we began are not told of */
    uint64_t expected;                      /* the next number */
    uint64_t base[COUNTS_ENTRIES];          /* totals at its beginning */
    unsigned refusals;                      /* so often in a row the expected row could not be read */
};

struct closed_interval {
    uint64_t number; /* of the last interval that the counts are of */
    uint64_t first;  /* of the first one: another number where rows in between could not be read */
    uint64_t idle;   /* so many intervals without any call follow */
    uint64_t counts[COUNTS_ENTRIES];
};

/* From the interval that is open now. */
void counts_ring_begin(struct counts_ring *ring, const struct counts_page *page);

/* False when there is none at present. */
bool counts_ring_next(struct counts_ring *ring, struct closed_interval *closed);

/* What was counted since the last closed interval, and how many intervals that covers by now. */
void counts_ring_rest(const struct counts_ring *ring, struct closed_interval *closed);

/* Seconds since 1970 at the beginning of an interval. */
double counts_ring_start(const struct counts_ring *ring, uint64_t number);

/* ---- one process ---- */

struct process_counts {
    size_t entries;
    char (*names)[40];
    uint64_t *counts;
    size_t threads; /* alive */
};

/* NULL, or why they cannot be read. Repeated calls reuse what is there. */
const char *process_counts_read(struct process_counts *counts, pid_t pid);

/* What is mapped where the process adds up its calls: a file's name, "" where it does so for itself, NULL where that is not
 * known (no shim, no call yet). The caller frees. */
char *process_counts_page(pid_t pid);
void process_counts_free(struct process_counts *counts);

#endif
