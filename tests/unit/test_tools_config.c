/* The helper's configuration: strict, and never taken from a file that others could have written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/event.h"
#include "runtime/util.h"
#include "tools/patch/config.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define PIN "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

static int make_directory(void **state) {
    char template[] = "/tmp/pinion-config-XXXXXX";
    *state = xstrdup(mkdtemp(template) != NULL ? template : "");
    return 0;
}

static int remove_directory(void **state) {
    cleanup_free char *directory = *state;
    cleanup_free char *command = xasprintf("rm -rf '%s'", directory);
    return system(command);
}

static bool read_text_of(const char *directory, const char *text, mode_t mode, struct config *config,
                         struct mistake *mistake) {
    cleanup_free char *path = xasprintf("%s/patchd.conf", directory);
    assert_true(atomic_file_write(path, mode, text, strlen(text)));
    return configuration_read(path, config, mistake);
}

static void test_what_is_left_out_has_its_default(void **state) {
    struct config config;
    struct mistake mistake;
    assert_int_equal(unsetenv("PINION_EVENTS"), 0);
    assert_true(read_text_of(*state, "", 0644, &config, &mistake));
    assert_int_equal(config.mode, PATCH_NOTIFY);
    assert_int_equal(config.key_count, 0);
    assert_string_equal(config.socket, EVENT_SOCKET);
    assert_string_equal(config.state, "/var/lib/pinion");
    assert_non_null(strstr(config.policygen, "/policygen"));
    assert_null(config.root);
    assert_true(config.confidence > 0.59 && config.confidence < 0.61);
    assert_int_equal(config.time_limit, 1800);
    configuration_free(&config);
}

static void test_all_of_it_is_read(void **state) {
    struct config config;
    struct mistake mistake;
    cleanup_free char *text = xasprintf(
        "mode = \"auto\"; keys = [ \"" PIN "\" ]; socket = \"/s\"; state = \"%s/state\"; recipes = \"/r\";\n"
        "signatures = \"/d\"; confidence = 0.75; hook = \"/h\"; metrics = \"/m\"; vex = \"/v\"; policygen = \"/p\";\n"
        "policies = \"/q\"; root = \"/t\"; events_per_minute = 1; restarts_per_hour = 2; queue = 3; step_timeout = 4;\n"
        "time_limit = 10;",
        (const char *)*state);
    assert_true(read_text_of(*state, text, 0644, &config, &mistake));
    assert_int_equal(config.mode, PATCH_AUTO);
    assert_int_equal(config.key_count, 1);
    assert_string_equal(config.keys[0].name, "21fe31dfa154a261");
    assert_string_equal(config.root, "/t");
    assert_true(config.confidence == 0.75);
    assert_int_equal(config.step_timeout, 4);
    assert_int_equal(config.time_limit, 10);
    assert_true(configuration_state(&config, &mistake));
    assert_true(configuration_state(&config, &mistake)); /* it is there already */
    struct stat status;
    assert_int_equal(stat(config.state, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    configuration_free(&config);
}

static void test_each_mistake_has_its_line_and_remedy(void **state) {
    static const struct {
        const char *text;
        unsigned line;
        const char *message;
    } rows[] = {
        {"\nmoed = \"auto\";", 2, "did you mean \"mode\"?"},
        {"\nmode = \"atuo\";", 2, "did you mean \"auto\"?"},
        {"\nmode = \"auto\";", 2, "needs \"keys\""},
        {"\nmode = \"ask\"; keys = [ ];", 2, "needs \"keys\""},
        {"keys = [ \"ed25519:x\" ];", 1, "is no key"},
        {"recipes = \"recipes\";", 1, "an absolute path"},
        {"state = \"/var/../x\";", 1, "an absolute path"},
        {"confidence = 0.0;", 1, "above 0.0"},
        {"confidence = 1.5;", 1, "above 0.0"},
        {"confidence = 0;", 1, "above 0.0"},
        {"confidence = 2;", 1, "above 0.0"},
        {"confidence = \"1\";", 1, "must be a number"},
        {"queue = 0;", 1, "must lie between"},
        {"step_timeout = 99999999;", 1, "must lie between"},
        {"\n\ntime_limit = 9;", 3, "\"time_limit\" must lie between 10 and 86400, not 9"},
        {"time_limit = 86401;", 1, "must lie between"},
        {"root = \"srv\";", 1, "must be \"/\", or an absolute path"},
        {"root = \"/srv/\";", 1, "without \"..\", \".\" and empty parts"},
        {"recipes = \"/\";", 1, "an absolute path"},
        {"@include \"/etc/shadow\"", 1, "no other file"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct config config;
        struct mistake mistake;
        if (read_text_of(*state, rows[i].text, 0644, &config, &mistake))
            fail_msg("accepted: %s", rows[i].text);
        if (mistake.line != rows[i].line || strstr(mistake.text, rows[i].message) == NULL)
            fail_msg("line %u: %s\nfor: %s", mistake.line, mistake.text, rows[i].text);
    }
}

/* As an incident has it: "" is the root that the helper itself has. */
static void test_the_root_may_be_our_own(void **state) {
    struct config config;
    struct mistake mistake;
    assert_true(read_text_of(*state, "root = \"/\"; recipes = \"/tmp\";", 0644, &config, &mistake));
    assert_string_equal(config.root, "");
    free(config.policygen);
    config.policygen = xstrdup("/bin/true");
    assert_int_equal(configuration_check(&config), 0);
    configuration_free(&config);
}

static void test_nobody_else_can_write_it(void **state) {
    struct config config;
    struct mistake mistake;
    assert_false(read_text_of(*state, "", 0664, &config, &mistake));
    assert_non_null(strstr(mistake.text, "chmod go-w"));
    assert_false(read_text_of(*state, "", 0646, &config, &mistake));
    assert_int_equal(chmod(*state, 0777), 0); /* who may write there can put another file in its place */
    assert_false(read_text_of(*state, "", 0644, &config, &mistake));
    assert_non_null(strstr(mistake.text, "its directory"));
    assert_int_equal(chmod(*state, 0700), 0);
}

static void test_another_users_file_is_refused(void **state) {
    struct config config;
    struct mistake mistake;
    cleanup_free char *path = xasprintf("%s/patchd.conf", (const char *)*state);
    if (geteuid() != 0)
        skip(); /* only root can give a file away */
    assert_true(atomic_file_write(path, 0644, "", 0));
    assert_int_equal(chown(path, 12345, 0), 0);
    assert_false(configuration_read(path, &config, &mistake));
    assert_non_null(strstr(mistake.text, "another user"));
}

static void test_a_state_directory_of_others_is_refused(void **state) {
    struct config config;
    struct mistake mistake;
    cleanup_free char *directory = xasprintf("%s/state", (const char *)*state);
    cleanup_free char *text = xasprintf("state = \"%s\";", directory);
    assert_int_equal(mkdir(directory, 0700), 0);
    assert_int_equal(chmod(directory, 0777), 0);
    assert_false(read_text_of(*state, text, 0644, &config, &mistake));
    assert_non_null(strstr(mistake.text, "state directory"));
    assert_int_equal(rmdir(directory), 0);
    assert_int_equal(symlink("/tmp", directory), 0);
    assert_false(read_text_of(*state, text, 0644, &config, &mistake));
    assert_non_null(strstr(mistake.text, "no directory"));
}

static void test_a_hook_that_others_may_write_is_refused(void **state) {
    struct config config;
    struct mistake mistake;
    cleanup_free char *hook = xasprintf("%s/hook", (const char *)*state);
    cleanup_free char *text = xasprintf("hook = \"%s\";", hook);
    assert_true(atomic_file_write(hook, 0755, "", 0));
    assert_true(read_text_of(*state, text, 0644, &config, &mistake));
    configuration_free(&config);
    assert_int_equal(chmod(hook, 0775), 0);
    assert_false(read_text_of(*state, text, 0644, &config, &mistake));
    assert_non_null(strstr(mistake.text, "hook\": others may write to it"));
}

static void test_a_whole_number_is_a_confidence(void **state) {
    struct config config;
    struct mistake mistake;
    assert_true(read_text_of(*state, "confidence = 1;", 0644, &config, &mistake));
    assert_true(config.confidence == 1);
    configuration_free(&config);
}

/* What configuration_check warns of; the caller frees. */
static char *warnings_of(const char *directory, const struct config *config, unsigned expected) {
    cleanup_free char *path = xasprintf("%s/warnings", directory);
    size_t size;
    fflush(stderr);
    cleanup_fd int before = dup(STDERR_FILENO);
    cleanup_fd int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(before >= 0 && file >= 0 && dup2(file, STDERR_FILENO) >= 0);
    unsigned count = configuration_check(config);
    fflush(stderr);
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    assert_int_equal(count, expected);
    return file_read(path, 65536, &size);
}

static void test_what_is_not_there_is_told_at_the_start(void **state) {
    static const char *const keys[] = {"recipes", "hook", "metrics", "vex", "policygen", "root"};
    struct config config;
    struct mistake mistake;
    cleanup_free char *text = NULL;
    size_t size;
    FILE *out = xopen_memstream(&text, &size);
    for (size_t i = 0; i < COUNT(keys); i++)
        fprintf(out, "%s = \"%s/no/%s\";\n", keys[i], (const char *)*state, keys[i]);
    fclose(out);
    assert_true(read_text_of(*state, text, 0644, &config, &mistake));
    cleanup_free char *warnings = warnings_of(*state, &config, COUNT(keys));
    for (size_t i = 0; i < COUNT(keys); i++) {
        cleanup_free char *named = xasprintf("%s = \"%s/no/%s\": No such file", keys[i], (const char *)*state, keys[i]);
        if (strstr(warnings, named) == NULL)
            fail_msg("no %s in %s", named, warnings);
    }
    configuration_free(&config);
}

/* The helper makes the directory of the documents; a directory is no program, and a file no directory. */
static void test_what_is_there_must_be_of_use(void **state) {
    struct config config;
    struct mistake mistake;
    const char *directory = *state;
    cleanup_free char *plain = xasprintf("%s/plain", directory);
    assert_true(atomic_file_write(plain, 0644, "", 0));
    cleanup_free char *good =
        xasprintf("recipes = \"%s\"; hook = \"/bin/sh\"; metrics = \"%s/x.prom\"; vex = \"%s/vex\";\n"
                  "policygen = \"/bin/sh\"; root = \"%s\";",
                  directory, directory, directory, directory);
    assert_true(read_text_of(directory, good, 0644, &config, &mistake));
    cleanup_free char *none = warnings_of(directory, &config, 0);
    assert_string_equal(none, "");
    configuration_free(&config);
    cleanup_free char *bad =
        xasprintf("recipes = \"%s\"; hook = \"%s\"; vex = \"%s\"; policygen = \"%s\";", plain, plain, plain, directory);
    assert_true(read_text_of(directory, bad, 0644, &config, &mistake));
    cleanup_free char *warnings = warnings_of(directory, &config, 4);
    assert_non_null(strstr(warnings, "chmod +x"));
    assert_non_null(strstr(warnings, "it is no file"));
    assert_non_null(strstr(warnings, "it is no directory"));
    configuration_free(&config);
}

/* The sample with what it comments out put in force: every key, and what the text calls the default is it. */
static void test_the_sample_shows_all_keys(void **state) {
    static const char *const keys[] = {"mode",      "socket",       "state",   "recipes",           "signatures",
                                       "keys",      "confidence",   "hook",    "metrics",           "vex",
                                       "policygen", "policies",     "root",    "events_per_minute", "restarts_per_hour",
                                       "queue",     "step_timeout", "mirrors", "time_limit"};
    (void)state;
    struct config sample, config;
    struct mistake mistake;
    size_t size;
    cleanup_free char *text = file_read("samples/patchd/patchd.conf", 65536, &size);
    assert_non_null(text);
    for (size_t i = 0; i < COUNT(keys); i++) {
        cleanup_free char *line = xasprintf("\n# %s = ", keys[i]);
        char *at = strstr(text, line);
        if (at != NULL)
            at[1] = ' ';
        else if ((at = strstr(text, line + 3)) == NULL || at[-1] != '\n')
            fail_msg("the sample has no \"%s\"", keys[i]);
    }
    assert_int_equal(unsetenv("PINION_EVENTS"), 0);
    if (!configuration_parse(text, &sample, &mistake))
        fail_msg("line %u: %s", mistake.line, mistake.text);
    configuration_default(&config);
    assert_int_equal(sample.mode, config.mode);
    assert_string_equal(sample.socket, config.socket);
    assert_string_equal(sample.state, config.state);
    assert_string_equal(sample.recipes, config.recipes);
    assert_string_equal(sample.policies, config.policies);
    assert_true(sample.confidence == config.confidence);
    assert_int_equal(sample.events_per_minute, config.events_per_minute);
    assert_int_equal(sample.restarts_per_hour, config.restarts_per_hour);
    assert_int_equal(sample.queue, config.queue);
    assert_int_equal(sample.step_timeout, config.step_timeout);
    assert_int_equal(sample.time_limit, config.time_limit);
    configuration_free(&sample);
    configuration_free(&config);
}

/* A program that starts at boot before the helper finds the directory of the socket, in which root alone may write. */
static void test_the_directory_of_the_socket_is_made_at_boot(void **state) {
    (void)state;
    size_t size;
    cleanup_free char *text = file_read("samples/patchd/tmpfiles.conf", 65536, &size);
    assert_non_null(text);
    assert_non_null(strstr(text, "\nd " EVENT_DIRECTORY " 0755 root root -\n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_left_out_has_its_default, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_all_of_it_is_read, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_each_mistake_has_its_line_and_remedy, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_the_root_may_be_our_own, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_nobody_else_can_write_it, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_another_users_file_is_refused, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_a_hook_that_others_may_write_is_refused, make_directory, remove_directory),
        cmocka_unit_test(test_the_sample_shows_all_keys),
        cmocka_unit_test(test_the_directory_of_the_socket_is_made_at_boot),
        cmocka_unit_test_setup_teardown(test_a_whole_number_is_a_confidence, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_what_is_not_there_is_told_at_the_start, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_what_is_there_must_be_of_use, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_a_state_directory_of_others_is_refused, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
