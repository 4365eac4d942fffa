/* One object of a file system with all that belongs to it: kind, content, mode, owner, times, extended attributes. What
 * the stage and the commit compare, copy and remove. Objects are named by a directory's descriptor and a plain name, so
 * that nobody who renames directories meanwhile can lead elsewhere; no link is ever followed. Failures are errno.
 */
#ifndef PINION_TOOLS_PATCH_NODE_H
#define PINION_TOOLS_PATCH_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct attribute {
    char *name;
    uint8_t *value;
    size_t size;
};

/* Without those that overlayfs keeps for itself. Sorted by name. */
struct attributes {
    struct attribute *items;
    size_t count;
};

/* `handle` may be O_PATH, of anything. */
bool attributes_read(int handle, struct attributes *attributes);
bool attributes_equal(const struct attributes *a, const struct attributes *b);
void attributes_free(struct attributes *attributes);
/* Whether a directory of an overlay's upper layer hides all that is below it; false where it cannot be known. */
bool node_is_opaque(int handle, bool *opaque);

/* Makes mode, owner, attributes and times those given, whatever they were; the content is left alone. */
bool node_set(int handle, const struct stat *status, const struct attributes *attributes);

/* Both are regular files of this size, with the same bytes; false and errno where they cannot be read (0: they differ). */
bool node_same_content(int a_directory, const char *a, int b_directory, const char *b);
/* Both are symbolic links to the same text. */
bool node_same_link(int a_directory, const char *a, int b_directory, const char *b);

/* Makes a copy of anything but a directory, holes and all. */
bool node_copy(int from_directory, const char *from, int to_directory, const char *to);

/* Removes it with all that is below it, but never what is on a mount of its own (EXDEV). Fine if it is not there. */
bool node_remove(int directory, const char *name);

/* The names in a directory, sorted; ends with NULL, NULL if it cannot be read. */
char **node_names(int directory);
void node_names_free(char **names);

#endif
