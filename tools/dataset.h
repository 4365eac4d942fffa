/* Intervals of one or several recordings under one list of calls: what a model is trained on and judged by. */
#ifndef PINION_TOOLS_DATASET_H
#define PINION_TOOLS_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/model.h"
#include "tools/recording.h"

struct dataset {
    char **calls;
    size_t call_count;
    uint64_t *counts; /* [row_count][call_count] */
    uint32_t *groups; /* per row: the recording it is from; in held-back scoring a group stays together */
    bool *edges;      /* per row: where a recording starts or ends, which is like nothing in between */
    size_t row_count;
    uint32_t group_count;
    uint32_t interval_ms;
};

/* Appends rows as group `group`. Ends the program when the intervals differ in length. */
void dataset_add(struct dataset *data, const struct recording *recording, size_t first, size_t count, uint32_t group);

/* The rows from `first` on are a recording of their own, from the start of its programs to their end. */
void dataset_mark_edges(struct dataset *data, size_t first);

/* Appends the intervals that a model carries as a group of its own. */
void dataset_add_sample(struct dataset *data, const struct model_header *model);

/* Parts the rows into so many pieces that follow one another, whatever their groups were: each can be held back. */
void dataset_part(struct dataset *data, uint32_t pieces);

/* The indices of the rows that are not of this group; of all rows when there is no such group. */
size_t dataset_rows_but(const struct dataset *data, uint32_t group, size_t *rows);

/* Rows in which anything was called. */
size_t dataset_busy_rows(const struct dataset *data);

void dataset_free(struct dataset *data);

static inline const uint64_t *dataset_row(const struct dataset *data, size_t row) {
    return data->counts + row * data->call_count;
}

#endif
