/* Reading the folder of attacks, and judging scores against a threshold. What a detector is, is not known here. */
#include "tools/evaluation.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/policy_file.h"

#define SUFFIX ".csv.gz"
#define MINUTES 3          /* of training, per container */
#define ONE_ALARM_MS 10000 /* alarms closer than this are one */

static const struct trace *find_trace(const struct recording *recording, const char *name, const char *split) {
    for (size_t i = 0; i < recording->trace_count; i++) {
        const struct trace *trace = &recording->traces[i];
        if (strcmp(trace->name, name) == 0 && strcmp(trace->split, split) == 0)
            return trace;
    }
    return NULL;
}

static bool find_subject(const struct recording *recording, unsigned container, struct subject *subject) {
    char name[16];
    snprintf(name, sizeof name, "c%u", container);
    const struct trace *normal = find_trace(recording, name, "validation-normal");
    const struct trace *attack = find_trace(recording, name, "attack");
    if (!normal && !attack)
        return false;
    if (!normal || !attack)
        die("\"%s\": container %s has no rows of split %s", recording->path, name,
            normal ? "attack" : "validation-normal");
    subject->container = container;
    subject->normal_first = normal->first;
    subject->normal_count = normal->count;
    subject->attack_first = attack->first;
    subject->attack_count = attack->count;
    return true;
}

static const struct trace *find_minute(const struct recording *recording, unsigned container, unsigned minute) {
    char name[16];
    snprintf(name, sizeof name, "train%u", (container - 1) * MINUTES + minute + 1);
    return find_trace(recording, name, "train-normal");
}

static void add_recording(struct evaluation_data *data, const char *path) {
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    size_t index = data->recording_count;
    *array_append(data->recordings, data->recording_count) = (struct recording){0};
    struct recording *recording = &data->recordings[index];
    recording_read(path, recording);
    data->names = xrealloc(data->names, data->recording_count, sizeof *data->names);
    data->names[index] = xstrndup(name, strlen(name) - strlen(SUFFIX));
    struct subject subject = {.vulnerability = index};
    for (unsigned container = 1; find_subject(recording, container, &subject); container++) {
        if (!find_minute(recording, container, 0))
            die("\"%s\": container c%u has no training rows (split train-normal, trace train%u)", path, container,
                (container - 1) * MINUTES + 1);
        *array_append(data->subjects, data->subject_count) = subject;
    }
    if (subject.container != 0 && !find_minute(recording, 2, 0))
        die("\"%s\" has one container alone: there is no other to train on", path);
}

void evaluation_read(const char *folder, struct evaluation_data *data) {
    *data = (struct evaluation_data){0};
    struct path_list files = list_directory(folder, SUFFIX);
    for (size_t i = 0; i < files.count; i++)
        add_recording(data, files.items[i]);
    path_list_free(&files);
    if (data->subject_count == 0)
        die("\"%s\" has no recorded attacks: files NAME" SUFFIX " with rows of split train-normal, validation-normal "
            "and attack are looked for",
            folder);
}

void evaluation_free(struct evaluation_data *data) {
    for (size_t i = 0; i < data->recording_count; i++) {
        recording_free(&data->recordings[i]);
        free(data->names[i]);
    }
    free(data->recordings);
    free(data->names);
    free(data->subjects);
    *data = (struct evaluation_data){0};
}

static void add_container(const struct recording *recording, unsigned container, bool parted, struct dataset *dataset) {
    uint32_t group = dataset->group_count;
    for (unsigned minute = 0; minute < MINUTES; minute++) {
        const struct trace *trace = find_minute(recording, container, minute);
        if (trace)
            dataset_add(dataset, recording, trace->first, trace->count, parted ? group + minute : group);
    }
}

void evaluation_schooling(const struct evaluation_data *data, const struct subject *subject, enum schooling schooling,
                          struct dataset *dataset) {
    const struct recording *recording = &data->recordings[subject->vulnerability];
    *dataset = (struct dataset){0};
    if (schooling == SCHOOLING_OWN) {
        add_container(recording, subject->container, true, dataset);
        return;
    }
    for (unsigned container = 1; find_minute(recording, container, 0); container++)
        if (container != subject->container)
            add_container(recording, container, false, dataset);
    if (dataset->group_count == 1) /* one other container: its minutes are held back in turn */
        dataset_part(dataset, MINUTES);
}

void evaluation_tested(const struct evaluation_data *data, const struct subject *subject, struct dataset *dataset) {
    const struct recording *recording = &data->recordings[subject->vulnerability];
    *dataset = (struct dataset){0};
    dataset_add(dataset, recording, subject->normal_first, subject->normal_count, 0);
    dataset_add(dataset, recording, subject->attack_first, subject->attack_count, 0);
}

/* ---- Judging ---- */

size_t evaluation_gap(const struct recording *recording) {
    return ONE_ALARM_MS / recording->interval_ms;
}

bool *evaluation_alarms(const struct scored *scored, size_t rows, struct threshold threshold, double *values) {
    bool *alarms = xcalloc(rows + 1, sizeof *alarms);
    struct model_header model = {.threshold = threshold_fixed(threshold.value), .consecutive = 1};
    struct model_state *state = xcalloc(1, sizeof *state);
    bool follows = scored->follows && threshold.rate > 0;
    model.rate_ppm = (uint32_t)lround(threshold.rate * 1e6);
    for (size_t row = 0; row < rows; row++) {
        double score = scored->scores[row];
        if (values)
            values[row] = follows ? (double)model_threshold(&model, state) / FIXED_ONE : threshold.value;
        state->intervals += score != -INFINITY;
        if (follows)
            alarms[row] =
                model_alarm(&model, state, score == -INFINITY ? SCORE_IDLE : (int32_t)lround(score * FIXED_ONE),
                            scored->never_seen[row]);
        else
            alarms[row] = scored->never_seen[row] || score > threshold.value;
    }
    free(state);
    return alarms;
}

static size_t count_alarms(const bool *alarms, size_t rows, size_t gap, size_t *in_alarm) {
    size_t count = 0, last = 0;
    *in_alarm = 0;
    for (size_t row = 0; row < rows; row++) {
        if (!alarms[row])
            continue;
        count += *in_alarm == 0 || row - last >= gap;
        last = row;
        ++*in_alarm;
    }
    return count;
}

/* How many of the windows of this length hold the beginning of an alarm. */
static size_t windows_with_alarm(const bool *alarms, size_t rows, size_t length) {
    size_t windows = 0, from = 0; /* windows that begin before `from` are counted already */
    for (size_t row = 0; row < rows; row++) {
        if (!alarms[row] || (row > 0 && alarms[row - 1]))
            continue;
        size_t first = row + 1 > length ? row + 1 - length : 0, last = row + length > rows ? rows - length : row;
        first = first < from ? from : first;
        if (last + 1 > first) {
            windows += last + 1 - first;
            from = last + 1;
        }
    }
    return windows;
}

struct outcome evaluation_judge(const struct evaluation_data *data, const struct subject *subject, const bool *alarms) {
    const struct recording *recording = &data->recordings[subject->vulnerability];
    size_t normal = subject->normal_count, end = normal + subject->attack_count;
    struct outcome outcome = {.normal = normal};
    outcome.alarms = count_alarms(alarms, normal, evaluation_gap(recording), &outcome.false_alarms);
    for (size_t row = normal; row < end && !outcome.detected; row++) {
        outcome.detected = alarms[row] && (row == 0 || !alarms[row - 1]);
        outcome.lead = outcome.detected ? (double)(end - row) * recording->interval_ms / 1000 : 0;
    }
    size_t length = subject->attack_count < normal ? subject->attack_count : normal;
    outcome.windows = length ? normal - length + 1 : 0;
    outcome.chance = length ? windows_with_alarm(alarms, normal, length) : 0;
    return outcome;
}
