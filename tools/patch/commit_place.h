/* Where a commit keeps what it needs to be undone: COMMIT_DIRECTORY/ID of the target, with
 *
 *   manifest   what is done; while it is there the commit can be undone, and has to be either undone or kept
 *   new/N      what the manifest's entry N puts into place (for a directory: an empty file), until it is in place
 *   old/N      what was there before, another name of the same file (for a directory: a file that keeps room for it)
 */
#ifndef PINION_TOOLS_PATCH_COMMIT_PLACE_H
#define PINION_TOOLS_PATCH_COMMIT_PLACE_H

#include "tools/patch/commit.h"
#include "tools/patch/manifest.h"

struct commit_place {
    const struct target *target;
    int64_t incident;
    int rollback;  /* COMMIT_DIRECTORY; -1: not there */
    int directory; /* that of the incident, O_RDONLY; -1: not there */
    int old, new;  /* O_PATH; -1: not there */
};

/* The name of entry N in new and old. */
struct commit_name {
    char text[24];
};
struct commit_name commit_name(size_t index);

/* Refuses a directory that others could have written to. */
bool commit_place_open(struct commit_place *place, const struct target *target, int64_t incident,
                       struct mistake *mistake);
/* Makes what is missing; a place that this incident has already is a mistake. */
bool commit_place_make(struct commit_place *place, const struct target *target, int64_t incident,
                       struct mistake *mistake);
void commit_place_close(struct commit_place *place);

/* Both on disk when they return. */
bool commit_manifest_write(const struct commit_place *place, const struct manifest *manifest, struct mistake *mistake);
bool commit_manifest_remove(const struct commit_place *place, struct mistake *mistake);
/* `there` false: no commit is under way. */
bool commit_manifest_read(const struct commit_place *place, struct manifest *manifest, bool *there,
                          struct mistake *mistake);
/* Removes the place, whose manifest is gone, and the directories above it if they are empty. */
bool commit_place_remove(struct commit_place *place, struct mistake *mistake);

#endif
