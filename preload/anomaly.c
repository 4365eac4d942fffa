/* At the end of an interval: its score, and the alarm. Runs in whichever thread closed the interval, in the middle of a
 * call; some microseconds, no lock, no allocation, little stack. The model is mapped once, at the process's first call.
 *
 * Scores and alarms are the container's: their memory lies on the page of counts, where the next to close an interval
 * finds it. Whoever may write there may forge them, as the counts themselves.
 */
#include "preload/anomaly.h"

#include <asm/errno.h>
#include <asm/stat.h>
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "preload/event.h"
#include "preload/interval.h"
#include "preload/libc.h"
#include "preload/log.h"
#include "preload/raw.h"
#include "preload/state.h"
#include "runtime/model.h"
#include "runtime/signature.h"

#define MODEL_NAME "/pinion.model" /* in the policy's directory */
#define NANOSECONDS_PER_MS 1000000u

static const struct model_header *model;
static uint8_t known[COUNTS_ENTRIES]; /* seen in training */

/* ---- set-up ---- */

static const char *map_model(int descriptor) {
    struct stat status = {0};
    if (raw(__NR_fstat, descriptor, &status) != 0 || (status.st_mode & 0170000) != 0100000)
        return "the model is not a file";
    if (status.st_mode & 022)
        return "the model is writable by group or others: chmod go-w";
    if (status.st_uid != 0 && status.st_uid != (uint32_t)raw(__NR_geteuid))
        return "the model belongs to another user";
    if (status.st_size < (long)sizeof(struct model_header) || status.st_size > MODEL_MAX_BYTES)
        return "the model has an impossible size";
    long pages = raw(__NR_mmap, 0, status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (raw_failed(pages))
        return "the model cannot be mapped";
    const struct model_header *mapped = (const struct model_header *)pages;
    const char *problem = model_validate(mapped, (size_t)status.st_size);
    if (problem == NULL && mapped->table_fingerprint != api_table_fingerprint())
        problem = "the model is for another build of Pinion: renew it with pinion train --merge";
    if (problem == NULL)
        model = mapped;
    else
        raw(__NR_munmap, pages, status.st_size);
    return problem;
}

static const char *open_model(void) {
    char name[PATH_BYTES];
    const char *path = STATE->model_path;
    size_t length = strlen(STATE->policy_directory);
    if (path == NULL) {
        if (length + sizeof MODEL_NAME > sizeof name)
            return NULL;
        memcpy(name, STATE->policy_directory, length);
        memcpy(name + length, MODEL_NAME, sizeof MODEL_NAME);
        path = name;
    }
    if (*path == '\0')
        return NULL; /* no scoring */
    long opened = raw(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
    if (opened == -ENOENT && STATE->model_path == NULL)
        return NULL;
    if (opened == -ENOENT)
        return "the model that PINION_MODEL names is not there";
    if (raw_failed(opened))
        return "the model cannot be opened";
    const char *problem = map_model((int)opened);
    raw(__NR_close, opened);
    return problem;
}

static void note_known(void) {
    const struct model_call *calls = model_calls(model);
    for (uint32_t i = 0; i < model->calls.count; i++)
        if (calls[i].entry < COUNTS_ENTRIES)
            known[calls[i].entry] = 1;
}

uint64_t anomaly_start(const char **problem) {
    *problem = open_model();
    if (model != NULL)
        note_known();
    if (STATE->interval != 0)
        return STATE->interval;
    return (uint64_t)(model != NULL ? model->interval_ms : COUNTS_DEFAULT_MS) * NANOSECONDS_PER_MS;
}

void anomaly_agree(uint64_t interval, const char **problem) {
    if (model == NULL || interval == 0 || interval == (uint64_t)model->interval_ms * NANOSECONDS_PER_MS)
        return;
    model = NULL;
    *problem = "the page of counts has intervals of another length than the model";
}

/* ---- the end of an interval ---- */

/* True when a call was made that training never saw. */
static bool order(const uint64_t *counts, uint64_t *ordered) {
    const struct model_call *calls = model_calls(model);
    for (uint32_t i = 0; i < model->calls.count; i++)
        ordered[i] = calls[i].entry < COUNTS_ENTRIES ? counts[calls[i].entry] : 0;
    for (unsigned i = 0; i < COUNTS_ENTRIES; i++)
        if (counts[i] != 0 && !known[i])
            return true;
    return false;
}

static const char *entry_name(const void *context, unsigned entry) {
    (void)context;
    return counts_name(entry);
}

static int64_t millionths(int32_t fixed) {
    return (int64_t)fixed * 1000000 / FIXED_ONE;
}

static void report(const struct interval *interval, struct thread_slot *slot, int32_t score, int32_t threshold) {
    struct signature_input input = {
        .count = COUNTS_ENTRIES, .name = entry_name, .counts = interval->page->alarm.counts, .seen = known};
    struct signature signature;
    signature_make(&signature, &input, SIGNATURE_TOP);
    struct anomaly anomaly = {
        .interval = interval->number,
        .start = interval->start,
        .length = interval->length,
        .score = millionths(score),
        .threshold = millionths(threshold),
        .violations = __atomic_exchange_n(&interval->page->violations, 0, __ATOMIC_RELAXED),
        .signature = &signature,
        .name = entry_name,
        .calls = COUNTS_ENTRIES,
        .rises = interval->page->alarm.rises,
    };
    event_anomaly(&anomaly, slot);
}

static void note_rise(uint8_t *most, uint64_t count, int32_t mean, int32_t inverse_deviation) {
    unsigned rise = signature_rise(model_log(count), mean, inverse_deviation);
    if (*most < rise)
        *most = (uint8_t)rise;
}

static void note_rises(const struct interval *interval) {
    const struct model_call *calls = model_calls(model);
    uint8_t *rises = interval->page->alarm.rises;
    for (uint32_t i = 0; i < model->calls.count; i++)
        if (calls[i].entry < COUNTS_ENTRIES)
            note_rise(&rises[calls[i].entry], interval->counts[calls[i].entry], calls[i].mean,
                      calls[i].inverse_deviation);
    for (unsigned i = 0; i < COUNTS_ENTRIES; i++)
        if (!known[i])
            note_rise(&rises[i], interval->counts[i], 0, INT32_MAX);
}

/* An alarm that goes on is told of after 1, 2, 4, 8... intervals: the signature is of all of them. */
static void raise_alarm(const struct interval *interval, struct thread_slot *slot, int32_t score, int32_t threshold) {
    struct counts_page *page = interval->page;
    bool begins = page->alarm.intervals == 0;
    uint64_t intervals = ++page->alarm.intervals;
    if (begins)
        memset(page->alarm.rises, 0, sizeof page->alarm.rises);
    note_rises(interval);
    for (unsigned i = 0; i < COUNTS_ENTRIES; i++)
        page->alarm.counts[i] = (begins ? 0 : page->alarm.counts[i]) + interval->counts[i];
    if ((intervals & (intervals - 1)) == 0)
        report(interval, slot, score, threshold);
}

void interval_closed(const struct interval *interval, struct thread_slot *slot) {
    if (model == NULL)
        return;
    struct model_state *state = &interval->page->scoring;
    bool never_seen = order(interval->counts, slot->model_counts);
    int32_t score = model_score(model, state, slot->model_counts, &slot->model_work);
    int32_t threshold = model_threshold(model, state); /* moves with each interval */
    bool alarm = model_alarm(model, state, score, never_seen);
    if (alarm)
        raise_alarm(interval, slot, score, threshold);
    if (interval->idle > 0)
        alarm = model_alarm(model, state, SCORE_IDLE, false);
    if (!alarm)
        interval->page->alarm.intervals = 0;
}
