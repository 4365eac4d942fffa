/* Intervals of time, and the hook at their end. Whichever thread of the container first finds an interval over closes it.
 */
#ifndef PINION_PRELOAD_INTERVAL_H
#define PINION_PRELOAD_INTERVAL_H

#include <stdint.h>

#include "preload/counts.h"

/* An interval that is over. */
struct interval {
    uint64_t number; /* from 1; none comes twice, and every one that is left out had no call */
    uint64_t start;  /* nanoseconds since 1970 */
    uint64_t length; /* nanoseconds */
    uint64_t idle;   /* so many intervals without any call followed it, and are over as well */
    struct counts_page *page;
    const uint64_t
        *counts; /* COUNTS_ENTRIES: calls of all processes of the page, in the table's order, then switches */
};

/* Closes the open interval if it is over. */
void interval_visit(const struct counts_source *source, struct thread_slot *slot, uint64_t now);

/* The hook: runs in the thread that closed the interval, in the middle of a call of the program and perhaps in a
 * signal handler on a small stack: little stack, no lock, no allocation, no library call; errno is the caller's.
 * The counts lie in the thread's slot until it returns. */
void interval_closed(const struct interval *interval, struct thread_slot *slot);

#endif
