/* Recorded counts: a CSV file, plain or gzipped, one row per interval, one column per call. Columns named split,
 * label, trace, start and interval_ms say what a row is; every other column is a call.
 */
#ifndef PINION_TOOLS_RECORDING_H
#define PINION_TOOLS_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mistake;

#define RECORDING_INTERVAL_MS 100 /* where a file does not say */

/* Rows that follow one another: one container's or one program's. */
struct trace {
    char *name;  /* column trace, or the file's name */
    char *split; /* column split, or "" */
    size_t first, count;
};

struct recording {
    char *path;
    char **calls;
    size_t call_count;
    uint64_t *counts; /* [row_count][call_count] */
    double *starts;   /* [row_count]: seconds since 1970, 0 where the file does not say */
    size_t row_count;
    uint32_t interval_ms;
    struct trace *traces; /* in the order of the rows; a new one where trace or split changes */
    size_t trace_count;
};

/* Reads the whole file. Rows of several intervals are left out with a warning; anything else that is not in order is a
 * mistake. */
bool recording_parse(const char *path, struct recording *recording, struct mistake *mistake);

/* The same, but ends the program with file, line and remedy. */
void recording_read(const char *path, struct recording *recording);
void recording_free(struct recording *recording);

static inline const uint64_t *recording_row(const struct recording *recording, size_t row) {
    return recording->counts + row * recording->call_count;
}

/* The column of a call, or call_count. */
size_t recording_column(const struct recording *recording, const char *call);

#endif
