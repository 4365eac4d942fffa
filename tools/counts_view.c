/* See counts_view.h: the page. Its readers follow rows by their numbers; each tells the number of the next one. */
#include "tools/counts_view.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "runtime/util.h"

/* A row is there some microseconds after its interval was closed, unless its writer died. */
#define REFUSALS_MAX 4

static const struct counts_page *map(int descriptor, int protection) {
    void *page = mmap(NULL, sizeof(struct counts_page), protection, MAP_SHARED, descriptor, 0);
    return page == MAP_FAILED ? NULL : page;
}

const struct counts_page *counts_view_open(const char *path, const char **problem) {
    struct stat status;
    const struct counts_page *page = NULL;
    cleanup_fd int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file >= 0 && fstat(file, &status) == 0 && (size_t)status.st_size < sizeof *page) {
        *problem = "it is no page of counts";
        return NULL;
    }
    page = file >= 0 ? map(file, PROT_READ) : NULL;
    *problem = page ? counts_problem(page, (uint64_t)status.st_size) : strerror(errno);
    if (!*problem)
        return page;
    if (page)
        counts_view_close(page);
    return NULL;
}

const struct counts_page *counts_view_make(const char *path, unsigned milliseconds) {
    cleanup_fd int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0)
        die_with_error("cannot make the page of counts \"%s\"", path);
    int error = posix_fallocate(file, 0, sizeof(struct counts_page));
    struct counts_page *page = NULL;
    if (error == 0 && fchmod(file, 0666) == 0)
        page = (struct counts_page *)map(file, PROT_READ | PROT_WRITE);
    errno = error ? error : errno;
    if (!page)
        die_with_error("cannot make the page of counts \"%s\"", path);
    page->origin = clock_nanoseconds(CLOCK_MONOTONIC_COARSE);
    page->origin_unix = clock_nanoseconds(CLOCK_REALTIME);
    counts_prepare(page, milliseconds * UINT64_C(1000000));
    return page;
}

void counts_view_close(const struct counts_page *page) {
    munmap((void *)page, sizeof *page);
}

void counts_view_totals(const struct counts_page *page, uint64_t totals[COUNTS_ENTRIES]) {
    for (unsigned i = 0; i < COUNTS_ENTRIES; i++)
        totals[i] = __atomic_load_n(&page->totals[i], __ATOMIC_RELAXED);
}

/* ---- the ring ---- */

/* By the clock: where all processes sleep the page's number lags behind. */
static uint64_t present(const struct counts_ring *ring) {
    uint64_t now = clock_nanoseconds(CLOCK_MONOTONIC_COARSE);
    return now > ring->origin ? (now - ring->origin) / ring->interval + 1 : 1;
}

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* The open interval's number. It cannot be in the future, whatever somebody wrote there. */
static uint64_t current_number(const struct counts_ring *ring) {
    return earlier(__atomic_load_n(&ring->page->current, __ATOMIC_ACQUIRE), present(ring));
}

void counts_ring_begin(struct counts_ring *ring, const struct counts_page *page) {
    *ring = (struct counts_ring){
        .page = page, .interval = later(page->interval, 1), .origin = page->origin, .origin_unix = page->origin_unix};
    ring->since = present(ring);
    ring->expected = current_number(ring);
    counts_view_totals(page, ring->base);
}

double counts_ring_start(const struct counts_ring *ring, uint64_t number) {
    return (double)ring->origin_unix / 1e9 + (double)(number - 1) * ((double)ring->interval / 1e9);
}

static bool read_row(const struct counts_ring *ring, uint64_t number, uint64_t current, uint64_t *next,
                     uint64_t totals[COUNTS_ENTRIES]) {
    return counts_read_row(ring->page, number, next, totals) && *next <= current;
}

/* The first row behind the expected one that is whole, or 0. */
static uint64_t find_row(const struct counts_ring *ring, uint64_t current, uint64_t *next,
                         uint64_t totals[COUNTS_ENTRIES]) {
    uint64_t number = ring->expected + 1;
    if (current > COUNTS_ROWS && number < current - COUNTS_ROWS)
        number = current - COUNTS_ROWS;
    for (; number < current; number++)
        if (read_row(ring, number, current, next, totals))
            return number;
    return 0;
}

bool counts_ring_next(struct counts_ring *ring, struct closed_interval *closed) {
    uint64_t totals[COUNTS_ENTRIES], next = 0, number = ring->expected;
    uint64_t current = current_number(ring);
    if (number >= current)
        return false;
    if (!read_row(ring, number, current, &next, totals)) {
        bool is_overwritten = number + COUNTS_ROWS <= current;
        if (!is_overwritten && ring->refusals++ < REFUSALS_MAX)
            return false;
        number = find_row(ring, current, &next, totals);
        if (number == 0)
            return false;
    }
    closed->number = later(number, earlier(ring->since, next - 1));
    closed->first = later(ring->expected, earlier(ring->since, closed->number));
    closed->idle = next - closed->number - 1;
    for (unsigned i = 0; i < COUNTS_ENTRIES; i++)
        closed->counts[i] = totals[i] - ring->base[i];
    memcpy(ring->base, totals, sizeof totals);
    ring->expected = next;
    ring->refusals = 0;
    return true;
}

void counts_ring_rest(const struct counts_ring *ring, struct closed_interval *closed) {
    uint64_t open = present(ring);
    counts_view_totals(ring->page, closed->counts);
    for (unsigned i = 0; i < COUNTS_ENTRIES; i++)
        closed->counts[i] -= ring->base[i];
    closed->number = closed->first = later(ring->expected, ring->since);
    closed->idle = open > closed->number ? open - closed->number : 0;
}
