/* See classify.h. Pure functions. */
#include "tests/precision/classify.h"

#include <string.h>

#include "runtime/constants.h"

/* ---- Kinds ---- */

bool is_flag_like(enum argument_kind kind) {
    enum constant_set set = argument_constants(kind);
    return set != CONSTANTS_NONE && set != CONSTANTS_OCTAL && set != CONSTANTS_DIRFD;
}

bool is_string(enum argument_kind kind) {
    enum shape shape = argument_shape(kind);
    return shape == SHAPE_PATH || shape == SHAPE_STRING;
}

bool is_path_or_command(enum argument_kind kind) {
    return argument_shape(kind) == SHAPE_PATH || kind == KIND_COMMAND;
}

/* ---- Masks ---- */

uint64_t defined_bits(enum argument_kind kind) {
    uint64_t width = argument_shape(kind) == SHAPE_INT64 ? UINT64_MAX : UINT32_MAX;
    enum constant_set set = argument_constants(kind);
    if (set == CONSTANTS_OCTAL)
        return 07777;
    return (set == CONSTANTS_NONE ? UINT64_MAX : constant_bits(set)) & width;
}

bool mask_counts(uint64_t mask, enum argument_kind kind) {
    return (defined_bits(kind) & ~mask) != 0;
}

/* The bits that any of the values may have. */
static enum form mask_form(const struct constraint *constraint, enum argument_kind kind) {
    uint64_t bits = 0;
    for (size_t i = 0; i < constraint->value_count; i++)
        bits |= (uint64_t)constraint->values[i].low;
    return mask_counts(bits, kind) ? FORM_MASK : FORM_WEAK;
}

/* ---- Patterns ---- */

static bool is_wildcard(const char *at) {
    return *at == '*' || *at == '?' || (at[0] == '%' && (at[1] == 'd' || at[1] == 's'));
}

/* The length of one element of a pattern: of an escaped byte, "**", "%d", "%s" or a byte. */
static size_t element_length(const char *at) {
    if (at[0] == '\\' && at[1] != '\0')
        return 2;
    if ((at[0] == '*' && at[1] == '*') || (at[0] == '%' && (at[1] == 'd' || at[1] == 's')))
        return 2;
    return 1;
}

/* A path's first component ends at the first '/' behind a leading one, a command's at its first blank too. */
static bool begins_literally(const char *pattern, enum argument_kind kind) {
    const char *at = pattern;
    while (*at == '/')
        at++;
    const char *start = at;
    for (; *at != '\0' && *at != '/' && !(kind == KIND_COMMAND && *at == ' '); at += element_length(at)) {
        if (is_wildcard(at))
            return false;
    }
    return at != start && *at != '\0';
}

static bool wanders(const char *pattern) {
    bool unbounded = false;
    for (const char *at = pattern; *at != '\0'; at += element_length(at)) {
        if (*at == '/' && unbounded)
            return true;
        unbounded |= *at == '*' || (at[0] == '%' && at[1] == 's');
    }
    return false;
}

bool pattern_counts(const char *pattern, enum argument_kind kind) {
    return begins_literally(pattern, kind) && !wanders(pattern);
}

/* ---- Values ---- */

static enum form address_form(const struct value *value) {
    if ((value->address.flags & (ADDRESS_ANY_HOST | ADDRESS_ANY_PORT)) != 0 || value->address.match != MATCH_EXACT)
        return FORM_PARTLY;
    return FORM_CONSTANT;
}

static enum form string_form(const struct value *value, enum argument_kind kind) {
    switch (value->kind) {
    case VALUE_GLOB: return pattern_counts(value->text, kind) ? FORM_PATTERN : FORM_WEAK;
    case VALUE_PREFIX: return begins_literally(value->text, kind) ? FORM_PATTERN : FORM_WEAK;
    default: return FORM_CONSTANT;
    }
}

/* Of a vector some elements may be known and others not: the best of them counts, unless all are constant. */
static enum form vector_form(const struct constraint *constraint) {
    bool some = false, all = true;
    for (size_t i = 0; i < constraint->value_count; i++) {
        bool constant = string_form(&constraint->values[i], KIND_ARGV) == FORM_CONSTANT;
        some |= constant;
        all &= constant;
    }
    return all ? FORM_CONSTANT : some ? FORM_PARTLY : FORM_WEAK;
}

static enum form value_form(const struct constraint *constraint, const struct value *value, enum argument_kind kind) {
    switch (value->kind) {
    case VALUE_MASK: return mask_form(constraint, kind);
    case VALUE_RANGE: return FORM_PARTLY;
    case VALUE_ADDRESS: return address_form(value);
    default: return string_form(value, kind);
    }
}

enum form constraint_form(const struct constraint *constraint, enum argument_kind kind) {
    if (constraint->any)
        return FORM_ANY;
    if (argument_shape(kind) == SHAPE_ARGV)
        return vector_form(constraint);
    enum form weakest = FORM_CONSTANT;
    for (size_t i = 0; i < constraint->value_count; i++) {
        enum form form = value_form(constraint, &constraint->values[i], kind);
        if (form > weakest)
            weakest = form;
    }
    return weakest;
}
