/* `pinion show`: prints what a policy allows, for people to review and for machines to read. */
#include <stdio.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/describe.h"
#include "tools/json.h"
#include "tools/options.h"
#include "tools/policy_file.h"

static struct {
    const char *site;
    const char *api;
    const char *class;
    const char *module;
    bool any;
    bool summary;
    bool json;
} settings;

static const struct option_row options[] = {
    OPTION_TEXT("site", 's', "OFFSET", &settings.site,
                "only the sites at this return address: 0x1234, or a denial's rule such as nginx+0x1234:open"),
    OPTION_TEXT("api", 'a', "NAME", &settings.api, "only the sites that call this function"),
    OPTION_TEXT("class", 'c', "CLASS", &settings.class, "only sites of this class: exec, code, module, file, ..."),
    OPTION_TEXT("module", 'm', "NAME", &settings.module, "only this program or library: its path or file name"),
    OPTION_FLAG("any", 0, &settings.any, "only sites that have an argument about which nothing is known"),
    OPTION_FLAG("summary", 0, &settings.summary, "only the statistics"),
    OPTION_FLAG("json", 'j', &settings.json, "print one JSON object"),
};

static const char details[] =
    "FILE is a policy's text or its compiled form. The compiled form does not keep the names of functions, where\n"
    "values come from, and why an argument may be anything.\n"
    "\n"
    "Exit status: 0 something was printed, 1 no site fits the options, 2 error.\n";

/* What the options ask for, resolved. */
struct filter {
    uint32_t offset;
    bool has_offset;
    unsigned api; /* or API_NONE */
    int class;    /* or -1 */
    char *module;
};

/* Why arguments are free, and how many of them. */
struct free_reason {
    char *why;
    size_t count;
};

struct statistics {
    size_t sites, by_origin[ORIGIN_COUNT];
    size_t arguments, bound; /* that could be bound, that are */
    size_t class_sites[CLASS_TOTAL], class_arguments[CLASS_TOTAL], class_bound[CLASS_TOTAL];
    struct free_reason *reasons;
    size_t reason_count;
};

static unsigned api_or_die(const char *name) {
    unsigned spelling = spelling_by_name(name);
    unsigned api = spelling < SPELLING_COUNT ? spelling_table[spelling].api : api_by_name(name);
    if (api != API_NONE)
        return api;
    struct nearest nearest = nearest_begin(name);
    for (size_t i = 0; i < SPELLING_COUNT; i++)
        nearest_offer(&nearest, spelling_table[i].name);
    if (nearest.best)
        die("unknown API \"%s\" (did you mean \"%s\"?)", name, nearest.best);
    die("unknown API \"%s\"", name);
}

static int class_or_die(const char *name) {
    struct nearest nearest = nearest_begin(name);
    for (int i = 0; i < CLASS_TOTAL; i++) {
        if (strcmp(api_class_name(i), name) == 0)
            return i;
        nearest_offer(&nearest, api_class_name(i));
    }
    if (nearest.best)
        die("unknown class \"%s\" (did you mean \"%s\"?)", name, nearest.best);
    die("unknown class \"%s\"", name);
}

/* "0x1234", "nginx+0x1234", "nginx+0x1234:open" */
static void parse_site(const char *text, struct filter *filter) {
    const char *plus = strrchr(text, '+');
    if (plus)
        filter->module = xstrndup(text, (size_t)(plus - text));
    const char *digits = plus ? plus + 1 : text;
    char *end;
    unsigned long long offset = strtoull(digits, &end, 16);
    if (end == digits || (*end && *end != ':') || offset > UINT32_MAX)
        die("\"%s\" is no site: write 0x1234, or nginx+0x1234:open as a denial has it", text);
    filter->offset = (uint32_t)offset;
    filter->has_offset = true;
    if (*end == ':')
        filter->api = api_or_die(end + 1);
}

static struct filter read_filter(void) {
    struct filter filter = {.api = API_NONE, .class = -1};
    if (settings.site)
        parse_site(settings.site, &filter);
    if (settings.api)
        filter.api = api_or_die(settings.api);
    if (settings.class)
        filter.class = class_or_die(settings.class);
    if (settings.module) {
        free(filter.module);
        filter.module = xstrdup(settings.module);
    }
    return filter;
}

static bool fits_module(const struct filter *filter, const struct module *module) {
    return !filter->module || strcmp(filter->module, module->path) == 0 ||
           strcmp(filter->module, base_name(module->path)) == 0;
}

static bool has_free_argument(const struct site *site) {
    for (unsigned i = 0; i < api_table[site->api].argument_count; i++)
        if (argument_is_free(site, i))
            return true;
    return false;
}

static bool fits(const struct filter *filter, const struct site *site) {
    if (filter->has_offset && site->offset != filter->offset)
        return false;
    if (filter->api != API_NONE && site->api != filter->api)
        return false;
    if (filter->class >= 0 && api_table[site->api].class != filter->class)
        return false;
    return !settings.any || has_free_argument(site);
}

static void count_reason(struct statistics *statistics, const char *why) {
    for (size_t i = 0; i < statistics->reason_count; i++) {
        if (strcmp(statistics->reasons[i].why, why) == 0) {
            statistics->reasons[i].count++;
            return;
        }
    }
    struct free_reason *reason = array_append(statistics->reasons, statistics->reason_count);
    reason->why = xstrdup(why);
    reason->count = 1;
}

static void count_site(struct statistics *statistics, const struct site *site) {
    const struct api *api = &api_table[site->api];
    statistics->sites++;
    statistics->by_origin[site->origin]++;
    statistics->class_sites[api->class]++;
    for (unsigned i = 0; i < api->argument_count; i++) {
        if (!argument_can_be_bound(&api->arguments[i]))
            continue;
        bool is_free = argument_is_free(site, i);
        statistics->arguments++;
        statistics->class_arguments[api->class]++;
        statistics->bound += !is_free;
        statistics->class_bound[api->class] += !is_free;
        if (is_free)
            count_reason(statistics, why_free(site, i));
    }
}

static int compare_reasons(const void *left, const void *right) {
    const struct free_reason *a = left;
    const struct free_reason *b = right;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return strcmp(a->why, b->why);
}

static void free_statistics(struct statistics *statistics) {
    for (size_t i = 0; i < statistics->reason_count; i++)
        free(statistics->reasons[i].why);
    free(statistics->reasons);
}

static void print_header(const struct document *document) {
    char build[IDENTITY_TEXT_BYTES];
    identity_format(&document->identity, build);
    printf("%s (build %s)\n", document->program, build);
    printf("  mode %s; violation: %s; stack broken: %s, unknown: %s, foreign: %s; unlisted module: %s; anonymous code: "
           "%s\n\n",
           mode_name(document->mode), verdict_name(document->on_violation), verdict_name(document->on_broken_stack),
           verdict_name(document->on_unknown_stack), verdict_name(document->on_foreign_stack),
           verdict_name(document->on_unlisted_module), verdict_name(document->on_anonymous_code));
}

static void print_module(const struct module *module, const struct filter *filter, bool with_origins) {
    char build[IDENTITY_TEXT_BYTES];
    identity_format(&module->identity, build);
    printf("%s (build %s): %zu sites\n", module->path, build, module->site_count);
    for (size_t i = 0; i < module->site_count; i++)
        if (fits(filter, &module->sites[i]))
            describe_site(&module->sites[i], with_origins);
    for (size_t i = 0; i < module->loose_count; i++) {
        const struct loose *loose = &module->loose[i];
        if ((filter->api == API_NONE || loose->api == filter->api) && !filter->has_offset)
            printf("  %s may also be called %s%s%s\n", api_table[loose->api].name, looseness_sentence(loose->how),
                   loose->why && *loose->why ? ": " : "", loose->why ? loose->why : "");
    }
    if (module->return_count > 0 && !filter->has_offset)
        printf("  and all of these from %zu return addresses to which functions entered through pointers may return\n",
               module->return_count);
    putchar('\n');
}

static void print_statistics(const struct statistics *statistics, bool with_origins) {
    printf("%zu sites", statistics->sites);
    if (with_origins)
        printf(" (%zu static, %zu learned, %zu manual)", statistics->by_origin[ORIGIN_STATIC],
               statistics->by_origin[ORIGIN_LEARNED], statistics->by_origin[ORIGIN_MANUAL]);
    printf("; %zu of %zu arguments constrained\n", statistics->bound, statistics->arguments);
    printf("  %-10s %8s %10s %12s\n", "class", "sites", "arguments", "constrained");
    for (int i = 0; i < CLASS_TOTAL; i++)
        if (statistics->class_sites[i])
            printf("  %-10s %8zu %10zu %12zu\n", api_class_name(i), statistics->class_sites[i],
                   statistics->class_arguments[i], statistics->class_bound[i]);
    for (size_t i = 0; i < statistics->reason_count; i++)
        printf("  any because of %s: %zu\n", statistics->reasons[i].why, statistics->reasons[i].count);
}

static json_t *statistics_json(const struct statistics *statistics, bool with_origins) {
    json_t *classes = json_object();
    for (int i = 0; i < CLASS_TOTAL; i++)
        if (statistics->class_sites[i])
            json_object_set_new(classes, api_class_name(i),
                                json_pack("{s:I, s:I, s:I}", "sites", (json_int_t)statistics->class_sites[i],
                                          "arguments", (json_int_t)statistics->class_arguments[i], "constrained",
                                          (json_int_t)statistics->class_bound[i]));
    json_t *reasons = json_object();
    for (size_t i = 0; i < statistics->reason_count; i++)
        json_object_set_new(reasons, statistics->reasons[i].why,
                            json_integer((json_int_t)statistics->reasons[i].count));
    json_t *object = json_pack("{s:I, s:I, s:I, s:o, s:o}", "sites", (json_int_t)statistics->sites, "arguments",
                               (json_int_t)statistics->arguments, "constrained", (json_int_t)statistics->bound,
                               "classes", classes, "any_because", reasons);
    if (with_origins)
        for (int i = 0; i < ORIGIN_COUNT; i++)
            json_object_set_new(object, origin_name(i), json_integer((json_int_t)statistics->by_origin[i]));
    return object;
}

static json_t *module_json(const struct module *module, const struct filter *filter, bool with_origins) {
    json_t *sites = json_array();
    for (size_t i = 0; i < module->site_count; i++)
        if (fits(filter, &module->sites[i]))
            json_array_append_new(sites, site_json(module, &module->sites[i], with_origins));
    json_t *loose = json_array();
    for (size_t i = 0; i < module->loose_count; i++)
        json_array_append_new(loose, json_pack("{s:s, s:s, s:o}", "api", api_table[module->loose[i].api].name, "how",
                                               looseness_sentence(module->loose[i].how), "why",
                                               json_text(module->loose[i].why)));
    return json_pack("{s:o, s:o, s:b, s:o, s:o}", "path", json_text(module->path), "build_id",
                     json_identity(&module->identity), "tail_calls_known", module->has_tails, "sites", sites, "loose",
                     loose);
}

static json_t *document_json(const struct document *document, const struct filter *filter,
                             const struct statistics *statistics, bool with_origins) {
    json_t *modules = json_array();
    for (size_t i = 0; !settings.summary && i < document->module_count; i++)
        if (fits_module(filter, &document->modules[i]))
            json_array_append_new(modules, module_json(&document->modules[i], filter, with_origins));
    return json_pack(
        "{s:o, s:o, s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s}, s:o, s:o}", "program", json_text(document->program),
        "build_id", json_identity(&document->identity), "mode", mode_name(document->mode), "verdicts", "violation",
        verdict_name(document->on_violation), "broken_stack", verdict_name(document->on_broken_stack), "unknown_stack",
        verdict_name(document->on_unknown_stack), "unlisted_module", verdict_name(document->on_unlisted_module),
        "anonymous_code", verdict_name(document->on_anonymous_code), "foreign_stack",
        verdict_name(document->on_foreign_stack), "statistics", statistics_json(statistics, with_origins), "modules",
        modules);
}

static void print_document(const struct document *document, const struct filter *filter,
                           const struct statistics *statistics, bool with_origins) {
    print_header(document);
    for (size_t i = 0; !settings.summary && i < document->module_count; i++) {
        const struct module *module = &document->modules[i];
        bool shown = !settings.site && !settings.api && !settings.class && !settings.any;
        for (size_t at = 0; !shown && at < module->site_count; at++)
            shown = fits(filter, &module->sites[at]);
        if (shown && fits_module(filter, module))
            print_module(module, filter, with_origins);
    }
    print_statistics(statistics, with_origins);
}

int verb_show(const struct verb *verb, int argc, char **argv) {
    struct usage usage = {.verb = verb,
                          .arguments = "FILE",
                          .details = details,
                          .options = options,
                          .option_count = sizeof options / sizeof options[0]};
    if (options_read(&usage, argc, argv) != 1)
        options_mistake(&usage, "which policy? (exactly one)");
    struct filter filter = read_filter();
    struct policy_file policy;
    policy_load_or_die(argv[1], &policy);
    const struct document *document = &policy.document;
    struct statistics statistics = {0};
    for (size_t i = 0; i < document->module_count; i++)
        for (size_t at = 0; fits_module(&filter, &document->modules[i]) && at < document->modules[i].site_count; at++)
            if (fits(&filter, &document->modules[i].sites[at]))
                count_site(&statistics, &document->modules[i].sites[at]);
    if (statistics.reason_count)
        qsort(statistics.reasons, statistics.reason_count, sizeof *statistics.reasons, compare_reasons);
    if (settings.json)
        json_print(document_json(document, &filter, &statistics, !policy.compiled));
    else
        print_document(document, &filter, &statistics, !policy.compiled);
    bool filtered = settings.site || settings.api || settings.class || settings.module || settings.any;
    int status = filtered && statistics.sites == 0 ? EXIT_FINDINGS : EXIT_FINE;
    if (status == EXIT_FINDINGS && !settings.json)
        warn("no site of \"%s\" fits", argv[1]);
    free_statistics(&statistics);
    policy_unload(&policy);
    free(filter.module);
    return status;
}
