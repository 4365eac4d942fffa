/* Telling the page what was counted. Threads count in slots of their own; here a slot's growth since it was last told is
 * added to the page. Several may tell of one slot at the same time (its thread, a signal handler in it, a thread that ends the
 * process): who advances the told value by compare and swap is the one who adds the difference, so nothing is added twice.
 *
 * When: before calls that may block, in slow checks and when a budget is spent, for after a thread has gone to sleep nobody
 * can ask it, and what it did would be attributed to the interval in which it wakes. Telling costs a quarter of a
 * microsecond, so a thread does it at most TELLS_PER_TICK times in a tick of the coarse clock: one that rarely
 * sleeps has told all it did before it does, one that is busy lags by a tick of some milliseconds at most. The first visit
 * of a process in an interval tells of its other threads too, those that are dead or asleep. Before exec, at exit and before
 * a signal to itself all is told. What is lost: the calls of the last tick, when a signal from outside ends the process, and
 * those that other threads make while one is already leaving.
 *
 * No lock, no allocation, and no system calls but getrusage and getpid, once in 16 ms at most, and none where a filter was set.
 */
#include "preload/counts.h"

#include <asm/unistd.h>
#include <linux/resource.h>

#include "preload/anomaly.h"
#include "preload/clock.h"
#include "preload/filter.h"
#include "preload/interval.h"
#include "preload/log.h"
#include "preload/raw.h"
#include "preload/state.h"

#define TELLS_PER_TICK 16
#define SLOTS_PER_VISIT 64
/* A system call that takes time with each thread of the process: not in every tick, but several times an interval. */
#define SWITCHES_NANOSECONDS 16000000u

enum progress {
    NOT_OPENED,
    OPENING,
    OPENED,
};

struct counts_source counts_source;
static uint64_t progress;   /* enum progress, and above it the process that opens; atomic */
static uint64_t swept;      /* the interval in which this process last told of all its threads; atomic */
static uint64_t asked;      /* when the process last asked for its context switches; atomic */
static uint32_t sweep_next; /* the slot with which the next sweep begins; atomic */

static const bool leaves[API_COUNT] = {
#define LEAVES(name) [API_##name] = true,
#include "runtime/apis.def"
};

bool counts_may_leave(unsigned api) {
    return leaves[api];
}

static uint64_t switches(const struct rusage *usage) {
    return (uint64_t)usage->ru_nvcsw + (uint64_t)usage->ru_nivcsw;
}

/* ---- the page ---- */

/* The kernel's numbers survive an exec, and the program that was here before has told of them. */
static void note_switches(void) {
    struct rusage usage = {0};
    struct thread_slot *first = threads_slot(0);
    if (first != NULL && raw(__NR_getrusage, RUSAGE_SELF, &usage) == 0)
        __atomic_store_n(&first->switches_told, switches(&usage), __ATOMIC_RELAXED);
}

/* Of the first call of the process that takes the slow path, as a rule before any filter is in force. A child of fork
 * finds the page mapped, unless another thread was opening it at that moment. */
static COLD const struct counts_source *open_page(const struct thread_slot *slot) {
    uint64_t seen = __atomic_load_n(&progress, __ATOMIC_ACQUIRE), mine = (uint64_t)slot->process << 8 | OPENING;
    if (STATE->ready != READY || filter_is_set() || STATE->mode == MODE_OFF || seen == mine ||
        !__atomic_compare_exchange_n(&progress, &seen, mine, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return NULL;
    const char *problem, *unscored;
    uint64_t interval = anomaly_start(&unscored);
    counts_source = counts_open(interval, &problem);
    anomaly_agree(counts_source.interval, &unscored);
    note_switches();
    __atomic_store_n(&progress, OPENED, __ATOMIC_RELEASE);
    if (problem != NULL)
        log_process(REASON_BAD_COUNTS, VERDICT_LOG, problem);
    if (unscored != NULL)
        log_process(REASON_BAD_MODEL, VERDICT_LOG, unscored);
    return counts_source.page != NULL ? &counts_source : NULL;
}

static const struct counts_source *opened_page(const struct thread_slot *slot) {
    if (unlikely(__atomic_load_n(&progress, __ATOMIC_ACQUIRE) != OPENED))
        return open_page(slot);
    return counts_source.page != NULL ? &counts_source : NULL;
}

/* ---- telling ---- */

static void grow(struct counts_page *page, unsigned entry, uint64_t *told, uint64_t now) {
    uint64_t before = __atomic_load_n(told, __ATOMIC_RELAXED);
    while (now > before)
        if (__atomic_compare_exchange_n(told, &before, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            __atomic_fetch_add(&page->totals[entry], now - before, __ATOMIC_RELAXED);
            return;
        }
}

static void tell(struct counts_page *page, struct thread_slot *slot) {
    for (unsigned i = 0; i < API_COUNT; i++) {
        uint64_t counted = __atomic_load_n(&slot->counts[i], __ATOMIC_RELAXED);
        if (unlikely(counted != slot->told[i]))
            grow(page, i, &slot->told[i], counted);
    }
}

/* The kernel counts for the process, so this is told in its first slot. A child of vfork runs in its parent's memory,
 * but the kernel's numbers are its own. */
static void tell_switches(struct counts_page *page) {
    struct rusage usage = {0};
    struct thread_slot *slot = threads_slot(0);
    if (slot == NULL || filter_is_set() || (uint32_t)raw(__NR_getpid) != slot->process)
        return;
    if (raw(__NR_getrusage, RUSAGE_SELF, &usage) == 0)
        grow(page, COUNTS_SWITCH, &slot->switches_told, switches(&usage));
}

static void sweep(struct counts_page *page, uint32_t limit) {
    uint32_t count = threads_count();
    uint32_t first = limit >= count ? 0 : __atomic_fetch_add(&sweep_next, limit, __ATOMIC_RELAXED) % count;
    for (uint32_t i = 0; i < count && i < limit; i++) {
        struct thread_slot *slot = threads_slot((first + i) % count);
        if (slot != NULL)
            tell(page, slot);
    }
}

/* ---- occasions ---- */

static void visit(struct thread_slot *slot, uint64_t now) {
    const struct counts_source *opened = opened_page(slot);
    if (opened == NULL)
        return;
    interval_visit(opened, slot, now);
    uint64_t current = __atomic_load_n(&opened->page->current, __ATOMIC_RELAXED);
    tell(opened->page, slot);
    if (now - __atomic_load_n(&asked, __ATOMIC_RELAXED) >= SWITCHES_NANOSECONDS) {
        __atomic_store_n(&asked, now, __ATOMIC_RELAXED);
        tell_switches(opened->page);
    }
    if (__atomic_load_n(&swept, __ATOMIC_RELAXED) == current)
        return;
    __atomic_store_n(&swept, current, __ATOMIC_RELAXED);
    sweep(opened->page, SLOTS_PER_VISIT);
}

void counts_visit(struct thread_slot *slot) {
    uint64_t now = clock_now();
    if (slot->tick != now) {
        slot->tick = now;
        slot->tells = 0;
    }
    if (slot->tells < TELLS_PER_TICK) {
        slot->tells++;
        visit(slot, now);
    }
}

void counts_spent(struct thread_slot *slot) {
    visit(slot, clock_now());
}

void counts_leave(void) {
    struct thread_slot *slot = __atomic_load_n(&STATE->ready, __ATOMIC_ACQUIRE) == READY ? thread_slot() : NULL;
    const struct counts_source *opened = slot != NULL ? opened_page(slot) : NULL;
    if (opened == NULL)
        return;
    interval_visit(opened, slot, clock_now());
    sweep(opened->page, UINT32_MAX);
    tell_switches(opened->page);
}

void counts_without_slot(unsigned api) {
    if (__atomic_load_n(&progress, __ATOMIC_ACQUIRE) == OPENED && counts_source.page != NULL)
        __atomic_fetch_add(&counts_source.page->totals[api], 1, __ATOMIC_RELAXED);
}

/* The program returned from main or called exit. */
__attribute__((destructor)) static void finish(void) {
    if (threads_count() > 0)
        counts_leave();
}
