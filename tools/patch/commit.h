/* Bringing what was staged into the target, and back. A manifest on disk says what is to be done before anything is;
 * every file is replaced by a rename; the old one is kept (a hard link where that is possible, so that it comes back as
 * the very same file). Killed at any point, commit_undo brings the target back to identical files, and can itself be
 * killed and run again. Directories come back with their times, but are not the same directories if they were gone.
 */
#ifndef PINION_TOOLS_PATCH_COMMIT_H
#define PINION_TOOLS_PATCH_COMMIT_H

#include "tools/patch/changes.h"

/* Where the old files of an incident are kept: in the target, on its own file system, so that links and renames work;
 * mode 0700. Never part of changes. */
#define COMMIT_DIRECTORY "/var/lib/pinion/rollback"

/* Writes manifest and backups, then makes the changes. Files of the target that are no longer as `before` says (a
 * program wrote them in between) are a mistake, found before anything is touched. After a mistake nothing is undone
 * yet: that is commit_undo's. `first` (may be NULL) tells which paths are to be in place before all others. */
bool commit_make(const struct changes *changes, const struct stage *stage, bool (*first)(const char *path),
                 struct mistake *mistake);

/* Brings the target back, as far as a commit of this incident got. True as well where none was begun. After a mistake
 * everything else has been brought back, and it can be tried again. Where packages were installed since, nothing is
 * brought back: that is a mistake too. */
bool commit_undo(const struct target *target, int64_t incident, struct mistake *mistake);

/* What the commit has put into place, while it can be undone; NULL: nothing, or it cannot be read. For
 * file_identities_free. */
struct file_identity *commit_new_files(const struct target *target, int64_t incident, size_t *count);

/* The patch stays: removes manifest and old files. False only if the manifest is still there, so that it can be undone;
 * old files that cannot be removed are left with a warning. */
bool commit_keep(const struct target *target, int64_t incident, struct mistake *mistake);

/* Whether the target holds a manifest of this incident. */
bool commit_is_under_way(const struct target *target, int64_t incident);

#endif
