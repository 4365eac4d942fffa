/* Comparing paths and patterns. Free of libc, bounded, no recursion.
 *
 * Patterns: '?' is one byte other than '/', '*' any number of them, "**" any bytes at all, '[0-9]+' (written
 * "%d") an optional '-' and digits; a backslash takes the next byte literally. A text that holds ".." as a path
 * component matches exact values only; a relative text never matches a pattern that begins with '/'. "%s" is any bytes
 * at all as well, and a pattern with it, which follows from the program's code, matches ".." too.
 */
#ifndef PINION_RUNTIME_MATCH_H
#define PINION_RUNTIME_MATCH_H

#include <stdbool.h>
#include <stddef.h>

#define MATCH_PATTERN_MAX 2048 /* bytes; a longer pattern matches nothing */

/* Removes "//" and "/./" in place and returns the new length. */
size_t path_normalise(char *path, size_t length);

bool match_has_dot_dot(const char *text, size_t length);
bool match_prefix(const char *prefix, size_t prefix_length, const char *text, size_t length);
bool match_glob(const char *pattern, size_t pattern_length, const char *text, size_t length);

#endif
