/* The coverage report: what a policy constrains, and why the rest is not known. */
#ifndef PINION_POLICYGEN_REPORT_H
#define PINION_POLICYGEN_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "policygen/program.h"

/* `lacks_plugins`: the program loads libraries that are not among its modules. */
void report_table(FILE *out, const struct program *program, const struct coverage *coverage, bool lacks_plugins);
/* All modules of a program in one row, for a list of programs. */
void report_heading(FILE *out);
void report_row(FILE *out, const struct program *program, const struct coverage *coverage, bool lacks_plugins);

json_t *report_json(const struct program *program, const struct coverage *coverage, bool lacks_plugins);
/* Of a program that cannot be protected. */
json_t *report_problem_json(const char *path, const char *problem);

#endif
