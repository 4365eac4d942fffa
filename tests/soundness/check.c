/* Holds what programs were observed to do against the policies that policygen made of their files. Prints each miss so
 * that it can be traced, and the figures as a table and as JSON. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "runtime/constants.h"
#include "runtime/util.h"
#include "tests/soundness/soundness.h"
#include "tools/describe.h"
#include "tools/json.h"

/* One program's row. */
struct row {
    const char *program;
    size_t sites, sites_reached;
    size_t observations, constrained, loose;
    size_t misses;
    struct mutations mutations;
};

/* A call site of a module, in whichever policies. */
struct place {
    struct identity module;
    uint32_t offset;
    uint16_t api;
    bool reached;
};

struct check {
    const char *directory;
    struct observed observed;
    struct row *rows;
    size_t row_count;
    struct place *places;
    size_t place_count;
    size_t without_policy;
    size_t misses;
};

/* ---- Places: each counts once, however many programs load its module ---- */

static int compare_places(const void *left, const void *right) {
    const struct place *a = left;
    const struct place *b = right;
    int order = memcmp(&a->module, &b->module, sizeof a->module);
    if (!order)
        order = (a->offset > b->offset) - (a->offset < b->offset);
    return order ? order : (a->api > b->api) - (a->api < b->api);
}

static void unite_places(struct check *check) {
    size_t kept = 0;
    if (check->place_count)
        qsort(check->places, check->place_count, sizeof *check->places, compare_places);
    for (size_t i = 0; i < check->place_count; i++) {
        if (kept && compare_places(&check->places[kept - 1], &check->places[i]) == 0)
            check->places[kept - 1].reached |= check->places[i].reached;
        else
            check->places[kept++] = check->places[i];
    }
    check->place_count = kept;
}

/* Whether nothing but a pointer that may lead to the function brought the site into the policy. */
static bool is_marked_pointed(const struct site *site) {
    for (size_t i = 0; i < site->constraint_count; i++)
        if (!site->constraints[i].any || !site->constraints[i].why_any ||
            strcmp(site->constraints[i].why_any, "called through a pointer") != 0)
            return false;
    return site->constraint_count > 0;
}

/* A site of a function without arguments bears no mark; but only behind a call through a pointer many functions have
 * sites at one place. */
static bool is_pointed(const struct module *module, const struct site *site) {
    const struct site *end = module->sites + module->site_count;
    if (site->constraint_count > 0)
        return is_marked_pointed(site);
    for (const struct site *other = site; other > module->sites && other[-1].offset == site->offset; other--)
        if (is_marked_pointed(&other[-1]))
            return true;
    for (const struct site *other = site + 1; other < end && other->offset == site->offset; other++)
        if (is_marked_pointed(other))
            return true;
    return false;
}

/* The document is sorted. */
static const struct site *find_site(const struct document *document, const struct fact *fact,
                                    const struct module **in) {
    for (size_t i = 0; i < document->module_count; i++) {
        const struct module *module = &document->modules[i];
        if (!identity_equal(&module->identity, &fact->module))
            continue;
        *in = module;
        size_t low = 0, high = module->site_count;
        while (low < high) {
            size_t middle = (low + high) / 2;
            const struct site *site = &module->sites[middle];
            if (site->offset == fact->offset && site->api == fact->api)
                return site;
            if (site->offset < fact->offset || (site->offset == fact->offset && site->api < fact->api))
                low = middle + 1;
            else
                high = middle;
        }
    }
    return NULL;
}

static void add_places(struct check *check, struct row *row, const struct document *document) {
    for (size_t i = 0; i < document->module_count; i++) {
        const struct module *module = &document->modules[i];
        for (size_t j = 0; j < module->site_count; j++) {
            if (is_pointed(module, &module->sites[j]))
                continue;
            row->sites++;
            *array_append(check->places, check->place_count) = (struct place){
                .module = module->identity, .offset = module->sites[j].offset, .api = module->sites[j].api};
        }
    }
}

/* ---- One fact ---- */

static void print_allowed(const struct site *site, unsigned argument) {
    const struct constraint *constraint = find_constraint(site, argument);
    for (size_t i = 0; constraint && i < constraint->value_count; i++) {
        cleanup_free char *text = describe_value(&constraint->values[i], api_table[site->api].arguments[argument].kind);
        printf("%s %s", i ? "," : " allowed:", text);
        if (constraint->values[i].position)
            printf(" at %u", constraint->values[i].position);
    }
}

static void print_miss(const struct check *check, const struct row *row, const struct document *document,
                       const struct fact *fact, enum outcome outcome) {
    const struct api *api = &api_table[fact->api];
    printf("miss: %s: %s+0x%x: %s", row->program, observed_module_path(&check->observed, &fact->module), fact->offset,
           api->name);
    const struct module *module;
    const struct site *site = find_site(document, fact, &module);
    if (outcome != OUTCOME_REFUSED || !site) {
        printf(outcome == OUTCOME_UNKNOWN_MODULE ? ": the policy lacks the module\n" : ": the policy lacks the site\n");
        return;
    }
    cleanup_free char *seen = describe_value(&fact->value, api->arguments[fact->argument].kind);
    printf(" in %s: argument %s was %s", site->function ? site->function : "?", api->arguments[fact->argument].name,
           seen);
    if (argument_shape(api->arguments[fact->argument].kind) == SHAPE_ARGV)
        printf(" at %u", fact->value.position);
    print_allowed(site, fact->argument);
    printf("\n");
}

/* A missing place is one miss, however many arguments were seen there. */
static void check_fact(struct check *check, struct row *row, const struct policy_file *policy,
                       const struct fact *fact) {
    enum outcome outcome = judge(policy_header_of(policy), fact);
    bool is_place = fact->argument == RECORD_SITE;
    const struct module *module;
    const struct site *site = find_site(&policy->document, fact, &module);
    if (outcome == OUTCOME_FREE && site && is_pointed(module, site))
        outcome = OUTCOME_LOOSE;
    if (is_place && outcome == OUTCOME_FREE && site) {
        row->sites_reached++;
        *array_append(check->places, check->place_count) =
            (struct place){.module = fact->module, .offset = fact->offset, .api = fact->api, .reached = true};
    }
    row->observations += !is_place;
    row->loose += !is_place && outcome == OUTCOME_LOOSE;
    row->constrained += outcome == OUTCOME_ALLOWED || outcome == OUTCOME_REFUSED;
    if (is_miss(outcome) && (is_place || outcome == OUTCOME_REFUSED)) {
        row->misses++;
        print_miss(check, row, &policy->document, fact, outcome);
    }
}

/* ---- One program ---- */

static bool is_judged(const struct fact *fact) {
    return api_table[fact->api].level != LEVEL_COUNTED && fact->argument != RECORD_CHILD;
}

static void check_program(struct check *check, const struct fact *facts, size_t count) {
    struct row row = {.program = observed_program_path(&check->observed, &facts->program)};
    cleanup_free char *path = policy_path(check->directory, row.program, POLICY_TEXT_SUFFIX);
    struct policy_file policy;
    struct mistake mistake = {0};
    if (!policy_load(path, &policy, &mistake)) {
        printf("no policy: %s: %s\n", row.program, mistake.text);
        check->without_policy++;
        return;
    }
    if (!identity_equal(&policy.document.identity, &facts->program)) {
        printf("no policy: %s: that of another build stands under its name\n", row.program);
        check->without_policy++;
    } else {
        document_sort(&policy.document);
        add_places(check, &row, &policy.document);
        for (size_t i = 0; i < count; i++)
            if (is_judged(&facts[i]))
                check_fact(check, &row, &policy, &facts[i]);
        row.mutations = mutate(path, facts, count);
        *array_append(check->rows, check->row_count) = row;
    }
    policy_unload(&policy);
}

static void check_programs(struct check *check) {
    const struct observed *observed = &check->observed;
    for (size_t i = 0, end; i < observed->fact_count; i = end) {
        for (end = i + 1; end < observed->fact_count; end++)
            if (!identity_equal(&observed->facts[i].program, &observed->facts[end].program))
                break;
        check_program(check, &observed->facts[i], end - i);
    }
    unite_places(check);
}

/* ---- The report ---- */

static struct row total(const struct check *check) {
    struct row total = {.program = "total", .sites = check->place_count};
    for (size_t i = 0; i < check->place_count; i++)
        total.sites_reached += check->places[i].reached;
    for (size_t i = 0; i < check->row_count; i++) {
        const struct row *row = &check->rows[i];
        total.observations += row->observations;
        total.constrained += row->constrained;
        total.loose += row->loose;
        total.misses += row->misses;
        total.mutations.made += row->mutations.made;
        total.mutations.caught += row->mutations.caught;
    }
    return total;
}

static double percent(size_t part, size_t whole) {
    return whole ? (double)part * 100 / (double)whole : 0;
}

static void print_row(const struct row *row) {
    printf("%-40s %7zu %6.1f%% %12zu %11zu %7zu %6zu %5zu of %zu\n", row->program, row->sites,
           percent(row->sites_reached, row->sites), row->observations, row->constrained, row->loose, row->misses,
           row->mutations.caught, row->mutations.made);
}

static int compare_rows(const void *left, const void *right) {
    return strcmp(((const struct row *)left)->program, ((const struct row *)right)->program);
}

static void print_table(struct check *check, const struct row *sum) {
    if (check->row_count)
        qsort(check->rows, check->row_count, sizeof *check->rows, compare_rows);
    printf("%-40s %7s %7s %12s %11s %7s %6s %s\n", "program", "sites", "reached", "observations", "constrained",
           "loose", "misses", "mutations caught");
    for (size_t i = 0; i < check->row_count; i++)
        print_row(&check->rows[i]);
    print_row(sum);
}

static json_t *row_json(const struct row *row) {
    return json_pack("{s:o, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I}", "program", json_text(row->program), "sites",
                     (json_int_t)row->sites, "sites_reached_pct", percent(row->sites_reached, row->sites),
                     "observations", (json_int_t)row->observations, "constrained_observed",
                     (json_int_t)row->constrained, "loose_observed", (json_int_t)row->loose, "misses",
                     (json_int_t)row->misses, "mutations", (json_int_t)row->mutations.made, "mutations_caught",
                     (json_int_t)row->mutations.caught);
}

static void write_json(const struct check *check, const struct row *sum, const char *path) {
    json_t *rows = json_array();
    for (size_t i = 0; i < check->row_count; i++)
        json_array_append_new(rows, row_json(&check->rows[i]));
    json_t *report = row_json(sum);
    json_object_del(report, "program");
    json_object_set_new(report, "programs", json_integer((json_int_t)check->row_count));
    json_object_set_new(report, "programs_without_policy", json_integer((json_int_t)check->without_policy));
    json_object_set_new(report, "lost", json_integer((json_int_t)check->observed.lost));
    json_object_set_new(report, "unread", json_integer((json_int_t)check->observed.unread));
    json_object_set_new(report, "unreadable", json_integer((json_int_t)check->observed.unreadable));
    json_object_set_new(report, "rows", rows);
    if (json_dump_file(report, path, JSON_INDENT(2)) != 0)
        die_with_error("cannot write \"%s\"", path);
    json_decref(report);
}

static bool report(struct check *check, const char *json) {
    struct row sum = total(check);
    print_table(check, &sum);
    if (json)
        write_json(check, &sum, json);
    const struct observed *observed = &check->observed;
    printf("%zu programs, %zu of %zu observations against a constrained set, %zu misses\n", check->row_count,
           sum.constrained, sum.observations, sum.misses);
    if (observed->lost || observed->unread || observed->unreadable)
        printf(
            "not observed: %llu facts found no room in the record, %llu arguments were too long for it, %zu facts no "
            "policy can express\n",
            (unsigned long long)observed->lost, (unsigned long long)observed->unread, observed->unreadable);
    if (sum.mutations.caught != sum.mutations.made)
        printf("the check is void: %zu of %zu robbed sets were not noticed\n",
               sum.mutations.made - sum.mutations.caught, sum.mutations.made);
    return sum.misses == 0 && sum.mutations.caught == sum.mutations.made && sum.mutations.made > 0 &&
           check->without_policy == 0 && observed->lost == 0;
}

/* ---- The command line ---- */

static void list_programs(const struct observed *observed) {
    for (size_t i = 0; i < observed->program_count; i++)
        printf("%s\n", observed->programs[i].path);
}

int main(int argc, char **argv) {
    struct check check = {0};
    const char *json = NULL;
    bool list = false;
    int option;
    while ((option = getopt(argc, argv, "d:j:l")) != -1) {
        switch (option) {
        case 'd': check.directory = optarg; break;
        case 'j': json = optarg; break;
        case 'l': list = true; break;
        default: die("usage: check -l RECORD... | check -d POLICIES [-j JSON] RECORD...");
        }
    }
    for (int i = optind; i < argc; i++) {
        struct mistake mistake = {0};
        if (!observed_read(&check.observed, argv[i], &mistake))
            die("cannot read the record \"%s\": %s", argv[i], mistake.text);
    }
    observed_sort(&check.observed);
    bool good = true;
    if (list) {
        list_programs(&check.observed);
    } else {
        if (!check.directory)
            die("which directory of policies? give -d");
        check_programs(&check);
        good = report(&check, json);
    }
    free(check.rows);
    free(check.places);
    observed_free(&check.observed);
    return good ? EXIT_FINE : EXIT_FINDINGS;
}
