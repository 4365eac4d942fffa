/* Opens a file twice: shortly for its headers, so that finding libraries takes no memory, and once more to analyse it. */
#include "policygen/library.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policygen/cache.h"
#include "runtime/util.h"

static char *copy(const char *text) {
    return text == NULL ? NULL : xstrdup(text);
}

static struct library *copy_headers(const struct object *object, const char *path) {
    struct library *library = xmalloc(sizeof *library);
    *library = (struct library){.path = xstrdup(path),
                                .soname = copy(object->soname),
                                .rpath = copy(object->rpath),
                                .runpath = copy(object->runpath),
                                .interpreter = copy(object->interpreter),
                                .size = object->size,
                                .go = object->go,
                                .has_dynamic = object->has_dynamic,
                                .fixed = object->type == ET_EXEC,
                                .marked_program = object->has_flags_pie,
                                .identity = object->identity};
    /* The array holds pointers. */
    for (size_t i = 0; i < object->needed_count; i++)
        *array_append(library->needed, library->needed_count) = /* NOLINT(bugprone-sizeof-expression) */
            xstrdup(object->needed[i]);
    return library;
}

struct library *library_open(const struct root *root, const char *path, enum object_problem *problem) {
    struct object object;
    cleanup_fd int fd = root_open_file(root, path);
    *problem = fd < 0 ? OBJECT_UNREADABLE : object_map(fd, path, OBJECT_HEADERS, &object);
    if (*problem != OBJECT_FINE)
        return NULL;
    struct library *library = copy_headers(&object, path);
    object_close(&object);
    return library;
}

void library_free(struct library *library) {
    if (library == NULL)
        return;
    for (size_t i = 0; i < library->needed_count; i++)
        free(library->needed[i]);
    free(library->needed);
    free(library->path);
    free(library->soname);
    free(library->rpath);
    free(library->runpath);
    free(library->interpreter);
    free(library->memory);
    free(library);
}

bool library_is_named(const char *path, const char *soname, const char *pattern) {
    const char *slash = strrchr(path, '/');
    return fnmatch(pattern, slash == NULL ? path : slash + 1, 0) == 0 ||
           (soname != NULL && fnmatch(pattern, soname, 0) == 0);
}

static void *analyse(const struct library *library, int fd, size_t *size) {
    struct analysis analysis = {.path = xstrdup(library->path)};
    enum object_problem problem = object_map(fd, library->path, OBJECT_WHOLE, &analysis.object);
    if (problem != OBJECT_FINE)
        die("cannot analyse \"%s\": %s", library->path,
            problem == OBJECT_UNREADABLE ? strerror(errno) : object_problem_text(problem));
    analysis_make(&analysis);
    void *memory = summary_make(&analysis, size);
    analysis_free(&analysis);
    return memory;
}

static void summarise(struct library *library, int fd, const struct cache *cache) {
    struct cache_key key;
    size_t size;
    if (cache != NULL) {
        if (!cache_key(fd, &library->identity, &key))
            die_with_error("cannot read \"%s\"", library->path);
        library->memory = cache_load(cache, &key, &library->summary);
        if (library->memory != NULL)
            return;
    }
    library->memory = analyse(library, fd, &size);
    const char *problem = summary_open(library->memory, size, &library->summary);
    if (problem != NULL)
        die("the summary of \"%s\" cannot be used: %s", library->path, problem);
    if (cache != NULL)
        cache_store(cache, &key, library->memory, size);
}

void library_summarise(struct library *library, const struct root *root, const struct cache *cache) {
    cleanup_fd int fd = root_open_file(root, library->path);
    if (fd < 0)
        die_with_error("cannot read \"%s\"", library->path);
    summarise(library, fd, cache);
    /* It is not read again: where memory is bounded, as in a container, what others need shall not make room for it. Pages
     * that a program has mapped stay. */
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}
