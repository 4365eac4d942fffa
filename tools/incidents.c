/* `pinion incidents`: what the patch helper met and what it did about it, from its journal. It only reads. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/util.h"
#include "tools/json.h"
#include "tools/options.h"
#include "tools/patch/apply.h"
#include "tools/patch/incident_view.h"

static struct {
    const char *config, *state, *journal;
    const char *count;
    bool json;
} settings;

static const struct option_row options[] = {
    OPTION_TEXT("config", 'c', "FILE", &settings.config,
                "the helper's configuration, which names its state (default " CONFIG_PATH ")"),
    OPTION_TEXT("state", 's', "DIR", &settings.state, "the directory of its state"),
    OPTION_TEXT("journal", 0, "FILE", &settings.journal, "its journal"),
    OPTION_TEXT("count", 'n', "N", &settings.count, "list: the newest N alone"),
    OPTION_FLAG("json", 'j', &settings.json, "print one JSON object"),
};

static const char details[] =
    "  pinion incidents [list]     one line each, the newest first\n"
    "  pinion incidents show ID    the event, what it was taken for, each step with its cost, and what came of it\n"
    "\n"
    "A line has number, time, state, kind, program, match with its confidence, package with its versions, and how\n"
    "often the like was seen again. The state is one of: received, ignored, refused, notified, waiting (for `pinion\n"
    "patch approve`), approved, rejected, applying, done, rolled back, failed (a person has to look). Behind\n"
    "\"answered by:\" stands what a recipe's \"answers\" must have for the recipe to answer the incident.\n"
    "\n"
    "Exit status: 0 shown, 2 error, 3 there is no such incident.\n";

/* ---- the journal ---- */

/* The caller frees. */
static char *path_of_journal(void) {
    struct config config;
    struct mistake mistake = {0};
    if (settings.journal)
        return xstrdup(settings.journal);
    if (settings.state)
        return xasprintf("%s/" JOURNAL_NAME, settings.state);
    if (!settings.config && access(CONFIG_PATH, F_OK) != 0 && errno == ENOENT)
        configuration_default(&config);
    else if (!configuration_read(settings.config ? settings.config : CONFIG_PATH, &config, &mistake))
        die("cannot read the configuration \"%s\" line %u: %s", settings.config ? settings.config : CONFIG_PATH,
            mistake.line, mistake.text);
    char *path = configuration_journal(&config);
    configuration_free(&config);
    return path;
}

static struct journal *journal_or_die(void) {
    cleanup_free char *path = path_of_journal();
    struct mistake mistake = {0};
    struct journal *journal = journal_open(path, false, &mistake);
    if (journal == NULL)
        die("%s", mistake.text);
    return journal;
}

/* ---- list ---- */

struct listing {
    struct journal *journal;
    uint64_t shown, most;
};

/* As each is read: a journal may be larger than memory. */
static bool list_one(const struct incident *incident, void *context) {
    struct listing *listing = context;
    if (listing->shown == listing->most)
        return false;
    if (settings.json) {
        json_t *object = incident_json(listing->journal, incident, false);
        fputs(listing->shown > 0 ? ",\n  " : "\n  ", stdout);
        json_dumpf(object, stdout, JSON_COMPACT);
        json_decref(object);
    } else {
        cleanup_free char *line = incident_line(incident);
        puts(line);
    }
    listing->shown++;
    return !ferror(stdout);
}

static int list(const struct usage *usage, uint64_t most) {
    if (most == 0)
        options_mistake(usage, "--count must be a number from 1 on, not \"%s\"", settings.count);
    struct listing listing = {.journal = journal_or_die(), .most = most};
    if (settings.json)
        fputs("{\"incidents\": [", stdout);
    journal_each(listing.journal, true, list_one, &listing);
    if (settings.json)
        puts("]}");
    else if (listing.shown == 0)
        puts("no incidents");
    journal_close(listing.journal);
    return listing.shown > 0 ? EXIT_FINE : APPLY_NOTHING;
}

/* ---- show ---- */

static int show(const struct usage *usage, const char *word, uint64_t id) {
    struct incident incident;
    if (id == 0)
        options_mistake(usage, "the number of an incident is from 1 on, not \"%s\"", word);
    struct journal *journal = journal_or_die();
    bool found = journal_read(journal, (int64_t)id, &incident);
    if (!found) {
        warn("there is no incident %" PRIu64 ": `pinion incidents` lists them", id);
    } else if (settings.json) {
        json_print(incident_json(journal, &incident, true));
    } else {
        cleanup_free char *text = incident_text(journal, &incident);
        fputs(text, stdout);
    }
    incident_free(&incident);
    journal_close(journal);
    return found ? EXIT_FINE : APPLY_NOTHING;
}

/* ---- the command line ---- */

/* 0: it is no number from 1 to INT64_MAX. */
static uint64_t number_of(const char *text) {
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    return *text < '0' || *text > '9' || *end != '\0' || errno != 0 || number > INT64_MAX ? 0 : number;
}

int verb_incidents(const struct verb *verb, int argc, char **argv) {
    struct usage usage = {.verb = verb,
                          .arguments = "[list | show ID]",
                          .details = details,
                          .options = options,
                          .option_count = sizeof options / sizeof options[0]};
    size_t words = options_read(&usage, argc, argv);
    const char *word = words > 0 ? argv[1] : "list";
    if (strcmp(word, "show") == 0 && settings.count)
        options_mistake(&usage, "--count is of list alone");
    if (strcmp(word, "show") == 0 && words == 2)
        return show(&usage, argv[2], number_of(argv[2]));
    if (strcmp(word, "show") == 0)
        options_mistake(&usage, "show takes the number of one incident");
    if (strcmp(word, "list") != 0)
        options_mistake(&usage, "\"%s\" is neither list nor show", word);
    if (words > 1)
        options_mistake(&usage, "list takes options only");
    return list(&usage, settings.count ? number_of(settings.count) : INT64_MAX);
}
