/* Parts of observed values that are different in every run, and the patterns they become. Each value is looked at
 * alone: the pattern does not depend on what else was observed, or in which order.
 */
#ifndef PINION_TOOLS_VOLATILE_H
#define PINION_TOOLS_VOLATILE_H

#include "runtime/api.h"

/* The pattern (match.h) that allows this value and its likes in other runs, or NULL when nothing in it is volatile.
 * The caller frees. In paths:
 *   - a component of digits alone is any number          /proc/1234/stat       -> /proc/%d/stat
 *   - random characters at the end of a name, as mkstemp, mktemp and Python draw them
 *                                                        /tmp/foo.AbC123       -> /tmp/foo.??????
 *   - digits within a component, below /tmp, /var/tmp,
 *     /run, /var/run and /dev/shm                        /run/user/x-4711.sock -> /run/user/x-%d.sock
 *   - sixteen and more hexadecimal digits, and UUIDs     /c/0123456789abcdef   -> /c/????????????????
 * In commands and in elements of argv that hold blanks or characters a shell obeys, only numbers below /proc become
 * patterns: any other wildcard would let in what a shell obeys. A path with ".." is never changed. */
char *volatile_pattern(const char *text, enum argument_kind kind);

#endif
