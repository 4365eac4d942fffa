/* Looks at read-only bytes alone, without asking which code uses them: a path too many costs a look at the file system,
 * one too few leaves a plug-in without rules.
 */
#include "policygen/folders.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"

#define MAX_FOLDER_BYTES 512

/* Two components at least: "/usr" holds no plug-ins. */
static bool is_folder_name(const char *text, size_t length) {
    return length >= 4 && text[0] == '/' && memchr(text + 1, '/', length - 2) != NULL;
}

/* The length of a text that could be a path or a list of them with colons between, or 0. */
static size_t path_length(const char *text, size_t rest) {
    for (size_t i = 0; i < rest && i < MAX_FOLDER_BYTES; i++) {
        if (text[i] == 0)
            return i;
        if (text[i] <= ' ' || text[i] == 0x7f || text[i] == '%')
            return 0;
    }
    return 0;
}

static void add_text(const char *text, size_t length, char ***folders, size_t *count) {
    for (size_t start = 0, end; start < length; start = end + 1) {
        const char *colon = memchr(text + start, ':', length - start);
        end = colon == NULL ? length : (size_t)(colon - text);
        while (end > start + 1 && colon == NULL && text[end - 1] == '/')
            length = --end;
        /* The array holds pointers. */
        if (is_folder_name(text + start, end - start))
            *array_append(*folders, *count) = /* NOLINT(bugprone-sizeof-expression) */
                xstrndup(text + start, end - start);
    }
}

static void search(const struct segment *segment, char ***folders, size_t *count) {
    const char *bytes = (const char *)segment->bytes, *end = bytes + segment->file_size, *at = bytes;
    while ((size_t)(end - at) > 2 && (at = memmem(at, (size_t)(end - at), "\0/", 2)) != NULL) {
        at++;
        size_t length = path_length(at, (size_t)(end - at));
        if (length > 0)
            add_text(at, length, folders, count);
    }
}

static int compare(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void folders_find(const struct object *object, char ***folders, size_t *count) {
    for (size_t i = 0; i < object->segment_count; i++) {
        if ((object->segments[i].flags & PF_W) == 0)
            search(&object->segments[i], folders, count);
    }
    if (*count == 0)
        return;
    qsort(*folders, *count, sizeof **folders, compare);
    size_t kept = 1;
    for (size_t i = 1; i < *count; i++) {
        if (strcmp((*folders)[i], (*folders)[kept - 1]) == 0)
            free((*folders)[i]);
        else
            (*folders)[kept++] = (*folders)[i];
    }
    *count = kept;
}
