/* What the kernel says of an address. A file is read: for the rare case only. */
#ifndef PINION_PRELOAD_MAPPINGS_H
#define PINION_PRELOAD_MAPPINGS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the address is mapped executable; false also where /proc cannot be read. */
bool address_is_executable(uint64_t address);

#endif
