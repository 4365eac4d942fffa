/* `pinion patch`: applies recipes by hand, answers what the helper asks, and is the helper's worker. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "runtime/util.h"
#include "tools/json.h"
#include "tools/options.h"
#include "tools/patch/apply.h"
#include "tools/patch/claim.h"
#include "tools/patch/decide.h"
#include "tools/patch/incident_view.h"
#include "tools/patch/report.h"

static struct {
    const char *config;
    const char *root;
    const char *process;
    struct text_list keys;
    bool dry_run;
    bool json;
} settings = {.config = CONFIG_PATH};

static const struct option_row options[] = {
    OPTION_TEXT("config", 'c', "FILE", &settings.config, "the helper's configuration (default " CONFIG_PATH ")"),
    OPTION_TEXT("root", 'r', "DIR", &settings.root, "plan, apply: the root to patch (default: our own)"),
    OPTION_TEXT("pid", 'p', "PID", &settings.process, "plan, apply: patch the container of this process"),
    OPTION_LIST("trust", 't', "KEY", &settings.keys, "plan, apply: trust recipes of this key as well; may be repeated"),
    OPTION_FLAG("dry-run", 'n', &settings.dry_run, "apply: only show the plan"),
    OPTION_FLAG("json", 'j', &settings.json, "print one JSON object"),
};

static const char details[] =
    "  plan RECIPE     show what applying the recipe would do\n"
    "  apply RECIPE    apply it now; on failure everything is brought back\n"
    "  approve ID      let the helper apply what it asks for (mode `ask`)\n"
    "  reject ID       do not\n"
    "  run             finish or roll back what was interrupted, then apply what is approved: the helper's worker\n"
    "  report ID       tell hook, metrics and VEX of an incident: the helper's reporter\n"
    "\n"
    "RECIPE is a file, signed by a key of the configuration or of --trust.\n"
    "\n"
    "Exit status: 0 done, 1 failed and rolled back, 2 error, 3 nothing to do.\n";

/* What every action needs. */
struct session {
    struct usage usage;
    struct config config;
    struct journal *journal;
};

static void add_keys(struct session *session) {
    for (size_t i = 0; i < settings.keys.count; i++) {
        struct recipe_key key;
        if (!recipe_key_parse(settings.keys.items[i], &key))
            options_mistake(&session->usage,
                            "--trust is to be \"ed25519:...\", as `pinion recipe key` prints it, not \"%s\"",
                            settings.keys.items[i]);
        *array_append(session->config.keys, session->config.key_count) = key;
    }
}

/* By hand one may do without a configuration, with --trust; who answers the helper or works for it has the helper's. */
static void read_config(struct session *session, bool by_hand) {
    struct mistake mistake = {0};
    bool wanted = !by_hand || strcmp(settings.config, CONFIG_PATH) != 0 || access(CONFIG_PATH, F_OK) == 0;
    if (!wanted)
        configuration_default(&session->config);
    else if (!configuration_read(settings.config, &session->config, &mistake))
        die("cannot read the configuration \"%s\" line %u: %s", settings.config, mistake.line, mistake.text);
    add_keys(session);
}

static void open_journal(struct session *session) {
    struct mistake mistake = {0};
    if (!configuration_state(&session->config, &mistake))
        die("%s", mistake.text);
    cleanup_free char *path = configuration_journal(&session->config);
    session->journal = journal_open(path, true, &mistake);
    if (session->journal == NULL)
        die("%s", mistake.text);
}

static void incident_or_die(struct session *session, const char *word, struct incident *incident) {
    char *end;
    errno = 0;
    long long id = word != NULL ? strtoll(word, &end, 10) : 0;
    if (word == NULL || id < 1 || *end != '\0' || errno != 0)
        options_mistake(&session->usage, "which incident? (its number: pinion incidents)");
    if (!journal_read(session->journal, id, incident))
        die("there is no incident %lld", id);
}

/* ---- by hand ---- */

static void target_or_die(struct session *session, struct incident *incident) {
    if (settings.root != NULL && settings.process != NULL)
        options_mistake(&session->usage, "--root and --pid exclude each other");
    if (settings.process == NULL) {
        bool own = settings.root == NULL || strcmp(settings.root, "/") == 0;
        incident->root = own ? xstrdup("") : realpath(settings.root, NULL);
        if (incident->root == NULL)
            die_with_error("cannot find the root \"%s\"", settings.root);
        return;
    }
    incident->sender = (pid_t)strtol(settings.process, NULL, 10);
    if (incident->sender < 1 || !claim_target(incident))
        die("there is no process \"%s\"", settings.process);
}

static void recipe_or_die(struct session *session, const char *path, struct recipe *recipe) {
    struct mistake mistake = {0};
    if (path == NULL)
        options_mistake(&session->usage, "which recipe?");
    if (session->config.key_count == 0)
        die("no key is trusted: give --trust KEY, as `pinion recipe key` printed it, or \"keys\" in \"%s\"",
            settings.config);
    if (!recipe_read(path, session->config.keys, session->config.key_count, recipe, NULL, &mistake))
        die("\"%s\"%s%.0u: %s", path, mistake.line != 0 ? " line " : "", mistake.line, mistake.text);
}

static void open_target_or_die(const struct incident *incident, struct target *target) {
    struct mistake mistake = {0};
    if (!claim_open_target(incident, target, &mistake))
        die("%s", mistake.text);
}

static json_t *plan_json(const struct recipe *recipe, const struct method_plan *plan, enum apply_status status,
                         const char *why) {
    json_t *packages = json_array();
    for (size_t i = 0; i < plan->package_count; i++)
        json_array_append_new(packages, json_text(plan->packages[i]));
    return json_pack("{s:o, s:I, s:s, s:o, s:o, s:o, s:I, s:I, s:b, s:o}", "recipe", json_text(recipe->name), "serial",
                     (json_int_t)recipe->serial, "method", recipe_method_word(recipe->method), "from",
                     json_text(plan->from), "to", json_text(plan->to), "packages", packages, "download",
                     (json_int_t)plan->download, "installed", (json_int_t)plan->installed, "ready",
                     status == APPLY_DONE, "why", json_text(why[0] != '\0' ? why : NULL));
}

/* One JSON object is printed: where a patch follows, that of its incident. */
enum plan_json {
    PLAN_JSON,
    PLAN_JSON_UNLESS_READY,
};

static enum apply_status show_plan(struct session *session, const struct recipe *recipe,
                                   const struct incident *incident, enum plan_json when) {
    struct target target;
    struct method_plan plan = {0};
    struct mistake mistake = {0};
    cleanup_free char *text = NULL;
    open_target_or_die(incident, &target);
    enum apply_status status = apply_plan(&session->config, recipe, &target, &text, &plan, &mistake);
    bool json = settings.json && (when == PLAN_JSON || status != APPLY_DONE);
    if (json)
        json_print(plan_json(recipe, &plan, status, mistake.text));
    else if (status == APPLY_DONE && !settings.json)
        fputs(text, stdout);
    else if (status == APPLY_NOTHING && !settings.json)
        printf("nothing to do: %s\n", mistake.text[0] != '\0' ? mistake.text : "the fixed version is installed");
    if (status == APPLY_ERROR && !json)
        warn("%s", mistake.text);
    fflush(stdout);
    method_plan_free(&plan);
    target_close(&target);
    return status;
}

/* What is not valid any more, or was replaced by a newer recipe, has no plan. */
static void valid_or_die(struct session *session, const struct recipe *recipe) {
    struct mistake mistake = {0};
    cleanup_free char *path = configuration_journal(&session->config);
    if (session->journal == NULL && access(path, F_OK) == 0)
        open_journal(session);
    cleanup_free char *problem = session->journal == NULL ? recipe_time_problem(recipe, time(NULL)) : NULL;
    if (problem != NULL)
        die("recipe \"%s\": %s", recipe->name, problem);
    if (session->journal != NULL && !decide_may_apply(session->journal, recipe, &mistake))
        die("%s", mistake.text);
}

static int action_plan(struct session *session, const char *word) {
    struct incident incident = {0};
    struct recipe recipe;
    recipe_or_die(session, word, &recipe);
    target_or_die(session, &incident);
    valid_or_die(session, &recipe);
    enum apply_status status = show_plan(session, &recipe, &incident, PLAN_JSON);
    recipe_free(&recipe);
    incident_free(&incident);
    return (int)status;
}

static void show_outcome(struct session *session, int64_t id) {
    struct incident incident;
    if (!journal_read(session->journal, id, &incident))
        die("incident %lld is not in the journal any more", (long long)id);
    cleanup_free char *line = incident_line(&incident);
    if (settings.json)
        json_print(incident_json(session->journal, &incident, true));
    else
        printf("%s\n  %s\n", line, incident.detail != NULL ? incident.detail : "");
    incident_free(&incident);
}

/* Who it was stands in the journal as a step. */
static void note_person(struct session *session, int64_t incident, const char *what) {
    const char *name = getenv("SUDO_USER");
    cleanup_free char *text = xasprintf("%s, user %s", what, name != NULL && *name != '\0' ? name : "root");
    int64_t step = journal_step_begin(session->journal, incident, "person", NULL);
    journal_step_end(session->journal, step, true, text, 0, 0);
}

/* What a person begins is an incident as well: what was done, when, and what it came to. */
static void begin_incident(struct session *session, const struct recipe *recipe, struct incident *incident) {
    incident->state = INCIDENT_APPLYING;
    incident->claim = CLAIM_NONE;
    incident->sender = 0;
    incident->detail = xstrdup("by hand");
    incident->recipe = xstrdup(recipe->name);
    incident->serial = recipe->serial;
    incident->digest = xstrdup(recipe->digest);
    incident->package = recipe->package != NULL ? xstrdup(recipe->package) : NULL;
    incident->cve = recipe->cves != NULL && recipe->cves[0] != NULL ? xstrdup(recipe->cves[0]) : NULL;
    incident->to = recipe->fixed != NULL ? xstrdup(recipe->fixed) : NULL;
    incident->id = journal_add(session->journal, incident);
    note_person(session, incident->id, "begun by hand");
}

static void recover_first(struct session *session) {
    struct mistake mistake = {0};
    if (!apply_recover(&session->config, session->journal, &mistake))
        warn("an interrupted patch could not be finished or rolled back: see `pinion incidents`");
}

static int action_apply(struct session *session, const char *word) {
    struct incident incident = {0};
    struct recipe recipe;
    if (settings.dry_run)
        return action_plan(session, word);
    recipe_or_die(session, word, &recipe);
    target_or_die(session, &incident);
    open_journal(session);
    valid_or_die(session, &recipe);
    recover_first(session);
    enum apply_status status = show_plan(session, &recipe, &incident, PLAN_JSON_UNLESS_READY);
    if (status == APPLY_DONE) {
        decide_note_serial(session->journal, &recipe);
        begin_incident(session, &recipe, &incident);
        status = apply_incident(&session->config, session->journal, &incident, &recipe);
        report_incident(&session->config, session->journal, &incident, &recipe);
        show_outcome(session, incident.id);
    }
    recipe_free(&recipe);
    incident_free(&incident);
    return (int)status;
}

/* ---- answering the helper ---- */

/* The incident, which a person answers. */
static void answerable_or_die(struct session *session, const char *word, struct incident *incident) {
    open_journal(session);
    incident_or_die(session, word, incident);
    if (incident->recipe == NULL)
        die("incident %lld waits for no answer: no recipe answers it", (long long)incident->id);
    if (incident->state != INCIDENT_WAITING && incident->state != INCIDENT_NOTIFIED &&
        incident->state != INCIDENT_REFUSED)
        die("incident %lld waits for no answer: it is %s", (long long)incident->id,
            incident_state_word(incident->state));
}

static void answered(struct session *session, const struct incident *incident, bool moved, enum incident_state to) {
    if (!moved)
        die("incident %lld was answered, or is taken up, in this moment: look at it again", (long long)incident->id);
    note_person(session, incident->id, incident_state_word(to));
    if (settings.json)
        json_print(json_pack("{s:I, s:s}", "id", (json_int_t)incident->id, "state", incident_state_word(to)));
    else
        printf("incident %lld: %s\n", (long long)incident->id, incident_state_word(to));
}

static int action_approve(struct session *session, const char *word) {
    struct incident incident;
    struct mistake mistake = {0};
    answerable_or_die(session, word, &incident);
    if (incident.root == NULL)
        die("which container incident %lld was in is not known: apply recipe \"%s\" with --root or --pid",
            (long long)incident.id, incident.recipe);
    cleanup_free char *before = incident.digest != NULL ? xstrdup(incident.digest) : NULL;
    if (!decide_approve(&session->config, session->journal, &incident, &mistake))
        die("incident %lld cannot be approved: %s", (long long)incident.id, mistake.text);
    if (before != NULL && strcmp(before, incident.digest) != 0)
        warn("recipe \"%s\" is another text now than when it was decided on; approved is serial %lld, text %s",
             incident.recipe, (long long)incident.serial, incident.digest);
    answered(session, &incident, journal_approve(session->journal, &incident, "approved by a person"),
             INCIDENT_APPROVED);
    incident_free(&incident);
    return EXIT_FINE;
}

static int action_reject(struct session *session, const char *word) {
    struct incident incident;
    answerable_or_die(session, word, &incident);
    bool moved = journal_move(session->journal, incident.id, incident.state, INCIDENT_REJECTED, "rejected by a person");
    answered(session, &incident, moved, INCIDENT_REJECTED);
    report_incident(&session->config, session->journal, &incident, NULL);
    incident_free(&incident);
    return EXIT_FINE;
}

/* ---- the helper's worker and reporter ---- */

static void note_refusal(struct session *session, struct incident *incident, const char *why) {
    int64_t step = journal_step_begin(session->journal, incident->id, "recipe", NULL);
    journal_step_end(session->journal, step, false, why, 0, 0);
    free(incident->detail);
    incident->detail = xstrdup(why);
    journal_update(session->journal, incident);
    report_incident(&session->config, session->journal, incident, NULL);
}

static void apply_approved(struct session *session, struct incident *incident) {
    struct recipe recipe;
    struct mistake mistake = {0};
    incident->state = decide_recipe(&session->config, session->journal, incident, &recipe, &mistake);
    if (incident->state != INCIDENT_APPROVED) {
        note_refusal(session, incident, mistake.text);
        return;
    }
    incident->state = INCIDENT_APPLYING;
    apply_incident(&session->config, session->journal, incident, &recipe);
    report_incident(&session->config, session->journal, incident, &recipe);
    recipe_free(&recipe);
}

static int action_run(struct session *session, const char *word) {
    struct incident incident;
    if (word != NULL)
        options_mistake(&session->usage, "run takes no argument");
    open_journal(session);
    recover_first(session);
    while (journal_next(session->journal, session->config.time_limit, &incident)) {
        if (journal_move(session->journal, incident.id, INCIDENT_APPROVED, INCIDENT_APPLYING, "under way")) {
            apply_approved(session, &incident);
            warn("incident %lld: %s: %s", (long long)incident.id, incident_state_word(incident.state),
                 incident.detail != NULL ? incident.detail : "");
        }
        incident_free(&incident);
    }
    return EXIT_FINE;
}

static int action_report(struct session *session, const char *word) {
    struct incident incident;
    open_journal(session);
    incident_or_die(session, word, &incident);
    report_incident(&session->config, session->journal, &incident, NULL);
    incident_free(&incident);
    return EXIT_FINE;
}

static const struct {
    const char *name;
    int (*handler)(struct session *session, const char *word);
    bool by_hand;
} actions[] = {
    {"plan", action_plan, true},      {"apply", action_apply, true}, {"approve", action_approve, false},
    {"reject", action_reject, false}, {"run", action_run, false},    {"report", action_report, false},
};

int verb_patch(const struct verb *verb, int argc, char **argv) {
    struct session session = {.usage = {.verb = verb,
                                        .arguments = "plan|apply RECIPE | approve|reject ID | run",
                                        .details = details,
                                        .options = options,
                                        .option_count = sizeof options / sizeof options[0]}};
    size_t count = options_read(&session.usage, argc, argv);
    prctl(PR_SET_NAME, "pinion"); /* the helper starts its workers as /proc/self/exe */
    if (count > 2)
        options_mistake(&session.usage, "one action, and what it is about");
    for (size_t i = 0; count > 0 && i < sizeof actions / sizeof actions[0]; i++)
        if (strcmp(argv[1], actions[i].name) == 0) {
            if (geteuid() != 0)
                die("patching is root's: run it as root");
            read_config(&session, actions[i].by_hand);
            int status = actions[i].handler(&session, count > 1 ? argv[2] : NULL);
            if (session.journal != NULL)
                journal_close(session.journal);
            configuration_free(&session.config);
            return status;
        }
    options_mistake(&session.usage, "what is to be done? (plan, apply, approve, reject, run)");
}
