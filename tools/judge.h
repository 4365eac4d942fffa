/* A model applied to recorded intervals: exactly what the shim would have said, call columns matched by name. */
#ifndef PINION_TOOLS_JUDGE_H
#define PINION_TOOLS_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/model.h"

struct judge {
    const struct model_header *model;
    size_t call_count;               /* of a row given to judge_row */
    size_t columns[MODEL_MAX_CALLS]; /* per call of the model: where it stands in a row; call_count: nowhere */
    bool known[MODEL_MAX_CALLS];     /* per column of a row: whether training saw that call */
    struct model_state state;
    struct model_work work; /* of the last row */
};

struct judgement {
    int32_t score; /* as model_score */
    bool never_seen;
    bool alarm;
};

/* The rows' columns are `names`. The model stays in use. */
void judge_begin(struct judge *judge, const struct model_header *model, char *const *names, size_t count);
struct judgement judge_row(struct judge *judge, const uint64_t *row);

/* The row in the model's order; false when it holds a call that training never saw. */
bool judge_order(const struct judge *judge, const uint64_t *row, uint64_t *counts);

/* The next column from `from` on in which the row holds a call that training never saw; call_count: there is none. */
size_t judge_never_seen(const struct judge *judge, const uint64_t *row, size_t from);

/* Maps and validates a model file; ends the program with a message and the remedy. */
const struct model_header *model_open(const char *path);

#endif
