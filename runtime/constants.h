/* Symbolic names of argument values, for people: policies, listings and messages. For the tools and policygen
 * only; the shim writes and reads numbers.
 */
#ifndef PINION_RUNTIME_CONSTANTS_H
#define PINION_RUNTIME_CONSTANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/api.h"

/* Large enough for every value of every set, the final NUL included. */
#define CONSTANT_TEXT_BYTES 1024

/* Writes the value in the set's names ("O_RDONLY|O_CLOEXEC"); bits without a name follow in hexadecimal. A value
 * without any name is written as a number: octal in CONSTANTS_OCTAL, hexadecimal if it is large, else decimal.
 * Returns the length of the whole text; like snprintf it stores at most size - 1 bytes of it and a NUL. */
size_t constant_format(enum constant_set set, int64_t value, char *buffer, size_t size);

/* Likewise for bits that are looked at one by one, which have no sign: names where the set combines, all else as one
 * number, octal in CONSTANTS_OCTAL, else hexadecimal. */
size_t constant_format_bits(enum constant_set set, uint64_t bits, char *buffer, size_t size);

/* Whether the set's values are bits that are joined with "|"; true of CONSTANTS_OCTAL too. */
bool constants_combine(enum constant_set set);

/* The inverse of both: names of the set and numbers (decimal, 0x..., 0...), joined by "|" if the set combines. False if
 * the text is anything else; *value is then unchanged. A mode such as 644 without its leading zero is refused: it
 * would mean 01204. */
bool constant_parse(enum constant_set set, const char *text, int64_t *value);

/* All bits of the set's constants. */
uint64_t constant_bits(enum constant_set set);

/* The set's name that was most likely meant, or NULL if none is close. */
const char *constant_nearest(enum constant_set set, const char *name);

#endif
