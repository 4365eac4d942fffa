/* Judging recorded intervals with a model. */
#include "tools/judge.h"

#include <string.h>
#include <sys/stat.h>

#include "runtime/util.h"

void judge_begin(struct judge *judge, const struct model_header *model, char *const *names, size_t count) {
    *judge = (struct judge){.model = model, .call_count = count};
    for (size_t i = 0; i < model->calls.count; i++) {
        const char *name = model_text(model, model_calls(model)[i].name);
        size_t column = 0;
        while (column < count && strcmp(names[column], name) != 0)
            column++;
        judge->columns[i] = column;
        if (column < count)
            judge->known[column] = true;
    }
}

size_t judge_never_seen(const struct judge *judge, const uint64_t *row, size_t from) {
    while (from < judge->call_count && (row[from] == 0 || judge->known[from]))
        from++;
    return from;
}

bool judge_order(const struct judge *judge, const uint64_t *row, uint64_t *counts) {
    for (size_t i = 0; i < judge->model->calls.count; i++)
        counts[i] = judge->columns[i] < judge->call_count ? row[judge->columns[i]] : 0;
    return judge_never_seen(judge, row, 0) == judge->call_count;
}

struct judgement judge_row(struct judge *judge, const uint64_t *row) {
    uint64_t counts[MODEL_MAX_CALLS];
    struct judgement judgement = {.never_seen = !judge_order(judge, row, counts)};
    judgement.score = model_score(judge->model, &judge->state, counts, &judge->work);
    judgement.alarm = model_alarm(judge->model, &judge->state, judgement.score, judgement.never_seen);
    return judgement;
}

const struct model_header *model_open(const char *path) {
    size_t size;
    struct stat status;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        die("cannot read the model \"%s\": it is a directory", path);
    char *file = file_read(path, MODEL_MAX_BYTES, &size);
    if (!file)
        die_with_error("cannot read the model \"%s\"", path);
    const char *mistake = model_validate(file, size);
    if (mistake)
        die("cannot use the model \"%s\": %s; train it anew with pinion train", path, mistake);
    return (const struct model_header *)file;
}
