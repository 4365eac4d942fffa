/* The policy document in memory: finding, adding, ordering. No file is read or written here.
 */
#define _GNU_SOURCE 1
#include "runtime/document.h"

#include <string.h>

#include "runtime/util.h"

void document_init(struct document *document) {
    *document = (struct document){
        .mode = MODE_ENFORCE,
        .on_violation = VERDICT_DENY,
        .on_broken_stack = VERDICT_KILL,
        .on_unknown_stack = VERDICT_ALLOW,
        .on_unlisted_module = VERDICT_DENY,
        .on_anonymous_code = VERDICT_DENY,
        .on_foreign_stack = VERDICT_KILL,
    };
}

static void free_values(struct value *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(values[i].text);
    free(values);
}

static void free_site(struct site *site) {
    for (size_t i = 0; i < site->constraint_count; i++) {
        free(site->constraints[i].why_any);
        free_values(site->constraints[i].values, site->constraints[i].value_count);
    }
    free(site->constraints);
    free_values(site->children, site->child_count);
    free(site->function);
}

static void free_module(struct module *module) {
    for (size_t i = 0; i < module->site_count; i++)
        free_site(&module->sites[i]);
    for (size_t i = 0; i < module->loose_count; i++)
        free(module->loose[i].why);
    for (size_t i = 0; i < module->tail_count; i++)
        free(module->tails[i].members);
    free(module->sites);
    free(module->loose);
    free(module->returns);
    free(module->tails);
    free(module->path);
}

void document_free(struct document *document) {
    for (size_t i = 0; i < document->module_count; i++)
        free_module(&document->modules[i]);
    free(document->modules);
    free(document->program);
    *document = (struct document){0};
}

/* Objects without an identity are told apart by their paths. */
static bool is_module(const struct module *module, const struct identity *identity, const char *path) {
    if (identity->kind == IDENTITY_NONE)
        return module->identity.kind == IDENTITY_NONE && strcmp(module->path, path) == 0;
    return identity_equal(&module->identity, identity);
}

struct module *document_module(struct document *document, const struct identity *identity, const char *path) {
    for (size_t i = 0; i < document->module_count; i++)
        if (is_module(&document->modules[i], identity, path))
            return &document->modules[i];
    struct module *module = array_append(document->modules, document->module_count);
    module->identity = *identity;
    module->path = xstrdup(path);
    return module;
}

static int compare_numbers(uint64_t a, uint64_t b) {
    return (a > b) - (a < b);
}

static int compare_signed(int64_t a, int64_t b) {
    return (a > b) - (a < b);
}

static int compare_sites(const void *left, const void *right) {
    const struct site *a = left, *b = right;
    int order = compare_numbers(a->offset, b->offset);
    return order != 0 ? order : compare_numbers(a->api, b->api);
}

/* The sites of a module are always in order: policygen mostly appends, and finding one takes a few steps. */
static size_t site_position(const struct module *module, const struct site *wanted) {
    size_t low = 0, high = module->site_count;
    if (high > 0 && compare_sites(&module->sites[high - 1], wanted) < 0)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_sites(&module->sites[middle], wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct site *module_site(struct module *module, uint32_t offset, uint16_t api) {
    struct site wanted = {.offset = offset, .api = api, .origin = ORIGIN_STATIC};
    size_t position = site_position(module, &wanted);
    if (position < module->site_count && compare_sites(&module->sites[position], &wanted) == 0)
        return &module->sites[position];
    size_t behind = module->site_count - position;
    (void)array_append(module->sites, module->site_count);
    memmove(&module->sites[position + 1], &module->sites[position], behind * sizeof(struct site));
    module->sites[position] = wanted;
    return &module->sites[position];
}

struct constraint *site_constraint(struct site *site, uint8_t argument) {
    size_t position = 0;
    while (position < site->constraint_count && site->constraints[position].argument < argument)
        position++;
    if (position < site->constraint_count && site->constraints[position].argument == argument)
        return &site->constraints[position];
    size_t behind = site->constraint_count - position;
    (void)array_append(site->constraints, site->constraint_count);
    memmove(&site->constraints[position + 1], &site->constraints[position], behind * sizeof(struct constraint));
    site->constraints[position] = (struct constraint){.argument = argument};
    return &site->constraints[position];
}

static int compare_addresses(const struct policy_address *a, const struct policy_address *b) {
    int order = compare_numbers(a->family, b->family);
    if (order == 0)
        order = compare_numbers(a->flags, b->flags);
    if (order == 0)
        order = memcmp(a->host, b->host, sizeof(a->host));
    if (order == 0)
        order = compare_numbers(a->port, b->port);
    return order != 0 ? order : compare_numbers(a->match, b->match);
}

/* What a value allows, origin and address of a constant aside. */
static int compare_meaning(const struct value *a, const struct value *b) {
    int order = compare_numbers(a->position, b->position);
    if (order == 0)
        order = compare_numbers(a->kind, b->kind);
    if (order == 0)
        order = compare_signed(a->low, b->low);
    if (order == 0)
        order = compare_signed(a->high, b->high);
    if (order == 0 && a->kind == VALUE_ADDRESS)
        order = compare_addresses(&a->address, &b->address);
    if (order == 0)
        order = strcmp(a->text != NULL ? a->text : "", b->text != NULL ? b->text : "");
    return order;
}

static int compare_values(const void *left, const void *right) {
    return compare_meaning(left, right);
}

/* Of two values that allow the same the smaller origin and the smaller address stay: the result does not depend on
 * the order in which they came. */
static void unite_values(struct value *kept, const struct value *other) {
    if (other->origin < kept->origin)
        kept->origin = other->origin;
    if (other->constant != 0 && (kept->constant == 0 || other->constant < kept->constant))
        kept->constant = other->constant;
}

/* Fields that say nothing are zero, so that equal values compare equal. */
static void normalise_value(struct value *value) {
    struct policy_address *address = &value->address;
    if (value->kind != VALUE_RANGE)
        value->high = 0;
    if (value->kind > VALUE_MASK)
        value->low = 0;
    if (value->kind == VALUE_ADDRESS && address->match == 0)
        address->match = MATCH_EXACT;
    if ((address->flags & ADDRESS_ANY_PORT) != 0)
        address->port = 0;
    if ((address->flags & ADDRESS_ANY_HOST) != 0)
        memset(address->host, 0, sizeof(address->host));
}

static void add_value(struct value **values, size_t *count, struct value value) {
    normalise_value(&value);
    for (size_t i = 0; i < *count; i++) {
        if (compare_meaning(&(*values)[i], &value) == 0) {
            unite_values(&(*values)[i], &value);
            free(value.text);
            return;
        }
    }
    *array_append(*values, *count) = value;
}

void constraint_add(struct constraint *constraint, struct value value) {
    add_value(&constraint->values, &constraint->value_count, value);
}

void site_add_child(struct site *site, struct value value) {
    add_value(&site->children, &site->child_count, value);
}

void module_add_loose(struct module *module, uint16_t api, enum looseness how, const char *why) {
    for (size_t i = 0; i < module->loose_count; i++) {
        struct loose *loose = &module->loose[i];
        if (loose->api != api)
            continue;
        if (how > loose->how) {
            loose->how = how;
            free(loose->why);
            loose->why = xstrdup(why);
        }
        return;
    }
    *array_append(module->loose, module->loose_count) = (struct loose){.api = api, .how = how, .why = xstrdup(why)};
}

void module_add_return(struct module *module, uint32_t offset) {
    *array_append(module->returns, module->return_count) = offset;
}

struct tail *module_add_tail(struct module *module, uint32_t target) {
    struct tail *tail = array_append(module->tails, module->tail_count);
    tail->target = target;
    return tail;
}

void tail_add_member(struct tail *tail, uint32_t member) {
    *array_append(tail->members, tail->member_count) = member;
}

static int compare_constraints(const void *left, const void *right) {
    const struct constraint *a = left, *b = right;
    return compare_numbers(a->argument, b->argument);
}

static int compare_loose(const void *left, const void *right) {
    const struct loose *a = left, *b = right;
    return compare_numbers(a->api, b->api);
}

static int compare_tails(const void *left, const void *right) {
    const struct tail *a = left, *b = right;
    return compare_numbers(a->target, b->target);
}

static int compare_offsets(const void *left, const void *right) {
    return compare_numbers(*(const uint32_t *)left, *(const uint32_t *)right);
}

static void sort(void *array, size_t count, size_t size, int (*compare)(const void *, const void *)) {
    if (count > 1)
        qsort(array, count, size, compare);
}

static void sort_site(struct site *site) {
    sort(site->constraints, site->constraint_count, sizeof(struct constraint), compare_constraints);
    for (size_t i = 0; i < site->constraint_count; i++)
        sort(site->constraints[i].values, site->constraints[i].value_count, sizeof(struct value), compare_values);
    sort(site->children, site->child_count, sizeof(struct value), compare_values);
}

/* In order, each once. */
static void sort_offsets(uint32_t *offsets, size_t *count) {
    sort(offsets, *count, sizeof(uint32_t), compare_offsets);
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++)
        if (kept == 0 || offsets[i] != offsets[kept - 1])
            offsets[kept++] = offsets[i];
    *count = kept;
}

/* Tails of one target become one. */
static void unite_tails(struct module *module) {
    size_t kept = 0;
    for (size_t i = 0; i < module->tail_count; i++) {
        struct tail *tail = &module->tails[i];
        if (kept == 0 || module->tails[kept - 1].target != tail->target) {
            module->tails[kept++] = *tail;
            continue;
        }
        for (size_t j = 0; j < tail->member_count; j++)
            tail_add_member(&module->tails[kept - 1], tail->members[j]);
        module->tails[kept - 1].flags |= tail->flags;
        free(tail->members);
    }
    module->tail_count = kept;
}

static void sort_module(struct module *module) {
    sort(module->sites, module->site_count, sizeof(struct site), compare_sites);
    for (size_t i = 0; i < module->site_count; i++)
        sort_site(&module->sites[i]);
    sort(module->loose, module->loose_count, sizeof(struct loose), compare_loose);
    sort_offsets(module->returns, &module->return_count);
    sort(module->tails, module->tail_count, sizeof(struct tail), compare_tails);
    unite_tails(module);
    for (size_t i = 0; i < module->tail_count; i++)
        sort_offsets(module->tails[i].members, &module->tails[i].member_count);
}

void document_sort(struct document *document) {
    for (size_t i = 0; i < document->module_count; i++)
        sort_module(&document->modules[i]);
}

char *policy_file_stem(const char *program) {
    while (*program == '/')
        program++;
    char *stem = xstrdup(program);
    for (char *at = stem; *at != '\0'; at++)
        if (*at == '/')
            *at = '.';
    return stem;
}
