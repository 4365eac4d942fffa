/* The layout of the counts page: preparing, examining, writing and reading it. Both sides run this code, the shim
 * in the middle of calls: no library call, no lock, and nothing here may be writable.
 */
#include "runtime/counts.h"

static const char magic[8] = COUNTS_MAGIC;

/* A check value: what a torn or foreign row does not have by chance. */
static uint64_t mix(uint64_t check, uint64_t value) {
    check = (check ^ value) * 0x9e3779b97f4a7c15u;
    return check ^ check >> 32;
}

void counts_default_path(char path[COUNTS_PATH_BYTES]) {
    static const char head[] = COUNTS_DIRECTORY "pinion.counts.";
    uint64_t digest = mix(mix(api_table_fingerprint(), COUNTS_VERSION), sizeof(struct counts_page));
    unsigned used = 0;
    for (; head[used] != '\0'; used++)
        path[used] = head[used];
    for (unsigned i = 0; i < 16; i++)
        path[used++] = "0123456789abcdef"[digest >> (60 - 4 * i) & 15];
    path[used] = '\0';
}

void counts_prepare(struct counts_page *page, uint64_t interval) {
    for (unsigned i = 0; i < sizeof magic; i++)
        page->magic[i] = magic[i];
    page->version = COUNTS_VERSION;
    page->entries = COUNTS_ENTRIES;
    page->fingerprint = api_table_fingerprint();
    page->size = sizeof *page;
    page->interval = interval;
    page->current = 1;
}

bool counts_interval_fits(uint64_t interval) {
    const uint64_t millisecond = 1000000;
    return interval >= COUNTS_LEAST_MS * millisecond && interval <= COUNTS_MOST_MS * millisecond;
}

const char *counts_problem(const struct counts_page *page, uint64_t size) {
    if (size != sizeof *page)
        return "it has another size";
    for (unsigned i = 0; i < sizeof magic; i++)
        if (page->magic[i] != magic[i])
            return "it is no page of counts";
    if (page->version != COUNTS_VERSION)
        return "it has another version of the format";
    if (page->entries != COUNTS_ENTRIES || page->size != size || page->fingerprint != api_table_fingerprint())
        return "another build of Pinion made it";
    if (!counts_interval_fits(page->interval))
        return "its interval is impossible";
    return NULL;
}

/* A process that was stopped in the middle may write on when the row is another's: then the check does not fit. */
void counts_write_row(struct counts_page *page, uint64_t number, uint64_t next) {
    struct counts_row *row = &page->rows[number % COUNTS_ROWS];
    uint64_t check = mix(number, next);
    __atomic_store_n(&row->number, 0, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n(&row->next, next, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < COUNTS_ENTRIES; i++) {
        uint64_t total = __atomic_load_n(&page->totals[i], __ATOMIC_RELAXED);
        __atomic_store_n(&row->totals[i], total, __ATOMIC_RELAXED);
        check = mix(check, total);
    }
    __atomic_store_n(&row->check, check, __ATOMIC_RELAXED);
    __atomic_store_n(&row->number, number, __ATOMIC_RELEASE);
}

bool counts_read_row(const struct counts_page *page, uint64_t number, uint64_t *next, uint64_t totals[COUNTS_ENTRIES]) {
    const struct counts_row *row = &page->rows[number % COUNTS_ROWS];
    if (number == 0 || __atomic_load_n(&row->number, __ATOMIC_ACQUIRE) != number)
        return false;
    *next = __atomic_load_n(&row->next, __ATOMIC_RELAXED);
    uint64_t check = mix(number, *next);
    for (unsigned i = 0; i < COUNTS_ENTRIES; i++) {
        totals[i] = __atomic_load_n(&row->totals[i], __ATOMIC_RELAXED);
        check = mix(check, totals[i]);
    }
    bool whole = __atomic_load_n(&row->check, __ATOMIC_RELAXED) == check && *next > number;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return whole && __atomic_load_n(&row->number, __ATOMIC_RELAXED) == number;
}

const char *counts_name(unsigned entry) {
    return entry < API_COUNT ? api_table[entry].name : entry == COUNTS_SWITCH ? "switch" : "";
}
