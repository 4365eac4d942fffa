/* The check of the check: policies that were robbed of values which the programs did pass must be found out. Each set is
 * robbed of one; all robbed sets of a program stand in one policy, for they do not depend on one another.
 */
#include <string.h>

#include "runtime/util.h"
#include "tests/soundness/soundness.h"
#include "tools/allows.h"

#define ONE_IN 10

/* One constrained set, and the observed value of which it is to be robbed. */
struct target {
    const struct fact *fact;
    size_t values; /* candidates seen so far */
};

/* The same numbers in every run. */
static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static bool same_set(const struct fact *a, const struct fact *b) {
    return identity_equal(&a->module, &b->module) && a->offset == b->offset && a->api == b->api &&
           a->argument == b->argument;
}

/* The end of a vector is no value, and a null address passes everywhere. */
static bool can_be_robbed(const struct policy_header *policy, const struct fact *fact) {
    if (fact->argument >= API_MAX_ARGUMENTS || judge(policy, fact) != OUTCOME_ALLOWED)
        return false;
    enum shape shape = argument_shape(api_table[fact->api].arguments[fact->argument].kind);
    return fact->value.kind != VALUE_NULL || shape == SHAPE_PATH || shape == SHAPE_STRING;
}

/* Of each set one of its values at random. */
static struct target *find_targets(const struct policy_header *policy, const struct fact *facts, size_t count,
                                   uint64_t *random, size_t *target_count) {
    struct target *targets = NULL;
    *target_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (!can_be_robbed(policy, &facts[i]))
            continue;
        struct target *last = *target_count ? &targets[*target_count - 1] : NULL;
        if (!last || !same_set(last->fact, &facts[i])) {
            *array_append(targets, *target_count) = (struct target){.fact = &facts[i], .values = 1};
            continue;
        }
        last->values++;
        if (next_random(random) % last->values == 0)
            last->fact = &facts[i];
    }
    return targets;
}

static struct constraint *find_set(struct document *document, const struct fact *fact) {
    for (size_t i = 0; i < document->module_count; i++) {
        struct module *module = &document->modules[i];
        if (!identity_equal(&module->identity, &fact->module))
            continue;
        for (size_t j = 0; j < module->site_count; j++)
            if (module->sites[j].offset == fact->offset && module->sites[j].api == fact->api)
                return site_constraint(&module->sites[j], fact->argument);
    }
    return NULL;
}

/* Removes what allows the value. An element of a vector is replaced: without a rule of its own it would fall under that
 * for the rest. */
static void rob(struct document *document, const struct fact *fact) {
    enum argument_kind kind = api_table[fact->api].arguments[fact->argument].kind;
    struct constraint *constraint = find_set(document, fact);
    if (!constraint)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < constraint->value_count; i++) {
        struct value *value = &constraint->values[i];
        if (!value_allows(value, kind, &fact->value)) {
            constraint->values[kept++] = *value;
            continue;
        }
        free(value->text);
        if (argument_shape(kind) == SHAPE_ARGV)
            constraint->values[kept++] = (struct value){
                .kind = VALUE_TEXT, .position = value->position, .text = xstrdup("\001no program says this")};
    }
    constraint->value_count = kept;
}

struct mutations mutate(const char *policy_path, const struct fact *facts, size_t count) {
    struct mutations mutations = {0};
    struct policy_file policy;
    policy_load_or_die(policy_path, &policy);
    uint64_t random = 20;
    size_t target_count;
    struct target *targets = find_targets(policy_header_of(&policy), facts, count, &random, &target_count);
    mutations.made = (target_count + ONE_IN - 1) / ONE_IN;
    for (size_t i = 0; i < mutations.made; i++) {
        size_t other = i + next_random(&random) % (target_count - i);
        struct target chosen = targets[other];
        targets[other] = targets[i];
        targets[i] = chosen;
        rob(&policy.document, chosen.fact);
    }
    size_t size;
    cleanup_free void *robbed = document_compile(&policy.document, &size);
    for (size_t i = 0; i < mutations.made; i++)
        mutations.caught += judge(robbed, targets[i].fact) == OUTCOME_REFUSED;
    free(targets);
    policy_unload(&policy);
    return mutations;
}
