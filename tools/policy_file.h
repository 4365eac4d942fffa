/* Policies as files: finding the one of a program, loading text and compiled forms alike, and comparing what a
 * policy was made for with what is installed.
 */
#ifndef PINION_TOOLS_POLICY_FILE_H
#define PINION_TOOLS_POLICY_FILE_H

#include "runtime/document.h"

#define POLICY_DIRECTORY "/etc/pinion"
#define POLICY_TEXT_SUFFIX ".policy"
#define POLICY_COMPILED_SUFFIX ".pinion"

struct policy_file {
    char *path;
    bool compiled; /* read from the compiled form: origins and functions are not known */
    struct document document;
    void *image; /* the compiled form, read or made from the text */
    size_t size;
};

/* Loads either form. Returns false and fills `mistake`. */
bool policy_load(const char *path, struct policy_file *file, struct mistake *mistake);
void policy_unload(struct policy_file *file);
const struct policy_header *policy_header_of(const struct policy_file *file);

/* As policy_load, but ends the program with a message. */
void policy_load_or_die(const char *path, struct policy_file *file);

/* Fills a document from a validated compiled policy. */
void document_from_compiled(const struct policy_header *policy, struct document *document);

/* `given`, or what PINION_POLICY_DIR says, or POLICY_DIRECTORY. */
const char *policy_directory(const char *given);
/* DIRECTORY/<stem of the program><suffix>. */
char *policy_path(const char *directory, const char *program, const char *suffix);
bool has_suffix(const char *text, const char *suffix);
/* "x.policy" -> "x.pinion". */
char *compiled_path(const char *text_path);
/* The paths in a directory that end with the suffix, in order; the list and its items are the caller's. */
struct path_list {
    char **items;
    size_t count;
};
struct path_list list_directory(const char *directory, const char *suffix);
void path_list_free(struct path_list *list);
bool is_directory(const char *path);

/* What a policy was made for and what stands at that path now. */
enum freshness {
    FRESH,
    CHANGED,    /* another build */
    MISSING,    /* no such file */
    UNREADABLE, /* not readable, or no ELF file */
};

/* `root` is put before the path: "" or the root of an image. `found` gets the identity of the file there. */
enum freshness compare_with_file(const struct identity *expected, const char *root, const char *path,
                                 struct identity *found);
/* "policy is for build 8a.. of /usr/sbin/nginx, the file there is build 91..: run policygen again" */
char *describe_change(const char *path, const struct identity *expected, const struct identity *found);

/* The last component of a path. */
const char *base_name(const char *path);

#endif
