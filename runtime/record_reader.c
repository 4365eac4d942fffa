/* The reader of learn records. Only what the slot table names is an entry: a process that died while it wrote one
 * leaves bytes that nothing points to.
 */
#define _GNU_SOURCE 1
#include "runtime/record_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/util.h"

#define MAX_RECORD_BYTES (UINT64_C(8) * UINT32_MAX) /* a slot holds an offset divided by 8 */

static bool __attribute__((format(printf, 2, 3))) fail(struct mistake *mistake, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(mistake->text, sizeof(mistake->text), format, arguments);
    va_end(arguments);
    mistake->line = 0;
    return false;
}

static bool check_header(const struct record_header *header, uint64_t size, struct mistake *mistake) {
    if (memcmp(header->magic, RECORD_MAGIC, sizeof(header->magic)) != 0)
        return fail(mistake, "it is no learn record");
    if (header->version != RECORD_VERSION)
        return fail(mistake, "it is a record of format %" PRIu32 ", this version reads format %d", header->version,
                    RECORD_VERSION);
    if (header->table_fingerprint != api_table_fingerprint())
        return fail(mistake, "it was recorded by another version of Pinion: record again");
    if (header->size != size)
        return fail(mistake, "it is cut off: %" PRIu64 " bytes of %" PRIu64, size, header->size);
    if (header->slot_count == 0 || (header->slot_count & (header->slot_count - 1)) != 0 ||
        sizeof(*header) + (uint64_t)header->slot_count * sizeof(uint32_t) > size)
        return fail(mistake, "it is damaged: its table does not fit");
    if (header->used < sizeof(*header) + (uint64_t)header->slot_count * sizeof(uint32_t))
        return fail(mistake, "it is damaged: its table is cut off");
    return true;
}

static uint64_t end_of_entries(const struct record_header *header) {
    return header->used < header->size ? header->used : header->size;
}

static const uint32_t *slots_of(const struct record *record) {
    return (const uint32_t *)(record->header + 1);
}

static const struct record_entry *entry_at(const struct record *record, uint32_t slot) {
    return (const struct record_entry *)(record->content + 8 * (uint64_t)slot);
}

static bool is_identity(const struct identity *identity) {
    return identity->kind <= IDENTITY_DERIVED && identity->length <= IDENTITY_BYTES;
}

/* A socket address is bytes, all else is text. */
static bool is_text_good(const struct record_entry *entry) {
    if (entry->argument < API_MAX_ARGUMENTS) {
        enum shape shape = argument_shape(api_table[entry->api].arguments[entry->argument].kind);
        if (shape == SHAPE_SOCKADDR || shape == SHAPE_MSGHDR)
            return true;
    }
    return memchr(entry->text, '\0', entry->text_length) == NULL;
}

static bool is_subject_good(const struct record_entry *entry) {
    switch (entry->argument) {
    case RECORD_PROGRAM:
    case RECORD_MODULE: return entry->api == API_NONE;
    case RECORD_SITE:
    case RECORD_CHILD: return entry->api < API_COUNT;
    default: return entry->api < API_COUNT && entry->argument < api_table[entry->api].argument_count;
    }
}

static bool is_entry_good(const struct record *record, uint32_t slot) {
    uint64_t offset = 8 * (uint64_t)slot, end = end_of_entries(record->header);
    uint64_t table_end = sizeof(struct record_header) + (uint64_t)record->header->slot_count * sizeof(uint32_t);
    if (offset < table_end || offset > end || end - offset < sizeof(struct record_entry))
        return false;
    const struct record_entry *entry = entry_at(record, slot);
    return entry->size >= sizeof(*entry) && entry->size <= end - offset &&
           entry->text_length <= entry->size - sizeof(*entry) && is_subject_good(entry) &&
           is_identity(&entry->program) && is_identity(&entry->module) && is_text_good(entry);
}

static bool check_entries(const struct record *record, struct mistake *mistake) {
    const uint32_t *slots = slots_of(record);
    for (uint32_t i = 0; i < record->header->slot_count; i++)
        if (slots[i] != 0 && !is_entry_good(record, slots[i]))
            return fail(mistake, "it is damaged: the entry at byte %" PRIu64 " makes no sense", 8 * (uint64_t)slots[i]);
    return true;
}

static bool read_bytes(int fd, char *buffer, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, buffer + done, size - done, (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = ENODATA;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

/* Of a large, mostly empty file only the used part is read. */
static char *read_used(int fd, struct mistake *mistake) {
    struct stat status;
    struct record_header header;
    if (fstat(fd, &status) != 0) {
        fail(mistake, "%s", strerror(errno));
        return NULL;
    }
    uint64_t size = (uint64_t)status.st_size;
    if (!S_ISREG(status.st_mode) || size < sizeof(header) || size > MAX_RECORD_BYTES) {
        fail(mistake, "it is no learn record");
        return NULL;
    }
    if (!read_bytes(fd, (char *)&header, sizeof(header))) {
        fail(mistake, "%s", strerror(errno));
        return NULL;
    }
    if (!check_header(&header, size, mistake))
        return NULL;
    size_t used = end_of_entries(&header);
    cleanup_free char *content = xmalloc(used);
    if (!read_bytes(fd, content, used)) {
        fail(mistake, "%s", strerror(errno));
        return NULL;
    }
    /* The copy is what counts from here on; it must be the file that was checked. */
    if (memcmp(content, &header, sizeof(header)) != 0) {
        fail(mistake, "it is still being written: a program of the learning run is alive");
        return NULL;
    }
    return steal_pointer(&content);
}

bool record_open(struct record *record, const char *path, struct mistake *mistake) {
    *record = (struct record){0};
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail(mistake, "%s", strerror(errno));
    record->content = read_used(fd, mistake);
    if (record->content == NULL)
        return false;
    record->header = (const struct record_header *)record->content;
    if (check_entries(record, mistake))
        return true;
    record_close(record);
    return false;
}

const struct record_entry *record_next(struct record *record) {
    const uint32_t *slots = slots_of(record);
    while (record->next_slot < record->header->slot_count) {
        uint32_t slot = slots[record->next_slot++];
        if (slot != 0)
            return entry_at(record, slot);
    }
    return NULL;
}

void record_close(struct record *record) {
    free(record->content);
    *record = (struct record){0};
}
