/* Reading lines of the log. They hold what an attacker passed to the program: everything is checked, and printed only
 * in JSON's own escaping.
 */
#include "tools/denial.h"

#include <string.h>

#include "runtime/match.h"
#include "runtime/util.h"
#include "tools/describe.h"

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    if (!text)
        return "";
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return "(unprintable)";
    return text;
}

static int reason_by_word(const char *word) {
    for (int i = 0; i < REASON_COUNT; i++)
        if (strcmp(reason_text(i), word) == 0)
            return i;
    return -1;
}

static void read_site(struct denial *denial) {
    const json_t *site = json_object_get(denial->line, "site");
    denial->module = text_of(site, "module");
    denial->module_build_id = text_of(site, "build_id");
    denial->symbol = text_of(site, "symbol");
    const char *offset = text_of(site, "offset");
    char *end;
    unsigned long long number = strtoull(offset, &end, 16);
    denial->has_offset = *offset && !*end && number <= UINT32_MAX;
    denial->offset = denial->has_offset ? (uint32_t)number : 0;
}

static void read_argument(struct denial *denial) {
    denial->argument = -1;
    denial->argument_name = text_of(denial->line, "argument");
    if (denial->api == API_NONE)
        return;
    const struct api *api = &api_table[denial->api];
    for (int i = 0; i < api->argument_count; i++)
        if (strcmp(api->arguments[i].name, denial->argument_name) == 0)
            denial->argument = i;
}

bool denial_parse(const char *text, struct denial *denial, struct mistake *mistake) {
    *denial = (struct denial){0};
    *mistake = (struct mistake){0};
    json_error_t error;
    denial->line = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(denial->line)) {
        snprintf(mistake->text, sizeof mistake->text, "it is no JSON object: %s", error.text);
        denial_free(denial);
        return false;
    }
    const json_t *line = denial->line;
    denial->time = text_of(line, "time");
    denial->program = text_of(line, "exe");
    denial->build_id = text_of(line, "build_id");
    denial->mode = text_of(line, "mode");
    denial->verdict = text_of(line, "verdict");
    denial->class = text_of(line, "class");
    denial->api_name = text_of(line, "api");
    denial->rule = text_of(line, "rule");
    denial->reason_word = text_of(line, "reason");
    denial->detail = text_of(line, "detail");
    if (!*denial->reason_word) {
        snprintf(mistake->text, sizeof mistake->text, "it has no \"reason\": it is no line of Pinion's log");
        denial_free(denial);
        return false;
    }
    denial->reason = reason_by_word(denial->reason_word);
    denial->api = api_by_name(denial->api_name);
    read_site(denial);
    read_argument(denial);
    return true;
}

void denial_free(struct denial *denial) {
    json_decref(denial->line);
    *denial = (struct denial){0};
}

bool denial_is_of_call(const struct denial *denial) {
    return denial->reason != REASON_ANOMALY && denial->reason != REASON_BAD_MODEL &&
           denial->reason != REASON_BAD_COUNTS;
}

/* The shim writes objects it did not read as the pointer's value. */
static bool is_bare_pointer(const struct argument *argument, const char *text) {
    enum shape shape = argument_shape(argument->kind);
    bool pointed = shape == SHAPE_ARGV || shape == SHAPE_SOCKADDR || shape == SHAPE_MSGHDR;
    return pointed && strncmp(text, "0x", 2) == 0;
}

static char *describe_logged(const struct argument *argument, const json_t *logged) {
    struct value value = {.kind = VALUE_INTEGER, .low = json_integer_value(logged)};
    const char *text = json_string_value(logged);
    if (json_is_integer(logged))
        return describe_value(&value, argument->kind);
    if (text && is_bare_pointer(argument, text))
        return xstrdup("...");
    cleanup_free char *dumped = json_dumps(logged, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    return printable(dumped ? dumped : "?");
}

char *denial_call(const struct denial *denial) {
    char *call = xasprintf("%s(", *denial->api_name ? denial->api_name : "?");
    const json_t *logged = json_object_get(denial->line, "args");
    bool first = true;
    for (unsigned i = 0; denial->api != API_NONE && i < api_table[denial->api].argument_count; i++) {
        const struct argument *argument = &api_table[denial->api].arguments[i];
        const json_t *value = json_object_get(logged, argument->name);
        if (!value)
            continue;
        char *text = describe_logged(argument, value);
        char *longer = xasprintf("%s%s%s = %s", call, first ? "" : ", ", argument->name, text);
        free(text);
        free(call);
        call = longer;
        first = false;
    }
    char *whole = xasprintf("%s)", call);
    free(call);
    return whole;
}

/* The shim cuts long texts and says how long they were. */
static bool was_cut(const char *text) {
    static const char end[] = " bytes)";
    const char *mark = strstr(text, "... (");
    size_t digits = mark ? strspn(mark + 5, "0123456789") : 0;
    return digits && strcmp(mark + 5 + digits, end) == 0;
}

bool denial_value(const struct denial *denial, struct value *value) {
    *value = (struct value){0};
    if (denial->argument < 0)
        return false;
    const struct argument *argument = &api_table[denial->api].arguments[denial->argument];
    const json_t *logged = json_object_get(json_object_get(denial->line, "args"), argument->name);
    const char *text = json_string_value(logged);
    struct mistake mistake = {0};
    if (json_is_integer(logged)) {
        *value = (struct value){.kind = VALUE_INTEGER, .low = json_integer_value(logged)};
        return true;
    }
    if (json_is_null(logged)) {
        value->kind = VALUE_NULL;
        return true;
    }
    if (!text || is_bare_pointer(argument, text) || was_cut(text))
        return false;
    enum shape shape = argument_shape(argument->kind);
    if (shape == SHAPE_PATH || shape == SHAPE_STRING) {
        *value = (struct value){.kind = VALUE_TEXT, .text = xstrdup(text)};
        if (shape == SHAPE_PATH)
            value->text[path_normalise(value->text, strlen(value->text))] = '\0';
        return true;
    }
    return value_parse(text, argument->kind, value, &mistake);
}

static bool same_member(const struct denial *a, const struct denial *b, const char *key) {
    const json_t *left = json_object_get(a->line, key), *right = json_object_get(b->line, key);
    return left == right || json_equal(left, right);
}

bool denial_same(const struct denial *a, const struct denial *b) {
    return strcmp(a->program, b->program) == 0 && strcmp(a->rule, b->rule) == 0 &&
           strcmp(a->reason_word, b->reason_word) == 0 && strcmp(a->argument_name, b->argument_name) == 0 &&
           strcmp(a->detail, b->detail) == 0 && same_member(a, b, "args") && same_member(a, b, "signature");
}
