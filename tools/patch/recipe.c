/* Reading the text of a recipe. What parses here is well-formed and free of contradictions; whether it is to be trusted
 * is recipe_key.c's to say, whether it can be applied its method's.
 */
#include "tools/patch/recipe.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/api.h"
#include "runtime/util.h"
#include "tools/describe.h"
#include "tools/evidence.h"
#include "tools/options.h"
#include "tools/patch/form.h"

#define fail(mistake, setting, ...) text_mistake(mistake, config_setting_source_line(setting), __VA_ARGS__)

#define ANSWERS_MOST 4096 /* CVEs, signatures, violations */
#define FILES_MOST 1024
#define COMMANDS_MOST 64
#define RESTARTS_MOST 64
#define CHECKS_MOST 32
#define FILE_BYTES_MOST (INT64_C(4) << 30)
#define FREE_DISK_MOST (UINT64_C(1) << 50)
#define SERIAL_MOST (INT64_C(1) << 53)
#define TIMEOUT 30
#define TIMEOUT_MOST 3600

/* ---- keys ---- */

static const struct key root_keys[] = {
    {"recipe", TYPE_STRING, true},        {"summary", TYPE_STRING, true},
    {"serial", TYPE_NUMBER, true},        {"created", TYPE_STRING, true},
    {"expires", TYPE_STRING, true},       {"answers", TYPE_GROUP, true},
    {"package", TYPE_GROUP, false},       {"method", TYPE_STRING, true},
    {"apt", TYPE_GROUP, false},           {"files", TYPE_LIST, false},
    {"build", TYPE_GROUP, false},         {"script", TYPE_GROUP, false},
    {"preconditions", TYPE_GROUP, false}, {"restart", TYPE_LIST, false},
    {"health", TYPE_GROUP, false},        {0},
};

static const struct key answers_keys[] = {
    {"signatures", TYPE_ARRAY, false},
    {"cves", TYPE_ARRAY, false},
    {"violations", TYPE_LIST, false},
    {0},
};

static const struct key violation_keys[] = {{"module", TYPE_STRING, true}, {"api", TYPE_STRING, false}, {0}};
static const struct key package_keys[] = {{"name", TYPE_STRING, true}, {"fixed", TYPE_STRING, true}, {0}};
static const struct key apt_keys[] = {{"archives", TYPE_LIST, true}, {0}};

static const struct key archive_keys[] = {
    {"package", TYPE_STRING, true},
    {"version", TYPE_STRING, true},
    {"architecture", TYPE_STRING, true},
    {"source", TYPE_STRING, true},
    {"size", TYPE_NUMBER, true},
    {"sha256", TYPE_STRING, true},
    {0},
};

static const struct key file_keys[] = {
    {"path", TYPE_STRING, true},   {"source", TYPE_STRING, true}, {"size", TYPE_NUMBER, true},
    {"sha256", TYPE_STRING, true}, {"mode", TYPE_STRING, false},  {0},
};

static const struct key build_keys[] = {
    {"archive", TYPE_GROUP, true}, {"depends", TYPE_ARRAY, false}, {"commands", TYPE_ARRAY, true}, {0}};

static const struct key source_keys[] = {
    {"source", TYPE_STRING, true}, {"size", TYPE_NUMBER, true}, {"sha256", TYPE_STRING, true}, {0}};

static const struct key script_keys[] = {{"text", TYPE_STRING, true}, {0}};
static const struct key precondition_keys[] = {{"free_disk", TYPE_STRING, false}, {0}};

static const struct key restart_keys[] = {
    {"program", TYPE_STRING, true},
    {"how", TYPE_STRING, true},
    {"command", TYPE_ARRAY, false},
    {"signal", TYPE_STRING, false},
    {0},
};

static const struct key health_keys[] = {{"timeout", TYPE_NUMBER, false}, {"checks", TYPE_LIST, false}, {0}};

static const struct key check_keys[] = {
    {"command", TYPE_ARRAY, false},   {"url", TYPE_STRING, false},   {"status", TYPE_NUMBER, false},
    {"contains", TYPE_STRING, false}, {"serving", TYPE_BOOL, false}, {0},
};

/* ---- words ---- */

static const char *const method_words[] = {
    [METHOD_APT] = "apt",     [METHOD_APK] = "apk",       [METHOD_FILES] = "files",
    [METHOD_BUILD] = "build", [METHOD_SCRIPT] = "script", [METHOD_COUNT] = NULL,
};

static const char *const how_words[] = {
    [RESTART_AUTO] = "auto",       [RESTART_UPGRADE] = "upgrade", [RESTART_RELOAD] = "reload",
    [RESTART_SERVICE] = "service", [RESTART_COMMAND] = "command", [RESTART_SIGNAL] = "signal",
    [RESTART_NONE] = "none",       [RESTART_NONE + 1] = NULL,
};

const char *recipe_method_word(enum recipe_method method) {
    return method_words[method];
}

bool recipe_method_by_word(const char *word, enum recipe_method *method) {
    for (unsigned i = 0; i < METHOD_COUNT; i++)
        if (strcmp(word, method_words[i]) == 0) {
            *method = i;
            return true;
        }
    return false;
}

const char *restart_how_word(enum restart_how how) {
    return how_words[how];
}

/* ---- head ---- */

static bool read_head(struct mistake *mistake, const config_setting_t *root, struct recipe *recipe) {
    if (!read_text(mistake, root, "recipe", &form_recipe_name, &recipe->name) ||
        !read_text(mistake, root, "summary", &form_line, &recipe->summary) ||
        !read_number(mistake, root, "serial", 1, SERIAL_MOST, &recipe->serial) ||
        !read_date(mistake, root, "created", &recipe->created) ||
        !read_date(mistake, root, "expires", &recipe->expires))
        return false;
    if (recipe->expires > recipe->created)
        return true;
    return fail(mistake, config_setting_get_member(root, "expires"), "\"expires\" must be later than \"created\"");
}

static bool unknown_call(struct mistake *mistake, const config_setting_t *setting, const char *name) {
    struct nearest nearest = nearest_begin(name);
    for (unsigned i = 0; i < API_COUNT; i++)
        nearest_offer(&nearest, api_table[i].name);
    if (nearest.best != NULL)
        return fail(mistake, setting, "\"%.40s\" is no call that a policy knows (did you mean \"%s\"?)", name,
                    nearest.best);
    return fail(mistake, setting, "\"%.40s\" is no call that a policy knows", name);
}

static bool read_violation(struct mistake *mistake, const config_setting_t *group, void *context) {
    struct recipe *recipe = context;
    if (!text_check_keys(mistake, group, violation_keys, "the violation"))
        return false;
    struct recipe_violation *violation = array_append(recipe->violations, recipe->violation_count);
    const char *module = text_member(group, "module"), *api = text_member(group, "api");
    if (!identity_parse(module, &violation->module) || violation->module.kind == IDENTITY_NONE)
        return fail(mistake, group,
                    "\"module\" must be the build-id of the library or program that made the call, as "
                    "`pinion events` prints it");
    if (api != NULL && api_by_name(api) == API_NONE)
        return unknown_call(mistake, config_setting_get_member(group, "api"), api);
    violation->api = api != NULL ? xstrdup(api) : NULL;
    return true;
}

static bool read_answers(struct mistake *mistake, const config_setting_t *root, struct recipe *recipe) {
    const config_setting_t *group = config_setting_get_member(root, "answers");
    return text_check_keys(mistake, group, answers_keys, "\"answers\"") &&
           read_texts(mistake, group, "signatures", &form_line, ANSWERS_MOST, &recipe->signatures) &&
           read_texts(mistake, group, "cves", &form_cve, ANSWERS_MOST, &recipe->cves) &&
           read_groups(mistake, group, "violations", ANSWERS_MOST, read_violation, recipe);
}

static const struct form *package_form(enum recipe_method method) {
    return method == METHOD_APT ? &form_debian_package : method == METHOD_APK ? &form_apk_package : &form_package;
}

static const struct form *version_form(enum recipe_method method) {
    return method == METHOD_APT ? &form_debian_version : method == METHOD_APK ? &form_apk_version : &form_version;
}

static bool read_package(struct mistake *mistake, const config_setting_t *root, struct recipe *recipe) {
    const config_setting_t *group = config_setting_get_member(root, "package");
    if (group == NULL && (recipe->method == METHOD_APT || recipe->method == METHOD_APK))
        return fail(mistake, root, "the recipe has no \"package\", which method \"%s\" needs",
                    method_words[recipe->method]);
    if (group == NULL)
        return true;
    return text_check_keys(mistake, group, package_keys, "\"package\"") &&
           read_text(mistake, group, "name", package_form(recipe->method), &recipe->package) &&
           read_text(mistake, group, "fixed", version_form(recipe->method), &recipe->fixed);
}

/* ---- what is fetched ---- */

/* The keys that all files have. */
static bool read_source(struct mistake *mistake, const config_setting_t *group, const struct form *form,
                        struct recipe_file *file) {
    int64_t size = 0;
    if (!read_text(mistake, group, "source", form, &file->source) ||
        !read_number(mistake, group, "size", 1, FILE_BYTES_MOST, &size))
        return false;
    file->size = (uint64_t)size;
    if (digest_parse(text_member(group, "sha256"), file->sha256))
        return true;
    return fail(mistake, config_setting_get_member(group, "sha256"), "\"sha256\" must be 64 digits, 0 to 9 and a to f");
}

static bool read_archive(struct mistake *mistake, const config_setting_t *group, void *context) {
    struct recipe *recipe = context;
    if (!text_check_keys(mistake, group, archive_keys, "the archive"))
        return false;
    struct recipe_file *file = array_append(recipe->files, recipe->file_count);
    if (!read_text(mistake, group, "package", &form_debian_package, &file->package) ||
        !read_text(mistake, group, "version", &form_debian_version, &file->version) ||
        !read_text(mistake, group, "architecture", &form_architecture, &file->architecture) ||
        !read_source(mistake, group, &form_archive_path, file))
        return false;
    for (const struct recipe_file *other = recipe->files; other < file; other++)
        if (strcmp(other->package, file->package) == 0 && strcmp(other->architecture, file->architecture) == 0)
            return fail(mistake, group, "package \"%s\" is there twice", file->package);
    return true;
}

static bool read_apt(struct mistake *mistake, const config_setting_t *group, struct recipe *recipe) {
    if (group == NULL) /* apt resolves */
        return true;
    if (!text_check_keys(mistake, group, apt_keys, "\"apt\"") ||
        !read_groups(mistake, group, "archives", FILES_MOST, read_archive, recipe))
        return false;
    if (recipe->file_count == 0)
        return fail(mistake, group, "\"archives\" is empty: leave \"apt\" out where apt shall choose");
    for (size_t i = 0; i < recipe->file_count; i++)
        if (strcmp(recipe->files[i].package, recipe->package) == 0 &&
            strcmp(recipe->files[i].version, recipe->fixed) == 0)
            return true;
    return fail(mistake, group, "none of the archives is \"%s\" in the version \"%s\" that \"package\" names",
                recipe->package, recipe->fixed);
}

/* "0755" */
static bool read_mode(struct mistake *mistake, const config_setting_t *group, uint32_t *mode) {
    const config_setting_t *setting = config_setting_get_member(group, "mode");
    if (setting == NULL)
        return true;
    const char *text = config_setting_get_string(setting);
    size_t digits = strspn(text, "01234567");
    *mode = digits == 4 && text[4] == '\0' ? (uint32_t)strtoul(text, NULL, 8) : 0;
    return *mode != 0 || fail(mistake, setting, "\"mode\" must be four octal digits, as \"0755\"");
}

static bool read_file(struct mistake *mistake, const config_setting_t *group, void *context) {
    struct recipe *recipe = context;
    if (!text_check_keys(mistake, group, file_keys, "the file"))
        return false;
    struct recipe_file *file = array_append(recipe->files, recipe->file_count);
    if (!read_text(mistake, group, "path", &form_changeable_path, &file->path) ||
        !read_source(mistake, group, &form_url, file) || !read_mode(mistake, group, &file->mode))
        return false;
    for (const struct recipe_file *other = recipe->files; other < file; other++)
        if (strcmp(other->path, file->path) == 0)
            return fail(mistake, group, "the file \"%.200s\" is there twice", file->path);
    return true;
}

static bool read_files(struct mistake *mistake, const config_setting_t *root, struct recipe *recipe) {
    if (!read_groups(mistake, root, "files", FILES_MOST, read_file, recipe))
        return false;
    return recipe->file_count > 0 || fail(mistake, config_setting_get_member(root, "files"), "\"files\" is empty");
}

static bool read_build(struct mistake *mistake, const config_setting_t *group, struct recipe *recipe) {
    if (!text_check_keys(mistake, group, build_keys, "\"build\""))
        return false;
    const config_setting_t *archive = config_setting_get_member(group, "archive");
    if (!text_check_keys(mistake, archive, source_keys, "\"archive\"") ||
        !read_source(mistake, archive, &form_url, array_append(recipe->files, recipe->file_count)) ||
        !read_texts(mistake, group, "depends", &form_package, FILES_MOST, &recipe->build_depends) ||
        !read_texts(mistake, group, "commands", &form_command_line, COMMANDS_MOST, &recipe->commands))
        return false;
    return recipe->commands[0] != NULL ||
           fail(mistake, config_setting_get_member(group, "commands"), "\"commands\" is empty");
}

static bool read_script(struct mistake *mistake, const config_setting_t *group, struct recipe *recipe) {
    return text_check_keys(mistake, group, script_keys, "\"script\"") &&
           read_text(mistake, group, "text", &form_script, &recipe->script);
}

/* The method's own group is there, and no other's. */
static bool check_method_groups(struct mistake *mistake, const config_setting_t *root, enum recipe_method method) {
    for (unsigned i = 0; i < METHOD_COUNT; i++) {
        const config_setting_t *group = config_setting_get_member(root, method_words[i]);
        if (i != method && group != NULL)
            return fail(mistake, group, "\"%s\" does not belong to method \"%s\": leave it out or change the method",
                        method_words[i], method_words[method]);
        if (i == method && group == NULL && method != METHOD_APT && method != METHOD_APK)
            return fail(mistake, root, "the recipe has no \"%s\", which its method needs", method_words[i]);
    }
    return true;
}

static bool read_method(struct mistake *mistake, const config_setting_t *root, struct recipe *recipe) {
    unsigned method = 0;
    if (!read_word(mistake, root, "method", method_words, &method) || !check_method_groups(mistake, root, method))
        return false;
    recipe->method = method;
    if (!read_package(mistake, root, recipe))
        return false;
    const config_setting_t *group = config_setting_get_member(root, method_words[method]);
    switch (recipe->method) {
    case METHOD_APT: return read_apt(mistake, group, recipe);
    case METHOD_FILES: return read_files(mistake, root, recipe);
    case METHOD_BUILD: return read_build(mistake, group, recipe);
    case METHOD_SCRIPT: return read_script(mistake, group, recipe);
    default: return true;
    }
}

/* ---- before and after ---- */

static bool read_preconditions(struct mistake *mistake, const config_setting_t *root, struct recipe *recipe) {
    const config_setting_t *group = config_setting_get_member(root, "preconditions");
    if (group == NULL)
        return true;
    if (!text_check_keys(mistake, group, precondition_keys, "\"preconditions\""))
        return false;
    const config_setting_t *setting = config_setting_get_member(group, "free_disk");
    size_t bytes = 0;
    if (setting != NULL && (!options_size(config_setting_get_string(setting), &bytes) || bytes > FREE_DISK_MOST))
        return fail(mistake, setting, "\"free_disk\" must be a size, as \"64M\" or \"2G\"");
    recipe->free_disk = bytes;
    return true;
}

/* A command that is given must be one. */
static bool read_command(struct mistake *mistake, const config_setting_t *group, char ***command) {
    const config_setting_t *setting = config_setting_get_member(group, "command");
    if (setting == NULL)
        return true;
    if (!read_texts(mistake, group, "command", &form_argument, COMMANDS_MOST, command))
        return false;
    if ((*command)[0] != NULL && form_matches(&form_line, (*command)[0]))
        return true;
    return fail(mistake, setting, "\"command\" must begin with a program's name");
}

/* Which of `command` and `signal` go with each way. */
static bool check_how(struct mistake *mistake, const config_setting_t *group, const struct recipe_restart *restart) {
    const char *how = how_words[restart->how];
    bool takes_both = restart->how == RESTART_UPGRADE || restart->how == RESTART_RELOAD;
    if (restart->how == RESTART_COMMAND && restart->command == NULL)
        return fail(mistake, group, "how = \"command\" needs \"command\"");
    if (restart->how == RESTART_SIGNAL && restart->signal == NULL)
        return fail(mistake, group, "how = \"signal\" needs \"signal\"");
    if (restart->command != NULL && restart->how != RESTART_COMMAND && !takes_both)
        return fail(mistake, group, "how = \"%s\" takes no \"command\": leave one of them out", how);
    if (restart->signal != NULL && restart->how != RESTART_SIGNAL && !takes_both)
        return fail(mistake, group, "how = \"%s\" takes no \"signal\": leave one of them out", how);
    if (restart->command != NULL && restart->signal != NULL)
        return fail(mistake, group, "\"command\" and \"signal\" exclude each other");
    return true;
}

static bool read_restart(struct mistake *mistake, const config_setting_t *group, void *context) {
    struct recipe *recipe = context;
    unsigned how = RESTART_AUTO;
    if (!text_check_keys(mistake, group, restart_keys, "the restart"))
        return false;
    struct recipe_restart *restart = array_append(recipe->restarts, recipe->restart_count);
    if (!read_text(mistake, group, "program", &form_absolute_path, &restart->program) ||
        !read_word(mistake, group, "how", how_words, &how) || !read_command(mistake, group, &restart->command) ||
        !read_text(mistake, group, "signal", &form_signal, &restart->signal))
        return false;
    restart->how = how;
    for (const struct recipe_restart *other = recipe->restarts; other < restart; other++)
        if (strcmp(other->program, restart->program) == 0)
            return fail(mistake, group, "the program \"%.200s\" is there twice", restart->program);
    return check_how(mistake, group, restart);
}

static bool read_check_keys(struct mistake *mistake, const config_setting_t *group, struct recipe_health *health) {
    int64_t status = 0;
    const config_setting_t *serving = config_setting_get_member(group, "serving");
    if (!read_command(mistake, group, &health->command) ||
        !read_text(mistake, group, "url", &form_health_url, &health->url) ||
        !read_number(mistake, group, "status", 100, 599, &status) ||
        !read_text(mistake, group, "contains", &form_line, &health->contains))
        return false;
    health->serving = serving != NULL && config_setting_get_bool(serving);
    if (serving != NULL && !health->serving)
        return fail(mistake, serving, "\"serving\" can only be true: leave it out otherwise");
    if (health->url == NULL && (status != 0 || health->contains != NULL))
        return fail(mistake, group, "\"status\" and \"contains\" are for a check with \"url\"");
    health->status = health->url == NULL ? 0 : status == 0 ? 200 : (unsigned)status;
    return true;
}

static bool read_check(struct mistake *mistake, const config_setting_t *group, void *context) {
    struct recipe *recipe = context;
    if (!text_check_keys(mistake, group, check_keys, "the check"))
        return false;
    struct recipe_health *health = array_append(recipe->health, recipe->health_count);
    if (!read_check_keys(mistake, group, health))
        return false;
    if ((health->command != NULL) + (health->url != NULL) + health->serving == 1)
        return true;
    return fail(mistake, group, "a check has one of \"command\", \"url\" and \"serving\"");
}

static bool read_health(struct mistake *mistake, const config_setting_t *root, struct recipe *recipe) {
    const config_setting_t *group = config_setting_get_member(root, "health");
    int64_t timeout = TIMEOUT;
    if (group != NULL && (!text_check_keys(mistake, group, health_keys, "\"health\"") ||
                          !read_number(mistake, group, "timeout", 1, TIMEOUT_MOST, &timeout) ||
                          !read_groups(mistake, group, "checks", CHECKS_MOST, read_check, recipe)))
        return false;
    recipe->timeout = (unsigned)timeout;
    return true;
}

static bool read_root(struct mistake *mistake, const config_setting_t *root, void *context) {
    struct recipe *recipe = context;
    return text_check_keys(mistake, root, root_keys, "the recipe") && read_head(mistake, root, recipe) &&
           read_answers(mistake, root, recipe) && read_method(mistake, root, recipe) &&
           read_preconditions(mistake, root, recipe) &&
           read_groups(mistake, root, "restart", RESTARTS_MOST, read_restart, recipe) &&
           read_health(mistake, root, recipe);
}

/* Whoever signs has looked at the file: nothing in it, not even in a comment, may make a terminal show another text. */
static bool check_printable(const char *text, struct mistake *mistake) {
    cleanup_free char *plain = xstrdup(text);
    for (char *at = plain; *at != '\0'; at++)
        if (*at == '\n' || *at == '\t')
            *at = ' ';
    cleanup_free char *clean = printable(plain);
    unsigned line = 1;
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (plain[i] != clean[i])
            return text_mistake(mistake, line, "the byte 0x%02x is not printable here: remove it",
                                (unsigned char)text[i]);
        line += text[i] == '\n';
    }
    return true;
}

bool recipe_parse(const char *text, struct recipe *recipe, struct mistake *mistake) {
    *recipe = (struct recipe){0};
    if (strlen(text) > RECIPE_BYTES_MOST)
        return text_mistake(mistake, 0, "the recipe is longer than %u bytes", RECIPE_BYTES_MOST);
    if (!check_printable(text, mistake))
        return false;
    if (text_parse(text, mistake, read_root, recipe))
        return true;
    recipe_free(recipe);
    return false;
}

/* ---- the rest ---- */

char *recipe_time_problem(const struct recipe *recipe, int64_t now) {
    char date[DATE_TEXT_BYTES];
    if (now >= recipe->expires) {
        date_format(recipe->expires, date);
        return xasprintf("the recipe expired on %s: have a newer one signed", date);
    }
    if (now >= recipe->created)
        return NULL;
    date_format(recipe->created, date);
    return xasprintf("the recipe is from the future, %s: look at the clock", date);
}

static void file_free(struct recipe_file *file) {
    free(file->package);
    free(file->version);
    free(file->architecture);
    free(file->path);
    free(file->source);
}

static void health_free(struct recipe_health *health) {
    texts_free(health->command);
    free(health->url);
    free(health->contains);
}

static void lists_free(struct recipe *recipe) {
    for (size_t i = 0; i < recipe->violation_count; i++)
        free(recipe->violations[i].api);
    for (size_t i = 0; i < recipe->file_count; i++)
        file_free(&recipe->files[i]);
    for (size_t i = 0; i < recipe->restart_count; i++) {
        free(recipe->restarts[i].program);
        texts_free(recipe->restarts[i].command);
        free(recipe->restarts[i].signal);
    }
    for (size_t i = 0; i < recipe->health_count; i++)
        health_free(&recipe->health[i]);
    free(recipe->violations);
    free(recipe->files);
    free(recipe->restarts);
    free(recipe->health);
}

void recipe_free(struct recipe *recipe) {
    lists_free(recipe);
    free(recipe->name);
    free(recipe->summary);
    free(recipe->package);
    free(recipe->fixed);
    free(recipe->script);
    free(recipe->file);
    texts_free(recipe->signatures);
    texts_free(recipe->cves);
    texts_free(recipe->build_depends);
    texts_free(recipe->commands);
    *recipe = (struct recipe){0};
}
