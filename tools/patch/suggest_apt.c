/* Asking apt, inside the stage. It reads lists and answers; what it says is taken for names, versions and digests only
 * where it has their form.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/evidence.h"
#include "tools/patch/form.h"
#include "tools/patch/suggest.h"

#define APT_SECONDS 600
#define WORDS_MOST 1100
#define LISTS "/var/lib/apt/lists"

/* ---- running ---- */

static bool run(const struct stage *stage, const char *const *arguments, enum stage_network network, char **output,
                struct mistake *mistake) {
    struct command command = {.arguments = arguments, .timeout_seconds = APT_SECONDS};
    struct command_result result = {0};
    bool good = stage_run(stage, &command, network, &result, mistake);
    if (good && output != NULL)
        *output = steal_pointer(&result.output);
    command_result_free(&result);
    return good;
}

bool lists_update(const struct stage *stage, struct mistake *mistake) {
    static const char *const arguments[] = {"apt-get", "--quiet", "update", NULL};
    return run(stage, arguments, STAGE_ONLINE, NULL, mistake);
}

bool lists_are_there(const struct target *target) {
    int fd = target_openat(target, LISTS, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    bool found = false;
    for (const struct dirent *entry; stream != NULL && !found && (entry = readdir(stream)) != NULL;)
        found = strstr(entry->d_name, "_Packages") != NULL || strstr(entry->d_name, "_InRelease") != NULL;
    if (stream != NULL)
        closedir(stream);
    else if (fd >= 0)
        close(fd);
    return found;
}

/* ---- what would be installed ---- */

void upgrades_free(struct upgrades *upgrades) {
    for (size_t i = 0; i < upgrades->count; i++) {
        free(upgrades->items[i].name);
        free(upgrades->items[i].from);
        free(upgrades->items[i].to);
        free(upgrades->items[i].architecture);
    }
    free(upgrades->items);
    *upgrades = (struct upgrades){0};
}

/* The word at `text`, as long as it consists of what names and versions consist of. */
static char *take_word(const char **text) {
    size_t length = strcspn(*text, " \t[]():");
    if ((*text)[length] == ':') /* an epoch, or the architecture behind a name */
        length += strcspn(*text + length, " \t[]()");
    char *word = xstrndup(*text, length);
    *text += length;
    return word;
}

/* "NAME[:ARCHITECTURE] [FROM] (TO ORIGIN, ... [ARCHITECTURE]) ..." */
static bool parse_upgrade(const char *text, struct upgrade *upgrade) {
    upgrade->name = take_word(&text);
    upgrade->name[strcspn(upgrade->name, ":")] = '\0';
    if (strncmp(text, " [", 2) == 0) {
        text += 2;
        upgrade->from = take_word(&text);
        text += *text == ']';
    }
    if (strncmp(text, " (", 2) != 0)
        return false;
    text += 2;
    upgrade->to = take_word(&text);
    text += strcspn(text, "[)");
    if (*text++ != '[')
        return false;
    upgrade->architecture = take_word(&text);
    return form_matches(&form_debian_package, upgrade->name) && form_matches(&form_debian_version, upgrade->to) &&
           form_matches(&form_architecture, upgrade->architecture);
}

static bool parse_line(const char *line, struct upgrades *upgrades, struct mistake *mistake) {
    if (strncmp(line, "Remv ", 5) == 0)
        return text_mistake(mistake, 0, "apt would remove a package (%.100s): nothing is suggested that does",
                            line + 5);
    if (strncmp(line, "Inst ", 5) != 0)
        return true;
    if (parse_upgrade(line + 5, array_append(upgrades->items, upgrades->count)))
        return true;
    return text_mistake(mistake, 0, "apt says what is not understood: \"%.200s\"", line);
}

bool upgrades_parse(const char *output, struct upgrades *upgrades, struct mistake *mistake) {
    cleanup_free char *text = xstrdup(output);
    char *rest = text;
    bool good = true;
    *upgrades = (struct upgrades){0};
    while (good && rest != NULL)
        good = parse_line(strsep(&rest, "\n"), upgrades, mistake);
    if (!good)
        upgrades_free(upgrades);
    return good;
}

bool upgrades_ask(const struct stage *stage, const char *const *packages, struct upgrades *upgrades,
                  struct mistake *mistake) {
    /* apt brings all packages of a source along, unless told that only what is needed shall be. */
    static const char *const head[] = {
        "apt-get",
        "--quiet",
        "--simulate",
        "--only-upgrade",
        "--no-install-recommends",
        "--no-remove",
        "-oAPT::Get::Upgrade-By-Source-Package=false",
        "install",
        "--",
    };
    const char *arguments[WORDS_MOST] = {0};
    size_t count = sizeof head / sizeof head[0];
    memcpy(arguments, head, sizeof head);
    for (; *packages != NULL && count + 1 < WORDS_MOST; packages++)
        arguments[count++] = *packages;
    cleanup_free char *output = NULL;
    return run(stage, arguments, STAGE_OFFLINE, &output, mistake) && upgrades_parse(output, upgrades, mistake);
}

/* ---- where it is ---- */

/* The value of "Field: value" in a stanza that ends at an empty line; owned by the caller, or NULL. */
static char *take_field(const char *stanza, const char *name) {
    size_t length = strlen(name);
    for (const char *line = stanza; *line != '\0' && *line != '\n';) {
        const char *end = strchrnul(line, '\n');
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            const char *value = line + length + 1;
            value += strspn(value, " \t");
            return xstrndup(value, value < end ? (size_t)(end - value) : 0);
        }
        line = end + (*end == '\n');
    }
    return NULL;
}

static bool fill_file(const char *stanza, const struct upgrade *upgrade, struct recipe_file *file) {
    cleanup_free char *version = take_field(stanza, "Version"), *size = take_field(stanza, "Size");
    cleanup_free char *filename = take_field(stanza, "Filename"), *digest = take_field(stanza, "SHA256");
    char *end = NULL;
    if (version == NULL || strcmp(version, upgrade->to) != 0 || size == NULL || filename == NULL || digest == NULL ||
        !form_matches(&form_archive_path, filename) || !digest_parse(digest, file->sha256))
        return false;
    file->size = *size >= '1' && *size <= '9' ? strtoull(size, &end, 10) : 0;
    if (file->size == 0 || *end != '\0')
        return false;
    file->package = xstrdup(upgrade->name);
    file->version = xstrdup(upgrade->to);
    file->architecture = xstrdup(upgrade->architecture);
    file->source = steal_pointer(&filename);
    return true;
}

static const char *next_stanza(const char *text) {
    const char *end = strstr(text, "\n\n");
    return end != NULL ? end + 2 : NULL;
}

bool archive_parse(const char *output, const struct upgrade *upgrade, struct recipe_file *file,
                   struct mistake *mistake) {
    /* The installed one is among them, without a place in an archive. */
    for (const char *stanza = output; stanza != NULL; stanza = next_stanza(stanza))
        if (fill_file(stanza, upgrade, file))
            return true;
    return text_mistake(mistake, 0, "apt has no archive with a SHA-256 for %s %s", upgrade->name, upgrade->to);
}

void source_of(const char *field, const char *name, const char *version, char **source, char **source_version) {
    if (field == NULL) {
        *source = xstrdup(name);
        *source_version = xstrdup(version);
        return;
    }
    size_t length = strcspn(field, " ");
    const char *open = strchr(field, '(');
    *source = xstrndup(field, length);
    *source_version = open != NULL ? xstrndup(open + 1, strcspn(open + 1, ")")) : xstrdup(version);
}

bool archive_ask(const struct stage *stage, const struct upgrade *upgrade, struct recipe_file *file, char **source,
                 char **source_version, struct mistake *mistake) {
    bool is_all = strcmp(upgrade->architecture, "all") == 0;
    cleanup_free char *name =
        xasprintf("%s%s%s=%s", upgrade->name, is_all ? "" : ":", is_all ? "" : upgrade->architecture, upgrade->to);
    const char *const arguments[] = {"apt-cache", "--quiet", "show", "--", name, NULL};
    cleanup_free char *output = NULL;
    if (!run(stage, arguments, STAGE_OFFLINE, &output, mistake) || !archive_parse(output, upgrade, file, mistake))
        return false;
    cleanup_free char *field = take_field(output, "Source");
    source_of(field, upgrade->name, upgrade->to, source, source_version);
    return true;
}
