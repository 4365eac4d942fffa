/* A tiny library that finds hosts by name. The ordinary server has it built in; package.sh makes a package of it, so that
 * the hole can be mended where it is.
 */
#ifndef VULNERABLE_LOOKUP_H
#define VULNERABLE_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>

/* The first line of what is known of the host, "" if that is nothing. False and errno: it could not be asked. */
bool look_up(const char *host, char *line, size_t size);

#endif
