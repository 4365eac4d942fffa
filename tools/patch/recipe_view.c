/* Showing recipes. All texts of a recipe that parses are printable; a path on the command line may not be. */
#include "tools/patch/recipe_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/evidence.h"
#include "tools/json.h"
#include "tools/patch/form.h"

const char *recipe_state_word(enum recipe_state state) {
    static const char *const words[] = {
        [RECIPE_GOOD] = "good",
        [RECIPE_EXPIRED] = "expired",
        [RECIPE_UNSIGNED] = "unsigned",
        [RECIPE_UNKNOWN_KEY] = "unknown key",
        [RECIPE_BAD_SIGNATURE] = "bad signature",
        [RECIPE_MISNAMED] = "misnamed",
        [RECIPE_UNREADABLE] = "unreadable",
    };
    return words[state];
}

void size_format(uint64_t bytes, char text[SIZE_TEXT_BYTES]) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB"};
    double size = (double)bytes;
    unsigned unit = 0;
    for (; size >= 1024 && unit < 3; unit++)
        size /= 1024;
    snprintf(text, SIZE_TEXT_BYTES, unit == 0 ? "%.0f %s" : "%.1f %s", size, units[unit]);
}

/* ---- looking ---- */

static enum recipe_state state_of(enum recipe_seal seal) {
    static const enum recipe_state states[] = {
        [SEAL_GOOD] = RECIPE_GOOD,
        [SEAL_NONE] = RECIPE_UNSIGNED,
        [SEAL_UNKNOWN] = RECIPE_UNKNOWN_KEY,
        [SEAL_BROKEN] = RECIPE_BAD_SIGNATURE,
    };
    return states[seal];
}

static char *mistake_text(const struct mistake *mistake) {
    return mistake->line > 0 ? xasprintf("line %u: %s", mistake->line, mistake->text) : xstrdup(mistake->text);
}

static void set_problem(struct recipe_look *look, enum recipe_state state, const struct mistake *mistake) {
    look->state = state;
    free(look->problem);
    look->problem = mistake_text(mistake);
}

/* What remains to be asked of a recipe that is signed. */
static void look_closer(const char *path, int64_t now, struct recipe_look *look) {
    struct mistake mistake = {0};
    if (!recipe_name_fits(&look->recipe, path, &mistake)) {
        set_problem(look, RECIPE_MISNAMED, &mistake);
        return;
    }
    look->problem = recipe_time_problem(&look->recipe, now);
    if (look->problem != NULL)
        look->state = RECIPE_EXPIRED;
}

void recipe_look(const char *path, const struct recipe_key *keys, size_t key_count, int64_t now,
                 struct recipe_look *look) {
    struct mistake mistake = {0}, seal_mistake = {0};
    const struct recipe_key *signer = NULL;
    *look = (struct recipe_look){.state = RECIPE_UNREADABLE};
    cleanup_free char *text = recipe_load(path, &mistake);
    if (text == NULL) {
        set_problem(look, RECIPE_UNREADABLE, &mistake);
        return;
    }
    enum recipe_state state = state_of(recipe_seal(text, keys, key_count, &signer, &seal_mistake));
    if (signer != NULL)
        snprintf(look->signer, sizeof look->signer, "%s", signer->name);
    look->parsed = recipe_parse(text, &look->recipe, &mistake);
    if (!look->parsed)
        look->parse_problem = mistake_text(&mistake);
    if (state != RECIPE_GOOD)
        set_problem(look, state, &seal_mistake);
    else if (!look->parsed)
        set_problem(look, RECIPE_UNREADABLE, &mistake);
    else
        look->state = RECIPE_GOOD;
    if (look->state == RECIPE_GOOD)
        look_closer(path, now, look);
}

void recipe_look_free(struct recipe_look *look) {
    if (look->parsed)
        recipe_free(&look->recipe);
    free(look->problem);
    free(look->parse_problem);
    *look = (struct recipe_look){0};
}

/* ---- in words ---- */

static void print_head(const char *name) {
    printf("  %-10s", name);
}

/* Each on a line of its own; the first behind its heading. */
static void print_list(const char *head, const char *before, char *const *texts) {
    for (; texts != NULL && *texts != NULL; texts++, head = "") {
        print_head(head);
        printf("%s%s\n", before, *texts);
    }
}

static void print_answers(const struct recipe *recipe) {
    bool first = recipe->cves[0] == NULL && recipe->signatures[0] == NULL;
    print_list("answers", "", recipe->cves);
    print_list(recipe->cves[0] == NULL ? "answers" : "", "signature ", recipe->signatures);
    for (size_t i = 0; i < recipe->violation_count; i++, first = false) {
        char module[IDENTITY_TEXT_BYTES];
        const struct recipe_violation *violation = &recipe->violations[i];
        identity_format(&violation->module, module);
        print_head(first ? "answers" : "");
        printf("%s refused in %s\n", violation->api != NULL ? violation->api : "any call", module);
    }
    if (first) {
        print_head("answers");
        puts("nothing: a person has to apply it");
    }
}

static void print_file(const struct recipe_file *file) {
    char size[SIZE_TEXT_BYTES];
    size_format(file->size, size);
    print_head("");
    if (file->package != NULL)
        printf("%s %s %s, %s\n", file->package, file->version, file->architecture, size);
    else if (file->path != NULL)
        printf("%s from %s, %s\n", file->path, file->source, size);
    else
        printf("%s, %s\n", file->source, size);
}

static void print_method(const struct recipe *recipe) {
    if (recipe->package != NULL) {
        print_head("fixes");
        printf("%s in version %s\n", recipe->package, recipe->fixed);
    }
    print_head("method");
    printf("%s%s\n", recipe_method_word(recipe->method),
           recipe->method == METHOD_APT && recipe->file_count == 0 ? ", which chooses what is needed" : "");
    for (size_t i = 0; i < recipe->file_count; i++)
        print_file(&recipe->files[i]);
    print_list("building", "", recipe->build_depends);
    print_list("commands", "", recipe->commands);
    if (recipe->script != NULL)
        printf("  script\n%s%s", recipe->script, recipe->script[strlen(recipe->script) - 1] == '\n' ? "" : "\n");
}

static void print_words(char *const *words) {
    for (; words != NULL && *words != NULL; words++)
        printf(" %s", *words);
}

static void print_after(const struct recipe *recipe) {
    char size[SIZE_TEXT_BYTES];
    size_format(recipe->free_disk, size);
    if (recipe->free_disk > 0)
        printf("  needs     %s free on disk\n", size);
    for (size_t i = 0; i < recipe->restart_count; i++) {
        const struct recipe_restart *restart = &recipe->restarts[i];
        print_head(i == 0 ? "restart" : "");
        printf("%s: %s", restart->program, restart_how_word(restart->how));
        print_words(restart->command);
        printf("%s%s\n", restart->signal != NULL ? " SIG" : "", restart->signal != NULL ? restart->signal : "");
    }
    printf("  health    within %u s:%s\n", recipe->timeout, recipe->health_count == 0 ? " still serving" : "");
    for (size_t i = 0; i < recipe->health_count; i++) {
        const struct recipe_health *health = &recipe->health[i];
        printf("            %s", health->serving ? "still serving" : health->url != NULL ? health->url : "command");
        print_words(health->command);
        if (health->url != NULL)
            printf(" answers %u%s%s", health->status, health->contains != NULL ? " with " : "",
                   health->contains != NULL ? health->contains : "");
        putchar('\n');
    }
}

void recipe_print(const struct recipe_look *look) {
    const struct recipe *recipe = &look->recipe;
    char created[DATE_TEXT_BYTES], expires[DATE_TEXT_BYTES];
    date_format(recipe->created, created);
    date_format(recipe->expires, expires);
    printf("%s, serial %" PRId64 ": %s\n", recipe->name, recipe->serial, recipe->summary);
    print_head("state");
    printf("%s%s%s\n", recipe_state_word(look->state), look->problem != NULL ? ": " : "",
           look->problem != NULL ? look->problem : "");
    if (*look->signer != '\0')
        printf("  signed    by %s\n", look->signer);
    printf("  holds     from %s to %s\n", created, expires);
    print_answers(recipe);
    print_method(recipe);
    print_after(recipe);
}

/* ---- JSON ---- */

static void set_text(json_t *object, const char *name, const char *text) {
    if (text != NULL)
        json_object_set_new(object, name, json_text(text));
}

static void set_number(json_t *object, const char *name, uint64_t number) {
    json_object_set_new(object, name, json_integer((json_int_t)number));
}

static void set_date(json_t *object, const char *name, int64_t seconds) {
    char text[DATE_TEXT_BYTES];
    date_format(seconds, text);
    set_text(object, name, text);
}

static void set_texts(json_t *object, const char *name, char *const *texts) {
    if (texts == NULL)
        return;
    json_t *list = json_array();
    for (; *texts != NULL; texts++)
        json_array_append_new(list, json_text(*texts));
    json_object_set_new(object, name, list);
}

static json_t *answers_json(const struct recipe *recipe) {
    json_t *object = json_object(), *list = json_array();
    set_texts(object, "signatures", recipe->signatures);
    set_texts(object, "cves", recipe->cves);
    for (size_t i = 0; i < recipe->violation_count; i++) {
        json_t *violation = json_object();
        json_object_set_new(violation, "module", json_identity(&recipe->violations[i].module));
        set_text(violation, "api", recipe->violations[i].api);
        json_array_append_new(list, violation);
    }
    json_object_set_new(object, "violations", list);
    return object;
}

static json_t *files_json(const struct recipe *recipe) {
    json_t *list = json_array();
    for (size_t i = 0; i < recipe->file_count; i++) {
        const struct recipe_file *file = &recipe->files[i];
        char digest[DIGEST_TEXT_BYTES], mode[16];
        json_t *object = json_object();
        set_text(object, "package", file->package);
        set_text(object, "version", file->version);
        set_text(object, "architecture", file->architecture);
        set_text(object, "path", file->path);
        set_text(object, "source", file->source);
        set_number(object, "size", file->size);
        digest_format(file->sha256, digest);
        set_text(object, "sha256", digest);
        snprintf(mode, sizeof mode, "%04o", file->mode);
        set_text(object, "mode", file->mode != 0 ? mode : NULL);
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *restarts_json(const struct recipe *recipe) {
    json_t *list = json_array();
    for (size_t i = 0; i < recipe->restart_count; i++) {
        const struct recipe_restart *restart = &recipe->restarts[i];
        json_t *object = json_object();
        set_text(object, "program", restart->program);
        set_text(object, "how", restart_how_word(restart->how));
        set_texts(object, "command", restart->command);
        set_text(object, "signal", restart->signal);
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *health_json(const struct recipe *recipe) {
    json_t *list = json_array();
    for (size_t i = 0; i < recipe->health_count; i++) {
        const struct recipe_health *health = &recipe->health[i];
        json_t *object = json_object();
        set_texts(object, "command", health->command);
        set_text(object, "url", health->url);
        if (health->url != NULL)
            set_number(object, "status", health->status);
        set_text(object, "contains", health->contains);
        if (health->serving)
            json_object_set_new(object, "serving", json_true());
        json_array_append_new(list, object);
    }
    return json_pack("{s:i, s:o}", "timeout", (int)recipe->timeout, "checks", list);
}

static void set_recipe(json_t *object, const struct recipe *recipe) {
    set_text(object, "recipe", recipe->name);
    set_text(object, "summary", recipe->summary);
    set_number(object, "serial", (uint64_t)recipe->serial);
    set_date(object, "created", recipe->created);
    set_date(object, "expires", recipe->expires);
    json_object_set_new(object, "answers", answers_json(recipe));
    if (recipe->package != NULL)
        json_object_set_new(
            object, "package",
            json_pack("{s:o, s:o}", "name", json_text(recipe->package), "fixed", json_text(recipe->fixed)));
    set_text(object, "method", recipe_method_word(recipe->method));
    json_object_set_new(object, "files", files_json(recipe));
    set_texts(object, "depends", recipe->build_depends);
    set_texts(object, "commands", recipe->commands);
    set_text(object, "script", recipe->script);
    set_number(object, "free_disk", recipe->free_disk);
    json_object_set_new(object, "restart", restarts_json(recipe));
    json_object_set_new(object, "health", health_json(recipe));
}

json_t *recipe_look_json(const struct recipe_look *look, const char *path) {
    json_t *object = json_object();
    set_text(object, "file", path);
    set_text(object, "state", recipe_state_word(look->state));
    set_text(object, "problem", look->problem);
    set_text(object, "signer", *look->signer != '\0' ? look->signer : NULL);
    if (look->parsed)
        set_recipe(object, &look->recipe);
    return object;
}
