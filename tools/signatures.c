/* Reading, writing and extending the signature database. A name of a call may hold any printable text: recordings of
 * other systems have other calls than the shim's table.
 */
#include "tools/signatures.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/signature.h"
#include "runtime/text.h"
#include "runtime/util.h"

#define FORMAT 1
#define CALLS_MOST 1024 /* in one recording */
#define NAME_MOST 256

#define fail(mistake, setting, ...) text_mistake(mistake, config_setting_source_line(setting), __VA_ARGS__)

static const struct key root_keys[] = {
    {"format", TYPE_NUMBER, true},
    {"top", TYPE_NUMBER, true},
    {"entries", TYPE_LIST, true},
    {0},
};

static const struct key entry_keys[] = {
    {"name", TYPE_STRING, true},    {"cve", TYPE_STRING, false},     {"package", TYPE_STRING, false},
    {"recipe", TYPE_STRING, false}, {"recordings", TYPE_LIST, true}, {0},
};

static const struct key recording_keys[] = {
    {"signature", TYPE_STRING, true},
    {"top", TYPE_ARRAY, true},
    {"never_seen", TYPE_ARRAY, true},
    {"risen", TYPE_ARRAY, true},
    {0},
};

void signatures_init(struct signatures *signatures) {
    *signatures = (struct signatures){.top = SIGNATURE_TOP};
}

static void entry_free(struct signature_entry *entry) {
    free(entry->name);
    free(entry->cve);
    free(entry->package);
    free(entry->recipe);
    for (size_t i = 0; i < entry->recording_count; i++)
        evidence_free(&entry->recordings[i]);
    free(entry->recordings);
}

void signatures_free(struct signatures *signatures) {
    for (size_t i = 0; i < signatures->count; i++)
        entry_free(&signatures->entries[i]);
    free(signatures->entries);
    *signatures = (struct signatures){0};
}

/* ---- reading ---- */

static bool is_printable(const char *text) {
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static bool check_name(struct mistake *mistake, const config_setting_t *setting, const char *text) {
    if (*text == '\0' || strlen(text) > NAME_MOST || !is_printable(text))
        return fail(mistake, setting, "\"%s\" holds a text that is empty, longer than %d bytes, or not printable",
                    config_setting_name(setting), NAME_MOST);
    return true;
}

static bool read_optional(struct mistake *mistake, const config_setting_t *group, const char *name, char **text) {
    const config_setting_t *setting = config_setting_get_member(group, name);
    if (setting == NULL)
        return true;
    if (!check_name(mistake, setting, config_setting_get_string(setting)))
        return false;
    *text = xstrdup(config_setting_get_string(setting));
    return true;
}

/* The element of an array of texts, or NULL after a mistake. */
static const char *element(struct mistake *mistake, const config_setting_t *array, unsigned at) {
    const config_setting_t *setting = config_setting_get_elem(array, at);
    if (config_setting_type(setting) == CONFIG_TYPE_STRING)
        return check_name(mistake, array, config_setting_get_string(setting)) ? config_setting_get_string(setting)
                                                                              : NULL;
    fail(mistake, array, "\"%s\" holds something that is no text in quotes", config_setting_name(array));
    return NULL;
}

static bool check_length(struct mistake *mistake, const config_setting_t *array, size_t most) {
    size_t length = (size_t)config_setting_length(array);
    if (length <= most)
        return true;
    return fail(mistake, array, "\"%s\" has %zu elements, more than %zu", config_setting_name(array), length, most);
}

static bool read_names(struct mistake *mistake, const config_setting_t *array, size_t most, char ***names,
                       size_t *count) {
    if (!check_length(mistake, array, most))
        return false;
    unsigned length = (unsigned)config_setting_length(array);
    for (unsigned i = 0; i < length; i++) {
        const char *name = element(mistake, array, i);
        if (name == NULL)
            return false;
        *array_append(*names, *count) = xstrdup(name);
    }
    return true;
}

static bool check_order(struct mistake *mistake, const config_setting_t *array, const char *before, const char *name) {
    if (before == NULL || strcmp(before, name) < 0)
        return true;
    return fail(mistake, array, "\"%s\" is not in order: \"%.80s\" stands before \"%.80s\"", config_setting_name(array),
                before, name);
}

static bool read_never_seen(struct mistake *mistake, const config_setting_t *array, struct evidence *evidence) {
    if (!read_names(mistake, array, CALLS_MOST, &evidence->never_seen, &evidence->never_seen_count))
        return false;
    for (size_t i = 1; i < evidence->never_seen_count; i++)
        if (!check_order(mistake, array, evidence->never_seen[i - 1], evidence->never_seen[i]))
            return false;
    return true;
}

/* "execve 87": a call and its rise in hundredths. */
static bool read_rise(struct mistake *mistake, const config_setting_t *array, const char *text,
                      struct evidence *evidence) {
    const char *blank = strrchr(text, ' ');
    char *end = NULL;
    unsigned long rise = blank != NULL && blank[1] >= '1' && blank[1] <= '9' ? strtoul(blank + 1, &end, 10) : 0;
    if (rise == 0 || rise > RISE_FULL || *end != '\0' || blank == text)
        return fail(mistake, array, "\"%.80s\" is no call with its rise in hundredths, as \"execve 87\"", text);
    struct risen_call *risen = array_append(evidence->risen, evidence->risen_count);
    *risen = (struct risen_call){xstrndup(text, (size_t)(blank - text)), (unsigned)rise};
    return check_order(mistake, array, evidence->risen_count > 1 ? risen[-1].name : NULL, risen->name);
}

static bool read_risen(struct mistake *mistake, const config_setting_t *array, struct evidence *evidence) {
    if (!check_length(mistake, array, CALLS_MOST))
        return false;
    unsigned length = (unsigned)config_setting_length(array);
    for (unsigned i = 0; i < length; i++) {
        const char *text = element(mistake, array, i);
        if (text == NULL || !read_rise(mistake, array, text, evidence))
            return false;
    }
    return true;
}

static bool check_digest(struct mistake *mistake, const config_setting_t *setting, struct evidence *evidence) {
    uint8_t digest[SHA256_BYTES];
    char text[DIGEST_TEXT_BYTES];
    digest_of(evidence->top, evidence->top_count, evidence->digest);
    digest_format(evidence->digest, text);
    if (!digest_parse(config_setting_get_string(setting), digest))
        return fail(mistake, setting, "\"signature\" must be 64 digits, 0 to 9 and a to f");
    if (memcmp(digest, evidence->digest, sizeof digest) != 0)
        return fail(mistake, setting, "\"signature\" is not that of the calls in \"top\", which is %s", text);
    return true;
}

static bool read_recording(struct mistake *mistake, const config_setting_t *group, unsigned top,
                           struct evidence *evidence) {
    return text_check_keys(mistake, group, recording_keys, "the recording") &&
           read_names(mistake, config_setting_get_member(group, "top"), top, &evidence->top, &evidence->top_count) &&
           read_never_seen(mistake, config_setting_get_member(group, "never_seen"), evidence) &&
           read_risen(mistake, config_setting_get_member(group, "risen"), evidence) &&
           check_digest(mistake, config_setting_get_member(group, "signature"), evidence);
}

static bool check_group(struct mistake *mistake, const config_setting_t *list, const config_setting_t *group) {
    if (config_setting_type(group) == CONFIG_TYPE_GROUP)
        return true;
    return fail(mistake, group, "an element of \"%s\" must be a group in { }", config_setting_name(list));
}

static bool read_recordings(struct mistake *mistake, const config_setting_t *list, unsigned top,
                            struct signature_entry *entry) {
    unsigned length = (unsigned)config_setting_length(list);
    if (length == 0)
        return fail(mistake, list, "\"%.80s\" has no recording: remove the entry", entry->name);
    if (!check_length(mistake, list, RECORDINGS_MOST))
        return false;
    for (unsigned i = 0; i < length; i++) {
        const config_setting_t *group = config_setting_get_elem(list, i);
        if (!check_group(mistake, list, group) ||
            !read_recording(mistake, group, top, array_append(entry->recordings, entry->recording_count)))
            return false;
    }
    return true;
}

static bool read_entry(struct mistake *mistake, const config_setting_t *group, struct signatures *signatures) {
    if (!text_check_keys(mistake, group, entry_keys, "the entry"))
        return false;
    const config_setting_t *name = config_setting_get_member(group, "name");
    if (!check_name(mistake, name, config_setting_get_string(name)))
        return false;
    if (signatures_find(signatures, config_setting_get_string(name)) != NULL)
        return fail(mistake, name, "\"%.80s\" is there twice: put all its recordings into one entry",
                    config_setting_get_string(name));
    struct signature_entry *entry = array_append(signatures->entries, signatures->count);
    entry->name = xstrdup(config_setting_get_string(name));
    return read_optional(mistake, group, "cve", &entry->cve) &&
           read_optional(mistake, group, "package", &entry->package) &&
           read_optional(mistake, group, "recipe", &entry->recipe) &&
           read_recordings(mistake, config_setting_get_member(group, "recordings"), signatures->top, entry);
}

static bool read_head(struct mistake *mistake, const config_setting_t *root, struct signatures *signatures) {
    const config_setting_t *format = config_setting_get_member(root, "format");
    const config_setting_t *top = config_setting_get_member(root, "top");
    if (text_number(format) != FORMAT)
        return fail(mistake, format, "format %" PRId64 " is not known (this version reads format %d)",
                    text_number(format), FORMAT);
    if (text_number(top) < 1 || text_number(top) > SIGNATURE_TOP_MOST)
        return fail(mistake, top, "\"top\" must be from 1 to %d", SIGNATURE_TOP_MOST);
    signatures->top = (unsigned)text_number(top);
    return true;
}

static bool read_root(struct mistake *mistake, const config_setting_t *root, void *context) {
    struct signatures *signatures = context;
    if (!text_check_keys(mistake, root, root_keys, "the database") || !read_head(mistake, root, signatures))
        return false;
    const config_setting_t *list = config_setting_get_member(root, "entries");
    unsigned length = (unsigned)config_setting_length(list);
    for (unsigned i = 0; i < length; i++) {
        const config_setting_t *group = config_setting_get_elem(list, i);
        if (!check_group(mistake, list, group) || !read_entry(mistake, group, signatures))
            return false;
    }
    return true;
}

static int compare_entries(const void *a, const void *b) {
    return strcmp(((const struct signature_entry *)a)->name, ((const struct signature_entry *)b)->name);
}

static void sort(struct signatures *signatures) {
    if (signatures->count > 0)
        qsort(signatures->entries, signatures->count, sizeof *signatures->entries, compare_entries);
}

bool signatures_parse(const char *text, struct signatures *signatures, struct mistake *mistake) {
    signatures_init(signatures);
    if (!text_parse(text, mistake, read_root, signatures)) {
        signatures_free(signatures);
        return false;
    }
    sort(signatures);
    return true;
}

bool signatures_read(const char *path, struct signatures *signatures, struct mistake *mistake) {
    *mistake = (struct mistake){0};
    cleanup_free char *text = text_read(path, NULL, NULL, mistake);
    return text != NULL && signatures_parse(text, signatures, mistake);
}

void signatures_read_or_die(const char *path, struct signatures *signatures) {
    struct mistake mistake;
    if (signatures_read(path, signatures, &mistake))
        return;
    if (mistake.line > 0)
        die("cannot read signatures \"%s\" line %u: %s", path, mistake.line, mistake.text);
    die("cannot read signatures \"%s\": %s", path, mistake.text);
}

/* ---- writing ---- */

#define LINE_WIDTH 120

/* One element of an array: a blank before it, or a new line where it would pass the margin. */
static void put_element(FILE *out, size_t *column, bool first, const char *text) {
    size_t width = strlen(text) + 4;
    if (!first)
        fputc(',', out);
    if (*column + width > LINE_WIDTH) {
        fputs("\n             ", out);
        *column = 13;
    }
    fputc(' ', out);
    text_put(text, out);
    *column += width;
}

static size_t begin_array(FILE *out, const char *name) {
    return (size_t)fprintf(out, "          %s = [", name);
}

static void put_names(FILE *out, const char *name, char *const *names, size_t count) {
    size_t column = begin_array(out, name);
    for (size_t i = 0; i < count; i++)
        put_element(out, &column, i == 0, names[i]);
    fputs(" ];\n", out);
}

static void put_risen(FILE *out, const struct evidence *evidence) {
    size_t column = begin_array(out, "risen");
    for (size_t i = 0; i < evidence->risen_count; i++) {
        cleanup_free char *text = xasprintf("%s %u", evidence->risen[i].name, evidence->risen[i].rise);
        put_element(out, &column, i == 0, text);
    }
    fputs(" ];\n", out);
}

static void put_recording(FILE *out, const struct evidence *evidence) {
    char digest[DIGEST_TEXT_BYTES];
    digest_format(evidence->digest, digest);
    fprintf(out, "        { signature = \"%s\";\n", digest);
    put_names(out, "top", evidence->top, evidence->top_count);
    put_names(out, "never_seen", evidence->never_seen, evidence->never_seen_count);
    put_risen(out, evidence);
    fputs("        }", out);
}

static void put_key(FILE *out, const char *name, const char *text) {
    if (text == NULL)
        return;
    fprintf(out, "      %s = ", name);
    text_put(text, out);
    fputs(";\n", out);
}

static void put_entry(FILE *out, const struct signature_entry *entry) {
    fputs("    {\n", out);
    put_key(out, "name", entry->name);
    put_key(out, "cve", entry->cve);
    put_key(out, "package", entry->package);
    put_key(out, "recipe", entry->recipe);
    fputs("      recordings = (\n", out);
    for (size_t i = 0; i < entry->recording_count; i++) {
        put_recording(out, &entry->recordings[i]);
        fputs(i + 1 < entry->recording_count ? ",\n" : "\n", out);
    }
    fputs("      );\n    }", out);
}

void signatures_write(const struct signatures *signatures, FILE *out) {
    fprintf(
        out,
        "# What attacks look like, for `pinion signature`. \"signature\" is the SHA-256 over the names in \"top\",\n"
        "# \"risen\" tells how much each call rose beyond what training knows, in hundredths.\n"
        "format = %d;\ntop = %u;\nentries = (\n",
        FORMAT, signatures->top);
    for (size_t i = 0; i < signatures->count; i++) {
        put_entry(out, &signatures->entries[i]);
        fputs(i + 1 < signatures->count ? ",\n" : "\n", out);
    }
    fputs(");\n", out);
}

/* ---- extending ---- */

struct signature_entry *signatures_find(const struct signatures *signatures, const char *name) {
    for (size_t i = 0; i < signatures->count; i++)
        if (strcmp(signatures->entries[i].name, name) == 0)
            return &signatures->entries[i];
    return NULL;
}

enum learned signatures_learn(struct signatures *signatures, const char *name, const struct evidence *evidence) {
    struct signature_entry *entry = signatures_find(signatures, name);
    bool is_new = entry == NULL;
    if (is_new) {
        entry = array_append(signatures->entries, signatures->count);
        entry->name = xstrdup(name);
    }
    for (size_t i = 0; i < entry->recording_count; i++)
        if (evidence_equal(&entry->recordings[i], evidence))
            return LEARNED_NOTHING;
    if (entry->recording_count == RECORDINGS_MOST)
        return LEARNED_TOO_MANY;
    evidence_copy(array_append(entry->recordings, entry->recording_count), evidence);
    sort(signatures);
    return is_new ? LEARNED_ENTRY : LEARNED_RECORDING;
}
