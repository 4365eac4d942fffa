/* Counts what a policy constrains, and why the rest is not known. */
#ifndef PINION_POLICYGEN_COVERAGE_H
#define PINION_POLICYGEN_COVERAGE_H

#include "policygen/program.h"

/* Adds up the sites of one module. */
void coverage_count(const struct module *module, struct coverage *coverage);

#endif
