/* From a CVE or a package to a draft of a recipe. What the root's own package manager says is not to be trusted further
 * than a person looks: the draft says so.
 */
#include "tools/patch/suggest.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/describe.h"
#include "tools/patch/advisories.h"
#include "tools/patch/form.h"
#include "tools/patch/package.h"

#define PACKAGES_MOST 1024
#define OS_RELEASE_MOST 65536

/* An installed package. Texts are owned. */
struct binary {
    char *name, *version, *architecture, *source, *source_version;
    bool held;
};

struct job {
    const struct suggest_wish *wish;
    struct target target;
    struct advisories advisories;
    struct binary *binaries;
    size_t binary_count;
    const struct binary *main; /* the package that the recipe names */
    struct upgrades upgrades;
    char *fixed_source; /* version of the source that will be there */
    struct recipe recipe;
    char *left_out; /* names of packages that hold nothing that runs, or NULL */
};

__attribute__((format(printf, 2, 3))) static enum suggest_result nothing(struct mistake *mistake, const char *format,
                                                                         ...) {
    va_list arguments;
    va_start(arguments, format);
    cleanup_free char *text = xvasprintf(format, arguments);
    va_end(arguments);
    text_mistake(mistake, 0, "%s", text);
    return SUGGEST_NOTHING;
}

/* ---- what is installed ---- */

static bool add_binary(const struct package *package, void *context) {
    struct job *job = context;
    if (!form_matches(&form_debian_package, package->name) || !form_matches(&form_debian_version, package->version) ||
        package->architecture == NULL || !form_matches(&form_architecture, package->architecture))
        return true;
    struct binary *binary = array_append(job->binaries, job->binary_count);
    *binary = (struct binary){.name = xstrdup(package->name),
                              .version = xstrdup(package->version),
                              .architecture = xstrdup(package->architecture),
                              .held = package->held};
    source_of(package->source, package->name, package->version, &binary->source, &binary->source_version);
    return true;
}

static const struct binary *find_binary(const struct job *job, const char *name) {
    for (size_t i = 0; i < job->binary_count; i++)
        if (strcmp(job->binaries[i].name, name) == 0)
            return &job->binaries[i];
    return NULL;
}

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length > tail && strcmp(text + length - tail, end) == 0;
}

/* Packages in which nothing runs: apt still takes those that others need in the same version. */
static bool holds_nothing_that_runs(const char *name) {
    static const char *const ends[] = {"-doc", "-dev", "-dbg", "-dbgsym"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (ends_with(name, ends[i]))
            return true;
    return false;
}

/* The installed package that stands for a source: the one of its name, else a library, else any. */
static const struct binary *main_of(const struct job *job, const char *source) {
    const struct binary *best = NULL;
    int best_rank = 0;
    for (size_t i = 0; i < job->binary_count; i++) {
        const struct binary *binary = &job->binaries[i];
        if (strcmp(binary->source, source) != 0)
            continue;
        int rank = holds_nothing_that_runs(binary->name)  ? 1
                   : strcmp(binary->name, source) == 0    ? 4
                   : strncmp(binary->name, "lib", 3) == 0 ? 3
                                                          : 2;
        if (rank > best_rank) {
            best = binary;
            best_rank = rank;
        }
    }
    return best;
}

/* ---- which package ---- */

/* The root's release, as in /etc/os-release; owned by the caller, or NULL. */
static char *codename_of(const struct target *target) {
    size_t size;
    cleanup_fd int fd = target_openat(target, "/etc/os-release", O_RDONLY | O_CLOEXEC, 0);
    cleanup_free char *text = fd >= 0 ? fd_read(fd, OS_RELEASE_MOST, &size) : NULL;
    char *rest = text;
    for (const char *line; (line = strsep(&rest, "\n")) != NULL;)
        if (strncmp(line, "VERSION_CODENAME=", strlen("VERSION_CODENAME=")) == 0)
            return xstrdup(line + strlen("VERSION_CODENAME="));
    return NULL;
}

static bool read_advisories(struct job *job, struct mistake *mistake) {
    if (job->wish->advisories == NULL)
        return true;
    if (!advisories_read(job->wish->advisories, &job->advisories, mistake)) {
        cleanup_free char *text = xstrdup(mistake->text);
        return text_mistake(mistake, 0, "cannot read the advisories \"%s\" line %u: %.200s", job->wish->advisories,
                            mistake->line, text);
    }
    cleanup_free char *codename = codename_of(&job->target);
    if (codename == NULL || *job->advisories.release == '\0' || strcmp(codename, job->advisories.release) == 0)
        return true;
    return text_mistake(mistake, 0, "the advisories are of %.40s, and the root is of %.40s: take those of its release",
                        job->advisories.release, codename);
}

static enum suggest_result choose_by_package(struct job *job, struct mistake *mistake) {
    const char *name = job->wish->package;
    job->main = find_binary(job, name);
    if (job->main == NULL)
        job->main = main_of(job, name);
    if (job->main != NULL)
        return SUGGEST_DONE;
    return nothing(mistake, "neither a package \"%.100s\" nor one of this source is installed", name);
}

static enum suggest_result choose_by_cve(struct job *job, struct mistake *mistake) {
    bool known = false;
    if (job->wish->advisories == NULL) {
        text_mistake(mistake, 0, "which package has %s? Give --advisories FILE or --package", job->wish->cve);
        return SUGGEST_FAILED;
    }
    for (size_t i = 0; i < job->advisories.count; i++) {
        const struct advisory *advisory = &job->advisories.items[i];
        if (strcmp(advisory->cve, job->wish->cve) != 0)
            continue;
        known = true;
        const struct binary *found = main_of(job, advisory->source);
        if (found != NULL && job->main != NULL && strcmp(found->source, job->main->source) != 0) {
            text_mistake(mistake, 0, "%s is in %s and in %s: say which with --package", job->wish->cve,
                         job->main->source, found->source);
            return SUGGEST_FAILED;
        }
        job->main = found != NULL ? found : job->main;
    }
    if (job->main != NULL)
        return SUGGEST_DONE;
    return nothing(mistake, known ? "no package with %s is installed" : "the advisories know nothing of %s",
                   job->wish->cve);
}

/* The version of the source that fixes the CVE, as the advisories say, or NULL. */
static const char *needed_version(const struct job *job) {
    for (size_t i = 0; job->wish->cve != NULL && i < job->advisories.count; i++) {
        const struct advisory *advisory = &job->advisories.items[i];
        if (strcmp(advisory->cve, job->wish->cve) == 0 && strcmp(advisory->source, job->main->source) == 0)
            return advisory->fixed;
    }
    return NULL;
}

static enum suggest_result choose(struct job *job, struct mistake *mistake) {
    enum suggest_result result =
        job->wish->package != NULL ? choose_by_package(job, mistake) : choose_by_cve(job, mistake);
    if (result != SUGGEST_DONE)
        return result;
    const char *needed = needed_version(job);
    if (needed != NULL && package_compare(PACKAGES_DPKG, job->main->source_version, needed) >= 0)
        return nothing(mistake, "%s %s is installed, and %s was fixed in %s", job->main->name, job->main->version,
                       job->wish->cve, needed);
    return SUGGEST_DONE;
}

/* ---- what apt would do ---- */

/* The packages to be asked for: all of the source in which something runs. No advisory says in which of them the hole
 * is: /usr/bin/convert alone fixes nothing of what its library does. */
static bool wanted_packages(struct job *job, char **names, struct mistake *mistake) {
    size_t count = 0;
    for (size_t i = 0; i < job->binary_count && count + 1 < PACKAGES_MOST; i++) {
        const struct binary *binary = &job->binaries[i];
        if (strcmp(binary->source, job->main->source) != 0)
            continue;
        if (binary->held)
            return text_mistake(mistake, 0, "%s is on hold: apt-mark unhold it, or leave it as it is", binary->name);
        if (binary != job->main && holds_nothing_that_runs(binary->name)) {
            char *more = xasprintf("%s%s%s", job->left_out != NULL ? job->left_out : "",
                                   job->left_out != NULL ? " " : "", binary->name);
            free(job->left_out);
            job->left_out = more;
            continue;
        }
        names[count++] = strcmp(binary->architecture, "all") == 0
                             ? xstrdup(binary->name)
                             : xasprintf("%s:%s", binary->name, binary->architecture);
    }
    return true;
}

static const struct upgrade *find_upgrade(const struct job *job, const char *name) {
    for (size_t i = 0; i < job->upgrades.count; i++)
        if (strcmp(job->upgrades.items[i].name, name) == 0)
            return &job->upgrades.items[i];
    return NULL;
}

/* An upgrade of the main package; without one, another of its source takes its place. */
static const struct upgrade *main_upgrade(struct job *job) {
    const struct upgrade *found = find_upgrade(job, job->main->name);
    for (size_t i = 0; found == NULL && i < job->binary_count; i++)
        if (strcmp(job->binaries[i].source, job->main->source) == 0 &&
            (found = find_upgrade(job, job->binaries[i].name)) != NULL)
            job->main = &job->binaries[i];
    return found;
}

static bool pin_archives(struct job *job, const struct stage *stage, struct mistake *mistake) {
    for (size_t i = 0; i < job->upgrades.count; i++) {
        const struct upgrade *upgrade = &job->upgrades.items[i];
        cleanup_free char *source = NULL, *version = NULL;
        if (!archive_ask(stage, upgrade, array_append(job->recipe.files, job->recipe.file_count), &source, &version,
                         mistake))
            return false;
        if (strcmp(upgrade->name, job->main->name) == 0)
            job->fixed_source = steal_pointer(&version);
    }
    return true;
}

static enum suggest_result ask(struct job *job, const struct stage *stage, struct mistake *mistake) {
    cleanup_free char **names = xcalloc(PACKAGES_MOST, sizeof *names);
    bool good = wanted_packages(job, names, mistake) &&
                upgrades_ask(stage, (const char *const *)names, &job->upgrades, mistake);
    for (size_t i = 0; names[i] != NULL; i++)
        free(names[i]);
    if (!good)
        return SUGGEST_FAILED;
    if (main_upgrade(job) == NULL)
        return nothing(mistake, "%s %s is installed, and the lists of the root's sources have nothing newer%s",
                       job->main->name, job->main->version, job->wish->update ? "" : ": --update fetches newer lists");
    return pin_archives(job, stage, mistake) ? SUGGEST_DONE : SUGGEST_FAILED;
}

static void no_lists(const struct job *job, struct mistake *mistake) {
    const struct suggest_wish *wish = job->wish;
    text_mistake(mistake, 0,
                 "the root has no lists of its package sources: give --update to fetch them into a directory of its "
                 "own, as in `pinion recipe suggest --root %.100s --%s %.100s --update`; the root stays as it is",
                 wish->root, wish->package != NULL ? "package" : "cve",
                 wish->package != NULL ? wish->package : wish->cve);
}

static enum suggest_result ask_in_stage(struct job *job, struct mistake *mistake) {
    struct stage stage;
    cleanup_free char *problem = stage_problem(&job->target, job->wish->scratch);
    if (problem != NULL) {
        text_mistake(mistake, 0, "%s", problem);
        return SUGGEST_FAILED;
    }
    if (!job->wish->update && !lists_are_there(&job->target)) {
        no_lists(job, mistake);
        return SUGGEST_FAILED;
    }
    if (!stage_open(&stage, &job->target, job->wish->scratch, 0, mistake))
        return SUGGEST_FAILED;
    enum suggest_result result = SUGGEST_FAILED;
    if (!job->wish->update || lists_update(&stage, mistake))
        result = ask(job, &stage, mistake);
    stage_close(&stage);
    return result;
}

/* Whether what the archives have is new enough. */
static bool check_version(const struct job *job, struct mistake *mistake) {
    const char *needed = needed_version(job);
    if (needed == NULL || package_compare(PACKAGES_DPKG, job->fixed_source, needed) >= 0)
        return true;
    return text_mistake(mistake, 0,
                        "the root's sources have %s %s, and %s was fixed in %s: %sadd the security archive to them",
                        job->main->source, job->fixed_source, job->wish->cve, needed,
                        job->wish->update ? "" : "fetch newer lists (--update), or ");
}

/* ---- the recipe ---- */

static bool has_text(char *const *texts, size_t count, const char *text) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(texts[i], text) == 0)
            return true;
    return false;
}

/* All that comes between the installed version of the source and the new one. A CVE that was asked for is not among
 * them unless an advisory says so: whoever reads the VEX document of the fix takes it for fixed. */
static const char *add_cves(struct job *job) {
    struct recipe *recipe = &job->recipe;
    const char *latest = NULL;
    size_t count = 0;
    recipe->cves = xcalloc(job->advisories.count + 2, sizeof *recipe->cves);
    if (needed_version(job) != NULL)
        recipe->cves[count++] = xstrdup(job->wish->cve);
    for (size_t i = 0; i < job->advisories.count; i++) {
        const struct advisory *advisory = &job->advisories.items[i];
        if (strcmp(advisory->source, job->main->source) != 0 ||
            package_compare(PACKAGES_DPKG, advisory->fixed, job->main->source_version) <= 0 ||
            package_compare(PACKAGES_DPKG, advisory->fixed, job->fixed_source) > 0)
            continue;
        latest = advisory->name;
        if (!has_text(recipe->cves, count, advisory->cve))
            recipe->cves[count++] = xstrdup(advisory->cve);
    }
    return latest;
}

/* Letters, digits and little else. */
static char *name_of(const struct job *job) {
    if (job->wish->name != NULL)
        return xstrdup(job->wish->name);
    char *name = xasprintf("%s-%s", job->main->source, job->fixed_source);
    for (char *at = name; *at != '\0'; at++)
        if (strchr(":~", *at) != NULL)
            *at = '_';
    return name;
}

static void set_summary(struct job *job, const char *advisory) {
    struct recipe *recipe = &job->recipe;
    size_t count = texts_count(recipe->cves);
    if (recipe->summary != NULL)
        return;
    cleanup_free char *more = count > 1 ? xasprintf(" and %zu more", count - 1) : xstrdup("");
    recipe->summary =
        xasprintf("%s: %s%s%s%s%s", job->main->source, count > 0 ? recipe->cves[0] : "a newer version", more,
                  advisory != NULL ? " (" : "", advisory != NULL ? advisory : "", advisory != NULL ? ")" : "");
}

static void add_restarts(struct job *job) {
    cleanup_free char **changed = xcalloc(job->upgrades.count + 1, sizeof *changed);
    cleanup_free char **siblings = xcalloc(job->binary_count + 1, sizeof *siblings);
    size_t count = 0;
    for (size_t i = 0; i < job->upgrades.count; i++)
        changed[i] = xasprintf("%s:%s", job->upgrades.items[i].name, job->upgrades.items[i].architecture);
    for (size_t i = 0; i < job->binary_count; i++)
        if (strcmp(job->binaries[i].source, job->main->source) == 0)
            siblings[count++] = xasprintf("%s:%s", job->binaries[i].name, job->binaries[i].architecture);
    suggest_restarts(&job->target, changed, siblings, &job->recipe);
    for (char **each = changed; *each != NULL; each++)
        free(*each);
    for (char **each = siblings; *each != NULL; each++)
        free(*each);
}

static void fill_recipe(struct job *job) {
    struct recipe *recipe = &job->recipe;
    const char *advisory = add_cves(job);
    recipe->name = name_of(job);
    set_summary(job, advisory);
    recipe->method = METHOD_APT;
    recipe->package = xstrdup(job->main->name);
    recipe->fixed = xstrdup(find_upgrade(job, job->main->name)->to);
    add_restarts(job);
}

/* ---- what a person should look at ---- */

static void put_cve_advice(const struct job *job, FILE *out) {
    if (job->wish->cve != NULL && needed_version(job) == NULL)
        fprintf(out,
                "# - cves: %s was asked for; nothing here says that this version fixes it: add it when you know.\n",
                job->wish->cve);
    else if (job->wish->advisories == NULL)
        fputs("# - cves: no advisories were given, so that nothing says which CVEs this version fixes.\n", out);
    else if (job->recipe.cves[0] == NULL)
        fputs("# - cves: the advisories name none that this version fixes.\n", out);
}

static char *advice_of(const struct job *job) {
    char *text = NULL;
    size_t size;
    cleanup_free char *root = printable(job->wish->root);
    FILE *out = xopen_memstream(&text, &size);
    fprintf(
        out,
        "# Look at:\n"
        "# - versions and digests: they are what the package lists in %s say. A root that may have been broken into\n"
        "#   can say anything: compare them with another system of this release, or let that suggest the recipe.\n"
        "# - answers: names of the signature database (signatures) and refused calls (violations) are yours to add.\n"
        "# - health: without checks, whatever was listened on must accept connections again; a check of your own\n"
        "#   finds more, as { url = \"http://127.0.0.1/\"; }.\n",
        root);
    if (job->recipe.restart_count == 0)
        fputs(
            "# - restart: these packages bring no service; programs that map the old files are restarted as they are\n"
            "#   known, or by the service manager.\n",
            out);
    put_cve_advice(job, out);
    if (job->left_out != NULL)
        fprintf(out, "# - left out, for nothing in them runs: %s\n", job->left_out);
    for (size_t i = 0; i < job->upgrades.count; i++)
        if (job->upgrades.items[i].from == NULL)
            fprintf(out, "# - %s is not installed so far: the new version needs it.\n", job->upgrades.items[i].name);
    fclose(out);
    return text;
}

static void job_free(struct job *job) {
    for (size_t i = 0; i < job->binary_count; i++) {
        free(job->binaries[i].name);
        free(job->binaries[i].version);
        free(job->binaries[i].architecture);
        free(job->binaries[i].source);
        free(job->binaries[i].source_version);
    }
    free(job->binaries);
    free(job->fixed_source);
    free(job->left_out);
    advisories_free(&job->advisories);
    upgrades_free(&job->upgrades);
    recipe_free(&job->recipe);
}

/* What is drafted has to parse: names and paths came from the root. */
static bool draft(struct job *job, char **text, struct mistake *mistake) {
    struct recipe again;
    fill_recipe(job);
    cleanup_free char *advice = advice_of(job);
    cleanup_free char *result = recipe_draft(&job->recipe, advice);
    if (!recipe_parse(result, &again, mistake))
        return false;
    recipe_free(&again);
    *text = steal_pointer(&result);
    return true;
}

static enum suggest_result work(struct job *job, char **text, struct mistake *mistake) {
    if (package_manager_of(&job->target) != PACKAGES_DPKG || !package_each(&job->target, add_binary, job)) {
        text_mistake(mistake, 0, "\"%s\" has no dpkg: recipes are suggested for Debian and its kin alone",
                     job->wish->root);
        return SUGGEST_FAILED;
    }
    if (!read_advisories(job, mistake))
        return SUGGEST_FAILED;
    enum suggest_result result = choose(job, mistake);
    if (result == SUGGEST_DONE)
        result = ask_in_stage(job, mistake);
    if (result != SUGGEST_DONE)
        return result;
    return check_version(job, mistake) && draft(job, text, mistake) ? SUGGEST_DONE : SUGGEST_FAILED;
}

enum suggest_result suggest(const struct suggest_wish *wish, int64_t now, char **text, struct mistake *mistake) {
    struct job job = {.wish = wish};
    *mistake = (struct mistake){0};
    *text = NULL;
    if (wish->cve == NULL && wish->package == NULL) {
        text_mistake(mistake, 0, "for which CVE or package? (--cve, --package)");
        return SUGGEST_FAILED;
    }
    if (wish->cve != NULL && !form_matches(&form_cve, wish->cve)) {
        text_mistake(mistake, 0, "--cve must be %s, not \"%.100s\"", form_cve.words, wish->cve);
        return SUGGEST_FAILED;
    }
    enum suggest_result result = SUGGEST_FAILED;
    if (recipe_tell(&job.recipe, wish->told, now, mistake) && target_of_directory(&job.target, wish->root, mistake)) {
        result = work(&job, text, mistake);
        target_close(&job.target);
    }
    job_free(&job);
    return result;
}
