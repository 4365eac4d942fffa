/* One value of an argument as people write it: "O_RDONLY|O_CLOEXEC", "prefix:/tmp/", "inet:127.0.0.1:80".
 * Whatever value_format writes, value_parse reads back.
 */
#define _GNU_SOURCE 1
#include "runtime/document.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "runtime/constants.h"
#include "runtime/match.h"
#include "runtime/rule.h"
#include "runtime/util.h"

#define GLOB_FORM "glob:"
#define PREFIX_FORM "prefix:"
#define TEXT_FORM "text:"
#define NULL_WORD "null"
#define MASK_FORM "mask:"
#define ANY_WORD "*"

/* Words before a colon that mean something in a string value. */
static const char *const string_forms[] = {"glob", "prefix", "text", NULL};
static const char *const address_forms[] = {"inet", "inet6", "unix", "family", "unspec", "null", NULL};

static bool is_integer_shape(enum shape shape) {
    return shape == SHAPE_INT32 || shape == SHAPE_UINT32 || shape == SHAPE_INT64;
}

static bool is_address_shape(enum shape shape) {
    return shape == SHAPE_SOCKADDR || shape == SHAPE_MSGHDR;
}

/* ---- Writing ---- */

/* The text that is being written; it may be longer than the buffer. */
struct output {
    char *buffer;
    size_t size, length;
};

static void put(struct output *output, const char *text) {
    size_t length = strlen(text);
    for (size_t i = 0; i < length && output->length + i + 1 < output->size; i++)
        output->buffer[output->length + i] = text[i];
    output->length += length;
}

static void __attribute__((format(printf, 2, 3))) put_format(struct output *output, const char *format, ...) {
    char text[128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    put(output, text);
}

static void put_constant(struct output *output, enum constant_set set, int64_t value) {
    char text[CONSTANT_TEXT_BYTES];
    constant_format(set, value, text, sizeof(text));
    put(output, text);
}

/* As wide as the argument is. */
static void put_mask(struct output *output, int64_t mask, enum argument_kind kind) {
    char text[CONSTANT_TEXT_BYTES];
    uint64_t width = argument_shape(kind) == SHAPE_INT64 ? UINT64_MAX : UINT32_MAX;
    put(output, MASK_FORM);
    constant_format_bits(argument_constants(kind), (uint64_t)mask & width, text, sizeof(text));
    put(output, text);
}

static void put_integer(struct output *output, const struct value *value, enum argument_kind kind) {
    enum constant_set set = argument_constants(kind);
    switch (value->kind) {
    case VALUE_RANGE: {
        /* The bounds of a range are numbers; names would say nothing about what lies between. */
        enum constant_set plain = set == CONSTANTS_OCTAL ? set : CONSTANTS_NONE;
        put_constant(output, plain, value->low);
        put(output, "..");
        put_constant(output, plain, value->high);
        break;
    }
    case VALUE_MASK: put_mask(output, value->low, kind); break;
    default: put_constant(output, set, value->low); break;
    }
}

/* The word before the first colon where it looks like a form, be it misspelt; NULL elsewhere. */
static const char *form_like(const char *text, const char *const *forms) {
    char word[16];
    size_t length = strcspn(text, ":");
    if (text[length] != ':' || length >= sizeof(word))
        return NULL;
    memcpy(word, text, length);
    word[length] = '\0';
    return nearest_word(word, forms);
}

static void put_string(struct output *output, const struct value *value) {
    const char *text = value->text != NULL ? value->text : "";
    switch (value->kind) {
    case VALUE_NULL: put(output, NULL_WORD); return;
    case VALUE_GLOB: put(output, GLOB_FORM); break;
    case VALUE_PREFIX: put(output, PREFIX_FORM); break;
    default:
        if (strcmp(text, NULL_WORD) == 0 || form_like(text, string_forms) != NULL)
            put(output, TEXT_FORM);
        break;
    }
    put(output, text);
}

static void put_host(struct output *output, const struct policy_address *address) {
    char host[INET6_ADDRSTRLEN] = ANY_WORD;
    bool any = (address->flags & ADDRESS_ANY_HOST) != 0;
    if (!any)
        inet_ntop(address->family, address->host, host, sizeof(host));
    bool bracket = address->family == AF_INET6 && !any;
    put_format(output, "%s:%s%s%s:", address->family == AF_INET6 ? "inet6" : "inet", bracket ? "[" : "", host,
               bracket ? "]" : "");
    if ((address->flags & ADDRESS_ANY_PORT) != 0)
        put(output, ANY_WORD);
    else
        put_format(output, "%u", address->port);
}

static void put_unix(struct output *output, const struct value *value) {
    struct value path = {.kind = VALUE_TEXT, .text = value->text};
    if (value->address.match == MATCH_PREFIX)
        path.kind = VALUE_PREFIX;
    else if (value->address.match == MATCH_GLOB)
        path.kind = VALUE_GLOB;
    put(output, "unix:");
    put_string(output, &path);
}

static void put_address(struct output *output, const struct value *value) {
    if (value->kind == VALUE_NULL) {
        put(output, NULL_WORD);
        return;
    }
    switch (value->address.family) {
    case AF_INET:
    case AF_INET6: put_host(output, &value->address); break;
    case AF_UNIX: put_unix(output, value); break;
    case AF_UNSPEC: put(output, "unspec"); break;
    default:
        put(output, "family:");
        put_constant(output, CONSTANTS_DOMAIN, value->address.family);
        break;
    }
}

size_t value_format(const struct value *value, enum argument_kind kind, char *buffer, size_t size) {
    struct output output = {.buffer = buffer, .size = size};
    enum shape shape = argument_shape(kind);
    if (shape == SHAPE_ARGV && (value->kind != VALUE_NULL || value->position > 0)) {
        if (value->position == POSITION_REST)
            put(&output, "[" ANY_WORD "] ");
        else
            put_format(&output, "[%u] ", value->position);
    }
    if (value->kind == VALUE_ADDRESS || is_address_shape(shape))
        put_address(&output, value);
    else if (value->kind <= VALUE_MASK)
        put_integer(&output, value, kind);
    else
        put_string(&output, value);
    if (size != 0)
        buffer[output.length < size ? output.length : size - 1] = '\0';
    return output.length;
}

/* ---- Reading ---- */

static bool __attribute__((format(printf, 2, 3))) fail(struct mistake *mistake, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(mistake->text, sizeof(mistake->text), format, arguments);
    va_end(arguments);
    return false;
}

/* The text behind `start`, or NULL. */
static const char *behind(const char *text, const char *start) {
    size_t length = strlen(start);
    return strncmp(text, start, length) == 0 ? text + length : NULL;
}

/* Finds the part of "A|B|C" that is wrong. */
static bool fail_constant(enum constant_set set, const char *text, struct mistake *mistake) {
    cleanup_free char *copy = xstrdup(text);
    char *rest = copy, *part;
    while ((part = strsep(&rest, "|")) != NULL) {
        int64_t ignored;
        if (constant_parse(set, part, &ignored))
            continue;
        const char *nearest = constant_nearest(set, part);
        if (nearest != NULL)
            return fail(mistake, "unknown value \"%.80s\" (did you mean \"%s\"?)", part, nearest);
        if (set == CONSTANTS_OCTAL)
            return fail(mistake, "\"%.80s\" is no file mode (write it in octal with a leading zero: \"0644\")", part);
        if (set == CONSTANTS_NONE)
            return fail(mistake, "\"%.80s\" is no number", part);
        return fail(mistake, "unknown value \"%.80s\"", part);
    }
    return fail(mistake, "\"%.80s\" is not one value (values of this argument are not joined with \"|\")", text);
}

static bool parse_constant(enum constant_set set, const char *text, int64_t *value, struct mistake *mistake) {
    return constant_parse(set, text, value) || fail_constant(set, text, mistake);
}

static bool parse_range(enum constant_set set, const char *text, const char *dots, struct value *value,
                        struct mistake *mistake) {
    cleanup_free char *low = xstrndup(text, (size_t)(dots - text));
    value->kind = VALUE_RANGE;
    if (!parse_constant(set, low, &value->low, mistake) || !parse_constant(set, dots + 2, &value->high, mistake))
        return false;
    if (value->low > value->high)
        return fail(mistake, "the range \"%.80s\" is empty: its first number is the larger one", text);
    return true;
}

static bool fits(enum argument_kind kind, int64_t value) {
    return argument_shape(kind) == SHAPE_INT64 || (value >= INT32_MIN && value <= UINT32_MAX);
}

static bool fail_width(const char *text, struct mistake *mistake) {
    return fail(mistake, "\"%.80s\" does not fit into the 32 bits of this argument", text);
}

static bool parse_mask(const char *text, enum argument_kind kind, struct value *value, struct mistake *mistake) {
    value->kind = VALUE_MASK;
    if (!parse_constant(argument_constants(kind), text, &value->low, mistake))
        return false;
    if (!fits(kind, value->low))
        return fail_width(text, mistake);
    value->low = rule_integer(argument_shape(kind), (uint64_t)value->low);
    return true;
}

static bool parse_integer(const char *text, enum argument_kind kind, struct value *value, struct mistake *mistake) {
    enum constant_set set = argument_constants(kind);
    const char *dots = strstr(text, ".."), *mask = behind(text, MASK_FORM);
    if (mask != NULL)
        return parse_mask(mask, kind, value, mistake);
    if (dots != NULL)
        return parse_range(set, text, dots, value, mistake);
    value->kind = VALUE_INTEGER;
    if (!parse_constant(set, text, &value->low, mistake))
        return false;
    if (!fits(kind, value->low))
        return fail_width(text, mistake);
    return true;
}

static bool parse_text(const char *text, struct value *value, struct mistake *mistake) {
    const char *glob = behind(text, GLOB_FORM), *prefix = behind(text, PREFIX_FORM), *literal = behind(text, TEXT_FORM);
    const char *form = form_like(text, string_forms);
    value->kind = glob != NULL ? VALUE_GLOB : prefix != NULL ? VALUE_PREFIX : VALUE_TEXT;
    if (glob != NULL)
        text = glob;
    else if (prefix != NULL)
        text = prefix;
    else if (literal != NULL)
        text = literal;
    else if (form != NULL)
        return fail(
            mistake,
            "unknown form of value \"%.*s:\" (did you mean \"%s:\"? a text like this is written \"text:%.80s\")",
            (int)strcspn(text, ":"), text, form, text);
    if (glob != NULL && strlen(glob) > MATCH_PATTERN_MAX)
        return fail(mistake, "the pattern is longer than %d bytes", MATCH_PATTERN_MAX);
    value->text = xstrdup(text);
    return true;
}

static bool parse_string(const char *text, struct value *value, struct mistake *mistake) {
    if (strcmp(text, NULL_WORD) == 0) {
        value->kind = VALUE_NULL;
        return true;
    }
    return parse_text(text, value, mistake);
}

/* "[0] sh", "[*] glob:*.c", "[2] null" where the vector may end after two elements */
static bool parse_element(const char *text, struct value *value, struct mistake *mistake) {
    if (strcmp(text, NULL_WORD) == 0) {
        value->kind = VALUE_NULL;
        return true;
    }
    unsigned position = 0;
    const char *at = behind(text, "[" ANY_WORD "] ");
    if (at != NULL) {
        position = POSITION_REST;
    } else if (*text == '[' && text[1] >= '0' && text[1] <= '9') {
        for (at = text + 1; *at >= '0' && *at <= '9' && position < POSITION_REST; at++)
            position = 10 * position + (unsigned)(*at - '0');
        at = behind(at, "] ");
    }
    if (at == NULL || (position >= POSITION_REST && text[1] != *ANY_WORD))
        return fail(
            mistake,
            "\"%.80s\" names no element of the vector (begin with \"[0] \" to \"[254] \", or \"[*] \" for all others)",
            text);
    value->position = (uint8_t)position;
    return parse_string(at, value, mistake);
}

static bool parse_port(const char *text, struct policy_address *address, struct mistake *mistake) {
    unsigned long port = 0;
    size_t digits = strspn(text, "0123456789");
    if (strcmp(text, ANY_WORD) == 0) {
        address->flags |= ADDRESS_ANY_PORT;
        return true;
    }
    if (digits > 0 && digits < 6 && text[digits] == '\0')
        port = strtoul(text, NULL, 10);
    else
        port = UINT16_MAX + 1ul;
    if (port > UINT16_MAX)
        return fail(mistake, "\"%.80s\" is no port (a number up to 65535, or \"*\")", text);
    address->port = (uint16_t)port;
    return true;
}

static bool parse_host(const char *host, struct policy_address *address, struct mistake *mistake) {
    if (strcmp(host, ANY_WORD) == 0) {
        address->flags |= ADDRESS_ANY_HOST;
        return true;
    }
    if (inet_pton(address->family, host, address->host) == 1)
        return true;
    return fail(mistake, "\"%.80s\" is no IPv%c address (or \"*\")", host, address->family == AF_INET ? '4' : '6');
}

/* HOST:PORT, an IPv6 host in brackets. */
static bool parse_internet(const char *text, struct policy_address *address, struct mistake *mistake) {
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return fail(mistake, "\"%.80s\" has no port (write \":*\" for any)", text);
    cleanup_free char *host = xstrndup(text, (size_t)(colon - text));
    size_t length = strlen(host);
    char *bare = host;
    if (address->family == AF_INET6 && strcmp(host, ANY_WORD) != 0) {
        if (length < 2 || host[0] != '[' || host[length - 1] != ']')
            return fail(mistake, "an IPv6 address stands in brackets: \"inet6:[::1]:80\"");
        host[length - 1] = '\0';
        bare++;
    }
    return parse_host(bare, address, mistake) && parse_port(colon + 1, address, mistake);
}

static bool parse_unix(const char *text, struct value *value, struct mistake *mistake) {
    if (!parse_text(text, value, mistake))
        return false;
    value->address.family = AF_UNIX;
    if (value->kind != VALUE_TEXT)
        value->address.match = value->kind == VALUE_GLOB ? MATCH_GLOB : MATCH_PREFIX;
    value->kind = VALUE_ADDRESS;
    return true;
}

static bool parse_family(const char *text, struct value *value, struct mistake *mistake) {
    int64_t family;
    if (!parse_constant(CONSTANTS_DOMAIN, text, &family, mistake))
        return false;
    if (family < 0 || family > UINT16_MAX || family == AF_UNSPEC || family == AF_UNIX || family == AF_INET ||
        family == AF_INET6)
        return fail(mistake, "\"family:%.80s\" is written \"unspec\", \"unix:...\", \"inet:*:*\" or \"inet6:*:*\"",
                    text);
    value->address.family = (uint16_t)family;
    return true;
}

static bool fail_address(const char *text, struct mistake *mistake) {
    char word[16];
    snprintf(word, sizeof(word), "%.*s", (int)strcspn(text, ":"), text);
    const char *nearest = nearest_word(word, address_forms);
    if (nearest != NULL && strcmp(nearest, word) != 0)
        return fail(mistake, "unknown form of address \"%.80s\" (did you mean \"%s\"?)", text, nearest);
    return fail(mistake,
                "unknown form of address \"%.80s\" (forms are \"inet:127.0.0.1:80\", \"inet6:[::1]:80\", "
                "\"unix:/run/x\", \"unspec\", \"family:AF_NETLINK\", \"null\")",
                text);
}

static bool parse_address(const char *text, struct value *value, struct mistake *mistake) {
    const char *inet = behind(text, "inet:"), *inet6 = behind(text, "inet6:"), *path = behind(text, "unix:");
    const char *family = behind(text, "family:");
    value->kind = VALUE_ADDRESS;
    value->address.match = MATCH_EXACT;
    if (path != NULL)
        return parse_unix(path, value, mistake);
    if (family != NULL)
        return parse_family(family, value, mistake);
    if (inet != NULL || inet6 != NULL) {
        value->address.family = inet != NULL ? AF_INET : AF_INET6;
        return parse_internet(inet != NULL ? inet : inet6, &value->address, mistake);
    }
    if (strcmp(text, NULL_WORD) == 0)
        value->kind = VALUE_NULL;
    else if (strcmp(text, "unspec") != 0)
        return fail_address(text, mistake);
    return true;
}

bool value_parse(const char *text, enum argument_kind kind, struct value *value, struct mistake *mistake) {
    *value = (struct value){.origin = ORIGIN_MANUAL};
    enum shape shape = argument_shape(kind);
    if (is_integer_shape(shape))
        return parse_integer(text, kind, value, mistake);
    if (is_address_shape(shape))
        return parse_address(text, value, mistake);
    if (shape == SHAPE_ARGV)
        return parse_element(text, value, mistake);
    if (shape == SHAPE_OPAQUE)
        return fail(mistake, "this argument is never checked");
    return parse_string(text, value, mistake);
}
