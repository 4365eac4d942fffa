/* Comparing rules value by value: sets of integers, masks and ranges; texts, prefixes and patterns; addresses;
 * elements of argument vectors.
 */
#include "policygen/subset.h"

#include <string.h>
#include <sys/socket.h>

#include "runtime/match.h"
#include "runtime/rule.h"
#include "runtime/util.h"

#define MAX_FREE_BITS 10 /* of a mask whose values are tried one by one */

/* ---- Integers ---- */

static bool covers_integer(const struct constraint *constraint, enum shape shape, int64_t integer) {
    for (size_t i = 0; i < constraint->value_count; i++) {
        const struct value *value = &constraint->values[i];
        int64_t low = rule_integer(shape, (uint64_t)value->low);
        if (value->kind == VALUE_INTEGER && integer == low)
            return true;
        if (value->kind == VALUE_RANGE && value->low <= integer && integer <= value->high)
            return true;
        if (value->kind == VALUE_MASK && (integer & ~low) == 0)
            return true;
    }
    return false;
}

/* The largest number up to which all from `from` on are covered, or one below it. */
static int64_t covered_up_to(const struct constraint *constraint, enum shape shape, int64_t from) {
    for (size_t i = 0; i < constraint->value_count; i++) {
        const struct value *value = &constraint->values[i];
        if (value->kind == VALUE_RANGE && value->low <= from && from <= value->high)
            return value->high;
    }
    return covers_integer(constraint, shape, from) ? from : from - 1;
}

static bool covers_range(const struct constraint *constraint, enum shape shape, const struct value *range) {
    int64_t from = range->low;
    for (unsigned steps = 0; steps < 4096; steps++) {
        int64_t end = covered_up_to(constraint, shape, from);
        if (end >= range->high)
            return true;
        if (end < from)
            return false;
        from = end + 1;
    }
    return false;
}

static bool covers_mask(const struct constraint *constraint, enum shape shape, int64_t mask) {
    mask = rule_integer(shape, (uint64_t)mask);
    for (size_t i = 0; i < constraint->value_count; i++) {
        int64_t low = rule_integer(shape, (uint64_t)constraint->values[i].low);
        if (constraint->values[i].kind == VALUE_MASK && (mask & ~low) == 0)
            return true;
    }
    if (__builtin_popcountll((uint64_t)mask) > MAX_FREE_BITS)
        return false;
    uint64_t subset = 0;
    do {
        if (!covers_integer(constraint, shape, (int64_t)subset))
            return false;
        subset = (subset - (uint64_t)mask) & (uint64_t)mask;
    } while (subset != 0);
    return true;
}

/* ---- Texts ---- */

enum token_kind {
    TOKEN_END,
    TOKEN_BYTE,
    TOKEN_ONE,    /* ? */
    TOKEN_STAR,   /* * */
    TOKEN_ALL,    /* ** */
    TOKEN_NUMBER, /* %d */
    TOKEN_TEXT,   /* %s: as TOKEN_ALL, ".." included */
};

struct token {
    uint8_t kind, byte;
};

static size_t tokenise(const char *pattern, struct token *tokens) {
    size_t count = 0;
    for (const char *at = pattern; *at != '\0'; at++) {
        struct token token = {TOKEN_BYTE, (uint8_t)*at};
        if (at[0] == '*')
            token.kind = at[1] == '*' ? TOKEN_ALL : TOKEN_STAR;
        else if (at[0] == '?')
            token.kind = TOKEN_ONE;
        else if (at[0] == '%' && at[1] == 'd')
            token.kind = TOKEN_NUMBER;
        else if (at[0] == '%' && at[1] == 's')
            token.kind = TOKEN_TEXT;
        else if (at[0] == '\\' && at[1] != '\0')
            token.byte = (uint8_t)at[1];
        at += token.kind == TOKEN_ALL || token.kind == TOKEN_NUMBER || token.kind == TOKEN_TEXT ||
              (at[0] == '\\' && at[1] != '\0');
        tokens[count++] = token;
    }
    tokens[count].kind = TOKEN_END;
    return count;
}

/* Whether a '*' may stand for the token. */
static bool star_takes(const struct token *token) {
    return token->kind != TOKEN_ALL && token->kind != TOKEN_TEXT && (token->kind != TOKEN_BYTE || token->byte != '/');
}

static bool one_takes(const struct token *token) {
    return token->kind == TOKEN_ONE || (token->kind == TOKEN_BYTE && token->byte != '/');
}

static bool is_digit(const struct token *token) {
    return token->kind == TOKEN_BYTE && token->byte >= '0' && token->byte <= '9';
}

/* One step of the comparison: whether pattern[p..] covers other[o..], by what is known of what lies behind. `next` is
 * the row of o + 1, `row` that of o, both indexed by p. */
static bool covers_rest(const struct token *pattern, const struct token *other, const bool *next, const bool *row) {
    switch (pattern->kind) {
    case TOKEN_END: return other->kind == TOKEN_END;
    case TOKEN_TEXT: return row[1] || (other->kind != TOKEN_END && next[0]);
    case TOKEN_ALL: return row[1] || (other->kind != TOKEN_END && other->kind != TOKEN_TEXT && next[0]);
    case TOKEN_STAR: return row[1] || (other->kind != TOKEN_END && star_takes(other) && next[0]);
    case TOKEN_ONE: return other->kind != TOKEN_END && one_takes(other) && next[1];
    case TOKEN_NUMBER:
        if (other->kind == TOKEN_NUMBER)
            return next[1];
        return is_digit(other) && (next[1] || (is_digit(&other[1]) && next[0]));
    default: return other->kind == TOKEN_BYTE && other->byte == pattern->byte && next[1];
    }
}

bool glob_covers(const char *pattern, const char *other) {
    if (strcmp(pattern, other) == 0)
        return true;
    cleanup_free struct token *wide = xcalloc(strlen(pattern) + 1, sizeof *wide);
    cleanup_free struct token *narrow = xcalloc(strlen(other) + 1, sizeof *narrow);
    size_t wide_count = tokenise(pattern, wide), narrow_count = tokenise(other, narrow);
    cleanup_free bool *row = xcalloc(wide_count + 2, sizeof *row), *next = xcalloc(wide_count + 2, sizeof *next);
    for (size_t o = narrow_count + 1; o-- > 0;) {
        for (size_t p = wide_count + 1; p-- > 0;)
            row[p] = covers_rest(&wide[p], &narrow[o], &next[p], &row[p]);
        bool *swap = next;
        next = row;
        row = swap;
    }
    return next[0];
}

char *glob_plain_start(const char *pattern) {
    cleanup_free struct token *tokens = xcalloc(strlen(pattern) + 1, sizeof *tokens);
    size_t count = tokenise(pattern, tokens), length = 0;
    char *start = xmalloc(count + 1);
    while (length < count && tokens[length].kind == TOKEN_BYTE) {
        start[length] = (char)tokens[length].byte;
        length++;
    }
    start[length] = '\0';
    return start;
}

bool glob_has_wildcard(const char *pattern) {
    cleanup_free struct token *tokens = xcalloc(strlen(pattern) + 1, sizeof *tokens);
    size_t count = tokenise(pattern, tokens);
    for (size_t i = 0; i < count; i++) {
        if (tokens[i].kind != TOKEN_BYTE && tokens[i].kind != TOKEN_NUMBER)
            return true;
    }
    return false;
}

bool glob_climbs(const char *pattern) {
    cleanup_free struct token *tokens = xcalloc(strlen(pattern) + 1, sizeof *tokens);
    size_t count = tokenise(pattern, tokens);
    for (size_t i = 0; i < count; i++) {
        if (tokens[i].kind == TOKEN_TEXT)
            return true;
    }
    return false;
}

static char *escape_pattern(const char *text, const char *end) {
    char *pattern = xmalloc(2 * strlen(text) + strlen(end) + 1), *at = pattern;
    for (; *text != '\0'; text++) {
        if (strchr("*?%\\", *text) != NULL)
            *at++ = '\\';
        *at++ = *text;
    }
    memcpy(at, end, strlen(end) + 1);
    return pattern;
}

static bool prefix_covers(const char *prefix, enum value_kind kind, const char *text) {
    if (kind == VALUE_TEXT)
        return match_prefix(prefix, strlen(prefix), text, strlen(text));
    if (kind == VALUE_GLOB && glob_climbs(text))
        return false;
    cleanup_free char *start = kind == VALUE_GLOB ? glob_plain_start(text) : xstrdup(text);
    return strncmp(prefix, start, strlen(prefix)) == 0;
}

static bool pattern_covers(const char *pattern, enum value_kind kind, const char *text) {
    if (kind == VALUE_TEXT)
        return match_glob(pattern, strlen(pattern), text, strlen(text));
    if (kind == VALUE_GLOB)
        return glob_covers(pattern, text);
    cleanup_free char *all = escape_pattern(text, "**");
    return glob_covers(pattern, all);
}

static bool text_covers(enum value_kind kind, const char *wide, enum value_kind other_kind, const char *other) {
    switch (kind) {
    case VALUE_TEXT: return other_kind == VALUE_TEXT && strcmp(wide, other) == 0;
    case VALUE_PREFIX: return prefix_covers(wide, other_kind, other);
    case VALUE_GLOB: return pattern_covers(wide, other_kind, other);
    default: return false;
    }
}

static char *comparable(const struct value *value, bool is_path) {
    char *text = xstrdup(value->text != NULL ? value->text : "");
    if (is_path)
        text[path_normalise(text, strlen(text))] = '\0';
    return text;
}

static bool value_covers_text(const struct value *wide, const struct value *value, bool is_path) {
    if (wide->kind == VALUE_NULL || value->kind == VALUE_NULL)
        return wide->kind == value->kind;
    cleanup_free char *wide_text = comparable(wide, is_path), *text = comparable(value, is_path);
    return text_covers(wide->kind, wide_text, value->kind, text);
}

/* ---- Addresses ---- */

static enum value_kind kind_of_match(unsigned match) {
    switch (match) {
    case MATCH_PREFIX: return VALUE_PREFIX;
    case MATCH_GLOB: return VALUE_GLOB;
    default: return VALUE_TEXT;
    }
}

static bool address_covers(const struct value *wide, const struct value *value) {
    const struct policy_address *a = &wide->address, *b = &value->address;
    if (wide->kind == VALUE_NULL || value->kind == VALUE_NULL)
        return wide->kind == value->kind;
    if (a->family != b->family)
        return false;
    if (a->family == AF_UNIX)
        return text_covers(kind_of_match(a->match), wide->text != NULL ? wide->text : "", kind_of_match(b->match),
                           value->text != NULL ? value->text : "");
    if (a->family != AF_INET && a->family != AF_INET6)
        return true;
    size_t length = a->family == AF_INET ? 4 : 16;
    bool any_host = (b->flags & ADDRESS_ANY_HOST) != 0, any_port = (b->flags & ADDRESS_ANY_PORT) != 0;
    bool host = (a->flags & ADDRESS_ANY_HOST) != 0 || (!any_host && memcmp(a->host, b->host, length) == 0);
    return host && ((a->flags & ADDRESS_ANY_PORT) != 0 || (!any_port && a->port == b->port));
}

/* ---- Argument vectors ---- */

static bool lists_position(const struct constraint *constraint, unsigned position) {
    for (size_t i = 0; i < constraint->value_count; i++) {
        if (constraint->values[i].position == position && constraint->values[i].kind != VALUE_NULL)
            return true;
    }
    return false;
}

static bool covers_at(const struct constraint *constraint, unsigned position, const struct value *value) {
    for (size_t i = 0; i < constraint->value_count; i++) {
        const struct value *wide = &constraint->values[i];
        if (wide->position == position && wide->kind != VALUE_NULL && value_covers_text(wide, value, false))
            return true;
    }
    return false;
}

/* One more than the last position that is listed. */
static unsigned complete_count(const struct constraint *constraint) {
    unsigned count = 0;
    for (size_t i = 0; i < constraint->value_count; i++) {
        const struct value *value = &constraint->values[i];
        if (value->kind != VALUE_NULL && value->position != POSITION_REST && value->position >= count)
            count = value->position + 1u;
    }
    return count;
}

/* As rule_allows_end (rule.h). */
static bool may_end_at(const struct constraint *constraint, unsigned count) {
    for (size_t i = 0; i < constraint->value_count; i++) {
        if (constraint->values[i].kind == VALUE_NULL && constraint->values[i].position == count)
            return true;
    }
    return count >= complete_count(constraint);
}

unsigned constraint_least_elements(const struct constraint *constraint) {
    unsigned count = 0;
    while (!may_end_at(constraint, count))
        count++;
    return count;
}

bool constraint_ends_elsewhere(const struct constraint *constraint, const struct constraint *other) {
    unsigned first = complete_count(other), last = complete_count(constraint);
    if (!lists_position(other, POSITION_REST))
        last = first;
    for (unsigned count = first; count <= last; count++) {
        if (!may_end_at(constraint, count))
            return true;
    }
    return false;
}

static bool covers_element(const struct constraint *constraint, const struct constraint *other,
                           const struct value *value) {
    if (value->kind == VALUE_NULL)
        return may_end_at(constraint, value->position);
    if (value->position != POSITION_REST)
        return covers_at(constraint, lists_position(constraint, value->position) ? value->position : POSITION_REST,
                         value);
    /* It stands at every place for which its own rule lists nothing else, also where the other rule does. */
    for (unsigned position = 0; position < POSITION_REST; position++) {
        bool stands = other == NULL || !lists_position(other, position);
        if (stands && lists_position(constraint, position) && !covers_at(constraint, position, value))
            return false;
    }
    return covers_at(constraint, POSITION_REST, value);
}

/* ---- */

static bool covers_text(const struct constraint *constraint, const struct value *value, bool is_path) {
    for (size_t i = 0; i < constraint->value_count; i++) {
        if (value_covers_text(&constraint->values[i], value, is_path))
            return true;
    }
    return false;
}

static bool covers_address(const struct constraint *constraint, const struct value *value) {
    for (size_t i = 0; i < constraint->value_count; i++) {
        if (address_covers(&constraint->values[i], value))
            return true;
    }
    return false;
}

static bool covers_number(const struct constraint *constraint, enum shape shape, const struct value *value) {
    switch (value->kind) {
    case VALUE_RANGE: return covers_range(constraint, shape, value);
    case VALUE_MASK: return covers_mask(constraint, shape, value->low);
    default: return covers_integer(constraint, shape, rule_integer(shape, (uint64_t)value->low));
    }
}

bool constraint_covers(const struct constraint *constraint, enum argument_kind kind, const struct constraint *other,
                       const struct value *value) {
    enum shape shape = argument_shape(kind);
    switch (shape) {
    case SHAPE_PATH:
    case SHAPE_STRING: return covers_text(constraint, value, shape == SHAPE_PATH);
    case SHAPE_ARGV: return covers_element(constraint, other, value);
    case SHAPE_SOCKADDR:
    case SHAPE_MSGHDR: return covers_address(constraint, value);
    case SHAPE_OPAQUE: return true;
    default: return covers_number(constraint, shape, value);
    }
}

const struct constraint *site_limit(const struct site *site, unsigned argument) {
    for (size_t i = 0; i < site->constraint_count; i++) {
        if (site->constraints[i].argument == argument)
            return site->constraints[i].any ? NULL : &site->constraints[i];
    }
    return NULL;
}

/* The argument that says whether others mean anything. */
static bool governs(enum argument_kind kind) {
    return kind == KIND_OPEN_FLAGS || kind == KIND_FCNTL_COMMAND || kind == KIND_PRCTL_OPTION ||
           kind == KIND_MREMAP_FLAGS;
}

static bool matters_with(const struct site *site, unsigned argument, unsigned governing) {
    const struct constraint *limit = site_limit(site, governing);
    if (limit == NULL)
        return true;
    for (size_t i = 0; i < limit->value_count; i++) {
        uint64_t values[API_MAX_ARGUMENTS] = {0};
        values[governing] = (uint64_t)limit->values[i].low;
        if (limit->values[i].kind == VALUE_RANGE || argument_matters(&api_table[site->api], argument, values))
            return true;
    }
    return false;
}

bool site_argument_matters(const struct site *site, unsigned argument) {
    const struct api *api = &api_table[site->api];
    if (api->arguments[argument].condition == WHEN_ALWAYS)
        return true;
    for (unsigned i = 0; i < api->argument_count; i++) {
        if (governs(api->arguments[i].kind))
            return matters_with(site, argument, i);
    }
    return true;
}
