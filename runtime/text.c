/* See text.h. */
#define _GNU_SOURCE 1
#include "runtime/text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "runtime/document.h"
#include "runtime/util.h"

#define TEXT_MOST_BYTES (64u << 20)

/* ---- mistakes ---- */

/* A message is one line of printable text whatever the file holds. Control characters beyond ASCII, which terminals obey
 * as well, are 0xc2 and a byte up to 0x9f in UTF-8. */
static void clean_message(char *text) {
    for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++) {
        bool second = at > (unsigned char *)text && at[-1] == 0xc2 && *at >= 0x80 && *at <= 0x9f;
        if (second)
            at[-1] = '?';
        if (*at < 0x20 || *at == 0x7f || second)
            *at = '?';
    }
}

bool text_mistake(struct mistake *mistake, unsigned line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(mistake->text, sizeof(mistake->text), format, arguments);
    va_end(arguments);
    clean_message(mistake->text);
    mistake->line = line;
    return false;
}

#define fail(mistake, setting, ...) text_mistake(mistake, config_setting_source_line(setting), __VA_ARGS__)

const char *text_type_words(unsigned types) {
    switch (types) {
    case TYPE_GROUP: return "a group in { }";
    case TYPE_LIST: return "a list in ( )";
    case TYPE_ARRAY: return "an array in [ ]";
    case TYPE_STRING: return "a text in quotes";
    case TYPE_BOOL: return "true or false";
    case TYPE_REAL: return "a number with a point, as 0.6";
    case TYPE_REAL | TYPE_NUMBER: return "a number";
    default: return "a whole number";
    }
}

/* ---- keys ---- */

const struct key *text_find_key(const struct key *keys, const char *name) {
    for (; keys->name != NULL; keys++)
        if (strcmp(keys->name, name) == 0)
            return keys;
    return NULL;
}

bool text_check_key(struct mistake *mistake, const config_setting_t *setting, const struct key *key) {
    if ((1u << config_setting_type(setting) & key->types) != 0)
        return true;
    return fail(mistake, setting, "\"%s\" must be %s", key->name, text_type_words(key->types));
}

bool text_check_required(struct mistake *mistake, const config_setting_t *group, const struct key *keys,
                         const char *what) {
    for (; keys->name != NULL; keys++)
        if (keys->required && config_setting_get_member(group, keys->name) == NULL)
            return fail(mistake, group, "%s has no \"%s\"", what, keys->name);
    return true;
}

static const char *nearest_key(const struct key *keys, const char *name) {
    struct nearest nearest = nearest_begin(name);
    for (; keys->name != NULL; keys++)
        nearest_offer(&nearest, keys->name);
    return nearest.best;
}

static bool fail_unknown(struct mistake *mistake, const config_setting_t *setting, const char *name,
                         const char *nearest) {
    if (nearest != NULL)
        return fail(mistake, setting, "unknown key \"%.80s\" (did you mean \"%s\"?)", name, nearest);
    return fail(mistake, setting, "unknown key \"%.80s\"", name);
}

bool text_check_keys(struct mistake *mistake, const config_setting_t *group, const struct key *keys, const char *what) {
    unsigned count = (unsigned)config_setting_length(group);
    for (unsigned i = 0; i < count; i++) {
        const config_setting_t *setting = config_setting_get_elem(group, i);
        const char *name = config_setting_name(setting);
        const struct key *key = text_find_key(keys, name);
        if (key == NULL)
            return fail_unknown(mistake, setting, name, nearest_key(keys, name));
        if (!text_check_key(mistake, setting, key))
            return false;
    }
    return text_check_required(mistake, group, keys, what);
}

/* ---- scalars ---- */

const char *text_member(const config_setting_t *group, const char *name) {
    const config_setting_t *setting = config_setting_get_member(group, name);
    return setting != NULL ? config_setting_get_string(setting) : NULL;
}

/* libconfig reads a short hexadecimal number such as 0xf0000000 as a negative one. */
int64_t text_number(const config_setting_t *setting) {
    if (config_setting_type(setting) == CONFIG_TYPE_INT && config_setting_get_format(setting) == CONFIG_FORMAT_HEX)
        return (uint32_t)config_setting_get_int(setting);
    if (config_setting_type(setting) == CONFIG_TYPE_INT)
        return config_setting_get_int(setting);
    return config_setting_get_int64(setting);
}

/* ---- files ---- */

/* libconfig would follow an include directive to any file, and end a text at an escaped NUL. */
static bool check_text(struct mistake *mistake, const char *text) {
    unsigned line = 1;
    bool line_start = true, escaped = false;
    for (const char *at = text; *at != '\0'; at++) {
        if (line_start && strncmp(at + strspn(at, " \t"), "@include", strlen("@include")) == 0)
            return text_mistake(mistake, line, "no other file can be included");
        if (escaped && strncmp(at, "x00", 3) == 0)
            return text_mistake(mistake, line, "a text cannot hold the byte \"\\x00\"");
        escaped = *at == '\\' && !escaped;
        line_start = *at == '\n';
        line += line_start;
    }
    return true;
}

static bool parse(struct mistake *mistake, config_t *config, const char *text) {
    if (config_read_string(config, text))
        return true;
    const char *problem = config_error_text(config);
    return text_mistake(mistake, (unsigned)config_error_line(config),
                        "%s (is a quote, bracket or \";\" missing here or just before?)",
                        problem != NULL ? problem : "syntax error");
}

bool text_parse(const char *text, struct mistake *mistake, text_root_reader *read_root, void *context) {
    *mistake = (struct mistake){0};
    if (!check_text(mistake, text))
        return false;
    config_t config;
    config_init(&config);
    bool good = parse(mistake, &config, text) && read_root(mistake, config_root_setting(&config), context);
    config_destroy(&config);
    return good;
}

static const char *text_problem(const char *text, size_t size, const char *magic, const char *instead) {
    if (magic != NULL && strncmp(text, magic, strlen(magic)) == 0)
        return instead;
    return strlen(text) != size ? "it is no text: it holds a zero byte" : NULL;
}

char *text_read(const char *path, const char *magic, const char *instead, struct mistake *mistake) {
    size_t size = 0;
    cleanup_free char *text = file_read(path, TEXT_MOST_BYTES, &size);
    const char *problem = NULL;
    if (text == NULL)
        problem = errno == EINVAL ? "it is no regular file" : strerror(errno);
    else
        problem = text_problem(text, size, magic, instead);
    if (problem == NULL)
        return steal_pointer(&text);
    text_mistake(mistake, 0, "%s", problem);
    return NULL;
}

/* ---- texts in quotes ---- */

/* The length of the valid UTF-8 sequence at `text`, or 0. */
static size_t utf8_length(const unsigned char *text) {
    size_t length = text[0] >= 0xc2 && text[0] < 0xe0 ? 2 : text[0] >= 0xe0 && text[0] < 0xf0 ? 3 : 4;
    if (text[0] < 0xc2 || text[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
    bool too_large = (text[0] == 0xed && text[1] > 0x9f) || (text[0] == 0xf4 && text[1] > 0x8f);
    bool control = text[0] == 0xc2 && text[1] < 0xa0;
    return overlong || too_large || control ? 0 : length;
}

static void put_escaped(unsigned char byte, FILE *out) {
    switch (byte) {
    case '\n': fputs("\\n", out); break;
    case '\t': fputs("\\t", out); break;
    case '\r': fputs("\\r", out); break;
    case '"': fputs("\\\"", out); break;
    case '\\': fputs("\\\\", out); break;
    default: fprintf(out, "\\x%02x", byte); break;
    }
}

/* How many bytes from here on are written as they are. */
static size_t plain_length(const unsigned char *at) {
    size_t length = 0;
    while (true) {
        unsigned char byte = at[length];
        size_t more = byte >= 0x80 ? utf8_length(at + length) : byte >= 0x20 && byte < 0x7f;
        if (more == 0 || byte == '"' || byte == '\\')
            return length;
        length += more;
    }
}

void text_put(const char *text, FILE *out) {
    const unsigned char *at = (const unsigned char *)text;
    fputs("\"", out);
    while (*at != '\0') {
        size_t length = plain_length(at);
        if (length > 0)
            fwrite(at, length, 1, out);
        else
            put_escaped(*at, out);
        at += length > 0 ? length : 1;
    }
    fputs("\"", out);
}
