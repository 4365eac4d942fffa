/* The archives that a recipe pins. Those of packages that are installed in an older version are brought; one of a
 * package that is not installed only if another that is brought depends on it: a recipe made for one system does not
 * put on another what that has no use for.
 */
#include <string.h>
#include <time.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/method_parts.h"
#include "tools/policy_file.h"

#define ARCHIVES STAGE_WORK "/archives"

enum debian_need debian_need_of(const struct target *target, const struct recipe_file *file, char **installed) {
    *installed = package_installed(target, file->package, file->architecture);
    if (*installed == NULL)
        return NEED_NEW;
    return package_compare(PACKAGES_DPKG, *installed, file->version) < 0 ? NEED_UPGRADE : NEED_NOTHING;
}

struct pin {
    const struct recipe_file *file;
    char *path;                 /* where it is downloaded to, in the stage */
    bool wanted, brought, read; /* each after the one before */
};

struct pins {
    struct pin *items;
    size_t count;
};

static struct pins pins_of(const struct recipe *recipe, const struct target *target) {
    struct pins pins = {0};
    for (size_t i = 0; i < recipe->file_count; i++) {
        cleanup_free char *installed = NULL;
        enum debian_need need = debian_need_of(target, &recipe->files[i], &installed);
        if (need != NEED_NOTHING)
            *array_append(pins.items, pins.count) = (struct pin){
                .file = &recipe->files[i], .path = xasprintf(ARCHIVES "/%zu.deb", i), .wanted = need == NEED_UPGRADE};
    }
    return pins;
}

static void pins_free(struct pins *pins) {
    for (size_t i = 0; i < pins->count; i++)
        free(pins->items[i].path);
    free(pins->items);
}

static bool is_there(const struct stage *stage, const struct pin *pin, struct mistake *mistake) {
    cleanup_fd int fd = method_open_verified(stage, pin->path, pin->file, mistake);
    return fd >= 0;
}

/* ---- asking the sources ---- */

/* Keeps a word until the list is freed. */
static const char *keep(struct names *names, char *word) {
    return *array_append(names->items, names->count) = word;
}

static char *uri_of(const char *address, const char *source) {
    char *uri;
    size_t length;
    FILE *out = xopen_memstream(&uri, &length);
    fputs(address, out);
    for (; *source != '\0'; source++)
        fprintf(out, *source == '%' ? "%%25" : "%c", *source);
    fclose(out);
    return uri;
}

static char *digest_of(const struct recipe_file *file) {
    char hex[2 * sizeof(file->sha256) + 1];
    for (size_t i = 0; i < sizeof(file->sha256); i++)
        snprintf(hex + 2 * i, 3, "%02x", file->sha256[i]);
    return xasprintf("SHA256:%s", hex);
}

/* What a source that has the archive answers counts more than that another has none. */
static void keep_reason(const char *output, struct mistake *why) {
    const char *reason = strstr(output, "E: Failed to fetch ");
    if (reason == NULL || strstr(why->text, "ismatch") != NULL || strstr(why->text, "unexpected size") != NULL)
        return;
    text_mistake(why, 0, "%.*s", (int)strcspn(reason, "\n"), reason);
}

/* Asks one source for all that is still missing. Whether it had them is for the caller to see. */
static void ask_source(const struct pins *pins, const struct stage *stage, const char *address,
                       struct method_cost *cost, struct mistake *why) {
    struct words words = {0};
    struct names kept = {0};
    struct mistake failure = {0};
    cleanup_free char *output = NULL;
    words_add(&words, APT_HELPER);
    words_add(&words, "download-file");
    for (const struct pin *pin = pins->items; pin < pins->items + pins->count; pin++) {
        if (!pin->wanted || is_there(stage, pin, &failure))
            continue;
        words_add(&words, keep(&kept, uri_of(address, pin->file->source)));
        words_add(&words, pin->path);
        words_add(&words, keep(&kept, digest_of(pin->file)));
    }
    if (kept.count > 0 && !method_run(stage, words.items, STAGE_ONLINE, cost, &output, &failure)) {
        if (*why->text == '\0')
            *why = failure;
        keep_reason(output != NULL ? output : "", why);
    }
    names_free(&kept);
    free(words.items);
}

/* What the helper's own configuration names. In the order of the mirrors; what none has is asked of the sources. */
static void ask_mirrors(const struct pins *pins, const struct stage *stage, struct mistake *why) {
    struct method_cost counted_later = {0};
    struct mistake missing;
    for (char *const *mirror = stage->mirrors; mirror != NULL && *mirror != NULL; mirror++) {
        cleanup_free char *address = xasprintf("%s%s", *mirror, has_suffix(*mirror, "/") ? "" : "/");
        for (const struct pin *pin = pins->items; pin < pins->items + pins->count; pin++) {
            if (!pin->wanted || is_there(stage, pin, &missing))
                continue;
            cleanup_free char *uri = uri_of(address, pin->file->source);
            method_download(stage, pin->file, uri, pin->path + strlen(STAGE_WORK "/"), &counted_later, why);
        }
    }
}

static bool all_there(const struct pins *pins, const struct stage *stage, struct mistake *mistake) {
    for (struct pin *pin = pins->items; pin < pins->items + pins->count; pin++) {
        pin->brought = pin->wanted && is_there(stage, pin, mistake);
        if (pin->wanted && !pin->brought)
            return false;
    }
    return true;
}

static uint64_t seconds_now(void) {
    return clock_nanoseconds(CLOCK_MONOTONIC) / 1000000000;
}

/* The addresses are the target's own: each of them could keep us waiting. */
static bool bring(const struct pins *pins, const struct stage *stage, const struct names *addresses,
                  struct method_cost *cost, struct mistake *mistake) {
    struct mistake why = {0}, missing = {0};
    uint64_t begun = seconds_now();
    ask_mirrors(pins, stage, &why);
    if (all_there(pins, stage, &missing))
        return true;
    for (size_t i = 0; i < addresses->count; i++) {
        if (seconds_now() - begun > method_seconds(stage))
            return text_mistake(mistake, 0,
                                "after %u s %zu of the target's %zu package sources had been asked in vain: %s",
                                method_seconds(stage), i, addresses->count, missing.text);
        ask_source(pins, stage, addresses->items[i], cost, &why);
        if (all_there(pins, stage, &missing))
            return true;
    }
    return text_mistake(mistake, 0, "none of the target's %zu package sources brought it: %s%s%s", addresses->count,
                        missing.text, *why.text != '\0' ? "; " : "", why.text);
}

/* ---- which of the new ones are needed ---- */

/* Whether a list of dependencies names this package. */
static bool names_package(const char *list, const char *package) {
    static const char inside[] = "abcdefghijklmnopqrstuvwxyz0123456789+-.";
    size_t length = strlen(package);
    for (const char *at = list; (at = strstr(at, package)) != NULL; at++) {
        bool begins = at == list || strchr(inside, at[-1]) == NULL;
        if (begins && (at[length] == '\0' || strchr(inside, at[length]) == NULL))
            return true;
    }
    return false;
}

/* Wants what this archive depends on; `more` tells that something was not wanted before. */
static bool read_depends(const struct pins *pins, const struct pin *pin, const struct stage *stage,
                         struct method_cost *cost, bool *more, struct mistake *mistake) {
    const char *const arguments[] = {"dpkg-deb", "--field", pin->path, "Pre-Depends", "Depends", NULL};
    cleanup_free char *output = NULL;
    if (!method_run(stage, arguments, STAGE_OFFLINE, cost, &output, mistake))
        return false;
    for (struct pin *other = pins->items; other < pins->items + pins->count; other++) {
        if (!other->wanted && names_package(output, other->file->package))
            other->wanted = *more = true;
    }
    return true;
}

static bool widen(const struct pins *pins, const struct stage *stage, struct method_cost *cost, bool *more,
                  struct mistake *mistake) {
    *more = false;
    for (struct pin *pin = pins->items; pin < pins->items + pins->count; pin++) {
        if (!pin->brought || pin->read)
            continue;
        pin->read = true;
        if (!read_depends(pins, pin, stage, cost, more, mistake))
            return false;
    }
    return true;
}

static bool has_optional(const struct pins *pins) {
    for (size_t i = 0; i < pins->count; i++) {
        if (!pins->items[i].wanted)
            return true;
    }
    return false;
}

static bool fetch(const struct pins *pins, const struct stage *stage, const struct names *addresses,
                  struct method_cost *cost, struct mistake *mistake) {
    for (bool more = true; more;) {
        more = false;
        if (!bring(pins, stage, addresses, cost, mistake) ||
            (has_optional(pins) && !widen(pins, stage, cost, &more, mistake)))
            return false;
    }
    for (size_t i = 0; i < pins->count; i++)
        cost->downloaded += pins->items[i].wanted ? pins->items[i].file->size : 0;
    return true;
}

bool debian_fetch_pinned(const struct recipe *recipe, const struct stage *stage, struct method_cost *cost,
                         struct mistake *mistake) {
    struct names addresses = {0};
    debian_addresses(stage->target, &addresses);
    if (addresses.count == 0 && stage->mirrors == NULL)
        return text_mistake(mistake, 0,
                            "the target has no package sources that are enabled (with an address that "
                            "begins with http, https, file or copy): see /etc/apt/sources.list");
    struct pins pins = pins_of(recipe, stage->target);
    /* apt's downloader runs as a user of its own; what it brings is verified when it has ended. */
    bool good = method_directory(stage, "archives", 0777, mistake) && fetch(&pins, stage, &addresses, cost, mistake);
    pins_free(&pins);
    names_free(&addresses);
    return good;
}

bool debian_pinned(const struct recipe *recipe, const struct stage *stage, struct archives *archives,
                   struct mistake *mistake) {
    struct pins pins = pins_of(recipe, stage->target);
    bool good = true;
    for (size_t i = 0; good && i < pins.count; i++) {
        const struct pin *pin = &pins.items[i];
        struct mistake missing;
        if (is_there(stage, pin, &missing))
            *array_append(archives->items, archives->count) =
                (struct archive){xstrdup(pin->path), xstrdup(pin->file->package), xstrdup(pin->file->version),
                                 xstrdup(pin->file->architecture)};
        else if (pin->wanted)
            good = text_mistake(mistake, 0, "%s", missing.text);
    }
    pins_free(&pins);
    return good;
}
