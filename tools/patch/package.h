/* What the target's package manager knows: read from its database, never by asking the network.
 */
#ifndef PINION_TOOLS_PATCH_PACKAGE_H
#define PINION_TOOLS_PATCH_PACKAGE_H

#include "tools/patch/target.h"

enum package_manager {
    PACKAGES_DPKG,
    PACKAGES_APK,
    PACKAGES_NONE,
};

enum package_manager package_manager_of(const struct target *target);

/* The version of an installed package, owned by the caller; NULL: not installed. `architecture` may be NULL. */
char *package_installed(const struct target *target, const char *package, const char *architecture);

/* Debian's order of versions (deb-version(7)), and apk's: less than, equal to, greater than 0. */
int package_compare(enum package_manager manager, const char *a, const char *b);

/* The package that owns a path, or NULL; owned by the caller. */
char *package_owner(const struct target *target, const char *path);

#endif
