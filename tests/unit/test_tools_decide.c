/* From an event to a decision: only a clear match, a signed, valid, newest recipe and a sender that holds lead to
 * anything being applied, and then only in mode auto, and once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "runtime/util.h"
#include "tests/unit/recipes.h"
#include "tools/patch/decide.h"

/* A directory with keys, recipes and a journal, and what decides by them. */
struct scene {
    char *directory;
    struct config config;
    struct recipe_key key;
    struct journal *journal;
    struct decider decider;
};

static char *in(const struct scene *scene, const char *name) {
    return xasprintf("%s/%s", scene->directory, name);
}

static const char recipe_form[] =
    "recipe = \"%s\";\nsummary = \"A fix\";\nserial = %d;\ncreated = \"2026-01-02\";\nexpires = \"%s\";\n"
    "answers = { signatures = [ \"%s\" ]; cves = [ \"CVE-2022-3602\" ];\n"
    "violations = ( { module = \"0123456789abcdef0123456789abcdef01234567\"; api = \"execve\"; } ); };\n" RECIPE_APT(
        RECIPE_LIBSSL);

static void put_recipe(const struct scene *scene, const char *name, int serial, const char *expires,
                       const char *signature, bool sign) {
    struct mistake mistake = {0};
    cleanup_free char *text = xasprintf(recipe_form, name, serial, expires, signature);
    cleanup_free char *private = in(scene, "key.pem"), *file = xasprintf("recipes/%s.recipe", name),
                      *path = in(scene, file), *sealed = sign ? recipe_sign(text, private, &mistake) : xstrdup(text);
    assert_non_null(sealed);
    assert_true(atomic_file_write(path, 0644, sealed, strlen(sealed)));
}

static int begin(void **state) {
    struct scene *scene = xcalloc(1, sizeof *scene);
    struct mistake mistake = {0};
    char directory[] = "/tmp/pinion-decide.XXXXXX";
    assert_non_null(mkdtemp(directory));
    scene->directory = xstrdup(directory);
    cleanup_free char *private = in(scene, "key.pem"), *recipes = in(scene, "recipes"), *journal = in(scene, "journal");
    assert_int_equal(mkdir(recipes, 0755), 0);
    configuration_default(&scene->config);
    free(scene->config.recipes);
    scene->config.recipes = steal_pointer(&recipes);
    scene->config.mode = PATCH_AUTO;
    if (!recipe_key_generate(private, &scene->key, &mistake))
        fail_msg("%s", mistake.text);
    *array_append(scene->config.keys, scene->config.key_count) = scene->key;
    scene->journal = journal_open(journal, true, &mistake);
    if (scene->journal == NULL || !decider_open(&scene->decider, &scene->config, scene->journal, &mistake))
        fail_msg("%s", mistake.text);
    *state = scene;
    return 0;
}

static int end(void **state) {
    struct scene *scene = *state;
    cleanup_free char *command = xasprintf("rm -rf '%s'", scene->directory);
    decider_close(&scene->decider);
    journal_close(scene->journal);
    configuration_free(&scene->config);
    assert_int_equal(system(command), 0);
    free(scene->directory);
    free(scene);
    return 0;
}

/* A refused call of the module that the recipes name. */
static struct incident violation(enum claim claim) {
    struct incident incident = {.claim = claim, .claim_detail = xstrdup("so it is")};
    incident.event = (struct event){.flags = EVENT_VIOLATION, .api = "execve"};
    assert_true(identity_parse("0123456789abcdef0123456789abcdef01234567", &incident.event.module));
    return incident;
}

/* Decides on the incident and releases it. */
static void expect_decision(struct scene *scene, struct incident incident, enum incident_state state,
                            const char *detail) {
    decide(&scene->decider, &incident);
    assert_string_equal(incident_state_word(incident.state), incident_state_word(state));
    if (strstr(incident.detail, detail) == NULL)
        fail_msg("\"%s\" is not in: %s", detail, incident.detail);
    incident_free(&incident);
}

static void good_recipe_is_approved(void **state) {
    struct scene *scene = *state;
    struct incident incident = violation(CLAIM_GOOD);
    put_recipe(scene, "fix", 3, "2090-01-01", "x509", true);
    decide(&scene->decider, &incident);
    assert_int_equal(incident.state, INCIDENT_APPROVED);
    assert_string_equal(incident.recipe, "fix");
    assert_string_equal(incident.package, "libssl3");
    assert_string_equal(incident.to, "3.0.15-1~deb12u1");
    assert_string_equal(incident.answer, "violation");
    assert_string_equal(incident.cve, "CVE-2022-3602");
    assert_int_equal(incident.serial, 3);
    incident_free(&incident);
}

static void modes_wait_or_tell(void **state) {
    struct scene *scene = *state;
    put_recipe(scene, "fix", 3, "2090-01-01", "x509", true);
    scene->config.mode = PATCH_ASK;
    expect_decision(scene, violation(CLAIM_GOOD), INCIDENT_WAITING, "approve");
    scene->config.mode = PATCH_NOTIFY;
    expect_decision(scene, violation(CLAIM_GOOD), INCIDENT_NOTIFIED, "fix");
}

static void claims_are_no_orders(void **state) {
    struct scene *scene = *state;
    put_recipe(scene, "fix", 3, "2090-01-01", "x509", true);
    expect_decision(scene, violation(CLAIM_FALSE), INCIDENT_IGNORED, "so it is");
    expect_decision(scene, violation(CLAIM_GONE), INCIDENT_NOTIFIED, "so it is");
}

static void other_calls_are_not_answered(void **state) {
    struct scene *scene = *state;
    struct incident other_call = violation(CLAIM_GOOD), other_module = violation(CLAIM_GOOD);
    put_recipe(scene, "fix", 3, "2090-01-01", "x509", true);
    strcpy(other_call.event.api, "open");
    expect_decision(scene, other_call, INCIDENT_IGNORED, "no recipe");
    other_module.event.module.bytes[19] ^= 1;
    expect_decision(scene, other_module, INCIDENT_IGNORED, "no recipe");
}

static void unsigned_expired_and_old_are_refused(void **state) {
    struct scene *scene = *state;
    struct incident incident = violation(CLAIM_GOOD);
    put_recipe(scene, "fix", 3, "2090-01-01", "x509", false);
    expect_decision(scene, violation(CLAIM_GOOD), INCIDENT_REFUSED, "fix.recipe");
    put_recipe(scene, "fix", 3, "2026-01-03", "x509", true);
    expect_decision(scene, violation(CLAIM_GOOD), INCIDENT_REFUSED, "expired");
    put_recipe(scene, "fix", 3, "2090-01-01", "x509", true);
    decide(&scene->decider, &incident);
    assert_int_equal(incident.state, INCIDENT_APPROVED);
    incident_free(&incident);
    put_recipe(scene, "fix", 2, "2090-01-01", "x509", true);
    expect_decision(scene, violation(CLAIM_GOOD), INCIDENT_REFUSED, "serial 2");
}

/* As after an event that was received while the clock was wrong. */
static void set_journal_to(const struct scene *scene, const char *nanoseconds) {
    sqlite3 *database;
    cleanup_free char *path = in(scene, "journal"), *text = xasprintf("UPDATE incident SET changed = %s", nanoseconds);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
}

static void clock_set_back_makes_nothing_valid(void **state) {
    struct scene *scene = *state;
    put_recipe(scene, "fix", 3, "2090-01-01", "x509", true);
    journal_add(scene->journal, &(struct incident){0});
    set_journal_to(scene, "3786825600000000000"); /* 2089-12-31 */
    expect_decision(scene, violation(CLAIM_GOOD), INCIDENT_APPROVED, "fix");
    set_journal_to(scene, "3786912000000000000"); /* 2090-01-01 */
    expect_decision(scene, violation(CLAIM_GOOD), INCIDENT_REFUSED, "expired on 2090-01-01");
    expect_decision(scene, violation(CLAIM_GOOD), INCIDENT_REFUSED, "set back, and the journal holds 2090-01-01");
}

/* Of a key that the configuration does not name any more. */
static void keys_are_pinned(void **state) {
    struct scene *scene = *state;
    put_recipe(scene, "fix", 3, "2090-01-01", "x509", true);
    scene->config.keys[0].public[0] ^= 1;
    expect_decision(scene, violation(CLAIM_GOOD), INCIDENT_REFUSED, "fix.recipe");
    scene->config.key_count = 0;
    expect_decision(scene, violation(CLAIM_GOOD), INCIDENT_REFUSED, "fix.recipe");
}

static void two_recipes_are_none(void **state) {
    struct scene *scene = *state;
    put_recipe(scene, "fix", 3, "2090-01-01", "x509", true);
    put_recipe(scene, "other", 3, "2090-01-01", "x509", true);
    expect_decision(scene, violation(CLAIM_GOOD), INCIDENT_REFUSED, "fix, other");
}

static void once_is_all(void **state) {
    struct scene *scene = *state;
    struct incident incident = violation(CLAIM_GOOD);
    put_recipe(scene, "fix", 3, "2090-01-01", "x509", true);
    decide(&scene->decider, &incident);
    incident.id = journal_add(scene->journal, &incident);
    incident.state = INCIDENT_ROLLED_BACK;
    incident.root = xstrdup("");
    journal_update(scene->journal, &incident);
    incident_free(&incident);
    expect_decision(scene, violation(CLAIM_GOOD), INCIDENT_WAITING, "once");
}

static enum incident_state state_at_execution(const struct scene *scene, const struct incident *incident,
                                              struct mistake *mistake) {
    struct recipe recipe;
    *mistake = (struct mistake){0};
    enum incident_state state = decide_recipe(&scene->config, scene->journal, incident, &recipe, mistake);
    if (state == INCIDENT_APPROVED)
        recipe_free(&recipe);
    return state;
}

/* Between approval and execution the recipe may have been replaced, also by one of the same serial. */
static void approval_is_of_one_text(void **state) {
    struct scene *scene = *state;
    struct incident incident = violation(CLAIM_GOOD);
    struct mistake mistake;
    put_recipe(scene, "fix", 3, "2090-01-01", "x509", true);
    decide(&scene->decider, &incident);
    assert_int_equal(strlen(incident.digest), 64);
    assert_int_equal(state_at_execution(scene, &incident, &mistake), INCIDENT_APPROVED);
    put_recipe(scene, "fix", 3, "2090-01-02", "x509", true);
    assert_int_equal(state_at_execution(scene, &incident, &mistake), INCIDENT_WAITING);
    assert_non_null(strstr(mistake.text, "another text (serial 3) than was approved"));
    assert_true(decide_approve(&scene->config, scene->journal, &incident, &mistake));
    assert_int_equal(state_at_execution(scene, &incident, &mistake), INCIDENT_APPROVED);
    put_recipe(scene, "fix", 4, "2090-01-02", "x509", true);
    assert_int_equal(state_at_execution(scene, &incident, &mistake), INCIDENT_WAITING);
    assert_non_null(strstr(mistake.text, "(serial 4) than was approved (serial 3)"));
    put_recipe(scene, "fix", 3, "2090-01-02", "x509", true);
    assert_int_equal(state_at_execution(scene, &incident, &mistake), INCIDENT_APPROVED);
    free(steal_pointer(&incident.digest)); /* as of an incident that says nothing of the text */
    assert_int_equal(state_at_execution(scene, &incident, &mistake), INCIDENT_WAITING);
    incident_free(&incident);
}

static void what_may_not_be_applied_cannot_be_approved(void **state) {
    struct scene *scene = *state;
    struct incident incident = violation(CLAIM_GOOD);
    struct mistake mistake = {0};
    put_recipe(scene, "fix", 3, "2090-01-01", "x509", true);
    decide(&scene->decider, &incident);
    put_recipe(scene, "fix", 3, "2026-01-03", "x509", true);
    assert_false(decide_approve(&scene->config, scene->journal, &incident, &mistake));
    assert_non_null(strstr(mistake.text, "expired"));
    put_recipe(scene, "fix", 3, "2090-01-02", "x509", false);
    assert_false(decide_approve(&scene->config, scene->journal, &incident, &mistake));
    assert_non_null(strstr(mistake.text, "not signed"));
    assert_int_equal(state_at_execution(scene, &incident, &mistake), INCIDENT_REFUSED);
    incident_free(&incident);
}

static void anomaly_without_database_is_told(void **state) {
    struct scene *scene = *state;
    struct incident incident = {.claim = CLAIM_GOOD};
    incident.event.flags = EVENT_ANOMALY;
    put_recipe(scene, "fix", 3, "2090-01-01", "x509", true);
    expect_decision(scene, incident, INCIDENT_IGNORED, "no signature database");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(good_recipe_is_approved),
        TEST(modes_wait_or_tell),
        TEST(claims_are_no_orders),
        TEST(other_calls_are_not_answered),
        TEST(unsigned_expired_and_old_are_refused),
        TEST(clock_set_back_makes_nothing_valid),
        TEST(keys_are_pinned),
        TEST(two_recipes_are_none),
        TEST(once_is_all),
        TEST(approval_is_of_one_text),
        TEST(what_may_not_be_applied_cannot_be_approved),
        TEST(anomaly_without_database_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
