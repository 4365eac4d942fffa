/* What the shim keeps per thread: its counters, its copies of checked arguments, its known stacks and the stack
 * walk's cache. A slot is a private mapping, found through one thread-local pointer that starts at the sink, an
 * object whose budget is always spent: the first call of a thread takes the slow path and registers it. Slots of dead threads are taken
 * over, their counts with them: a process's counts are the sums over all slots.
 */
#ifndef PINION_PRELOAD_THREADS_H
#define PINION_PRELOAD_THREADS_H

#include <stdint.h>

#include "runtime/counts.h"
#include "runtime/event.h"

#define SLOT_WIPED_BYTES 8192 /* pages */
#define LOG_LINE_BYTES 4096
#define COPY_RECORDS 64
#define COPY_BYTES (128u << 10) /* of address space: only what is used is memory */

struct stack_range {
    uint64_t low, high;
};

struct thread_slot {
    /* Wiped on fork: a child counts from zero, and registers again. entry.S counts here. */
    int64_t budget; /* calls until the slow path runs again; negative: spent */
    uint64_t counts[API_COUNT];
    uint32_t thread;          /* kernel's number of the owner; 0 after fork */
    uint32_t process;         /* and of its process */
    uint64_t tick;            /* the clock at the last visit, see counts.c */
    uint64_t tells;           /* in that tick */
    uint64_t closing;         /* when this thread began to close an interval, or 0 */
    uint64_t told[API_COUNT]; /* so much of the counts is on the page; atomic */
    uint64_t switches_told;   /* of the process: first slot only; atomic */
    uint32_t event_busy;      /* an event is being put together; atomic */

    /* Kept on fork: the child goes on with the same stacks, and perhaps in the middle of a call. */
    _Alignas(SLOT_WIPED_BYTES) struct stack_range stack; /* the thread's own, or zero while it is not known */
    struct stack_range alternate;                        /* sigaltstack's */
    void *stack_cache;                                   /* the stack walk's, mapped at its first use */
    void *child_block; /* environment and argument vectors for children, mapped at first use */
    uint64_t child_block_size;

    uint32_t copy_count;
    uint32_t copy_used; /* bytes of copies */
    struct {
        uint64_t stack_pointer;
        uint64_t return_address;
        uint32_t start;
        uint32_t alternate;
    } copy_records[COPY_RECORDS];
    char copies[COPY_BYTES];
    uint64_t interval_counts[COUNTS_ENTRIES]; /* of the interval that this thread is closing */
    uint64_t model_counts[MODEL_MAX_CALLS];   /* the same in the model's order */
    struct model_work model_work;
    struct event event;              /* see event.c */
    char event_line[LOG_LINE_BYTES]; /* its line in the log */
};

/* The calling thread's slot; registers the thread if need be. NULL when no slot can be had. */
struct thread_slot *thread_slot(void);

/* The slow path of counting: the call of `api` that just happened was counted in `counted` and found its budget spent. */
void thread_spent(unsigned api, const void *counted);

/* Whether a thread has counted: false on the sink. */
struct thread_slot *thread_registered(void);

/* All slots, in the order in which they were mapped; NULL for one that is free or not mapped yet. */
uint32_t threads_count(void);
struct thread_slot *threads_slot(uint32_t index);

/* One more call, beside what the stub counts. One instruction, so that a signal handler's calls are not lost. */
static inline void count_call(struct thread_slot *slot, unsigned api) {
    __asm__ volatile("incq %0" : "+m"(slot->counts[api]) : : "cc");
}

#endif
