/* Collects the objects of a program breadth first, as the loader would, and says plainly which programs have no place
 * for a preloaded library.
 */
#include "policygen/loader.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "policygen/closure.h"
#include "runtime/util.h"

#define MAX_PLUGIN_DEPTH 16

struct loading {
    struct loader *loader;
    struct program *program;
    struct library_paths paths;
    struct library **libraries; /* per module of the program */
    size_t library_count;
};

static void analyse(struct loader *loader, struct library *library) {
    size_t size;
    if (loader->progress)
        fprintf(stderr, "\r\033[Kanalysing %s", library->analysis.path);
    analysis_make(&library->analysis);
    library->memory = summary_make(&library->analysis, &size);
    const char *problem = summary_open(library->memory, size, &library->summary);
    if (problem != NULL)
        die("the summary of \"%s\" cannot be used: %s", library->analysis.path, problem);
    if (loader->progress)
        fprintf(stderr, "\r\033[K");
}

static struct library *known_object(const struct loader *loader, const char *path) {
    for (size_t i = 0; i < loader->object_count; i++) {
        if (strcmp(loader->objects[i]->analysis.path, path) == 0)
            return loader->objects[i];
    }
    return NULL;
}

/* Opens an object and remembers it; NULL and the problem when it is none. Two names of one file are one object. */
static struct library *open_object(struct loader *loader, const char *path, enum object_problem *problem) {
    cleanup_free char *real = realpath(path, NULL);
    *problem = OBJECT_UNREADABLE;
    if (real == NULL)
        return NULL;
    struct library *library = known_object(loader, real);
    *problem = OBJECT_FINE;
    if (library != NULL)
        return library;
    library = xcalloc(1, sizeof *library);
    *problem = object_open(path, &library->analysis.object);
    if (*problem != OBJECT_FINE) {
        free(library);
        return NULL;
    }
    library->analysis.path = steal_pointer(&real);
    /* The array holds pointers. */
    *array_append(loader->objects, loader->object_count) = library; /* NOLINT(bugprone-sizeof-expression) */
    return library;
}

static struct program_module *add_module(struct loading *loading, struct library *library) {
    struct program *program = loading->program;
    for (size_t i = 0; i < program->module_count; i++) {
        if (loading->libraries[i] == library)
            return &program->modules[i];
    }
    /* The array holds pointers. */
    *array_append(loading->libraries, loading->library_count) = library; /* NOLINT(bugprone-sizeof-expression) */
    struct program_module *module = array_append(program->modules, program->module_count);
    *module = (struct program_module){.path = library->analysis.object.path, .summary = &library->summary};
    return module;
}

static bool is_loaded_name(const struct loading *loading, const char *name) {
    for (size_t i = 0; i < loading->library_count; i++) {
        const char *soname = loading->libraries[i]->analysis.object.soname;
        if (soname != NULL && strcmp(soname, name) == 0)
            return true;
    }
    return false;
}

static void add_needed(struct loading *loading, const struct object *needing, const char *name) {
    char **paths = NULL;
    size_t count = 0;
    if (is_loaded_name(loading, name))
        return;
    char *found = closure_find(&loading->paths, needing, &loading->libraries[0]->analysis.object, name);
    if (found != NULL)
        *array_append(paths, count) = found;
    closure_variants(&loading->paths, name, &paths, &count);
    if (count == 0)
        warn("%s needs \"%s\", which is nowhere to be found: calls that it makes will be refused", needing->path, name);
    for (size_t i = 0; i < count; i++) {
        enum object_problem problem;
        struct library *library = open_object(loading->loader, paths[i], &problem);
        if (library == NULL)
            die("cannot read library \"%s\": %s", paths[i],
                problem == OBJECT_UNREADABLE ? strerror(errno) : object_problem_text(problem));
        add_module(loading, library);
        free(paths[i]);
    }
    free(paths);
}

/* The modules added since `from`, and what they need in turn. */
static void add_all_needed(struct loading *loading, size_t from) {
    for (size_t i = from; i < loading->program->module_count; i++) {
        const struct object *object = &loading->libraries[i]->analysis.object;
        for (size_t j = 0; j < object->needed_count; j++)
            add_needed(loading, object, object->needed[j]);
    }
}

/* ---- Plug-ins ---- */

static void add_plugin_file(struct loading *loading, const char *path, bool must) {
    enum object_problem problem;
    struct library *library = open_object(loading->loader, path, &problem);
    if (library == NULL) {
        if (must)
            die("cannot analyse \"%s\": %s", path,
                problem == OBJECT_UNREADABLE ? strerror(errno) : object_problem_text(problem));
        return;
    }
    add_module(loading, library)->plugin = true;
}

static int is_entry(const struct dirent *entry) {
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* In the order of the names' bytes: neither the file system nor the locale may change the policy. */
static int compare_entries(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* All objects below a directory. */
static void add_plugin_directory(struct loading *loading, const char *path, unsigned depth) {
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_entry, compare_entries);
    if (count < 0)
        die("cannot read directory \"%s\": %s", path, strerror(errno));
    for (int i = 0; i < count; i++) {
        cleanup_free char *name = xasprintf("%s/%s", path, entries[i]->d_name);
        struct stat status;
        bool exists = stat(name, &status) == 0;
        if (exists && S_ISDIR(status.st_mode) && depth < MAX_PLUGIN_DEPTH)
            add_plugin_directory(loading, name, depth + 1);
        else if (exists && S_ISREG(status.st_mode))
            add_plugin_file(loading, name, false);
        free(entries[i]);
    }
    free(entries);
}

static void add_plugins(struct loading *loading) {
    for (size_t i = 0; i < loading->loader->also_count; i++) {
        const char *path = loading->loader->also[i];
        struct stat status;
        if (stat(path, &status) != 0)
            die("cannot read \"%s\": %s", path, strerror(errno));
        size_t from = loading->program->module_count;
        if (S_ISDIR(status.st_mode))
            add_plugin_directory(loading, path, 0);
        else
            add_plugin_file(loading, path, true);
        add_all_needed(loading, from);
    }
}

static bool uses_name_services(const struct program *program) {
    for (size_t i = 0; i < program->module_count; i++) {
        if ((program->modules[i].summary->header->flags & SUMMARY_USES_NAME_SERVICES) != 0)
            return true;
    }
    return false;
}

/* Name services are loaded by libc as /etc/nsswitch.conf says. */
static void add_name_services(struct loading *loading) {
    size_t size;
    cleanup_free char *text = file_read("/etc/nsswitch.conf", 1u << 20, &size);
    char *rest = text, *line;
    while (rest != NULL && (line = strsep(&rest, "\n")) != NULL) {
        line[strcspn(line, "#")] = 0;
        char *services = strchr(line, ':');
        if (services == NULL)
            continue;
        char *behind;
        for (char *service = strtok_r(services + 1, " \t", &behind); service != NULL;
             service = strtok_r(NULL, " \t", &behind)) {
            cleanup_free char *name = xasprintf("libnss_%s.so.2", service);
            const struct object *program = &loading->libraries[0]->analysis.object;
            cleanup_free char *path = strchr(service, '[') != NULL || strchr(service, '/') != NULL
                                          ? NULL
                                          : closure_find(&loading->paths, program, program, name);
            if (path == NULL)
                continue;
            size_t from = loading->program->module_count;
            add_plugin_file(loading, path, false);
            add_all_needed(loading, from);
        }
    }
}

/* ---- Libraries that the program names itself ---- */

static void analyse_all(const struct loading *loading) {
    for (size_t i = 0; i < loading->library_count; i++) {
        if (loading->libraries[i]->memory == NULL)
            analyse(loading->loader, loading->libraries[i]);
    }
}

/* A library named in a call of dlopen. That it is missing is no mistake: programs try. */
static void add_opened(struct loading *loading, const struct object *opener, const char *name) {
    const struct object *program = &loading->libraries[0]->analysis.object;
    if (name[0] == 0 || is_loaded_name(loading, name))
        return;
    cleanup_free char *path = closure_find(&loading->paths, opener, program, name);
    if (path == NULL)
        return;
    size_t from = loading->program->module_count;
    add_plugin_file(loading, path, false);
    add_all_needed(loading, from);
}

static void add_opened_by(struct loading *loading, const struct library *opener) {
    const struct summary *summary = &opener->summary;
    for (uint32_t i = 0; i < summary->calls_count + summary->jumps_count; i++) {
        const struct summary_call *call = summary_call_at(summary, i);
        if (call->api != API_dlopen && call->api != API_dlmopen)
            continue;
        const struct summary_rule *file = summary_rule(summary, call, call->api == API_dlmopen ? 1 : 0);
        for (uint32_t j = 0; j < file->value_count; j++) {
            const struct summary_value *value = &summary->values[file->first_value + j];
            if (value->kind == RULE_TEXT)
                add_opened(loading, &opener->analysis.object, summary_text(summary, value->text));
        }
    }
}

/* Each new library may name others. */
static void add_all_opened(struct loading *loading) {
    for (size_t i = 0; i < loading->library_count; i++) {
        analyse_all(loading);
        add_opened_by(loading, loading->libraries[i]);
    }
    analyse_all(loading);
}

/* ---- The program ---- */

/* Returns why no library can be preloaded into it, or NULL. */
static const char *why_not_protectable(const struct object *object) {
    if (object->go)
        return "it is a Go program: its system calls do not pass libc, so nothing of it would be checked";
    if (object->interpreter == NULL && object->soname != NULL)
        return "it is a library: name the program that uses it, and the library itself with --also if it is a plug-in";
    if (object->interpreter == NULL)
        return "it is statically linked: nothing can be preloaded into it";
    if (!object->has_dynamic)
        return "it has no dynamic section: nothing can be preloaded into it";
    return NULL;
}

static void add_interpreter(struct loading *loading, const struct object *object) {
    enum object_problem problem;
    struct library *interpreter = open_object(loading->loader, object->interpreter, &problem);
    if (interpreter == NULL)
        die("cannot read \"%s\", the loader that \"%s\" asks for: %s", object->interpreter, object->path,
            problem == OBJECT_UNREADABLE ? strerror(errno) : object_problem_text(problem));
    add_module(loading, interpreter);
}

static char *real_path(const char *path) {
    char *real = realpath(path, NULL);
    if (real == NULL)
        die("cannot read \"%s\": %s", path, strerror(errno));
    return real;
}

bool loader_program(struct loader *loader, const char *path, struct program *program) {
    *program = (struct program){0};
    cleanup_free char *real = real_path(path);
    enum object_problem problem;
    struct library *library = open_object(loader, real, &problem);
    if (library == NULL && problem == OBJECT_UNREADABLE)
        die("cannot read \"%s\": %s", path, strerror(errno));
    const struct object *object = library == NULL ? NULL : &library->analysis.object;
    const char *why = object == NULL ? object_problem_text(problem) : why_not_protectable(object);
    if (why != NULL) {
        warn("\"%s\" cannot be protected: %s", path, why);
        return false;
    }
    struct loading loading = {.loader = loader, .program = program};
    library_paths_read(&loading.paths, is_musl(object->interpreter));
    add_module(&loading, library);
    add_interpreter(&loading, object);
    add_all_needed(&loading, 0);
    add_plugins(&loading);
    add_all_opened(&loading);
    if (!is_musl(object->interpreter) && uses_name_services(program)) {
        add_name_services(&loading);
        add_all_opened(&loading);
    }
    library_paths_free(&loading.paths);
    free(loading.libraries);
    return true;
}

void program_free(struct program *program) {
    free(program->modules);
    *program = (struct program){0};
}

void loader_free(struct loader *loader) {
    for (size_t i = 0; i < loader->object_count; i++) {
        analysis_free(&loader->objects[i]->analysis);
        free(loader->objects[i]->memory);
        free(loader->objects[i]);
    }
    free(loader->objects);
}
