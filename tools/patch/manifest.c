/* What a manifest holds, as a packed file.
 */
#include "tools/patch/manifest.h"

#include <string.h>

#include "runtime/util.h"
#include "tools/patch/packed.h"

#define MAGIC "pinion manifest 1\n"
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

static void put_status(struct packed_writer *out, const struct stat *status) {
    packed_put(out, status->st_mode);
    packed_put(out, status->st_uid);
    packed_put(out, status->st_gid);
    packed_put(out, (uint64_t)status->st_atim.tv_sec);
    packed_put(out, (uint64_t)status->st_atim.tv_nsec);
    packed_put(out, (uint64_t)status->st_mtim.tv_sec);
    packed_put(out, (uint64_t)status->st_mtim.tv_nsec);
}

static void put_entry(struct packed_writer *out, const struct manifest_entry *entry) {
    packed_put(out, entry->kind);
    packed_put(out, (entry->was_directory ? 1u : 0u) | (entry->is_directory ? 2u : 0u));
    packed_put_text(out, entry->path);
    packed_put(out, entry->inode);
    put_status(out, &entry->before);
    packed_put(out, entry->attributes.count);
    for (size_t i = 0; i < entry->attributes.count; i++) {
        packed_put_text(out, entry->attributes.items[i].name);
        packed_put_bytes(out, entry->attributes.items[i].value, entry->attributes.items[i].size);
    }
}

char *manifest_write(const struct manifest *manifest, size_t *size) {
    struct packed_writer out;
    packed_begin(&out, MAGIC);
    packed_put(&out, (uint64_t)manifest->incident);
    packed_put(&out, manifest->entry_count);
    for (size_t i = 0; i < manifest->entry_count; i++)
        put_entry(&out, &manifest->entries[i]);
    packed_put(&out, manifest->directory_count);
    for (size_t i = 0; i < manifest->directory_count; i++) {
        packed_put_text(&out, manifest->directories[i].path);
        put_status(&out, &manifest->directories[i].before);
    }
    return packed_end(&out, size);
}

/* ---- reading ---- */

static void take_status(struct packed_reader *reader, struct stat *status) {
    status->st_mode = (mode_t)packed_take(reader, UINT32_MAX);
    status->st_uid = (uid_t)packed_take(reader, UINT32_MAX);
    status->st_gid = (gid_t)packed_take(reader, UINT32_MAX);
    status->st_atim.tv_sec = (time_t)packed_take(reader, UINT64_MAX);
    status->st_atim.tv_nsec = (long)packed_take(reader, 999999999);
    status->st_mtim.tv_sec = (time_t)packed_take(reader, UINT64_MAX);
    status->st_mtim.tv_nsec = (long)packed_take(reader, 999999999);
}

static void take_attributes(struct packed_reader *reader, struct attributes *attributes) {
    size_t count = packed_take_count(reader);
    for (size_t i = 0; i < count && !reader->bad; i++) {
        struct attribute *attribute = array_append(attributes->items, attributes->count);
        attribute->name = packed_take_text(reader, NAME_MOST);
        attribute->value = packed_take_bytes(reader, UINT16_MAX + 1u, &attribute->size);
        /* An overlay's own, by which a directory could be made to show another. */
        if (attribute->name != NULL &&
            (*attribute->name == '\0' || strncmp(attribute->name, "trusted.overlay.", 16) == 0))
            reader->bad = true;
    }
}

static void take_entry(struct packed_reader *reader, struct manifest_entry *entry) {
    entry->kind = (enum change_kind)packed_take(reader, CHANGE_METADATA);
    uint64_t flags = packed_take(reader, 3);
    entry->was_directory = (flags & 1) != 0;
    entry->is_directory = (flags & 2) != 0;
    entry->path = packed_take_text(reader, PATH_MOST);
    entry->inode = packed_take(reader, UINT64_MAX);
    take_status(reader, &entry->before);
    take_attributes(reader, &entry->attributes);
    if (entry->path != NULL && !path_is_plain(entry->path))
        reader->bad = true;
}

static void take_directory(struct packed_reader *reader, struct manifest_directory *directory) {
    directory->path = packed_take_text(reader, PATH_MOST);
    take_status(reader, &directory->before);
    if (directory->path != NULL && strcmp(directory->path, "/") != 0 && !path_is_plain(directory->path))
        reader->bad = true;
}

static void take_all(struct packed_reader *reader, struct manifest *manifest) {
    manifest->incident = (int64_t)packed_take(reader, INT64_MAX);
    size_t entries = packed_take_count(reader);
    for (size_t i = 0; i < entries && !reader->bad; i++)
        take_entry(reader, array_append(manifest->entries, manifest->entry_count));
    size_t directories = packed_take_count(reader);
    for (size_t i = 0; i < directories && !reader->bad; i++)
        take_directory(reader, array_append(manifest->directories, manifest->directory_count));
}

bool manifest_parse(const void *data, size_t size, struct manifest *manifest, struct mistake *mistake) {
    struct packed_reader reader;
    if (!packed_open(&reader, data, size, MAGIC, "manifest", mistake))
        return false;
    take_all(&reader, manifest);
    if (packed_close(&reader, mistake))
        return true;
    manifest_free(manifest);
    return false;
}
