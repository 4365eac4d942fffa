/* What the linked part of libunwind needs from its surroundings, instead of its own or a libc's: no locks, no
 * allocation, no initialisation. Its objects live in the calling thread's cache, last in, first out.
 */
#include "preload/libc.h"
#include "preload/threads.h"
#include "preload/unwind.h"

/* After all others: it defines macros of everyday names. */
#define NDEBUG
#include <dwarf_i.h>
#include <libunwind_i.h>

_Static_assert(sizeof(dwarf_stackable_reg_state_t) <= UNWIND_OBJECT_BYTES, "objects");
_Static_assert(sizeof(struct dwarf_cie_info) <= UNWIND_OBJECT_BYTES, "objects");

struct mempool dwarf_reg_state_pool;
struct mempool dwarf_cie_info_pool;

/* libunwind compares address spaces with this; there is no local one. */
unw_addr_space_t unw_local_addr_space;

static struct stack_cache *cache(void) {
    struct thread_slot *slot = thread_slot();
    return slot == NULL ? NULL : slot->stack_cache;
}

void *mempool_alloc(struct mempool *pool) {
    struct stack_cache *stack_cache = cache();
    (void)pool;
    if (stack_cache == NULL || stack_cache->objects_used >= UNWIND_OBJECTS)
        return NULL;
    return stack_cache->objects[stack_cache->objects_used++];
}

void mempool_free(struct mempool *pool, void *object) {
    struct stack_cache *stack_cache = cache();
    (void)pool;
    if (stack_cache != NULL && stack_cache->objects_used > 0 &&
        object == stack_cache->objects[stack_cache->objects_used - 1])
        stack_cache->objects_used--;
}

unw_accessors_t *unw_get_accessors_int(unw_addr_space_t space);
unw_accessors_t *unw_get_accessors_int(unw_addr_space_t space) {
    return &space->acc;
}

/* The numbers of registers are the same for libunwind and DWARF. */
const uint8_t dwarf_to_unw_regnum_map[DWARF_REGNUM_MAP_LENGTH] = {0, 1,  2,  3,  4,  5,  6,  7, 8,
                                                                  9, 10, 11, 12, 13, 14, 15, 16};

/* Nobody registers information at run time here. */
int unwi_find_dynamic_proc_info(unw_addr_space_t space, unw_word_t address, unw_proc_info_t *information, int in_full,
                                void *argument) {
    (void)space, (void)address, (void)information, (void)in_full, (void)argument;
    return -UNW_ENOINFO;
}

void unwi_put_dynamic_unwind_info(unw_addr_space_t space, unw_proc_info_t *information, void *argument) {
    (void)space, (void)information, (void)argument;
}

/* ---- what it takes from a libc: its build puts unwinder_ before those names ---- */

long unwinder_labs(long value);
long unwinder_labs(long value) {
    return value < 0 ? -value : value;
}

/* Named in code of the cache that is switched off, and of returning from signals. */
intrmask_t unwi_full_mask;
#define NEVER(name)              \
    void unwinder_##name(void);  \
    void unwinder_##name(void) { \
        __builtin_trap();        \
    }
NEVER(mmap)
NEVER(munmap)
NEVER(sigprocmask)
NEVER(pthread_mutex_lock)
NEVER(pthread_mutex_unlock)
NEVER(abort)
