/* What is common to files of libconfig text that people may edit: a strict reader, for which anything unknown is a
 * mistake with a line, and texts in quotes. Hosted code only.
 */
#ifndef PINION_RUNTIME_TEXT_H
#define PINION_RUNTIME_TEXT_H

#include <libconfig.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct mistake;

/* What a key's value may be, as bits; libconfig's types are small numbers. */
#define TYPE_GROUP (1u << CONFIG_TYPE_GROUP)
#define TYPE_LIST (1u << CONFIG_TYPE_LIST)
#define TYPE_ARRAY (1u << CONFIG_TYPE_ARRAY)
#define TYPE_STRING (1u << CONFIG_TYPE_STRING)
#define TYPE_BOOL (1u << CONFIG_TYPE_BOOL)
#define TYPE_REAL (1u << CONFIG_TYPE_FLOAT)
#define TYPE_NUMBER (1u << CONFIG_TYPE_INT | 1u << CONFIG_TYPE_INT64)

struct key {
    const char *name; /* NULL ends a table */
    unsigned types;
    bool required;
};

/* Fills in the mistake as one line of printable text whatever the file holds; returns false. */
bool text_mistake(struct mistake *mistake, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "a group in { }" */
const char *text_type_words(unsigned types);

const struct key *text_find_key(const struct key *keys, const char *name);
bool text_check_key(struct mistake *mistake, const config_setting_t *setting, const struct key *key);
/* `what` is how a message names the group: "the site". */
bool text_check_required(struct mistake *mistake, const config_setting_t *group, const struct key *keys,
                         const char *what);
/* The group holds the required keys, no unknown ones, and each of the right type. */
bool text_check_keys(struct mistake *mistake, const config_setting_t *group, const struct key *keys, const char *what);

/* The text of a key, or NULL where it is left out. */
const char *text_member(const config_setting_t *group, const char *name);
int64_t text_number(const config_setting_t *setting);

typedef bool text_root_reader(struct mistake *mistake, const config_setting_t *root, void *context);
bool text_parse(const char *text, struct mistake *mistake, text_root_reader *read_root, void *context);

/* The text of a file, which the caller frees, or NULL and a mistake without a line. A file that begins with `magic`
 * (NULL: none) is refused with the words `instead`. */
char *text_read(const char *path, const char *magic, const char *instead, struct mistake *mistake);

/* Writes a text in quotes; bytes that are not printable are escaped. */
void text_put(const char *text, FILE *out);

#endif
