/* What a commit is about to do, as it stands on disk while it is under way: enough to undo it from any state. It lies in
 * the target, where a hostile root could have written it: every byte is checked, and nothing in it can name a place
 * outside of the target.
 */
#ifndef PINION_TOOLS_PATCH_MANIFEST_H
#define PINION_TOOLS_PATCH_MANIFEST_H

#include "runtime/document.h"
#include "tools/patch/changes.h"
#include "tools/patch/node.h"

#define MANIFEST_BYTES_MOST (64u << 20)

struct manifest_entry {
    enum change_kind kind;
    char *path;
    bool was_directory, is_directory;
    uint64_t inode; /* of the new file, 0: none */
    /* Of what is changed in place (CHANGE_METADATA) and of directories that go: mode, owner and times. */
    struct stat before;
    struct attributes attributes;
};

/* A directory whose entries change, and when it was last changed. Its path may be "/". */
struct manifest_directory {
    char *path;
    struct stat before;
};

struct manifest {
    int64_t incident;
    struct manifest_entry *entries; /* in the order in which they are made */
    size_t entry_count;
    struct manifest_directory *directories;
    size_t directory_count;
};

void manifest_free(struct manifest *manifest);
/* The caller frees. */
char *manifest_write(const struct manifest *manifest, size_t *size);
/* Takes an empty manifest; after false it is empty again. */
bool manifest_parse(const void *data, size_t size, struct manifest *manifest, struct mistake *mistake);

#endif
