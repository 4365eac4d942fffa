/* Which characters a text may hold, and reading settings of libconfig that have such a form. Nothing here knows what a
 * recipe is, nor touches files.
 */
#include "tools/patch/form.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "runtime/util.h"
#include "tools/describe.h"

#define fail(mistake, setting, ...) text_mistake(mistake, config_setting_source_line(setting), __VA_ARGS__)

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define LETTERS LOWER UPPER DIGITS

/* ---- forms ---- */

/* The first character out of `first`, all others out of `rest`. */
static bool consists_of(const char *text, const char *first, const char *rest) {
    return *text != '\0' && strchr(first, *text) != NULL && text[1 + strspn(text + 1, rest)] == '\0';
}

/* Nothing that a terminal would obey. */
static bool is_line(const char *text) {
    cleanup_free char *clean = printable(text);
    return *text != '\0' && strcmp(clean, text) == 0;
}

static bool is_argument(const char *text) {
    return *text == '\0' || is_line(text);
}

static bool is_script(const char *text) {
    cleanup_free char *lines = xstrdup(text);
    for (char *at = lines; *at != '\0'; at++)
        if (*at == '\n' || *at == '\t')
            *at = ' ';
    return is_line(lines);
}

static bool is_recipe_name(const char *text) {
    return consists_of(text, LETTERS, LETTERS "-_.+");
}

static bool is_cve(const char *text) {
    if (strncmp(text, "CVE-", 4) != 0 || strspn(text + 4, DIGITS) != 4 || text[8] != '-')
        return false;
    size_t number = strspn(text + 9, DIGITS);
    return number >= 4 && number <= 19 && text[9 + number] == '\0';
}

static bool is_debian_package(const char *text) {
    return consists_of(text, LOWER DIGITS, LOWER DIGITS "+-.") && text[1] != '\0';
}

/* [epoch:]upstream[-revision]; the upstream version begins with a digit. */
static bool is_debian_version(const char *text) {
    size_t epoch = strspn(text, DIGITS);
    if (text[epoch] == ':' && epoch > 0)
        text += epoch + 1;
    return consists_of(text, DIGITS, LETTERS ".+-~") && text[strlen(text) - 1] != '-';
}

static bool is_apk_package(const char *text) {
    return consists_of(text, LETTERS "_", LETTERS "-_.+");
}

static bool is_apk_version(const char *text) {
    return consists_of(text, DIGITS, LOWER DIGITS "._~-");
}

static bool is_package(const char *text) {
    return is_debian_package(text) || is_apk_package(text);
}

static bool is_version(const char *text) {
    return is_debian_version(text) || is_apk_version(text);
}

static bool is_architecture(const char *text) {
    return consists_of(text, LOWER DIGITS, LOWER DIGITS "-_");
}

/* No part is empty, "." or "..". */
static bool has_plain_parts(const char *path) {
    while (true) {
        size_t length = strcspn(path, "/");
        if (length == 0 || (length == 1 && path[0] == '.') || (length == 2 && path[0] == '.' && path[1] == '.'))
            return false;
        if (path[length] == '\0')
            return true;
        path += length + 1;
    }
}

static bool is_archive_path(const char *text) {
    if (strncmp(text, "./", 2) == 0) /* as a flat archive has it */
        text += 2;
    return consists_of(text, LETTERS, LETTERS "/._+~%:=-") && has_plain_parts(text);
}

static bool is_absolute_path(const char *text) {
    return *text == '/' && is_line(text) && has_plain_parts(text + 1);
}

static bool is_root_path(const char *text) {
    return strcmp(text, "/") == 0 || is_absolute_path(text);
}

static bool is_below(const char *path, const char *directory) {
    size_t length = strlen(directory);
    return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static bool is_changeable_path(const char *text) {
    static const char *const passing[] = {
        "/proc", "/sys", "/dev", "/run", "/var/run", "/tmp", "/var/lib/pinion", "/var/cache/pinion"};
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
        if (is_below(text, passing[i]))
            return false;
    return is_absolute_path(text);
}

/* What RFC 3986 allows, without quotes, brackets and "$". */
static bool is_url_behind(const char *text, const char *scheme) {
    size_t length = strlen(scheme);
    return strncmp(text, scheme, length) == 0 && consists_of(text + length, LETTERS "[", LETTERS "-._~:/?#[]@!&*+,;=%");
}

static bool is_health_url(const char *text) {
    return is_url_behind(text, "https://") || is_url_behind(text, "http://");
}

static bool is_url(const char *text) {
    size_t length = strlen("file://");
    return is_health_url(text) || (strncmp(text, "file://", length) == 0 && is_absolute_path(text + length) &&
                                   strpbrk(text, " \"'\\`$%?#") == NULL);
}

static bool is_signal(const char *text) {
    static const char *const known[] = {"HUP", "INT", "QUIT", "TERM", "KILL", "USR1", "USR2", "WINCH"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(text, known[i]) == 0)
            return true;
    return false;
}

const struct form form_line = {"one line of printable text", 1000, is_line};
const struct form form_argument = {"printable text", 4000, is_argument};
const struct form form_command_line = {"one line of printable text", 4000, is_line};
const struct form form_script = {"lines of printable text", 65536, is_script};
const struct form form_recipe_name = {"a name of letters, digits, \"-\", \"_\", \".\" and \"+\" that begins with a "
                                      "letter or digit",
                                      128, is_recipe_name};
const struct form form_cve = {"a CVE, as \"CVE-2014-6271\"", 32, is_cve};
const struct form form_debian_package = {"a Debian package's name: a to z, digits, \"+\", \"-\", \".\"", 128,
                                         is_debian_package};
const struct form form_debian_version = {"a Debian version, as \"1:2.3-4+deb12u1\"", 128, is_debian_version};
const struct form form_apk_package = {"an Alpine package's name: letters, digits, \"-\", \"_\", \".\", \"+\"", 128,
                                      is_apk_package};
const struct form form_apk_version = {"an Alpine version, as \"1.2.3-r4\"", 128, is_apk_version};
const struct form form_package = {"a package's name: letters, digits, \"+\", \"-\", \".\", \"_\"", 128, is_package};
const struct form form_version = {"a package's version, as \"1:2.3-4+deb12u1\" or \"1.2.3-r4\"", 128, is_version};
const struct form form_architecture = {"an architecture, as \"amd64\"", 32, is_architecture};
const struct form form_archive_path = {"a path in the archive, as \"pool/main/x/x_1_amd64.deb\": no \"..\", not "
                                       "beginning with \"/\"",
                                       1000, is_archive_path};
const struct form form_absolute_path = {"an absolute path without \"..\", \".\" and empty parts", 4000,
                                        is_absolute_path};
const struct form form_root_path = {"\"/\", or an absolute path without \"..\", \".\" and empty parts", 4000,
                                    is_root_path};
const struct form form_changeable_path = {"an absolute path without \"..\", \".\" and empty parts, and not below "
                                          "/proc, /sys, /dev, /run, /tmp, /var/lib/pinion or /var/cache/pinion",
                                          4000, is_changeable_path};
const struct form form_url = {"an URL (https://, http:// or file:///) without blanks, quotes and \"$\"", 2000, is_url};
const struct form form_health_url = {"an URL (https:// or http://) without blanks, quotes and \"$\"", 2000,
                                     is_health_url};
const struct form form_signal = {"one of HUP, INT, QUIT, TERM, KILL, USR1, USR2, WINCH", 8, is_signal};

bool form_matches(const struct form *form, const char *text) {
    return strnlen(text, form->most + 1) <= form->most && form->good(text);
}

/* ---- dates ---- */

/* Digits stand where `pattern` has a "0", else the same character. */
static bool has_pattern(const char *text, const char *pattern) {
    for (; *pattern != '\0'; pattern++, text++)
        if (*pattern == '0' ? *text < '0' || *text > '9' : *text != *pattern)
            return false;
    return *text == '\0';
}

static int two_digits(const char *text) {
    return (text[0] - '0') * 10 + text[1] - '0';
}

bool date_parse(const char *text, int64_t *seconds) {
    bool with_time = has_pattern(text, "0000-00-00T00:00:00Z");
    if (!with_time && !has_pattern(text, "0000-00-00"))
        return false;
    struct tm given = {.tm_year = two_digits(text) * 100 + two_digits(text + 2) - 1900,
                       .tm_mon = two_digits(text + 5) - 1,
                       .tm_mday = two_digits(text + 8)};
    if (with_time) {
        given.tm_hour = two_digits(text + 11);
        given.tm_min = two_digits(text + 14);
        given.tm_sec = two_digits(text + 17);
    }
    struct tm normal = given;
    *seconds = timegm(&normal); /* which makes March 2 of February 30 */
    return *seconds >= 0 && normal.tm_mon == given.tm_mon && normal.tm_mday == given.tm_mday &&
           normal.tm_hour == given.tm_hour && normal.tm_min == given.tm_min && normal.tm_sec == given.tm_sec;
}

void date_format(int64_t seconds, char text[DATE_TEXT_BYTES]) {
    struct tm parts;
    time_t time = (time_t)seconds;
    *text = '\0';
    if (gmtime_r(&time, &parts) != NULL)
        strftime(text, DATE_TEXT_BYTES, seconds % 86400 == 0 ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%SZ", &parts);
}

/* ---- reading ---- */

static bool check_form(struct mistake *mistake, const config_setting_t *setting, const char *name,
                       const struct form *form, const char *text) {
    if (form_matches(form, text))
        return true;
    if (strlen(text) > form->most)
        return fail(mistake, setting, "\"%s\" holds a text of %zu bytes, more than %zu", name, strlen(text),
                    form->most);
    cleanup_free char *clean = printable(text);
    return fail(mistake, setting, "\"%s\" must be %s, not \"%.120s\"", name, form->words, clean);
}

bool read_text(struct mistake *mistake, const config_setting_t *group, const char *name, const struct form *form,
               char **text) {
    const config_setting_t *setting = config_setting_get_member(group, name);
    if (setting == NULL)
        return true;
    const char *given = config_setting_get_string(setting);
    if (!check_form(mistake, setting, name, form, given))
        return false;
    *text = xstrdup(given);
    return true;
}

bool read_number(struct mistake *mistake, const config_setting_t *group, const char *name, int64_t least, int64_t most,
                 int64_t *number) {
    const config_setting_t *setting = config_setting_get_member(group, name);
    if (setting == NULL)
        return true;
    *number = text_number(setting);
    if (*number >= least && *number <= most)
        return true;
    return fail(mistake, setting, "\"%s\" must lie between %" PRId64 " and %" PRId64 ", not %" PRId64, name, least,
                most, *number);
}

bool read_date(struct mistake *mistake, const config_setting_t *group, const char *name, int64_t *seconds) {
    const config_setting_t *setting = config_setting_get_member(group, name);
    if (setting == NULL || date_parse(config_setting_get_string(setting), seconds))
        return true;
    return fail(mistake, setting,
                "\"%s\" must be a day or time, as \"2026-11-22\" or \"2026-11-22T10:00:00Z\", not "
                "\"%.40s\"",
                name, config_setting_get_string(setting));
}

bool read_texts(struct mistake *mistake, const config_setting_t *group, const char *name, const struct form *form,
                size_t most, char ***texts) {
    const config_setting_t *array = config_setting_get_member(group, name);
    unsigned length = array != NULL ? (unsigned)config_setting_length(array) : 0;
    *texts = xcalloc((size_t)length + 1, sizeof **texts);
    if (length > most)
        return fail(mistake, array, "\"%s\" has %u elements, more than %zu", name, length, most);
    for (unsigned i = 0; i < length; i++) {
        const config_setting_t *element = config_setting_get_elem(array, i);
        if (config_setting_type(element) != CONFIG_TYPE_STRING)
            return fail(mistake, array, "\"%s\" holds something that is no text in quotes", name);
        if (!check_form(mistake, element, name, form, config_setting_get_string(element)))
            return false;
        (*texts)[i] = xstrdup(config_setting_get_string(element));
    }
    return true;
}

size_t texts_count(char *const *texts) {
    size_t count = 0;
    while (texts != NULL && texts[count] != NULL)
        count++;
    return count;
}

void texts_free(char **texts) {
    for (char **each = texts; each != NULL && *each != NULL; each++)
        free(*each);
    free(texts);
}

bool read_word(struct mistake *mistake, const config_setting_t *group, const char *name, const char *const *words,
               unsigned *index) {
    const config_setting_t *setting = config_setting_get_member(group, name);
    if (setting == NULL)
        return true;
    const char *text = config_setting_get_string(setting);
    for (unsigned i = 0; words[i] != NULL; i++)
        if (strcmp(text, words[i]) == 0) {
            *index = i;
            return true;
        }
    const char *nearest = nearest_word(text, words);
    if (nearest != NULL)
        return fail(mistake, setting, "\"%s\" cannot be \"%.40s\" (did you mean \"%s\"?)", name, text, nearest);
    char list[200];
    size_t length = 0;
    for (unsigned i = 0; words[i] != NULL && length < sizeof list; i++)
        length += (size_t)snprintf(list + length, sizeof list - length, "%s\"%s\"", i > 0 ? ", " : "", words[i]);
    return fail(mistake, setting, "\"%s\" cannot be \"%.40s\": it is one of %s", name, text, list);
}

bool read_groups(struct mistake *mistake, const config_setting_t *group, const char *name, size_t most,
                 group_reader *reader, void *context) {
    const config_setting_t *list = config_setting_get_member(group, name);
    unsigned length = list != NULL ? (unsigned)config_setting_length(list) : 0;
    if (length > most)
        return fail(mistake, list, "\"%s\" has %u elements, more than %zu", name, length, most);
    for (unsigned i = 0; i < length; i++) {
        const config_setting_t *element = config_setting_get_elem(list, i);
        if (config_setting_type(element) != CONFIG_TYPE_GROUP)
            return fail(mistake, element, "an element of \"%s\" must be a group in { }", name);
        if (!reader(mistake, element, context))
            return false;
    }
    return true;
}
