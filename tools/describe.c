/* Writing parts of a policy for people and machines. */
#include "tools/describe.h"

#include <stdio.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/json.h"

/* Characters that turn the direction of writing or end a line: with them a name shows as what it is not. */
static bool is_turning(const unsigned char *text) {
    static const struct {
        unsigned char lead[2], first, last;
    } ranges[] = {{{0xe2, 0x80}, 0x8e, 0x8f}, {{0xe2, 0x80}, 0xa8, 0xae}, {{0xe2, 0x81}, 0xa6, 0xa9}};
    if (text[0] == 0xd8 && text[1] == 0x9c)
        return true;
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (text[0] == ranges[i].lead[0] && text[1] == ranges[i].lead[1] && text[2] >= ranges[i].first &&
            text[2] <= ranges[i].last)
            return true;
    return false;
}

/* The length of the UTF-8 sequence at `text`, or 0; control characters count as none. */
static size_t utf8_length(const unsigned char *text) {
    if (text[0] < 0x20 || text[0] == 0x7f)
        return 0;
    if (text[0] < 0x80)
        return 1;
    size_t length = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4 || (text[0] == 0xc2 && text[1] < 0xa0))
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return is_turning(text) ? 0 : length;
}

char *printable(const char *text) {
    char *result = xmalloc(4 * strlen(text) + 1);
    char *out = result;
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        size_t length = utf8_length(at);
        if (length == 0) {
            out += sprintf(out, "\\x%02x", *at++);
            continue;
        }
        memcpy(out, at, length);
        out += length;
        at += length;
    }
    *out = '\0';
    return result;
}

char *describe_value(const struct value *value, enum argument_kind kind) {
    size_t length = value_format(value, kind, NULL, 0);
    cleanup_free char *text = xmalloc(length + 1);
    value_format(value, kind, text, length + 1);
    return printable(text);
}

const char *origin_name(enum origin origin) {
    static const char *const names[ORIGIN_COUNT] = {
        [ORIGIN_STATIC] = "static", [ORIGIN_LEARNED] = "learned", [ORIGIN_MANUAL] = "manual"};
    return names[origin];
}

const char *looseness_sentence(enum looseness how) {
    return how == LOOSE_AFTER_ANY_CALL ? "after any call" : "after any indirect call";
}

const struct argument *constraint_argument(const struct site *site, const struct constraint *constraint) {
    return &api_table[site->api].arguments[constraint->argument];
}

const struct constraint *find_constraint(const struct site *site, unsigned argument) {
    for (size_t i = 0; i < site->constraint_count; i++)
        if (site->constraints[i].argument == argument)
            return &site->constraints[i];
    return NULL;
}

bool argument_can_be_bound(const struct argument *argument) {
    return argument_shape(argument->kind) != SHAPE_OPAQUE;
}

bool argument_is_free(const struct site *site, unsigned argument) {
    if (!argument_can_be_bound(&api_table[site->api].arguments[argument]))
        return false;
    const struct constraint *constraint = find_constraint(site, argument);
    return !constraint || constraint->any;
}

const char *why_free(const struct site *site, unsigned argument) {
    const struct constraint *constraint = find_constraint(site, argument);
    return constraint && constraint->why_any && *constraint->why_any ? constraint->why_any : "no rule";
}

static void describe_values(const struct site *site, const struct constraint *constraint, bool with_origins) {
    const struct argument *argument = constraint_argument(site, constraint);
    for (size_t i = 0; i < constraint->value_count; i++) {
        const struct value *value = &constraint->values[i];
        cleanup_free char *text = describe_value(value, argument->kind);
        printf("%s", i ? ", " : "");
        printf("%s", text);
        if (with_origins && value->origin != ORIGIN_STATIC)
            printf(" (%s)", origin_name(value->origin));
    }
}

static void describe_constraint(const struct site *site, unsigned at, bool with_origins) {
    const struct argument *argument = &api_table[site->api].arguments[at];
    const struct constraint *constraint = find_constraint(site, at);
    if (!argument_can_be_bound(argument))
        return;
    printf("      %-10s ", argument->name);
    if (argument_is_free(site, at)) {
        printf("any (%s)", why_free(site, at));
        if (constraint && constraint->value_count)
            printf(", seen: ");
    } else if (constraint->value_count == 0) {
        printf("nothing");
    }
    if (constraint)
        describe_values(site, constraint, with_origins);
    putchar('\n');
}

static void describe_children(const struct site *site) {
    for (size_t i = 0; i < site->child_count; i++) {
        cleanup_free char *text = describe_value(&site->children[i], KIND_PATH);
        printf("      may start %s unprotected\n", text);
    }
}

void describe_site(const struct site *site, bool with_origins) {
    const struct api *api = &api_table[site->api];
    printf("  0x%-8x %-16s %s%s", site->offset, api->name, site->function ? "in " : "",
           site->function ? site->function : "");
    if (with_origins && site->origin != ORIGIN_STATIC)
        printf("%s(%s)", site->function ? " " : "", origin_name(site->origin));
    if (site->mode != MODE_INHERIT)
        printf(" mode %s", mode_name(site->mode));
    if (site->verdict != VERDICT_INHERIT)
        printf(" verdict %s", verdict_name(site->verdict));
    putchar('\n');
    for (unsigned i = 0; i < api->argument_count; i++)
        describe_constraint(site, i, with_origins);
    describe_children(site);
}

static json_t *values_json(const struct value *values, size_t count, const struct argument *argument,
                           bool with_origins) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        cleanup_free char *text = describe_value(&values[i], argument ? argument->kind : KIND_PATH);
        json_t *value = json_pack("{s:o}", "value", json_text(text));
        if (with_origins)
            json_object_set_new(value, "origin", json_string(origin_name(values[i].origin)));
        json_array_append_new(list, value);
    }
    return list;
}

json_t *site_json(const struct module *module, const struct site *site, bool with_origins) {
    const struct api *api = &api_table[site->api];
    json_t *arguments = json_array();
    for (unsigned i = 0; i < api->argument_count; i++) {
        const struct argument *argument = &api->arguments[i];
        const struct constraint *constraint = find_constraint(site, i);
        if (!argument_can_be_bound(argument))
            continue;
        bool any = argument_is_free(site, i);
        json_t *object = json_pack("{s:s, s:b}", "name", argument->name, "any", any);
        if (any)
            json_object_set_new(object, "why", json_text(why_free(site, i)));
        json_object_set_new(object, "values",
                            constraint
                                ? values_json(constraint->values, constraint->value_count, argument, with_origins)
                                : json_array());
        json_array_append_new(arguments, object);
    }
    json_t *object = json_pack(
        "{s:o, s:o, s:s, s:s, s:o, s:s, s:s, s:o, s:o}", "module", json_text(module->path), "offset",
        json_offset(site->offset), "api", api->name, "class", api_class_name(api->class), "function",
        json_text(site->function), "mode", mode_name(site->mode), "verdict", verdict_name(site->verdict), "arguments",
        arguments, "unprotected_children", values_json(site->children, site->child_count, NULL, with_origins));
    if (with_origins)
        json_object_set_new(object, "origin", json_string(origin_name(site->origin)));
    return object;
}
