/* Pooling recordings under one list of calls. */
#include "tools/dataset.h"

#include <math.h>
#include <string.h>

#include "runtime/util.h"

/* So many intervals with calls are a recording's end, besides the MODEL_STARTING at its start; one with fewer than
 * EDGES_FROM has none to spare. */
#define ENDING 2
#define EDGES_FROM 40

static size_t find_call(const struct dataset *data, size_t count, const char *name) {
    size_t i = 0;
    while (i < count && strcmp(data->calls[i], name) != 0)
        i++;
    return i;
}

/* A new call makes every row longer by a zero. */
static void widen(struct dataset *data, size_t calls) {
    uint64_t *counts = xcalloc(data->row_count * calls + 1, sizeof *counts);
    for (size_t row = 0; row < data->row_count; row++)
        memcpy(counts + row * calls, dataset_row(data, row), data->call_count * sizeof *counts);
    free(data->counts);
    data->counts = counts;
    data->call_count = calls;
}

static void add_calls(struct dataset *data, const char *const *names, size_t count, size_t *columns) {
    size_t known = data->call_count;
    for (size_t i = 0; i < count; i++) {
        columns[i] = find_call(data, known, names[i]);
        if (columns[i] == known)
            *array_append(data->calls, known) = xstrdup(names[i]);
    }
    if (known > MODEL_MAX_CALLS)
        die("the recordings name %zu calls together; a model has at most %d", known, MODEL_MAX_CALLS);
    if (known > data->call_count)
        widen(data, known);
}

static size_t add_rows(struct dataset *data, size_t count, uint32_t group) {
    size_t first = data->row_count;
    data->row_count += count;
    data->counts = xrealloc(data->counts, data->row_count * data->call_count + 1, sizeof *data->counts);
    data->groups = xrealloc(data->groups, data->row_count + 1, sizeof *data->groups);
    memset(data->counts + first * data->call_count, 0, count * data->call_count * sizeof *data->counts);
    data->edges = xrealloc(data->edges, data->row_count + 1, sizeof *data->edges);
    for (size_t row = first; row < data->row_count; row++) {
        data->groups[row] = group;
        data->edges[row] = false;
    }
    if (group >= data->group_count)
        data->group_count = group + 1;
    return first;
}

static void agree_on_interval(struct dataset *data, uint32_t interval_ms, const char *who) {
    if (data->interval_ms != 0 && data->interval_ms != interval_ms)
        die("\"%s\" has intervals of %u ms, the others of %u ms: record them alike", who, interval_ms,
            data->interval_ms);
    data->interval_ms = interval_ms;
}

void dataset_add(struct dataset *data, const struct recording *recording, size_t first, size_t count, uint32_t group) {
    agree_on_interval(data, recording->interval_ms, recording->path);
    size_t columns[MODEL_MAX_CALLS];
    add_calls(data, (const char *const *)recording->calls, recording->call_count, columns);
    size_t at = add_rows(data, count, group);
    for (size_t row = 0; row < count; row++) {
        const uint64_t *from = recording_row(recording, first + row);
        uint64_t *to = data->counts + (at + row) * data->call_count;
        for (size_t i = 0; i < recording->call_count; i++)
            to[columns[i]] = from[i];
    }
}

void dataset_add_sample(struct dataset *data, const struct model_header *model) {
    agree_on_interval(data, model->interval_ms, "the model");
    const char *names[MODEL_MAX_CALLS] = {0};
    size_t columns[MODEL_MAX_CALLS], calls = model->calls.count, rows = model->sample.count / calls;
    for (size_t i = 0; i < calls; i++)
        names[i] = model_text(model, model_calls(model)[i].name);
    add_calls(data, names, calls, columns);
    size_t at = add_rows(data, rows, data->group_count);
    const uint16_t *sample = model_at(model, model->sample);
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < calls; i++)
            data->counts[(at + row) * data->call_count + columns[i]] =
                (uint64_t)round(exp2(sample[row * calls + i] / 1024.0)) - 1;
}

void dataset_part(struct dataset *data, uint32_t pieces) {
    for (size_t row = 0; row < data->row_count; row++)
        data->groups[row] = (uint32_t)(row * pieces / data->row_count);
    data->group_count = pieces;
}

size_t dataset_rows_but(const struct dataset *data, uint32_t group, size_t *rows) {
    size_t count = 0;
    for (size_t row = 0; row < data->row_count; row++)
        if (data->groups[row] != group)
            rows[count++] = row;
    return count;
}

static bool is_busy(const struct dataset *data, size_t row) {
    const uint64_t *counts = dataset_row(data, row);
    size_t call = 0;
    while (call < data->call_count && counts[call] == 0)
        call++;
    return call < data->call_count;
}

static size_t count_busy(const struct dataset *data, size_t first) {
    size_t busy = 0;
    for (size_t row = first; row < data->row_count; row++)
        busy += is_busy(data, row);
    return busy;
}

size_t dataset_busy_rows(const struct dataset *data) {
    return count_busy(data, 0);
}

void dataset_mark_edges(struct dataset *data, size_t first) {
    size_t busy = count_busy(data, first), seen = 0;
    for (size_t row = first; row < data->row_count && busy >= EDGES_FROM; row++) {
        seen += is_busy(data, row);
        data->edges[row] = seen <= MODEL_STARTING || seen + ENDING > busy;
    }
}

void dataset_free(struct dataset *data) {
    for (size_t i = 0; i < data->call_count; i++)
        free(data->calls[i]);
    free(data->calls);
    free(data->counts);
    free(data->groups);
    free(data->edges);
    *data = (struct dataset){0};
}
