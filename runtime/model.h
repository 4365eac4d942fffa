/* A trained model of one image's calls, and how an interval is scored with it: a small autoencoder over the logarithms of the
 * counts. The file is flat, little-endian and mapped read-only; every field is validated once. Everything here is
 * integer arithmetic: the shim scores in the middle of a call, where the vector registers belong to the application,
 * and the tools get the same scores bit for bit. Free of libc.
 *
 * The autoencoder: one hidden layer (softsign), linear output, on standardised log counts (Hinton, Salakhutdinov:
 * Reducing the dimensionality of data with neural networks, Science 2006). What it cannot rebuild is its residual.
 * Residuals are taken relative to the container's own recent past, bounded, so that a container that is different
 * throughout (one CPU instead of four) is not in alarm throughout.
 */
#ifndef PINION_RUNTIME_MODEL_H
#define PINION_RUNTIME_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_MAGIC "PINIONM\n"
#define MODEL_VERSION 1
#define MODEL_MAX_BYTES (16u << 20)
#define MODEL_MAX_CALLS 512
#define MODEL_MAX_HIDDEN 32

/* Fixed-point numbers: `fixed` has 16 fractional bits, weights and activations have 24. */
#define FIXED_ONE (1 << 16)
#define WEIGHT_ONE (1 << 24)

#define MODEL_NO_ENTRY 0xffff /* a call that the page of counts does not have: models of other recorders */

/* The score of an interval in which nothing was called: below every threshold. */
#define SCORE_IDLE INT32_MIN

/* What a score is made of: how much of the interval is unlike, the most unlike residual, the most unusual count. */
enum model_part {
    PART_MEAN_RESIDUAL,
    PART_MAX_RESIDUAL,
    PART_MAX_COUNT,
    PART_COUNT
};

struct model_section {
    uint32_t offset; /* bytes from the start of the file, a multiple of 8 */
    uint32_t count;  /* elements */
};

struct model_header {
    char magic[8];
    uint32_t version;
    uint32_t size;              /* of the whole file, bytes */
    uint64_t table_fingerprint; /* of the API table that `entry` of the calls means */
    uint32_t interval_ms;
    uint32_t consecutive;       /* intervals over the threshold before an alarm is raised; at least 1 */
    uint32_t hidden;            /* neurons */
    int32_t threshold;          /* fixed; an interval above it is odd */
    int32_t scales[PART_COUNT]; /* fixed: log2 of each part's usual size */
    uint32_t rate_ppm;          /* false alarms the threshold was chosen for, per million intervals */
    uint64_t trained;           /* intervals */
    uint32_t recordings;
    uint32_t seed;
    struct model_section calls;   /* struct model_call: every call seen in training, and no other */
    struct model_section weights; /* int32_t, see model_weights */
    struct model_section sample;  /* uint16_t: intervals that stand for the training data, in rows of calls.count;
                                     log2(1 + count), 10 fractional bits. Read when more data is merged. */
    struct model_section text;    /* bytes; every string in it ends with NUL */
};

struct model_call {
    uint32_t name;  /* text */
    uint16_t entry; /* of runtime/counts.h, or MODEL_NO_ENTRY */
    uint16_t reserved;
    int32_t mean;              /* fixed: of log2(1 + count) */
    int32_t inverse_deviation; /* fixed */
};

/* The layers, as they lie in the section `weights`; all with 24 fractional bits. */
struct model_weights {
    const int32_t *encoder;      /* [hidden][calls] */
    const int32_t *encoder_bias; /* [hidden] */
    const int32_t *decoder;      /* [calls][hidden] */
    const int32_t *decoder_bias; /* [calls] */
};

/* What scoring remembers from one interval to the next: the container's own usual residuals. All zero at first. */
struct model_baseline {
    int32_t mean, variance; /* fixed; the variance less 1 */
};

#define MODEL_RECENT 3

struct model_state {
    uint32_t intervals; /* with calls, so far */
    uint32_t next;      /* in recent */
    int32_t recent[MODEL_RECENT];
    uint32_t odd;  /* consecutive intervals over the threshold */
    int32_t slack; /* what the threshold has moved by; 24 fractional bits */
    struct model_baseline residuals[MODEL_MAX_CALLS];
    struct model_baseline counts[MODEL_MAX_CALLS];
};

/* Room to work in, and afterwards how unlike the interval was, call by call. The caller's, since stacks may be small. */
struct model_work {
    int32_t standard[MODEL_MAX_CALLS];
    int32_t residuals[MODEL_MAX_CALLS]; /* fixed, less the baseline's mean: their signs say "more" or "fewer" */
    uint32_t squares[MODEL_MAX_CALLS];  /* fixed: the residuals in deviations of the baseline, squared */
    int32_t hidden[MODEL_MAX_HIDDEN];
};

/* NULL when all of the file is in order, else what is wrong. `size` is the size of the memory at `file`, which is
 * aligned to 8 bytes. */
const char *model_validate(const void *file, size_t size);

static inline const void *model_at(const struct model_header *model, struct model_section section) {
    return (const char *)model + section.offset;
}

static inline const struct model_call *model_calls(const struct model_header *model) {
    return model_at(model, model->calls);
}

static inline const char *model_text(const struct model_header *model, uint32_t offset) {
    return (const char *)model_at(model, model->text) + offset;
}

/* The number of weights of a model of this shape. */
static inline uint64_t model_weight_count(uint64_t calls, uint64_t hidden) {
    return 2 * calls * hidden + calls + hidden;
}

struct model_weights model_weights(const struct model_header *model);

/* log2(1 + count), fixed. */
int32_t model_log(uint64_t count);

/* log2 of a positive number of `fractional_bits` fractional bits, fixed. */
int32_t fixed_log2(uint64_t number, int fractional_bits);

/* The parts of the score of one interval, as log2, fixed; its counts are in the order of model->calls. Moves the
 * state on. False when nothing was called: then neither state nor parts are touched. */
bool model_measure(const struct model_header *model, struct model_state *state, const uint64_t *counts,
                   int32_t parts[PART_COUNT], struct model_work *work);

/* The score of those parts, after the intervals before: the mean of their distances from their usual size, drawn a
 * quarter of the way to the largest. A second odd interval within MODEL_RECENT weighs more than a single one. */
int32_t model_combine(const struct model_header *model, struct model_state *state, const int32_t parts[PART_COUNT]);

/* Both in one: the interval's score, or SCORE_IDLE. */
int32_t model_score(const struct model_header *model, struct model_state *state, const uint64_t *counts,
                    struct model_work *work);

/* A container's first intervals hold the start of its programs, which is like nothing that follows: until more than so
 * many had calls, only calls that training never saw are odd. */
#define MODEL_STARTING 5

/* Whether this interval raises or keeps up an alarm: it is odd when its score is over the threshold, unless the
 * container only starts, or a call was made that training never saw; model->consecutive odd ones in a row are an
 * alarm.
 *
 * The threshold moves by at most a power of two, so that intervals over it stay as rare in this container as the
 * model was trained for: up with each of them, down a little with all others (Gibbs, Candes: Adaptive conformal
 * inference under distribution shift, NeurIPS 2021). */
bool model_alarm(const struct model_header *model, struct model_state *state, int32_t score, bool never_seen);

/* Where the threshold is now, fixed. */
int32_t model_threshold(const struct model_header *model, const struct model_state *state);

#endif
