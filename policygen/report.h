/* The coverage report: what a policy constrains, and why the rest is not known. */
#ifndef PINION_POLICYGEN_REPORT_H
#define PINION_POLICYGEN_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "policygen/program.h"

void report_table(FILE *out, const struct program *program, const struct coverage *coverage);
json_t *report_json(const struct program *program, const struct coverage *coverage);

#endif
