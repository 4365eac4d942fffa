/* Thread slots: registration, take-over from dead threads, wiping on fork. The slow path of counting; nothing here
 * runs in a call that finds its budget unspent.
 */
#include "preload/threads.h"

#include <linux/mman.h>

#include "preload/layout.h"
#include "preload/libc.h"
#include "preload/raw.h"
#include "preload/registers.h"
#include "preload/state.h"

/* A thread runs this many calls between two visits to the slow path. */
#define BUDGET 65536

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

/* Calls of threads for which there was no slot; atomic. */
static uint64_t overflow[API_COUNT];

static struct {
    uint32_t thread; /* owner, atomic; kept beside the slot so that a search does not touch the slots */
    struct thread_slot *slot;
} slots[SLOTS_MAX];
static uint32_t slot_count; /* entries ever used; atomic */

extern __thread struct thread_slot *pinion_slot __attribute__((visibility("hidden")));
__thread struct thread_slot *pinion_slot = (struct thread_slot *)&sink;

static bool is_alive(uint32_t thread) {
    return raw(__NR_tgkill, raw(__NR_getpid), thread, 0) == 0;
}

static bool claim(unsigned index, uint32_t expected, uint32_t thread) {
    return __atomic_compare_exchange_n(&slots[index].thread, &expected, thread, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

static struct thread_slot *take_over(uint32_t thread) {
    uint32_t count = __atomic_load_n(&slot_count, __ATOMIC_ACQUIRE), looked = 0;
    for (uint32_t i = 0; i < count && i < SLOTS_MAX && looked < LOOK_FOR_DEAD; i++) {
        uint32_t owner = __atomic_load_n(&slots[i].thread, __ATOMIC_ACQUIRE);
        if (owner == 0 || slots[i].slot == NULL)
            continue;
        if (owner != thread && (looked++, is_alive(owner)))
            continue;
        if (claim(i, owner, thread))
            return slots[i].slot;
    }
    return NULL;
}

static struct thread_slot *map_slot(uint32_t thread) {
    uint32_t index = __atomic_fetch_add(&slot_count, 1, __ATOMIC_ACQ_REL);
    if (index >= SLOTS_MAX) {
        __atomic_store_n(&slot_count, SLOTS_MAX, __ATOMIC_RELAXED);
        return NULL;
    }
    long pages = raw(__NR_mmap, 0, sizeof(struct thread_slot), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw_failed(pages))
        return NULL;
    raw(__NR_madvise, pages, SLOT_WIPED_BYTES, MADV_WIPEONFORK);
    slots[index].slot = (struct thread_slot *)pages;
    __atomic_store_n(&slots[index].thread, thread, __ATOMIC_RELEASE);
    return slots[index].slot;
}

/* After fork the thread's own slot is still there, wiped. */
static struct thread_slot *reclaim_own(uint32_t thread) {
    uint32_t count = __atomic_load_n(&slot_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < count && i < SLOTS_MAX; i++)
        if (slots[i].slot == pinion_slot) {
            __atomic_store_n(&slots[i].thread, thread, __ATOMIC_RELEASE);
            return slots[i].slot;
        }
    return NULL;
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
    struct thread_slot *slot = NULL;
    if (pinion_slot != (void *)&sink) {
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
    slot->thread = thread;
    slot->budget = BUDGET;
    pinion_slot = slot;
    return slot;
}

struct thread_slot *thread_slot(void) {
    struct thread_slot *slot = pinion_slot;
    if (likely(slot != (void *)&sink && slot->thread != 0))
        return slot;
    return register_thread();
}

void thread_spent(unsigned api) {
    struct thread_slot *counted = pinion_slot;
    bool lost = counted == (void *)&sink; /* this call was counted into the sink */
    struct thread_slot *slot = thread_slot();
    if (slot == NULL) {
        __atomic_fetch_add(&overflow[api], 1, __ATOMIC_RELAXED);
        return;
    }
    if (lost)
        slot->counts[api]++;
    slot->budget = BUDGET;
}

/* The slow path of a counted call. Returns where to go on. */
void *pinion_count(struct registers *registers);
void *pinion_count(struct registers *registers) {
    if (registers->spelling & SPENT)
        thread_spent(registers->spelling >> 16 & 0x7fff);
    return pinion_real[registers->spelling & 0xffff];
}
