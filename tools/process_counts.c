/* See counts_view.h: the counters in a process's own memory. The shim's read-only data holds a structure that leads to
 * them; everything else there may change while it is read, and nothing of it is trusted.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "runtime/util.h"
#include "tools/counts_view.h"

#define ENTRIES_MAX 4096
#define SLOTS_MAX 65536

static bool read_memory(pid_t pid, const void *from, void *to, size_t size) {
    struct iovec local = {to, size};
    struct iovec remote = {(void *)from, size};
    return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

static bool search(const char *bytes, size_t size, uint64_t low, struct counts_locator *locator) {
    static const char magic[8] = COUNTS_LOCATOR_MAGIC;
    for (size_t at = 0; at + sizeof *locator <= size; at += 8) {
        memcpy(locator, bytes + at, sizeof *locator);
        if (memcmp(locator->magic, magic, sizeof magic) == 0 && (uint64_t)locator->self == low + at &&
            locator->bytes == sizeof *locator && locator->entries <= ENTRIES_MAX && locator->slots_max <= SLOTS_MAX)
            return true;
    }
    return false;
}

/* One mapping of the shim. */
static bool search_mapping(pid_t pid, uint64_t low, uint64_t high, struct counts_locator *locator) {
    size_t size = high - low;
    if (size > (64u << 20))
        return false;
    cleanup_free char *bytes = xmalloc(size);
    return read_memory(pid, (const void *)low, bytes, size) && search(bytes, size, low, locator);
}

static bool find_locator(pid_t pid, struct counts_locator *locator) {
    cleanup_free char *path = xasprintf("/proc/%d/maps", (int)pid);
    cleanup_file FILE *maps = fopen(path, "re");
    cleanup_free char *line = NULL;
    size_t room = 0;
    while (maps && getline(&line, &room, maps) > 0) {
        unsigned long low;
        unsigned long high;
        char rights[5];
        if (strstr(line, "/libpinion.so") && sscanf(line, "%lx-%lx %4s", &low, &high, rights) == 3 &&
            strcmp(rights, "r--p") == 0 && search_mapping(pid, low, high, locator))
            return true;
    }
    return false;
}

static bool read_names(struct process_counts *counts, pid_t pid, const struct counts_locator *locator) {
    size_t size = (size_t)locator->entries * locator->table_stride;
    if (locator->table_stride < sizeof((struct api *)NULL)->name || size > (16u << 20))
        return false;
    cleanup_free char *table = xmalloc(size);
    if (!read_memory(pid, locator->table, table, size))
        return false;
    counts->entries = locator->entries;
    counts->names = xcalloc(counts->entries, sizeof counts->names[0]);
    counts->counts = xcalloc(counts->entries, sizeof counts->counts[0]);
    for (size_t i = 0; i < counts->entries; i++)
        snprintf(counts->names[i], sizeof counts->names[i], "%.*s", (int)sizeof((struct api *)NULL)->name,
                 table + i * locator->table_stride);
    return true;
}

/* The directory of a process's threads has a link for each, and two of its own. */
static size_t count_threads(pid_t pid) {
    struct stat status;
    cleanup_free char *path = xasprintf("/proc/%d/task", (int)pid);
    return stat(path, &status) == 0 && status.st_nlink > 2 ? status.st_nlink - 2 : 0;
}

static void add_slot(struct process_counts *counts, pid_t pid, const struct counts_locator *locator,
                     const struct counts_slot *slot) {
    cleanup_free uint64_t *values = xcalloc(counts->entries, sizeof *values);
    const char *address = slot->address;
    if (counts_owner_thread(slot->owner) == 0 || !address ||
        !read_memory(pid, address + locator->counts_offset, values, counts->entries * sizeof *values))
        return;
    for (size_t i = 0; i < counts->entries; i++)
        counts->counts[i] += values[i];
}

const char *process_counts_read(struct process_counts *counts, pid_t pid) {
    struct counts_locator locator;
    uint32_t used;
    errno = 0; /* libraries leave things in it when they start */
    if (!find_locator(pid, &locator))
        return errno == EACCES || errno == EPERM || errno == ENOENT ? strerror(errno) : "the shim is not loaded there";
    if (counts->names && counts->entries != locator.entries)
        return "it is another program by now";
    if (!counts->names && !read_names(counts, pid, &locator))
        return "its counters cannot be read";
    if (!read_memory(pid, locator.slots_used, &used, sizeof used))
        return "its counters cannot be read";
    used = used < locator.slots_max ? used : locator.slots_max;
    cleanup_free struct counts_slot *slots = xcalloc(used + 1, sizeof *slots);
    if (!read_memory(pid, locator.slots, slots, used * sizeof *slots))
        return "its counters cannot be read";
    memset(counts->counts, 0, counts->entries * sizeof counts->counts[0]);
    counts->threads = count_threads(pid);
    for (uint32_t i = 0; i < used; i++)
        add_slot(counts, pid, &locator, &slots[i]);
    return NULL;
}

char *process_counts_page(pid_t pid) {
    struct counts_locator locator;
    uint64_t page;
    if (!find_locator(pid, &locator) || !read_memory(pid, locator.page, &page, sizeof page) || page == 0)
        return NULL;
    cleanup_free char *path = xasprintf("/proc/%d/maps", (int)pid);
    cleanup_file FILE *maps = fopen(path, "re");
    cleanup_free char *line = NULL;
    size_t room = 0;
    while (maps && getline(&line, &room, maps) > 0) {
        const char *name = strchr(line, '/');
        if (strtoull(line, NULL, 16) != page || !name)
            continue;
        return strncmp(name, "/dev/zero", 9) == 0 ? xstrdup("") : xstrndup(name, strcspn(name, "\n"));
    }
    return NULL;
}

void process_counts_free(struct process_counts *counts) {
    free(counts->names);
    free(counts->counts);
    *counts = (struct process_counts){0};
}
