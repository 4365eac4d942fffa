/* `pinion merge`: folds records of learning runs into policies. The rules are in fold.h; here are files and reports.
 * A policy is written whole or not at all.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/util.h"
#include "tools/fold.h"
#include "tools/json.h"
#include "tools/options.h"
#include "tools/policy_file.h"

static struct {
    const char *output;
    const char *pin;
    struct text_list data;
    bool children;
    bool create;
    bool skip_conflicts;
    bool dry_run;
    bool verbose;
    bool json;
} settings = {.pin = "names"};

static const struct option_row options[] = {
    OPTION_TEXT("output", 'o', "PATH", &settings.output,
                "write there: a file for one policy, else a directory (default: in place)"),
    OPTION_TEXT("pin", 0, "WHAT", &settings.pin,
                "which arguments that may be anything are closed to what was observed: "
                "none, names (default), all"),
    OPTION_LIST("data-dir", 0, "DIR", &settings.data,
                "the program's own data, of which files come and go: paths below become DIR/**; may be repeated"),
    OPTION_FLAG("allow-children", 0, &settings.children, "allow the programs that were observed to start unprotected"),
    OPTION_FLAG("new", 0, &settings.create,
                "with a directory: make policies, in mode audit, for observed programs that have none"),
    OPTION_FLAG("skip-conflicts", 0, &settings.skip_conflicts, "write what does not conflict"),
    OPTION_FLAG("dry-run", 'n', &settings.dry_run, "only report"),
    OPTION_FLAG("verbose", 'v', &settings.verbose, "name every value that was added"),
    OPTION_FLAG("json", 'j', &settings.json, "print one JSON object"),
};

static const char details[] =
    "POLICY is a policy's text, or a directory of them; each takes the facts of its own program (by build-id). The "
    "text\n"
    "and its compiled form are written. The result is a union: the order of records does not matter, and merging them\n"
    "one by one gives the same as all at once.\n"
    "\n"
    "What happens to a value that was observed:\n"
    "  - it is allowed already: nothing;\n"
    "  - the argument may be anything: --pin decides. \"names\" closes paths, commands, names, elements of argv and "
    "the\n"
    "    addresses of bind and connect, for these are what attackers choose and what analysis often cannot know;\n"
    "    numbers stay as they are. \"all\" closes numbers and other addresses, too, but no descriptors, process or "
    "user\n"
    "    ids. \"none\" closes nothing;\n"
    "  - the argument has a static pattern with \"%s\", which tells only what values look like: where --pin closes "
    "such\n"
    "    arguments, what was observed and fits takes the pattern's place;\n"
    "  - the argument has learned or manual values only, or learned ones beside others: it is added as learned;\n"
    "  - the argument has static values and nothing was learned there: a conflict. By its code the program cannot "
    "pass\n"
    "    anything else, so the run was attacked, or the analysis has a gap. Conflicts are named and nothing is "
    "written;\n"
    "    who knows better adds the value to the argument's list \"manual\".\n"
    "\n"
    "Volatile parts become patterns: a component of digits alone (/proc/1234/stat becomes /proc/%d/stat), the random\n"
    "end of temporary names (/tmp/x.AbC123 becomes /tmp/x.?????\?), digits in names below /tmp, /var/tmp, /run and\n"
    "/dev/shm, long hexadecimal digits, UUIDs. In shell commands only numbers below /proc do: other wildcards would "
    "let\n"
    "in what a shell obeys. Sites that were observed and not known are added, marked as learned, and reported.\n"
    "\n"
    "Exit status: 0 merged, 1 a conflict, an unprotected child that was not allowed, or a record of another build;\n"
    "2 error.\n";

/* One policy and what became of it. */
struct target {
    char *path;
    struct policy_file policy; /* path is NULL for a new one */
    struct document *document;
    struct document created;
    struct notes notes;
    size_t stale; /* facts about another build of this program */
    bool written;
};

static const char *const note_words[NOTE_COUNT] = {
    [NOTE_MODULE] = "new library", [NOTE_SITE] = "new site",
    [NOTE_CLOSED] = "closed",      [NOTE_VALUE] = "value",
    [NOTE_PATTERN] = "pattern",    [NOTE_CHILD] = "unprotected child",
    [NOTE_CONFLICT] = "conflict",  [NOTE_REFUSED_CHILD] = "unprotected child, not allowed (--allow-children allows it)",
};

static enum pin parse_pin(const struct usage *usage) {
    static const char *const words[] = {"none", "names", "all", NULL};
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], settings.pin) == 0)
            return i;
    const char *nearest = nearest_word(settings.pin, words);
    if (nearest)
        options_mistake(usage, "unknown value \"%s\" of --pin (did you mean \"%s\"?)", settings.pin, nearest);
    options_mistake(usage, "unknown value \"%s\" of --pin: none, names or all", settings.pin);
}

static void read_records(struct observed *observed, char **paths) {
    for (; *paths; paths++) {
        struct mistake mistake = {0};
        if (!observed_read(observed, *paths, &mistake))
            die("cannot read the record \"%s\": %s", *paths, mistake.text);
    }
    if (observed->lost)
        warn("the records lost %llu facts: learn again with a larger --size", (unsigned long long)observed->lost);
    if (observed->unreadable)
        warn("%zu facts cannot be expressed in a policy and are left out", observed->unreadable);
    observed_sort(observed);
}

/* ---- Targets ---- */

struct targets {
    struct target *items;
    size_t count;
};

static void add_target(struct targets *targets, const char *path) {
    struct target *target = array_append(targets->items, targets->count);
    target->path = xstrdup(path);
    policy_load_or_die(path, &target->policy);
    if (target->policy.compiled)
        die("\"%s\" is a compiled policy: merge needs the text, which knows where values come from", path);
}

static bool has_target(const struct targets *targets, const struct identity *program) {
    for (size_t i = 0; i < targets->count; i++) {
        const struct target *target = &targets->items[i];
        const struct document *document = target->policy.path ? &target->policy.document : &target->created;
        if (identity_equal(&document->identity, program))
            return true;
    }
    return false;
}

static bool is_path_of_target(const struct targets *targets, const char *path) {
    for (size_t i = 0; i < targets->count; i++)
        if (targets->items[i].policy.path && strcmp(targets->items[i].policy.document.program, path) == 0)
            return true;
    return false;
}

static void create_target(struct targets *targets, const char *directory, const struct identity *program,
                          const char *path) {
    struct target *target = array_append(targets->items, targets->count);
    target->path = policy_path(directory, path, POLICY_TEXT_SUFFIX);
    document_init(&target->created);
    target->created.program = xstrdup(path);
    target->created.identity = *program;
    target->created.mode = MODE_AUDIT;
}

/* Programs of the records that no policy is for. */
static void handle_others(struct targets *targets, const struct observed *observed, const char *directory) {
    for (size_t i = 0; i < observed->program_count; i++) {
        const struct named *program = &observed->programs[i];
        if (has_target(targets, &program->identity) || !*program->path || is_path_of_target(targets, program->path))
            continue;
        if (settings.create && directory)
            create_target(targets, directory, &program->identity, program->path);
        else if (directory && !settings.json)
            warn("%s was observed and has no policy in \"%s\" (--new makes one)", program->path, directory);
    }
}

static void count_stale(struct target *target, const struct observed *observed) {
    for (size_t i = 0; i < observed->fact_count; i++) {
        const struct identity *program = &observed->facts[i].program;
        if (!identity_equal(program, &target->document->identity) &&
            strcmp(observed_program_path(observed, program), target->document->program) == 0)
            target->stale++;
    }
}

/* ---- Writing ---- */

static char *output_path(const struct target *target, bool into_directory) {
    if (!settings.output)
        return xstrdup(target->path);
    if (into_directory)
        return policy_path(settings.output, target->document->program, POLICY_TEXT_SUFFIX);
    return xstrdup(settings.output);
}

/* Both files are complete before either takes its name. */
static void write_policy(struct target *target, bool into_directory) {
    cleanup_free char *text_path = output_path(target, into_directory);
    cleanup_free char *image_path = compiled_path(text_path);
    size_t size;
    cleanup_free void *image = document_compile(target->document, &size);
    struct atomic_file text;
    struct atomic_file compiled;
    if (!atomic_file_open(&text, text_path, 0644))
        die_with_error("cannot write \"%s\"", text_path);
    document_write_text(target->document, text.stream);
    if (!atomic_file_open(&compiled, image_path, 0644)) {
        atomic_file_abandon(&text);
        die_with_error("cannot write \"%s\"", image_path);
    }
    bool complete = fwrite(image, size, 1, compiled.stream) == 1 && fflush(compiled.stream) == 0 &&
                    fflush(text.stream) == 0 && !ferror(text.stream);
    if (!complete) {
        atomic_file_abandon(&text);
        atomic_file_abandon(&compiled);
        die_with_error("cannot write \"%s\"", text_path);
    }
    if (!atomic_file_commit(&text) || !atomic_file_commit(&compiled))
        die_with_error("cannot write \"%s\"", text_path);
    target->written = true;
}

/* ---- Reports ---- */

static bool is_told(enum note_kind kind) {
    return settings.verbose || (kind != NOTE_VALUE && kind != NOTE_CLOSED);
}

/* The command that gives libraries which only learning found the rules that follow from their code, or NULL. */
static char *relink_command(const struct target *target) {
    const struct notes *notes = &target->notes;
    if (notes->by_kind[NOTE_MODULE] == 0)
        return NULL;
    const char *slash = strrchr(target->path, '/');
    char *command = xasprintf("policygen -o %.*s %s", slash ? (int)(slash - target->path) : 1,
                              slash ? target->path : ".", target->document->program);
    for (size_t i = 0; i < notes->count; i++) {
        if (notes->items[i].kind != NOTE_MODULE)
            continue;
        char *longer = xasprintf("%s --also %s", command, notes->items[i].where);
        free(command);
        command = longer;
    }
    return command;
}

static void print_target(const struct target *target) {
    const struct notes *notes = &target->notes;
    printf("%s: %zu new sites, %zu arguments closed, %zu values added, %zu became patterns%s\n",
           target->document->program, notes->by_kind[NOTE_SITE], notes->by_kind[NOTE_CLOSED],
           notes->by_kind[NOTE_VALUE], notes->by_kind[NOTE_PATTERN], target->written ? "" : "; not written");
    for (size_t i = 0; i < notes->count; i++)
        if (is_told(notes->items[i].kind))
            printf("  %s: %s: %s\n", note_words[notes->items[i].kind], notes->items[i].where, notes->items[i].text);
    cleanup_free char *relink = relink_command(target);
    if (relink)
        printf("  only what was observed is allowed to new libraries: to analyse them too, run this (with every --also "
               "given before)\n  and merge the records again:\n    %s\n",
               relink);
    if (target->stale)
        printf("  %zu facts are about another build of %s and were left out: learn again\n", target->stale,
               target->document->program);
}

static json_t *target_json(const struct target *target) {
    const struct notes *notes = &target->notes;
    json_t *list = json_array();
    for (size_t i = 0; i < notes->count; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:o, s:o}", "kind", note_words[notes->items[i].kind], "where",
                                        json_text(notes->items[i].where), "text", json_text(notes->items[i].text)));
    cleanup_free char *relink = relink_command(target);
    return json_pack("{s:o, s:o, s:b, s:I, s:I, s:I, s:I, s:s?, s:o}", "policy", json_text(target->path), "program",
                     json_text(target->document->program), "written", target->written, "conflicts",
                     (json_int_t)notes->by_kind[NOTE_CONFLICT], "sites", (json_int_t)notes->by_kind[NOTE_SITE],
                     "values", (json_int_t)notes->by_kind[NOTE_VALUE], "stale_facts", (json_int_t)target->stale,
                     "relink", relink, "notes", list);
}

static bool is_finding(const struct target *target) {
    return target->notes.by_kind[NOTE_CONFLICT] || target->notes.by_kind[NOTE_REFUSED_CHILD] || target->stale;
}

/* A conflict in one policy does not hold back the others. */
static bool may_write(const struct target *target) {
    if (settings.dry_run || (target->notes.by_kind[NOTE_CONFLICT] && !settings.skip_conflicts))
        return false;
    return settings.output || !target->policy.path || notes_changed(&target->notes);
}

static void free_targets(struct targets *targets) {
    for (size_t i = 0; i < targets->count; i++) {
        struct target *target = &targets->items[i];
        if (!target->policy.path)
            document_free(&target->created);
        policy_unload(&target->policy);
        notes_free(&target->notes);
        free(target->path);
    }
    free(targets->items);
}

static struct targets find_targets(const char *path) {
    struct targets targets = {0};
    if (!is_directory(path)) {
        add_target(&targets, path);
        return targets;
    }
    struct path_list files = list_directory(path, POLICY_TEXT_SUFFIX);
    for (size_t i = 0; i < files.count; i++)
        add_target(&targets, files.items[i]);
    path_list_free(&files);
    return targets;
}

static int merge(const char *policy, char **records, const struct fold_options *folding) {
    bool of_directory = is_directory(policy);
    bool into_directory = settings.output && (of_directory || is_directory(settings.output));
    struct observed observed = {0};
    read_records(&observed, records);
    struct targets targets = find_targets(policy);
    handle_others(&targets, &observed, of_directory ? policy : NULL);
    if (into_directory && mkdir(settings.output, 0755) != 0 && errno != EEXIST)
        die_with_error("cannot make the directory \"%s\"", settings.output);
    json_t *list = json_array();
    bool findings = observed.lost > 0;
    for (size_t i = 0; i < targets.count; i++) {
        struct target *target = &targets.items[i];
        target->document = target->policy.path ? &target->policy.document : &target->created;
        fold(target->document, &observed, folding, &target->notes);
        count_stale(target, &observed);
        if (may_write(target))
            write_policy(target, into_directory);
        findings = findings || is_finding(target);
        if (settings.json)
            json_array_append_new(list, target_json(target));
        else if (target->notes.count || target->stale || !of_directory)
            print_target(target);
    }
    if (settings.json)
        json_print(json_pack("{s:O, s:I, s:I}", "policies", list, "facts", (json_int_t)observed.fact_count, "lost",
                             (json_int_t)observed.lost));
    json_decref(list);
    free_targets(&targets);
    observed_free(&observed);
    return findings ? EXIT_FINDINGS : EXIT_FINE;
}

int verb_merge(const struct verb *verb, int argc, char **argv) {
    struct usage usage = {.verb = verb,
                          .arguments = "POLICY RECORD...",
                          .details = details,
                          .options = options,
                          .option_count = sizeof options / sizeof options[0]};
    if (options_read(&usage, argc, argv) < 2)
        options_mistake(&usage, "which policy and which records?");
    struct fold_options folding = {.pin = parse_pin(&usage),
                                   .children = settings.children,
                                   .data = settings.data.items,
                                   .data_count = settings.data.count};
    if (settings.create && !is_directory(argv[1]))
        options_mistake(&usage, "--new goes with a directory of policies");
    for (size_t i = 0; i < settings.data.count; i++)
        if (settings.data.items[i][0] != '/' || settings.data.items[i][1] == '\0')
            options_mistake(&usage, "\"%s\" is no absolute directory below /", settings.data.items[i]);
    return merge(argv[1], argv + 2, &folding);
}
