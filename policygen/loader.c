/* Collects the objects of a program breadth first, as the loader would, and says plainly which programs have no place
 * for a preloaded library.
 */
#include "policygen/loader.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "policygen/closure.h"
#include "runtime/util.h"

#define MAX_PLUGIN_DEPTH 16

struct loading {
    struct loader *loader;
    struct program *program;
    struct library_paths paths;
};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void analyse(struct loader *loader, struct analysis *analysis) {
    if (loader->progress)
        fprintf(stderr, "\r\033[Kanalysing %s", analysis->object.path);
    double start = now();
    analysis->made = true;
    analysis_make(analysis);
    analysis->seconds = now() - start;
    if (loader->progress)
        fprintf(stderr, "\r\033[K");
}

static struct analysis *known_object(const struct loader *loader, const char *path) {
    for (size_t i = 0; i < loader->object_count; i++) {
        if (strcmp(loader->objects[i]->path, path) == 0)
            return loader->objects[i];
    }
    return NULL;
}

/* Opens an object and remembers it; NULL and the problem when it is none. Two names of one file are one object. */
static struct analysis *open_object(struct loader *loader, const char *path, enum object_problem *problem) {
    cleanup_free char *real = realpath(path, NULL);
    *problem = OBJECT_UNREADABLE;
    if (real == NULL)
        return NULL;
    struct analysis *analysis = known_object(loader, real);
    *problem = OBJECT_FINE;
    if (analysis != NULL)
        return analysis;
    analysis = xcalloc(1, sizeof *analysis);
    *problem = object_open(path, &analysis->object);
    if (*problem != OBJECT_FINE) {
        free(analysis);
        return NULL;
    }
    analysis->path = steal_pointer(&real);
    /* The array holds pointers. */
    *array_append(loader->objects, loader->object_count) = analysis; /* NOLINT(bugprone-sizeof-expression) */
    return analysis;
}

static bool add_module(struct program *program, struct analysis *analysis) {
    for (size_t i = 0; i < program->module_count; i++) {
        if (program->modules[i] == analysis)
            return false;
    }
    size_t count = program->module_count;
    *array_append(program->plugins, count) = false;
    *array_append(program->modules, program->module_count) = analysis; /* NOLINT(bugprone-sizeof-expression) */
    return true;
}

static bool is_loaded_name(const struct program *program, const char *name) {
    for (size_t i = 0; i < program->module_count; i++) {
        const char *soname = program->modules[i]->object.soname;
        if (soname != NULL && strcmp(soname, name) == 0)
            return true;
    }
    return false;
}

static void add_needed(struct loading *loading, const struct analysis *needing, const char *name) {
    char **paths = NULL;
    size_t count = 0;
    if (is_loaded_name(loading->program, name))
        return;
    char *found = closure_find(&loading->paths, &needing->object, &loading->program->modules[0]->object, name);
    if (found != NULL)
        *array_append(paths, count) = found;
    closure_variants(&loading->paths, name, &paths, &count);
    if (count == 0)
        warn("%s needs \"%s\", which is nowhere to be found: calls that it makes will be refused", needing->object.path,
             name);
    for (size_t i = 0; i < count; i++) {
        enum object_problem problem;
        struct analysis *analysis = open_object(loading->loader, paths[i], &problem);
        if (analysis == NULL)
            die("cannot read library \"%s\": %s", paths[i],
                problem == OBJECT_UNREADABLE ? strerror(errno) : object_problem_text(problem));
        add_module(loading->program, analysis);
        free(paths[i]);
    }
    free(paths);
}

/* The modules added since `from`, and what they need in turn. */
static void add_all_needed(struct loading *loading, size_t from) {
    for (size_t i = from; i < loading->program->module_count; i++) {
        const struct analysis *analysis = loading->program->modules[i];
        for (size_t j = 0; j < analysis->object.needed_count; j++)
            add_needed(loading, analysis, analysis->object.needed[j]);
    }
}

/* ---- Plug-ins ---- */

static void add_plugin_file(struct loading *loading, const char *path, bool must) {
    enum object_problem problem;
    struct analysis *analysis = open_object(loading->loader, path, &problem);
    if (analysis == NULL) {
        if (must)
            die("cannot analyse \"%s\": %s", path,
                problem == OBJECT_UNREADABLE ? strerror(errno) : object_problem_text(problem));
        return;
    }
    add_module(loading->program, analysis);
    for (size_t i = 0; i < loading->program->module_count; i++)
        loading->program->plugins[i] |= loading->program->modules[i] == analysis;
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

/* Whether some object asks libc for users, groups, hosts or the like. */
static bool uses_name_services(const struct program *program) {
    static const char *const prefixes[] = {
        "getpw",    "getgr",        "getsp",     "getsg",   "getaddrinfo", "getnameinfo", "gethost",
        "getnet",   "getserv",      "getproto",  "getrpc",  "getali",      "initgroups",  "setpwent",
        "setgrent", "fgetpw",       "fgetgr",    "innetgr", "setnetgr",    "getlogin",    "cuserid",
        "glob",     "wordexp",      "getnetgr",  "ruserok", "iruserok",    "rcmd",        "rexec",
        "ether_",   "getpublickey", "getsecret", "__nss",   "getttynam",   NULL};
    for (size_t i = 0; i < program->module_count; i++) {
        const struct object *object = &program->modules[i]->object;
        for (size_t j = 0; j < object->symbol_count; j++) {
            for (size_t k = 0; !object->symbols[j].defined && prefixes[k] != NULL; k++) {
                if (strncmp(object->symbols[j].name, prefixes[k], strlen(prefixes[k])) == 0)
                    return true;
            }
        }
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
            const struct object *program = &loading->program->modules[0]->object;
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
    for (size_t i = 0; i < loading->program->module_count; i++) {
        if (!loading->program->modules[i]->made)
            analyse(loading->loader, loading->program->modules[i]);
    }
}

/* A library named in a call of dlopen. That it is missing is no mistake: programs try. */
static void add_opened(struct loading *loading, const struct analysis *opener, const char *name) {
    const struct object *program = &loading->program->modules[0]->object;
    if (name[0] == 0 || is_loaded_name(loading->program, name))
        return;
    cleanup_free char *path = closure_find(&loading->paths, &opener->object, program, name);
    if (path == NULL)
        return;
    size_t from = loading->program->module_count;
    add_plugin_file(loading, path, false);
    add_all_needed(loading, from);
}

static void add_opened_by(struct loading *loading, const struct analysis *opener) {
    for (size_t i = 0; i < opener->call_count + opener->jump_count; i++) {
        const struct api_call *call =
            i < opener->call_count ? &opener->calls[i] : &opener->jumps[i - opener->call_count];
        const struct argument_rule *file = &call->rules.arguments[call->api == API_dlmopen ? 1 : 0];
        if (call->api != API_dlopen && call->api != API_dlmopen)
            continue;
        for (size_t j = 0; j < file->count; j++) {
            if (file->values[j].kind == RULE_TEXT)
                add_opened(loading, opener, file->values[j].text);
        }
    }
}

/* Each new library may name others. */
static void add_all_opened(struct loading *loading) {
    for (size_t i = 0; i < loading->program->module_count; i++) {
        analyse_all(loading);
        add_opened_by(loading, loading->program->modules[i]);
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
    struct analysis *interpreter = open_object(loading->loader, object->interpreter, &problem);
    if (interpreter == NULL)
        die("cannot read \"%s\", the loader that \"%s\" asks for: %s", object->interpreter, object->path,
            problem == OBJECT_UNREADABLE ? strerror(errno) : object_problem_text(problem));
    add_module(loading->program, interpreter);
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
    struct analysis *analysis = open_object(loader, real, &problem);
    if (analysis == NULL && problem == OBJECT_UNREADABLE)
        die("cannot read \"%s\": %s", path, strerror(errno));
    const char *why = analysis == NULL ? object_problem_text(problem) : why_not_protectable(&analysis->object);
    if (why != NULL) {
        warn("\"%s\" cannot be protected: %s", path, why);
        return false;
    }
    struct loading loading = {.loader = loader, .program = program};
    library_paths_read(&loading.paths, is_musl(analysis->object.interpreter));
    add_module(program, analysis);
    add_interpreter(&loading, &analysis->object);
    add_all_needed(&loading, 0);
    add_plugins(&loading);
    add_all_opened(&loading);
    if (!is_musl(analysis->object.interpreter) && uses_name_services(program)) {
        add_name_services(&loading);
        add_all_opened(&loading);
    }
    library_paths_free(&loading.paths);
    return true;
}

void program_free(struct program *program) {
    free(program->modules);
    free(program->plugins);
    *program = (struct program){0};
}

void loader_free(struct loader *loader) {
    for (size_t i = 0; i < loader->object_count; i++) {
        analysis_free(loader->objects[i]);
        free(loader->objects[i]);
    }
    free(loader->objects);
}
