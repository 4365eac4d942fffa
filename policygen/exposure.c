/* policygen exposure: tells in text or JSON what behaviour.h finds, for one program or for a whole image. */
#include <getopt.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "policygen/behaviour.h"
#include "policygen/commands.h"
#include "policygen/policies.h"
#include "runtime/util.h"

#define MAX_SHOWN 2   /* call sites of a behaviour */
#define MAX_RULE 160  /* bytes */
#define MAX_COLUMNS 6 /* programs side by side */

static const char scope[] = "This speaks of what attackers can do by calls of library functions from the program's own "
                            "call sites, with arguments\n"
                            "of theirs. Calls from injected code are another matter: they are denied as such "
                            "(on_anonymous_code). Code that makes\n"
                            "system calls itself, or jumps into libc past the stubs, meets no check and is not "
                            "counted; functions that are only\n"
                            "counted (read, write, dup2, ...) are taken as always possible.\n";

static const char help[] =
    "Usage: policygen exposure [OPTION]... POLICY...\n"
    "\n"
    "Tells what attackers who redirect a program's calls could still make it do under its policy: start a shell, load\n"
    "a library, write account files. Each POLICY is the text of a policy (FILE.policy), a directory of them, a\n"
    "program or the root of an image, which are analysed on the spot. In an image: policygen exposure /etc/pinion\n"
    "\n"
    "      --sites      list every call site, not only the first\n"
    "      --json       as JSON, with all call sites\n"
    "      --also PATH  a library, or a directory of libraries, that the programs load by themselves; of programs and\n"
    "                   images alone; may be given again\n"
    "      --cache DIR  keep what is known of each object there: the next run analyses only what has changed\n"
    "  -h, --help       this text\n"
    "\n"
    "yes     some call site of the program may do it, with the arguments its rule allows\n"
    "loose   only functions that may also be called from places that cannot be listed: after any indirect call, "
    "because\n"
    "        a pointer to them exists or dlsym looks up names that are not known\n"
    "no      every way is closed\n"
    "\n"
    "For each behaviour the step is shown that is hardest to come by; to close it, pin the rule of its call site.\n"
    "\n"
    "Exit status: 0 fine, 1 a program cannot be protected, 2 error.\n";

static const char *strength_text(enum strength strength) {
    static const char *const texts[] = {"no", "loose", "yes"};
    return texts[strength];
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* ---- Rules ---- */

static void write_rule(const struct site *site, FILE *out) {
    const struct api *api = &api_table[site->api];
    const char *separator = "";
    for (size_t i = 0; i < site->constraint_count; i++) {
        const struct constraint *constraint = &site->constraints[i];
        const struct argument *argument = &api->arguments[constraint->argument];
        fprintf(out, "%s%s = ", separator, argument->name);
        if (constraint->any)
            fprintf(out, "any (%s)", constraint->why_any == NULL ? "" : constraint->why_any);
        for (size_t j = 0; !constraint->any && j < constraint->value_count; j++) {
            char text[256];
            value_format(&constraint->values[j], argument->kind, text, sizeof text);
            fprintf(out, "%s%s", j == 0 ? "" : " or ", text);
        }
        separator = ", ";
    }
}

static char *rule_text(const struct site *site) {
    char *text;
    size_t length;
    FILE *memory = xopen_memstream(&text, &length);
    write_rule(site, memory);
    fclose(memory);
    return text;
}

/* ---- Text ---- */

static void print_holder(const struct holder *holder) {
    printf("           ");
    if (holder->module == NULL) {
        printf("%s\n", holder->weakness);
        return;
    }
    printf("%s in %s", api_table[holder->api].name, base_name(holder->module->path));
    if (holder->site != NULL)
        printf(" %s", holder->site->function == NULL ? "-" : holder->site->function);
    cleanup_free char *rule = holder->weakness != NULL ? xstrdup(holder->weakness) : rule_text(holder->site);
    printf("%s%.*s%s\n", rule[0] == '\0' ? "" : ": ", MAX_RULE, rule, strlen(rule) > MAX_RULE ? "..." : "");
}

/* How many have the ability as strongly as any: beside call sites, what is only loose adds nothing. */
static size_t ways_count(const struct exposure *exposure, enum ability ability) {
    const struct holders *holders = &exposure->abilities[ability];
    enum strength strength = ability_strength(exposure, ability);
    size_t count = 0;
    while (count < holders->count && holders->items[count].strength == strength)
        count++;
    return count;
}

/* The step that is hardest to come by: the weakest, and of several the one with the fewest ways. */
static enum ability decisive_step(const struct exposure *exposure, const struct behaviour_row *row) {
    enum ability best = row->steps[0];
    for (unsigned i = 1; i < row->step_count; i++) {
        enum ability ability = row->steps[i];
        enum strength a = ability_strength(exposure, ability), b = ability_strength(exposure, best);
        if (a < b || (a == b && ways_count(exposure, ability) < ways_count(exposure, best)))
            best = ability;
    }
    return best;
}

static void print_step(const struct exposure *exposure, enum ability ability, bool all) {
    const struct holders *holders = &exposure->abilities[ability];
    size_t count = ways_count(exposure, ability);
    for (size_t i = 0; i < count; i++) {
        if (!all && i == MAX_SHOWN && count > MAX_SHOWN + 1) {
            printf("           and %zu more\n", count - i);
            return;
        }
        print_holder(&holders->items[i]);
    }
}

static void print_behaviour(const struct exposure *exposure, enum behaviour behaviour, bool all) {
    const struct behaviour_row *row = &behaviour_table[behaviour];
    enum strength strength = behaviour_strength(exposure, behaviour);
    enum ability decisive = decisive_step(exposure, row);
    printf("  %-5s  %s", strength_text(strength), row->text);
    if (row->step_count > 1 && strength == STRENGTH_NO)
        printf(": it cannot %s", ability_text(decisive));
    else if (row->step_count > 1 && !all)
        printf("; hardest step: %s", ability_text(decisive));
    printf("\n");
    for (unsigned i = 0; i < row->step_count && strength != STRENGTH_NO; i++) {
        if (all && row->step_count > 1)
            printf("         to %s\n", ability_text(row->steps[i]));
        if (all || row->steps[i] == decisive)
            print_step(exposure, row->steps[i], all);
    }
}

static void print_program(const struct exposure *exposure, bool all) {
    size_t counts[3] = {0};
    printf("%s\n", exposure->document->program);
    for (unsigned i = 0; i < BEHAVIOUR_COUNT; i++) {
        print_behaviour(exposure, i, all);
        counts[behaviour_strength(exposure, i)]++;
    }
    printf("  of %d behaviours: yes %zu, loose %zu, no %zu\n\n", BEHAVIOUR_COUNT, counts[STRENGTH_YES],
           counts[STRENGTH_LOOSE], counts[STRENGTH_NO]);
}

static void print_columns(const struct exposure *exposures, size_t count) {
    printf("%-46s", "");
    for (size_t i = 0; i < count; i++)
        printf("  %-12.12s", base_name(exposures[i].document->program));
    printf("\n");
    for (unsigned i = 0; i < BEHAVIOUR_COUNT; i++) {
        printf("%-46s", behaviour_table[i].text);
        for (size_t j = 0; j < count; j++)
            printf("  %-12s", strength_text(behaviour_strength(&exposures[j], i)));
        printf("\n");
    }
    printf("\n");
}

/* Where there are too many programs for columns: how many, and who has it of its own. */
static void print_tally(const struct exposure *exposures, size_t count) {
    printf("%-46s  yes  loose   no  programs\n", "");
    for (unsigned i = 0; i < BEHAVIOUR_COUNT; i++) {
        size_t counts[3] = {0};
        for (size_t j = 0; j < count; j++)
            counts[behaviour_strength(&exposures[j], i)]++;
        printf("%-46s %4zu %6zu %4zu ", behaviour_table[i].text, counts[STRENGTH_YES], counts[STRENGTH_LOOSE],
               counts[STRENGTH_NO]);
        size_t shown = 0;
        for (size_t j = 0; j < count && shown < MAX_COLUMNS; j++) {
            if (behaviour_strength(&exposures[j], i) == STRENGTH_YES)
                printf("%s%s", shown++ == 0 ? " " : ", ", base_name(exposures[j].document->program));
        }
        if (counts[STRENGTH_YES] > shown)
            printf(" and %zu more", counts[STRENGTH_YES] - shown);
        printf("\n");
    }
    printf("\n");
}

static void print_text(const struct policies *policies, const struct exposure *exposures, bool all) {
    size_t count = policies->count;
    if (count > 1 && count <= MAX_COLUMNS)
        print_columns(exposures, count);
    else if (count > MAX_COLUMNS)
        print_tally(exposures, count);
    for (size_t i = 0; i < count && (all || count == 1); i++)
        print_program(&exposures[i], all);
    for (size_t i = 0; i < policies->unprotected_count; i++)
        printf("%s\n  cannot be protected: nothing is closed\n\n", policies->unprotected[i]);
    if (count > 1 && !all)
        printf("Where: policygen exposure --sites, or for one program alone.\n\n");
    fputs(scope, stdout);
}

/* ---- JSON ---- */

static json_t *json_text(const char *text) {
    json_t *json = text == NULL ? json_null() : json_string(text);
    return json == NULL ? json_string("?") : json;
}

static json_t *site_json(const struct holder *holder) {
    json_t *json = json_pack("{s:s}", "api", api_table[holder->api].name);
    json_object_set_new(json, "module", json_text(holder->module == NULL ? NULL : holder->module->path));
    json_object_set_new(json, "weakness", json_text(holder->weakness));
    if (holder->site != NULL) {
        cleanup_free char *rule = rule_text(holder->site);
        json_object_set_new(json, "function", json_text(holder->site->function));
        json_object_set_new(json, "at", json_integer(holder->site->offset));
        json_object_set_new(json, "rule", json_text(rule));
    }
    return json;
}

/* Modules that are loose in the same way are told together. */
static void add_loose(json_t *loose, const struct holder *holder) {
    size_t i;
    json_t *known, *weakness = json_text(holder->weakness);
    json_t *module = json_text(holder->module == NULL ? NULL : holder->module->path);
    json_array_foreach(loose, i, known) {
        if (strcmp(json_string_value(json_object_get(known, "api")), api_table[holder->api].name) != 0 ||
            !json_equal(json_object_get(known, "weakness"), weakness))
            continue;
        json_array_append_new(json_object_get(known, "modules"), module);
        json_decref(weakness);
        return;
    }
    json_array_append_new(loose, json_pack("{s:s, s:o, s:[o]}", "api", api_table[holder->api].name, "weakness",
                                           weakness, "modules", module));
}

static json_t *step_json(const struct exposure *exposure, enum ability ability) {
    const struct holders *holders = &exposure->abilities[ability];
    json_t *sites = json_array(), *loose = json_array();
    for (size_t i = 0; i < holders->count; i++) {
        if (holders->items[i].strength == STRENGTH_YES)
            json_array_append_new(sites, site_json(&holders->items[i]));
        else
            add_loose(loose, &holders->items[i]);
    }
    return json_pack("{s:s, s:o, s:o}", "allowed", strength_text(ability_strength(exposure, ability)), "sites", sites,
                     "loose", loose);
}

static json_t *behaviour_json(const struct exposure *exposure, enum behaviour behaviour) {
    const struct behaviour_row *row = &behaviour_table[behaviour];
    json_t *steps = json_array();
    for (unsigned i = 0; i < row->step_count; i++)
        json_array_append_new(steps, json_string(ability_text(row->steps[i])));
    return json_pack("{s:s, s:s, s:s, s:o}", "name", row->name, "text", row->text, "allowed",
                     strength_text(behaviour_strength(exposure, behaviour)), "steps", steps);
}

/* Behaviours name their steps; who can do a step is told once. */
static json_t *program_json(const struct exposure *exposure) {
    json_t *behaviours = json_array(), *steps = json_object();
    for (unsigned i = 0; i < BEHAVIOUR_COUNT; i++)
        json_array_append_new(behaviours, behaviour_json(exposure, i));
    for (unsigned i = 0; i < ABILITY_COUNT; i++)
        json_object_set_new(steps, ability_text(i), step_json(exposure, i));
    return json_pack("{s:o, s:o, s:o}", "program", json_text(exposure->document->program), "behaviours", behaviours,
                     "steps", steps);
}

static json_t *tally_json(const struct exposure *exposures, size_t count) {
    json_t *rows = json_array();
    for (unsigned i = 0; i < BEHAVIOUR_COUNT; i++) {
        json_t *row = json_pack("{s:s, s:s}", "name", behaviour_table[i].name, "text", behaviour_table[i].text);
        for (unsigned j = STRENGTH_NO; j <= STRENGTH_YES; j++)
            json_object_set_new(row, strength_text(j), json_array());
        for (size_t j = 0; j < count; j++)
            json_array_append_new(json_object_get(row, strength_text(behaviour_strength(&exposures[j], i))),
                                  json_text(exposures[j].document->program));
        json_array_append_new(rows, row);
    }
    return rows;
}

static void print_json(const struct policies *policies, const struct exposure *exposures) {
    json_t *programs = json_array(), *unprotected = json_array();
    for (size_t i = 0; i < policies->count; i++)
        json_array_append_new(programs, program_json(&exposures[i]));
    for (size_t i = 0; i < policies->unprotected_count; i++)
        json_array_append_new(unprotected, json_text(policies->unprotected[i]));
    json_t *report = json_pack("{s:s, s:o, s:o, s:o}", "scope", scope, "image", tally_json(exposures, policies->count),
                               "programs", programs, "unprotected", unprotected);
    json_dumpf(report, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(report);
}

/* ---- */

struct options {
    bool json, sites;
    struct analysis_options analysis;
};

static const struct option long_options[] = {
    {"json", no_argument, NULL, 'j'},  {"also", required_argument, NULL, 'a'}, {"cache", required_argument, NULL, 'c'},
    {"sites", no_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0},
};

static void parse_options(int count, char **arguments, struct options *options) {
    int option;
    while ((option = getopt_long(count, arguments, "h", long_options, NULL)) != -1) {
        switch (option) {
        case 'j': options->json = true; break;
        case 's': options->sites = true; break;
        case 'a': *array_append(options->analysis.also, options->analysis.also_count) = optarg; break;
        case 'c': options->analysis.cache = optarg; break;
        case 'h':
            fputs(help, stdout);
            printf("\n%s", scope);
            exit(EXIT_FINE);
        default: fputs("Try 'policygen exposure --help'.\n", stderr); exit(EXIT_ERROR);
        }
    }
    if (optind == count) {
        fputs("policygen: no policy named\nTry 'policygen exposure --help'.\n", stderr);
        exit(EXIT_ERROR);
    }
}

int exposure_command(int count, char **arguments) {
    struct options options = {0};
    struct policies policies = {0};
    parse_options(count, arguments, &options);
    for (int i = optind; i < count; i++)
        policies_add(&policies, arguments[i], &options.analysis);
    free(options.analysis.also);
    struct exposure *exposures = xcalloc(policies.count + 1, sizeof *exposures);
    for (size_t i = 0; i < policies.count; i++)
        exposure_find(&policies.documents[i], &exposures[i]);
    if (options.json)
        print_json(&policies, exposures);
    else
        print_text(&policies, exposures, options.sites);
    int status = policies.unprotected_count > 0 ? EXIT_FINDINGS : EXIT_FINE;
    for (size_t i = 0; i < policies.count; i++)
        exposure_free(&exposures[i]);
    free(exposures);
    policies_free(&policies);
    if (fflush(stdout) != 0 || ferror(stdout))
        die_with_error("cannot write the report");
    return status;
}
