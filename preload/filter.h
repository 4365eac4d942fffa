/* Whether this process, or the one that it was forked from, has set a filter of system calls up. From then on a call that the
 * program itself has no need of may be forbidden on pain of death. What was in force before start-up is not known.
 */
#ifndef PINION_PRELOAD_FILTER_H
#define PINION_PRELOAD_FILTER_H

#include <stdbool.h>
#include <stdint.h>

extern uint32_t pinion_filtered; /* atomic */

static inline void filter_set(void) {
    __atomic_store_n(&pinion_filtered, 1, __ATOMIC_RELAXED);
}

static inline bool filter_is_set(void) {
    return __atomic_load_n(&pinion_filtered, __ATOMIC_RELAXED) != 0;
}

#endif
