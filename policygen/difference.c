/* Compares policies program by program, module by module, site by site. A change that several programs have in common,
 * as those of a shared library, is one change.
 */
#include "policygen/difference.h"

#include <stdlib.h>
#include <string.h>

#include "policygen/match.h"
#include "policygen/subset.h"
#include "runtime/util.h"

/* How freely a module may call a function apart from its listed sites. */
enum {
    LEVEL_LISTED,
    LEVEL_POINTED,
    LEVEL_AFTER_INDIRECT,
    LEVEL_AFTER_ANY
};

struct comparison {
    json_t *changes; /* list */
    json_t *index;   /* change without programs, as text -> the change */
    json_t *apis_added, *apis_dropped;
    const char *program;
    const struct document *old, *new; /* of the program */
};

bool class_is_critical(enum api_class class) {
    return class == CLASS_EXEC || class == CLASS_CODE || class == CLASS_MODULE || class == CLASS_IDENTITY;
}

/* ---- Changes ---- */

/* Paths and values may hold bytes that are no UTF-8, which JSON has no place for: they are shown as '?'. */
static json_t *json_text(const char *text) {
    json_t *json = json_string(text);
    if (json != NULL)
        return json;
    cleanup_free char *clean = xstrdup(text);
    for (char *at = clean; *at != '\0'; at++) {
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    }
    return json_string(clean);
}

/* Takes over the change. */
static void add_change(struct comparison *comparison, json_t *change) {
    cleanup_free char *key = json_dumps(change, JSON_COMPACT | JSON_SORT_KEYS);
    json_t *known = json_object_get(comparison->index, key);
    if (known == NULL) {
        json_object_set_new(change, "programs", json_array());
        json_object_set(comparison->index, key, change);
        json_array_append(comparison->changes, change);
        known = change;
    }
    json_t *programs = json_object_get(known, "programs"), *last;
    size_t count = json_array_size(programs);
    last = count == 0 ? NULL : json_array_get(programs, count - 1);
    if (last == NULL || strcmp(json_string_value(last), comparison->program) != 0)
        json_array_append_new(programs, json_text(comparison->program));
    json_decref(change);
}

static json_t *make_change(const char *change, const char *what, bool critical) {
    return json_pack("{s:s, s:s, s:b}", "change", change, "what", what, "critical", critical);
}

static json_t *site_change(const char *change, const char *what, bool critical, const struct module *module,
                           const struct site *site) {
    json_t *json = make_change(change, what, critical);
    json_object_set_new(json, "module", json_text(module->path));
    json_object_set_new(json, "function", site->function == NULL ? json_null() : json_text(site->function));
    json_object_set_new(json, "api", json_string(api_table[site->api].name));
    json_object_set_new(json, "class", json_string(api_class_name(api_table[site->api].class)));
    return json;
}

static json_t *value_json(const struct value *value, enum argument_kind kind) {
    size_t length = value_format(value, kind, NULL, 0);
    cleanup_free char *text = xmalloc(length + 1);
    value_format(value, kind, text, length + 1);
    return json_text(text);
}

static json_t *values_json(const struct constraint *limit, enum argument_kind kind) {
    if (limit == NULL)
        return json_null();
    json_t *values = json_array();
    for (size_t i = 0; i < limit->value_count; i++)
        json_array_append_new(values, value_json(&limit->values[i], kind));
    return values;
}

/* ---- Sites that come and go ---- */

static bool is_readable(const struct argument *argument) {
    return argument_shape(argument->kind) != SHAPE_OPAQUE;
}

static json_t *rules_json(const struct site *site) {
    const struct api *api = &api_table[site->api];
    json_t *rules = json_object();
    for (unsigned i = 0; i < api->argument_count; i++) {
        if (is_readable(&api->arguments[i]) && site_argument_matters(site, i))
            json_object_set_new(rules, api->arguments[i].name,
                                values_json(site_limit(site, i), api->arguments[i].kind));
    }
    return rules;
}

/* Whether the module calls the function with the same rules elsewhere, as it does where a call was inlined once more. */
static bool has_rules(const struct module *module, unsigned api, const json_t *rules) {
    bool found = false;
    for (size_t i = 0; module != NULL && i < module->site_count && !found; i++) {
        const struct site *site = &module->sites[i];
        if (site->api != api || site_through_pointer(module, site))
            continue;
        json_t *others = rules_json(site);
        found = json_equal(others, rules);
        json_decref(others);
    }
    return found;
}

/* `other` is the module's other build, or NULL. */
static void report_site(struct comparison *comparison, const char *change, const struct module *module,
                        const struct module *other, const struct site *site) {
    bool critical = strcmp(change, "added") == 0 && class_is_critical(api_table[site->api].class);
    json_t *json = site_change(change, "call site", critical, module, site), *rules = rules_json(site);
    json_object_set_new(json, "as_elsewhere", json_boolean(has_rules(other, site->api, rules)));
    json_object_set_new(json, "rules", rules);
    add_change(comparison, json);
}

/* ---- Arguments ---- */

/* What `limit` allows and `other` does not. */
static json_t *uncovered(const struct constraint *limit, const struct constraint *other, enum argument_kind kind) {
    json_t *values = json_array();
    for (size_t i = 0; i < limit->value_count; i++) {
        if (!constraint_covers(other, kind, limit, &limit->values[i]))
            json_array_append_new(values, value_json(&limit->values[i], kind));
    }
    if (json_array_size(values) == 0 && argument_shape(kind) == SHAPE_ARGV && constraint_ends_elsewhere(other, limit))
        json_array_append_new(values, json_string("another number of elements"));
    return values;
}

/* The values that the second rule has beyond the first: an empty array, an array, or null for all others. */
static json_t *gained(const struct constraint *first, const struct constraint *second, enum argument_kind kind) {
    if (first == NULL)
        return json_array();
    return second == NULL ? json_null() : uncovered(second, first, kind);
}

static bool is_nothing(const json_t *values) {
    return json_is_array(values) && json_array_size(values) == 0;
}

static void compare_argument(struct comparison *comparison, const struct module *module, const struct site *old,
                             const struct site *new, unsigned index) {
    const struct argument *argument = &api_table[new->api].arguments[index];
    static const struct constraint nothing = {0};
    bool mattered = site_argument_matters(old, index), matters = site_argument_matters(new, index);
    if (!is_readable(argument) || !matters)
        return;
    /* What meant nothing before could have no value at all. */
    const struct constraint *before = mattered ? site_limit(old, index) : &nothing, *after = site_limit(new, index);
    json_t *allows = gained(before, after, argument->kind), *no_longer = gained(after, before, argument->kind);
    if (is_nothing(allows) && is_nothing(no_longer)) {
        json_decref(allows);
        json_decref(no_longer);
        return;
    }
    bool widened = !is_nothing(allows);
    json_t *json = site_change(widened ? "widened" : "narrowed", "argument", widened, module, new);
    json_object_set_new(json, "argument", json_string(argument->name));
    json_object_set_new(json, "allows", allows);
    json_object_set_new(json, "no_longer", no_longer);
    add_change(comparison, json);
}

/* ---- Verdicts of a site, and the unprotected programs that it may start ---- */

static void report_setting(struct comparison *comparison, json_t *json, const char *name, const char *before,
                           const char *after) {
    json_object_set_new(json, "name", json_string(name));
    json_object_set_new(json, "before", json_string(before));
    json_object_set_new(json, "after", json_string(after));
    add_change(comparison, json);
}

/* Of modes and verdicts the larger number is the looser one. */
static const char *direction(unsigned before, unsigned after) {
    return after > before ? "widened" : "narrowed";
}

static void compare_verdicts(struct comparison *comparison, const struct module *module, const struct site *old,
                             const struct site *new) {
    enum mode before = old->mode == MODE_INHERIT ? comparison->old->mode : old->mode;
    enum mode after = new->mode == MODE_INHERIT ? comparison->new->mode : new->mode;
    if ((old->mode != MODE_INHERIT || new->mode != MODE_INHERIT) && before != after)
        report_setting(comparison, site_change(direction(before, after), "verdict", after > before, module, new),
                       "site_mode", mode_name(before), mode_name(after));
    enum verdict was = old->verdict == VERDICT_INHERIT ? comparison->old->on_violation : old->verdict;
    enum verdict is = new->verdict == VERDICT_INHERIT ? comparison->new->on_violation : new->verdict;
    if ((old->verdict != VERDICT_INHERIT || new->verdict != VERDICT_INHERIT) && was != is)
        report_setting(comparison, site_change(direction(was, is), "verdict", is > was, module, new), "site_verdict",
                       verdict_name(was), verdict_name(is));
}

static void compare_children(struct comparison *comparison, const struct module *module, const struct site *old,
                             const struct site *new) {
    const struct constraint before = {.values = old->children, .value_count = old->child_count};
    const struct constraint after = {.values = new->children, .value_count = new->child_count};
    json_t *allows = uncovered(&after, &before, KIND_PATH), *no_longer = uncovered(&before, &after, KIND_PATH);
    if (is_nothing(allows) && is_nothing(no_longer)) {
        json_decref(allows);
        json_decref(no_longer);
        return;
    }
    bool widened = !is_nothing(allows);
    json_t *json = site_change(widened ? "widened" : "narrowed", "child", widened, module, new);
    json_object_set_new(json, "allows", allows);
    json_object_set_new(json, "no_longer", no_longer);
    add_change(comparison, json);
}

/* ---- Modules ---- */

static void compare_sites(struct comparison *comparison, const struct module *module, const struct site *old,
                          const struct site *new) {
    for (unsigned i = 0; i < api_table[new->api].argument_count; i++)
        compare_argument(comparison, module, old, new, i);
    compare_verdicts(comparison, module, old, new);
    compare_children(comparison, module, old, new);
}

static void compare_modules(struct comparison *comparison, const struct module *old, const struct module *new) {
    cleanup_free size_t *matches = match_sites(old, new);
    size_t old_count = old == NULL ? 0 : old->site_count, new_count = new == NULL ? 0 : new->site_count;
    cleanup_free bool *kept = xcalloc(old_count + 1, sizeof *kept);
    for (size_t i = 0; i < new_count; i++) {
        const struct site *site = &new->sites[i];
        if (old != NULL && matches[i] != NO_SITE) {
            kept[matches[i]] = true;
            compare_sites(comparison, new, &old->sites[matches[i]], site);
        } else if (!site_through_pointer(new, site)) {
            report_site(comparison, "added", new, old, site);
        }
    }
    for (size_t i = 0; i < old_count; i++) {
        if (!kept[i] && !site_through_pointer(old, &old->sites[i]))
            report_site(comparison, "dropped", old, new, &old->sites[i]);
    }
}

/* ---- Loose functions ---- */

struct freedom {
    uint8_t level;
    const char *why;
};

static void find_freedom(const struct module *module, struct freedom freedom[API_COUNT]) {
    for (unsigned i = 0; i < API_COUNT; i++)
        freedom[i] = (struct freedom){LEVEL_LISTED, NULL};
    if (module == NULL)
        return;
    for (size_t i = 0; i < module->site_count; i++) {
        if (site_through_pointer(module, &module->sites[i]))
            freedom[module->sites[i].api] = (struct freedom){LEVEL_POINTED, "it is called through a pointer"};
    }
    for (size_t i = 0; i < module->loose_count; i++) {
        const struct loose *loose = &module->loose[i];
        uint8_t level = loose->how == LOOSE_AFTER_ANY_CALL ? LEVEL_AFTER_ANY : LEVEL_AFTER_INDIRECT;
        freedom[loose->api] = (struct freedom){level, loose->why == NULL ? "" : loose->why};
    }
}

/* Modules in which a function became free in the same way and for the same reason are told together. `found` holds
 * the changes of this program so far. */
static void report_loose(json_t *found, const char *change, const struct module *module, unsigned api,
                         const struct freedom *freedom) {
    size_t i;
    json_t *known;
    const char *after = freedom->level == LEVEL_AFTER_ANY        ? "any call"
                        : freedom->level == LEVEL_AFTER_INDIRECT ? "an indirect call"
                                                                 : "calls through pointers";
    json_t *json = make_change(change, "loose function", strcmp(change, "widened") == 0);
    json_object_set_new(json, "api", json_string(api_table[api].name));
    json_object_set_new(json, "class", json_string(api_class_name(api_table[api].class)));
    json_object_set_new(json, "after", json_string(after));
    json_object_set_new(json, "why", json_text(freedom->why));
    json_array_foreach(found, i, known) {
        json_t *modules = json_object_get(known, "modules");
        json_object_set(json, "modules", modules);
        if (json_equal(json, known)) {
            json_array_append_new(modules, json_text(module->path));
            json_decref(json);
            return;
        }
    }
    json_object_set_new(json, "modules", json_pack("[o]", json_text(module->path)));
    json_array_append_new(found, json);
}

static void compare_freedom(json_t *found, const struct module *old, const struct module *new) {
    struct freedom before[API_COUNT], after[API_COUNT];
    find_freedom(old, before);
    find_freedom(new, after);
    for (unsigned i = 0; i < API_COUNT; i++) {
        if (new != NULL && after[i].level > before[i].level)
            report_loose(found, "widened", new, i, &after[i]);
        else if (old != NULL && after[i].level < before[i].level)
            report_loose(found, "narrowed", old, i, &before[i]);
    }
}

/* ---- Programs ---- */

static void compare_setting(struct comparison *comparison, const char *name, unsigned before, unsigned after,
                            const char *before_text, const char *after_text) {
    if (before != after)
        report_setting(comparison, make_change(direction(before, after), "setting", after > before), name, before_text,
                       after_text);
}

static void compare_settings(struct comparison *comparison) {
    const struct document *a = comparison->old, *b = comparison->new;
    const struct {
        const char *name;
        enum verdict before, after;
    } verdicts[] = {
        {"on_violation", a->on_violation, b->on_violation},
        {"on_broken_stack", a->on_broken_stack, b->on_broken_stack},
        {"on_unknown_stack", a->on_unknown_stack, b->on_unknown_stack},
        {"on_unlisted_module", a->on_unlisted_module, b->on_unlisted_module},
        {"on_anonymous_code", a->on_anonymous_code, b->on_anonymous_code},
        {"on_foreign_stack", a->on_foreign_stack, b->on_foreign_stack},
    };
    compare_setting(comparison, "mode", a->mode, b->mode, mode_name(a->mode), mode_name(b->mode));
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++)
        compare_setting(comparison, verdicts[i].name, verdicts[i].before, verdicts[i].after,
                        verdict_name(verdicts[i].before), verdict_name(verdicts[i].after));
}

static void find_apis(const struct document *document, bool used[API_COUNT]) {
    memset(used, 0, API_COUNT * sizeof *used);
    for (size_t i = 0; i < document->module_count; i++) {
        const struct module *module = &document->modules[i];
        for (size_t j = 0; j < module->site_count; j++)
            used[module->sites[j].api] |= !site_through_pointer(module, &module->sites[j]);
    }
}

static void note_api(json_t *apis, unsigned api, const char *program) {
    size_t i;
    json_t *known;
    json_array_foreach(apis, i, known) {
        if (strcmp(json_string_value(json_object_get(known, "api")), api_table[api].name) == 0) {
            json_array_append_new(json_object_get(known, "programs"), json_text(program));
            return;
        }
    }
    json_array_append_new(apis, json_pack("{s:s, s:s, s:b, s:[o]}", "api", api_table[api].name, "class",
                                          api_class_name(api_table[api].class), "critical",
                                          class_is_critical(api_table[api].class), "programs", json_text(program)));
}

static void compare_apis(struct comparison *comparison) {
    bool before[API_COUNT], after[API_COUNT];
    find_apis(comparison->old, before);
    find_apis(comparison->new, after);
    for (unsigned i = 0; i < API_COUNT; i++) {
        if (after[i] && !before[i])
            note_api(comparison->apis_added, i, comparison->program);
        if (before[i] && !after[i])
            note_api(comparison->apis_dropped, i, comparison->program);
    }
}

static void compare_programs(struct comparison *comparison, const struct document *old, const struct document *new) {
    comparison->program = new->program;
    comparison->old = old;
    comparison->new = new;
    cleanup_free size_t *matches = match_modules(old, new);
    cleanup_free bool *kept = xcalloc(old->module_count + 1, sizeof *kept);
    json_t *loose = json_array(), *change;
    size_t at;
    for (size_t i = 0; i < new->module_count; i++) {
        const struct module *before = matches[i] == NO_SITE ? NULL : &old->modules[matches[i]];
        if (before != NULL)
            kept[matches[i]] = true;
        compare_modules(comparison, before, &new->modules[i]);
        compare_freedom(loose, before, &new->modules[i]);
    }
    for (size_t i = 0; i < old->module_count; i++) {
        if (!kept[i]) {
            compare_modules(comparison, &old->modules[i], NULL);
            compare_freedom(loose, &old->modules[i], NULL);
        }
    }
    json_array_foreach(loose, at, change) {
        add_change(comparison, json_deep_copy(change));
    }
    json_decref(loose);
    compare_settings(comparison);
    compare_apis(comparison);
}

static bool has_critical_site(const struct document *document) {
    for (size_t i = 0; i < document->module_count; i++) {
        for (size_t j = 0; j < document->modules[i].site_count; j++) {
            if (class_is_critical(api_table[document->modules[i].sites[j].api].class))
                return true;
        }
    }
    return false;
}

static void report_program(struct comparison *comparison, const char *change, const char *program, bool critical,
                           bool is_protected) {
    comparison->program = program;
    json_t *json = make_change(change, "program", critical);
    json_object_set_new(json, "program", json_text(program));
    json_object_set_new(json, "can_be_protected", json_boolean(is_protected));
    add_change(comparison, json);
}

static const struct document *find_program(const struct policies *policies, const char *program) {
    for (size_t i = 0; i < policies->count; i++) {
        if (strcmp(policies->documents[i].program, program) == 0)
            return &policies->documents[i];
    }
    return NULL;
}

static bool is_unprotected(const struct policies *policies, const char *program) {
    for (size_t i = 0; i < policies->unprotected_count; i++) {
        if (strcmp(policies->unprotected[i], program) == 0)
            return true;
    }
    return false;
}

/* Two single programs are meant to be compared, whatever they are called. */
static bool is_one_program(const struct policies *policies) {
    return policies->count + policies->unprotected_count == 1;
}

static void compare_unprotected(struct comparison *comparison, const struct policies *old, const struct policies *new) {
    bool single = is_one_program(old) && is_one_program(new);
    for (size_t i = 0; i < new->unprotected_count; i++) {
        bool was = single ? old->unprotected_count == 1 : is_unprotected(old, new->unprotected[i]);
        if (!was)
            report_program(comparison, "added", new->unprotected[i], true, false);
    }
    for (size_t i = 0; i < old->unprotected_count; i++) {
        bool is = single ? new->unprotected_count == 1 : is_unprotected(new, old->unprotected[i]);
        if (!is)
            report_program(comparison, "dropped", old->unprotected[i], false, false);
    }
}

static void compare_all(struct comparison *comparison, const struct policies *old, const struct policies *new) {
    if (is_one_program(old) && is_one_program(new) && old->count == 1 && new->count == 1) {
        compare_programs(comparison, &old->documents[0], &new->documents[0]);
        return;
    }
    for (size_t i = 0; i < new->count; i++) {
        const struct document *document = &new->documents[i], *before = find_program(old, document->program);
        if (before != NULL)
            compare_programs(comparison, before, document);
        else
            report_program(comparison, "added", document->program, has_critical_site(document), true);
    }
    for (size_t i = 0; i < old->count; i++) {
        if (find_program(new, old->documents[i].program) == NULL)
            report_program(comparison, "dropped", old->documents[i].program, false, true);
    }
    compare_unprotected(comparison, old, new);
}

static size_t count_changes(const json_t *changes, const char *change) {
    size_t i, count = 0;
    const json_t *each;
    json_array_foreach(changes, i, each) {
        count += strcmp(json_string_value(json_object_get(each, "change")), change) == 0;
    }
    return count;
}

static size_t count_critical(const json_t *changes) {
    size_t i, count = 0;
    const json_t *each;
    json_array_foreach(changes, i, each) {
        count += json_is_true(json_object_get(each, "critical"));
    }
    return count;
}

json_t *policies_difference(const struct policies *old, const struct policies *new) {
    struct comparison comparison = {
        .changes = json_array(), .index = json_object(), .apis_added = json_array(), .apis_dropped = json_array()};
    compare_all(&comparison, old, new);
    json_decref(comparison.index);
    size_t critical = count_critical(comparison.changes);
    json_t *counts = json_object();
    static const char *const kinds[] = {"added", "dropped", "widened", "narrowed"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        json_object_set_new(counts, kinds[i], json_integer((json_int_t)count_changes(comparison.changes, kinds[i])));
    json_object_set_new(counts, "critical", json_integer((json_int_t)critical));
    return json_pack("{s:o, s:o, s:b, s:o, s:o, s:o, s:o}", "old", json_text(old->path), "new", json_text(new->path),
                     "critical", critical > 0, "counts", counts, "apis_added", comparison.apis_added, "apis_dropped",
                     comparison.apis_dropped, "changes", comparison.changes);
}
