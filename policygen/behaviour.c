/* Judges every way of every ability by every call site that could be it. Where a rule leaves an argument open, it
 * counts as what the attacker wants.
 */
#include "policygen/behaviour.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <wordexp.h>

#include "policygen/match.h"
#include "policygen/subset.h"
#include "runtime/match.h"
#include "runtime/rule.h"
#include "runtime/util.h"

#define MAX_TESTS 3
#define MAX_SYSTEM_CALL 1024

enum test_kind {
    TEST_NONE,
    TEST_TEXTS,
    TEST_FREE_PATH,
    TEST_PATTERN,
    TEST_UNLIMITED,
    TEST_UNDER,
    TEST_BITS,
    TEST_EQUAL,
    TEST_INTERNET,
    TEST_WRITES,
    TEST_READS,
    TEST_MODE_WRITES,
    TEST_MODE_READS,
    TEST_SHORT_VECTOR,
    TEST_FREE_VECTOR,
};

struct test {
    const char *argument;
    uint8_t kind; /* enum test_kind */
    int64_t mask, value;
    const char *const *texts; /* ends with NULL */
};

struct way {
    uint16_t api;
    struct test tests[MAX_TESTS];
};

#define TEXTS(argument, ...) {#argument, TEST_TEXTS, 0, 0, (const char *const[]){__VA_ARGS__, NULL}},
#define FREE_PATH(argument) {#argument, TEST_FREE_PATH, 0, 0, NULL},
#define PATTERN(argument) {#argument, TEST_PATTERN, 0, 0, NULL},
#define UNLIMITED(argument) {#argument, TEST_UNLIMITED, 0, 0, NULL},
#define UNDER(argument, start) {#argument, TEST_UNDER, 0, 0, (const char *const[]){start, NULL}},
#define BITS(argument, bits) {#argument, TEST_BITS, 0, (bits), NULL},
#define EQUAL(argument, mask, value) {#argument, TEST_EQUAL, (mask), (value), NULL},
#define INTERNET(argument) {#argument, TEST_INTERNET, 0, 0, NULL},
#define WRITES(argument) {#argument, TEST_WRITES, 0, 0, NULL},
#define READS(argument) {#argument, TEST_READS, 0, 0, NULL},
#define MODE_WRITES(argument) {#argument, TEST_MODE_WRITES, 0, 0, NULL},
#define MODE_READS(argument) {#argument, TEST_MODE_READS, 0, 0, NULL},
#define SHORT_ARGV {"argv", TEST_SHORT_VECTOR, 0, 0, NULL},
#define FREE_ARGV {"argv", TEST_FREE_VECTOR, 0, 0, NULL},
#define WAY(api, ...) {API_##api, {__VA_ARGS__}},

#define ABILITY(name, text, ...) static const struct way ways_##name[] = {__VA_ARGS__};
#include "policygen/behaviours.def"

static const struct {
    const char *text;
    const struct way *ways;
    size_t way_count;
} abilities[ABILITY_COUNT] = {
#define ABILITY(name, text, ...) {text, ways_##name, sizeof ways_##name / sizeof ways_##name[0]},
#include "policygen/behaviours.def"
};

#define STEP(ability) ABILITY_##ability,
#define COUNT_STEPS(...) (sizeof((uint8_t[]){__VA_ARGS__}))
const struct behaviour_row behaviour_table[BEHAVIOUR_COUNT] = {
#define BEHAVIOUR(name, text, steps) {#name, text, {steps}, COUNT_STEPS(steps)},
#include "policygen/behaviours.def"
};

const char *ability_text(enum ability ability) {
    return abilities[ability].text;
}

/* ---- Tests of integers ---- */

static bool integer_passes(const struct test *test, int64_t value) {
    switch (test->kind) {
    case TEST_BITS: return (value & test->value) == test->value;
    case TEST_EQUAL: return (value & test->mask) == (test->value & test->mask);
    case TEST_WRITES: return (value & O_ACCMODE) == O_WRONLY || (value & O_ACCMODE) == O_RDWR;
    case TEST_READS: return (value & O_ACCMODE) == O_RDONLY || (value & O_ACCMODE) == O_RDWR;
    default: return true;
    }
}

/* Any of the bits may be set. */
static bool mask_passes(const struct test *test, int64_t mask) {
    switch (test->kind) {
    case TEST_BITS: return (mask & test->value) == test->value;
    case TEST_EQUAL: return (test->value & test->mask & ~mask) == 0;
    case TEST_WRITES: return (mask & O_ACCMODE) != 0;
    default: return true;
    }
}

#define MAX_TRIES 65536

static bool range_passes(const struct test *test, int64_t low, int64_t high) {
    if (test->kind == TEST_EQUAL && test->mask == -1)
        return low <= test->value && test->value <= high;
    if ((uint64_t)high - (uint64_t)low >= MAX_TRIES)
        return true;
    for (int64_t value = low; value <= high; value++) {
        if (integer_passes(test, value))
            return true;
    }
    return false;
}

static bool number_passes(const struct test *test, enum shape shape, const struct value *value) {
    int64_t low = rule_integer(shape, (uint64_t)value->low);
    switch (value->kind) {
    case VALUE_INTEGER: return integer_passes(test, low);
    case VALUE_MASK: return mask_passes(test, low);
    case VALUE_RANGE: return range_passes(test, value->low, value->high);
    default: return false;
    }
}

/* ---- Tests of texts ---- */

static bool is_wide(const struct value *value) {
    return value->kind == VALUE_PREFIX || (value->kind == VALUE_GLOB && glob_has_wildcard(value->text));
}

/* A pattern from whose directory ".." leads out. */
static bool climbs(const struct value *value) {
    return value->kind == VALUE_GLOB && glob_climbs(value->text);
}

static bool ends_open(const char *pattern) {
    size_t length = strlen(pattern);
    return length >= 2 && strcmp(pattern + length - 2, "%s") == 0 && (length == 2 || pattern[length - 3] != '\\');
}

/* A pattern that says nothing of what the text begins with, but for a '/'; or that leads anywhere by "..". */
static bool is_unlimited(const struct value *value) {
    if (!is_wide(value))
        return false;
    if (climbs(value) && ends_open(value->text))
        return true;
    cleanup_free char *start = value->kind == VALUE_GLOB ? glob_plain_start(value->text) : xstrdup(value->text);
    bool all = value->kind == VALUE_PREFIX || strncmp(value->text + strlen(start), "**", 2) == 0;
    return all && (start[0] == '\0' || strcmp(start, "/") == 0);
}

/* Whether others can choose what the path leads to: a pattern that names no directory, or a place to which everyone may
 * write. A '*' passes no '/', so a pattern within one directory stays there. */
static bool is_free_path(const struct value *value) {
    static const char *const open_places[] = {"/tmp/", "/var/tmp/", "/dev/", "/proc/", "/run/user/"};
    if (value->kind == VALUE_NULL)
        return false;
    cleanup_free char *start = value->kind == VALUE_GLOB ? glob_plain_start(value->text) : xstrdup(value->text);
    for (size_t i = 0; i < sizeof open_places / sizeof open_places[0]; i++) {
        if (strncmp(start, open_places[i], strlen(open_places[i])) == 0)
            return true;
    }
    const char *slash = strrchr(start, '/');
    return climbs(value) || (is_wide(value) && (slash == NULL ? start[0] == '\0' : slash == start));
}

static bool may_begin(const struct value *value, const char *wanted) {
    if (value->kind == VALUE_NULL || climbs(value))
        return value->kind != VALUE_NULL;
    cleanup_free char *start = value->kind == VALUE_GLOB ? glob_plain_start(value->text) : xstrdup(value->text);
    size_t length = strlen(wanted), known = strlen(start);
    if (!is_wide(value))
        return strncmp(start, wanted, length) == 0;
    return strncmp(start, wanted, known < length ? known : length) == 0;
}

static bool mode_passes(const struct test *test, const struct value *value) {
    if (value->kind == VALUE_NULL)
        return false;
    return is_wide(value) || strpbrk(value->text, test->kind == TEST_MODE_WRITES ? "wa+" : "r+") != NULL;
}

static bool text_passes(const struct test *test, const struct value *value) {
    switch (test->kind) {
    case TEST_FREE_PATH: return is_free_path(value);
    case TEST_PATTERN: return is_wide(value);
    case TEST_UNLIMITED: return is_unlimited(value);
    case TEST_UNDER: return may_begin(value, test->texts[0]);
    case TEST_MODE_WRITES:
    case TEST_MODE_READS: return mode_passes(test, value);
    default: return true;
    }
}

/* Whether a pattern with which a path may climb leads to the file, through one of the directories it begins with. */
static bool climbs_to(const struct value *value, const char *file) {
    if (!climbs(value))
        return false;
    cleanup_free char *start = glob_plain_start(value->text);
    for (unsigned i = 0; i < 2; i++) {
        cleanup_free char *path = xasprintf("%s%s../../../../../../../../../..%s", start, i == 0 ? "" : "/", file);
        if (match_glob(value->text, strlen(value->text), path, strlen(path)))
            return true;
    }
    return false;
}

static bool lists_text(const struct test *test, const struct constraint *limit, enum argument_kind kind) {
    for (const char *const *text = test->texts; *text != NULL; text++) {
        cleanup_free char *copy = xstrdup(*text);
        const struct value value = {.kind = VALUE_TEXT, .text = copy};
        if (constraint_covers(limit, kind, NULL, &value))
            return true;
        for (size_t i = 0; i < limit->value_count; i++) {
            if (argument_shape(kind) == SHAPE_PATH && climbs_to(&limit->values[i], *text))
                return true;
        }
    }
    return false;
}

/* ---- Tests of vectors and addresses ---- */

static bool vector_passes(const struct test *test, const struct constraint *limit) {
    if (test->kind == TEST_SHORT_VECTOR && constraint_least_elements(limit) <= 1)
        return true;
    for (size_t i = 0; i < limit->value_count; i++) {
        if (limit->values[i].position > 0 && is_wide(&limit->values[i]))
            return true;
    }
    return false;
}

static bool address_passes(const struct value *value) {
    static const uint8_t loopback[16] = {[15] = 1};
    const struct policy_address *address = &value->address;
    if (value->kind != VALUE_ADDRESS || (address->family != AF_INET && address->family != AF_INET6))
        return false;
    if ((address->flags & ADDRESS_ANY_HOST) != 0)
        return true;
    return address->family == AF_INET ? address->host[0] != 127 : memcmp(address->host, loopback, 16) != 0;
}

/* ---- One call site ---- */

static bool value_passes(const struct test *test, enum argument_kind kind, const struct value *value) {
    switch (argument_shape(kind)) {
    case SHAPE_PATH:
    case SHAPE_STRING: return text_passes(test, value);
    case SHAPE_SOCKADDR:
    case SHAPE_MSGHDR: return address_passes(value);
    default: return number_passes(test, argument_shape(kind), value);
    }
}

static bool limit_passes(const struct test *test, enum argument_kind kind, const struct constraint *limit) {
    if (test->kind == TEST_TEXTS)
        return lists_text(test, limit, kind);
    if (test->kind == TEST_SHORT_VECTOR || test->kind == TEST_FREE_VECTOR)
        return vector_passes(test, limit);
    for (size_t i = 0; i < limit->value_count; i++) {
        if (value_passes(test, kind, &limit->values[i]))
            return true;
    }
    return false;
}

static bool site_passes(const struct site *site, const struct test *test) {
    const struct api *api = &api_table[site->api];
    for (unsigned i = 0; i < api->argument_count; i++) {
        if (strcmp(api->arguments[i].name, test->argument) != 0)
            continue;
        const struct constraint *limit = site_limit(site, i);
        return limit == NULL || limit_passes(test, api->arguments[i].kind, limit);
    }
    return true;
}

static bool site_passes_all(const struct site *site, const struct way *way) {
    for (unsigned i = 0; i < MAX_TESTS; i++) {
        if (way->tests[i].kind != TEST_NONE && !site_passes(site, &way->tests[i]))
            return false;
    }
    return true;
}

/* ---- Whoever may call an API ---- */

/* Why nothing that this policy says is enforced, or NULL. */
static const char *not_enforced(const struct document *document) {
    switch (document->mode) {
    case MODE_AUDIT: return "the policy is in mode audit";
    case MODE_LEARN: return "the policy is in mode learn";
    case MODE_OFF: return "the policy is off";
    default: break;
    }
    return document->on_violation >= VERDICT_LOG ? "the policy denies nothing (on_violation)" : NULL;
}

static const char *site_not_enforced(const struct site *site) {
    if (site->mode != MODE_INHERIT && site->mode != MODE_ENFORCE)
        return "the site is not enforced (site_mode)";
    return site->verdict >= VERDICT_LOG ? "the site denies nothing (site_verdict)" : NULL;
}

/* The system calls of an API, by number. */
static bool number_means(int64_t number, unsigned api) {
    return number >= 0 && number < MAX_SYSTEM_CALL && api_by_system_call((long)number) == api;
}

static bool syscall_may_mean(const struct site *site, unsigned api) {
    const struct constraint *limit = site_limit(site, 0);
    for (int64_t number = 0; limit == NULL && number < MAX_SYSTEM_CALL; number++) {
        if (number_means(number, api))
            return true;
    }
    for (size_t i = 0; limit != NULL && i < limit->value_count; i++) {
        if (limit->values[i].kind != VALUE_INTEGER || number_means(limit->values[i].low, api))
            return true;
    }
    return false;
}

static bool has_site(const struct module *module, uint32_t offset, unsigned api) {
    for (size_t i = 0; i < module->site_count; i++) {
        if (module->sites[i].offset == offset && module->sites[i].api == api)
            return true;
    }
    return false;
}

static void add_holder(struct holders *holders, struct holder holder) {
    *array_append(holders->items, holders->count) = holder;
}

static void try_site(struct holders *holders, const struct module *module, const struct site *site,
                     const struct way *way) {
    const char *open = site_not_enforced(site);
    struct holder holder = {module, site, way->api, STRENGTH_YES, open};
    if (site->api == API_syscall && way->api != API_syscall) {
        if (!syscall_may_mean(site, way->api) || has_site(module, site->offset, way->api))
            return;
        holder.weakness = "by its number, through syscall";
    } else if (site->api != way->api || (open == NULL && !site_passes_all(site, way))) {
        return;
    }
    if (site_through_pointer(module, site))
        holder = (struct holder){module, NULL, site->api, STRENGTH_LOOSE, "called through a pointer"};
    add_holder(holders, holder);
}

static bool has_system_call(unsigned api) {
    for (int64_t number = 0; number < MAX_SYSTEM_CALL; number++) {
        if (number_means(number, api))
            return true;
    }
    return false;
}

static void try_way(struct holders *holders, const struct document *document, const struct way *way) {
    bool by_number = has_system_call(way->api);
    for (size_t i = 0; i < document->module_count; i++) {
        const struct module *module = &document->modules[i];
        for (size_t j = 0; j < module->site_count; j++) {
            if (module->sites[j].api == way->api || (by_number && module->sites[j].api == API_syscall))
                try_site(holders, module, &module->sites[j], way);
        }
        for (size_t j = 0; j < module->loose_count; j++) {
            const struct loose *loose = &module->loose[j];
            if (loose->api == way->api || (by_number && loose->api == API_syscall))
                add_holder(holders, (struct holder){module, NULL, loose->api, STRENGTH_LOOSE, loose->why});
        }
    }
}

/* The strongest first; of equals those of one function together. */
static int compare_holders(const void *a, const void *b) {
    const struct holder *x = a, *y = b;
    if (x->strength != y->strength)
        return x->strength > y->strength ? -1 : 1;
    if (x->module != y->module)
        return x->module < y->module ? -1 : 1;
    if (x->site != y->site)
        return x->site < y->site ? -1 : 1;
    return x->api < y->api ? -1 : x->api > y->api;
}

static void order(struct holders *holders) {
    if (holders->count == 0)
        return;
    qsort(holders->items, holders->count, sizeof *holders->items, compare_holders);
    size_t kept = 1;
    for (size_t i = 1; i < holders->count; i++) {
        if (compare_holders(&holders->items[kept - 1], &holders->items[i]) != 0)
            holders->items[kept++] = holders->items[i];
    }
    holders->count = kept;
}

void exposure_find(const struct document *document, struct exposure *exposure) {
    *exposure = (struct exposure){.document = document};
    const char *open = not_enforced(document);
    const char *anonymous = document->on_anonymous_code >= VERDICT_LOG
                                ? "code that is in no file may call anything (on_anonymous_code)"
                                : NULL;
    const char *unlisted = document->on_unlisted_module >= VERDICT_LOG
                               ? "libraries that are not listed may call anything (on_unlisted_module)"
                               : NULL;
    for (unsigned i = 0; i < ABILITY_COUNT; i++) {
        struct holders *holders = &exposure->abilities[i];
        uint16_t api = abilities[i].ways[0].api;
        for (size_t j = 0; j < abilities[i].way_count; j++)
            try_way(holders, document, &abilities[i].ways[j]);
        if (open != NULL)
            add_holder(holders, (struct holder){NULL, NULL, api, STRENGTH_YES, open});
        if (anonymous != NULL)
            add_holder(holders, (struct holder){NULL, NULL, api, STRENGTH_LOOSE, anonymous});
        if (unlisted != NULL)
            add_holder(holders, (struct holder){NULL, NULL, api, STRENGTH_LOOSE, unlisted});
        order(holders);
    }
}

void exposure_free(struct exposure *exposure) {
    for (unsigned i = 0; i < ABILITY_COUNT; i++)
        free(exposure->abilities[i].items);
    *exposure = (struct exposure){0};
}

enum strength ability_strength(const struct exposure *exposure, enum ability ability) {
    const struct holders *holders = &exposure->abilities[ability];
    return holders->count == 0 ? STRENGTH_NO : holders->items[0].strength;
}

enum strength behaviour_strength(const struct exposure *exposure, enum behaviour behaviour) {
    const struct behaviour_row *row = &behaviour_table[behaviour];
    enum strength weakest = STRENGTH_YES;
    for (unsigned i = 0; i < row->step_count; i++) {
        enum strength strength = ability_strength(exposure, row->steps[i]);
        if (strength < weakest)
            weakest = strength;
    }
    return weakest;
}
