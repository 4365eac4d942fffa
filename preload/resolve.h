/* Finding the real functions, at start-up: by the loader's list and GNU hash tables, never by dlsym, which may
 * allocate and lock.
 */
#ifndef PINION_PRELOAD_RESOLVE_H
#define PINION_PRELOAD_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>

struct link_map;

/* Fills pinion_real: for every spelling the next default-version definition after this library in search order.
 * Spellings that no libc here defines get a function that answers ENOSYS. */
void resolve_all(const struct link_map *self);

/* Whether a libc here defines the spelling. */
bool resolve_found(unsigned spelling);

/* The address of a symbol that the object itself defines, or 0. */
uint64_t resolve_in(const struct link_map *link, const char *name);

#endif
