/* New policies for what a stage changed: which ones, policygen, and the files. The target's directory may hold anything:
 * it is read through the stage's root, without following links in it, and what is no policy is left alone.
 */
#include "tools/patch/repolicy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/confine.h"
#include "tools/patch/groups.h"
#include "tools/policy_file.h"

#define POLICYGEN_SECONDS 900
#define NOTES_MOST 2000 /* bytes that are handed on */
#define FRESH "policies/fresh"
#define FINAL "policies/final"
#define CACHE "policies/cache"

struct work {
    const struct stage *stage;
    const struct changes *changes;
    const char *policygen, *directory;
    FILE *notes;
    size_t made;
};

/* ---- which policies ---- */

/* The length of a library's name without its version. */
static size_t name_length(const char *path) {
    const char *end = strstr(base_name(path), ".so");
    return end != NULL ? (size_t)(end - path) + strlen(".so") : strlen(path);
}

static bool same_library(const char *a, const char *b) {
    size_t length = name_length(base_name(a));
    return length == name_length(base_name(b)) && strncmp(base_name(a), base_name(b), length) == 0;
}

/* The module's own file, whatever links lead to it, or a library of its name beside it: a link that now leads to another
 * version changes it as well. */
static bool changes_module(const struct change *change, const char *module, const struct stat *file) {
    if (change->kind == CHANGE_METADATA)
        return false;
    if (strcmp(change->path, module) == 0 || same_library(change->path, module))
        return true;
    return change->kind != CHANGE_CREATE && change->before.st_dev == file->st_dev &&
           change->before.st_ino == file->st_ino;
}

static bool is_module_changed(const struct work *work, const char *module) {
    struct stat file = {.st_ino = 0};
    cleanup_fd int fd = target_openat(work->stage->target, module, O_PATH, 0);
    if (fd >= 0 && fstat(fd, &file) != 0)
        file.st_ino = 0;
    for (size_t i = 0; i < work->changes->count; i++)
        if (changes_module(&work->changes->items[i], module, &file))
            return true;
    return false;
}

static bool is_concerned(const struct work *work, const struct document *document) {
    bool concerned = is_module_changed(work, document->program);
    for (size_t i = 0; i < document->module_count && !concerned; i++)
        concerned = is_module_changed(work, document->modules[i].path);
    return concerned;
}

/* ---- reading ---- */

/* Through the descriptor's name in /proc: links in the target's directory are not followed. */
static bool read_policy(const struct work *work, const char *name, struct policy_file *file, struct mistake *mistake) {
    cleanup_free char *path = xasprintf("%s/%s", work->directory, name);
    cleanup_fd int fd = stage_openat(work->stage, path, O_RDONLY | O_NOFOLLOW, 0);
    if (fd < 0) {
        text_mistake(mistake, 0, "%s", strerror(errno));
        return false;
    }
    cleanup_free char *link = xasprintf("/proc/self/fd/%d", fd);
    return policy_load(link, file, mistake);
}

/* Names of policies, in order: a text's own, and a compiled form's that has no text beside it. */
static struct path_list list_policies(const struct work *work) {
    struct path_list list = {0};
    cleanup_fd int fd = stage_openat(work->stage, work->directory, O_RDONLY | O_DIRECTORY, 0);
    cleanup_free char *link = xasprintf("/proc/self/fd/%d", fd);
    if (fd < 0)
        return list;
    static const char *const suffixes[] = {POLICY_TEXT_SUFFIX, POLICY_COMPILED_SUFFIX};
    for (int compiled = 0; compiled < 2; compiled++) {
        struct path_list found = list_directory(link, suffixes[compiled]);
        for (size_t i = 0; i < found.count; i++) {
            const char *name = base_name(found.items[i]);
            cleanup_free char *text =
                xasprintf("%.*s" POLICY_TEXT_SUFFIX, (int)(strlen(name) - strlen(suffixes[compiled])), name);
            bool has_text = false;
            for (size_t j = 0; j < list.count && compiled; j++)
                has_text = has_text || strcmp(list.items[j], text) == 0;
            if (!has_text)
                *array_append(list.items, list.count) = xstrdup(name);
        }
        path_list_free(&found);
    }
    return list;
}

/* ---- policygen ---- */

static bool is_in_stage(const struct work *work, const char *path) {
    struct stat status;
    cleanup_fd int fd = path[0] == '/' ? stage_openat(work->stage, path, O_PATH, 0) : -1;
    return fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

struct arguments {
    const char **items;
    size_t count;
};

static void add(struct arguments *arguments, const char *text) {
    *array_append(arguments->items, arguments->count) = text;
}

/* It reads programs that may have been made to break it: whatever they made it do, it can only spoil their own policy. */
static bool confine(void *context, struct mistake *mistake) {
    const struct work *work = context;
    cleanup_free char *writable = xasprintf("%s/policies", work->stage->scratch);
    return confine_reader(writable, mistake);
}

/* `also`: modules that the first run did not find by itself. */
static bool run_policygen(const struct work *work, const char *program, const struct path_list *also,
                          struct document *fresh, struct mistake *mistake) {
    cleanup_free char *output = xasprintf("%s/" FRESH, work->stage->scratch);
    cleanup_free char *cache = xasprintf("%s/" CACHE, work->stage->scratch);
    struct arguments arguments = {0};
    /* One processor: the patched machine serves meanwhile, and each takes memory. */
    const char *const first[] = {work->policygen, "--image", work->stage->merged, "--output", output, "--cache", cache,
                                 "--jobs",        "1"};
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++)
        add(&arguments, first[i]);
    for (size_t i = 0; i < also->count; i++) {
        add(&arguments, "--also");
        add(&arguments, also->items[i]);
    }
    add(&arguments, program);
    add(&arguments, NULL);
    struct command command = {.arguments = arguments.items,
                              .timeout_seconds = POLICYGEN_SECONDS,
                              .incident = work->stage->incident,
                              .enter = confine,
                              .context = (void *)(uintptr_t)work};
    struct command_result result = {.output = NULL};
    bool good = command_run(&command, &result, mistake);
    command_result_free(&result);
    free(arguments.items);
    cleanup_free char *path = policy_path(output, program, POLICY_TEXT_SUFFIX);
    document_init(fresh);
    return good && document_read_text(path, fresh, mistake);
}

static bool has_module(const struct document *document, const struct module *module) {
    for (size_t i = 0; i < document->module_count; i++)
        if (identity_equal(&document->modules[i].identity, &module->identity) ||
            same_library(document->modules[i].path, module->path))
            return true;
    return false;
}

/* Plug-ins that were named when the old policy was made, and what learning found. */
static struct path_list find_more(const struct work *work, const struct document *old, const struct document *fresh) {
    struct path_list list = {0};
    for (size_t i = 0; i < old->module_count; i++)
        if (!has_module(fresh, &old->modules[i]) && is_in_stage(work, old->modules[i].path))
            *array_append(list.items, list.count) = xstrdup(old->modules[i].path);
    return list;
}

static bool analyse(const struct work *work, const struct document *old, struct document *fresh,
                    struct mistake *mistake) {
    struct path_list also = {0};
    bool good = run_policygen(work, old->program, &also, fresh, mistake);
    if (!good)
        return false;
    also = find_more(work, old, fresh);
    if (also.count > 0) {
        document_free(fresh);
        good = run_policygen(work, old->program, &also, fresh, mistake);
    }
    path_list_free(&also);
    return good;
}

/* ---- writing ---- */

static bool make_directory(const char *path, struct mistake *mistake) {
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return true;
    return text_mistake(mistake, 0, "cannot make \"%s\": %s", path, strerror(errno));
}

static bool make_directories(const struct stage *stage, struct mistake *mistake) {
    static const char *const names[] = {"policies", FRESH, FINAL, CACHE};
    bool good = true;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && good; i++) {
        cleanup_free char *path = xasprintf("%s/%s", stage->scratch, names[i]);
        good = make_directory(path, mistake);
    }
    return good;
}

static char *text_of(const struct document *document, size_t *size) {
    char *text;
    FILE *out = xopen_memstream(&text, size);
    document_write_text(document, out);
    fclose(out);
    return text;
}

static bool write_all(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        data += written;
        size -= (size_t)written;
    }
    return true;
}

/* Into the stage, over what is there: mode and owner stay. */
static bool write_staged(const struct work *work, const char *name, const char *data, size_t size,
                         struct mistake *mistake) {
    cleanup_free char *path = xasprintf("%s/%s", work->directory, name);
    cleanup_fd int fd = stage_openat(work->stage, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644);
    if (fd < 0 || !write_all(fd, data, size))
        return text_mistake(mistake, 0, "cannot write the policy \"%s\": %s", path, strerror(errno));
    return true;
}

static bool write_final(const struct work *work, const char *name, const char *data, size_t size,
                        struct mistake *mistake) {
    cleanup_free char *path = xasprintf("%s/" FINAL "/%s", work->stage->scratch, name);
    return atomic_file_write(path, 0644, data, size) ||
           text_mistake(mistake, 0, "cannot write \"%s\": %s", path, strerror(errno));
}

typedef bool write_function(const struct work *work, const char *name, const char *data, size_t size,
                            struct mistake *mistake);

/* Both forms; the text only where the target keeps texts. */
static bool write_policy(const struct work *work, const char *stem, const struct document *document, bool with_text,
                         write_function *write_one, struct mistake *mistake) {
    size_t size, text_size;
    cleanup_free char *text_name = xasprintf("%s" POLICY_TEXT_SUFFIX, stem);
    cleanup_free char *image_name = xasprintf("%s" POLICY_COMPILED_SUFFIX, stem);
    cleanup_free char *text = text_of(document, &text_size);
    cleanup_free char *image = document_compile(document, &size);
    return write_one(work, image_name, image, size, mistake) &&
           (!with_text || write_one(work, text_name, text, text_size, mistake));
}

/* ---- one policy ---- */

/* Of a compiled form it is not known which values were learned: all that it holds are kept. */
static void take_all_as_learned(struct document *document) {
    for (size_t i = 0; i < document->module_count; i++)
        for (size_t j = 0; j < document->modules[i].site_count; j++) {
            struct site *site = &document->modules[i].sites[j];
            for (size_t k = 0; k < site->constraint_count; k++)
                for (size_t l = 0; l < site->constraints[k].value_count; l++)
                    site->constraints[k].values[l].origin = ORIGIN_LEARNED;
        }
}

/* Brings the old policy's values into the fresh one, and writes it. */
static bool finish_policy(const struct work *work, const char *name, struct document *fresh, struct mistake *mistake) {
    struct policy_file old = {0};
    struct mistake why = {.line = 0};
    if (!read_policy(work, name, &old, &why))
        return text_mistake(mistake, 0, "%s/%s could be read and cannot any more: %s", work->directory, name, why.text);
    if (old.compiled)
        take_all_as_learned(&old.document);
    cleanup_free char *stem = xstrndup(name, strlen(name) - (strlen(strrchr(name, '.'))));
    repolicy_carry(fresh, &old.document, work->notes);
    document_sort(fresh);
    bool good = write_policy(work, stem, fresh, !old.compiled, write_final, mistake);
    if (good) {
        repolicy_unite(fresh, &old.document);
        good = write_policy(work, stem, fresh, !old.compiled, write_staged, mistake);
    }
    policy_unload(&old);
    return good;
}

static bool make_policy(struct work *work, const char *name, const struct document *outline, struct mistake *mistake) {
    if (!is_in_stage(work, outline->program)) {
        fprintf(work->notes, "%s is not there any more: its policy is left as it is\n", outline->program);
        return true;
    }
    struct document fresh;
    struct mistake why = {.line = 0};
    groups_give_back();
    bool good = analyse(work, outline, &fresh, &why)
                    ? finish_policy(work, name, &fresh, mistake)
                    : text_mistake(mistake, 0, "cannot make the policy of \"%s\" anew: %s", outline->program, why.text);
    document_free(&fresh);
    work->made += good;
    return good;
}

/* Program and modules, without what is allowed to them: the whole takes ten times its file, and is not kept while
 * policygen runs. */
static void take_outline(struct document *outline, const struct document *document) {
    document_init(outline);
    outline->program = xstrdup(document->program);
    for (size_t i = 0; i < document->module_count; i++)
        *array_append(outline->modules, outline->module_count) =
            (struct module){.path = xstrdup(document->modules[i].path), .identity = document->modules[i].identity};
}

static bool look_at(struct work *work, const char *name, struct mistake *mistake) {
    struct policy_file old = {0};
    struct document outline;
    struct mistake why = {.line = 0};
    if (!read_policy(work, name, &old, &why)) {
        fprintf(work->notes, "%s/%s cannot be read and is left as it is: %s\n", work->directory, name, why.text);
        return true;
    }
    take_outline(&outline, &old.document);
    policy_unload(&old);
    bool good = !is_concerned(work, &outline) || make_policy(work, name, &outline, mistake);
    document_free(&outline);
    return good;
}

/* Lines become one text of bounded length. */
static char *finish_notes(char *text) {
    size_t length = strlen(text), kept = length;
    if (length > NOTES_MOST)
        for (kept = NOTES_MOST; kept > 0 && text[kept - 1] != '\n'; kept--)
            continue;
    size_t more = 0;
    for (size_t i = kept; i < length; i++)
        more += text[i] == '\n';
    while (kept > 0 && text[kept - 1] == '\n')
        kept--;
    text[kept] = '\0';
    for (char *at = text; *at != '\0'; at++)
        if (*at == '\n')
            *at = ';';
    char *notes = length == 0 ? NULL : more > 0 ? xasprintf("%s; and %zu more", text, more) : xstrdup(text);
    free(text);
    return notes;
}

bool repolicy_stage(const struct stage *stage, const struct changes *changes, const char *policygen,
                    const char *directory, size_t *made, char **notes, struct mistake *mistake) {
    char *text;
    size_t length;
    struct work work = {stage, changes, policygen, directory, xopen_memstream(&text, &length), 0};
    struct path_list policies = list_policies(&work);
    bool good = make_directories(stage, mistake);
    for (size_t i = 0; i < policies.count && good; i++)
        good = look_at(&work, policies.items[i], mistake);
    path_list_free(&policies);
    groups_give_back();
    fclose(work.notes);
    *made = work.made;
    *notes = finish_notes(text);
    return good;
}

/* ---- the final ones ---- */

/* A new file with mode and owner of the old one takes its name. */
static bool replace_in(int directory, const char *name, const char *data, size_t size) {
    cleanup_free char *temporary = xasprintf(".%s.new", name);
    struct stat old;
    if (fstatat(directory, name, &old, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(old.st_mode))
        return false;
    unlinkat(directory, temporary, 0);
    cleanup_fd int fd =
        openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, old.st_mode & 0777);
    bool good = fd >= 0 && write_all(fd, data, size) && fchown(fd, old.st_uid, old.st_gid) == 0 &&
                fchmod(fd, old.st_mode & 07777) == 0 && fsync(fd) == 0 &&
                renameat(directory, temporary, directory, name) == 0;
    if (!good && fd >= 0)
        unlinkat(directory, temporary, 0);
    return good;
}

bool repolicy_settle(const struct stage *stage, const char *directory, struct mistake *mistake) {
    cleanup_free char *final = xasprintf("%s/" FINAL, stage->scratch);
    static const char *const suffixes[] = {POLICY_COMPILED_SUFFIX, POLICY_TEXT_SUFFIX};
    cleanup_fd int there = target_openat(stage->target, directory, O_RDONLY | O_DIRECTORY, 0);
    bool good = true;
    for (size_t i = 0; i < 2 && is_directory(final); i++) {
        struct path_list list = list_directory(final, suffixes[i]);
        for (size_t j = 0; j < list.count && good; j++) {
            size_t size;
            cleanup_free char *data = file_read(list.items[j], POLICY_MAX_BYTES, &size);
            good = there >= 0 && data != NULL && replace_in(there, base_name(list.items[j]), data, size);
            if (!good)
                text_mistake(mistake, 0, "cannot replace the policy \"%s/%s\": %s", directory, base_name(list.items[j]),
                             strerror(errno));
        }
        path_list_free(&list);
    }
    return good;
}
