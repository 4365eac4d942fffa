/* Old and new policies of a program brought together: what is carried over, and what both allow. Documents alone, no
 * file is read here.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/patch/repolicy.h"
#include "tools/policy_file.h"

static struct value copy_value(const struct value *value) {
    struct value copy = *value;
    copy.text = value->text != NULL ? xstrdup(value->text) : NULL;
    return copy;
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static const struct constraint *find_constraint(const struct site *site, uint8_t argument) {
    for (size_t i = 0; i < site->constraint_count; i++)
        if (site->constraints[i].argument == argument)
            return &site->constraints[i];
    return NULL;
}

/* The sites of a module are in order. */
static struct site *find_site(struct module *module, uint32_t offset, uint16_t api) {
    size_t low = 0, high = module->site_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct site *site = &module->sites[middle];
        if (site->offset == offset && site->api == api)
            return site;
        if (site->offset < offset || (site->offset == offset && site->api < api))
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static bool is_ours(const struct value *value) {
    return value->origin != ORIGIN_STATIC;
}

static size_t count_ours(const struct value *values, size_t count) {
    size_t ours = 0;
    for (size_t i = 0; i < count; i++)
        ours += is_ours(&values[i]);
    return ours;
}

static bool site_has_ours(const struct site *site) {
    size_t ours = count_ours(site->children, site->child_count);
    for (size_t i = 0; i < site->constraint_count; i++)
        ours += count_ours(site->constraints[i].values, site->constraints[i].value_count);
    return ours > 0 || site->origin != ORIGIN_STATIC || site->mode != MODE_INHERIT || site->verdict != VERDICT_INHERIT;
}

/* ---- carrying over one site ---- */

/* A static pattern that learning took away, because what was observed says more, is taken away again. */
static void drop_replaced(struct constraint *fresh, const struct constraint *old) {
    size_t kept = 0;
    for (size_t i = 0; i < fresh->value_count; i++) {
        struct value *value = &fresh->values[i];
        bool known = value->kind != VALUE_GLOB;
        for (size_t j = 0; j < old->value_count && !known; j++)
            known = old->values[j].kind == VALUE_GLOB && same_text(old->values[j].text, value->text);
        if (known)
            fresh->values[kept++] = *value;
        else
            free(value->text);
    }
    fresh->value_count = kept;
}

/* `other_build`: addresses of constants are another build's. */
static void carry_constraint(struct site *fresh, const struct constraint *old, bool other_build) {
    size_t learned = 0;
    if (count_ours(old->values, old->value_count) == 0)
        return;
    bool was_free = find_constraint(fresh, old->argument) == NULL;
    struct constraint *constraint = site_constraint(fresh, old->argument);
    if (!old->any) {
        constraint->any = false;
        free(steal_pointer(&constraint->why_any));
    } else if (was_free) {
        constraint->any = true;
        constraint->why_any = old->why_any != NULL ? xstrdup(old->why_any) : NULL;
    }
    for (size_t i = 0; i < old->value_count; i++)
        learned += old->values[i].origin == ORIGIN_LEARNED;
    if (learned > 0 && !old->any)
        drop_replaced(constraint, old);
    for (size_t i = 0; i < old->value_count; i++) {
        if (!is_ours(&old->values[i]))
            continue;
        struct value value = copy_value(&old->values[i]);
        if (other_build)
            value.constant = 0;
        constraint_add(constraint, value);
    }
}

static void carry_site(struct site *fresh, const struct site *old, bool other_build) {
    if (old->mode != MODE_INHERIT)
        fresh->mode = old->mode;
    if (old->verdict != VERDICT_INHERIT)
        fresh->verdict = old->verdict;
    for (size_t i = 0; i < old->constraint_count; i++)
        carry_constraint(fresh, &old->constraints[i], other_build);
    for (size_t i = 0; i < old->child_count; i++)
        if (is_ours(&old->children[i]))
            site_add_child(fresh, copy_value(&old->children[i]));
}

static void copy_site(struct module *module, const struct site *old) {
    struct site *site = module_site(module, old->offset, old->api);
    site->origin = old->origin;
    site->mode = old->mode;
    site->verdict = old->verdict;
    site->fingerprint = old->fingerprint;
    site->function = old->function != NULL ? xstrdup(old->function) : NULL;
    for (size_t i = 0; i < old->constraint_count; i++) {
        const struct constraint *from = &old->constraints[i];
        struct constraint *to = site_constraint(site, from->argument);
        to->any = from->any;
        to->why_any = from->why_any != NULL ? xstrdup(from->why_any) : NULL;
        for (size_t j = 0; j < from->value_count; j++)
            constraint_add(to, copy_value(&from->values[j]));
    }
    for (size_t i = 0; i < old->child_count; i++)
        site_add_child(site, copy_value(&old->children[i]));
}

/* ---- the same build ---- */

static void carry_same(struct module *fresh, const struct module *old, FILE *notes) {
    for (size_t i = 0; i < old->site_count; i++) {
        const struct site *site = &old->sites[i];
        struct site *found = find_site(fresh, site->offset, site->api);
        if (!site_has_ours(site))
            continue;
        if (found != NULL)
            carry_site(found, site, false);
        else if (site->origin != ORIGIN_STATIC)
            copy_site(fresh, site);
        else
            fprintf(notes, "%s+0x%x:%s is no call site any more\n", old->path, site->offset, api_table[site->api].name);
    }
}

/* ---- another build: by the function's instructions, the call, and its place among such calls ---- */

static bool same_call(const struct site *a, const struct site *b, bool by_name) {
    return a->fingerprint == b->fingerprint && a->api == b->api && (!by_name || same_text(a->function, b->function));
}

/* How many such calls a module has; `functions` tells whether they lie in more than one function. */
static size_t count_calls(const struct module *module, const struct site *like, bool by_name, bool *functions) {
    const struct site *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < module->site_count; i++) {
        const struct site *site = &module->sites[i];
        if (!same_call(site, like, by_name) || site->origin != ORIGIN_STATIC)
            continue;
        if (first != NULL && !same_text(first->function, site->function))
            *functions = true;
        first = site;
        count++;
    }
    return count;
}

static size_t place_of(const struct module *module, const struct site *wanted, bool by_name) {
    size_t place = 0;
    for (const struct site *site = module->sites; site != wanted; site++)
        place += same_call(site, wanted, by_name) && site->origin == ORIGIN_STATIC;
    return place;
}

static struct site *call_at(struct module *module, const struct site *like, bool by_name, size_t place) {
    for (size_t i = 0; i < module->site_count; i++)
        if (same_call(&module->sites[i], like, by_name) && module->sites[i].origin == ORIGIN_STATIC && place-- == 0)
            return &module->sites[i];
    return NULL;
}

/* Functions of equal code are told apart by their names, where they have names; else it is not known which is which. */
static struct site *find_again(struct module *fresh, const struct module *old, const struct site *site) {
    if (site->fingerprint == 0 || site->origin != ORIGIN_STATIC)
        return NULL;
    bool has_name = site->function != NULL && strncmp(site->function, "0x", 2) != 0;
    for (int by_name = 0; by_name < 1 + has_name; by_name++) {
        bool several = false;
        size_t before = count_calls(old, site, by_name, &several), after = count_calls(fresh, site, by_name, &several);
        if (before == after && !several)
            return call_at(fresh, site, by_name, place_of(old, site, by_name));
    }
    return NULL;
}

static void carry_other(struct module *fresh, const struct module *old, FILE *notes) {
    for (size_t i = 0; i < old->site_count; i++) {
        const struct site *site = &old->sites[i];
        if (!site_has_ours(site))
            continue;
        struct site *found = find_again(fresh, old, site);
        if (found != NULL)
            carry_site(found, site, true);
        else
            fprintf(notes, "%s+0x%x:%s (in %s): what was learned or written there is not carried over\n", old->path,
                    site->offset, api_table[site->api].name, site->function != NULL ? site->function : "?");
    }
}

/* ---- whole policies ---- */

/* All but the call sites. */
static void copy_the_rest(struct module *module, const struct module *old) {
    for (size_t i = 0; i < old->loose_count; i++)
        module_add_loose(module, old->loose[i].api, old->loose[i].how,
                         old->loose[i].why != NULL ? old->loose[i].why : "");
    for (size_t i = 0; i < old->return_count; i++)
        module_add_return(module, old->returns[i]);
    for (size_t i = 0; i < old->tail_count; i++) {
        struct tail *tail = module_add_tail(module, old->tails[i].target);
        tail->flags = old->tails[i].flags;
        for (size_t j = 0; j < old->tails[i].member_count; j++)
            tail_add_member(tail, old->tails[i].members[j]);
    }
}

static void copy_module(struct document *document, const struct module *old) {
    struct module *module = document_module(document, &old->identity, old->path);
    module->has_tails = old->has_tails;
    for (size_t i = 0; i < old->site_count; i++)
        copy_site(module, &old->sites[i]);
    copy_the_rest(module, old);
}

static struct module *module_of_build(struct document *document, const struct module *like) {
    for (size_t i = 0; i < document->module_count; i++)
        if (identity_equal(&document->modules[i].identity, &like->identity))
            return &document->modules[i];
    return NULL;
}

/* A policy that allows two builds of a file has the one that counts first. */
static bool is_earlier_build(const struct document *document, size_t module) {
    for (size_t i = 0; i < module; i++)
        if (strcmp(document->modules[i].path, document->modules[module].path) == 0)
            return true;
    return false;
}

/* The length of a library's name without its version: "/usr/lib/libz.so" of "/usr/lib/libz.so.1.2.13". */
static size_t name_length(const char *path) {
    const char *end = strstr(base_name(path), ".so");
    return end != NULL ? (size_t)(end - path) + strlen(".so") : strlen(path);
}

static struct module *module_of_name(struct document *document, const struct module *like) {
    for (size_t i = 0; i < document->module_count; i++)
        if (strcmp(document->modules[i].path, like->path) == 0)
            return &document->modules[i];
    size_t length = name_length(like->path);
    for (size_t i = 0; i < document->module_count; i++)
        if (name_length(document->modules[i].path) == length &&
            strncmp(document->modules[i].path, like->path, length) == 0)
            return &document->modules[i];
    return NULL;
}

static bool module_has_ours(const struct module *module) {
    for (size_t i = 0; i < module->site_count; i++)
        if (site_has_ours(&module->sites[i]))
            return true;
    return false;
}

void repolicy_carry(struct document *fresh, const struct document *old, FILE *notes) {
    fresh->mode = old->mode;
    fresh->on_violation = old->on_violation;
    fresh->on_broken_stack = old->on_broken_stack;
    fresh->on_unknown_stack = old->on_unknown_stack;
    fresh->on_unlisted_module = old->on_unlisted_module;
    fresh->on_anonymous_code = old->on_anonymous_code;
    fresh->on_foreign_stack = old->on_foreign_stack;
    for (size_t i = 0; i < old->module_count; i++) {
        const struct module *module = &old->modules[i];
        struct module *same = module_of_build(fresh, module);
        struct module *other = same == NULL ? module_of_name(fresh, module) : NULL;
        if (same == NULL && is_earlier_build(old, i))
            continue;
        if (same != NULL)
            carry_same(same, module, notes);
        else if (other != NULL)
            carry_other(other, module, notes);
        else if (module_has_ours(module))
            fprintf(notes, "%s is not loaded any more: what was learned or written of it is left out\n", module->path);
    }
}

/* ---- what both allow ---- */

static void unite_constraints(struct site *site, const struct site *old) {
    for (size_t i = 0; i < site->constraint_count; i++) {
        struct constraint *constraint = &site->constraints[i];
        const struct constraint *before = find_constraint(old, constraint->argument);
        if (constraint->any)
            continue;
        if (before == NULL || before->any) {
            constraint->any = true;
            constraint->why_any = xstrdup("as before the patch");
            continue;
        }
        for (size_t j = 0; j < before->value_count; j++)
            constraint_add(constraint, copy_value(&before->values[j]));
    }
}

static void unite_site(struct module *module, const struct site *old) {
    struct site *site = find_site(module, old->offset, old->api);
    if (site == NULL) {
        copy_site(module, old);
        return;
    }
    unite_constraints(site, old);
    for (size_t i = 0; i < old->child_count; i++)
        site_add_child(site, copy_value(&old->children[i]));
}

static void unite_module(struct module *module, const struct module *old) {
    for (size_t i = 0; i < old->site_count; i++)
        unite_site(module, &old->sites[i]);
    copy_the_rest(module, old);
    module->has_tails = module->has_tails && old->has_tails;
}

void repolicy_unite(struct document *document, const struct document *old) {
    for (size_t i = 0; i < old->module_count; i++) {
        struct module *same = module_of_build(document, &old->modules[i]);
        if (same != NULL)
            unite_module(same, &old->modules[i]);
        else
            copy_module(document, &old->modules[i]);
    }
    document_sort(document);
}
