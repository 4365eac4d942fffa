/* Deciding. Whatever is not clear ends in doing nothing, and says so. */
#include "tools/patch/decide.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/evidence.h"
#include "tools/patch/form.h"

bool decider_open(struct decider *decider, const struct config *config, struct journal *journal,
                  struct mistake *mistake) {
    *decider = (struct decider){.config = config, .journal = journal};
    signatures_init(&decider->signatures);
    if (config->signatures == NULL)
        return true;
    struct mistake why = {0};
    if (!signatures_read(config->signatures, &decider->signatures, &why))
        return text_mistake(mistake, 0, "cannot read the signature database \"%s\" line %u: %s", config->signatures,
                            why.line, why.text);
    decider->identifier = identifier_new(&decider->signatures);
    return true;
}

void decider_close(struct decider *decider) {
    identifier_free(decider->identifier);
    signatures_free(&decider->signatures);
}

static void settle(struct incident *incident, enum incident_state state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void settle(struct incident *incident, enum incident_state state, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    free(incident->detail);
    incident->detail = xvasprintf(format, arguments);
    incident->state = state;
    va_end(arguments);
}

static void set_text(char **text, const char *value) {
    char *copy = value != NULL ? xstrdup(value) : NULL;
    free(*text);
    *text = copy;
}

/* ---- which attack ---- */

static bool name_anomaly(struct decider *decider, struct incident *incident) {
    struct evidence evidence;
    struct answer answer = {0};
    if (decider->identifier == NULL) {
        settle(incident, INCIDENT_IGNORED, "no signature database is configured");
        return false;
    }
    evidence_of_event(&incident->event, &evidence);
    identify(decider->identifier, &evidence, &answer);
    set_text(&incident->answer, answer_word(answer.kind));
    incident->confidence = answer.confidence;
    bool clear = answer.kind == ANSWER_NAMED && answer.confidence >= decider->config->confidence;
    if (answer.kind == ANSWER_NAMED) {
        const struct signature_entry *entry = answer.candidates[0].entry;
        set_text(&incident->name, entry->name);
        set_text(&incident->cve, entry->cve);
        set_text(&incident->package, entry->package);
        set_text(&incident->recipe, entry->recipe);
    }
    if (answer.kind != ANSWER_NAMED)
        settle(incident, INCIDENT_IGNORED, "the attack is %s", answer_word(answer.kind));
    else if (!clear)
        settle(incident, INCIDENT_IGNORED, "the match is too weak: %.2f, and %.2f is asked for", answer.confidence,
               decider->config->confidence);
    answer_free(&answer);
    evidence_free(&evidence);
    return clear;
}

/* ---- which recipe ---- */

static bool holds(char *const *list, const char *word) {
    for (; word != NULL && list != NULL && *list != NULL; list++)
        if (strcmp(*list, word) == 0)
            return true;
    return false;
}

static bool answers_violation(const struct recipe *recipe, const struct event *event) {
    for (size_t i = 0; i < recipe->violation_count; i++)
        if (identity_equal(&recipe->violations[i].module, &event->module) &&
            (recipe->violations[i].api == NULL || strcmp(recipe->violations[i].api, event->api) == 0))
            return true;
    return false;
}

static bool answers(const struct recipe *recipe, const struct incident *incident) {
    if (!(incident->event.flags & EVENT_ANOMALY))
        return answers_violation(recipe, &incident->event);
    if (incident->recipe != NULL)
        return strcmp(recipe->name, incident->recipe) == 0;
    return holds(recipe->signatures, incident->name) || holds(recipe->cves, incident->cve);
}

/* What looking through the recipes came to. A file that cannot be used is a reason to say so, never to guess. */
struct search {
    struct recipe found;
    size_t count;
    char *names;    /* of those that answer */
    char *unusable; /* the first file that is no good, and why */
};

static void consider(struct search *search, const struct config *config, const struct incident *incident,
                     const char *file) {
    struct recipe recipe;
    struct mistake mistake = {0};
    cleanup_free char *path = xasprintf("%s/%s", config->recipes, file);
    if (!recipe_read(path, config->keys, config->key_count, &recipe, NULL, &mistake)) {
        if (search->unusable == NULL)
            search->unusable = xasprintf("%s: %s", path, mistake.text);
        return;
    }
    if (!answers(&recipe, incident)) {
        recipe_free(&recipe);
        return;
    }
    char *names = search->count == 0 ? xstrdup(recipe.name) : xasprintf("%s, %s", search->names, recipe.name);
    free(search->names);
    search->names = names;
    if (search->count++ == 0)
        search->found = recipe;
    else
        recipe_free(&recipe);
}

static bool is_recipe_file(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return length > strlen(RECIPE_SUFFIX) && strcmp(entry->d_name + length - strlen(RECIPE_SUFFIX), RECIPE_SUFFIX) == 0;
}

static int is_recipe(const struct dirent *entry) {
    return is_recipe_file(entry);
}

static bool search_recipes(struct search *search, const struct config *config, const struct incident *incident) {
    struct dirent **files;
    int count = scandir(config->recipes, &files, is_recipe, alphasort);
    if (count < 0) {
        search->unusable = xasprintf("cannot read the recipes in \"%s\": %s", config->recipes, strerror(errno));
        return false;
    }
    for (int i = 0; i < count; i++) {
        consider(search, config, incident, files[i]->d_name);
        free(files[i]);
    }
    free(files);
    return true;
}

static void search_free(struct search *search) {
    if (search->count > 0)
        recipe_free(&search->found);
    free(search->names);
    free(search->unusable);
}

/* ---- whether it may be applied ---- */

/* By the clock, or by the journal where that was set back: what has expired does not become valid again. */
static bool is_valid_by(int64_t clock, int64_t latest, const struct recipe *recipe, struct mistake *mistake) {
    char date[DATE_TEXT_BYTES];
    cleanup_free char *problem = recipe_time_problem(recipe, clock > latest ? clock : latest);
    if (problem == NULL)
        return true;
    if (clock >= latest)
        return text_mistake(mistake, 0, "recipe \"%s\": %s", recipe->name, problem);
    date_format(latest, date);
    return text_mistake(mistake, 0,
                        "recipe \"%s\": %s. The clock was set back, and the journal holds %s: if that was wrong, stop "
                        "the helper and move the journal aside",
                        recipe->name, problem, date);
}

bool decide_may_apply(struct journal *journal, const struct recipe *recipe, struct mistake *mistake) {
    int64_t highest = journal_highest_serial(journal, recipe->name);
    if (!is_valid_by(time(NULL), journal_latest(journal), recipe, mistake))
        return false;
    if (recipe->serial < highest)
        return text_mistake(
            mistake, 0, "recipe \"%s\" has the serial %lld, and %lld was seen already: an old recipe is not applied",
            recipe->name, (long long)recipe->serial, (long long)highest);
    return true;
}

void decide_note_serial(struct journal *journal, const struct recipe *recipe) {
    if (recipe->serial > journal_highest_serial(journal, recipe->name))
        journal_saw_serial(journal, recipe->name, recipe->serial);
}

static bool read_recipe(const struct config *config, const struct incident *incident, struct recipe *recipe,
                        struct mistake *mistake) {
    cleanup_free char *path =
        xasprintf("%s/%s" RECIPE_SUFFIX, config->recipes, incident->recipe != NULL ? incident->recipe : "");
    return recipe_read(path, config->keys, config->key_count, recipe, NULL, mistake);
}

enum incident_state decide_recipe(const struct config *config, struct journal *journal, const struct incident *incident,
                                  struct recipe *recipe, struct mistake *mistake) {
    enum incident_state state = INCIDENT_REFUSED;
    if (!read_recipe(config, incident, recipe, mistake))
        return state;
    if (incident->digest == NULL || strcmp(incident->digest, recipe->digest) != 0) {
        text_mistake(
            mistake, 0,
            "recipe \"%s\" is another text (serial %lld) than was approved (serial %lld): read it, then pinion "
            "patch approve %lld",
            recipe->name, (long long)recipe->serial, (long long)incident->serial, (long long)incident->id);
        state = INCIDENT_WAITING;
    } else if (decide_may_apply(journal, recipe, mistake)) {
        return INCIDENT_APPROVED;
    }
    recipe_free(recipe);
    return state;
}

static void bind(struct incident *incident, const struct recipe *recipe) {
    incident->serial = recipe->serial;
    set_text(&incident->digest, recipe->digest);
}

bool decide_approve(const struct config *config, struct journal *journal, struct incident *incident,
                    struct mistake *mistake) {
    struct recipe recipe;
    if (!read_recipe(config, incident, &recipe, mistake))
        return false;
    bool good = decide_may_apply(journal, &recipe, mistake);
    if (good) {
        bind(incident, &recipe);
        decide_note_serial(journal, &recipe);
    }
    recipe_free(&recipe);
    return good;
}

static void choose_by_mode(struct decider *decider, struct incident *incident) {
    enum patch_mode mode = decider->config->mode;
    if (incident->claim == CLAIM_GONE)
        settle(incident, INCIDENT_NOTIFIED, "recipe \"%s\" answers it, but %s", incident->recipe,
               incident->claim_detail);
    else if (mode == PATCH_NOTIFY)
        settle(incident, INCIDENT_NOTIFIED, "recipe \"%s\" answers it", incident->recipe);
    else if (mode == PATCH_ASK)
        settle(incident, INCIDENT_WAITING, "recipe \"%s\" answers it: pinion patch approve %lld", incident->recipe,
               (long long)incident->id);
    else if (journal_attempts(decider->journal, incident) > 0)
        settle(incident, INCIDENT_WAITING,
               "it was tried here before, and once is all that is done by itself: pinion patch approve %lld",
               (long long)incident->id);
    else
        settle(incident, INCIDENT_APPROVED, "recipe \"%s\" answers it", incident->recipe);
}

static void take_recipe(struct decider *decider, struct incident *incident, const struct recipe *recipe) {
    struct mistake mistake = {0};
    set_text(&incident->recipe, recipe->name);
    set_text(&incident->package, recipe->package);
    set_text(&incident->to, recipe->fixed);
    if (incident->cve == NULL && recipe->cves != NULL && recipe->cves[0] != NULL)
        set_text(&incident->cve, recipe->cves[0]);
    bind(incident, recipe);
    if (!decide_may_apply(decider->journal, recipe, &mistake)) {
        settle(incident, INCIDENT_REFUSED, "%s", mistake.text);
        return;
    }
    decide_note_serial(decider->journal, recipe);
    choose_by_mode(decider, incident);
}

static void find_recipe(struct decider *decider, struct incident *incident) {
    struct search search = {0};
    bool readable = search_recipes(&search, decider->config, incident);
    if (search.count == 1)
        take_recipe(decider, incident, &search.found);
    else if (search.count > 1)
        settle(incident, INCIDENT_REFUSED, "several recipes answer it: %s; leave one", search.names);
    else if (!readable || search.unusable != NULL)
        settle(incident, INCIDENT_REFUSED, "no usable recipe answers it; %s", search.unusable);
    else
        settle(incident, INCIDENT_IGNORED, "no recipe answers it");
    search_free(&search);
}

void decide(struct decider *decider, struct incident *incident) {
    bool anomaly = incident->event.flags & EVENT_ANOMALY;
    if (incident->claim == CLAIM_FALSE) {
        settle(incident, INCIDENT_IGNORED, "the event does not hold: %s", incident->claim_detail);
        return;
    }
    if (!anomaly)
        set_text(&incident->answer, "violation");
    if (!anomaly || name_anomaly(decider, incident))
        find_recipe(decider, incident);
}
