/* Writing a recipe for somebody who then completes it. What comes out of here parses, whatever went in. */
#include "tools/patch/recipe_new.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/sha256.h"
#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/form.h"

#define DAY 86400

static bool set_text(const char *option, const struct form *form, const char *given, char **text,
                     struct mistake *mistake) {
    if (given != NULL && !form_matches(form, given))
        return text_mistake(mistake, 0, "--%s must be %s, not \"%.120s\"", option, form->words, given);
    *text = given != NULL ? xstrdup(given) : NULL;
    return true;
}

static bool set_texts(const char *option, const struct form *form, const struct text_list *given, char ***texts,
                      struct mistake *mistake) {
    *texts = xcalloc(given->count + 1, sizeof **texts);
    for (size_t i = 0; i < given->count; i++)
        if (!set_text(option, form, given->items[i], &(*texts)[i], mistake))
            return false;
    return true;
}

/* Size and digest of a file that is here. */
static bool measure(const char *path, struct recipe_file *file, struct mistake *mistake) {
    static char block[65536];
    struct sha256 hash;
    ssize_t length = 0;
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    sha256_begin(&hash);
    while (fd >= 0 && (length = read(fd, block, sizeof block)) > 0) {
        sha256_add(&hash, block, (size_t)length);
        file->size += (size_t)length;
    }
    if (fd < 0 || length < 0)
        return text_mistake(mistake, 0, "cannot read \"%s\": %s", path, strerror(errno));
    sha256_end(&hash, file->sha256);
    return file->size > 0 || text_mistake(mistake, 0, "\"%s\" is empty", path);
}

/* Where it is to be fetched from: unless told otherwise, where it is now. */
static bool set_source(const char *path, const char *url, struct recipe_file *file, struct mistake *mistake) {
    cleanup_free char *real = realpath(path, NULL);
    cleanup_free char *here = xasprintf("file://%s", real != NULL ? real : path);
    return measure(path, file, mistake) &&
           set_text("source", &form_url, url != NULL ? url : here, &file->source, mistake);
}

static bool add_file(struct recipe *recipe, const char *text, const char *url, struct mistake *mistake) {
    struct stat status;
    const char *equals = strchr(text, '=');
    if (equals == NULL)
        return text_mistake(mistake, 0, "--file must be PATH=FILE, not \"%.120s\"", text);
    cleanup_free char *path = xstrndup(text, (size_t)(equals - text));
    struct recipe_file *file = array_append(recipe->files, recipe->file_count);
    if (stat(equals + 1, &status) == 0)
        file->mode = status.st_mode & 07777;
    return set_text("file", &form_changeable_path, path, &file->path, mistake) &&
           set_source(equals + 1, url, file, mistake);
}

static bool set_files(struct recipe *recipe, const struct recipe_wish *wish, struct mistake *mistake) {
    if (wish->files.count == 0)
        return text_mistake(mistake, 0, "method \"files\" needs --file PATH=FILE");
    if (wish->files.count > 1 && wish->source != NULL)
        return text_mistake(mistake, 0, "--source is of one file: put the others' into the recipe by hand");
    for (size_t i = 0; i < wish->files.count; i++)
        if (!add_file(recipe, wish->files.items[i], wish->source, mistake))
            return false;
    return true;
}

static bool set_build(struct recipe *recipe, const struct recipe_wish *wish, struct mistake *mistake) {
    if (wish->archive == NULL || wish->commands.count == 0)
        return text_mistake(mistake, 0, "method \"build\" needs --archive FILE and --command LINE");
    return set_source(wish->archive, wish->source, array_append(recipe->files, recipe->file_count), mistake) &&
           set_texts("depends", &form_package, &wish->depends, &recipe->build_depends, mistake) &&
           set_texts("command", &form_command_line, &wish->commands, &recipe->commands, mistake);
}

static bool set_script(struct recipe *recipe, const struct recipe_wish *wish, struct mistake *mistake) {
    if (wish->script == NULL)
        return text_mistake(mistake, 0, "method \"script\" needs --script FILE");
    cleanup_free char *text = text_read(wish->script, NULL, NULL, mistake);
    if (text == NULL)
        return false;
    if (!form_matches(&form_script, text))
        return text_mistake(mistake, 0, "\"%s\" must hold lines of printable text, %zu bytes at most", wish->script,
                            form_script.most);
    recipe->script = steal_pointer(&text);
    return true;
}

static bool set_method(struct recipe *recipe, const struct recipe_wish *wish, struct mistake *mistake) {
    const char *word = wish->method != NULL ? wish->method : "apt";
    if (!recipe_method_by_word(word, &recipe->method))
        return text_mistake(mistake, 0, "--method is apt, apk, files, build or script, not \"%s\"", word);
    bool packaged = recipe->method == METHOD_APT || recipe->method == METHOD_APK;
    if ((wish->package == NULL) != (wish->fixed == NULL) || (packaged && wish->package == NULL))
        return text_mistake(mistake, 0, "which package, and which version of it has the fix? (--package, --fixed)");
    if (!set_text("package", &form_package, wish->package, &recipe->package, mistake) ||
        !set_text("fixed", &form_version, wish->fixed, &recipe->fixed, mistake))
        return false;
    switch (recipe->method) {
    case METHOD_FILES: return set_files(recipe, wish, mistake);
    case METHOD_BUILD: return set_build(recipe, wish, mistake);
    case METHOD_SCRIPT: return set_script(recipe, wish, mistake);
    default: return true;
    }
}

/* "PROGRAM=HOW" */
static bool add_restart(struct recipe *recipe, const char *text, struct mistake *mistake) {
    const char *equals = strchr(text, '=');
    cleanup_free char *program = xstrndup(text, equals != NULL ? (size_t)(equals - text) : strlen(text));
    struct recipe_restart *restart = array_append(recipe->restarts, recipe->restart_count);
    if (!set_text("restart", &form_absolute_path, program, &restart->program, mistake))
        return false;
    if (equals == NULL)
        return true;
    static const enum restart_how plain[] = {RESTART_AUTO, RESTART_UPGRADE, RESTART_RELOAD, RESTART_SERVICE,
                                             RESTART_NONE};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (strcmp(equals + 1, restart_how_word(plain[i])) == 0) {
            restart->how = plain[i];
            return true;
        }
    return text_mistake(
        mistake, 0,
        "--restart is PROGRAM, or with =auto, =upgrade, =reload, =service or =none; a command or signal "
        "is written into the recipe by hand");
}

/* "BUILD-ID:API"; the identity of a program without a build-id has a colon of its own. */
static bool add_violation(struct recipe *recipe, const char *text, struct mistake *mistake) {
    const char *derived = "derived:";
    const char *colon = strchr(text + (strncmp(text, derived, strlen(derived)) == 0 ? strlen(derived) : 0), ':');
    cleanup_free char *module = xstrndup(text, colon != NULL ? (size_t)(colon - text) : strlen(text));
    struct recipe_violation *violation = array_append(recipe->violations, recipe->violation_count);
    violation->api = colon != NULL ? xstrdup(colon + 1) : NULL;
    if (identity_parse(module, &violation->module) && violation->module.kind != IDENTITY_NONE)
        return true;
    return text_mistake(mistake, 0, "--violation must be BUILD-ID or BUILD-ID:CALL, not \"%.120s\"", text);
}

bool recipe_tell(struct recipe *recipe, const struct recipe_wish *wish, int64_t now, struct mistake *mistake) {
    recipe->serial = wish->serial;
    recipe->created = now - now % DAY;
    recipe->expires = recipe->created + (int64_t)wish->days * DAY;
    recipe->timeout = 30;
    for (size_t i = 0; i < wish->restarts.count; i++)
        if (!add_restart(recipe, wish->restarts.items[i], mistake))
            return false;
    for (size_t i = 0; i < wish->violations.count; i++)
        if (!add_violation(recipe, wish->violations.items[i], mistake))
            return false;
    return set_text("summary", &form_line, wish->summary, &recipe->summary, mistake) &&
           set_texts("signature", &form_line, &wish->signatures, &recipe->signatures, mistake);
}

static bool set_all(struct recipe *recipe, const struct recipe_wish *wish, int64_t now, struct mistake *mistake) {
    if (wish->name == NULL)
        return text_mistake(mistake, 0, "which name? (--name)");
    if (!recipe_tell(recipe, wish, now, mistake) ||
        !set_text("name", &form_recipe_name, wish->name, &recipe->name, mistake) ||
        !set_texts("cve", &form_cve, &wish->cves, &recipe->cves, mistake) || !set_method(recipe, wish, mistake))
        return false;
    if (recipe->summary == NULL)
        recipe->summary = xstrdup(recipe->name);
    return true;
}

char *recipe_draft(const struct recipe *recipe, const char *advice) {
    char *text = NULL;
    size_t size;
    FILE *out = xopen_memstream(&text, &size);
    fprintf(out,
            "# To be looked through and completed before it is signed, as %s" RECIPE_SUFFIX ":\n"
            "#     pinion recipe sign --key KEY %s" RECIPE_SUFFIX "\n%s",
            recipe->name, recipe->name, advice != NULL ? advice : "");
    recipe_write(recipe, out);
    fclose(out);
    return text;
}

char *recipe_new(const struct recipe_wish *wish, int64_t now, struct mistake *mistake) {
    struct recipe recipe = {0}, again;
    char *text = set_all(&recipe, wish, now, mistake) ? recipe_draft(&recipe, NULL) : NULL;
    recipe_free(&recipe);
    /* What only the reader checks: things that are there twice, a name of the other package manager. */
    if (text != NULL && !recipe_parse(text, &again, mistake)) {
        free(text);
        return NULL;
    }
    if (text != NULL)
        recipe_free(&again);
    return text;
}
