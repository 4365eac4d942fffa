/* The manifest's form: a line of text that names it, numbers in the machine's order, texts with their length before
 * them, and at the end the SHA-256 of it all.
 */
#include "tools/patch/manifest.h"

#include <string.h>

#include "runtime/sha256.h"
#include "runtime/text.h"
#include "runtime/util.h"

#define MAGIC "pinion manifest 1\n"
#define MAGIC_BYTES (sizeof MAGIC - 1)
#define NAME_MOST 255
#define PATH_MOST 4096

void manifest_free(struct manifest *manifest) {
    for (size_t i = 0; i < manifest->entry_count; i++) {
        free(manifest->entries[i].path);
        attributes_free(&manifest->entries[i].attributes);
    }
    for (size_t i = 0; i < manifest->directory_count; i++)
        free(manifest->directories[i].path);
    free(manifest->entries);
    free(manifest->directories);
    *manifest = (struct manifest){.incident = 0};
}

/* ---- writing ---- */

static void put(FILE *out, uint64_t number) {
    fwrite(&number, sizeof number, 1, out);
}

static void put_bytes(FILE *out, const void *data, size_t size) {
    put(out, size);
    fwrite(data, 1, size, out);
}

static void put_status(FILE *out, const struct stat *status) {
    put(out, status->st_mode);
    put(out, status->st_uid);
    put(out, status->st_gid);
    put(out, (uint64_t)status->st_atim.tv_sec);
    put(out, (uint64_t)status->st_atim.tv_nsec);
    put(out, (uint64_t)status->st_mtim.tv_sec);
    put(out, (uint64_t)status->st_mtim.tv_nsec);
}

static void put_entry(FILE *out, const struct manifest_entry *entry) {
    put(out, entry->kind);
    put(out, (entry->was_directory ? 1u : 0u) | (entry->is_directory ? 2u : 0u));
    put_bytes(out, entry->path, strlen(entry->path));
    put(out, entry->inode);
    put_status(out, &entry->before);
    put(out, entry->attributes.count);
    for (size_t i = 0; i < entry->attributes.count; i++) {
        put_bytes(out, entry->attributes.items[i].name, strlen(entry->attributes.items[i].name));
        put_bytes(out, entry->attributes.items[i].value, entry->attributes.items[i].size);
    }
}

char *manifest_write(const struct manifest *manifest, size_t *size) {
    char *data = NULL;
    FILE *out = xopen_memstream(&data, size);
    fwrite(MAGIC, 1, MAGIC_BYTES, out);
    put(out, (uint64_t)manifest->incident);
    put(out, manifest->entry_count);
    for (size_t i = 0; i < manifest->entry_count; i++)
        put_entry(out, &manifest->entries[i]);
    put(out, manifest->directory_count);
    for (size_t i = 0; i < manifest->directory_count; i++) {
        put_bytes(out, manifest->directories[i].path, strlen(manifest->directories[i].path));
        put_status(out, &manifest->directories[i].before);
    }
    fflush(out);
    struct sha256 hash;
    uint8_t digest[SHA256_BYTES];
    sha256_begin(&hash);
    sha256_add(&hash, data, *size);
    sha256_end(&hash, digest);
    fwrite(digest, 1, sizeof digest, out);
    fclose(out);
    return data;
}

/* ---- reading ---- */

struct reader {
    const uint8_t *at, *end;
    bool bad; /* sticks */
};

static uint64_t take(struct reader *reader, uint64_t most) {
    uint64_t number = 0;
    if (reader->bad || (size_t)(reader->end - reader->at) < sizeof number) {
        reader->bad = true;
        return 0;
    }
    memcpy(&number, reader->at, sizeof number);
    reader->at += sizeof number;
    reader->bad = number > most;
    return reader->bad ? 0 : number;
}

/* A count of things that take at least 8 bytes each. */
static size_t take_count(struct reader *reader) {
    return (size_t)take(reader, (uint64_t)(reader->end - reader->at) / 8);
}

static uint8_t *take_bytes(struct reader *reader, size_t most, size_t *size) {
    *size = (size_t)take(reader, most);
    if (reader->bad || (size_t)(reader->end - reader->at) < *size) {
        reader->bad = true;
        return NULL;
    }
    uint8_t *bytes = xmalloc(*size + 1);
    memcpy(bytes, reader->at, *size);
    bytes[*size] = '\0';
    reader->at += *size;
    return bytes;
}

static char *take_text(struct reader *reader, size_t most) {
    size_t size;
    char *text = (char *)take_bytes(reader, most, &size);
    if (text != NULL && (size == 0 || strlen(text) != size))
        reader->bad = true;
    return text;
}

static void take_status(struct reader *reader, struct stat *status) {
    status->st_mode = (mode_t)take(reader, UINT32_MAX);
    status->st_uid = (uid_t)take(reader, UINT32_MAX);
    status->st_gid = (gid_t)take(reader, UINT32_MAX);
    status->st_atim.tv_sec = (time_t)take(reader, UINT64_MAX);
    status->st_atim.tv_nsec = (long)take(reader, 999999999);
    status->st_mtim.tv_sec = (time_t)take(reader, UINT64_MAX);
    status->st_mtim.tv_nsec = (long)take(reader, 999999999);
}

static void take_attributes(struct reader *reader, struct attributes *attributes) {
    size_t count = take_count(reader);
    for (size_t i = 0; i < count && !reader->bad; i++) {
        struct attribute *attribute = array_append(attributes->items, attributes->count);
        attribute->name = take_text(reader, NAME_MOST);
        attribute->value = take_bytes(reader, UINT16_MAX + 1u, &attribute->size);
        /* An overlay's own, by which a directory could be made to show another. */
        if (attribute->name != NULL && strncmp(attribute->name, "trusted.overlay.", 16) == 0)
            reader->bad = true;
    }
}

static void take_entry(struct reader *reader, struct manifest_entry *entry) {
    entry->kind = (enum change_kind)take(reader, CHANGE_METADATA);
    uint64_t flags = take(reader, 3);
    entry->was_directory = (flags & 1) != 0;
    entry->is_directory = (flags & 2) != 0;
    entry->path = take_text(reader, PATH_MOST);
    entry->inode = take(reader, UINT64_MAX);
    take_status(reader, &entry->before);
    take_attributes(reader, &entry->attributes);
    if (entry->path != NULL && !path_is_plain(entry->path))
        reader->bad = true;
}

static void take_directory(struct reader *reader, struct manifest_directory *directory) {
    directory->path = take_text(reader, PATH_MOST);
    take_status(reader, &directory->before);
    if (directory->path != NULL && strcmp(directory->path, "/") != 0 && !path_is_plain(directory->path))
        reader->bad = true;
}

static void take_all(struct reader *reader, struct manifest *manifest) {
    manifest->incident = (int64_t)take(reader, INT64_MAX);
    size_t entries = take_count(reader);
    for (size_t i = 0; i < entries && !reader->bad; i++)
        take_entry(reader, array_append(manifest->entries, manifest->entry_count));
    size_t directories = take_count(reader);
    for (size_t i = 0; i < directories && !reader->bad; i++)
        take_directory(reader, array_append(manifest->directories, manifest->directory_count));
    if (reader->at != reader->end)
        reader->bad = true;
}

static bool digest_fits(const uint8_t *data, size_t size) {
    struct sha256 hash;
    uint8_t digest[SHA256_BYTES];
    sha256_begin(&hash);
    sha256_add(&hash, data, size);
    sha256_end(&hash, digest);
    return memcmp(digest, data + size, SHA256_BYTES) == 0;
}

bool manifest_parse(const void *data, size_t size, struct manifest *manifest, struct mistake *mistake) {
    if (size < MAGIC_BYTES + SHA256_BYTES || memcmp(data, MAGIC, MAGIC_BYTES) != 0)
        return text_mistake(mistake, 0, "it is no manifest of this version");
    size -= SHA256_BYTES;
    if (!digest_fits(data, size))
        return text_mistake(mistake, 0, "it is damaged");
    struct reader reader = {.at = (const uint8_t *)data + MAGIC_BYTES, .end = (const uint8_t *)data + size};
    take_all(&reader, manifest);
    if (!reader.bad)
        return true;
    manifest_free(manifest);
    return text_mistake(mistake, 0, "it makes no sense");
}
