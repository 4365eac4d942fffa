/* The addresses of the target's configured package sources, read from its files. They are the target's own words: what
 * comes from there counts only with the digest that a signed recipe gives.
 */
#include <fcntl.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/patch/method_parts.h"

#define SOURCES_LIST "/etc/apt/sources.list"
#define SOURCES_DIRECTORY "/etc/apt/sources.list.d"
#define SOURCES_MOST (1u << 20)
#define ADDRESSES_MOST 64
#define BLANKS " \t\r\f\v"

/* apt's "file" method only makes a link; "copy" is the same and brings the file. */
static const struct scheme {
    const char *name, *as;
} schemes[] = {{"https://", "https://"}, {"http://", "http://"}, {"file:/", "copy:/"}, {"copy:/", "copy:/"}};

static bool is_plain(const char *text) {
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text > '~' || strchr("\"'\\<>`{}|^", *text) != NULL)
            return false;
    }
    return true;
}

static void add_address(struct names *addresses, const char *uri) {
    if (addresses->count >= ADDRESSES_MOST || strlen(uri) > 1024 || !is_plain(uri))
        return;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t length = strlen(schemes[i].name);
        if (strncmp(uri, schemes[i].name, length) != 0)
            continue;
        char *address = xasprintf("%s%s%s", schemes[i].as, uri + length, uri[strlen(uri) - 1] == '/' ? "" : "/");
        for (size_t j = 0; j < addresses->count; j++) {
            if (strcmp(addresses->items[j], address) == 0) {
                free(address);
                return;
            }
        }
        *array_append(addresses->items, addresses->count) = address;
        return;
    }
}

/* deb [ options ] uri suite [component]... */
static void add_line(struct names *addresses, char *line) {
    line[strcspn(line, "#")] = '\0';
    line += strspn(line, BLANKS);
    char *rest = line, *type = strsep(&rest, BLANKS);
    if (rest == NULL || strcmp(type, "deb") != 0)
        return;
    rest += strspn(rest, BLANKS);
    if (*rest == '[') {
        char *end = strchr(rest, ']');
        if (end == NULL)
            return;
        rest = end + 1 + strspn(end + 1, BLANKS);
    }
    size_t length = strcspn(rest, BLANKS);
    bool has_suite = rest[length] != '\0' && rest[length + strspn(rest + length, BLANKS)] != '\0';
    rest[length] = '\0';
    if (has_suite)
        add_address(addresses, rest);
}

void addresses_add_list(struct names *addresses, const char *text) {
    cleanup_free char *copy = xstrdup(text);
    char *rest = copy;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;)
        add_line(addresses, line);
}

/* ---- deb822 ---- */

struct source {
    char *types, *uris; /* words */
    bool disabled;
};

static bool has_word(const char *words, const char *word) {
    for (size_t length; words += strspn(words, BLANKS "\n"), *words != '\0'; words += length) {
        length = strcspn(words, BLANKS "\n");
        if (strlen(word) == length && strncasecmp(words, word, length) == 0)
            return true;
    }
    return false;
}

static void end_source(struct names *addresses, struct source *source) {
    if (!source->disabled && source->types != NULL && source->uris != NULL && has_word(source->types, "deb")) {
        char *rest = source->uris;
        for (char *uri; (uri = strsep(&rest, BLANKS "\n")) != NULL;) {
            if (*uri != '\0')
                add_address(addresses, uri);
        }
    }
    free(source->types);
    free(source->uris);
    *source = (struct source){0};
}

static void append_words(char **words, const char *more) {
    char *longer = xasprintf("%s %s", *words != NULL ? *words : "", more);
    free(*words);
    *words = longer;
}

/* Returns where the lines that go on with this field belong; NULL: they do not matter. */
static char **begin_field(struct source *source, char *line) {
    char *colon = strchr(line, ':');
    if (colon == NULL)
        return NULL;
    *colon = '\0';
    const char *value = colon + 1;
    if (strcasecmp(line, "Enabled") == 0)
        source->disabled = has_word(value, "no") || has_word(value, "false") || has_word(value, "0") ||
                           has_word(value, "off") || has_word(value, "without") || has_word(value, "disable");
    char **words = strcasecmp(line, "Types") == 0  ? &source->types
                   : strcasecmp(line, "URIs") == 0 ? &source->uris
                                                   : NULL;
    if (words != NULL)
        append_words(words, value);
    return words;
}

void addresses_add_stanzas(struct names *addresses, const char *text) {
    cleanup_free char *copy = xstrdup(text);
    char *rest = copy;
    struct source source = {0};
    char **words = NULL;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (*line == '#')
            continue;
        if (line[strspn(line, BLANKS)] == '\0') {
            end_source(addresses, &source);
            words = NULL;
        } else if (strchr(BLANKS, *line) == NULL) {
            words = begin_field(&source, line);
        } else if (words != NULL) {
            append_words(words, line);
        }
    }
    end_source(addresses, &source);
}

/* ---- files ---- */

typedef void addresses_reader(struct names *addresses, const char *text);

static void add_file(const struct target *target, const char *path, addresses_reader *reader, struct names *addresses) {
    size_t size;
    cleanup_fd int fd = target_openat(target, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    cleanup_free char *text = fd >= 0 ? fd_read(fd, SOURCES_MOST, &size) : NULL;
    if (text != NULL)
        reader(addresses, text);
}

static void add_files(const struct target *target, const char *ending, addresses_reader *reader,
                      struct names *addresses) {
    struct names files = {0};
    method_list(target_openat(target, SOURCES_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), SOURCES_DIRECTORY,
                ending, &files);
    for (size_t i = 0; i < files.count; i++)
        add_file(target, files.items[i], reader, addresses);
    names_free(&files);
}

void debian_addresses(const struct target *target, struct names *addresses) {
    add_file(target, SOURCES_LIST, addresses_add_list, addresses);
    add_files(target, ".list", addresses_add_list, addresses);
    add_files(target, ".sources", addresses_add_stanzas, addresses);
}
