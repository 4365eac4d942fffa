/* `pinion signature`: what the intervals in alarm of a recording look like, which known vulnerability that is, and
 * adding what is known to the database.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/signature.h"
#include "runtime/util.h"
#include "tools/answer.h"
#include "tools/describe.h"
#include "tools/expected.h"
#include "tools/json.h"
#include "tools/options.h"
#include "tools/recording.h"

static struct {
    const char *model;
    const char *database;
    const char *top;
    const char *name, *cve, *package, *recipe;
    bool json;
} settings;

static const struct option_row options[] = {
    OPTION_TEXT("model", 'm', "MODEL", &settings.model, "the model that says which intervals are in alarm"),
    OPTION_TEXT("db", 'd', "DB", &settings.database, "the signature database"),
    OPTION_TEXT("top", 'k', "N", &settings.top,
                "most frequent calls in a signature, 1 to 8 (default: as the database has it, else 5)"),
    OPTION_TEXT("name", 'n', "NAME", &settings.name, "learn: the vulnerability's name in the database"),
    OPTION_TEXT("cve", 0, "CVE", &settings.cve, "learn: its CVE"),
    OPTION_TEXT("package", 0, "PACKAGE", &settings.package, "learn: the package to be updated"),
    OPTION_TEXT("recipe", 0, "RECIPE", &settings.recipe, "learn: how"),
    OPTION_FLAG("json", 'j', &settings.json, "print one JSON object"),
};

static const char details[] =
    "  pinion signature --model MODEL FILE...                     the signature of each alarm\n"
    "  pinion signature lookup --db DB --model MODEL FILE...      and the vulnerability that it is known by\n"
    "  pinion signature learn --db DB --name NAME [--cve CVE] [--package PACKAGE] [--recipe RECIPE]\n"
    "                         --model MODEL FILE...               adds recorded attacks, one per trace\n"
    "  pinion signature list --db DB                              what the database knows\n"
    "\n"
    "FILE is a recording, as for `pinion score`; learning takes the rows of split \"attack\" where a file has such.\n"
    "Alarms less than 10 seconds apart are one. An answer is a name with its confidence; \"ambiguous\" when several "
    "are\n"
    "alike; or \"unknown\".\n"
    "\n"
    "Exit status: 0 done, all alarms were named; 1 no alarm, or one that is ambiguous or unknown; 2 error.\n";

#define ONE_ALARM_MS 10000

/* ---- alarms ---- */

struct alarm {
    const char *file, *trace; /* of recordings that stay in memory */
    size_t first, last;       /* intervals of the trace, from 0 */
    size_t intervals;         /* of these in alarm */
    struct evidence evidence;
};

struct alarms {
    struct alarm *items;
    size_t count;
};

/* What is needed to collect the alarms of one trace. */
struct collector {
    struct judge judge;
    struct expectation expectation;
    struct evidence_builder builder;
    size_t gap; /* intervals without alarm that part two alarms */
    unsigned top;
    struct alarm open; /* intervals is 0 while none is */
};

static void close_alarm(struct collector *collector, struct alarms *alarms) {
    if (collector->open.intervals == 0)
        return;
    evidence_end(&collector->builder, collector->top, &collector->open.evidence);
    *array_append(alarms->items, alarms->count) = collector->open;
    collector->open.intervals = 0;
}

static void add_interval(struct collector *collector, size_t interval, const uint64_t *row) {
    if (collector->open.intervals == 0) {
        evidence_begin(&collector->builder, &collector->expectation);
        collector->open.first = interval;
    }
    evidence_add(&collector->builder, row);
    collector->open.last = interval;
    collector->open.intervals++;
}

static void collect_trace(struct collector *collector, const struct recording *recording, const struct trace *trace,
                          struct alarms *alarms) {
    const struct model_header *model = collector->judge.model;
    judge_begin(&collector->judge, model, recording->calls, recording->call_count);
    collector->open = (struct alarm){.file = recording->path, .trace = trace->name};
    for (size_t i = 0; i < trace->count; i++) {
        const uint64_t *row = recording_row(recording, trace->first + i);
        if (!judge_row(&collector->judge, row).alarm)
            continue;
        if (collector->open.intervals > 0 && i - collector->open.last >= collector->gap)
            close_alarm(collector, alarms);
        add_interval(collector, i, row);
    }
    close_alarm(collector, alarms);
}

static bool has_attacks(const struct recording *recording) {
    for (size_t i = 0; i < recording->trace_count; i++)
        if (strcmp(recording->traces[i].split, "attack") == 0)
            return true;
    return false;
}

/* The alarms of a file; when learning, those of each trace of its attacks are one. */
static void collect(const struct model_header *model, struct recording *recording, unsigned top, bool learning,
                    struct alarms *alarms) {
    if (recording->interval_ms != model->interval_ms)
        die("\"%s\" has intervals of %u ms, the model was trained on %u ms: record or train with the other",
            recording->path, recording->interval_ms, model->interval_ms);
    struct collector *collector = xcalloc(1, sizeof *collector);
    judge_begin(&collector->judge, model, recording->calls, recording->call_count);
    expected_of(&collector->judge, recording->calls, &collector->expectation);
    collector->gap = learning ? SIZE_MAX : ONE_ALARM_MS / recording->interval_ms;
    collector->top = top;
    bool attacks_only = learning && has_attacks(recording);
    for (size_t i = 0; i < recording->trace_count; i++)
        if (!attacks_only || strcmp(recording->traces[i].split, "attack") == 0)
            collect_trace(collector, recording, &recording->traces[i], alarms);
    expected_free(&collector->expectation);
    free(collector);
}

static void alarms_free(struct alarms *alarms) {
    for (size_t i = 0; i < alarms->count; i++)
        evidence_free(&alarms->items[i].evidence);
    free(alarms->items);
}

/* ---- showing ---- */

#define RISEN_SHOWN 8

static int compare_rises(const void *a, const void *b) {
    unsigned left = ((const struct risen_call *)a)->rise, right = ((const struct risen_call *)b)->rise;
    return (left < right) - (left > right);
}

static void print_names(const char *head, char *const *names, size_t count) {
    if (count == 0)
        return;
    fputs(head, stdout);
    for (size_t i = 0; i < count; i++) {
        cleanup_free char *clean = printable(names[i]);
        printf("%s%s", i > 0 ? ", " : "", clean);
    }
    putchar('\n');
}

static void print_risen(const struct evidence *evidence) {
    if (evidence->risen_count == 0)
        return;
    cleanup_free struct risen_call *risen = xcalloc(evidence->risen_count, sizeof *risen);
    memcpy(risen, evidence->risen, evidence->risen_count * sizeof *risen);
    qsort(risen, evidence->risen_count, sizeof *risen, compare_rises);
    fputs("  rose most: ", stdout);
    for (size_t i = 0; i < evidence->risen_count && i < RISEN_SHOWN; i++) {
        cleanup_free char *clean = printable(risen[i].name);
        printf("%s%s %u%%", i > 0 ? ", " : "", clean, risen[i].rise);
    }
    puts(evidence->risen_count > RISEN_SHOWN ? ", ..." : "");
}

static void print_alarm(const struct alarm *alarm) {
    char digest[DIGEST_TEXT_BYTES];
    digest_format(alarm->evidence.digest, digest);
    cleanup_free char *trace = printable(alarm->trace);
    printf("%s, intervals %zu to %zu, %zu in alarm\n  signature %s\n", trace, alarm->first, alarm->last,
           alarm->intervals, digest);
    print_names("  most frequent: ", alarm->evidence.top, alarm->evidence.top_count);
    print_names("  never seen in training: ", alarm->evidence.never_seen, alarm->evidence.never_seen_count);
    print_risen(&alarm->evidence);
}

static json_t *names_json(char *const *names, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_text(names[i]));
    return list;
}

static json_t *alarm_json(const struct alarm *alarm) {
    char digest[DIGEST_TEXT_BYTES];
    const struct evidence *evidence = &alarm->evidence;
    digest_format(evidence->digest, digest);
    json_t *risen = json_array();
    for (size_t i = 0; i < evidence->risen_count; i++)
        json_array_append_new(risen, json_pack("{s:o, s:i}", "call", json_text(evidence->risen[i].name), "rise",
                                               (int)evidence->risen[i].rise));
    return json_pack("{s:o, s:o, s:I, s:I, s:I, s:s, s:o, s:o, s:o}", "file", json_text(alarm->file), "trace",
                     json_text(alarm->trace), "first", (json_int_t)alarm->first, "last", (json_int_t)alarm->last,
                     "intervals", (json_int_t)alarm->intervals, "signature", digest, "top",
                     names_json(evidence->top, evidence->top_count), "never_seen",
                     names_json(evidence->never_seen, evidence->never_seen_count), "risen", risen);
}

/* ---- verbs of the verb ---- */

static unsigned top_or_die(const struct usage *usage, unsigned otherwise) {
    if (settings.top == NULL)
        return otherwise;
    unsigned top = (unsigned)(settings.top[0] - '0');
    if (top < 1 || top > SIGNATURE_TOP_MOST || settings.top[1] != '\0')
        options_mistake(usage, "--top must be from 1 to %d, not \"%s\"", SIGNATURE_TOP_MOST, settings.top);
    return top;
}

/* Reads the recordings, which stay in memory: alarms name them. */
static struct alarms read_alarms(const struct usage *usage, char **files, unsigned top, bool learning) {
    struct alarms alarms = {0};
    if (!settings.model)
        options_mistake(usage, "which model? (--model)");
    if (!*files)
        options_mistake(usage, "which recording?");
    const struct model_header *model = model_open(settings.model);
    for (; *files; files++) {
        struct recording *recording = xcalloc(1, sizeof *recording);
        recording_read(*files, recording);
        collect(model, recording, top, learning, &alarms);
    }
    return alarms;
}

static int look_up(const struct usage *usage, char **files, const struct signatures *known, unsigned top) {
    struct alarms alarms = read_alarms(usage, files, top, false);
    struct identifier *identifier = known != NULL ? identifier_new(known) : NULL;
    json_t *list = json_array();
    bool all_named = alarms.count > 0;
    for (size_t i = 0; i < alarms.count; i++) {
        struct answer answer = {0};
        json_t *object = alarm_json(&alarms.items[i]);
        if (!settings.json)
            print_alarm(&alarms.items[i]);
        if (known != NULL) {
            identify(identifier, &alarms.items[i].evidence, &answer);
            all_named = all_named && answer.kind == ANSWER_NAMED;
            answer_add_json(&answer, object);
        }
        if (known != NULL && !settings.json)
            answer_print(&answer);
        json_array_append_new(list, object);
        answer_free(&answer);
    }
    if (settings.json)
        json_print(json_pack("{s:O}", "alarms", list));
    else if (alarms.count == 0)
        puts("no interval is in alarm");
    json_decref(list);
    identifier_free(identifier);
    alarms_free(&alarms);
    return all_named ? EXIT_FINE : EXIT_FINDINGS;
}

static void database_or_die(const struct usage *usage, struct signatures *known) {
    if (!settings.database)
        options_mistake(usage, "which database? (--db)");
    signatures_read_or_die(settings.database, known);
}

static int verb_lookup(const struct usage *usage, char **files) {
    struct signatures known;
    database_or_die(usage, &known);
    if (top_or_die(usage, known.top) != known.top)
        options_mistake(usage, "the signatures of \"%s\" are of %u calls: leave --top out", settings.database,
                        known.top);
    int status = look_up(usage, files, &known, known.top);
    signatures_free(&known);
    return status;
}

static int verb_list(const struct usage *usage, char **files) {
    struct signatures known;
    if (*files)
        options_mistake(usage, "list takes no recording");
    database_or_die(usage, &known);
    json_t *list = json_array();
    for (size_t i = 0; i < known.count; i++) {
        const struct signature_entry *entry = &known.entries[i];
        json_t *object = entry_json(entry);
        json_object_set_new(object, "recordings", json_integer((json_int_t)entry->recording_count));
        json_array_append_new(list, object);
        if (settings.json)
            continue;
        entry_print(entry);
        printf(": %zu recorded\n", entry->recording_count);
    }
    if (settings.json)
        json_print(json_pack("{s:i, s:O}", "top", (int)known.top, "entries", list));
    json_decref(list);
    signatures_free(&known);
    return EXIT_FINE;
}

static void set_text(char **text, const char *given, const char *what, const char *name) {
    if (given == NULL)
        return;
    if (*text != NULL && strcmp(*text, given) != 0)
        die("\"%s\" has the %s \"%s\" in \"%s\", not \"%s\": change it there", name, what, *text, settings.database,
            given);
    free(*text);
    *text = xstrdup(given);
}

static void write_database(const struct signatures *known) {
    struct atomic_file file;
    if (!atomic_file_open(&file, settings.database, 0644))
        die_with_error("cannot write \"%s\"", settings.database);
    signatures_write(known, file.stream);
    if (!atomic_file_commit(&file))
        die_with_error("cannot write \"%s\"", settings.database);
}

static void learn_alarms(struct signatures *known, const struct alarms *alarms) {
    size_t learned = 0;
    for (size_t i = 0; i < alarms->count; i++) {
        enum learned result = signatures_learn(known, settings.name, &alarms->items[i].evidence);
        if (result == LEARNED_TOO_MANY)
            die("\"%s\" has %d recordings already: remove some from \"%s\" first", settings.name, RECORDINGS_MOST,
                settings.database);
        learned += result != LEARNED_NOTHING;
    }
    struct signature_entry *entry = signatures_find(known, settings.name);
    set_text(&entry->cve, settings.cve, "CVE", settings.name);
    set_text(&entry->package, settings.package, "package", settings.name);
    set_text(&entry->recipe, settings.recipe, "recipe", settings.name);
    printf("%s: %zu recorded, %zu of them new\n", settings.name, entry->recording_count, learned);
}

static bool is_good_text(const char *text) {
    cleanup_free char *clean = printable(text);
    return *text != '\0' && strlen(text) <= 256 && strcmp(clean, text) == 0;
}

static void check_texts(const struct usage *usage) {
    const char *const texts[] = {settings.name, settings.cve, settings.package, settings.recipe};
    if (!settings.name)
        options_mistake(usage, "which name? (--name)");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i] != NULL && !is_good_text(texts[i]))
            options_mistake(usage, "a text is empty, longer than 256 bytes, or not printable");
}

/* A database that is not there yet is begun. */
static int verb_learn_attack(const struct usage *usage, char **files) {
    struct signatures known;
    check_texts(usage);
    if (settings.database && access(settings.database, F_OK) != 0 && errno == ENOENT) {
        signatures_init(&known);
        known.top = top_or_die(usage, known.top);
    } else {
        database_or_die(usage, &known);
    }
    if (top_or_die(usage, known.top) != known.top)
        options_mistake(usage, "the signatures of \"%s\" are of %u calls: leave --top out", settings.database,
                        known.top);
    struct alarms alarms = read_alarms(usage, files, known.top, true);
    if (alarms.count > 0) {
        learn_alarms(&known, &alarms);
        write_database(&known);
    } else {
        warn("no interval is in alarm: there is nothing to learn from");
    }
    bool learned = alarms.count > 0;
    alarms_free(&alarms);
    signatures_free(&known);
    return learned ? EXIT_FINE : EXIT_FINDINGS;
}

static const struct {
    const char *name;
    int (*handler)(const struct usage *usage, char **files);
} actions[] = {
    {"lookup", verb_lookup},
    {"learn", verb_learn_attack},
    {"list", verb_list},
};

int verb_signature(const struct verb *verb, int argc, char **argv) {
    struct usage usage = {.verb = verb,
                          .arguments = "[lookup|learn|list] FILE...",
                          .details = details,
                          .options = options,
                          .option_count = sizeof options / sizeof options[0]};
    options_read(&usage, argc, argv);
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (argv[1] && strcmp(argv[1], actions[i].name) == 0)
            return actions[i].handler(&usage, argv + 2);
    if (argv[1] && !strchr(argv[1], '/') && access(argv[1], F_OK) != 0)
        options_mistake(&usage, "\"%s\" is neither an action (lookup, learn, list) nor a file", argv[1]);
    return look_up(&usage, argv + 1, NULL, top_or_die(&usage, SIGNATURE_TOP));
}
