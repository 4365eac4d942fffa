/* Recipes without writing them: what is installed in a root, what the archives of its own sources have that is newer,
 * and what the advisories say that this fixes. All of it is asked in a stage, which is thrown away: the root is not
 * changed. What comes out is a draft that a person looks at and signs.
 */
#ifndef PINION_TOOLS_PATCH_SUGGEST_H
#define PINION_TOOLS_PATCH_SUGGEST_H

#include "tools/patch/recipe_new.h"
#include "tools/patch/stage.h"

struct suggest_wish {
    const char *cve, *package;      /* at least one; a package of the root, or a source */
    const char *advisories;         /* a file, or NULL */
    const char *name;               /* of the recipe, or NULL: source and version */
    const struct recipe_wish *told; /* what recipe_tell takes; a summary that is not told is made */
    const char *root;               /* directory; "/" */
    const char *scratch;            /* directory for the stage, which is made and removed */
    bool update;                    /* fetch the lists of the sources anew, within the stage */
};

enum suggest_result {
    SUGGEST_DONE,
    SUGGEST_NOTHING, /* nothing is newer, or nothing is there that could be: the mistake says what */
    SUGGEST_FAILED,
};

/* The draft, which parses; the caller frees it. */
enum suggest_result suggest(const struct suggest_wish *wish, int64_t now, char **text, struct mistake *mistake);

/* ---- its parts ---- */

/* A package that apt would install. Texts are owned. */
struct upgrade {
    char *name, *from, *to, *architecture; /* `from` is NULL for a package that is not installed */
};

struct upgrades {
    struct upgrade *items;
    size_t count;
};

/* Reads what `apt-get --simulate install` prints. Something that would be removed is a mistake. */
bool upgrades_parse(const char *output, struct upgrades *upgrades, struct mistake *mistake);
void upgrades_free(struct upgrades *upgrades);
/* Asks apt in the stage; packages end with NULL. */
bool upgrades_ask(const struct stage *stage, const char *const *packages, struct upgrades *upgrades,
                  struct mistake *mistake);

/* The archive of an upgrade, out of what `apt-cache show` prints: fills in a file of a recipe. */
bool archive_parse(const char *output, const struct upgrade *upgrade, struct recipe_file *file,
                   struct mistake *mistake);
bool archive_ask(const struct stage *stage, const struct upgrade *upgrade, struct recipe_file *file, char **source,
                 char **source_version, struct mistake *mistake);

/* Whether the root has lists of its sources; and fetching them. */
bool lists_are_there(const struct target *target);
bool lists_update(const struct stage *stage, struct mistake *mistake);

/* The name and version of a package's source, from its Source field ("openssl (3.0.11-1)", "openssl", or NULL), its
 * own name and version; owned by the caller. */
void source_of(const char *field, const char *name, const char *version, char **source, char **source_version);

/* Adds how the programs of these packages are restarted, as far as it is known: `packages` are those that change,
 * `siblings` all of the same source. Both end with NULL. */
void suggest_restarts(const struct target *target, char *const *packages, char *const *siblings, struct recipe *recipe);

#endif
