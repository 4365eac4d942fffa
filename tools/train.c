/* `pinion train`: makes a model from recorded counts, or adds new recordings to an old one. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/util.h"
#include "tools/dataset.h"
#include "tools/json.h"
#include "tools/judge.h"
#include "tools/options.h"
#include "tools/training.h"

/* Cross-fitting trains one model more than there are groups. */
#define GROUPS_LEAST 3
#define GROUPS_MOST 8

static struct {
    const char *output;
    const char *merge;
    const char *split;
    const char *rate;
    const char *consecutive;
    const char *seed;
    bool json;
} settings = {.output = "pinion.model"};

static const struct option_row options[] = {
    OPTION_TEXT("output", 'o', "FILE", &settings.output, "write the model here (pinion.model)"),
    OPTION_TEXT("merge", 'm', "MODEL", &settings.merge, "train on what this model was trained on as well"),
    OPTION_TEXT("split", 0, "NAME", &settings.split, "take only the rows of this split"),
    OPTION_TEXT("rate", 0, "SHARE", &settings.rate,
                "choose the threshold for this share of false alarms per interval (0.0015; 0.0003 is strict)"),
    OPTION_TEXT("consecutive", 0, "N", &settings.consecutive, "an alarm takes N odd intervals in a row (1)"),
    OPTION_TEXT("seed", 0, "N", &settings.seed, "of the pseudo-random order of training (1)"),
    OPTION_FLAG("json", 'j', &settings.json, "print one JSON object"),
};

static const char details[] =
    "FILE is a recording that `pinion record` wrote, or any CSV file with one column per call and one row per "
    "interval,\n"
    "plain or gzipped. Only normal operation belongs into it. Several recordings, of several containers of one image,\n"
    "make a better model than one. The same files, options and seed give the same model.\n"
    "\n"
    "Exit status: 0 the model is written, 2 it is not.\n";

static void show_progress(void *context, unsigned part, unsigned parts, unsigned epoch, double loss) {
    (void)context;
    fprintf(stderr, "\rtraining: part %u of %u, epoch %u, error %.4f ", part + 1, parts, epoch, loss);
}

static struct training_plan plan_from_options(const struct usage *usage) {
    struct training_plan plan = training_defaults;
    if (settings.rate)
        plan.rate = options_share(usage, "rate", settings.rate);
    if (settings.consecutive)
        plan.consecutive = options_number(usage, "consecutive", settings.consecutive, 1000);
    if (settings.seed)
        plan.seed = options_number(usage, "seed", settings.seed, UINT32_MAX);
    if (!settings.json && isatty(STDERR_FILENO))
        plan.progress = show_progress;
    return plan;
}

static void add_file(struct dataset *data, const char *path, uint32_t group) {
    struct recording recording;
    recording_read(path, &recording);
    size_t before = data->row_count;
    for (size_t i = 0; i < recording.trace_count; i++) {
        const struct trace *trace = &recording.traces[i];
        size_t first = data->row_count;
        if (settings.split && strcmp(trace->split, settings.split) != 0)
            continue;
        dataset_add(data, &recording, trace->first, trace->count, group);
        dataset_mark_edges(data, first);
    }
    if (data->row_count == before)
        die("\"%s\" has no rows%s%s", path, settings.split ? " of split " : "", settings.split ? settings.split : "");
    recording_free(&recording);
}

static void gather(struct dataset *data, char **files, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (size_t earlier = 0; earlier < i; earlier++)
            if (strcmp(files[earlier], files[i]) == 0)
                die("\"%s\" is given twice: a recording counts once", files[i]);
        add_file(data, files[i], (uint32_t)(i % GROUPS_MOST));
    }
    if (settings.merge)
        dataset_add_sample(data, model_open(settings.merge));
    if (data->group_count < GROUPS_LEAST)
        dataset_part(data, GROUPS_LEAST);
    size_t busy = dataset_busy_rows(data);
    if (busy < TRAINING_LEAST)
        die("%zu intervals with calls are too few to learn from: record at least %d", busy, TRAINING_LEAST);
}

static void print_summary(const struct model_header *model) {
    if (settings.json) {
        json_print(json_pack("{s:o, s:i, s:I, s:i, s:i, s:f, s:f, s:i}", "model", json_text(settings.output), "calls",
                             (int)model->calls.count, "intervals", (json_int_t)model->trained, "interval_ms",
                             (int)model->interval_ms, "hidden", (int)model->hidden, "rate", model->rate_ppm / 1e6,
                             "threshold", (double)model->threshold / FIXED_ONE, "consecutive",
                             (int)model->consecutive));
        return;
    }
    printf(
        "%s: trained on %lu intervals of %u ms with %u calls; alarm above %.2f (%g of intervals), after %u in a row\n",
        settings.output, (unsigned long)model->trained, model->interval_ms, model->calls.count,
        (double)model->threshold / FIXED_ONE, model->rate_ppm / 1e6, model->consecutive);
}

int verb_train(const struct verb *verb, int argc, char **argv) {
    struct usage usage = {.verb = verb,
                          .arguments = "FILE...",
                          .details = details,
                          .options = options,
                          .option_count = sizeof options / sizeof options[0]};
    size_t words = options_read(&usage, argc, argv);
    if (words == 0 && !settings.merge)
        options_mistake(&usage, "which recording?");
    struct training_plan plan = plan_from_options(&usage);
    struct stat status;
    if (stat(settings.output, &status) == 0 && S_ISDIR(status.st_mode))
        die("cannot write the model \"%s\": it is a directory", settings.output);
    struct dataset data = {0};
    gather(&data, argv + 1, words);
    struct model_header *model = model_train(&data, &plan);
    if (plan.progress)
        fputs("\r\033[K", stderr);
    if (!atomic_file_write(settings.output, 0644, model, model->size))
        die_with_error("cannot write the model \"%s\"", settings.output);
    print_summary(model);
    free(model);
    dataset_free(&data);
    return EXIT_FINE;
}
