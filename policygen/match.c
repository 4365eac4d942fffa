/* A site is known again by its function and its place among that function's calls; a function by its fingerprint,
 * else by its name, else by what it calls and where it stands between functions that were known again. What is left
 * over and has the same rules on both sides has only moved.
 */
#include "policygen/match.h"

#include <stdlib.h>
#include <string.h>

#include "policygen/rules.h"
#include "runtime/util.h"

#define NO_BODY UINT32_MAX

/* The sites of one function, neighbours in their module. */
struct body {
    size_t first, count; /* of side->sites */
    uint64_t fingerprint, name, apis, rules;
    uint32_t partner; /* in the other side, or NO_BODY */
};

struct place {
    size_t index;   /* in the module */
    uint64_t rules; /* what is allowed there */
    bool matched;
};

struct side {
    const struct module *module;
    struct place *places;
    size_t place_count;
    struct body *bodies;
    size_t body_count;
};

static uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

static uint64_t mix_text(uint64_t hash, const char *text) {
    for (; *text != '\0'; text++)
        hash = mix(hash, (uint8_t)*text);
    return mix(hash, 0x100);
}

/* ---- Sites ---- */

bool site_through_pointer(const struct module *module, const struct site *site) {
    for (size_t i = 0; i < site->constraint_count; i++) {
        const struct constraint *constraint = &site->constraints[i];
        if (!constraint->any || constraint->why_any == NULL ||
            strcmp(constraint->why_any, unknown_text(UNKNOWN_POINTER)) != 0)
            return false;
    }
    bool is_loose = false;
    for (size_t i = 0; i < module->loose_count; i++)
        is_loose |= module->loose[i].api == site->api;
    return site->constraint_count > 0 || is_loose;
}

static uint64_t rules_of(const struct site *site) {
    uint64_t hash = mix(1, site->api);
    for (size_t i = 0; i < site->constraint_count; i++) {
        const struct constraint *constraint = &site->constraints[i];
        enum argument_kind kind = api_table[site->api].arguments[constraint->argument].kind;
        if (constraint->any)
            continue;
        hash = mix(hash, 0x200u + constraint->argument);
        for (size_t j = 0; j < constraint->value_count; j++) {
            size_t length = value_format(&constraint->values[j], kind, NULL, 0);
            cleanup_free char *text = xmalloc(length + 1);
            value_format(&constraint->values[j], kind, text, length + 1);
            hash = mix_text(hash, text);
        }
    }
    return hash;
}

static bool has_name(const struct site *site) {
    return site->function != NULL && strncmp(site->function, "0x", 2) != 0;
}

static bool same_function(const struct site *a, const struct site *b) {
    if (a->function == NULL || b->function == NULL)
        return false;
    return a->fingerprint == b->fingerprint && strcmp(a->function, b->function) == 0;
}

static void add_body(struct side *side, const struct site *site) {
    struct body *body = array_append(side->bodies, side->body_count);
    *body = (struct body){.first = side->place_count, .partner = NO_BODY, .apis = 2, .rules = 3};
    body->fingerprint = site->fingerprint;
    body->name = has_name(site) ? mix_text(4, site->function) : 0;
}

static void side_make(struct side *side, const struct module *module) {
    *side = (struct side){.module = module};
    const struct site *before = NULL;
    for (size_t i = 0; module != NULL && i < module->site_count; i++) {
        const struct site *site = &module->sites[i];
        if (site_through_pointer(module, site))
            continue;
        if (before == NULL || !same_function(before, site))
            add_body(side, site);
        struct body *body = &side->bodies[side->body_count - 1];
        uint64_t rules = rules_of(site);
        *array_append(side->places, side->place_count) = (struct place){.index = i, .rules = rules};
        body->count++;
        body->apis = mix(body->apis, site->api);
        body->rules = mix(body->rules, rules);
        before = site;
    }
}

static void side_free(struct side *side) {
    free(side->places);
    free(side->bodies);
}

static uint16_t api_at(const struct side *side, size_t place) {
    return side->module->sites[side->places[place].index].api;
}

/* ---- Functions, in rounds: each pairs those that are alike in what the round looks at ---- */

typedef uint64_t round_key(const struct body *body); /* 0: takes no part */

static uint64_t by_all(const struct body *body) {
    if (body->fingerprint == 0 || body->name == 0)
        return 0;
    return mix(mix(mix(mix(5, body->fingerprint), body->name), body->apis), body->rules);
}

static uint64_t by_code_and_name(const struct body *body) {
    return body->fingerprint == 0 || body->name == 0 ? 0 : mix(mix(mix(6, body->fingerprint), body->name), body->apis);
}

static uint64_t by_code_and_rules(const struct body *body) {
    return body->fingerprint == 0 ? 0 : mix(mix(mix(7, body->fingerprint), body->apis), body->rules);
}

static uint64_t by_code_and_calls(const struct body *body) {
    return body->fingerprint == 0 ? 0 : mix(mix(8, body->fingerprint), body->apis);
}

static uint64_t by_code(const struct body *body) {
    return body->fingerprint;
}

static uint64_t by_name_and_rules(const struct body *body) {
    return body->name == 0 ? 0 : mix(mix(9, body->name), body->rules);
}

static uint64_t by_name(const struct body *body) {
    return body->name;
}

static uint64_t by_rules(const struct body *body) {
    return mix(10, body->rules);
}

static uint64_t by_calls(const struct body *body) {
    return mix(11, body->apis);
}

static const struct round {
    round_key *key;
    bool only_equal_numbers; /* else which is which could be a matter of taste */
} rounds[] = {
    {by_all, false},  {by_code_and_name, false},  {by_code_and_rules, false}, {by_code_and_calls, false},
    {by_code, true},  {by_name_and_rules, false}, {by_name, false},           {by_rules, false},
    {by_calls, true},
};

struct keyed {
    uint64_t key;
    uint32_t body;
};

static int compare_keyed(const void *a, const void *b) {
    const struct keyed *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->body < y->body ? -1 : x->body > y->body;
}

static struct keyed *keyed_bodies(const struct side *side, round_key *key, size_t *count) {
    struct keyed *keyed = xcalloc(side->body_count + 1, sizeof *keyed);
    *count = 0;
    for (size_t i = 0; i < side->body_count; i++) {
        uint64_t value = side->bodies[i].partner == NO_BODY ? key(&side->bodies[i]) : 0;
        if (value != 0)
            keyed[(*count)++] = (struct keyed){value, (uint32_t)i};
    }
    qsort(keyed, *count, sizeof *keyed, compare_keyed);
    return keyed;
}

static size_t equal_keys(const struct keyed *keyed, size_t count, size_t from) {
    size_t end = from;
    while (end < count && keyed[end].key == keyed[from].key)
        end++;
    return end - from;
}

static void pair(struct side *old, struct side *new, uint32_t a, uint32_t b) {
    old->bodies[a].partner = b;
    new->bodies[b].partner = a;
}

static void run_round(struct side *old, struct side *new, const struct round *round) {
    size_t old_count, new_count, i = 0, j = 0;
    cleanup_free struct keyed *olds = keyed_bodies(old, round->key, &old_count);
    cleanup_free struct keyed *news = keyed_bodies(new, round->key, &new_count);
    while (i < old_count && j < new_count) {
        size_t a = equal_keys(olds, old_count, i), b = equal_keys(news, new_count, j);
        if (olds[i].key != news[j].key) {
            if (olds[i].key < news[j].key)
                i += a;
            else
                j += b;
            continue;
        }
        for (size_t k = 0; k < a && k < b && (a == b || !round->only_equal_numbers); k++)
            pair(old, new, olds[i + k].body, news[j + k].body);
        i += a;
        j += b;
    }
}

/* ---- Functions that changed, between others that did not ---- */

/* How many calls of the same functions they have. */
static size_t likeness(const struct side *old, const struct side *new, const struct body *a, const struct body *b) {
    size_t alike = 0;
    cleanup_free bool *taken = xcalloc(b->count, sizeof *taken);
    for (size_t i = 0; i < a->count; i++) {
        for (size_t j = 0; j < b->count; j++) {
            if (taken[j] || api_at(old, a->first + i) != api_at(new, b->first + j))
                continue;
            taken[j] = true;
            alike++;
            break;
        }
    }
    return alike;
}

#define MAX_NEIGHBOURS 64

static void pair_nearest(struct side *old, struct side *new, uint32_t body, uint32_t from, uint32_t until) {
    size_t best = 0;
    uint32_t partner = NO_BODY;
    for (uint32_t i = from; i < until && i - from < MAX_NEIGHBOURS; i++) {
        const struct body *candidate = &old->bodies[i];
        if (candidate->partner != NO_BODY)
            continue;
        size_t alike = likeness(old, new, candidate, &new->bodies[body]);
        size_t most = candidate->count > new->bodies[body].count ? candidate->count : new->bodies[body].count;
        if (alike > best && 2 * alike >= most) {
            best = alike;
            partner = i;
        }
    }
    if (partner != NO_BODY)
        pair(old, new, partner, body);
}

static void pair_between(struct side *old, struct side *new) {
    uint32_t from = 0;
    for (uint32_t i = 0; i < new->body_count; i++) {
        if (new->bodies[i].partner != NO_BODY) {
            from = new->bodies[i].partner + 1;
            continue;
        }
        uint32_t until = from;
        while (until < old->body_count && old->bodies[until].partner == NO_BODY)
            until++;
        pair_nearest(old, new, i, from, until);
    }
}

/* ---- Sites of functions that were known again ---- */

static void pair_places(struct side *old, struct side *new, size_t *matches, const struct body *a, const struct body *b,
                        bool same_rules) {
    for (size_t i = b->first; i < b->first + b->count; i++) {
        for (size_t j = a->first; j < a->first + a->count && !new->places[i].matched; j++) {
            if (old->places[j].matched || api_at(old, j) != api_at(new, i) ||
                (same_rules && old->places[j].rules != new->places[i].rules))
                continue;
            old->places[j].matched = new->places[i].matched = true;
            matches[new->places[i].index] = old->places[j].index;
        }
    }
}

static struct keyed *unmatched_places(const struct side *side, size_t *count) {
    struct keyed *keyed = xcalloc(side->place_count + 1, sizeof *keyed);
    *count = 0;
    for (size_t i = 0; i < side->place_count; i++) {
        if (!side->places[i].matched)
            keyed[(*count)++] = (struct keyed){side->places[i].rules, (uint32_t)i};
    }
    qsort(keyed, *count, sizeof *keyed, compare_keyed);
    return keyed;
}

/* What has the same rules on both sides has moved into another function, as inlining does. */
static void pair_moved(const struct side *old, const struct side *new, size_t *matches) {
    size_t old_count, new_count, i = 0, j = 0;
    cleanup_free struct keyed *olds = unmatched_places(old, &old_count);
    cleanup_free struct keyed *news = unmatched_places(new, &new_count);
    while (i < old_count && j < new_count) {
        if (olds[i].key == news[j].key)
            matches[new->places[news[j++].body].index] = old->places[olds[i++].body].index;
        else if (olds[i].key < news[j].key)
            i++;
        else
            j++;
    }
}

size_t *match_sites(const struct module *old_module, const struct module *new_module) {
    size_t count = new_module == NULL ? 0 : new_module->site_count;
    size_t *matches = xcalloc(count + 1, sizeof *matches);
    for (size_t i = 0; i < count; i++)
        matches[i] = NO_SITE;
    if (old_module == NULL || new_module == NULL)
        return matches;
    struct side old, new;
    side_make(&old, old_module);
    side_make(&new, new_module);
    for (size_t i = 0; i < sizeof rounds / sizeof rounds[0]; i++)
        run_round(&old, &new, &rounds[i]);
    pair_between(&old, &new);
    for (size_t i = 0; i < new.body_count; i++) {
        const struct body *body = &new.bodies[i];
        if (body->partner == NO_BODY)
            continue;
        pair_places(&old, &new, matches, &old.bodies[body->partner], body, true);
        pair_places(&old, &new, matches, &old.bodies[body->partner], body, false);
    }
    pair_moved(&old, &new, matches);
    side_free(&old);
    side_free(&new);
    return matches;
}

/* ---- Modules ---- */

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* What is left of a file's name in round 0 to 3: the path, the name, the name up to the first number of its version
 * (libz.so.1), the name without versions (libz.so). */
static char *module_key(const struct module *module, unsigned round) {
    if (round == 0)
        return xstrdup(module->path);
    char *key = xstrdup(base_name(module->path));
    char *version = strstr(key, ".so.");
    if (round == 2 && version != NULL)
        version[strlen(".so.") + strcspn(version + strlen(".so."), ".")] = '\0';
    if (round < 3)
        return key;
    size_t length = 0;
    for (const char *at = key; *at != '\0'; at++) {
        if (strchr("0123456789.-_", *at) == NULL)
            key[length++] = *at;
    }
    key[length] = '\0';
    return key;
}

static bool key_is_unique(char *const *keys, const size_t *taken, size_t count, const char *key) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += taken[i] == NO_SITE && strcmp(keys[i], key) == 0;
    return found == 1;
}

static char **module_keys(const struct document *document, unsigned round) {
    char **keys = xcalloc(document->module_count + 1, sizeof *keys);
    for (size_t i = 0; i < document->module_count; i++)
        keys[i] = module_key(&document->modules[i], round);
    return keys;
}

static void free_keys(char **keys, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(keys[i]);
    free(keys);
}

static void match_modules_by(const struct document *old, const struct document *new, unsigned round, size_t *matches,
                             size_t *taken) {
    char **olds = module_keys(old, round), **news = module_keys(new, round);
    for (size_t i = 0; i < new->module_count; i++) {
        if (matches[i] != NO_SITE || !key_is_unique(news, matches, new->module_count, news[i]) ||
            !key_is_unique(olds, taken, old->module_count, news[i]))
            continue;
        for (size_t j = 0; j < old->module_count; j++) {
            if (taken[j] == NO_SITE && strcmp(olds[j], news[i]) == 0) {
                matches[i] = j;
                taken[j] = i;
                break;
            }
        }
    }
    free_keys(olds, old->module_count);
    free_keys(news, new->module_count);
}

/* The program itself is the module of its path, however the other build is called. */
static size_t own_module(const struct document *document) {
    for (size_t i = 0; i < document->module_count; i++) {
        if (strcmp(document->modules[i].path, document->program) == 0 ||
            identity_equal(&document->modules[i].identity, &document->identity))
            return i;
    }
    return NO_SITE;
}

size_t *match_modules(const struct document *old, const struct document *new) {
    size_t *matches = xcalloc(new->module_count + 1, sizeof *matches);
    cleanup_free size_t *taken = xcalloc(old->module_count + 1, sizeof *taken);
    for (size_t i = 0; i < new->module_count; i++)
        matches[i] = NO_SITE;
    for (size_t i = 0; i < old->module_count; i++)
        taken[i] = NO_SITE;
    size_t own_old = own_module(old), own_new = own_module(new);
    if (own_old != NO_SITE && own_new != NO_SITE) {
        matches[own_new] = own_old;
        taken[own_old] = own_new;
    }
    for (unsigned round = 0; round < 4; round++)
        match_modules_by(old, new, round, matches, taken);
    return matches;
}
