/* The analysis of programs or of a whole image, from names to summaries that can be linked: all that the commands have in
 * common.
 */
#ifndef PINION_POLICYGEN_SURVEY_H
#define PINION_POLICYGEN_SURVEY_H

#include "policygen/image.h"

struct survey_options {
    const char *root;  /* NULL: the machine's own */
    const char *cache; /* directory, or NULL */
    unsigned jobs;     /* 0: one for each processor */
    const char *const *also;
    size_t also_count;
    char *const *programs; /* none: all of the root */
    size_t program_count;
};

struct survey {
    struct root root;
    struct cache cache;
    struct workers *workers;
    struct loader loader; /* its subjects are the programs, in the order in which they were named */
    struct image image;   /* what else can be started */
};

/* Ends the process with a message when something cannot be read. */
void survey_make(struct survey *survey, const struct survey_options *options);
void survey_free(struct survey *survey);

#endif
