/* The helper's configuration: strict, and never taken from a file that others could have written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>

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
    configuration_free(&config);
}

static void test_all_of_it_is_read(void **state) {
    struct config config;
    struct mistake mistake;
    cleanup_free char *text = xasprintf(
        "mode = \"auto\"; keys = [ \"" PIN "\" ]; socket = \"/s\"; state = \"%s/state\"; recipes = \"/r\";\n"
        "signatures = \"/d\"; confidence = 0.75; hook = \"/h\"; metrics = \"/m\"; vex = \"/v\"; policygen = \"/p\";\n"
        "policies = \"/q\"; root = \"/t\"; events_per_minute = 1; restarts_per_hour = 2; queue = 3; step_timeout = 4;",
        (const char *)*state);
    assert_true(read_text_of(*state, text, 0644, &config, &mistake));
    assert_int_equal(config.mode, PATCH_AUTO);
    assert_int_equal(config.key_count, 1);
    assert_string_equal(config.keys[0].name, "21fe31dfa154a261");
    assert_string_equal(config.root, "/t");
    assert_true(config.confidence == 0.75);
    assert_int_equal(config.step_timeout, 4);
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
        {"confidence = 1;", 1, "a number with a point"},
        {"queue = 0;", 1, "must lie between"},
        {"step_timeout = 99999999;", 1, "must lie between"},
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_left_out_has_its_default, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_all_of_it_is_read, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_each_mistake_has_its_line_and_remedy, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_nobody_else_can_write_it, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_another_users_file_is_refused, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_a_hook_that_others_may_write_is_refused, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_a_state_directory_of_others_is_refused, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
