/* What the methods share: running commands in the stage, a place for downloads, what a plan begins with.
 */
#ifndef PINION_TOOLS_PATCH_METHOD_PARTS_H
#define PINION_TOOLS_PATCH_METHOD_PARTS_H

#include "tools/patch/method.h"
#include "tools/patch/package.h"

/* For a command or download. */
static inline unsigned method_seconds(const struct stage *stage) {
    unsigned left = command_seconds(stage->timeout != 0 ? stage->timeout : 1800);
    return left > 0 ? left : 1;
}

/* The words of a command line, as they grow; ends with NULL. The words themselves are the caller's. */
struct words {
    const char **items;
    size_t count;
};

void words_add(struct words *words, const char *word);
void words_add_all(struct words *words, const char *const *more); /* `more` ends with NULL */

#define NAMES_MOST 4096

struct names {
    char **items; /* owned */
    size_t count;
};

void names_free(struct names *names);

/* Adds PATH/NAME, sorted, for the files of the directory (which is closed) whose names end so. */
bool method_list(int directory, const char *path, const char *ending, struct names *names);

/* Runs a command in the stage that asks nobody anything, and adds to the cost. `output` (may be NULL) is the caller's. */
bool method_run(const struct stage *stage, const char *const *arguments, enum stage_network network,
                struct method_cost *cost, char **output, struct mistake *mistake);

/* Makes these lines of a command's output, which are spoiled, the mistake. */
void method_quote(char *output, struct mistake *mistake);

/* Makes the directory STAGE_WORK/NAME. */
bool method_directory(const struct stage *stage, const char *name, mode_t mode, struct mistake *mistake);

/* Whether what is left to read has the size and digest that the recipe gives; then it can be read again. */
bool method_is(int fd, const struct recipe_file *file);

/* Opens the file at this path of the stage, which is the one that the recipe pins, byte for byte; else -1. */
int method_open_verified(const struct stage *stage, const char *path, const struct recipe_file *file,
                         struct mistake *mistake);

/* The stage as it looks now, as a target; to be closed. */
bool method_view(const struct stage *stage, struct target *view, struct mistake *mistake);

/* Whether the target's package manager can be used at all: its database is whole, nobody is at work in it. */
enum method_readiness method_manager_ready(const struct target *target, struct mistake *mistake);

/* Whether the administrator wants no other version of this package; then the mistake says so. */
bool method_held(const struct target *target, const char *package, struct mistake *mistake);

/* From, to, and whether there is anything to do, by the versions alone. A recipe without a package is always ready. */
enum method_readiness method_versions(const struct recipe *recipe, const struct target *target,
                                      struct method_plan *plan, struct mistake *mistake);

/* What unpacking needs beside what is there: as much as the package occupies now and a quarter more, or six times the
 * archive, whichever is more. */
uint64_t method_room(const struct target *target, const char *package, uint64_t archive);

/* Adds a line to the plan; takes the text. */
void method_plan_line(struct method_plan *plan, char *line);

/* Whether the target has this program. */
bool method_has_program(const struct target *target, const char *path);

/* ---- Debian packages ---- */

struct archive {
    char *path; /* in the stage */
    char *name, *version, *architecture;
};

struct archives {
    struct archive *items;
    size_t count;
};

void archives_free(struct archives *archives);

#define APT_HELPER "/usr/lib/apt/apt-helper" /* apt's own downloader */

enum debian_need {
    NEED_NEW,     /* only if another depends on it */
    NEED_UPGRADE, /* an older version is installed */
    NEED_NOTHING, /* it is there already, or a newer one is */
};

/* `installed` becomes the version in the target, or NULL. */
enum debian_need debian_need_of(const struct target *target, const struct recipe_file *file, char **installed);

/* Downloads those of the recipe's archives that are needed and verifies them; the second lists what was brought. */
bool debian_fetch_pinned(const struct recipe *recipe, const struct stage *stage, struct method_cost *cost,
                         struct mistake *mistake);
bool debian_pinned(const struct recipe *recipe, const struct stage *stage, struct archives *archives,
                   struct mistake *mistake);

/* Unpacks and configures exactly these in the stage, without a network. Afterwards each has its version, nothing is
 * half done, and nothing went back to an older version. */
bool debian_install(const struct stage *stage, const struct archives *archives, struct method_cost *cost,
                    struct mistake *mistake);

/* Brings the lists of the target's configured sources into STAGE_WORK, where debian_download alone looks at them. */
bool debian_update(const struct stage *stage, struct method_cost *cost, struct mistake *mistake);

/* Asks apt what it would install for these packages ("name" or "name=version"), and downloads it. Refused when it would
 * remove or lower anything. With `upgrade_only` a package that is not installed is not installed. What came is in
 * `archives`. */
bool debian_download(const struct stage *stage, const char *const *packages, bool upgrade_only,
                     struct archives *archives, struct method_cost *cost, struct mistake *mistake);

/* What debian_download has brought into this stage. */
bool debian_downloaded(const struct stage *stage, struct archives *archives, struct mistake *mistake);

/* The addresses below which the target's configured sources of binary packages keep their archives, each ending with
 * "/", in their order, none twice. */
void debian_addresses(const struct target *target, struct names *addresses);
void addresses_add_list(struct names *addresses, const char *text);    /* sources.list, one line each */
void addresses_add_stanzas(struct names *addresses, const char *text); /* deb822 */

/* ---- Alpine packages ---- */

#define APK_CHOICES_MOST 256

struct apk_choice {
    char *name, *version;
};

/* What apk would install or upgrade. */
struct apk_choices {
    struct apk_choice items[APK_CHOICES_MOST];
    size_t count;
};

/* Reads what `apk add --simulate` printed, which is spoiled. Refused when it would do anything else. The choices are to
 * be freed in both cases. */
bool apk_choices_read(char *output, struct apk_choices *choices, struct mistake *mistake);
void apk_choices_free(struct apk_choices *choices);

/* ---- files ---- */

/* `path`: in the form of form_changeable_path, or in STAGE_WORK.
 *
 * Puts the content of a file in the place of `path`, at once. It gets mode (if not 0, else), owner and extended
 * attributes of the file that it replaces; where nothing was, root's and 0644. A link in its place is a mistake. */
bool method_put(const struct stage *stage, int from, const char *path, mode_t mode, struct mistake *mistake);
bool method_put_link(const struct stage *stage, const char *content, const char *path, struct mistake *mistake);
/* A directory that is there, or a link to one, stays as it is. */
bool method_put_directory(const struct stage *stage, const char *path, mode_t mode, struct mistake *mistake);

#endif
