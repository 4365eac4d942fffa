/* `pinion score`: says of recorded intervals what the shim would have said with this model. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "runtime/util.h"
#include "tools/describe.h"
#include "tools/json.h"
#include "tools/judge.h"
#include "tools/options.h"
#include "tools/recording.h"

static struct {
    const char *model;
    bool all;
    bool json;
} settings;

static const struct option_row options[] = {
    OPTION_TEXT("model", 'm', "MODEL", &settings.model, "the model to score with"),
    OPTION_FLAG("all", 'a', &settings.all, "list every interval, not only those in alarm"),
    OPTION_FLAG("json", 'j', &settings.json,
                "print one JSON object a line per interval in alarm; with --all every one"),
};

static const char details[] = "FILE is a recording, as for `pinion train`. A score is in powers of two. An interval is "
                              "odd where its score lies above\n"
                              "the threshold, which moves with the scores by a factor of two at most, or where it "
                              "holds a call that training never\n"
                              "saw; odd intervals are an alarm. Every trace of a file is scored from a fresh start.\n"
                              "\n"
                              "Exit status: 0 no alarm, 1 there were alarms, 2 error.\n";

struct tally {
    size_t intervals, alarms;
};

#define TIME_MOST 253402300800.0 /* the year 10000 */

/* As the shim's log has it; "-" where the file does not say. */
static const char *time_text(double seconds, char text[32]) {
    time_t whole = seconds > 0 && seconds < TIME_MOST ? (time_t)seconds : 0;
    struct tm parts;
    if (whole == 0 || gmtime_r(&whole, &parts) == NULL)
        return "-";
    size_t length = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + length, 32 - length, ".%03uZ", (unsigned)((seconds - (double)whole) * 1000));
    return text;
}

static void print_json(const struct judge *judge, const struct recording *recording, const struct trace *trace,
                       size_t row, const struct judgement *judgement) {
    json_t *new_calls = json_array();
    const uint64_t *counts = recording_row(recording, trace->first + row);
    for (size_t i = 0; (i = judge_never_seen(judge, counts, i)) < recording->call_count; i++)
        json_array_append_new(new_calls, json_text(recording->calls[i]));
    char text[32];
    json_t *object = json_pack(
        "{s:o, s:o, s:I, s:s, s:o, s:o, s:b}", "file", json_text(recording->path), "trace", json_text(trace->name),
        "interval", (json_int_t)row, "time", time_text(recording->starts[trace->first + row], text), "score",
        judgement->score == SCORE_IDLE ? json_null() : json_real((double)judgement->score / FIXED_ONE), "never_seen",
        new_calls, "alarm", judgement->alarm);
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(object);
}

static void print_text(const struct judge *judge, const struct recording *recording, const struct trace *trace,
                       size_t row, const struct judgement *judgement) {
    static bool begun;
    char text[32];
    if (!begun)
        printf("%-12s %7s  %-24s %7s\n", "trace", "row", "time", "score");
    begun = true;
    cleanup_free char *name = printable(trace->name);
    printf("%-12s %7zu  %-24s ", name, row, time_text(recording->starts[trace->first + row], text));
    if (judgement->score == SCORE_IDLE)
        printf("   idle");
    else
        printf("%7.2f", (double)judgement->score / FIXED_ONE);
    fputs(judgement->alarm ? "  alarm" : "", stdout);
    const uint64_t *counts = recording_row(recording, trace->first + row);
    const char *before = "  never seen: ";
    for (size_t i = 0; (i = judge_never_seen(judge, counts, i)) < recording->call_count; i++) {
        printf("%s%s", before, recording->calls[i]);
        before = ", ";
    }
    putchar('\n');
}

static void score_trace(const struct model_header *model, const struct recording *recording, const struct trace *trace,
                        struct tally *tally) {
    struct judge *judge = xcalloc(1, sizeof *judge);
    judge_begin(judge, model, recording->calls, recording->call_count);
    for (size_t row = 0; row < trace->count; row++) {
        struct judgement judgement = judge_row(judge, recording_row(recording, trace->first + row));
        tally->intervals++;
        tally->alarms += judgement.alarm;
        if (!settings.all && !judgement.alarm)
            continue;
        if (settings.json)
            print_json(judge, recording, trace, row, &judgement);
        else
            print_text(judge, recording, trace, row, &judgement);
    }
    free(judge);
}

static void score_file(const struct model_header *model, const char *path, struct tally *tally) {
    struct recording recording;
    recording_read(path, &recording);
    if (recording.interval_ms != model->interval_ms)
        die("\"%s\" has intervals of %u ms, the model was trained on %u ms: record or train with the other", path,
            recording.interval_ms, model->interval_ms);
    for (size_t i = 0; i < recording.trace_count; i++)
        score_trace(model, &recording, &recording.traces[i], tally);
    recording_free(&recording);
}

int verb_score(const struct verb *verb, int argc, char **argv) {
    struct usage usage = {.verb = verb,
                          .arguments = "--model MODEL FILE...",
                          .details = details,
                          .options = options,
                          .option_count = sizeof options / sizeof options[0]};
    size_t words = options_read(&usage, argc, argv);
    if (!settings.model)
        options_mistake(&usage, "which model? (--model)");
    if (words == 0)
        options_mistake(&usage, "which recording?");
    const struct model_header *model = model_open(settings.model);
    struct tally tally = {0};
    for (size_t i = 1; i <= words; i++)
        score_file(model, argv[i], &tally);
    if (!settings.json)
        printf("%zu interval%s, %zu in alarm (threshold %.2f)\n", tally.intervals, tally.intervals == 1 ? "" : "s",
               tally.alarms, (double)model->threshold / FIXED_ONE);
    return tally.alarms ? EXIT_FINDINGS : EXIT_FINE;
}
