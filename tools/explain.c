/* `pinion explain`: turns a line of the log into words: what happened, where in the program, why the policy does not
 * allow it, and what can be done. It must be useful without the program and without the policy.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/describe.h"
#include "tools/explanation.h"
#include "tools/json.h"
#include "tools/options.h"
#include "tools/paragraph.h"

static struct {
    const char *directory;
    const char *policy;
    const char *root;
    bool json;
} settings = {.root = ""};

static const struct option_row options[] = {
    OPTION_TEXT("policy-dir", 'd', "DIR", &settings.directory,
                "where the policies are (default PINION_POLICY_DIR, else " POLICY_DIRECTORY ")"),
    OPTION_TEXT("policy", 'p', "FILE", &settings.policy, "the policy's text or compiled form"),
    OPTION_TEXT("root", 'r', "DIR", &settings.root, "the root of an image: programs and libraries are looked up there"),
    OPTION_FLAG("json", 'j', &settings.json, "print one JSON object"),
};

static const char details[] =
    "LINE is a line of the log as it stands; a FILE, or \"-\" for standard input, may hold many: what is no line of\n"
    "Pinion's is passed over, and the same event is explained once.\n"
    "\n"
    "Exit status: 0 explained, 1 there was no line to explain, 2 error.\n";

/* Lines that are explained, each with how often it came. */
struct event {
    struct denial denial;
    size_t count;
};

struct events {
    struct event *items;
    size_t count;
    size_t passed_over;
};

enum {
    ROWS_SHOWN = 12,
    SITES_SHOWN = 6
};

static void add_line(struct events *events, const char *text) {
    struct denial denial;
    struct mistake mistake = {0};
    const char *start = strchr(text, '{');
    if (!start || !denial_parse(start, &denial, &mistake)) {
        events->passed_over++;
        return;
    }
    for (size_t i = 0; i < events->count; i++) {
        if (denial_same(&events->items[i].denial, &denial)) {
            events->items[i].count++;
            denial_free(&denial);
            return;
        }
    }
    *array_append(events->items, events->count) = (struct event){.denial = denial, .count = 1};
}

static void read_stream(struct events *events, FILE *stream) {
    cleanup_free char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stream) > 0)
        if (line[strspn(line, " \t\r\n")])
            add_line(events, line);
}

static void read_words(struct events *events, const char *word) {
    if (strcmp(word, "-") == 0) {
        read_stream(events, stdin);
        return;
    }
    if (*word == '{') {
        struct denial denial;
        struct mistake mistake = {0};
        if (!denial_parse(word, &denial, &mistake))
            die("cannot read the line: %s", mistake.text);
        denial_free(&denial);
        add_line(events, word);
        return;
    }
    cleanup_file FILE *file = fopen(word, "re");
    if (file)
        read_stream(events, file);
    else
        die_with_error("cannot read the log \"%s\"", word);
}

/* ---- Text ---- */

static void print_listing(const struct explanation *explanation) {
    const struct listing *listing = &explanation->listing;
    for (size_t i = 0; i < listing->count; i++) {
        const struct instruction_line *line = &listing->lines[i];
        printf("  %s 0x%-8llx ", line->is_call ? "-->" : "   ", (unsigned long long)line->address);
        if (line->comment)
            printf("%-40s ; %s\n", line->text, line->comment);
        else
            printf("%s\n", line->text);
    }
    if (listing->count && !listing->found_call)
        printf("  No call ends at 0x%x: a program cannot have come from here in the ordinary way.\n",
               explanation->denial->offset);
}

static void print_where(const struct explanation *explanation) {
    const struct denial *denial = explanation->denial;
    printf("\nWhere\n");
    if (denial->has_offset)
        printf("  %s, return address 0x%x", *denial->module ? denial->module : "the program", denial->offset);
    else
        printf("  %s", *denial->program ? denial->program : "an unknown program");
    if (explanation->function)
        printf(", in %s", explanation->function);
    else if (*denial->symbol)
        printf(", near %s", denial->symbol);
    putchar('\n');
    if (explanation->code_note)
        printf("  %s\n", explanation->code_note);
    print_listing(explanation);
}

static void print_rows(const struct explanation *explanation) {
    const struct denial *denial = explanation->denial;
    if (explanation->row_count == 0)
        printf("  No value of \"%s\" is allowed here.\n", denial->argument_name);
    else
        printf("  The argument \"%s\" may be:\n", denial->argument_name);
    for (size_t i = 0; i < explanation->row_count && i < ROWS_SHOWN; i++) {
        const struct allowed_row *row = &explanation->rows[i];
        printf("    %s", row->value);
        if (!explanation->policy.compiled)
            printf(" (%s)", origin_name(row->origin));
        if (row->why_not && !explanation->allowed_now)
            printf("  -- no: %s", row->why_not);
        putchar('\n');
    }
    if (explanation->row_count > ROWS_SHOWN)
        printf("    and %zu more: pinion show %s --site %s\n", explanation->row_count - ROWS_SHOWN,
               explanation->policy_path, denial->rule);
    if (explanation->allowed_now)
        printf("  The policy as it stands now allows this value: the process runs with an older one, restart it.\n");
}

/* The places from which the function may be called, nearest first would help nobody: they are in order. */
static void print_other_sites(const struct explanation *explanation) {
    const struct denial *denial = explanation->denial;
    const struct module *module = explanation->module;
    size_t found = 0;
    for (size_t i = 0; i < module->site_count; i++) {
        const struct site *site = &module->sites[i];
        if (site->api != denial->api || found++ >= SITES_SHOWN)
            continue;
        printf("%s    0x%x%s%s\n", found == 1 ? "  The policy knows these calls of it there:\n" : "", site->offset,
               site->function ? " in " : "", site->function ? site->function : "");
    }
    if (found > SITES_SHOWN)
        printf("    and %zu more\n", found - SITES_SHOWN);
    if (found == 0)
        printf("  The policy knows no call of %s in %s.\n", denial->api_name, module->path);
}

static void print_policy(const struct explanation *explanation) {
    const struct denial *denial = explanation->denial;
    printf("\nWhat the policy says\n");
    if (explanation->policy_note)
        printf("  %s\n", explanation->policy_note);
    if (explanation->site && denial->argument >= 0 && denial->reason == REASON_ARGUMENT)
        print_rows(explanation);
    else if (explanation->site)
        describe_site(explanation->site, !explanation->policy.compiled);
    else if (explanation->module && denial->api != API_NONE)
        print_other_sites(explanation);
    else if (explanation->policy.path && *denial->module)
        printf("  Nothing: %s is not in the policy \"%s\".\n", denial->module, explanation->policy_path);
    json_t *nearest = json_object_get(denial->line, "nearest");
    if (!explanation->site && nearest) {
        cleanup_free char *dumped = json_dumps(nearest, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
        cleanup_free char *text = printable(dumped ? dumped : "?");
        printf("  The nearest value that was allowed: %s\n", text);
    }
}

static void print_names(const char *head, const json_t *names) {
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        cleanup_free char *clean = printable(name ? name : "?");
        printf("%s%s", i ? ", " : head, clean);
    }
    if (json_array_size(names))
        putchar('\n');
}

/* Of an anomaly; the line may lack anything. */
static void print_interval(const json_t *line) {
    printf("\nWhat was odd\n");
    if (json_is_integer(json_object_get(line, "interval")))
        printf("  interval %lld\n", (long long)json_integer_value(json_object_get(line, "interval")));
    if (json_is_number(json_object_get(line, "score")))
        printf("  score %.2f, threshold %.2f\n", json_number_value(json_object_get(line, "score")),
               json_number_value(json_object_get(line, "threshold")));
    print_names("  most frequent calls: ", json_object_get(line, "top"));
    print_names("  never seen in training: ", json_object_get(line, "never_seen"));
    if (json_integer_value(json_object_get(line, "violations")) > 0)
        printf("  calls that were refused since the last anomaly: %lld\n",
               (long long)json_integer_value(json_object_get(line, "violations")));
}

static void print_circumstances(const struct explanation *explanation) {
    const struct denial *denial = explanation->denial;
    if (denial_is_of_call(denial)) {
        print_where(explanation);
        print_policy(explanation);
    } else if (denial->reason == REASON_ANOMALY) {
        print_interval(denial->line);
    }
}

static void print_explanation(const struct explanation *explanation, size_t count) {
    const struct denial *denial = explanation->denial;
    const char *verdict = denial->verdict;
    const char *what = strcmp(verdict, "kill") == 0   ? "Killed"
                       : strcmp(verdict, "deny") == 0 ? "Denied"
                                                      : "Logged, not stopped";
    printf("%s: %s\n", what, *denial->api_name ? explanation->call : denial->reason_word);
    printf("  %s, pid %lld, %s", denial->time, (long long)json_integer_value(json_object_get(denial->line, "pid")),
           *denial->program ? denial->program : "unknown program");
    if (count > 1)
        printf(", %zu times", count);
    cleanup_free char *happened =
        xasprintf("%s: %s%s%s.", denial->reason_word,
                  denial->reason >= 0 ? reason_explanation(denial->reason) : "this version does not know this reason",
                  *denial->detail ? ": " : "", denial->detail);
    printf("\n\nWhat happened\n  ");
    print_paragraph(happened, 2);
    print_circumstances(explanation);
    printf("\nWhat to do\n");
    for (int i = 0; i < CHOICE_COUNT; i++) {
        printf("  %d. ", i + 1);
        print_paragraph(explanation->choices[i], 5);
    }
}

/* ---- JSON ---- */

static json_t *listing_json(const struct listing *listing) {
    json_t *list = json_array();
    for (size_t i = 0; i < listing->count; i++) {
        const struct instruction_line *line = &listing->lines[i];
        json_array_append_new(list, json_pack("{s:o, s:s, s:o, s:b}", "address", json_offset(line->address), "text",
                                              line->text, "comment", json_text(line->comment), "call", line->is_call));
    }
    return list;
}

static json_t *rows_json(const struct explanation *explanation) {
    json_t *list = json_array();
    for (size_t i = 0; i < explanation->row_count; i++) {
        const struct allowed_row *row = &explanation->rows[i];
        json_array_append_new(list, json_pack("{s:o, s:s, s:o}", "value", json_text(row->value), "origin",
                                              origin_name(row->origin), "why_not", json_text(row->why_not)));
    }
    return list;
}

static json_t *explanation_json(const struct explanation *explanation, size_t count) {
    const struct denial *denial = explanation->denial;
    const struct edit *edit = &explanation->edit;
    json_t *choices = json_array();
    for (int i = 0; i < CHOICE_COUNT; i++)
        json_array_append_new(choices, json_text(explanation->choices[i]));
    json_t *object = json_pack(
        "{s:O, s:I, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o}", "line", denial->line, "count",
        (json_int_t)count, "call", json_text(explanation->call), "reason",
        denial->reason >= 0 ? reason_explanation(denial->reason) : "", "function", json_text(explanation->function),
        "code", listing_json(&explanation->listing), "code_note", json_text(explanation->code_note), "policy",
        json_text(explanation->policy_path), "policy_note", json_text(explanation->policy_note), "allowed",
        rows_json(explanation), "allowed_now", explanation->allowed_now, "choices", choices, "edit",
        edit->text ? json_pack("{s:o, s:i, s:o, s:o}", "file", json_text(edit->file), "line", (int)edit->line, "place",
                               json_text(edit->place), "text", json_text(edit->text))
                   : json_null());
    json_object_set_new(object, "site",
                        explanation->site
                            ? site_json(explanation->module, explanation->site, !explanation->policy.compiled)
                            : json_null());
    return object;
}

int verb_explain(const struct verb *verb, int argc, char **argv) {
    struct usage usage = {.verb = verb,
                          .arguments = "[LINE|FILE|-]",
                          .details = details,
                          .options = options,
                          .option_count = sizeof options / sizeof options[0]};
    size_t words = options_read(&usage, argc, argv);
    struct events events = {0};
    for (size_t i = 1; i <= words; i++)
        read_words(&events, argv[i]);
    if (words == 0)
        read_words(&events, "-");
    struct explain_place place = {
        .policy = settings.policy, .directory = policy_directory(settings.directory), .root = settings.root};
    json_t *list = json_array();
    for (size_t i = 0; i < events.count; i++) {
        struct explanation explanation;
        explanation_make(&explanation, &events.items[i].denial, &place);
        if (settings.json)
            json_array_append_new(list, explanation_json(&explanation, events.items[i].count));
        else
            print_explanation(&explanation, events.items[i].count);
        if (!settings.json && i + 1 < events.count)
            puts("\n----\n");
        explanation_free(&explanation);
        denial_free(&events.items[i].denial);
    }
    if (settings.json)
        json_print(json_pack("{s:O, s:I}", "explanations", list, "passed_over", (json_int_t)events.passed_over));
    json_decref(list);
    if (events.count == 0)
        warn("there is no line of Pinion's log to explain (%zu other lines)", events.passed_over);
    free(events.items);
    return events.count ? EXIT_FINE : EXIT_FINDINGS;
}
