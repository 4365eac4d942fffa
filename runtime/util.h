/* What every tool needs: errors that end the program, memory, growing arrays, files written whole or not at all,
 * the nearest known word. Hosted code only: the shim never sees this.
 */
#ifndef PINION_RUNTIME_UTIL_H
#define PINION_RUNTIME_UTIL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* Exit statuses of all tools. */
enum exit_status {
    EXIT_FINE = 0,
    EXIT_FINDINGS = 1,
    EXIT_ERROR = 2,
};

/* Each prints "<program>: <message>" as one line on standard error; die and die_with_error then exit with
 * EXIT_ERROR. The errno variant appends ": <error text>". */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void die_with_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Memory: exits with a message when there is none. */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *memory, size_t count, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t length);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *xvasprintf(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

/* A stream that writes into memory, as open_memstream. */
FILE *xopen_memstream(char **text, size_t *length);

/* Room for one more element behind `count` of them. The capacity follows from the count (the next power of two),
 * so an array that grows here may be shortened at any time, but must have been allocated here from the start. */
void *array_grow(void *array, size_t count, size_t element_size);

/* Appends a zeroed element to the array and evaluates to a pointer to it. */
#define array_append(array, count)                                                                               \
    ((array) = array_grow((array), (count), sizeof(*(array))), array_clear(&(array)[(count)], sizeof(*(array))), \
     &(array)[(count)++])
void array_clear(void *element, size_t size);

/* Nanoseconds of a clock, as clock_gettime. */
uint64_t clock_nanoseconds(clockid_t clock);

/* Variables that clean up after themselves when they leave their scope; steal_* takes the content out. */
#define cleanup_free __attribute__((cleanup(cleanup_free_function)))
#define cleanup_fd __attribute__((cleanup(cleanup_fd_function)))
#define cleanup_file __attribute__((cleanup(cleanup_file_function)))

static inline void cleanup_free_function(void *variable) {
    free(*(void **)variable);
}

static inline void cleanup_fd_function(const int *fd) {
    if (*fd >= 0)
        close(*fd);
}

static inline void cleanup_file_function(FILE **file) {
    if (*file != NULL)
        fclose(*file);
}

static inline void *steal_pointer_function(void *variable) {
    void *content = *(void **)variable;
    *(void **)variable = NULL;
    return content;
}

#define steal_pointer(variable) ((__typeof__(*(variable)))steal_pointer_function(variable))

static inline int steal_fd(int *variable) {
    int fd = *variable;
    *variable = -1;
    return fd;
}

/* The whole file with a NUL behind it, or NULL and errno: EFBIG above `limit` bytes, EINVAL where it is no regular
 * file. The caller frees. */
char *file_read(const char *path, size_t limit, size_t *size);
char *fd_read(int fd, size_t limit, size_t *size);

/* A file that appears under its name only when it is complete: written under a temporary name in the same
 * directory, flushed to the disk, renamed. */
struct atomic_file {
    FILE *stream; /* write here */
    char *path;
    char *temporary;
};

/* The functions return false and set errno on failure; after a failure nothing is left behind. */
bool atomic_file_open(struct atomic_file *file, const char *path, mode_t mode);
bool atomic_file_commit(struct atomic_file *file);
void atomic_file_abandon(struct atomic_file *file); /* harmless after commit */
bool atomic_file_write(const char *path, mode_t mode, const void *data, size_t size);

/* What a path is in: "." where it says nothing. The caller frees. */
char *directory_name(const char *path);
/* Brings the names in that directory to the disk: only then a file that was made or renamed survives a power cut. */
bool directory_flush(const char *path);

/* Searching for the known word that an unknown one was meant to be: the least Damerau-Levenshtein distance, if it
 * is small for the word's length. */
struct nearest {
    const char *word;
    const char *best; /* NULL when nothing is near */
    size_t distance;
};

size_t word_distance(const char *a, const char *b);
struct nearest nearest_begin(const char *word);
void nearest_offer(struct nearest *nearest, const char *candidate);
/* Over a list that ends with NULL. */
const char *nearest_word(const char *word, const char *const *candidates);

#endif
