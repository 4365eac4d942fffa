/* The reader of a policy's text form. It is strict: what it does not know is a mistake with a line, never skipped.
 * The text may be anything at all.
 */
#define _GNU_SOURCE 1
#include "runtime/document.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/text.h"
#include "runtime/util.h"

#define TEXT_FORMAT 1

static const struct key document_keys[] = {
    {"format", TYPE_NUMBER, true},
    {"program", TYPE_STRING, true},
    {"build_id", TYPE_STRING, true},
    {"mode", TYPE_STRING, false},
    {"on_violation", TYPE_STRING, false},
    {"on_broken_stack", TYPE_STRING, false},
    {"on_unknown_stack", TYPE_STRING, false},
    {"on_unlisted_module", TYPE_STRING, false},
    {"on_anonymous_code", TYPE_STRING, false},
    {"on_foreign_stack", TYPE_STRING, false},
    {"modules", TYPE_LIST, true},
    {0},
};

static const struct key module_keys[] = {
    {"path", TYPE_STRING, true},          {"build_id", TYPE_STRING, true},
    {"sites", TYPE_LIST, false},          {"loose", TYPE_LIST, false},
    {"returns", TYPE_ARRAY, false},       {"tails", TYPE_LIST, false},
    {"tails_complete", TYPE_BOOL, false}, {0},
};

/* Beside these a site has one group for each constrained argument. */
static const struct key site_keys[] = {
    {"at", TYPE_NUMBER, true},
    {"api", TYPE_STRING, true},
    {"in", TYPE_STRING, false},
    {"fingerprint", TYPE_STRING, false},
    {"origin", TYPE_STRING, false},
    {"site_mode", TYPE_STRING, false},
    {"site_verdict", TYPE_STRING, false},
    {"children", TYPE_GROUP, false},
    {0},
};

static const struct key constraint_keys[] = {
    {"any", TYPE_STRING, false},   {"static", TYPE_ARRAY, false},    {"learned", TYPE_ARRAY, false},
    {"manual", TYPE_ARRAY, false}, {"constants", TYPE_ARRAY, false}, {0},
};

static const struct key children_keys[] = {
    {"static", TYPE_ARRAY, false},
    {"learned", TYPE_ARRAY, false},
    {"manual", TYPE_ARRAY, false},
    {0},
};

static const struct key loose_keys[] = {
    {"api", TYPE_STRING, true},
    {"after", TYPE_STRING, true},
    {"why", TYPE_STRING, false},
    {0},
};

static const struct key tail_keys[] = {
    {"target", TYPE_NUMBER, true},
    {"members", TYPE_ARRAY, false},
    {"leaves_module", TYPE_BOOL, false},
    {"anywhere", TYPE_BOOL, false},
    {0},
};

/* Words by the value they stand for; gaps are values that cannot be written. */
static const char *const origin_words[] = {"static", "learned", "manual", NULL};
static const char *const loose_words[] = {"indirect call", "any call", NULL};
static const char *const mode_words[] = {"enforce", "audit", "learn", "off", NULL};
static const char *const verdict_words[] = {"kill", "deny", "log", "allow", NULL};

struct reader {
    struct document *document;
    struct mistake *mistake;
};

/* ---- Mistakes ---- */

#define fail_at(reader, line, ...) text_mistake((reader)->mistake, line, __VA_ARGS__)
#define fail(reader, setting, ...) fail_at(reader, config_setting_source_line(setting), __VA_ARGS__)

/* An unknown word, with the known one that was meant. */
static bool fail_unknown(struct reader *reader, const config_setting_t *setting, const char *what, const char *word,
                         const char *nearest) {
    if (nearest != NULL)
        return fail(reader, setting, "unknown %s \"%.80s\" (did you mean \"%s\"?)", what, word, nearest);
    return fail(reader, setting, "unknown %s \"%.80s\"", what, word);
}

/* ---- Scalars; keys that are left out keep the value that is there ---- */

static bool read_offset(struct reader *reader, const config_setting_t *setting, uint32_t *offset) {
    int64_t number = text_number(setting);
    if (number < 0 || number > UINT32_MAX)
        return fail(reader, setting, "%" PRId64 " is no offset in a program or library", number);
    *offset = (uint32_t)number;
    return true;
}

static bool read_flag(const config_setting_t *group, const char *name) {
    const config_setting_t *setting = config_setting_get_member(group, name);
    return setting != NULL && config_setting_get_bool(setting);
}

/* The index of the text of a key in the words, or -1 after a mistake. */
static int read_word(struct reader *reader, const config_setting_t *setting, const char *what,
                     const char *const *words) {
    const char *text = config_setting_get_string(setting);
    for (int i = 0; words[i] != NULL; i++)
        if (strcmp(words[i], text) == 0)
            return i;
    fail_unknown(reader, setting, what, text, nearest_word(text, words));
    return -1;
}

static bool read_mode(struct reader *reader, const config_setting_t *group, const char *name, enum mode *mode) {
    const config_setting_t *setting = config_setting_get_member(group, name);
    if (setting == NULL)
        return true;
    int word = read_word(reader, setting, "mode", mode_words);
    *mode = (enum mode)(word + MODE_ENFORCE);
    return word >= 0;
}

static bool read_verdict(struct reader *reader, const config_setting_t *group, const char *name,
                         enum verdict *verdict) {
    const config_setting_t *setting = config_setting_get_member(group, name);
    if (setting == NULL)
        return true;
    int word = read_word(reader, setting, "verdict", verdict_words);
    *verdict = (enum verdict)(word + VERDICT_KILL);
    return word >= 0;
}

static bool read_identity(struct reader *reader, const config_setting_t *group, struct identity *identity) {
    const config_setting_t *setting = config_setting_get_member(group, "build_id");
    const char *text = config_setting_get_string(setting);
    return identity_parse(text, identity) ||
           fail(reader, setting, "\"%.80s\" is no build-id (an even number of hexadecimal digits, or \"none\")", text);
}

static bool read_api(struct reader *reader, const config_setting_t *group, uint16_t *api) {
    const config_setting_t *setting = config_setting_get_member(group, "api");
    const char *name = config_setting_get_string(setting);
    unsigned found = api_by_name(name);
    *api = (uint16_t)found;
    if (found != API_NONE)
        return true;
    struct nearest nearest = nearest_begin(name);
    for (unsigned i = 0; i < API_COUNT; i++)
        nearest_offer(&nearest, api_table[i].name);
    return fail_unknown(reader, setting, "API", name, nearest.best);
}

/* ---- Values ---- */

static bool read_value(struct reader *reader, const config_setting_t *setting, enum argument_kind kind,
                       struct value *value) {
    if (config_setting_type(setting) != CONFIG_TYPE_STRING)
        return fail(reader, setting, "values are texts in quotes, numbers too: [ \"80\" ]");
    struct mistake mistake;
    if (value_parse(config_setting_get_string(setting), kind, value, &mistake))
        return true;
    free(value->text);
    value->text = NULL;
    return fail(reader, setting, "%s", mistake.text);
}

/* The addresses of the constants, one for each value of "static". */
static bool check_constants(struct reader *reader, const config_setting_t *constants, const config_setting_t *values) {
    if (constants == NULL)
        return true;
    int expected = values != NULL ? config_setting_length(values) : 0;
    int count = config_setting_length(constants);
    if (count != expected)
        return fail(reader, constants, "\"constants\" has %d elements, but \"static\" has %d", count, expected);
    for (int i = 0; i < count; i++)
        if ((1u << config_setting_type(config_setting_get_elem(constants, (unsigned)i)) & TYPE_NUMBER) == 0)
            return fail(reader, constants, "\"constants\" holds something that is no number");
    return true;
}

static bool read_values(struct reader *reader, const config_setting_t *group, enum origin origin,
                        enum argument_kind kind, struct constraint *constraint) {
    const config_setting_t *values = config_setting_get_member(group, origin_words[origin]);
    const config_setting_t *constants = origin == ORIGIN_STATIC ? config_setting_get_member(group, "constants") : NULL;
    if (!check_constants(reader, constants, values))
        return false;
    unsigned count = values != NULL ? (unsigned)config_setting_length(values) : 0;
    for (unsigned i = 0; i < count; i++) {
        struct value value = {0};
        if (!read_value(reader, config_setting_get_elem(values, i), kind, &value))
            return false;
        value.origin = origin;
        if (constants != NULL && value.kind == VALUE_TEXT &&
            !read_offset(reader, config_setting_get_elem(constants, i), &value.constant)) {
            free(value.text);
            return false;
        }
        constraint_add(constraint, value);
    }
    return true;
}

static bool read_all_values(struct reader *reader, const config_setting_t *group, enum argument_kind kind,
                            struct constraint *constraint) {
    for (unsigned origin = 0; origin < ORIGIN_COUNT; origin++)
        if (!read_values(reader, group, (enum origin)origin, kind, constraint))
            return false;
    return true;
}

/* ---- Sites ---- */

static bool fail_argument(struct reader *reader, const config_setting_t *setting, const struct api *api) {
    const char *name = config_setting_name(setting);
    struct nearest nearest = nearest_begin(name);
    for (unsigned i = 0; i < api->argument_count; i++)
        nearest_offer(&nearest, api->arguments[i].name);
    for (const struct key *key = site_keys; key->name != NULL; key++)
        nearest_offer(&nearest, key->name);
    if (strcmp(name, "mode") == 0 || strcmp(name, "verdict") == 0)
        return fail(reader, setting, "\"%s\" has no argument \"%s\" (the %s of a site is written \"site_%s\")",
                    api->name, name, name, name);
    if (nearest.best != NULL)
        return fail(reader, setting, "\"%s\" has no argument \"%.80s\" (did you mean \"%s\"?)", api->name, name,
                    nearest.best);
    return fail(reader, setting, "\"%s\" has no argument \"%.80s\"", api->name, name);
}

static bool read_constraint(struct reader *reader, const config_setting_t *group, struct site *site) {
    const struct api *api = &api_table[site->api];
    const char *name = config_setting_name(group);
    unsigned index = 0;
    while (index < api->argument_count && strcmp(api->arguments[index].name, name) != 0)
        index++;
    if (index == api->argument_count)
        return fail_argument(reader, group, api);
    if (config_setting_type(group) != CONFIG_TYPE_GROUP && strcmp(name, "mode") == 0)
        return fail(reader, group,
                    "\"mode\" is an argument of \"%s\" and must be a group in { } (the mode of a site "
                    "is written \"site_mode\")",
                    api->name);
    if (config_setting_type(group) != CONFIG_TYPE_GROUP)
        return fail(reader, group, "\"%s\" must be %s", name, text_type_words(TYPE_GROUP));
    enum argument_kind kind = api->arguments[index].kind;
    if (argument_shape(kind) == SHAPE_OPAQUE)
        return fail(reader, group, "argument \"%s\" of \"%s\" is never checked", name, api->name);
    if (!text_check_keys(reader->mistake, group, constraint_keys, "the argument"))
        return false;
    struct constraint *constraint = site_constraint(site, (uint8_t)index);
    const char *why = text_member(group, "any");
    constraint->any = why != NULL;
    constraint->why_any = why != NULL ? xstrdup(why) : NULL;
    return read_all_values(reader, group, kind, constraint);
}

static bool read_children(struct reader *reader, const config_setting_t *group, struct site *site) {
    if (group == NULL)
        return true;
    struct constraint children = {0};
    bool good = text_check_keys(reader->mistake, group, children_keys, "\"children\"") &&
                read_all_values(reader, group, KIND_PATH, &children);
    site->children = children.values;
    site->child_count = children.value_count;
    return good;
}

static bool read_arguments(struct reader *reader, const config_setting_t *group, struct site *site) {
    unsigned count = (unsigned)config_setting_length(group);
    for (unsigned i = 0; i < count; i++) {
        const config_setting_t *setting = config_setting_get_elem(group, i);
        const struct key *key = text_find_key(site_keys, config_setting_name(setting));
        if (key != NULL ? !text_check_key(reader->mistake, setting, key) : !read_constraint(reader, setting, site))
            return false;
    }
    return true;
}

static bool read_origin(struct reader *reader, const config_setting_t *group, enum origin *origin) {
    const config_setting_t *setting = config_setting_get_member(group, "origin");
    if (setting == NULL)
        return true;
    int word = read_word(reader, setting, "origin", origin_words);
    *origin = (enum origin)word;
    return word >= 0;
}

static bool read_fingerprint(struct reader *reader, const config_setting_t *group, uint64_t *fingerprint) {
    const config_setting_t *setting = config_setting_get_member(group, "fingerprint");
    if (setting == NULL)
        return true;
    const char *text = config_setting_get_string(setting);
    if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        return fail(reader, setting, "\"%.80s\" is no fingerprint (16 digits, 0 to 9 and a to f)", text);
    *fingerprint = strtoull(text, NULL, 16);
    return true;
}

/* What names the site must be good before anything else is looked at. */
static bool read_site_name(struct reader *reader, const config_setting_t *group, uint32_t *offset, uint16_t *api) {
    if (!text_check_required(reader->mistake, group, site_keys, "the site"))
        return false;
    const config_setting_t *at = config_setting_get_member(group, "at");
    return text_check_key(reader->mistake, at, text_find_key(site_keys, "at")) &&
           text_check_key(reader->mistake, config_setting_get_member(group, "api"), text_find_key(site_keys, "api")) &&
           read_offset(reader, at, offset) && read_api(reader, group, api);
}

static bool read_site(struct reader *reader, const config_setting_t *group, struct module *module) {
    uint32_t offset = 0;
    uint16_t api = API_NONE;
    if (!read_site_name(reader, group, &offset, &api))
        return false;
    size_t count = module->site_count;
    struct site *site = module_site(module, offset, api);
    if (module->site_count == count)
        return fail(reader, group, "the site of \"%s\" at 0x%x is there twice", api_table[api].name, offset);
    const char *function = text_member(group, "in");
    if (!read_arguments(reader, group, site) || !read_origin(reader, group, &site->origin) ||
        !read_fingerprint(reader, group, &site->fingerprint))
        return false;
    site->function = function != NULL ? xstrdup(function) : NULL;
    return read_mode(reader, group, "site_mode", &site->mode) &&
           read_verdict(reader, group, "site_verdict", &site->verdict) &&
           read_children(reader, config_setting_get_member(group, "children"), site);
}

/* ---- Modules ---- */

static bool read_loose(struct reader *reader, const config_setting_t *group, struct module *module) {
    uint16_t api = API_NONE;
    if (!text_check_keys(reader->mistake, group, loose_keys, "the entry") || !read_api(reader, group, &api))
        return false;
    int how = read_word(reader, config_setting_get_member(group, "after"), "kind of call", loose_words);
    const char *why = text_member(group, "why");
    if (how < 0)
        return false;
    for (size_t i = 0; i < module->loose_count; i++)
        if (module->loose[i].api == api)
            return fail(reader, group, "\"%s\" is listed as loose twice", api_table[api].name);
    module_add_loose(module, api, (enum looseness)(how + LOOSE_AFTER_INDIRECT_CALL), why != NULL ? why : "");
    return true;
}

static bool read_element_offset(struct reader *reader, const config_setting_t *array, unsigned at, uint32_t *offset) {
    const config_setting_t *element = config_setting_get_elem(array, at);
    if ((1u << config_setting_type(element) & TYPE_NUMBER) == 0)
        return fail(reader, array, "\"%s\" holds something that is no number", config_setting_name(array));
    return read_offset(reader, element, offset);
}

static unsigned length_of(const config_setting_t *array) {
    return array != NULL ? (unsigned)config_setting_length(array) : 0;
}

static bool read_members(struct reader *reader, const config_setting_t *members, struct tail *tail) {
    uint32_t member = 0;
    for (unsigned i = 0; i < length_of(members); i++) {
        if (!read_element_offset(reader, members, i, &member))
            return false;
        tail_add_member(tail, member);
    }
    return true;
}

static bool read_returns(struct reader *reader, const config_setting_t *returns, struct module *module) {
    uint32_t offset = 0;
    for (unsigned i = 0; i < length_of(returns); i++) {
        if (!read_element_offset(reader, returns, i, &offset))
            return false;
        module_add_return(module, offset);
    }
    return true;
}

static bool read_tail(struct reader *reader, const config_setting_t *group, struct module *module) {
    uint32_t target = 0;
    if (!text_check_keys(reader->mistake, group, tail_keys, "the tail call") ||
        !read_offset(reader, config_setting_get_member(group, "target"), &target))
        return false;
    struct tail *tail = module_add_tail(module, target);
    if (read_flag(group, "leaves_module"))
        tail->flags |= TAIL_LEAVES_MODULE;
    if (read_flag(group, "anywhere"))
        tail->flags |= TAIL_ANYWHERE;
    return read_members(reader, config_setting_get_member(group, "members"), tail);
}

typedef bool element_reader(struct reader *reader, const config_setting_t *group, struct module *module);

static bool read_list(struct reader *reader, const config_setting_t *list, struct module *module,
                      element_reader *read_element) {
    unsigned count = list != NULL ? (unsigned)config_setting_length(list) : 0;
    for (unsigned i = 0; i < count; i++) {
        const config_setting_t *group = config_setting_get_elem(list, i);
        if (config_setting_type(group) != CONFIG_TYPE_GROUP)
            return fail(reader, group, "an element of \"%s\" must be a group in { }", config_setting_name(list));
        if (!read_element(reader, group, module))
            return false;
    }
    return true;
}

static bool read_module(struct reader *reader, const config_setting_t *group, struct module *unused) {
    (void)unused;
    struct identity identity;
    if (!text_check_keys(reader->mistake, group, module_keys, "the module") || !read_identity(reader, group, &identity))
        return false;
    size_t count = reader->document->module_count;
    struct module *module = document_module(reader->document, &identity, text_member(group, "path"));
    if (reader->document->module_count == count)
        return fail(reader, group, "module \"%.80s\" has the same build-id as \"%.80s\"", text_member(group, "path"),
                    module->path);
    module->has_tails = read_flag(group, "tails_complete");
    return read_list(reader, config_setting_get_member(group, "sites"), module, read_site) &&
           read_list(reader, config_setting_get_member(group, "loose"), module, read_loose) &&
           read_returns(reader, config_setting_get_member(group, "returns"), module) &&
           read_list(reader, config_setting_get_member(group, "tails"), module, read_tail);
}

/* ---- The document ---- */

static bool read_verdicts(struct reader *reader, const config_setting_t *root) {
    struct document *document = reader->document;
    return read_mode(reader, root, "mode", &document->mode) &&
           read_verdict(reader, root, "on_violation", &document->on_violation) &&
           read_verdict(reader, root, "on_broken_stack", &document->on_broken_stack) &&
           read_verdict(reader, root, "on_unknown_stack", &document->on_unknown_stack) &&
           read_verdict(reader, root, "on_unlisted_module", &document->on_unlisted_module) &&
           read_verdict(reader, root, "on_anonymous_code", &document->on_anonymous_code) &&
           read_verdict(reader, root, "on_foreign_stack", &document->on_foreign_stack);
}

static bool read_root(struct reader *reader, const config_setting_t *root) {
    if (!text_check_keys(reader->mistake, root, document_keys, "the policy"))
        return false;
    const config_setting_t *format = config_setting_get_member(root, "format");
    if (text_number(format) != TEXT_FORMAT)
        return fail(reader, format, "format %" PRId64 " is not known (this version reads format %d)",
                    text_number(format), TEXT_FORMAT);
    reader->document->program = xstrdup(text_member(root, "program"));
    return read_identity(reader, root, &reader->document->identity) && read_verdicts(reader, root) &&
           read_list(reader, config_setting_get_member(root, "modules"), NULL, read_module);
}

static bool read_config(struct mistake *mistake, const config_setting_t *root, void *document) {
    struct reader reader = {.document = document, .mistake = mistake};
    return read_root(&reader, root);
}

bool document_parse_text(const char *text, struct document *document, struct mistake *mistake) {
    bool good = text_parse(text, mistake, read_config, document);
    if (good)
        document_sort(document);
    return good;
}

bool document_read_text(const char *path, struct document *document, struct mistake *mistake) {
    cleanup_free char *text = text_read(path, POLICY_MAGIC, "it is a compiled policy, not the text of one", mistake);
    return text != NULL && document_parse_text(text, document, mistake);
}
