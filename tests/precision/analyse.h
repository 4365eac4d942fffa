/* Runs policygen as a user would, and measures the run. */
#ifndef PINION_PRECISION_ANALYSE_H
#define PINION_PRECISION_ANALYSE_H

#include <stddef.h>

struct run {
    char *report;   /* owned: what it printed */
    double seconds; /* wall time */
    double processor_seconds;
    long peak_kib; /* the largest resident size */
};

/* arguments[0] is the program, the array ends with NULL. Its exit status must be EXIT_FINE: all else ends the process with a
 * message. The caller frees run.report. */
struct run run_program(char *const *arguments);

/* Runs of policygen, one a line: its arguments, in which `*` and the like stand for files. '#' begins a comment. */
struct command {
    char **arguments; /* owned */
    size_t count;
};

struct commands {
    struct command *items;
    size_t count;
};

/* A pattern that no file matches ends the process with a message. */
void commands_read(const char *path, struct commands *commands);
void commands_free(struct commands *commands);

#endif
