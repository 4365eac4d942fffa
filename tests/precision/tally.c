/* See tally.h. */
#include "tests/precision/tally.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"

#define POINTER_REASON "called through a pointer"
#define UNLISTED_REASON "not listed"
#define WEAK_PATTERN_REASON "weak pattern or mask"

/* ---- Words ---- */

static size_t words_number(struct words *words, const char *word) {
    for (size_t i = words->count; i-- > 0;) {
        if (strcmp(words->items[i], word) == 0)
            return i;
    }
    *array_append(words->items, words->count) = xstrdup(word);
    return words->count - 1;
}

static void words_free(struct words *words) {
    for (size_t i = 0; i < words->count; i++)
        free(words->items[i]);
    free(words->items);
}

/* ---- Adding ---- */

static const char *reason_of(const struct constraint *constraint, enum form form) {
    if (form == FORM_WEAK)
        return WEAK_PATTERN_REASON;
    if (form != FORM_ANY)
        return "";
    return constraint->why_any != NULL ? constraint->why_any : UNLISTED_REASON;
}

/* Values beside `any` show that the site is the program's own, and may in addition be reached through a pointer. */
static bool is_pointed_only(const struct site *site) {
    for (size_t i = 0; i < site->constraint_count; i++) {
        const struct constraint *constraint = &site->constraints[i];
        if (!constraint->any || constraint->value_count > 0 || strcmp(constraint->why_any, POINTER_REASON) != 0)
            return false;
    }
    return site->constraint_count > 0;
}

static const struct constraint *listed(const struct site *site, unsigned argument) {
    for (size_t i = 0; i < site->constraint_count; i++) {
        if (site->constraints[i].argument == argument)
            return &site->constraints[i];
    }
    return NULL;
}

/* An argument that the site does not list may hold anything, unless it means nothing there. */
static void add_argument(struct tally *tally, struct row row, const struct site *site, unsigned number) {
    static const struct constraint anything = {.any = true};
    const struct argument *argument = &api_table[site->api].arguments[number];
    const struct constraint *constraint = listed(site, number);
    if (argument_shape(argument->kind) == SHAPE_OPAQUE || (constraint == NULL && argument->condition != WHEN_ALWAYS))
        return;
    if (constraint == NULL)
        constraint = &anything;
    row.argument = (uint8_t)number;
    row.form = (uint8_t)constraint_form(constraint, argument->kind);
    row.reason = (uint16_t)words_number(&tally->reasons, reason_of(constraint, row.form));
    row.partial = constraint->any ? (uint32_t)constraint->value_count : 0;
    *array_append(tally->rows, tally->row_count) = row;
}

static void add_site(struct tally *tally, uint32_t object, const struct site *site) {
    if (is_pointed_only(site))
        return;
    struct row row = {.object = object, .offset = site->offset, .api = site->api, .argument = SITE_ITSELF};
    const char *function = site->function == NULL ? "-" : site->function;
    /* Neighbouring sites share the name, and so the search from the end is short. */
    if (tally->names.count == 0 || strcmp(tally->names.items[tally->names.count - 1], function) != 0)
        *array_append(tally->names.items, tally->names.count) = xstrdup(function);
    row.function = (uint32_t)tally->names.count - 1;
    *array_append(tally->rows, tally->row_count) = row;
    for (unsigned i = 0; i < api_table[site->api].argument_count; i++)
        add_argument(tally, row, site, i);
}

void tally_add(struct tally *tally, const struct document *document,
               bool (*is_measured)(const char *path, const void *what), const void *what) {
    if (tally->reasons.count == 0)
        words_number(&tally->reasons, "");
    for (size_t i = 0; i < document->module_count; i++) {
        const struct module *module = &document->modules[i];
        if (!is_measured(module->path, what))
            continue;
        uint32_t object = (uint32_t)words_number(&tally->objects, module->path);
        for (size_t j = 0; j < module->site_count; j++)
            add_site(tally, object, &module->sites[j]);
    }
}

/* ---- Each once ---- */

/* The weaker rule first; the order of the programs must not matter. */
static int compare_rows(const void *a, const void *b) {
    const struct row *x = a, *y = b;
    if (x->object != y->object)
        return x->object < y->object ? -1 : 1;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    if (x->api != y->api)
        return x->api < y->api ? -1 : 1;
    if (x->argument != y->argument)
        return x->argument < y->argument ? -1 : 1;
    if (x->form != y->form)
        return x->form > y->form ? -1 : 1;
    return x->reason < y->reason ? -1 : x->reason > y->reason;
}

static bool is_same_place(const struct row *a, const struct row *b) {
    return a->object == b->object && a->offset == b->offset && a->api == b->api;
}

void tally_finish(struct tally *tally) {
    if (tally->row_count == 0)
        return;
    qsort(tally->rows, tally->row_count, sizeof *tally->rows, compare_rows);
    size_t kept = 1;
    for (size_t i = 1; i < tally->row_count; i++) {
        const struct row *last = &tally->rows[kept - 1], *row = &tally->rows[i];
        if (!is_same_place(row, last) || row->argument != last->argument)
            tally->rows[kept++] = *row;
    }
    tally->row_count = kept;
}

void tally_free(struct tally *tally) {
    words_free(&tally->objects);
    words_free(&tally->reasons);
    words_free(&tally->names);
    free(tally->rows);
}

/* ---- Counting ---- */

struct pool pool_make(const struct tally *tally, bool (*belongs)(const struct row *row, const void *what),
                      const void *what) {
    struct pool pool = {.reasons = xcalloc(tally->reasons.count + 1, sizeof *pool.reasons)};
    for (size_t i = 0; i < tally->row_count; i++) {
        const struct row *row = &tally->rows[i];
        if (row->argument == SITE_ITSELF || !belongs(row, what))
            continue;
        pool.total++;
        pool.forms[row->form]++;
        if (row->form >= FORM_WEAK)
            pool.reasons[row->reason]++;
    }
    return pool;
}

void pool_free(struct pool *pool) {
    free(pool->reasons);
}

double pool_percent(const struct pool *pool, enum form form) {
    return pool->total == 0 ? 0 : 100.0 * (double)pool->forms[form] / (double)pool->total;
}

struct site_counts tally_sites(const struct tally *tally) {
    struct site_counts counts = {0};
    for (size_t i = 0; i < tally->row_count;) {
        bool constrainable = false, constrained = false;
        size_t first = i;
        for (; i < tally->row_count && is_same_place(&tally->rows[i], &tally->rows[first]); i++) {
            if (tally->rows[i].argument == SITE_ITSELF)
                continue;
            constrainable = true;
            constrained |= tally->rows[i].form < FORM_WEAK;
        }
        counts.sites++;
        counts.constrainable += constrainable;
        counts.constrained += constrained;
    }
    return counts;
}
