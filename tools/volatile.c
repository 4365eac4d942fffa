/* Finding volatile parts. Pure functions: no file is looked at, so that a pattern is the same on every machine. */
#include "tools/volatile.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "runtime/match.h"
#include "runtime/util.h"

enum {
    RANDOM_SUFFIX = 6,
    MAX_RANDOM = 16,
    PYTHON_LENGTH = 11,
    MIN_DIGEST = 16,
    MIN_TEMPORARY_DIGITS = 3,
    UUID_LENGTH = 36
};

/* A pattern under construction. */
struct pattern {
    char *text;
    size_t length;
    bool volatile_part; /* it is more than the text itself */
};

static void put_wild(struct pattern *pattern, const char *wild) {
    memcpy(pattern->text + pattern->length, wild, strlen(wild));
    pattern->length += strlen(wild);
    pattern->volatile_part = true;
}

static void put_question_marks(struct pattern *pattern, size_t count) {
    if (count == 0)
        return;
    memset(pattern->text + pattern->length, '?', count);
    pattern->length += count;
    pattern->volatile_part = true;
}

/* A byte that stands for itself. */
static void put_literal(struct pattern *pattern, char byte) {
    if (strchr("*?\\%", byte))
        pattern->text[pattern->length++] = '\\';
    pattern->text[pattern->length++] = byte;
}

static size_t count_digits(const char *text, size_t length) {
    size_t count = 0;
    while (count < length && isdigit((unsigned char)text[count]))
        count++;
    return count;
}

/* How many of digits, small and capital letters a text of only these has; 0 when it has others. */
static unsigned count_classes(const char *text, size_t length) {
    bool digit = false;
    bool lower = false;
    bool upper = false;
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)text[i]))
            return 0;
        digit = digit || isdigit((unsigned char)text[i]);
        lower = lower || islower((unsigned char)text[i]);
        upper = upper || isupper((unsigned char)text[i]);
    }
    return (unsigned)digit + lower + upper;
}

/* How many characters at the end of the component were drawn at random, as by mkstemp, mktemp or Python. Outside of
 * the directories for temporary files all three classes of characters are asked for: "libfoo-linux6" is a name. */
static size_t random_length(const char *component, size_t length, bool temporary) {
    size_t word = 0; /* from the last separator to the end */
    while (word < length && isalnum((unsigned char)component[length - 1 - word]))
        word++;
    const char *end = component + length;
    if (temporary && length == PYTHON_LENGTH && strncmp(component, "tmp", 3) == 0 &&
        strspn(component + 3, "abcdefghijklmnopqrstuvwxyz0123456789_") >= length - 3)
        return length - 3;
    if (word >= RANDOM_SUFFIX && word <= MAX_RANDOM && word < length && strchr(".-_", end[-(ptrdiff_t)word - 1])) {
        unsigned classes = count_classes(end - word, word);
        return classes == 3 || (temporary && classes == 2) ? word : 0;
    }
    if (temporary && word > RANDOM_SUFFIX && count_classes(end - RANDOM_SUFFIX, RANDOM_SUFFIX) == 3)
        return RANDOM_SUFFIX;
    return 0;
}

/* Hexadecimal digits from `text` on, of which some are digits and some are letters. */
static size_t digest_length(const char *text, size_t length) {
    size_t count = 0;
    bool digit = false;
    bool letter = false;
    while (count < length && isxdigit((unsigned char)text[count])) {
        digit = digit || isdigit((unsigned char)text[count]);
        letter = letter || !isdigit((unsigned char)text[count]);
        count++;
    }
    return digit && letter && count >= MIN_DIGEST ? count : 0;
}

static size_t uuid_length(const char *text, size_t length) {
    if (length < UUID_LENGTH)
        return 0;
    for (size_t i = 0; i < UUID_LENGTH; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return 0;
    }
    return UUID_LENGTH;
}

static void put_component(struct pattern *pattern, const char *component, size_t length, bool temporary) {
    if (length > 0 && count_digits(component, length) == length) {
        put_wild(pattern, "%d");
        return;
    }
    size_t end = length - random_length(component, length, temporary);
    bool at_word = true; /* a digest begins where a word begins */
    for (size_t i = 0; i < end;) {
        size_t uuid = at_word ? uuid_length(component + i, end - i) : 0;
        size_t digest = at_word && !uuid ? digest_length(component + i, end - i) : 0;
        size_t digits = count_digits(component + i, end - i);
        if (uuid || digest) {
            put_question_marks(pattern, uuid + digest);
            i += uuid + digest;
        } else if (temporary && digits >= MIN_TEMPORARY_DIGITS) {
            put_wild(pattern, "%d");
            i += digits;
        } else {
            for (size_t n = digits ? digits : 1; n > 0; n--)
                put_literal(pattern, component[i++]);
        }
        at_word = !isalnum((unsigned char)component[i - 1]);
    }
    put_question_marks(pattern, length - end);
}

static bool is_temporary(const char *path) {
    static const char *const directories[] = {"/tmp/", "/var/tmp/", "/run/", "/var/run/", "/dev/shm/"};
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++)
        if (strncmp(path, directories[i], strlen(directories[i])) == 0)
            return true;
    return false;
}

static void put_path(struct pattern *pattern, const char *path) {
    bool temporary = is_temporary(path);
    while (*path) {
        size_t length = strcspn(path, "/");
        put_component(pattern, path, length, temporary);
        path += length;
        if (*path)
            put_literal(pattern, *path++);
    }
}

/* Numbers that follow "/proc/"; the rest stands for itself. */
static void put_command(struct pattern *pattern, const char *text) {
    static const char start[] = "/proc/";
    while (*text) {
        size_t digits = 0;
        if (strncmp(text, start, sizeof start - 1) == 0)
            digits = count_digits(text + sizeof start - 1, strlen(text + sizeof start - 1));
        if (digits == 0) {
            put_literal(pattern, *text++);
            continue;
        }
        for (size_t i = 0; i < sizeof start - 1; i++)
            put_literal(pattern, *text++);
        put_wild(pattern, "%d");
        text += digits;
    }
}

static bool is_for_a_shell(const char *text) {
    return strpbrk(text, " \t\n\"'`$;&|<>()*?[]{}!\\") != NULL;
}

char *volatile_pattern(const char *text, enum argument_kind kind) {
    size_t length = strlen(text);
    enum shape shape = argument_shape(kind);
    if (match_has_dot_dot(text, length) || (shape != SHAPE_PATH && shape != SHAPE_ARGV && kind != KIND_COMMAND))
        return NULL;
    struct pattern pattern = {.text = xmalloc(2 * length + 3)};
    if (kind == KIND_COMMAND || (shape == SHAPE_ARGV && is_for_a_shell(text)))
        put_command(&pattern, text);
    else if (shape == SHAPE_PATH || *text == '/')
        put_path(&pattern, text);
    pattern.text[pattern.length] = '\0';
    if (!pattern.volatile_part || !match_glob(pattern.text, pattern.length, text, length)) {
        free(pattern.text);
        return NULL;
    }
    return pattern.text;
}
