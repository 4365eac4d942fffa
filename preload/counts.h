/* From the counters of this process's threads to the page that the container shares. */
#ifndef PINION_PRELOAD_COUNTS_H
#define PINION_PRELOAD_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/threads.h"
#include "runtime/counts.h"

/* The page, and what must not change under our hands though others may write to the page. */
struct counts_source {
    struct counts_page *page; /* NULL: none can be had */
    uint64_t interval, origin, origin_unix;
};

/* Of this process, once a call has opened it. */
extern struct counts_source counts_source;

/* Set-up, counts_page.c: the container's page, made with this interval if it is not there; else one for this process and its children of
 * fork. *problem tells why the container's cannot be used, or is NULL. */
struct counts_source counts_open(uint64_t interval, const char **problem);

/* A call that may block, a slow check, a spent budget: adds what the thread has counted to the page, unless that has
 * been done often during this tick of the clock, and closes the interval if it is over. */
void counts_visit(struct thread_slot *slot);

/* The same, however often: the thread has counted many calls since. */
void counts_spent(struct thread_slot *slot);

/* The process may be over after this call, or another program: all its threads' growth goes to the page. */
void counts_leave(void);

/* A call of a thread that has no slot. */
void counts_without_slot(unsigned api);

/* Whether the program may end in this call, or be replaced. */
bool counts_may_leave(unsigned api);

#endif
