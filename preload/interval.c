/* See interval.h. Numbers follow from the clock, so the intervals of all processes agree: who moves the page's number on
 * by compare and swap closes the interval that was open, alone. A process that dies in the middle leaves a row that is not
 * whole, and totals from which the next row is made as ever.
 */
#include "preload/interval.h"

#include "preload/state.h"

/* A handler that leaves by longjmp may have left this standing: after that time it counts for nothing. */
#define CLOSING_NANOSECONDS 1000000000u

/* The later of two closers may be the first to get here. */
static uint64_t advance_published(struct counts_page *page, uint64_t number) {
    uint64_t before = __atomic_load_n(&page->published, __ATOMIC_ACQUIRE);
    while (before < number &&
           !__atomic_compare_exchange_n(&page->published, &before, number, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        ;
    return before;
}

/* The growth from the row before to this one; false where one of them cannot be read any more. */
static bool growth(const struct counts_page *page, uint64_t before, uint64_t number, uint64_t counts[COUNTS_ENTRIES]) {
    uint64_t next;
    if (before == 0)
        for (unsigned i = 0; i < COUNTS_ENTRIES; i++)
            counts[i] = 0;
    else if (!counts_read_row(page, before, &next, counts))
        return false;
    const struct counts_row *row = &page->rows[number % COUNTS_ROWS];
    for (unsigned i = 0; i < COUNTS_ENTRIES; i++)
        counts[i] = __atomic_load_n(&row->totals[i], __ATOMIC_RELAXED) - counts[i];
    return __atomic_load_n(&row->number, __ATOMIC_ACQUIRE) == number;
}

static void close_interval(const struct counts_source *source, struct thread_slot *slot, uint64_t number,
                           uint64_t next) {
    struct counts_page *page = source->page;
    counts_write_row(page, number, next);
    uint64_t before = advance_published(page, number);
    struct interval interval = {
        .number = number,
        .start = source->origin_unix + (number - 1) * source->interval,
        .length = source->interval,
        .idle = next - number - 1,
        .page = page,
        .counts = slot->interval_counts,
    };
    if (before < number && growth(page, before, number, slot->interval_counts))
        interval_closed(&interval, slot);
}

void interval_visit(const struct counts_source *source, struct thread_slot *slot, uint64_t now) {
    if (now < source->origin)
        return;
    uint64_t next = (now - source->origin) / source->interval + 1;
    uint64_t number = __atomic_load_n(&source->page->current, __ATOMIC_RELAXED);
    bool is_closing = slot->closing != 0 && now - slot->closing < CLOSING_NANOSECONDS;
    if (number >= next || number == 0 || is_closing ||
        !__atomic_compare_exchange_n(&source->page->current, &number, next, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return;
    slot->closing = now;
    close_interval(source, slot, number, next);
    slot->closing = 0;
}
