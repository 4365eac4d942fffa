/* Learn records for tests and fuzzers, built as the shim builds them. */
#ifndef PINION_TESTS_UNIT_RECORDS_H
#define PINION_TESTS_UNIT_RECORDS_H

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/record_reader.h"
#include "runtime/util.h"

#define RECORD_SLOTS 64

/* An empty record of this size, all slots free. */
static inline char *record_create(size_t size) {
    char *image = xcalloc(1, size);
    *(struct record_header *)image = (struct record_header){
        .magic = RECORD_MAGIC,
        .version = RECORD_VERSION,
        .slot_count = RECORD_SLOTS,
        .size = size,
        .table_fingerprint = api_table_fingerprint(),
        .used = sizeof(struct record_header) + RECORD_SLOTS * sizeof(uint32_t),
    };
    return image;
}

/* Appends the entry with its text and publishes it in the slot. */
static inline void record_put(char *image, unsigned slot, struct record_entry entry, const void *text, size_t length) {
    struct record_header *header = (struct record_header *)image;
    entry.text_length = (uint32_t)length;
    entry.size = (uint32_t)((sizeof(entry) + length + 7) & ~(size_t)7);
    memcpy(image + header->used, &entry, sizeof(entry));
    if (length != 0)
        memcpy(image + header->used + sizeof(entry), text, length);
    ((uint32_t *)(header + 1))[slot] = (uint32_t)(header->used / 8);
    header->used += entry.size;
}

/* Opens the bytes as a record: a file without a name. */
static inline bool record_open_bytes(struct record *record, const void *bytes, size_t size, struct mistake *mistake) {
    cleanup_fd int fd = memfd_create("record", MFD_CLOEXEC);
    char path[32];
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        die_with_error("cannot write a record");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return record_open(record, path, mistake);
}

/* Reads all of every entry; returns how many there are. */
static inline unsigned record_exercise(struct record *record) {
    unsigned count = 0;
    unsigned sum = 0;
    for (const struct record_entry *entry; (entry = record_next(record)) != NULL; count++) {
        for (uint32_t i = 0; i < entry->text_length; i++)
            sum += (unsigned char)entry->text[i];
        if (entry->api != API_NONE)
            sum += (unsigned char)api_table[entry->api].name[0];
        char text[IDENTITY_TEXT_BYTES];
        sum += (unsigned)(identity_format(&entry->program, text) + identity_format(&entry->module, text));
    }
    if (sum == UINT32_MAX) /* never: it keeps the reads */
        abort();
    return count;
}

#endif
