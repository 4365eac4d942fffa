/* Descriptors that the shim keeps for itself. Programs close and reuse descriptors: a number is used only while the
 * file behind it is still the one that was put there.
 */
#ifndef PINION_PRELOAD_DESCRIPTOR_H
#define PINION_PRELOAD_DESCRIPTOR_H

#include <stdbool.h>
#include <stdint.h>

struct stat;

struct kept_descriptor {
    int number; /* -1: none */
    uint64_t device, inode;
};

/* Moves a descriptor above those that programs count on, if it can be, and makes it close on exec. */
int descriptor_move_high(int number);

/* Remembers what is behind a descriptor. */
struct kept_descriptor descriptor_keep(int number);

/* Whether the same is behind the number as at the time of descriptor_keep; fills in what fstat says. */
bool descriptor_is_kept(const struct kept_descriptor *kept, struct stat *status);

#endif
