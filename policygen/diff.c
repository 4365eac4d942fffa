/* policygen diff: tells in text or JSON what difference.h finds. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "policygen/commands.h"
#include "policygen/difference.h"
#include "runtime/util.h"

#define MAX_NAMES 8 /* in one line */

static const char help[] =
    "Usage: policygen diff [OPTION]... OLD NEW\n"
    "\n"
    "Tells which call sites, functions and argument values NEW has that OLD had not, and the other way round. Each is "
    "a\n"
    "program, the text of a policy (FILE.policy), a directory of them, or the root of an image. Call sites are known\n"
    "again by the code of their functions, so that a rebuild that only moves code changes nothing here. Where an image "
    "is\n"
    "built, with the policies of the last release at hand:\n"
    "\n"
    "  policygen --image / -o /etc/pinion && policygen diff /previous /etc/pinion\n"
    "\n"
    "      --json        as JSON\n"
    "      --also PATH   a library, or a directory of libraries, that the programs load by themselves; of programs "
    "and\n"
    "                    images alone; may be given again\n"
    "      --cache DIR   keep what is known of each object there: what both sides share is analysed once\n"
    "  -h, --help        this text\n"
    "\n"
    "Lines that begin with ! are critical: a new place that starts programs (exec), makes memory executable (code), "
    "loads\n"
    "libraries (module) or changes user or group (identity); a rule that allows more than before (widened); a program\n"
    "that cannot be protected. Everything else is told for completeness. \"As elsewhere before\": the module had a "
    "call\n"
    "with the same rules already, which may only have been inlined once more.\n"
    "\n"
    "Exit status: 0 nothing critical is added, 1 something is, 2 error.\n";

/* ---- Text ---- */

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "-" : text;
}

static bool is(const json_t *object, const char *key, const char *text) {
    return strcmp(text_of(object, key), text) == 0;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* "a, b, c and 4 more" */
static void print_names(const json_t *names, bool short_form) {
    size_t i, count = json_array_size(names);
    const json_t *name;
    json_array_foreach(names, i, name) {
        const char *text = json_string_value(name);
        if (i == MAX_NAMES && count > MAX_NAMES + 1) {
            printf(" and %zu more", count - i);
            return;
        }
        printf("%s%s", i == 0 ? "" : ", ", short_form ? base_name(text) : text);
    }
}

static void print_values(const json_t *values) {
    if (json_is_null(values))
        printf("any value");
    else if (json_array_size(values) == 0)
        printf("nothing");
    else
        print_names(values, false);
}

static void print_rules(const json_t *change) {
    const char *name, *separator = "";
    json_t *values;
    printf("%s(", text_of(change, "api"));
    json_object_foreach(json_object_get(change, "rules"), name, values) {
        printf("%s%s = ", separator, name);
        print_values(values);
        separator = "; ";
    }
    printf(")");
}

static void print_gain(const json_t *change) {
    const json_t *allows = json_object_get(change, "allows"), *no_longer = json_object_get(change, "no_longer");
    const char *separator = "";
    if (json_is_null(allows) || json_array_size(allows) > 0) {
        printf(" may also be ");
        print_values(allows);
        separator = ",";
    }
    if (json_is_null(no_longer) || json_array_size(no_longer) > 0) {
        printf("%s no longer ", separator);
        print_values(no_longer);
    }
}

static void print_site_change(const json_t *change) {
    printf("%s in %s: ", base_name(text_of(change, "module")), text_of(change, "function"));
    if (is(change, "what", "call site")) {
        print_rules(change);
        if (json_is_true(json_object_get(change, "as_elsewhere")))
            printf(is(change, "change", "added") ? ", as elsewhere before" : ", as elsewhere still");
    } else if (is(change, "what", "argument")) {
        printf("%s: %s", text_of(change, "api"), text_of(change, "argument"));
        print_gain(change);
    } else if (is(change, "what", "child")) {
        printf("%s: unprotected children", text_of(change, "api"));
        print_gain(change);
    } else {
        printf("%s: %s = %s, was %s", text_of(change, "api"), text_of(change, "name"), text_of(change, "after"),
               text_of(change, "before"));
    }
}

static void print_change(const json_t *change, bool programs) {
    printf("%c %-8s  ", json_is_true(json_object_get(change, "critical")) ? '!' : ' ', text_of(change, "change"));
    if (is(change, "what", "program"))
        printf("program %s%s", text_of(change, "program"),
               json_is_true(json_object_get(change, "can_be_protected")) ? "" : ", which cannot be protected");
    else if (is(change, "what", "setting"))
        printf("%s = %s, was %s", text_of(change, "name"), text_of(change, "after"), text_of(change, "before"));
    else
        print_site_change(change);
    if (programs && !is(change, "what", "program")) {
        printf("  [");
        print_names(json_object_get(change, "programs"), true);
        printf("]");
    }
    printf("\n");
}

static bool is_loose(const json_t *change) {
    return is(change, "what", "loose function");
}

static bool same_but_api(const json_t *a, const json_t *b) {
    static const char *const keys[] = {"change", "after", "why", "modules", "programs"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (!json_equal(json_object_get(a, keys[i]), json_object_get(b, keys[i])))
            return false;
    }
    return is_loose(a) && is_loose(b);
}

/* Functions that became free together are one line. */
static void print_loose(const json_t *changes, size_t first, bool programs) {
    const json_t *change = json_array_get(changes, first);
    for (size_t i = 0; i < first; i++) {
        if (same_but_api(json_array_get(changes, i), change))
            return;
    }
    json_t *apis = json_array();
    for (size_t i = first; i < json_array_size(changes); i++) {
        if (same_but_api(json_array_get(changes, i), change))
            json_array_append(apis, json_object_get(json_array_get(changes, i), "api"));
    }
    bool widened = is(change, "change", "widened");
    printf("%c %-8s  ", widened ? '!' : ' ', text_of(change, "change"));
    print_names(json_object_get(change, "modules"), true);
    printf(": %s with any arguments after %s: ", widened ? "may now call" : "may no longer call",
           text_of(change, "after"));
    print_names(apis, false);
    printf(" (%s)", text_of(change, "why"));
    if (programs) {
        printf("  [");
        print_names(json_object_get(change, "programs"), true);
        printf("]");
    }
    printf("\n");
    json_decref(apis);
}

static void print_changes(const json_t *changes, bool critical, bool programs) {
    size_t i;
    const json_t *change;
    json_array_foreach(changes, i, change) {
        if (json_is_true(json_object_get(change, "critical")) != critical)
            continue;
        if (is_loose(change))
            print_loose(changes, i, programs);
        else
            print_change(change, programs);
    }
}

static void print_apis(const json_t *apis, const char *change) {
    size_t i;
    const json_t *api;
    json_array_foreach(apis, i, api) {
        printf("%s %-12s (%s) in ", change, text_of(api, "api"), text_of(api, "class"));
        print_names(json_object_get(api, "programs"), true);
        printf("\n");
    }
}

static long long count_of(const json_t *difference, const char *kind) {
    return json_integer_value(json_object_get(json_object_get(difference, "counts"), kind));
}

static void print_text(const json_t *difference, bool programs) {
    const json_t *changes = json_object_get(difference, "changes");
    print_apis(json_object_get(difference, "apis_added"), "calls for the first time:");
    print_apis(json_object_get(difference, "apis_dropped"), "calls no longer:        ");
    print_changes(changes, true, programs);
    print_changes(changes, false, programs);
    if (json_array_size(changes) == 0)
        printf("no difference\n");
    else
        printf("%lld added, %lld dropped, %lld widened, %lld narrowed; %lld critical\n", count_of(difference, "added"),
               count_of(difference, "dropped"), count_of(difference, "widened"), count_of(difference, "narrowed"),
               count_of(difference, "critical"));
}

/* ---- */

static const struct option long_options[] = {
    {"json", no_argument, NULL, 'j'},
    {"also", required_argument, NULL, 'a'},
    {"cache", required_argument, NULL, 'c'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static bool parse_options(int count, char **arguments, struct analysis_options *options) {
    bool json = false;
    int option;
    while ((option = getopt_long(count, arguments, "h", long_options, NULL)) != -1) {
        switch (option) {
        case 'j': json = true; break;
        case 'a': *array_append(options->also, options->also_count) = optarg; break;
        case 'c': options->cache = optarg; break;
        case 'h': fputs(help, stdout); exit(EXIT_FINE);
        default: fputs("Try 'policygen diff --help'.\n", stderr); exit(EXIT_ERROR);
        }
    }
    if (count - optind != 2) {
        fprintf(stderr, "policygen: diff compares two things, but %d are named\nTry 'policygen diff --help'.\n",
                count - optind);
        exit(EXIT_ERROR);
    }
    return json;
}

int diff_command(int count, char **arguments) {
    struct analysis_options options = {0};
    bool json = parse_options(count, arguments, &options);
    struct policies old = {0}, new = {0};
    policies_add(&old, arguments[optind], &options);
    policies_add(&new, arguments[optind + 1], &options);
    free(options.also);
    json_t *difference = policies_difference(&old, &new);
    if (json) {
        json_dumpf(difference, stdout, JSON_INDENT(2));
        printf("\n");
    } else {
        print_text(difference, old.count > 1 || new.count > 1);
    }
    bool critical = json_is_true(json_object_get(difference, "critical"));
    json_decref(difference);
    policies_free(&old);
    policies_free(&new);
    if (fflush(stdout) != 0 || ferror(stdout))
        die_with_error("cannot write the report");
    return critical ? EXIT_FINDINGS : EXIT_FINE;
}
