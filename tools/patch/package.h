/* What the target's package manager knows: read from its database, never by asking the network. The database is the
 * target's own and may say anything.
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

/* One package that is installed, or half so; texts are good during the visit alone. */
struct package {
    const char *name, *version, *architecture;
    const char *source; /* as dpkg has it, "openssl (3.0.11-1)"; NULL: the package's own name and version */
    bool interrupted;   /* unpacked or configured in part: the package manager was stopped, or failed */
    bool held;          /* the administrator wants no other version */
    uint64_t occupies;  /* bytes, as the package manager estimates; 0: not known */
};

/* Visits all; the callback returns false to stop. False: there is no database that can be read. */
typedef bool package_visit(const struct package *package, void *context);
bool package_each(const struct target *target, package_visit *visit, void *context);
/* The same for a database's text, which is spoiled. */
void package_each_of(enum package_manager manager, char *text, package_visit *visit, void *context);

/* The version of an installed package, owned by the caller; NULL: not installed. `architecture` may be NULL; "all"
 * and any other are the same package. */
char *package_installed(const struct target *target, const char *package, const char *architecture);

/* Debian's order of versions (deb-version(7)), and apk's: less than, equal to, greater than 0. */
int package_compare(enum package_manager manager, const char *a, const char *b);

/* The package that owns a path, or NULL; owned by the caller. */
char *package_owner(const struct target *target, const char *path);

#endif
