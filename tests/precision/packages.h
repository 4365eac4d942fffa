/* Which Debian package a file belongs to, and which version of it is installed. What is measured is bounded by packages, or the
 * figures would depend on what else is installed on a machine.
 */
#ifndef PINION_PRECISION_PACKAGES_H
#define PINION_PRECISION_PACKAGES_H

#include <stddef.h>

/* For each path the name of its package, or NULL where it is in none; the caller frees each and the array. */
char **packages_of(const char *const *paths, size_t count);

/* Empty where the package is not installed. */
void package_version(const char *name, char *version, size_t size);

#endif
