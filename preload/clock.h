/* The time of intervals: the kernel's coarse monotonic clock (a tick is 1 to 10 ms), read through the vDSO, which is
 * no system call: no filter can forbid it.
 */
#ifndef PINION_PRELOAD_CLOCK_H
#define PINION_PRELOAD_CLOCK_H

#include <stdint.h>

struct state;

/* Finds the vDSO's function, at start-up. */
void clock_start(struct state *state);

/* Nanoseconds; 0 for ever where there is no vDSO: then this process closes no intervals. */
uint64_t clock_now(void);

#endif
