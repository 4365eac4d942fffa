/* Thread slots: registration, take-over from dead threads, wiping on fork. The slow path of counting; nothing here
 * runs in a call that finds its budget unspent.
 */
#include "preload/threads.h"

#include <linux/mman.h>

#include "preload/counts.h"
#include "preload/layout.h"
#include "preload/libc.h"
#include "preload/raw.h"
#include "preload/registers.h"
#include "preload/state.h"

/* A thread runs this many calls between two visits to the slow path, unless they may block. */
#define BUDGET 4096

#define SLOTS_MAX 4096
/* A new thread looks at so many slots for one whose owner has died before it maps another. */
#define LOOK_FOR_DEAD 16

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

_Static_assert(offsetof(struct thread_slot, budget) == SLOT_BUDGET, "entry.S counts down here");
_Static_assert(offsetof(struct thread_slot, counts) == SLOT_COUNTS, "entry.S counts here");
_Static_assert(offsetof(struct thread_slot, stack) == SLOT_WIPED_BYTES, "only what a child must not see is wiped");

/* What threads start on: its budget is always spent, its counts mean nothing. */
static struct {
    int64_t budget;
    uint64_t counts[API_COUNT];
} sink = {.budget = -1};

static struct counts_slot slots[SLOTS_MAX];
static uint32_t slots_used; /* entries ever used; atomic */

/* For those who look on from outside. */
__attribute__((used, retain)) static const struct counts_locator locator = {
    .magic = COUNTS_LOCATOR_MAGIC,
    .self = &locator,
    .bytes = sizeof locator,
    .entries = API_COUNT,
    .table = api_table,
    .slots = slots,
    .slots_used = &slots_used,
    .slots_max = SLOTS_MAX,
    .table_stride = sizeof api_table[0],
    .counts_offset = SLOT_COUNTS,
    .page = &counts_source.page,
};

extern __thread struct thread_slot *pinion_slot __attribute__((visibility("hidden")));
__thread struct thread_slot *pinion_slot = (struct thread_slot *)&sink;

/* A process that shares our memory, but not our threads, may have a slot as well. */
static bool is_alive(uint64_t owner) {
    return raw(__NR_tgkill, counts_owner_process(owner), counts_owner_thread(owner), 0) == 0;
}

/* The owner after `previous`. The number that grows with each keeps a slow thread from taking a slot that another took
 * and gave back meanwhile. */
static uint64_t new_owner(uint64_t previous, uint32_t thread) {
    uint64_t times = (previous >> 2 * COUNTS_NUMBER_BITS) + 1;
    uint64_t process = (uint32_t)raw(__NR_getpid) & COUNTS_NUMBER_MASK;
    return times << 2 * COUNTS_NUMBER_BITS | process << COUNTS_NUMBER_BITS | (thread & COUNTS_NUMBER_MASK);
}

static bool claim(struct counts_slot *entry, uint64_t expected, uint32_t thread) {
    return __atomic_compare_exchange_n(&entry->owner, &expected, new_owner(expected, thread), false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

static struct thread_slot *take_over(uint32_t thread) {
    uint32_t count = threads_count(), looked = 0;
    for (uint32_t i = 0; i < count && looked < LOOK_FOR_DEAD; i++) {
        uint64_t owner = __atomic_load_n(&slots[i].owner, __ATOMIC_ACQUIRE);
        uint32_t known = counts_owner_thread(owner);
        if (__atomic_load_n(&slots[i].address, __ATOMIC_ACQUIRE) == NULL)
            continue;
        /* A slot of our own number is that of a dead thread, or of this one: a handler is at work. */
        if (known != 0 && known != thread && (looked++, is_alive(owner)))
            continue;
        if (claim(&slots[i], owner, thread))
            return slots[i].address;
    }
    return NULL;
}

static struct thread_slot *map_slot(uint32_t thread) {
    uint32_t index = __atomic_fetch_add(&slots_used, 1, __ATOMIC_ACQ_REL);
    if (index >= SLOTS_MAX) {
        __atomic_store_n(&slots_used, SLOTS_MAX, __ATOMIC_RELAXED);
        return NULL;
    }
    long pages = raw(__NR_mmap, 0, sizeof(struct thread_slot), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw_failed(pages))
        return NULL;
    raw(__NR_madvise, pages, SLOT_WIPED_BYTES, MADV_WIPEONFORK);
    __atomic_store_n(&slots[index].owner, new_owner(0, thread), __ATOMIC_RELEASE);
    __atomic_store_n(&slots[index].address, (void *)pages, __ATOMIC_RELEASE);
    return (struct thread_slot *)pages;
}

/* After fork the thread's own slot is still there, wiped, and it is the only thread: the other slots are free. */
static struct thread_slot *reclaim_own(uint32_t thread) {
    uint32_t count = threads_count();
    struct thread_slot *own = NULL;
    for (uint32_t i = 0; i < count; i++) {
        bool is_own = slots[i].address == pinion_slot;
        __atomic_store_n(&slots[i].owner, new_owner(slots[i].owner, is_own ? thread : 0), __ATOMIC_RELEASE);
        if (is_own)
            own = slots[i].address;
    }
    return own;
}

/* It may have been set before the thread had this slot. */
static struct stack_range kernel_alternate(void) {
    uint64_t told[3] = {0}; /* address, flags, size */
    if (raw(__NR_sigaltstack, 0, told) != 0 || (told[1] & 2 /* SS_DISABLE */))
        return (struct stack_range){0, 0};
    return (struct stack_range){told[0], told[0] + told[2]};
}

/* What the slot knows of a thread that is gone means nothing for its new owner. */
static void forget_owner(struct thread_slot *slot) {
    slot->copy_count = slot->copy_used = 0;
    slot->stack = (struct stack_range){0, 0};
    slot->alternate = kernel_alternate();
}

static COLD struct thread_slot *register_thread(void) {
    uint32_t thread = (uint32_t)raw(__NR_gettid);
    struct thread_slot *slot = pinion_slot;
    if (slot != (void *)&sink && slot->thread != 0)
        return slot; /* a signal handler was faster */
    if (slot != (void *)&sink) {
        slot = reclaim_own(thread);
    } else {
        slot = take_over(thread);
        if (slot == NULL)
            slot = map_slot(thread);
        if (slot != NULL)
            forget_owner(slot);
    }
    if (slot == NULL)
        return NULL;
    slot->process = (uint32_t)raw(__NR_getpid);
    slot->thread = thread;
    slot->budget = BUDGET;
    pinion_slot = slot;
    return slot;
}

struct thread_slot *thread_registered(void) {
    struct thread_slot *slot = pinion_slot;
    return likely(slot != (void *)&sink && slot->thread != 0) ? slot : NULL;
}

struct thread_slot *thread_slot(void) {
    struct thread_slot *slot = thread_registered();
    return likely(slot != NULL) ? slot : register_thread();
}

uint32_t threads_count(void) {
    uint32_t count = __atomic_load_n(&slots_used, __ATOMIC_ACQUIRE);
    return count < SLOTS_MAX ? count : SLOTS_MAX;
}

struct thread_slot *threads_slot(uint32_t index) {
    bool is_free = counts_owner_thread(__atomic_load_n(&slots[index].owner, __ATOMIC_RELAXED)) == 0;
    return is_free ? NULL : __atomic_load_n(&slots[index].address, __ATOMIC_ACQUIRE);
}

/* The sink's count of the call is worth nothing. It is told by where the stub counted: a signal handler may have
 * given the thread its slot since. */
void thread_spent(unsigned api, const void *counted) {
    struct thread_slot *slot = thread_slot();
    if (slot == NULL) {
        counts_without_slot(api);
        return;
    }
    if (counted == &sink)
        count_call(slot, api);
    slot->budget = BUDGET;
    counts_spent(slot);
}

/* The slow path of a counted call, and every one that may block. Returns where to go on. */
void *pinion_count(struct registers *registers);
void *pinion_count(struct registers *registers) {
    unsigned api = registers->spelling >> 16 & API_BITS;
    struct thread_slot *slot = thread_registered();
    if (registers->spelling & SPENT)
        thread_spent(api, (const void *)registers->r10);
    else if (slot != NULL)
        counts_visit(slot);
    if (counts_may_leave(api))
        counts_leave();
    return pinion_real[registers->spelling & 0xffff];
}
