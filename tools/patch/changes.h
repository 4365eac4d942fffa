/* What a stage changed, file by file, and what the target had there when it was looked at. */
#ifndef PINION_TOOLS_PATCH_CHANGES_H
#define PINION_TOOLS_PATCH_CHANGES_H

#include <sys/stat.h>

#include "tools/patch/processes.h"
#include "tools/patch/stage.h"

enum change_kind {
    CHANGE_CREATE,   /* nothing was there */
    CHANGE_REPLACE,  /* a file, link or device in place of another */
    CHANGE_REMOVE,   /* including a whole directory: its entries come before it */
    CHANGE_METADATA, /* same content; mode, owner, times or extended attributes */
};

struct change {
    enum change_kind kind;
    char *path;         /* inside the target: "/usr/lib/x.so" */
    struct stat before; /* of the target; st_ino is 0 for CHANGE_CREATE */
    struct stat after;  /* in the stage; st_ino is 0 for CHANGE_REMOVE */
};

struct changes {
    /* In the order in which they can be made: a directory before what is in it; removals at the end, entries before
     * their directory. Only where a directory makes room for something else, its entries' removals come just before. */
    struct change *items;
    size_t count;
    uint64_t bytes_before, bytes_after; /* disk blocks of the files concerned, as st_blocks * 512 */
};

/* Walks the stage, after the last command in it. What equals the target in content and metadata is no change (a copied-up file that was only
 * opened), nor is a directory of which only the time is another, nor anything in STAGE_WORK, /run, /tmp, /dev, /proc,
 * /sys, /var/lib/pinion. What the target has on a mount of its own cannot be changed: a mistake. */
bool changes_read(struct changes *changes, const struct stage *stage, struct mistake *mistake);
void changes_free(struct changes *changes);

/* What the target has in place of what is replaced or removed; for file_identities_free. */
struct file_identity *changes_old_files(const struct changes *changes, size_t *count);

#endif
