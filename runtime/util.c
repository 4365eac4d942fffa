/* Helpers of the tools. Nothing here knows of policies. */
#define _GNU_SOURCE 1
#include "runtime/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_WORD 64 /* longer words are not compared */

/* One write for the whole line: messages of several processes do not mix. */
static void print_message(const char *format, va_list arguments, int error) {
    cleanup_free char *text = NULL;
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    fprintf(stderr, "%s: %s%s%s\n", program_invocation_short_name, text != NULL ? text : format, error != 0 ? ": " : "",
            error != 0 ? strerror(error) : "");
}

void warn(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments, 0);
    va_end(arguments);
}

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments, 0);
    va_end(arguments);
    exit(EXIT_ERROR);
}

void die_with_error(const char *format, ...) {
    int error = errno;
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments, error);
    va_end(arguments);
    exit(EXIT_ERROR);
}

void *xmalloc(size_t size) {
    void *memory = malloc(size != 0 ? size : 1);
    if (memory == NULL)
        die("out of memory");
    return memory;
}

void *xcalloc(size_t count, size_t size) {
    void *memory = calloc(count != 0 ? count : 1, size != 0 ? size : 1);
    if (memory == NULL)
        die("out of memory");
    return memory;
}

void *xrealloc(void *memory, size_t count, size_t size) {
    void *moved = reallocarray(memory, count != 0 ? count : 1, size != 0 ? size : 1);
    if (moved == NULL)
        die("out of memory");
    return moved;
}

char *xstrdup(const char *text) {
    return xstrndup(text, strlen(text));
}

char *xstrndup(const char *text, size_t length) {
    length = strnlen(text, length);
    char *copy = xmalloc(length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *xvasprintf(const char *format, va_list arguments) {
    char *text = NULL;
    if (vasprintf(&text, format, arguments) < 0)
        die("out of memory");
    return text;
}

char *xasprintf(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = xvasprintf(format, arguments);
    va_end(arguments);
    return text;
}

FILE *xopen_memstream(char **text, size_t *length) {
    FILE *stream = open_memstream(text, length);
    if (stream == NULL)
        die("out of memory");
    return stream;
}

void *array_grow(void *array, size_t count, size_t element_size) {
    if ((count & (count - 1)) != 0)
        return array;
    return xrealloc(array, count == 0 ? 1 : 2 * count, element_size);
}

void array_clear(void *element, size_t size) {
    memset(element, 0, size);
}

char *fd_read(int fd, size_t limit, size_t *size) {
    struct stat status;
    if (fstat(fd, &status) != 0)
        return NULL;
    if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size > limit) {
        errno = S_ISREG(status.st_mode) ? EFBIG : EINVAL;
        return NULL;
    }
    size_t expected = (size_t)status.st_size;
    cleanup_free char *content = xmalloc(expected + 1);
    size_t length = 0;
    while (length < expected) {
        ssize_t got = read(fd, content + length, expected - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return NULL;
        if (got == 0)
            break;
        length += (size_t)got;
    }
    content[length] = '\0';
    *size = length;
    return steal_pointer(&content);
}

char *file_read(const char *path, size_t limit, size_t *size) {
    /* O_NONBLOCK: opening a pipe that nobody writes must not hang. */
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    return fd_read(fd, limit, size);
}

bool atomic_file_open(struct atomic_file *file, const char *path, mode_t mode) {
    *file = (struct atomic_file){.path = xstrdup(path), .temporary = xasprintf("%s.XXXXXX", path)};
    cleanup_fd int fd = mkostemp(file->temporary, O_CLOEXEC);
    if (fd >= 0 && fchmod(fd, mode) == 0)
        file->stream = fdopen(fd, "w");
    if (file->stream == NULL) {
        int error = errno;
        if (fd >= 0)
            unlink(file->temporary);
        free(steal_pointer(&file->path));
        free(steal_pointer(&file->temporary));
        errno = error;
        return false;
    }
    steal_fd(&fd);
    return true;
}

void atomic_file_abandon(struct atomic_file *file) {
    int error = errno;
    if (file->stream != NULL)
        fclose(steal_pointer(&file->stream));
    if (file->temporary != NULL)
        unlink(file->temporary);
    free(steal_pointer(&file->path));
    free(steal_pointer(&file->temporary));
    errno = error;
}

bool atomic_file_commit(struct atomic_file *file) {
    bool good = fflush(file->stream) == 0 && !ferror(file->stream) && fsync(fileno(file->stream)) == 0;
    if (good)
        good = fclose(steal_pointer(&file->stream)) == 0 && rename(file->temporary, file->path) == 0;
    if (good)
        free(steal_pointer(&file->temporary));
    atomic_file_abandon(file);
    return good;
}

bool atomic_file_write(const char *path, mode_t mode, const void *data, size_t size) {
    struct atomic_file file;
    if (!atomic_file_open(&file, path, mode))
        return false;
    if (size != 0 && fwrite(data, size, 1, file.stream) != 1) {
        atomic_file_abandon(&file);
        return false;
    }
    return atomic_file_commit(&file);
}

char *directory_name(const char *path) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return xstrdup(".");
    return xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
}

bool directory_flush(const char *path) {
    char *directory = directory_name(path);
    cleanup_fd int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(directory);
    return fd >= 0 && fsync(fd) == 0;
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Optimal string alignment: insertions, deletions, substitutions, swaps of neighbours; three rows at a time. */
size_t word_distance(const char *a, const char *b) {
    size_t a_length = strnlen(a, MAX_WORD + 1);
    size_t b_length = strnlen(b, MAX_WORD + 1);
    if (a_length > MAX_WORD || b_length > MAX_WORD)
        return SIZE_MAX;
    size_t rows[3][MAX_WORD + 1];
    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *row = rows[i % 3];
        const size_t *previous = rows[(i + 2) % 3];
        const size_t *before_previous = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            row[j] = smaller(smaller(previous[j], row[j - 1]) + 1, previous[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = smaller(row[j], before_previous[j - 2] + 1);
        }
    }
    return rows[a_length % 3][b_length];
}

struct nearest nearest_begin(const char *word) {
    /* A third of the letters may differ, at least one, at most three. */
    size_t third = strlen(word) / 3;
    size_t limit = third < 1 ? 1 : third > 3 ? 3 : third;
    return (struct nearest){.word = word, .distance = limit + 1};
}

void nearest_offer(struct nearest *nearest, const char *candidate) {
    size_t distance = word_distance(nearest->word, candidate);
    if (distance < nearest->distance && distance < strlen(candidate)) {
        nearest->distance = distance;
        nearest->best = candidate;
    }
}

const char *nearest_word(const char *word, const char *const *candidates) {
    struct nearest nearest = nearest_begin(word);
    for (; *candidates != NULL; candidates++)
        nearest_offer(&nearest, *candidates);
    return nearest.best;
}

/* ---- time ---- */

uint64_t clock_nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
