/* Symbolic names of argument values: formatting, parsing, and guessing what a misspelt name meant. Nothing of
 * the shim may need this file.
 */
#include "runtime/constants.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dlfcn.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "runtime/util.h"

/* Longer than every name and number. */
#define WORD_BYTES 64
/* From here on an unnamed number says more in hexadecimal: requests, magic numbers. */
#define HEXADECIMAL_FROM 4096

struct constant {
    enum constant_set set;
    const char *name;
    int64_t value;
};

struct field {
    enum constant_set set;
    uint64_t mask;
};

/* clang-format off */
#define CONSTANT(set, name, value) {CONSTANTS_##set, #name, value},
static const struct constant constants[] = {
#include "runtime/constants.def"
};

#define CONSTANT_FIELD(set, mask) {CONSTANTS_##set, mask},
static const struct field fields[] = {
#include "runtime/constants.def"
};

#define CONSTANT_SET(name, combines) [CONSTANTS_##name] = combines,
static const bool set_combines[CONSTANTS_COUNT] = {
#include "runtime/constants.def"
};
/* clang-format on */

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* The text that is being written; it may be longer than the buffer. */
struct text {
    char *buffer;
    size_t size;
    size_t length;
};

static void append(struct text *text, const char *part) {
    for (; *part != '\0'; part++, text->length++)
        if (text->length + 1 < text->size)
            text->buffer[text->length] = *part;
}

static void append_alternative(struct text *text, const char *part) {
    if (text->length > 0)
        append(text, "|");
    append(text, part);
}

static void append_octal(struct text *text, uint64_t value) {
    char number[32];
    snprintf(number, sizeof number, "0%" PRIo64, value);
    append_alternative(text, number);
}

static void append_decimal(struct text *text, int64_t value) {
    char number[32];
    snprintf(number, sizeof number, "%" PRId64, value);
    append_alternative(text, number);
}

static void append_hexadecimal(struct text *text, uint64_t value) {
    char number[32];
    snprintf(number, sizeof number, "0x%" PRIx64, value);
    append_alternative(text, number);
}

/* The first constant of the set that has this value and lies within the mask. */
static const struct constant *find_value(enum constant_set set, uint64_t value, uint64_t mask) {
    for (const struct constant *constant = constants; constant < constants + LENGTH(constants); constant++)
        if (constant->set == set && (uint64_t)constant->value == value && ((uint64_t)constant->value & ~mask) == 0)
            return constant;
    return NULL;
}

static const struct constant *find_name(enum constant_set set, const char *name) {
    for (const struct constant *constant = constants; constant < constants + LENGTH(constants); constant++)
        if (constant->set == set && strcmp(constant->name, name) == 0)
            return constant;
    return NULL;
}

static void append_whole(struct text *text, enum constant_set set, int64_t value) {
    const struct constant *constant = find_value(set, (uint64_t)value, UINT64_MAX);
    if (constant != NULL)
        append(text, constant->name);
    else if (set == CONSTANTS_OCTAL && value > 0)
        append_octal(text, (uint64_t)value);
    else if (set != CONSTANTS_NONE && value >= HEXADECIMAL_FROM)
        append_hexadecimal(text, (uint64_t)value);
    else
        append_decimal(text, value);
}

/* Writes what the set's fields hold; returns the bits of all fields and clears those that were written in *rest.
 * Zero may have a name in the first field alone, or it would be written twice. */
static uint64_t append_fields(struct text *text, enum constant_set set, uint64_t *rest) {
    uint64_t masks = 0;
    for (const struct field *field = fields; field < fields + LENGTH(fields); field++) {
        if (field->set != set)
            continue;
        uint64_t part = *rest & field->mask;
        const struct constant *constant = part == 0 && masks != 0 ? NULL : find_value(set, part, field->mask);
        if (constant != NULL) {
            append_alternative(text, constant->name);
            *rest &= ~field->mask;
        }
        masks |= field->mask;
    }
    return masks;
}

static void append_flags(struct text *text, enum constant_set set, uint64_t field_masks, uint64_t *rest) {
    for (const struct constant *constant = constants; constant < constants + LENGTH(constants); constant++) {
        uint64_t bits = (uint64_t)constant->value;
        if (constant->set != set || bits == 0 || (bits & field_masks) != 0 || (*rest & bits) != bits)
            continue;
        append_alternative(text, constant->name);
        *rest &= ~bits;
    }
}

static void append_combination(struct text *text, enum constant_set set, int64_t value) {
    uint64_t rest = (uint64_t)value;
    uint64_t field_masks = append_fields(text, set, &rest);
    append_flags(text, set, field_masks, &rest);
    if (rest != 0)
        append_hexadecimal(text, rest);
    if (text->length == 0)
        append_whole(text, set, 0);
}

/* Negative values and 32 set bits are no combination of flags but values of their own (personality's query). */
static bool is_combination(enum constant_set set, int64_t value) {
    return set_combines[set] && value >= 0 && value != UINT32_MAX;
}

static size_t finish(struct text *text) {
    if (text->size > 0)
        text->buffer[text->length < text->size ? text->length : text->size - 1] = '\0';
    return text->length;
}

size_t constant_format(enum constant_set set, int64_t value, char *buffer, size_t size) {
    struct text text = {buffer, size, 0};
    if (is_combination(set, value))
        append_combination(&text, set, value);
    else
        append_whole(&text, set, value);
    return finish(&text);
}

size_t constant_format_bits(enum constant_set set, uint64_t bits, char *buffer, size_t size) {
    struct text text = {buffer, size, 0};
    if (set_combines[set])
        append_combination(&text, set, (int64_t)bits);
    else if (bits == 0)
        append(&text, "0");
    else if (set == CONSTANTS_OCTAL)
        append_octal(&text, bits);
    else
        append_hexadecimal(&text, bits);
    return finish(&text);
}

bool constants_combine(enum constant_set set) {
    return set == CONSTANTS_OCTAL || set_combines[set];
}

static bool parse_number(enum constant_set set, const char *text, int64_t *value) {
    bool negative = text[0] == '-';
    if (!isdigit((unsigned char)text[negative]))
        return false;
    if (set == CONSTANTS_OCTAL && text[0] != '0' && text[1] != '\0')
        return false;
    char *end;
    errno = 0;
    *value = negative ? strtoll(text, &end, 0) : (int64_t)strtoull(text, &end, 0);
    return errno == 0 && *end == '\0';
}

/* One name or number, which may stand between blanks. */
static bool parse_word(enum constant_set set, const char *text, size_t length, int64_t *value) {
    while (length > 0 && isblank((unsigned char)text[0])) {
        text++;
        length--;
    }
    while (length > 0 && isblank((unsigned char)text[length - 1]))
        length--;
    char word[WORD_BYTES];
    if (length == 0 || length >= sizeof word)
        return false;
    memcpy(word, text, length);
    word[length] = '\0';
    const struct constant *constant = find_name(set, word);
    if (constant == NULL)
        return parse_number(set, word, value);
    *value = constant->value;
    return true;
}

bool constant_parse(enum constant_set set, const char *text, int64_t *value) {
    uint64_t sum = 0;
    for (;;) {
        size_t length = strcspn(text, "|");
        int64_t part;
        if (!parse_word(set, text, length, &part))
            return false;
        sum |= (uint64_t)part;
        text += length;
        if (*text == '\0')
            break;
        if (!set_combines[set])
            return false;
        text++;
    }
    *value = (int64_t)sum;
    return true;
}

uint64_t constant_bits(enum constant_set set) {
    uint64_t bits = 0;
    for (const struct constant *constant = constants; constant < constants + LENGTH(constants); constant++)
        if (constant->set == set)
            bits |= (uint64_t)constant->value;
    return bits;
}

const char *constant_nearest(enum constant_set set, const char *name) {
    struct nearest nearest = nearest_begin(name);
    for (const struct constant *constant = constants; constant < constants + LENGTH(constants); constant++)
        if (constant->set == set)
            nearest_offer(&nearest, constant->name);
    return nearest.best;
}
