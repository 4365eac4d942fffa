/* `pinion recipe`: how a vulnerability is fixed, written, signed, looked at and tried. Nothing here changes a target. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/util.h"
#include "tools/describe.h"
#include "tools/json.h"
#include "tools/options.h"
#include "tools/patch/config.h"
#include "tools/patch/form.h"
#include "tools/patch/recipe_new.h"
#include "tools/patch/recipe_view.h"
#include "tools/patch/rehearse.h"
#include "tools/patch/suggest.h"
#include "tools/verb.h"

#define EXIT_NOTHING 3

static struct {
    const char *output, *key, *config;
    struct text_list pins;
    struct recipe_wish wish;
    const char *serial, *days;
    const char *advisories, *root, *scratch;
    bool json, pin, update;
} settings;

/* The help of each begins with the actions that take it, which is where they are looked up: the others refuse it. */
static const struct option_row options[] = {
    OPTION_TEXT("output", 'o', "FILE", &settings.output,
                "key, new, suggest: where to write; never over a file that is there"),
    OPTION_TEXT("key", 'k', "FILE", &settings.key, "sign, key: the private key"),
    OPTION_FLAG("pin", 0, &settings.pin, "key: print the pin of a private key that is there"),
    OPTION_TEXT("config", 'c', "FILE", &settings.config,
                "verify, list, show, test: the patch helper's configuration, for its keys (default " CONFIG_PATH ")"),
    OPTION_LIST("trust", 0, "KEY", &settings.pins, "verify, list, show, test: this key alone, as `key` printed it"),
    OPTION_FLAG("json", 'j', &settings.json, "verify, list, show, test: print JSON"),
    OPTION_TEXT("name", 'n', "NAME", &settings.wish.name, "new, suggest: the recipe's name"),
    OPTION_TEXT("summary", 0, "TEXT", &settings.wish.summary, "new, suggest: what is fixed, in a line"),
    OPTION_TEXT("serial", 0, "N", &settings.serial,
                "new, suggest: above that of all earlier recipes of the name (default: 1)"),
    OPTION_TEXT("days", 0, "N", &settings.days, "new, suggest: how long it holds (default: 365)"),
    OPTION_LIST("cve", 0, "CVE", &settings.wish.cves, "new, suggest: a CVE that is fixed, or is to be"),
    OPTION_LIST("signature", 0, "NAME", &settings.wish.signatures, "new, suggest: a name of the signature database"),
    OPTION_LIST("violation", 0, "MODULE[:CALL]", &settings.wish.violations,
                "new, suggest: a call that was refused, by the build-id of the library or program that made it"),
    OPTION_TEXT("package", 'p', "PACKAGE", &settings.wish.package, "new, suggest: the package"),
    OPTION_TEXT("fixed", 0, "VERSION", &settings.wish.fixed, "new: the version that has the fix"),
    OPTION_TEXT("method", 'm', "METHOD", &settings.wish.method, "new: apt, apk, files, build or script (default: apt)"),
    OPTION_LIST("file", 0, "PATH=FILE", &settings.wish.files,
                "new: files: what goes where; the recipe holds the digest of FILE"),
    OPTION_TEXT("archive", 0, "FILE", &settings.wish.archive, "new: build: the source archive"),
    OPTION_LIST("depends", 0, "PACKAGE", &settings.wish.depends, "new: build: needed while building alone"),
    OPTION_LIST("command", 0, "LINE", &settings.wish.commands, "new: build: a shell line, run in the unpacked archive"),
    OPTION_TEXT("source", 0, "URL", &settings.wish.source,
                "new: files, build: where the file will be fetched from (default: file:// where it is now, which "
                "then has to be there on the patched system)"),
    OPTION_TEXT("script", 0, "FILE", &settings.wish.script, "new: script: the shell script"),
    OPTION_LIST("restart", 0, "PROGRAM[=HOW]", &settings.wish.restarts,
                "new, suggest: what to restart, and how: auto, upgrade, reload, service or none"),
    OPTION_TEXT("root", 'r', "DIR", &settings.root, "suggest, test: the system that is to be patched (default: /)"),
    OPTION_TEXT("advisories", 0, "FILE", &settings.advisories,
                "suggest: a table of what was fixed in which version; its form is below"),
    OPTION_FLAG("update", 0, &settings.update,
                "suggest: fetch the package lists anew, into a directory of its own: needed where the system has none; "
                "those of the system stay as they are"),
    OPTION_TEXT("scratch", 0, "DIR", &settings.scratch,
                "suggest, test: where a directory for trying can be made, on no overlay (default: /var/tmp)"),
};

static const char details[] =
    "  pinion recipe key -o FILE               makes a key pair; prints what the helper's configuration pins\n"
    "  pinion recipe key --pin FILE            prints that of a private key that is there\n"
    "  pinion recipe new --name NAME ... -o FILE     writes a recipe from these options, to be completed and signed\n"
    "  pinion recipe suggest --cve CVE --advisories FILE ... [-o FILE]\n"
    "  pinion recipe suggest --package PACKAGE ... [-o FILE]\n"
    "                                          writes one from what is installed and what the sources of it have\n"
    "  pinion recipe sign --key KEY FILE...    signs; an old signature is replaced\n"
    "  pinion recipe verify FILE...            says whether the helper would trust it\n"
    "  pinion recipe list [DIR]                all recipes of a directory with the state of each\n"
    "  pinion recipe show FILE...              what a recipe does, trusted or not\n"
    "  pinion recipe test FILE [--root DIR]    tries it on a system that stays as it is: says what would change\n"
    "\n"
    "A recipe NAME is the file NAME" RECIPE_SUFFIX ".\n"
    "\n"
    "The table of --advisories is text, its columns separated by single tabs, its first line naming them:\n"
    "\n"
    "  source<TAB>cve<TAB>fixed_RELEASE<TAB>advisory<TAB>date\n"
    "  openssl<TAB>CVE-2022-3602<TAB>3.0.7-1<TAB>DSA-1-1<TAB>2022-11-01\n"
    "\n"
    "RELEASE is the VERSION_CODENAME of /etc/os-release, as in fixed_bookworm; the version is that of the source.\n"
    "\n"
    "Exit status: 0 good; 1 not signed by a trusted key, expired or misnamed; 2 error; 3 suggest, test: there\n"
    "is nothing to do. test: 1 when the recipe fails there.\n";

/* ---- what several actions need ---- */

static _Noreturn void die_of(const char *what, const char *path, const struct mistake *mistake) {
    cleanup_free char *clean = printable(path);
    if (mistake->line > 0)
        die("cannot %s \"%s\" line %u: %s", what, clean, mistake->line, mistake->text);
    die("cannot %s \"%s\": %s", what, clean, mistake->text);
}

struct keys {
    struct recipe_key *items;
    size_t count;
};

/* Those of the command line, else those that the helper trusts. */
static struct keys trusted_keys(const struct usage *usage) {
    struct keys keys = {0};
    struct config config;
    struct mistake mistake;
    for (size_t i = 0; i < settings.pins.count; i++)
        if (!recipe_key_parse(settings.pins.items[i], array_append(keys.items, keys.count)))
            options_mistake(usage, "\"%s\" is no key, as \"ed25519:...\" that `pinion recipe key` prints",
                            settings.pins.items[i]);
    if (keys.count > 0)
        return keys;
    const char *path = settings.config != NULL ? settings.config : CONFIG_PATH;
    if (settings.config == NULL && access(path, F_OK) != 0 && errno == ENOENT)
        return keys;
    if (!configuration_read(path, &config, &mistake))
        die_of("read the configuration", path, &mistake);
    keys = (struct keys){steal_pointer(&config.keys), config.key_count};
    configuration_free(&config);
    return keys;
}

static void need_files(const struct usage *usage, char **files) {
    if (*files == NULL)
        options_mistake(usage, "which recipe?");
}

/* ---- key ---- */

/* To be made, or (--pin) that is there. */
static const char *key_file(const struct usage *usage, char **files) {
    const char *given[] = {settings.output, settings.key, files[0], files[0] != NULL ? files[1] : NULL};
    const char *file = NULL;
    size_t count = 0;
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++)
        if (given[i] != NULL) {
            file = given[i];
            count++;
        }
    if (count != 1 || (!settings.pin && settings.output == NULL))
        options_mistake(usage, "which file? (--output FILE for a new key, --pin FILE for one that is there)");
    return file;
}

static int action_key(const struct usage *usage, char **files) {
    struct recipe_key key;
    struct mistake mistake;
    const char *file = key_file(usage, files);
    bool good = settings.pin ? recipe_key_public(file, &key, &mistake) : recipe_key_generate(file, &key, &mistake);
    if (!good)
        die("%s", mistake.text);
    cleanup_free char *text = recipe_key_format(&key);
    printf("%s\n", text);
    fflush(stdout);
    fprintf(stderr, "Messages name this key %s.\n", key.name);
    if (!settings.pin)
        fprintf(stderr,
                "The private key is in %s: keep it where no patched system can reach it.\n"
                "Pin the line above in the helper's configuration: keys = [ \"%s\" ];\n",
                file, text);
    return EXIT_FINE;
}

/* ---- new ---- */

/* Never over a file that is there. */
static void write_new(const char *path, const char *text) {
    cleanup_free char *clean = printable(path);
    FILE *out = fopen(path, "wx");
    if (out == NULL && errno == EEXIST)
        die("\"%s\" is there already: give another file, or remove it first", clean);
    if (out == NULL)
        die_with_error("cannot write \"%s\"", clean);
    bool good = fputs(text, out) >= 0;
    if (fclose(out) == 0 && good)
        return;
    unlink(path);
    die_with_error("cannot write \"%s\"", clean);
}

static void read_numbers(const struct usage *usage) {
    settings.wish.serial = settings.serial != NULL ? options_number(usage, "serial", settings.serial, INT32_MAX) : 1;
    settings.wish.days = settings.days != NULL ? options_number(usage, "days", settings.days, 36500) : 365;
}

static int action_new(const struct usage *usage, char **files) {
    struct mistake mistake;
    if (*files != NULL)
        options_mistake(usage, "new takes options alone: the file is --output FILE");
    read_numbers(usage);
    cleanup_free char *text = recipe_new(&settings.wish, time(NULL), &mistake);
    if (text == NULL)
        options_mistake(usage, "%s", mistake.text);
    if (settings.output != NULL)
        write_new(settings.output, text);
    else
        fputs(text, stdout);
    return EXIT_FINE;
}

/* ---- suggest ---- */

/* A directory of our own, made below one that others may use; the caller frees. */
static char *make_scratch(void) {
    char *path = xasprintf("%s/pinion-recipe-XXXXXX", settings.scratch != NULL ? settings.scratch : "/var/tmp");
    if (mkdtemp(path) == NULL)
        die_with_error("cannot make a directory \"%s\"", path);
    return path;
}

/* The recipe's name is that of the file, where that has one. */
static char *name_of_output(void) {
    const char *slash = settings.output != NULL ? strrchr(settings.output, '/') : NULL;
    const char *file = slash != NULL ? slash + 1 : settings.output;
    size_t length = file != NULL ? strlen(file) : 0, suffix = strlen(RECIPE_SUFFIX);
    if (settings.wish.name != NULL)
        return xstrdup(settings.wish.name);
    if (length <= suffix || strcmp(file + length - suffix, RECIPE_SUFFIX) != 0)
        return NULL;
    return xstrndup(file, length - suffix);
}

static int action_suggest(const struct usage *usage, char **files) {
    struct mistake mistake;
    if (*files != NULL || settings.wish.cves.count > 1)
        options_mistake(usage, "suggest takes one --cve or --package");
    read_numbers(usage);
    cleanup_free char *name = name_of_output(), *scratch = make_scratch(), *text = NULL;
    struct suggest_wish wish = {.cve = settings.wish.cves.count > 0 ? settings.wish.cves.items[0] : NULL,
                                .package = settings.wish.package,
                                .advisories = settings.advisories,
                                .name = name,
                                .told = &settings.wish,
                                .root = settings.root != NULL ? settings.root : "/",
                                .scratch = scratch,
                                .update = settings.update};
    enum suggest_result result = suggest(&wish, time(NULL), &text, &mistake);
    rmdir(scratch);
    if (result == SUGGEST_FAILED)
        die("%s", mistake.text);
    if (result == SUGGEST_NOTHING) {
        warn("%s", mistake.text);
        return EXIT_NOTHING;
    }
    if (settings.output != NULL)
        write_new(settings.output, text);
    else
        fputs(text, stdout);
    return EXIT_FINE;
}

/* ---- sign ---- */

static void check_worth_signing(const char *path, const char *text) {
    struct recipe recipe;
    struct mistake mistake;
    if (!recipe_parse(text, &recipe, &mistake) || !recipe_name_fits(&recipe, path, &mistake))
        die_of("sign", path, &mistake);
    cleanup_free char *problem = recipe_time_problem(&recipe, time(NULL));
    if (problem != NULL)
        die("cannot sign \"%s\": %s", path, problem);
    recipe_free(&recipe);
}

static void sign_file(const char *path) {
    struct mistake mistake;
    struct stat status;
    cleanup_free char *text = recipe_load(path, &mistake);
    if (text == NULL)
        die_of("read", path, &mistake);
    check_worth_signing(path, text);
    cleanup_free char *sealed = recipe_sign(text, settings.key, &mistake);
    if (sealed == NULL)
        die_of("sign", path, &mistake);
    /* A link is followed, so that what it names is replaced and not the link. */
    cleanup_free char *real = realpath(path, NULL);
    if (real == NULL || stat(real, &status) != 0 ||
        !atomic_file_write(real, status.st_mode & 0777, sealed, strlen(sealed)))
        die_with_error("cannot write \"%s\"", path);
}

static int action_sign(const struct usage *usage, char **files) {
    need_files(usage, files);
    if (settings.key == NULL)
        options_mistake(usage, "with which private key? (--key FILE)");
    for (; *files != NULL; files++)
        sign_file(*files);
    return EXIT_FINE;
}

/* ---- verify, list, show ---- */

static int status_of(enum recipe_state state) {
    return state == RECIPE_GOOD ? EXIT_FINE : state == RECIPE_UNREADABLE ? EXIT_ERROR : EXIT_FINDINGS;
}

static int worse(int a, int b) {
    return a > b ? a : b;
}

static void print_verdict(const char *path, const struct recipe_look *look) {
    cleanup_free char *clean = printable(path);
    if (look->state == RECIPE_GOOD)
        printf("%s: good, signed by %s\n", clean, look->signer);
    else
        printf("%s: %s: %s\n", clean, recipe_state_word(look->state), look->problem);
}

static int action_verify(const struct usage *usage, char **files) {
    int status = EXIT_FINE;
    need_files(usage, files);
    struct keys keys = trusted_keys(usage);
    if (keys.count == 0)
        warn("no key is pinned, and so nothing is trusted: give --trust KEY or --config FILE");
    json_t *list = json_array();
    for (; *files != NULL; files++) {
        struct recipe_look look;
        recipe_look(*files, keys.items, keys.count, time(NULL), &look);
        if (settings.json)
            json_array_append_new(list, recipe_look_json(&look, *files));
        else
            print_verdict(*files, &look);
        status = worse(status, status_of(look.state));
        recipe_look_free(&look);
    }
    free(keys.items);
    if (settings.json)
        json_print(json_pack("{s:O}", "recipes", list));
    json_decref(list);
    return status;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The paths of the recipes in a directory, in order. */
static size_t find_recipes(const char *directory, char ***paths) {
    size_t count = 0, suffix = strlen(RECIPE_SUFFIX);
    DIR *stream = opendir(directory);
    if (stream == NULL)
        die_with_error("cannot read the directory \"%s\"", directory);
    *paths = NULL;
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length > suffix && strcmp(entry->d_name + length - suffix, RECIPE_SUFFIX) == 0)
            *array_append(*paths, count) = xasprintf("%s/%s", directory, entry->d_name);
    }
    closedir(stream);
    if (count > 0)
        qsort(*paths, count, sizeof **paths, compare_names);
    return count;
}

static char *recipe_directory(void) {
    struct config config;
    struct mistake mistake;
    const char *path = settings.config != NULL ? settings.config : CONFIG_PATH;
    if (!configuration_read(path, &config, &mistake))
        die_of("read the configuration", path, &mistake);
    char *directory = steal_pointer(&config.recipes);
    configuration_free(&config);
    return directory;
}

/* By the name of the file, which is the recipe's unless it is misnamed. */
static void print_row(const char *path, const struct recipe_look *look) {
    const struct recipe *recipe = &look->recipe;
    char expires[DATE_TEXT_BYTES];
    cleanup_free char *file = printable(strrchr(path, '/') + 1);
    printf("%-30.*s %-13s ", (int)(strlen(file) - strlen(RECIPE_SUFFIX)), file, recipe_state_word(look->state));
    if (!look->parsed) {
        printf("%s\n", look->problem);
        return;
    }
    date_format(recipe->expires, expires);
    printf("%6" PRId64 "  %-10.10s  %-6s  %s %s\n", recipe->serial, expires, recipe_method_word(recipe->method),
           recipe->package != NULL ? recipe->package : "-", recipe->fixed != NULL ? recipe->fixed : "");
}

static int action_list(const struct usage *usage, char **files) {
    int status = EXIT_FINE;
    char **paths;
    if (files[0] != NULL && files[1] != NULL)
        options_mistake(usage, "list takes one directory");
    struct keys keys = trusted_keys(usage);
    cleanup_free char *directory = files[0] != NULL ? xstrdup(files[0]) : recipe_directory();
    size_t count = find_recipes(directory, &paths);
    json_t *list = json_array();
    if (!settings.json && count > 0)
        printf("%-30s %-13s %6s  %-10s  %-6s  %s\n", "RECIPE", "STATE", "SERIAL", "EXPIRES", "METHOD", "PACKAGE");
    for (size_t i = 0; i < count; i++) {
        struct recipe_look look;
        recipe_look(paths[i], keys.items, keys.count, time(NULL), &look);
        if (settings.json)
            json_array_append_new(list, recipe_look_json(&look, paths[i]));
        else
            print_row(paths[i], &look);
        status = worse(status, look.state == RECIPE_GOOD ? EXIT_FINE : EXIT_FINDINGS);
        recipe_look_free(&look);
        free(paths[i]);
    }
    free(paths);
    free(keys.items);
    if (settings.json)
        json_print(json_pack("{s:O}", "recipes", list));
    json_decref(list);
    return status;
}

static void show_or_die(const char *path, const struct recipe_look *look) {
    cleanup_free char *clean = printable(path);
    if (!look->parsed)
        die("cannot read \"%s\": %s", clean, look->parse_problem != NULL ? look->parse_problem : look->problem);
}

/* Showing is no judgement: 0 for whatever can be shown. */
static int action_show(const struct usage *usage, char **files) {
    need_files(usage, files);
    struct keys keys = trusted_keys(usage);
    json_t *list = json_array();
    for (char **file = files; *file != NULL; file++) {
        struct recipe_look look;
        recipe_look(*file, keys.items, keys.count, time(NULL), &look);
        show_or_die(*file, &look);
        if (settings.json)
            json_array_append_new(list, recipe_look_json(&look, *file));
        else
            recipe_print(&look);
        recipe_look_free(&look);
    }
    free(keys.items);
    if (settings.json)
        json_print(json_pack("{s:O}", "recipes", list));
    json_decref(list);
    return EXIT_FINE;
}

/* ---- test ---- */

/* What is not trusted is tried as well, in the stage only: whoever tests a draft has not signed it yet. But it would be
 * refused, and the test says that first. */
static int action_test(const struct usage *usage, char **files) {
    struct recipe_look look;
    struct rehearsal rehearsal;
    struct mistake mistake;
    if (files[0] == NULL || files[1] != NULL)
        options_mistake(usage, "test takes one recipe");
    struct keys keys = trusted_keys(usage);
    recipe_look(files[0], keys.items, keys.count, time(NULL), &look);
    show_or_die(files[0], &look);
    if (!settings.json)
        printf("%s, serial %" PRId64 ": %s\n  state     %s%s%s\n", look.recipe.name, look.recipe.serial,
               look.recipe.summary, recipe_state_word(look.state), look.problem != NULL ? ": " : "",
               look.problem != NULL ? look.problem : "");
    fflush(stdout);
    cleanup_free char *scratch = make_scratch();
    enum apply_status status =
        rehearse(&look.recipe, settings.root != NULL ? settings.root : "/", scratch, &rehearsal, &mistake);
    rmdir(scratch);
    rehearsal.refusal = look.problem;
    if (settings.json)
        json_print(json_pack("{s:s, s:s, s:o}", "recipe", look.recipe.name, "state", recipe_state_word(look.state),
                             "test", rehearsal_json(&rehearsal, status, &mistake)));
    else
        rehearsal_print(&rehearsal, status, &mistake);
    bool good = look.state == RECIPE_GOOD;
    rehearsal_free(&rehearsal);
    recipe_look_free(&look);
    free(keys.items);
    return good || status == APPLY_ERROR ? (int)status : EXIT_FINDINGS;
}

/* ---- the verb ---- */

static const struct {
    const char *name;
    int (*handler)(const struct usage *usage, char **files);
} actions[] = {
    {"key", action_key},       {"new", action_new},   {"suggest", action_suggest}, {"sign", action_sign},
    {"verify", action_verify}, {"list", action_list}, {"show", action_show},       {"test", action_test},
};

static bool is_given(const struct option_row *row) {
    if (row->list != NULL)
        return row->list->count > 0;
    return row->text != NULL ? *row->text != NULL : *row->flag;
}

/* Its help begins with "ACTION, ACTION: ". */
static bool is_taken_by(const struct option_row *row, const char *action) {
    size_t length = strlen(action);
    const char *at = row->help, *end = at + strcspn(at, ":");
    for (; at < end; at += strcspn(at, " :") + 1)
        if (strncmp(at, action, length) == 0 && (at[length] == ',' || at[length] == ':'))
            return true;
    return false;
}

/* An option that would do nothing was meant to do something. */
static void refuse_others(const struct usage *usage, const char *action) {
    for (size_t i = 0; i < usage->option_count; i++) {
        const struct option_row *row = &usage->options[i];
        if (is_given(row) && !is_taken_by(row, action))
            options_mistake(usage, "--%s is of %.*s alone, not of %s", row->name, (int)strcspn(row->help, ":"),
                            row->help, action);
    }
}

int verb_recipe(const struct verb *verb, int argc, char **argv) {
    struct usage usage = {.verb = verb,
                          .arguments = "key|new|suggest|sign|verify|list|show|test [FILE...]",
                          .details = details,
                          .options = options,
                          .option_count = sizeof options / sizeof options[0]};
    if (options_read(&usage, argc, argv) == 0)
        options_mistake(&usage, "which action? (key, new, suggest, sign, verify, list, show, test)");
    struct nearest nearest = nearest_begin(argv[1]);
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(argv[1], actions[i].name) == 0) {
            refuse_others(&usage, argv[1]);
            return actions[i].handler(&usage, argv + 2);
        }
        nearest_offer(&nearest, actions[i].name);
    }
    if (nearest.best != NULL)
        options_mistake(&usage, "unknown action \"%s\" (did you mean \"%s\"?)", argv[1], nearest.best);
    options_mistake(&usage, "unknown action \"%s\"", argv[1]);
}
