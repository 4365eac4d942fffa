/* The recorded figures: a file of lines "FIGURE RECORDED SLACK REACH" and "package NAME VERSION". A figure that is worse than the
 * recorded one by more than its slack is a regression; the reach is what the product wants and is only printed.
 */
#ifndef PINION_PRECISION_GATES_H
#define PINION_PRECISION_GATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct gate {
    char name[32];
    double recorded, slack, reach;
    bool small; /* the smaller the better */
    double measured;
};

struct package {
    char name[64], version[64];
};

struct gates {
    struct gate *items;
    size_t count;
    struct package *packages;
    size_t package_count;
};

/* Exits with a message that names file and line on a mistake. */
void gates_read(const char *path, struct gates *gates);
void gates_free(struct gates *gates);
struct gate *gates_find(struct gates *gates, const char *name);

/* Whether the objects of the package are measured. */
bool gates_measure(const struct gates *gates, const char *package);

/* Prints each gate and returns how many figures are worse than recorded. */
size_t gates_judge(const struct gates *gates, FILE *out);
/* Names the packages whose installed version is not the recorded one: figures depend on them. */
void gates_print_packages(const struct gates *gates, FILE *out);
/* Writes the file anew with what was measured and the versions installed. */
void gates_record(struct gates *gates, const char *path);

#endif
