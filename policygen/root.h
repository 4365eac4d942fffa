/* The root directory of the image under analysis. Every path is resolved inside it, symbolic links included; what is opened
 * is a regular file or a directory, never a device or a pipe. The image may be hostile.
 *
 * The machine's own root is one too: there, paths may also be relative to the working directory.
 */
#ifndef PINION_POLICYGEN_ROOT_H
#define PINION_POLICYGEN_ROOT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct root {
    int directory; /* -1: the machine's own root */
    char *path;    /* owned: its real path on this machine; "" for the machine's own */
};

/* Ends the process when it cannot be used. */
void root_open(struct root *root, const char *path);
void root_close(struct root *root);

/* All return -1, NULL or false, and set errno. */
int root_open_file(const struct root *root, const char *path);
bool root_stat(const struct root *root, const char *path, struct stat *status);
/* The one real name of a file, as seen inside the root; the caller frees. */
char *root_real_path(const struct root *root, const char *path);
/* A whole file and a NUL behind it. */
char *root_read(const struct root *root, const char *path, size_t limit);

/* The names in a directory, in the order of their bytes: neither the file system nor the locale may change a policy. */
struct root_entry {
    char *name;
    mode_t mode; /* of the entry itself, not of what a link names */
    dev_t device;
};
bool root_list(const struct root *root, const char *path, struct root_entry **entries, size_t *count);
void root_list_free(struct root_entry *entries, size_t count);

/* Calls for every path that matches the pattern ('*', '?' and '[' within components), in the order of names. */
void root_match(const struct root *root, const char *pattern, void (*found)(void *context, const char *path),
                void *context);

#endif
