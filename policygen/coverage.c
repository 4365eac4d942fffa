/* Reads finished policies: what counts is what is enforced. */
#include "policygen/coverage.h"

#include <string.h>

static void count_rule(struct coverage *coverage, const struct constraint *constraint, bool *constrained) {
    if (constraint->any) {
        coverage->arguments.any++;
        for (unsigned i = 0; i < UNKNOWN_COUNT; i++) {
            if (strcmp(constraint->why_any, unknown_text((enum unknown)i)) == 0)
                coverage->unknown[i]++;
        }
        return;
    }
    *constrained = true;
    if (constraint->value_count > 0 && constraint->values[0].kind == VALUE_MASK)
        coverage->arguments.masked++;
    else
        coverage->arguments.set++;
}

void coverage_count(const struct module *module, struct coverage *coverage) {
    coverage->sites = module->site_count;
    coverage->loose = module->loose_count;
    coverage->pointed = module->return_count;
    for (size_t i = 0; i < module->site_count; i++) {
        const struct site *site = &module->sites[i];
        bool constrained = false;
        for (size_t j = 0; j < site->constraint_count; j++)
            count_rule(coverage, &site->constraints[j], &constrained);
        coverage->constrained_sites += constrained;
    }
}
