/* Collects the objects of each program breadth first, as the loader would. What objects name in their calls and
 * constants is only known when they are analysed: so programs grow in rounds, and what is new in one is analysed on all
 * processors before the next. The outcome depends neither on the other programs nor on who is first.
 */
#include "policygen/loader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/match.h"
#include "runtime/util.h"

#define MAX_PLUGIN_DEPTH 16

struct loading {
    struct loader *loader;
    struct subject *subject;
};

void loader_init(struct loader *loader, const struct root *root, struct workers *workers, const struct cache *cache) {
    *loader = (struct loader){.root = root, .workers = workers, .cache = cache};
    loader->plugins = (struct plugins){.root = root, .paths = loader->paths};
    library_paths_read(&loader->paths[0], root, false);
    library_paths_read(&loader->paths[1], root, true);
}

/* ---- Files ---- */

static void summarise(void *context, void *subject) {
    const struct loader *loader = context;
    library_summarise(subject, loader->root, loader->cache);
}

static struct library *open_new(struct loader *loader, const char *path, enum object_problem *problem) {
    struct library *library = library_open(loader->root, path, problem);
    if (library == NULL)
        return NULL;
    /* The array holds pointers. */
    *array_append(loader->libraries, loader->library_count) = library; /* NOLINT(bugprone-sizeof-expression) */
    return library;
}

static void queue(struct loader *loader, struct library *library) {
    if (library->queued)
        return;
    library->queued = true;
    workers_add(loader->workers, (struct job){.run = summarise,
                                              .context = loader,
                                              .subject = library,
                                              .doing = "analysing",
                                              .name = library->path,
                                              .weight = library->size});
}

/* NULL and the problem when it is none. All names of one file are one library. */
static struct library *open_library(struct loader *loader, const char *path, enum object_problem *problem) {
    struct library *library = map_get(&loader->by_path, path);
    struct stat status;
    *problem = OBJECT_FINE;
    if (library != NULL)
        return library;
    if (!root_stat(loader->root, path, &status)) {
        *problem = OBJECT_UNREADABLE;
        return NULL;
    }
    char file[64];
    snprintf(file, sizeof file, "%" PRIu64 ":%" PRIu64, (uint64_t)status.st_dev, (uint64_t)status.st_ino);
    library = map_get(&loader->by_file, file);
    if (library == NULL) {
        library = open_new(loader, path, problem);
        if (library == NULL)
            return NULL;
        map_put(&loader->by_file, file, library);
    }
    map_put(&loader->by_path, path, library);
    return library;
}

/* ---- Modules ---- */

/* Index of the module; the first name under which the program finds a file stays. */
static size_t add_module(struct loading *loading, struct library *library, const char *path) {
    struct subject *subject = loading->subject;
    for (size_t i = 0; i < subject->module_count; i++) {
        if (subject->modules[i].file == library)
            return i;
    }
    queue(loading->loader, library);
    *array_append(subject->plugins, subject->plugin_count) = false;
    *array_append(subject->modules, subject->module_count) = (struct loaded){library, xstrdup(path)};
    return subject->module_count - 1;
}

static bool is_loaded_name(const struct subject *subject, const char *name) {
    for (size_t i = 0; i < subject->module_count; i++) {
        const char *soname = subject->modules[i].file->soname;
        if (soname != NULL && strcmp(soname, name) == 0)
            return true;
    }
    return false;
}

static void add_found(struct loading *loading, const char *path) {
    enum object_problem problem;
    struct library *library = open_library(loading->loader, path, &problem);
    if (library != NULL)
        add_module(loading, library, path);
    else
        warn("cannot read library \"%s\": %s: calls that it makes will be refused", path,
             problem == OBJECT_UNREADABLE ? strerror(errno) : object_problem_text(problem));
}

static void add_needed(struct loading *loading, size_t needing, const char *name) {
    struct subject *subject = loading->subject;
    char *const *variants = NULL;
    size_t count;
    if (is_loaded_name(subject, name))
        return;
    cleanup_free char *found = closure_find(subject->paths, &subject->modules[needing], &subject->modules[0], name);
    closure_variants(subject->paths, name, &variants, &count);
    if (found != NULL)
        add_found(loading, found);
    else if (count == 0)
        warn("%s needs \"%s\", which is nowhere to be found: calls that it makes will be refused",
             subject->modules[needing].path, name);
    for (size_t i = 0; i < count; i++)
        add_found(loading, variants[i]);
}

/* What the modules from this one on need. */
static void add_all_needed(struct loading *loading, size_t from) {
    const struct subject *subject = loading->subject;
    for (size_t i = from; i < subject->module_count; i++) {
        const struct library *library = subject->modules[i].file;
        for (size_t j = 0; j < library->needed_count; j++)
            add_needed(loading, i, library->needed[j]);
    }
}

/* ---- Plug-ins ---- */

static bool add_plugin_file(struct loading *loading, const char *path, bool must) {
    enum object_problem problem;
    struct library *library = open_library(loading->loader, path, &problem);
    if (library == NULL) {
        if (must)
            die("cannot analyse \"%s\": %s", path,
                problem == OBJECT_UNREADABLE ? strerror(errno) : object_problem_text(problem));
        return false;
    }
    size_t from = loading->subject->module_count, module = add_module(loading, library, path);
    loading->subject->plugins[module] = true;
    add_all_needed(loading, from);
    return true;
}

/* A folder that was named holds plug-ins whatever they are called. */
static void add_named_directory(struct loading *loading, const char *path, unsigned depth) {
    struct root_entry *entries;
    size_t count;
    if (!root_list(loading->loader->root, path, &entries, &count))
        die_with_error("cannot read directory \"%s\"", path);
    for (size_t i = 0; i < count; i++) {
        cleanup_free char *name = xasprintf("%s/%s", path, entries[i].name);
        struct stat status;
        bool exists = root_stat(loading->loader->root, name, &status);
        if (exists && S_ISDIR(status.st_mode) && !S_ISLNK(entries[i].mode) && depth < MAX_PLUGIN_DEPTH)
            add_named_directory(loading, name, depth + 1);
        else if (exists && S_ISREG(status.st_mode))
            add_plugin_file(loading, name, false);
    }
    root_list_free(entries, count);
}

static void add_named_plugins(struct loading *loading) {
    for (size_t i = 0; i < loading->loader->also_count; i++) {
        const char *path = loading->loader->also[i];
        struct stat status;
        if (!root_stat(loading->loader->root, path, &status))
            die_with_error("cannot read \"%s\"", path);
        loading->subject->found_plugins = true;
        if (S_ISDIR(status.st_mode))
            add_named_directory(loading, path, 0);
        else
            add_plugin_file(loading, path, true);
    }
}

/* Programs lie in such folders too, and are none. */
static void add_folder(void *context, const struct folder *folder) {
    struct loading *loading = context;
    for (size_t i = 0; i < folder->count; i++) {
        enum object_problem problem;
        const struct library *library = open_library(loading->loader, folder->files[i], &problem);
        if (library != NULL && library->has_dynamic && !library->fixed && library->interpreter == NULL)
            loading->subject->found_plugins |= add_plugin_file(loading, folder->files[i], false);
    }
}

/* A library named in a call of dlopen. That it is missing is no mistake: programs try. */
static void add_opened(struct loading *loading, size_t opener, const char *name) {
    const struct subject *subject = loading->subject;
    if (name[0] == 0 || is_loaded_name(subject, name))
        return;
    cleanup_free char *path = closure_find(subject->paths, &subject->modules[opener], &subject->modules[0], name);
    if (path != NULL)
        add_plugin_file(loading, path, false);
}

/* Libraries whose names match a pattern, as far as it says in which directory they are. */
static void add_matching(struct loading *loading, const char *pattern) {
    size_t end = strcspn(pattern, "*?%\\");
    while (end > 0 && pattern[end - 1] != '/')
        end--;
    if (pattern[0] != '/' || end <= 1)
        return;
    cleanup_free char *directory = xstrndup(pattern, end - 1);
    const struct folder *folder = plugins_folder(&loading->loader->plugins, directory);
    for (size_t i = 0; i < folder->count; i++) {
        if (match_glob(pattern, strlen(pattern), folder->files[i], strlen(folder->files[i])))
            loading->subject->found_plugins |= add_plugin_file(loading, folder->files[i], false);
    }
}

static void add_opened_by(struct loading *loading, size_t opener) {
    const struct summary *summary = &loading->subject->modules[opener].file->summary;
    for (uint32_t i = 0; i < summary_call_count(summary); i++) {
        const struct summary_call *call = summary_call_at(summary, i);
        if (call->api != API_dlopen && call->api != API_dlmopen)
            continue;
        const struct summary_rule *file = summary_rule(summary, call, call->api == API_dlmopen ? 1 : 0);
        for (uint32_t j = 0; j < file->value_count; j++) {
            const struct summary_value *value = &summary->values[file->first_value + j];
            if (value->kind == RULE_TEXT)
                add_opened(loading, opener, summary_text(summary, value->text));
            else if (value->kind == RULE_GLOB)
                add_matching(loading, summary_text(summary, value->text));
            loading->subject->unnamed_plugins |= value->kind == RULE_GLOB;
        }
        loading->subject->unnamed_plugins |= file->state == RULE_ANY || file->entry_count > 0;
    }
}

/* ---- Name services ---- */

static bool uses_name_services(const struct subject *subject) {
    for (size_t i = 0; i < subject->module_count; i++) {
        if ((subject->modules[i].file->summary.header->flags & SUMMARY_USES_NAME_SERVICES) != 0)
            return true;
    }
    return false;
}

static void add_name_service(struct loading *loading, const char *service) {
    const struct subject *subject = loading->subject;
    if (strpbrk(service, "[]/") != NULL)
        return;
    cleanup_free char *name = xasprintf("libnss_%s.so.2", service);
    cleanup_free char *path = closure_find(subject->paths, &subject->modules[0], &subject->modules[0], name);
    if (path != NULL)
        add_plugin_file(loading, path, false);
}

/* libc loads them as /etc/nsswitch.conf says. */
static void add_name_services(struct loading *loading) {
    cleanup_free char *text = root_read(loading->loader->root, "/etc/nsswitch.conf", 1u << 20);
    char *rest = text, *line;
    while (rest != NULL && (line = strsep(&rest, "\n")) != NULL) {
        line[strcspn(line, "#")] = 0;
        char *services = strchr(line, ':'), *behind;
        if (services == NULL)
            continue;
        for (char *service = strtok_r(services + 1, " \t", &behind); service != NULL;
             service = strtok_r(NULL, " \t", &behind))
            add_name_service(loading, service);
    }
}

/* ---- Programs ---- */

/* Returns why no library can be preloaded into it, or NULL. */
static const char *why_not_protectable(const struct library *library) {
    if (library->go)
        return "it is a Go program: its system calls do not pass libc, so nothing of it would be checked";
    if (library->interpreter == NULL && library->soname != NULL)
        return "it is a library: name the program that uses it, and the library itself with --also if it is a plug-in";
    if (library->interpreter == NULL)
        return "it is statically linked: nothing can be preloaded into it";
    if (!library->has_dynamic)
        return "it has no dynamic section: nothing can be preloaded into it";
    return NULL;
}

void loader_add(struct loader *loader, const char *path) {
    struct subject *subject = xcalloc(1, sizeof *subject);
    struct loading loading = {loader, subject};
    /* The array holds pointers. */
    *array_append(loader->subjects, loader->subject_count) = subject; /* NOLINT(bugprone-sizeof-expression) */
    subject->name = xstrdup(path);
    cleanup_free char *real = root_real_path(loader->root, path);
    enum object_problem problem = OBJECT_UNREADABLE;
    struct library *library = real == NULL ? NULL : open_library(loader, real, &problem);
    if (library == NULL && problem == OBJECT_UNREADABLE)
        die_with_error("cannot read \"%s\"", path);
    subject->problem = library == NULL ? object_problem_text(problem) : why_not_protectable(library);
    struct library *interpreter =
        subject->problem == NULL ? open_library(loader, library->interpreter, &problem) : NULL;
    if (subject->problem == NULL && interpreter == NULL)
        subject->problem = "the loader that it asks for cannot be read, so it does not run here";
    if (subject->problem != NULL)
        return;
    subject->paths = &loader->paths[is_musl(library->interpreter)];
    add_module(&loading, library, real);
    add_module(&loading, interpreter, library->interpreter);
    add_all_needed(&loading, 0);
    add_named_plugins(&loading);
}

/* Follows what the modules that are analysed by now name. Returns whether anything new came up. */
static bool grow(struct loader *loader, struct subject *subject) {
    struct loading loading = {loader, subject};
    size_t count = subject->module_count;
    if (subject->problem != NULL)
        return false;
    for (; subject->looked_at < count; subject->looked_at++) {
        add_opened_by(&loading, subject->looked_at);
        plugins_of(&loader->plugins, subject->modules[subject->looked_at].file, add_folder, &loading);
    }
    if (subject->module_count == count && !subject->name_services && subject->paths == &loader->paths[0] &&
        uses_name_services(subject)) {
        subject->name_services = true;
        add_name_services(&loading);
    }
    return subject->module_count > count;
}

void loader_finish(struct loader *loader) {
    bool more = true;
    while (more) {
        workers_wait(loader->workers);
        more = false;
        for (size_t i = 0; i < loader->subject_count; i++)
            more |= grow(loader, loader->subjects[i]);
    }
}

void loader_program(const struct subject *subject, struct program *program) {
    *program = (struct program){.module_count = subject->module_count};
    program->modules = xcalloc(subject->module_count, sizeof *program->modules);
    for (size_t i = 0; i < subject->module_count; i++)
        program->modules[i] = (struct program_module){.path = subject->modules[i].path,
                                                      .soname = subject->modules[i].file->soname,
                                                      .summary = &subject->modules[i].file->summary,
                                                      .plugin = subject->plugins[i]};
}

void program_free(struct program *program) {
    free(program->modules);
    *program = (struct program){0};
}

static void subject_free(struct subject *subject) {
    for (size_t i = 0; i < subject->module_count; i++)
        free(subject->modules[i].path);
    free(subject->modules);
    free(subject->plugins);
    free(subject->name);
    free(subject);
}

void loader_free(struct loader *loader) {
    for (size_t i = 0; i < loader->subject_count; i++)
        subject_free(loader->subjects[i]);
    for (size_t i = 0; i < loader->library_count; i++)
        library_free(loader->libraries[i]);
    free(loader->subjects);
    free(loader->libraries);
    map_free(&loader->by_path);
    map_free(&loader->by_file);
    plugins_free(&loader->plugins);
    library_paths_free(&loader->paths[0]);
    library_paths_free(&loader->paths[1]);
}
