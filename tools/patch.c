/* `pinion patch`: applies recipes by hand, answers what the helper asks, and is the helper's worker. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/util.h"
#include "tools/json.h"
#include "tools/launch.h"
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

static void read_config(struct session *session) {
    struct mistake mistake = {0};
    bool wanted = strcmp(settings.config, CONFIG_PATH) != 0 || access(CONFIG_PATH, F_OK) == 0;
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
        incident->root = own ? xstrdup("") : absolute_path(settings.root);
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
    if (!recipe_read(path, session->config.keys, session->config.key_count, recipe, NULL, &mistake))
        die("\"%s\"%s%.0u: %s", path, mistake.line != 0 ? " line " : "", mistake.line, mistake.text);
}

static void open_target_or_die(const struct incident *incident, struct target *target) {
    struct mistake mistake = {0};
    if (incident->target != 0 ? !target_of_process(target, incident->target, &mistake)
                              : !target_of_directory(target, incident->root, &mistake))
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

/* Shows the plan; with `json`, only where nothing follows that prints JSON itself. */
static enum apply_status show_plan(struct session *session, const struct recipe *recipe,
                                   const struct incident *incident, bool json) {
    struct target target;
    struct method_plan plan = {0};
    struct mistake mistake = {0};
    cleanup_free char *text = NULL;
    open_target_or_die(incident, &target);
    enum apply_status status = apply_plan(&session->config, recipe, &target, &text, &plan, &mistake);
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

static int action_plan(struct session *session, const char *word) {
    struct incident incident = {0};
    struct recipe recipe;
    recipe_or_die(session, word, &recipe);
    target_or_die(session, &incident);
    enum apply_status status = show_plan(session, &recipe, &incident, settings.json);
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

/* What a person begins is an incident as well: what was done, when, and what it came to. */
static void begin_incident(struct session *session, const struct recipe *recipe, struct incident *incident) {
    incident->state = INCIDENT_APPLYING;
    incident->claim = CLAIM_NONE;
    incident->sender = 0;
    incident->detail = xstrdup("by hand");
    incident->recipe = xstrdup(recipe->name);
    incident->serial = recipe->serial;
    incident->package = recipe->package != NULL ? xstrdup(recipe->package) : NULL;
    incident->cve = recipe->cves != NULL && recipe->cves[0] != NULL ? xstrdup(recipe->cves[0]) : NULL;
    incident->to = recipe->fixed != NULL ? xstrdup(recipe->fixed) : NULL;
    incident->id = journal_add(session->journal, incident);
}

static void recover_first(struct session *session) {
    struct mistake mistake = {0};
    if (!apply_recover(&session->config, session->journal, &mistake))
        warn("an interrupted patch could not be finished or rolled back: see `pinion incidents`");
}

static int action_apply(struct session *session, const char *word) {
    struct incident incident = {0};
    struct recipe recipe;
    struct mistake mistake = {0};
    recipe_or_die(session, word, &recipe);
    target_or_die(session, &incident);
    if (settings.dry_run)
        return action_plan(session, word);
    open_journal(session);
    recover_first(session);
    enum apply_status status = show_plan(session, &recipe, &incident, false);
    if (status == APPLY_DONE && !decide_may_apply(session->journal, &recipe, &mistake))
        die("%s", mistake.text);
    if (status == APPLY_DONE) {
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

static int answer(struct session *session, const char *word, enum incident_state to, const char *detail) {
    struct incident incident;
    open_journal(session);
    incident_or_die(session, word, &incident);
    if (to == INCIDENT_APPROVED && incident.root == NULL)
        die("which container incident %lld was in is not known: apply recipe \"%s\" with --root or --pid",
            (long long)incident.id, incident.recipe != NULL ? incident.recipe : "");
    if (!journal_move(session->journal, incident.id, INCIDENT_WAITING, to, detail) &&
        !journal_move(session->journal, incident.id, INCIDENT_NOTIFIED, to, detail))
        die("incident %lld waits for no answer: it is %s", (long long)incident.id, incident_state_word(incident.state));
    printf("incident %lld: %s\n", (long long)incident.id, incident_state_word(to));
    incident_free(&incident);
    return EXIT_FINE;
}

static int action_approve(struct session *session, const char *word) {
    return answer(session, word, INCIDENT_APPROVED, "approved by a person");
}

static int action_reject(struct session *session, const char *word) {
    return answer(session, word, INCIDENT_REJECTED, "rejected by a person");
}

/* ---- the helper's worker and reporter ---- */

static void apply_approved(struct session *session, struct incident *incident) {
    struct recipe recipe;
    struct mistake mistake = {0};
    if (!decide_recipe(&session->config, session->journal, incident, &recipe, &mistake)) {
        free(incident->detail);
        incident->detail = xstrdup(mistake.text);
        incident->state = INCIDENT_REFUSED;
        journal_update(session->journal, incident);
        report_incident(&session->config, session->journal, incident, NULL);
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
    while (journal_first(session->journal, INCIDENT_APPROVED, &incident)) {
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
} actions[] = {
    {"plan", action_plan},     {"apply", action_apply}, {"approve", action_approve},
    {"reject", action_reject}, {"run", action_run},     {"report", action_report},
};

int verb_patch(const struct verb *verb, int argc, char **argv) {
    struct session session = {.usage = {.verb = verb,
                                        .arguments = "plan|apply RECIPE | approve|reject ID | run",
                                        .details = details,
                                        .options = options,
                                        .option_count = sizeof options / sizeof options[0]}};
    size_t count = options_read(&session.usage, argc, argv);
    if (count > 2)
        options_mistake(&session.usage, "one action, and what it is about");
    for (size_t i = 0; count > 0 && i < sizeof actions / sizeof actions[0]; i++)
        if (strcmp(argv[1], actions[i].name) == 0) {
            read_config(&session);
            int status = actions[i].handler(&session, count > 1 ? argv[2] : NULL);
            if (session.journal != NULL)
                journal_close(session.journal);
            configuration_free(&session.config);
            return status;
        }
    options_mistake(&session.usage, "what is to be done? (plan, apply, approve, reject, run)");
}
