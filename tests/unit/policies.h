/* Policies for tests and fuzzers: random documents with every kind of value, a walk over all look-ups of a compiled
 * one, and memory that faults on the first byte behind it.
 */
#ifndef PINION_TESTS_UNIT_POLICIES_H
#define PINION_TESTS_UNIT_POLICIES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/document.h"
#include "runtime/rule.h"
#include "runtime/util.h"

struct random {
    uint64_t state;
};

static inline uint32_t random_number(struct random *random) {
    random->state = random->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random->state >> 33);
}

static inline uint32_t random_below(struct random *random, uint32_t limit) {
    return limit == 0 ? 0 : random_number(random) % limit;
}

/* Up to 12 bytes, some of them awkward in a policy's text. */
static inline char *random_text(struct random *random) {
    static const char bytes[] = "abc/./*?%d\\\"'\n\t\x01\x7f\xc3\xa4\xff\xed\xa0:;{}[]() $@";
    char text[16];
    unsigned length = random_below(random, 12);
    for (unsigned i = 0; i < length; i++)
        text[i] = bytes[random_below(random, sizeof(bytes) - 1)];
    text[length] = '\0';
    static const char *const starts[] = {"", "/", "null", "glob:", "text:", "prefix:", "[0] ", "inet:"};
    return xasprintf("%s%s", starts[random_below(random, 8)], text);
}

static inline struct value random_integer(struct random *random, enum shape shape) {
    struct value value = {.kind = random_below(random, 3)};
    int64_t low = rule_integer(shape, (uint64_t)random_number(random) << random_below(random, 40));
    value.low = random_below(random, 4) == 0 ? low : random_below(random, 64);
    value.high = value.kind == VALUE_RANGE ? value.low + random_below(random, 100) : 0;
    return value;
}

static inline struct value random_string(struct random *random, enum shape shape) {
    static const enum value_kind kinds[] = {VALUE_TEXT, VALUE_TEXT, VALUE_PREFIX, VALUE_GLOB, VALUE_NULL};
    struct value value = {.kind = kinds[random_below(random, 5)]};
    if (value.kind != VALUE_NULL)
        value.text = random_text(random);
    if (shape == SHAPE_ARGV && value.kind != VALUE_NULL)
        value.position = random_below(random, 3) == 0 ? POSITION_REST : (uint8_t)random_below(random, 4);
    return value;
}

static inline struct value random_address(struct random *random) {
    static const uint16_t families[] = {AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC, AF_NETLINK};
    struct value value = {.kind = random_below(random, 6) == 0 ? VALUE_NULL : VALUE_ADDRESS};
    if (value.kind == VALUE_NULL)
        return value;
    value.address.family = families[random_below(random, 5)];
    if (value.address.family == AF_UNIX) {
        value.text = random_text(random);
        value.address.match = (uint8_t)(MATCH_EXACT + random_below(random, 3));
    } else if (value.address.family == AF_INET || value.address.family == AF_INET6) {
        value.address.port = (uint16_t)random_number(random);
        value.address.flags = (uint8_t)random_below(random, 4);
        for (unsigned i = 0; i < (value.address.family == AF_INET ? 4u : 16u); i++)
            value.address.host[i] = (uint8_t)random_below(random, 3);
    }
    return value;
}

static inline struct value random_value(struct random *random, enum shape shape) {
    switch (shape) {
    case SHAPE_PATH:
    case SHAPE_STRING:
    case SHAPE_ARGV: return random_string(random, shape);
    case SHAPE_SOCKADDR:
    case SHAPE_MSGHDR: return random_address(random);
    default: return random_integer(random, shape);
    }
}

static inline void fill_constraint(struct random *random, struct constraint *constraint, enum shape shape) {
    constraint->any = random_below(random, 5) == 0;
    if (constraint->any)
        constraint->why_any = random_text(random);
    for (unsigned i = random_below(random, 5); i > 0; i--) {
        struct value value = random_value(random, shape);
        value.origin = random_below(random, ORIGIN_COUNT);
        if (value.kind == VALUE_TEXT && value.origin == ORIGIN_STATIC && random_below(random, 2) == 0)
            value.constant = 1 + random_number(random);
        constraint_add(constraint, value);
    }
}

static inline void fill_site(struct random *random, struct site *site) {
    const struct api *api = &api_table[site->api];
    site->origin = random_below(random, ORIGIN_COUNT);
    if (random_below(random, 10) == 0)
        site->mode = random_below(random, MODE_OFF + 1);
    if (random_below(random, 10) == 0)
        site->verdict = random_below(random, VERDICT_ALLOW + 1);
    if (random_below(random, 3) == 0)
        site->function = random_text(random);
    if (random_below(random, 3) == 0)
        site->fingerprint = (uint64_t)random_number(random) << 32 | random_number(random);
    for (uint8_t i = 0; i < api->argument_count; i++) {
        enum shape shape = argument_shape(api->arguments[i].kind);
        if (shape != SHAPE_OPAQUE && random_below(random, 3) != 0)
            fill_constraint(random, site_constraint(site, i), shape);
    }
    if (api->class == CLASS_EXEC && random_below(random, 3) == 0)
        site_add_child(site, (struct value){.kind = VALUE_TEXT, .text = random_text(random)});
}

static inline void fill_module(struct random *random, struct module *module, unsigned sites) {
    for (unsigned i = 0; i < sites; i++) {
        size_t count = module->site_count;
        struct site *site = module_site(module, random_number(random), (uint16_t)random_below(random, API_COUNT));
        if (module->site_count > count)
            fill_site(random, site);
    }
    for (unsigned i = random_below(random, 4); i > 0; i--)
        module_add_loose(module, (uint16_t)random_below(random, API_COUNT), 1 + random_below(random, 2), "why \"not\"");
    for (unsigned i = random_below(random, 5); i > 0; i--)
        module_add_return(module, random_number(random));
    for (unsigned i = random_below(random, 6); i > 0; i--) {
        struct tail *tail = module_add_tail(module, random_below(random, 8));
        tail->flags = (uint16_t)random_below(random, 4);
        for (unsigned j = random_below(random, 4); j > 0; j--)
            tail_add_member(tail, random_number(random));
    }
    module->has_tails = random_below(random, 2) == 0;
}

/* A sorted document with this many modules and sites in each. */
static inline void random_document(struct document *document, uint64_t seed, unsigned modules, unsigned sites) {
    struct random random = {seed * 2 + 1};
    document_init(document);
    document->program = xstrdup("/usr/sbin/service");
    identity_parse("0123456789abcdef", &document->identity);
    for (unsigned i = 0; i < modules; i++) {
        char build_id[32], path[32];
        struct identity identity;
        snprintf(build_id, sizeof(build_id), "ab%04x", i);
        snprintf(path, sizeof(path), "/usr/lib/lib%u.so", i);
        identity_parse(build_id, &identity);
        fill_module(&random, document_module(document, &identity, path), sites);
    }
    document_sort(document);
}

/* ---- Every look-up ---- */

static inline unsigned exercise_constraint(const struct policy_header *policy,
                                           const struct policy_constraint *constraint) {
    static const char *const texts[] = {"", "/", "/etc/passwd", "abc/../d", "-12"};
    static const unsigned char addresses[][28] = {
        {AF_INET, 0, 0, 80, 127, 0, 0, 1}, {AF_INET6, 0, 0, 80}, {AF_UNIX, 0, '/', 'x'}, {AF_UNIX, 0, 0, 'x'}, {16}};
    unsigned result = 0;
    for (uint64_t value = 0; value < 4; value++) {
        result += rule_allows_integer(policy, constraint, value * 0x7fffffffu);
        result += (unsigned)rule_nearest_integer(policy, constraint, value);
        result += rule_allows_constant(policy, constraint, value, 0);
    }
    for (unsigned i = 0; i < 5; i++) {
        result += rule_allows_text(policy, constraint, i, texts[i], strlen(texts[i]));
        result += (unsigned)rule_nearest_text(policy, constraint, texts[i], strlen(texts[i]));
        result += rule_allows_address(policy, constraint, addresses[i], sizeof(addresses[i]) - 4 * i);
        result += (unsigned)rule_nearest_address(policy, constraint, addresses[i], 16);
    }
    return result + rule_allows_address(policy, constraint, NULL, 0);
}

static inline unsigned exercise_site(const struct policy_header *policy, const struct policy_site *site) {
    const struct policy_constraint *constraints = policy_section(policy, policy->constraints);
    unsigned result = site->mode + site->verdict;
    if (site->api != API_NONE)
        result += (unsigned char)api_table[site->api].name[0];
    for (uint32_t i = 0; i < site->constraint_count && i < 16; i++)
        result += exercise_constraint(policy, &constraints[site->first_constraint + i]);
    return result;
}

static inline unsigned exercise_module(const struct policy_header *policy, const struct policy_module *module) {
    const struct policy_site *sites = policy_section(policy, policy->sites);
    const struct policy_tail *tails = policy_section(policy, policy->tails);
    const uint32_t *members = policy_section(policy, policy->members);
    unsigned result = (unsigned)strlen(policy_text(policy, module->path));
    for (uint32_t i = 0; i < module->site_count; i++) {
        const struct policy_site *site = &sites[module->first_site + i];
        result += policy_find_site(policy, module, site->offset, site->api) != NULL;
        result += exercise_site(policy, site);
    }
    for (uint32_t i = 0; i < 64; i++)
        result += policy_find_site(policy, module, i * 0x4000001u, i) != NULL;
    for (unsigned api = 0; api < API_COUNT; api++)
        result += policy_looseness(policy, module, api);
    for (uint32_t i = 0; i < 64; i++)
        result += policy_is_return(policy, module, i * 0x4000001u);
    for (uint32_t i = 0; i < module->tail_count; i++) {
        const struct policy_tail *tail = policy_find_tail(policy, module, tails[module->first_tail + i].target);
        for (uint32_t j = 0; tail != NULL && j < tail->member_count; j++)
            result += members[tail->first_member + j];
    }
    return result + (policy_find_tail(policy, module, 12345) != NULL);
}

/* Reads whatever a valid policy lets one read; the result only keeps the compiler from leaving it out. */
static inline unsigned exercise_policy(const struct policy_header *policy) {
    const struct policy_module *modules = policy_section(policy, policy->modules);
    unsigned result = (unsigned)strlen(policy_text(policy, policy->program_path));
    for (uint32_t i = 0; i < policy->modules.count; i++)
        result += exercise_module(policy, &modules[i]);
    return result;
}

/* ---- Memory with a fault behind its end ---- */

struct guarded {
    char *mapping;
    size_t length;
};

static inline struct guarded guarded_allocate(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct guarded guarded = {.length = (size + page - 1) / page * page + page};
    guarded.mapping = mmap(NULL, guarded.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (guarded.mapping == MAP_FAILED || mprotect(guarded.mapping + guarded.length - page, page, PROT_NONE) != 0)
        die_with_error("cannot map memory");
    return guarded;
}

/* A copy whose end is as close to the fault as its alignment lets it. */
static inline char *guarded_copy(const struct guarded *guarded, const void *data, size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *copy = guarded->mapping + guarded->length - page - (size + 7) / 8 * 8;
    if (size != 0)
        memcpy(copy, data, size);
    return copy;
}

static inline void guarded_free(struct guarded *guarded) {
    munmap(guarded->mapping, guarded->length);
}

#endif
