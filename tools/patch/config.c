/* Reading the helper's configuration. Whoever may write this file decides what is installed here: it is looked at who
 * that is before it is read, through the same descriptor.
 */
#include "tools/patch/config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/event.h"
#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/form.h"
#include "tools/patch/journal.h"

#define fail(mistake, setting, ...) text_mistake(mistake, config_setting_source_line(setting), __VA_ARGS__)

#define BYTES_MOST (1u << 20)
#define KEYS_MOST 64
#define MIRRORS_MOST 8

static const struct key root_keys[] = {
    {"mode", TYPE_STRING, false},
    {"socket", TYPE_STRING, false},
    {"state", TYPE_STRING, false},
    {"recipes", TYPE_STRING, false},
    {"signatures", TYPE_STRING, false},
    {"keys", TYPE_ARRAY, false},
    {"mirrors", TYPE_ARRAY, false},
    {"confidence", TYPE_REAL | TYPE_NUMBER, false},
    {"hook", TYPE_STRING, false},
    {"metrics", TYPE_STRING, false},
    {"vex", TYPE_STRING, false},
    {"policygen", TYPE_STRING, false},
    {"policies", TYPE_STRING, false},
    {"root", TYPE_STRING, false},
    {"events_per_minute", TYPE_NUMBER, false},
    {"restarts_per_hour", TYPE_NUMBER, false},
    {"queue", TYPE_NUMBER, false},
    {"step_timeout", TYPE_NUMBER, false},
    {"time_limit", TYPE_NUMBER, false},
    {0},
};

static const char *const mode_words[] = {
    [PATCH_NOTIFY] = "notify", [PATCH_ASK] = "ask", [PATCH_AUTO] = "auto", [PATCH_AUTO + 1] = NULL};

const char *patch_mode_word(enum patch_mode mode) {
    return mode_words[mode];
}

/* ---- defaults ---- */

/* The analyser that was installed with this command. */
static char *beside_this_command(const char *name) {
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(path, '/');
    return slash != NULL ? xasprintf("%.*s/%s", (int)(slash - path), path, name) : xstrdup(name);
}

void configuration_default(struct config *config) {
    const char *socket = getenv("PINION_EVENTS");
    *config = (struct config){
        .mode = PATCH_NOTIFY,
        .socket = xstrdup(socket != NULL && *socket != '\0' ? socket : EVENT_SOCKET),
        .state = xstrdup(CONFIG_STATE),
        .recipes = xstrdup("/etc/pinion/recipes"),
        .confidence = 0.6,
        .policygen = beside_this_command("policygen"),
        .policies = xstrdup("/etc/pinion"),
        .events_per_minute = 60,
        .restarts_per_hour = 4,
        .queue = 64,
        .step_timeout = 600,
        .time_limit = 1800,
    };
}

void configuration_free(struct config *config) {
    free(config->socket);
    free(config->state);
    free(config->recipes);
    free(config->signatures);
    free(config->keys);
    texts_free(config->mirrors);
    free(config->hook);
    free(config->metrics);
    free(config->vex);
    free(config->policygen);
    free(config->policies);
    free(config->root);
    *config = (struct config){0};
}

char *configuration_journal(const struct config *config) {
    return xasprintf("%s/" JOURNAL_NAME, config->state);
}

char *configuration_scratch(const struct config *config, int64_t incident) {
    return xasprintf("%s/stage-%" PRId64, config->state, incident);
}

char *configuration_recipe(const struct config *config, int64_t incident) {
    return xasprintf("%s/" CONFIG_RECIPE "%" PRId64, config->state, incident);
}

char *configuration_memory(const struct config *config, int64_t incident) {
    return xasprintf("%s/" CONFIG_MEMORY "%" PRId64, config->state, incident);
}

/* ---- who may write ---- */

/* NULL, or what is wrong with who may write there. */
static const char *writer_problem(const struct stat *status) {
    if (status->st_uid != 0 && status->st_uid != geteuid())
        return "it belongs to another user: chown it to root";
    if ((status->st_mode & 022) != 0)
        return "others may write to it: chmod go-w it";
    return NULL;
}

static bool check_directory_of(const char *path, struct mistake *mistake) {
    struct stat status;
    const char *slash = strrchr(path, '/');
    cleanup_free char *directory = slash == NULL ? xstrdup(".") : xstrndup(path, (size_t)(slash - path) + 1);
    if (stat(directory, &status) != 0)
        return text_mistake(mistake, 0, "\"%s\": %s", directory, strerror(errno));
    bool sticky = (status.st_mode & S_ISVTX) != 0 && status.st_uid == 0;
    const char *problem = sticky ? NULL : writer_problem(&status);
    return problem == NULL || text_mistake(mistake, 0, "its directory \"%s\": %s", directory, problem);
}

static char *read_owned(const char *path, struct mistake *mistake) {
    struct stat status;
    size_t size = 0;
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    cleanup_free char *text = fd >= 0 && fstat(fd, &status) == 0 ? fd_read(fd, BYTES_MOST, &size) : NULL;
    if (text == NULL) {
        text_mistake(mistake, 0, "%s", errno == EINVAL ? "it is no regular file" : strerror(errno));
        return NULL;
    }
    const char *problem = writer_problem(&status);
    if (problem == NULL && strlen(text) != size)
        problem = "it is no text: it holds a zero byte";
    if (problem != NULL)
        text_mistake(mistake, 0, "%s", problem);
    return problem == NULL && check_directory_of(path, mistake) ? steal_pointer(&text) : NULL;
}

static bool check_state(const struct config *config, struct mistake *mistake) {
    struct stat status;
    if (lstat(config->state, &status) != 0)
        return errno == ENOENT ||
               text_mistake(mistake, 0, "the state directory \"%s\": %s", config->state, strerror(errno));
    const char *problem = S_ISDIR(status.st_mode) ? writer_problem(&status) : "it is no directory";
    return problem == NULL || text_mistake(mistake, 0, "the state directory \"%s\": %s", config->state, problem);
}

/* The helper starts it in its own name. One that is not there is found out by who starts it. */
static bool check_hook(const struct config *config, struct mistake *mistake) {
    struct stat status;
    if (config->hook == NULL || stat(config->hook, &status) != 0)
        return true;
    const char *problem = writer_problem(&status);
    if (problem != NULL)
        return text_mistake(mistake, 0, "the hook \"%s\": %s", config->hook, problem);
    return check_directory_of(config->hook, mistake);
}

bool configuration_state(const struct config *config, struct mistake *mistake) {
    if (mkdir(config->state, 0700) != 0 && errno != EEXIST)
        return text_mistake(mistake, 0, "cannot make the state directory \"%s\": %s", config->state, strerror(errno));
    return check_state(config, mistake);
}

/* ---- what is there ---- */

/* NULL, or what is wrong. */
static const char *directory_problem(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0)
        return strerror(errno);
    return S_ISDIR(status.st_mode) ? NULL : "it is no directory";
}

static const char *parent_problem(const char *path) {
    cleanup_free char *parent = xstrndup(path, (size_t)(strrchr(path, '/') - path) + 1);
    return directory_problem(parent);
}

static const char *made_directory_problem(const char *path) {
    const char *problem = directory_problem(path);
    return problem != NULL && errno == ENOENT ? parent_problem(path) : problem;
}

static const char *program_problem(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0)
        return strerror(errno);
    if (!S_ISREG(status.st_mode))
        return "it is no file";
    return access(path, X_OK) == 0 ? NULL : "it cannot be started: chmod +x it";
}

unsigned configuration_check(const struct config *config) {
    bool own_root = config->root != NULL && *config->root == '\0';
    const struct {
        const char *name, *path;
        const char *(*problem_of)(const char *path);
        const char *consequence;
    } rows[] = {
        {"recipes", config->recipes, directory_problem, "nothing is answered"},
        {"hook", config->hook, program_problem, "nobody is told of incidents"},
        {"metrics", config->metrics, parent_problem, "the file cannot be written, for its directory is not there"},
        {"vex", config->vex, made_directory_problem, "no VEX document is written"},
        {"policygen", config->policygen, program_problem, "no program that has a policy can be patched"},
        {"root", own_root ? "/" : config->root, directory_problem, "nothing can be patched"},
    };
    unsigned count = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *problem = rows[i].path != NULL ? rows[i].problem_of(rows[i].path) : NULL;
        if (problem == NULL)
            continue;
        warn("the configuration has %s = \"%s\": %s; %s", rows[i].name, rows[i].path, problem, rows[i].consequence);
        count++;
    }
    return count;
}

/* ---- reading ---- */

static bool read_keys(struct mistake *mistake, const config_setting_t *root, struct config *config) {
    const config_setting_t *array = config_setting_get_member(root, "keys");
    char **texts = NULL;
    bool good = read_texts(mistake, root, "keys", &form_line, KEYS_MOST, &texts);
    for (char **each = texts; good && *each != NULL; each++)
        if (!recipe_key_parse(*each, array_append(config->keys, config->key_count)))
            good =
                fail(mistake, array, "\"%.80s\" is no key, as \"ed25519:...\" that `pinion recipe key` prints", *each);
    texts_free(texts);
    return good;
}

/* A path replaces the default. */
static bool read_path(struct mistake *mistake, const config_setting_t *root, const char *name, const struct form *form,
                      char **path) {
    char *given = NULL;
    if (!read_text(mistake, root, name, form, &given))
        return false;
    if (given != NULL) {
        free(*path);
        *path = given;
    }
    return true;
}

static bool read_paths(struct mistake *mistake, const config_setting_t *root, struct config *config) {
    const struct {
        const char *name;
        char **path;
    } rows[] = {
        {"socket", &config->socket},     {"state", &config->state},
        {"recipes", &config->recipes},   {"signatures", &config->signatures},
        {"hook", &config->hook},         {"metrics", &config->metrics},
        {"vex", &config->vex},           {"policygen", &config->policygen},
        {"policies", &config->policies},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!read_path(mistake, root, rows[i].name, &form_absolute_path, rows[i].path))
            return false;
    if (!read_path(mistake, root, "root", &form_root_path, &config->root))
        return false;
    if (config->root != NULL && strcmp(config->root, "/") == 0)
        *config->root = '\0';
    if (strlen(config->socket) < EVENT_SOCKET_BYTES)
        return true;
    return fail(mistake, root, "\"socket\" is longer than the %d bytes that a socket's path may have",
                EVENT_SOCKET_BYTES - 1);
}

static bool read_limits(struct mistake *mistake, const config_setting_t *root, struct config *config) {
    const struct {
        const char *name;
        unsigned *limit;
        int64_t least, most;
    } rows[] = {
        {"events_per_minute", &config->events_per_minute, 1, 100000},
        {"restarts_per_hour", &config->restarts_per_hour, 1, 1000},
        {"queue", &config->queue, 1, 10000},
        {"step_timeout", &config->step_timeout, 1, 86400},
        {"time_limit", &config->time_limit, 10, 86400},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t number = *rows[i].limit;
        if (!read_number(mistake, root, rows[i].name, rows[i].least, rows[i].most, &number))
            return false;
        *rows[i].limit = (unsigned)number;
    }
    return true;
}

static bool read_confidence(struct mistake *mistake, const config_setting_t *root, struct config *config) {
    const config_setting_t *setting = config_setting_get_member(root, "confidence");
    if (setting == NULL)
        return true;
    bool is_real = config_setting_type(setting) == CONFIG_TYPE_FLOAT;
    config->confidence = is_real ? config_setting_get_float(setting) : (double)text_number(setting);
    if (config->confidence > 0 && config->confidence <= 1)
        return true;
    return fail(mistake, setting, "\"confidence\" must be above 0.0 and at most 1.0");
}

static bool read_mode(struct mistake *mistake, const config_setting_t *root, struct config *config) {
    unsigned mode = config->mode;
    if (!read_word(mistake, root, "mode", mode_words, &mode))
        return false;
    config->mode = mode;
    if (config->mode == PATCH_NOTIFY || config->key_count > 0)
        return true;
    return fail(
        mistake, config_setting_get_member(root, "mode"),
        "mode \"%s\" needs \"keys\", for no recipe is trusted without: pin what `pinion recipe key` printed, as "
        "keys = [ \"ed25519:...\" ]",
        mode_words[mode]);
}

static bool read_root(struct mistake *mistake, const config_setting_t *root, void *context) {
    struct config *config = context;
    return text_check_keys(mistake, root, root_keys, "the configuration") && read_keys(mistake, root, config) &&
           read_texts(mistake, root, "mirrors", &form_health_url, MIRRORS_MOST, &config->mirrors) &&
           read_mode(mistake, root, config) && read_paths(mistake, root, config) &&
           read_limits(mistake, root, config) && read_confidence(mistake, root, config);
}

bool configuration_parse(const char *text, struct config *config, struct mistake *mistake) {
    configuration_default(config);
    if (text_parse(text, mistake, read_root, config))
        return true;
    configuration_free(config);
    return false;
}

bool configuration_read(const char *path, struct config *config, struct mistake *mistake) {
    *mistake = (struct mistake){0};
    cleanup_free char *text = read_owned(path, mistake);
    if (text == NULL || !configuration_parse(text, config, mistake))
        return false;
    if (check_state(config, mistake) && check_hook(config, mistake))
        return true;
    configuration_free(config);
    return false;
}
