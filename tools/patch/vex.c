/* OpenVEX documents. The target's texts are hostile: what becomes a part of a package URL is encoded or left out. */
#include "tools/patch/vex.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "runtime/sha256.h"
#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/json.h"

#define CONTEXT "https://openvex.dev/ns/v0.2.0"
#define OS_VALUE_BYTES 64

/* ---- the product ---- */

/* The value of a key of os-release, without quotes; "" where it is missing or odd. */
static void os_value(const char *text, const char *key, char value[OS_VALUE_BYTES]) {
    size_t length = strlen(key);
    value[0] = '\0';
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) != 0 || line[length] != '=')
            continue;
        const char *from = line + length + 1;
        from += *from == '"' || *from == '\'';
        size_t size = strcspn(from, "\"'\n");
        if (size < OS_VALUE_BYTES) {
            memcpy(value, from, size);
            value[size] = '\0';
        }
    }
}

static bool has_word(const char *list, const char *word) {
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += length)
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

/* Which kind of package a distribution or one that it is like has. */
static const struct package_kind {
    const char *distribution, *type;
} package_kinds[] = {{"debian", "deb"}, {"ubuntu", "deb"}, {"alpine", "apk"}, {"wolfi", "apk"}};

static const char *package_type(const char *identifier, const char *like) {
    for (size_t i = 0; i < sizeof package_kinds / sizeof package_kinds[0]; i++)
        if (strcmp(identifier, package_kinds[i].distribution) == 0 || has_word(like, package_kinds[i].distribution))
            return package_kinds[i].type;
    return NULL;
}

/* As the specification of package URLs says: all but these is percent-encoded. */
static void put_encoded(const char *text, FILE *out) {
    for (; *text != '\0'; text++)
        if (isalnum((unsigned char)*text) || strchr(".-_~:", *text) != NULL)
            fputc(*text, out);
        else
            fprintf(out, "%%%02X", (unsigned char)*text);
}

static void put_qualifier(const char *name, const char *value, const char **separator, FILE *out) {
    if (value == NULL || *value == '\0')
        return;
    fprintf(out, "%s%s=", *separator, name);
    put_encoded(value, out);
    *separator = "&";
}

/* "pkg:deb/debian/bash@5.2?arch=amd64&distro=debian-12"; the caller frees. */
static char *package_url(const struct incident *incident, const struct vex_system *system) {
    char identifier[OS_VALUE_BYTES], like[OS_VALUE_BYTES], version[OS_VALUE_BYTES];
    os_value(system->os_release, "ID", identifier);
    os_value(system->os_release, "ID_LIKE", like);
    os_value(system->os_release, "VERSION_ID", version);
    const char *type = identifier[0] != '\0' ? package_type(identifier, like) : NULL, *separator = "?";
    cleanup_free char *release = xasprintf("%s-%s", identifier, version);
    char *url = NULL;
    size_t size;
    FILE *out = xopen_memstream(&url, &size);
    fprintf(out, "pkg:%s/", type ? type : "generic");
    if (type != NULL) {
        put_encoded(identifier, out);
        fputc('/', out);
    }
    put_encoded(incident->package, out);
    fputc('@', out);
    put_encoded(incident->to, out);
    put_qualifier("arch", system->architecture, &separator, out);
    put_qualifier("distro", type != NULL && version[0] != '\0' ? release : NULL, &separator, out);
    fclose(out);
    return url;
}

/* ---- the document ---- */

static void format_time(int64_t nanoseconds, char text[32]) {
    time_t seconds = (time_t)(nanoseconds / 1000000000);
    struct tm parts;
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &parts));
}

/* A name that no other document has, and this one always: a UUID (version 8) of what makes the incident itself. */
static char *document_name(const struct incident *incident, const char *url) {
    struct sha256 hash;
    uint8_t digest[SHA256_BYTES];
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    cleanup_free char *text =
        xasprintf("%s\n%" PRId64 "\n%" PRId64 "\n%s\n", host, incident->id, incident->created, url);
    sha256_begin(&hash);
    sha256_add(&hash, text, strlen(text));
    sha256_end(&hash, digest);
    digest[6] = (uint8_t)((digest[6] & 0x0f) | 0x80);
    digest[8] = (uint8_t)((digest[8] & 0x3f) | 0x80);
    char name[40];
    char *at = name;
    for (size_t i = 0; i < 16; i++)
        at += sprintf(at, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", digest[i]);
    return xasprintf("urn:uuid:%s", name);
}

static json_t *statement_json(const struct incident *incident, const char *cve, const char *url, const char *time) {
    cleanup_free char *notes = xasprintf("incident %" PRId64 ", recipe %s: %s %s installed in place of %s",
                                         incident->id, incident->recipe ? incident->recipe : "none", incident->package,
                                         incident->to, incident->from ? incident->from : "an unknown version");
    return json_pack("{s:{s:o}, s:[{s:s, s:{s:s}}], s:s, s:o, s:s}", "vulnerability", "name", json_text(cve),
                     "products", "@id", url, "identifiers", "purl", url, "status", "fixed", "status_notes",
                     json_text(notes), "timestamp", time);
}

/* NULL: nothing to state. */
static json_t *document_json(const struct incident *incident, const struct vex_system *system) {
    const char *const own[] = {incident->cve, NULL};
    const char *const *cves = system->cves ? system->cves : own;
    if (*cves == NULL || incident->package == NULL || incident->to == NULL)
        return NULL;
    char time[32];
    format_time(incident->changed, time);
    cleanup_free char *url = package_url(incident, system), *name = document_name(incident, url);
    json_t *statements = json_array();
    for (; *cves != NULL; cves++)
        json_array_append_new(statements, statement_json(incident, *cves, url, time));
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:o}", "@context", CONTEXT, "@id", name, "author", "pinion patchd",
                     "timestamp", time, "version", 1, "tooling", "pinion", "statements", statements);
}

static bool write_document(const char *directory, int64_t id, const json_t *document, struct mistake *mistake) {
    cleanup_free char *path = xasprintf("%s/pinion-%" PRId64 ".openvex.json", directory, id);
    cleanup_free char *text = json_dumps(document, JSON_INDENT(2));
    cleanup_free char *line = xasprintf("%s\n", text ? text : "");
    if (text != NULL && (mkdir(directory, 0755) == 0 || errno == EEXIST) &&
        atomic_file_write(path, 0644, line, strlen(line)))
        return true;
    return text_mistake(mistake, 0, "cannot write \"%s\": %s", path, strerror(errno));
}

bool vex_write(const char *directory, struct journal *journal, int64_t incident, const struct vex_system *system,
               struct mistake *mistake) {
    struct incident fixed;
    bool good = journal_read(journal, incident, &fixed) && fixed.state == INCIDENT_DONE;
    if (!good)
        text_mistake(mistake, 0, "incident %" PRId64 " is not done: there is nothing to state of it", incident);
    json_t *document = good ? document_json(&fixed, system) : NULL;
    if (document != NULL)
        good = write_document(directory, incident, document, mistake);
    json_decref(document);
    incident_free(&fixed);
    return good;
}
