/* Prints the sites of a policy, one a line, for people and tests. */
#ifndef PINION_POLICYGEN_SITES_H
#define PINION_POLICYGEN_SITES_H

#include <stdio.h>

#include "runtime/document.h"

void sites_print(const struct document *document, FILE *out);

#endif
