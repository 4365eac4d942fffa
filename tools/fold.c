/* Folding facts into a policy. Works on the document in memory; what may be widened and what may not is decided
 * here and nowhere else.
 */
#include "tools/fold.h"

#include <stdarg.h>
#include <string.h>

#include "runtime/match.h"
#include "runtime/util.h"
#include "tools/allows.h"
#include "tools/describe.h"
#include "tools/policy_file.h"
#include "tools/volatile.h"

struct folding {
    struct document *document;
    const struct observed *observed;
    const struct fold_options *options;
    struct notes *notes;
};

/* One site's facts: facts[first .. first + count) of the observed ones. */
struct group {
    const struct fact *facts;
    size_t count;
};

static void __attribute__((format(printf, 4, 5)))
note(struct folding *folding, enum note_kind kind, char *where, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = xvasprintf(format, arguments);
    va_end(arguments);
    *array_append(folding->notes->items, folding->notes->count) =
        (struct note){.kind = kind, .where = where, .text = text};
    folding->notes->by_kind[kind]++;
}

void notes_free(struct notes *notes) {
    for (size_t i = 0; i < notes->count; i++) {
        free(notes->items[i].where);
        free(notes->items[i].text);
    }
    free(notes->items);
    *notes = (struct notes){0};
}

bool notes_changed(const struct notes *notes) {
    return notes->by_kind[NOTE_MODULE] || notes->by_kind[NOTE_SITE] || notes->by_kind[NOTE_CLOSED] ||
           notes->by_kind[NOTE_VALUE] || notes->by_kind[NOTE_CHILD];
}

static char *where(const struct module *module, const struct fact *fact) {
    const struct api *api = &api_table[fact->api];
    if (fact->argument >= api->argument_count)
        return xasprintf("%s+0x%x:%s", base_name(module->path), fact->offset, api->name);
    return xasprintf("%s+0x%x:%s, argument %s", base_name(module->path), fact->offset, api->name,
                     api->arguments[fact->argument].name);
}

/* ---- Which arguments are closed ---- */

static bool is_pinned(enum pin pin, unsigned api, enum argument_kind kind) {
    if (pin == PIN_NONE || argument_shape(kind) == SHAPE_OPAQUE)
        return false;
    switch (kind) {
    case KIND_PATH:
    case KIND_NAME:
    case KIND_COMMAND:
    case KIND_TEMPLATE:
    case KIND_ARGV: return true;
    case KIND_SOCKADDR: return pin == PIN_ALL || api == API_bind || api == API_connect;
    case KIND_FD:
    case KIND_DIRFD:
    case KIND_PID:
    case KIND_ID: return false;
    default: return pin == PIN_ALL;
    }
}

static bool has_origin(const struct constraint *constraint, enum origin origin) {
    for (size_t i = 0; i < constraint->value_count; i++)
        if (constraint->values[i].origin == origin)
            return true;
    return false;
}

/* Static analysis says that it knows all values, and nothing was ever learned here. */
static bool is_closed_to_learning(const struct constraint *constraint) {
    return !constraint->any && has_origin(constraint, ORIGIN_STATIC) && !has_origin(constraint, ORIGIN_LEARNED);
}

/* The static and manual values of a constraint: what was learned is left out on purpose, see fold.h. The values are
 * the constraint's own. */
static struct constraint without_learning(const struct constraint *constraint) {
    struct constraint known = {.argument = constraint->argument};
    for (size_t i = 0; i < constraint->value_count; i++)
        if (constraint->values[i].origin != ORIGIN_LEARNED)
            *array_append(known.values, known.value_count) = constraint->values[i];
    return known;
}

/* A vector may end where a null pointer is listed, and behind all positions that are. The latter holds only as long as
 * no more positions are learned. */
static bool is_allowed_by(const struct constraint *known, enum argument_kind kind, const struct value *seen,
                          bool complete) {
    if (constraint_lists(known, kind, seen))
        return true;
    return complete && argument_shape(kind) == SHAPE_ARGV && seen->kind == VALUE_NULL &&
           vector_is_complete(known, seen->position);
}

/* The first value that is learned at a position of a vector takes it out of what is listed for "all others": those
 * values are now listed for the position, too. */
static void keep_rest(struct constraint *constraint, const struct constraint *known, const struct value *seen) {
    if (position_in_force(known, seen->position) != POSITION_REST)
        return;
    for (size_t i = 0; i < known->value_count; i++) {
        struct value value = known->values[i];
        if (value.position != POSITION_REST || value.kind == VALUE_NULL)
            continue;
        value.position = seen->position;
        value.text = xstrdup(value.text);
        value.constant = 0;
        constraint_add(constraint, value);
    }
}

/* ---- Static patterns that leave a part open ---- */

/* A pattern with "%s" tells what a value looks like, and not what it may be: what stands there comes from elsewhere. */
static bool leaves_open(const struct value *value) {
    if (value->origin != ORIGIN_STATIC || value->kind != VALUE_GLOB)
        return false;
    for (const char *at = value->text; *at != 0; at++) {
        if (*at == '\\' && at[1] != 0)
            at++;
        else if (at[0] == '%' && at[1] == 's')
            return true;
    }
    return false;
}

/* Whether nothing but such a pattern allows a value that was observed. */
static bool is_left_open(const struct constraint *known, enum argument_kind kind, const struct value *seen,
                         bool complete) {
    struct constraint exact = {.argument = known->argument};
    for (size_t i = 0; i < known->value_count; i++) {
        if (!leaves_open(&known->values[i]))
            *array_append(exact.values, exact.value_count) = known->values[i];
    }
    bool open = seen->kind == VALUE_TEXT && exact.value_count < known->value_count &&
                !is_allowed_by(&exact, kind, seen, complete);
    free(exact.values);
    return open;
}

/* What was learned for a position takes the place of the patterns there. */
static void drop_open_patterns(struct constraint *constraint) {
    bool learned[POSITION_REST + 1] = {false};
    for (size_t i = 0; i < constraint->value_count; i++)
        learned[constraint->values[i].position] |= constraint->values[i].origin == ORIGIN_LEARNED;
    size_t kept = 0;
    for (size_t i = 0; i < constraint->value_count; i++) {
        struct value *value = &constraint->values[i];
        if (leaves_open(value) && learned[value->position])
            free(value->text);
        else
            constraint->values[kept++] = *value;
    }
    constraint->value_count = kept;
}

/* ---- Values that become patterns ---- */

/* DIR/ ** for a path below one of the data directories, or NULL. */
static char *data_pattern(const struct fold_options *options, const char *path) {
    for (size_t i = 0; i < options->data_count; i++) {
        size_t length = strlen(options->data[i]);
        while (length > 1 && options->data[i][length - 1] == '/')
            length--;
        if (strncmp(path, options->data[i], length) != 0 || path[length] != '/' ||
            match_has_dot_dot(path, strlen(path)))
            continue;
        char *pattern = xmalloc(2 * length + 4);
        char *out = pattern;
        for (size_t at = 0; at < length; at++) {
            if (strchr("*?\\%", path[at]))
                *out++ = '\\';
            *out++ = path[at];
        }
        memcpy(out, "/**", sizeof "/**");
        return pattern;
    }
    return NULL;
}

/* The value as it is to stand in the policy; its text is a copy. */
static struct value generalise(const struct fold_options *options, enum argument_kind kind, const struct value *seen) {
    struct value value = *seen;
    char *pattern = NULL;
    if (seen->kind == VALUE_TEXT && argument_shape(kind) == SHAPE_PATH)
        pattern = data_pattern(options, seen->text);
    if (seen->kind == VALUE_TEXT && !pattern)
        pattern = volatile_pattern(seen->text, kind);
    if (seen->kind == VALUE_ADDRESS && seen->text && *seen->text == '/')
        pattern = volatile_pattern(seen->text, KIND_PATH);
    if (pattern && seen->kind == VALUE_ADDRESS)
        value.address.match = MATCH_GLOB;
    else if (pattern)
        value.kind = VALUE_GLOB;
    value.text = pattern ? pattern : seen->text ? xstrdup(seen->text) : NULL;
    return value;
}

static void add_value(struct folding *folding, const struct module *module, const struct fact *fact,
                      struct constraint *constraint) {
    enum argument_kind kind = api_table[fact->api].arguments[fact->argument].kind;
    struct value value = generalise(folding->options, kind, &fact->value);
    cleanup_free char *text = describe_value(&value, kind);
    if (strcmp(value.text ? value.text : "", fact->value.text ? fact->value.text : "") != 0) {
        cleanup_free char *seen = describe_value(&fact->value, kind);
        note(folding, NOTE_PATTERN, where(module, fact), "%s became %s", seen, text);
    }
    size_t before = constraint->value_count;
    constraint_add(constraint, value);
    if (constraint->value_count > before)
        note(folding, NOTE_VALUE, where(module, fact), "%s", text);
}

/* ---- Arguments and sites ---- */

static void report_conflict(struct folding *folding, const struct module *module, const struct fact *fact,
                            enum argument_kind kind) {
    cleanup_free char *text = describe_value(&fact->value, kind);
    note(folding, NOTE_CONFLICT, where(module, fact),
         "%s was observed, but by its code the program can only pass the values listed as static there", text);
}

/* An argument that may be anything, or anything of a pattern, is closed. */
static void close_argument(struct folding *folding, const struct module *module, const struct fact *fact,
                           struct constraint *constraint) {
    constraint->any = false;
    free(constraint->why_any);
    constraint->why_any = NULL;
    note(folding, NOTE_CLOSED, where(module, fact), "could be anything, is now closed to what was observed");
}

/* Facts of one argument of one site. */
struct argument_facts {
    const struct fact *items;
    size_t count;
};

/* Adds what static and manual values do not allow, or names it where nothing may be learned. What only an open pattern
 * allows is added, too, where arguments are closed to what was observed. */
static void fold_values(struct folding *folding, const struct module *module, struct constraint *constraint,
                        enum argument_kind kind, struct argument_facts facts, bool pinned) {
    bool closed_to_learning = !constraint->any && is_closed_to_learning(constraint);
    struct constraint known = without_learning(constraint);
    for (size_t i = 0; i < facts.count; i++) {
        const struct fact *fact = &facts.items[i];
        bool allowed = is_allowed_by(&known, kind, &fact->value, closed_to_learning);
        bool left_open = allowed && pinned && is_left_open(&known, kind, &fact->value, closed_to_learning);
        if (allowed && !left_open)
            continue;
        if (closed_to_learning && !allowed) {
            report_conflict(folding, module, fact, kind);
            continue;
        }
        if (constraint->any || left_open)
            close_argument(folding, module, fact, constraint);
        if (argument_shape(kind) == SHAPE_ARGV && fact->value.kind == VALUE_TEXT && !left_open)
            keep_rest(constraint, &known, &fact->value);
        add_value(folding, module, fact, constraint);
    }
    free(known.values);
    if (pinned)
        drop_open_patterns(constraint);
}

/* facts[0 .. count): all that was observed of one argument of one site. */
static void fold_argument(struct folding *folding, const struct module *module, struct site *site,
                          const struct fact *facts, size_t count) {
    enum argument_kind kind = api_table[site->api].arguments[facts->argument].kind;
    bool is_free = argument_is_free(site, facts->argument);
    bool pinned = is_pinned(folding->options->pin, site->api, kind);
    if (is_free && !pinned)
        return;
    struct constraint *constraint = site_constraint(site, facts->argument);
    constraint->any = is_free;
    fold_values(folding, module, constraint, kind, (struct argument_facts){facts, count}, pinned);
}

static void fold_child(struct folding *folding, const struct module *module, struct site *site,
                       const struct fact *fact) {
    for (size_t i = 0; i < site->child_count; i++)
        if (value_allows(&site->children[i], KIND_PATH, &fact->value))
            return;
    cleanup_free char *text = printable(fact->value.text);
    if (!folding->options->children) {
        note(folding, NOTE_REFUSED_CHILD, where(module, fact), "started %s, which cannot be protected", text);
        return;
    }
    struct value value = fact->value;
    value.text = xstrdup(fact->value.text);
    site_add_child(site, value);
    note(folding, NOTE_CHILD, where(module, fact), "may start %s unprotected", text);
}

static struct site *find_or_add_site(struct folding *folding, struct module *module, const struct fact *fact) {
    size_t before = module->site_count;
    struct site *site = module_site(module, fact->offset, fact->api);
    if (module->site_count == before)
        return site;
    site->origin = ORIGIN_LEARNED;
    struct fact plain = *fact;
    plain.argument = RECORD_SITE;
    note(folding, NOTE_SITE, where(module, &plain), "was called from there, which the policy did not know");
    return site;
}

static void fold_site(struct folding *folding, struct module *module, const struct group *group) {
    struct site *site = find_or_add_site(folding, module, group->facts);
    unsigned arguments = api_table[site->api].argument_count;
    for (size_t i = 0; i < group->count;) {
        const struct fact *fact = &group->facts[i];
        size_t end = i + 1;
        while (end < group->count && group->facts[end].argument == fact->argument)
            end++;
        if (fact->argument == RECORD_CHILD)
            for (size_t at = i; at < end; at++)
                fold_child(folding, module, site, &group->facts[at]);
        else if (fact->argument < arguments)
            fold_argument(folding, module, site, fact, end - i);
        i = end;
    }
}

static bool same_site(const struct fact *a, const struct fact *b) {
    return identity_equal(&a->program, &b->program) && identity_equal(&a->module, &b->module) &&
           a->offset == b->offset && a->api == b->api;
}

static struct module *find_or_add_module(struct folding *folding, const struct fact *fact) {
    size_t before = folding->document->module_count;
    const char *path = observed_module_path(folding->observed, &fact->module);
    struct module *module = document_module(folding->document, &fact->module, path);
    if (folding->document->module_count > before)
        note(folding, NOTE_MODULE, xstrdup(path), "calls functions of the table, and the policy did not know it");
    return module;
}

/* ---- The order of modules ---- */

/* A module that is there because of learning alone. */
static bool is_learned(const struct module *module) {
    for (size_t i = 0; i < module->site_count; i++)
        if (module->sites[i].origin != ORIGIN_LEARNED)
            return false;
    return module->site_count > 0 && module->loose_count == 0 && module->tail_count == 0 && !module->has_tails;
}

static int compare_modules(const void *left, const void *right) {
    const struct module *a = left;
    const struct module *b = right;
    int order = strcmp(a->path, b->path);
    return order ? order : memcmp(&a->identity, &b->identity, sizeof a->identity);
}

/* The program and analysed modules keep their order; learned ones follow, in the order of their paths. */
static void order_modules(struct document *document) {
    struct module *modules = document->modules;
    size_t count = document->module_count;
    struct module *learned = NULL;
    size_t learned_count = 0;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_program = identity_equal(&modules[i].identity, &document->identity);
        if (is_learned(&modules[i]) && !is_program)
            *array_append(learned, learned_count) = modules[i];
        else
            modules[kept++] = modules[i];
    }
    if (learned_count) {
        qsort(learned, learned_count, sizeof *learned, compare_modules);
        memcpy(modules + kept, learned, learned_count * sizeof *learned);
    }
    free(learned);
}

void fold(struct document *document, const struct observed *observed, const struct fold_options *options,
          struct notes *notes) {
    struct folding folding = {.document = document, .observed = observed, .options = options, .notes = notes};
    for (size_t i = 0; i < observed->fact_count;) {
        const struct fact *fact = &observed->facts[i];
        struct group group = {.facts = fact, .count = 1};
        while (i + group.count < observed->fact_count && same_site(fact, &fact[group.count]))
            group.count++;
        /* What is counted and not checked needs no rule. */
        if (identity_equal(&fact->program, &document->identity) && api_table[fact->api].level != LEVEL_COUNTED)
            fold_site(&folding, find_or_add_module(&folding, fact), &group);
        i += group.count;
    }
    order_modules(document);
    document_sort(document);
}
