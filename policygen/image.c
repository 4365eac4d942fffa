/* Walks all directories of an image. A link is never followed: what it names is found where it lies. Every file that
 * anyone may execute is looked at, and what is no program of ours is said so plainly.
 */
#include "policygen/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/util.h"

#define MAX_DIRECTORY_DEPTH 64
#define MAX_SCRIPT_LINE 256

struct finding {
    struct image *image;
    struct loader *loader;
    dev_t device;
};

void image_add(struct image *image, const char *path, const char *why) {
    *array_append(image->unprotected, image->unprotected_count) = (struct unprotected){xstrdup(path), xstrdup(why)};
}

/* A script is protected as its interpreter is. */
static char *describe_script(const char *line) {
    line += strspn(line, "#! \t");
    size_t length = strcspn(line, " \t\r\n");
    const char *word = line + length + strspn(line + length, " \t");
    cleanup_free char *interpreter = xstrndup(line, length);
    const char *slash = strrchr(interpreter, '/');
    if (slash == NULL || strcmp(slash, "/env") != 0)
        return xasprintf("a script of %s, with whose policy it runs", interpreter);
    return xasprintf("a script of %.*s, with whose policy it runs", (int)strcspn(word, " \t\r\n"), word);
}

/* Tells files that can be started by their first bytes; `why` is set where there is something to say of them. */
static bool starts_elf(const struct root *root, const char *path, char **why) {
    char start[MAX_SCRIPT_LINE + 1];
    cleanup_fd int fd = root_open_file(root, path);
    ssize_t length = fd < 0 ? -1 : pread(fd, start, MAX_SCRIPT_LINE, 0);
    if (length < 0 && errno == EACCES)
        *why = xstrdup("it cannot be read");
    if (length < 2)
        return false;
    start[length] = 0;
    if (memcmp(start, "#!", 2) == 0)
        *why = describe_script(start);
    return (size_t)length > SELFMAG && memcmp(start, ELFMAG, SELFMAG) == 0;
}

/* Shared libraries are often executable, and a few have an interpreter. */
static bool is_program(const struct library *library) {
    return library->fixed || library->marked_program || (library->interpreter != NULL && library->soname == NULL);
}

static void look_at(struct finding *finding, const char *path) {
    enum object_problem problem;
    cleanup_free char *why = NULL;
    if (starts_elf(finding->loader->root, path, &why)) {
        struct library *library = library_open(finding->loader->root, path, &problem);
        if (library != NULL && is_program(library))
            loader_add(finding->loader, path);
        else if (problem == OBJECT_OTHER_MACHINE || problem == OBJECT_DAMAGED)
            why = xstrdup(object_problem_text(problem));
        library_free(library);
    }
    if (why != NULL)
        image_add(finding->image, path, why);
}

static void walk(struct finding *finding, const char *directory, unsigned depth) {
    struct root_entry *entries;
    size_t count;
    if (depth > MAX_DIRECTORY_DEPTH ||
        !root_list(finding->loader->root, directory[0] == 0 ? "/" : directory, &entries, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        cleanup_free char *path = xasprintf("%s/%s", directory, entries[i].name);
        if (entries[i].device != finding->device)
            continue;
        if (S_ISDIR(entries[i].mode))
            walk(finding, path, depth + 1);
        else if (S_ISREG(entries[i].mode) && (entries[i].mode & 0111) != 0)
            look_at(finding, path);
    }
    root_list_free(entries, count);
}

void image_find(struct image *image, struct loader *loader) {
    struct stat status;
    if (!root_stat(loader->root, "/", &status))
        die_with_error("cannot read the image root \"%s\"", loader->root->path);
    struct finding finding = {image, loader, status.st_dev};
    *image = (struct image){0};
    walk(&finding, "", 0);
}

static int compare_paths(const void *a, const void *b) {
    const struct unprotected *x = a, *y = b;
    return strcmp(x->path, y->path);
}

void image_sort(struct image *image) {
    if (image->unprotected_count > 0)
        qsort(image->unprotected, image->unprotected_count, sizeof *image->unprotected, compare_paths);
}

void image_free(struct image *image) {
    for (size_t i = 0; i < image->unprotected_count; i++) {
        free(image->unprotected[i].path);
        free(image->unprotected[i].why);
    }
    free(image->unprotected);
}
