/* Judging values. Pure functions. */
#include "tools/allows.h"

#include <string.h>
#include <sys/socket.h>

#include "runtime/constants.h"
#include "runtime/match.h"
#include "runtime/rule.h"
#include "runtime/util.h"
#include "tools/describe.h"

static int64_t as_read(enum argument_kind kind, int64_t value) {
    return rule_integer(argument_shape(kind), (uint64_t)value);
}

static bool allows_integer(const struct value *allowed, enum argument_kind kind, int64_t seen) {
    int64_t value = as_read(kind, seen);
    switch (allowed->kind) {
    case VALUE_INTEGER: return value == as_read(kind, allowed->low);
    case VALUE_RANGE: return allowed->low <= value && value <= allowed->high;
    case VALUE_MASK: return (value & ~as_read(kind, allowed->low)) == 0;
    default: return false;
    }
}

static bool allows_text(enum value_kind kind, const char *allowed, const char *seen) {
    switch (kind) {
    case VALUE_TEXT: return strcmp(allowed, seen) == 0;
    case VALUE_PREFIX: return match_prefix(allowed, strlen(allowed), seen, strlen(seen));
    case VALUE_GLOB: return match_glob(allowed, strlen(allowed), seen, strlen(seen));
    default: return false;
    }
}

static enum value_kind text_kind_of_match(unsigned match) {
    switch (match) {
    case MATCH_PREFIX: return VALUE_PREFIX;
    case MATCH_GLOB: return VALUE_GLOB;
    default: return VALUE_TEXT;
    }
}

static bool allows_address(const struct value *allowed, const struct value *seen) {
    const struct policy_address *a = &allowed->address;
    const struct policy_address *b = &seen->address;
    if (a->family != b->family)
        return false;
    if (a->family == AF_UNIX)
        return allows_text(text_kind_of_match(a->match), allowed->text ? allowed->text : "",
                           seen->text ? seen->text : "");
    if (a->family != AF_INET && a->family != AF_INET6)
        return true;
    size_t length = a->family == AF_INET ? 4 : 16;
    return ((a->flags & ADDRESS_ANY_HOST) || memcmp(a->host, b->host, length) == 0) &&
           ((a->flags & ADDRESS_ANY_PORT) || a->port == b->port);
}

bool value_allows(const struct value *allowed, enum argument_kind kind, const struct value *seen) {
    switch (seen->kind) {
    case VALUE_NULL: return allowed->kind == VALUE_NULL;
    case VALUE_INTEGER: return allows_integer(allowed, kind, seen->low);
    case VALUE_TEXT: return allowed->text && allows_text(allowed->kind, allowed->text, seen->text);
    case VALUE_ADDRESS: return allowed->kind == VALUE_ADDRESS && allows_address(allowed, seen);
    default: return false;
    }
}

unsigned position_in_force(const struct constraint *constraint, unsigned position) {
    for (size_t i = 0; position < POSITION_REST && i < constraint->value_count; i++)
        if (constraint->values[i].position == position && constraint->values[i].kind != VALUE_NULL)
            return position;
    return POSITION_REST;
}

bool vector_is_complete(const struct constraint *constraint, unsigned count) {
    for (size_t i = 0; i < constraint->value_count; i++) {
        const struct value *value = &constraint->values[i];
        if (value->kind != VALUE_NULL && value->position != POSITION_REST && value->position >= count)
            return false;
    }
    return true;
}

bool constraint_lists(const struct constraint *constraint, enum argument_kind kind, const struct value *seen) {
    bool by_position = argument_shape(kind) == SHAPE_ARGV && seen->kind == VALUE_TEXT;
    unsigned position = by_position ? position_in_force(constraint, seen->position) : 0;
    for (size_t i = 0; i < constraint->value_count; i++) {
        const struct value *allowed = &constraint->values[i];
        if (by_position && allowed->position != position)
            continue;
        if (seen->kind == VALUE_NULL && allowed->position != seen->position)
            continue; /* of a vector: it may end elsewhere */
        if (value_allows(allowed, kind, seen))
            return true;
    }
    return false;
}

/* ---- Why not ---- */

/* Bits alone: what names the absence of bits (O_RDONLY) is left out. */
static char *describe_bits(enum argument_kind kind, int64_t bits) {
    char text[CONSTANT_TEXT_BYTES];
    char none[CONSTANT_TEXT_BYTES];
    uint64_t width = argument_shape(kind) == SHAPE_INT64 ? UINT64_MAX : UINT32_MAX;
    constant_format_bits(argument_constants(kind), (uint64_t)bits & width, text, sizeof text);
    constant_format_bits(argument_constants(kind), 0, none, sizeof none);
    size_t length = strlen(none);
    bool begins_with_none = strncmp(text, none, length) == 0 && text[length] == '|';
    return xstrdup(begins_with_none ? text + length + 1 : text);
}

static char *why_not_integer(const struct value *allowed, enum argument_kind kind, int64_t value) {
    value = as_read(kind, value);
    int64_t low = as_read(kind, allowed->low);
    if (allowed->kind == VALUE_RANGE)
        return xstrdup(value < allowed->low ? "the value is below it" : "the value is above it");
    if (allowed->kind != VALUE_MASK && !constants_combine(argument_constants(kind)))
        return xstrdup("another value");
    cleanup_free char *more = describe_bits(kind, value & ~low);
    cleanup_free char *less = describe_bits(kind, low & ~value);
    if (allowed->kind == VALUE_MASK || (low & ~value) == 0)
        return xasprintf("%s is set in addition", more);
    if ((value & ~low) == 0)
        return xasprintf("%s is missing", less);
    return xasprintf("%s is set in addition, %s is missing", more, less);
}

static char *why_not_text(enum value_kind kind, const char *allowed, const char *seen) {
    if (kind != VALUE_TEXT && match_has_dot_dot(seen, strlen(seen)))
        return xstrdup("a path with \"..\" matches no pattern");
    if (kind != VALUE_TEXT && *allowed == '/' && *seen != '/')
        return xstrdup("a relative path matches no absolute pattern");
    if (kind == VALUE_PREFIX)
        return xstrdup("the value does not begin so");
    if (kind == VALUE_GLOB)
        return xstrdup("the value does not match");
    size_t same = 0;
    while (allowed[same] && allowed[same] == seen[same])
        same++;
    if (same == 0)
        return xstrdup("another text from its first character on");
    cleanup_free char *rest = printable(seen + same);
    if (!allowed[same])
        return xasprintf("the value goes on after it: \"%s\"", rest);
    if (!seen[same])
        return xasprintf("the value ends before \"%s\"", allowed + same);
    return xasprintf("the same up to \"%.*s\", then the value has \"%s\"", (int)same, allowed, rest);
}

static char *why_not_address(const struct value *allowed, const struct value *seen) {
    if (allowed->address.family != seen->address.family)
        return xstrdup("another address family");
    if (allowed->address.family == AF_UNIX)
        return why_not_text(text_kind_of_match(allowed->address.match), allowed->text ? allowed->text : "",
                            seen->text ? seen->text : "");
    size_t length = allowed->address.family == AF_INET ? 4 : 16;
    bool host =
        (allowed->address.flags & ADDRESS_ANY_HOST) || memcmp(allowed->address.host, seen->address.host, length) == 0;
    return xstrdup(host ? "another port" : "another host");
}

char *why_not(const struct value *allowed, enum argument_kind kind, const struct value *seen) {
    if (allowed->kind == VALUE_NULL || seen->kind == VALUE_NULL)
        return xstrdup(seen->kind == VALUE_NULL ? "the value is a null pointer" : "the value is no null pointer");
    if (seen->kind == VALUE_INTEGER)
        return why_not_integer(allowed, kind, seen->low);
    if (seen->kind == VALUE_ADDRESS)
        return allowed->kind == VALUE_ADDRESS ? why_not_address(allowed, seen) : xstrdup("not comparable");
    if (seen->kind == VALUE_TEXT && allowed->text)
        return why_not_text(allowed->kind, allowed->text, seen->text);
    return xstrdup("not comparable");
}
