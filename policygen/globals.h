/* Static variables of which every use can be seen: all that the program does with them stands in instructions that name
 * their very address.
 *
 * A variable is one's own only if no pointer can lead to it. Whatever has its address taken, or stands in a relocation,
 * may be the start of an object that reaches up to the end of its section, unless a symbol tells its size; so variables
 * count only below the first such address of their section. That objects begin at or before the addresses computed for
 * them, give or take 16 bytes, is assumed.
 */
#ifndef PINION_POLICYGEN_GLOBALS_H
#define PINION_POLICYGEN_GLOBALS_H

#include "policygen/object.h"

struct scan;

struct data_region {
    uint32_t start, end; /* a writable section */
    uint32_t open_from;  /* from here on, pointers may lead to anything */
};

struct globals {
    struct data_region *regions;
    size_t region_count;
    uint32_t *sized; /* symbols of data, of known size */
    size_t sized_count;
};

/* `complete`: all code was decoded. */
void globals_find(const struct object *object, const struct scan *scan, bool complete, struct globals *globals);
void globals_free(struct globals *globals);

bool globals_is_simple(const struct object *object, const struct globals *globals, uint64_t address, unsigned size);

#endif
