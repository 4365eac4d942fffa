/* Scoring an interval. Integer arithmetic only, no allocation, no libc: this runs inside the application. */
#include "runtime/model.h"

#define STANDARD_MAX (32 * FIXED_ONE) /* beyond so many deviations nothing is told apart */

/* The baseline follows the container at this pace (intervals, as a power of two), begins as if it had seen
 * BASELINE_BORN usual ones, and from BASELINE_SETTLED on moves by no more than BASELINE_STEP at once. */
#define BASELINE_PACE 8
#define BASELINE_BORN 30
#define BASELINE_SETTLED 64
#define BASELINE_STEP (10 * FIXED_ONE)
#define VARIANCE_MAX (1 << 30)

/* How the threshold follows the container's scores, 24 fractional bits: half a power of two with each interval over
 * it, and from one power of two above the trained threshold to half a one below it. */
#define SLACK_ONE (1 << 24)
#define SLACK_STEP (SLACK_ONE / 2)
#define SLACK_MOST SLACK_ONE
#define SLACK_LEAST (-SLACK_ONE / 2)

#define LEAST_PART (1 << 6) /* fixed: keeps the logarithm of a perfect residual finite */

/* A second odd interval makes both weigh six times: log2(6), fixed. */
#define SECOND_WEIGHS 169408

struct model_weights model_weights(const struct model_header *model) {
    const int32_t *weights = model_at(model, model->weights);
    size_t matrix = (size_t)model->calls.count * model->hidden;
    return (struct model_weights){
        .encoder = weights,
        .encoder_bias = weights + matrix,
        .decoder = weights + matrix + model->hidden,
        .decoder_bias = weights + 2 * matrix + model->hidden,
    };
}

/* With the number as m * 2^e, 0.75 <= m < 1.5, and s = (m - 1) / (m + 1), ln m is 2 (s + s^3/3 + s^5/5 + s^7/7). */
int32_t fixed_log2(uint64_t number, int fractional_bits) {
    int exponent = 63 - __builtin_clzll(number);
    uint64_t mantissa = exponent >= 32 ? number >> (exponent - 32) : number << (32 - exponent); /* 32 fractional bits */
    if (mantissa >= 3ull << 31) {
        mantissa >>= 1;
        exponent++;
    }
    const int64_t one = 1ll << 30;
    int64_t m = (int64_t)(mantissa >> 2);
    int64_t s = (m - one) * one / (m + one), square = (s * s) >> 30;
    int64_t series = one / 7;
    series = one / 5 + ((series * square) >> 30);
    series = one / 3 + ((series * square) >> 30);
    series = one + ((series * square) >> 30);
    int64_t natural = (2 * s * series) >> 30;
    const int64_t log2_of_e = 1549082005; /* 30 fractional bits */
    return (int32_t)((exponent - fractional_bits) * FIXED_ONE + (((natural * log2_of_e) >> 30) >> 14));
}

int32_t model_log(uint64_t count) {
    return count == 0 ? 0 : fixed_log2(count == UINT64_MAX ? count : count + 1, 0);
}

static int32_t limit(int64_t number, int32_t most) {
    return number > most ? most : number < -most ? -most : (int32_t)number;
}

static bool standardise(const struct model_header *model, const uint64_t *counts, int32_t *standard) {
    const struct model_call *calls = model_calls(model);
    uint64_t any = 0;
    for (uint32_t i = 0; i < model->calls.count; i++) {
        int64_t difference = (int64_t)model_log(counts[i]) - calls[i].mean;
        standard[i] = limit((difference * calls[i].inverse_deviation) >> 16, STANDARD_MAX);
        any |= counts[i];
    }
    return any != 0;
}

static void encode(const struct model_header *model, const int32_t *standard, int32_t *hidden) {
    struct model_weights weights = model_weights(model);
    for (uint32_t h = 0; h < model->hidden; h++) {
        const int32_t *row = weights.encoder + (size_t)h * model->calls.count;
        int64_t sum = 0;
        for (uint32_t i = 0; i < model->calls.count; i++)
            sum += (int64_t)row[i] * standard[i];
        int64_t activation = (sum >> 16) + weights.encoder_bias[h];
        activation = activation > 1ll << 38 ? 1ll << 38 : activation < -(1ll << 38) ? -(1ll << 38) : activation;
        int64_t size = activation < 0 ? -activation : activation;
        hidden[h] = (int32_t)(activation * WEIGHT_ONE / (WEIGHT_ONE + size));
    }
}

/* What the hidden layer cannot rebuild. */
static void decode(const struct model_header *model, const int32_t *standard, const int32_t *hidden,
                   int32_t *residuals) {
    struct model_weights weights = model_weights(model);
    for (uint32_t i = 0; i < model->calls.count; i++) {
        const int32_t *row = weights.decoder + (size_t)i * model->hidden;
        int64_t sum = (int64_t)weights.decoder_bias[i] * WEIGHT_ONE;
        for (uint32_t h = 0; h < model->hidden; h++)
            sum += (int64_t)row[h] * hidden[h];
        residuals[i] = limit(standard[i] - (sum >> 32), 4 * STANDARD_MAX);
    }
}

/* ---- The state, which lies in memory that others may write: each value is read once, and any will do ---- */

#define READ(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define WRITE(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)

static struct model_baseline read_baseline(const struct model_baseline *baseline) {
    return (struct model_baseline){READ(baseline->mean), READ(baseline->variance)};
}

/* The distance from the baseline, in its deviations where those are more than one, squared; fixed. */
static uint64_t distance(struct model_baseline baseline, int32_t value) {
    int64_t difference = (int64_t)value - baseline.mean;
    uint64_t square = (uint64_t)(difference * difference) >> 16;
    return baseline.variance <= 0 ? square : (square << 16) / ((uint64_t)baseline.variance + FIXED_ONE);
}

static void follow(struct model_baseline *place, struct model_baseline baseline, int32_t value, uint32_t intervals) {
    int64_t difference = (int64_t)value - baseline.mean;
    int64_t seen = (int64_t)BASELINE_BORN + intervals + 1;
    if (intervals >= BASELINE_SETTLED)
        difference = limit(difference, BASELINE_STEP);
    int64_t square = limit((difference * difference) >> 16, VARIANCE_MAX) - FIXED_ONE - (int64_t)baseline.variance;
    if (seen < 1 << BASELINE_PACE) {
        difference /= seen;
        square /= seen;
    } else {
        difference >>= BASELINE_PACE;
        square >>= BASELINE_PACE;
    }
    WRITE(place->mean, (int32_t)(baseline.mean + difference));
    WRITE(place->variance, (int32_t)(baseline.variance + square));
}

bool model_measure(const struct model_header *model, struct model_state *state, const uint64_t *counts,
                   int32_t parts[PART_COUNT], struct model_work *work) {
    if (!standardise(model, counts, work->standard))
        return false;
    encode(model, work->standard, work->hidden);
    decode(model, work->standard, work->hidden, work->residuals);
    uint64_t sum = 0, worst = 0, unusual = 0;
    uint32_t intervals = READ(state->intervals);
    for (uint32_t i = 0; i < model->calls.count; i++) {
        int32_t value = work->residuals[i];
        struct model_baseline usual = read_baseline(&state->residuals[i]),
                              usual_count = read_baseline(&state->counts[i]);
        uint64_t residual = distance(usual, value);
        uint64_t plain = distance(usual_count, work->standard[i]);
        sum += residual;
        worst = residual > worst ? residual : worst;
        unusual = plain > unusual ? plain : unusual;
        work->squares[i] = residual > UINT32_MAX ? UINT32_MAX : (uint32_t)residual;
        work->residuals[i] = limit((int64_t)value - usual.mean, 8 * STANDARD_MAX);
        follow(&state->residuals[i], usual, value, intervals);
        follow(&state->counts[i], usual_count, work->standard[i], intervals);
    }
    WRITE(state->intervals, intervals == UINT32_MAX ? intervals : intervals + 1);
    parts[PART_MEAN_RESIDUAL] = fixed_log2(sum / model->calls.count + LEAST_PART, 16);
    parts[PART_MAX_RESIDUAL] = fixed_log2(worst + LEAST_PART, 16);
    parts[PART_MAX_COUNT] = fixed_log2(unusual + LEAST_PART, 16);
    return true;
}

/* The mean of the parts' distances from their usual size, drawn a quarter of the way to the largest. */
static int32_t join_parts(const struct model_header *model, const int32_t parts[PART_COUNT]) {
    int64_t sum = 0, most = INT64_MIN;
    for (int i = 0; i < PART_COUNT; i++) {
        int64_t distance = (int64_t)parts[i] - model->scales[i];
        sum += distance;
        most = distance > most ? distance : most;
    }
    return (int32_t)((3 * (sum / PART_COUNT) + most) / 4);
}

int32_t model_combine(const struct model_header *model, struct model_state *state, const int32_t parts[PART_COUNT]) {
    int32_t score = join_parts(model, parts), best = SCORE_IDLE;
    uint32_t intervals = READ(state->intervals), last = READ(state->next) % MODEL_RECENT;
    for (uint32_t i = 0; i < MODEL_RECENT && i + 1 < intervals; i++) {
        int32_t earlier = READ(state->recent[(last + MODEL_RECENT - i) % MODEL_RECENT]);
        best = earlier > best ? earlier : best;
    }
    last = (last + 1) % MODEL_RECENT;
    WRITE(state->next, last);
    WRITE(state->recent[last], score);
    int32_t pair = best < score ? best : score;
    return pair != SCORE_IDLE && pair + SECOND_WEIGHS > score ? pair + SECOND_WEIGHS : score;
}

int32_t model_score(const struct model_header *model, struct model_state *state, const uint64_t *counts,
                    struct model_work *work) {
    int32_t parts[PART_COUNT];
    if (!model_measure(model, state, counts, parts, work))
        return SCORE_IDLE;
    return model_combine(model, state, parts);
}

static int32_t slack_within_bounds(int64_t slack) {
    return slack > SLACK_MOST ? SLACK_MOST : slack < SLACK_LEAST ? SLACK_LEAST : (int32_t)slack;
}

int32_t model_threshold(const struct model_header *model, const struct model_state *state) {
    return model->threshold + slack_within_bounds(READ(state->slack)) / (SLACK_ONE / FIXED_ONE);
}

static void move_threshold(const struct model_header *model, struct model_state *state, bool is_over) {
    int64_t slack = slack_within_bounds(READ(state->slack));
    slack += (is_over ? SLACK_STEP : 0) - (int64_t)SLACK_STEP * model->rate_ppm / 1000000;
    WRITE(state->slack, slack_within_bounds(slack));
}

bool model_alarm(const struct model_header *model, struct model_state *state, int32_t score, bool never_seen) {
    bool is_starting = READ(state->intervals) <= MODEL_STARTING;
    bool is_over = !is_starting && score > model_threshold(model, state);
    if (score != SCORE_IDLE)
        move_threshold(model, state, is_over);
    uint32_t odd = READ(state->odd);
    odd = !never_seen && !is_over ? 0 : odd == UINT32_MAX ? odd : odd + 1;
    WRITE(state->odd, odd);
    return odd >= model->consecutive;
}

/* ---- Validation ---- */

static bool section_fits(const struct model_header *model, struct model_section section, uint64_t element) {
    return section.offset % 8 == 0 && section.offset >= sizeof *model && section.offset <= model->size &&
           section.count <= (model->size - section.offset) / element;
}

static const char *validate_sections(const struct model_header *model) {
    if (!section_fits(model, model->calls, sizeof(struct model_call)) ||
        !section_fits(model, model->weights, sizeof(int32_t)) ||
        !section_fits(model, model->sample, sizeof(uint16_t)) || !section_fits(model, model->text, 1))
        return "a section lies outside the file";
    if (model->calls.count == 0 || model->calls.count > MODEL_MAX_CALLS)
        return "it has no calls, or too many";
    if (model->hidden == 0 || model->hidden > MODEL_MAX_HIDDEN)
        return "its hidden layer is empty or too large";
    if (model->weights.count != model_weight_count(model->calls.count, model->hidden))
        return "its weights do not fit its shape";
    if (model->sample.count % model->calls.count != 0)
        return "its sample of intervals is cut off";
    const char *text = model_at(model, model->text);
    if (model->text.count == 0 || text[model->text.count - 1] != 0)
        return "its text does not end";
    return NULL;
}

static const char *validate_values(const struct model_header *model) {
    const struct model_call *calls = model_calls(model);
    for (uint32_t i = 0; i < model->calls.count; i++) {
        if (calls[i].name >= model->text.count)
            return "a call's name lies outside its text";
        if (calls[i].mean < 0 || calls[i].mean > 64 * FIXED_ONE || calls[i].inverse_deviation <= 0)
            return "a call's scaling is impossible";
    }
    for (int i = 0; i < PART_COUNT; i++)
        if (model->scales[i] < -64 * FIXED_ONE || model->scales[i] > 64 * FIXED_ONE)
            return "a scale is impossible";
    if (model->threshold < -256 * FIXED_ONE || model->threshold > 256 * FIXED_ONE)
        return "its threshold is impossible";
    if (model->rate_ppm > 1000000)
        return "its rate of false alarms is impossible";
    return NULL;
}

const char *model_validate(const void *file, size_t size) {
    const struct model_header *model = file;
    if (size < sizeof *model || __builtin_memcmp(model->magic, MODEL_MAGIC, sizeof model->magic) != 0)
        return "it is no model";
    if (model->version != MODEL_VERSION)
        return "it is a model of another version";
    if (model->size != size || size > MODEL_MAX_BYTES)
        return "it is cut off, or too large";
    if (model->interval_ms < 10 || model->interval_ms > 3600 * 1000 || model->consecutive == 0 ||
        model->consecutive > 1000)
        return "its intervals are impossible";
    const char *mistake = validate_sections(model);
    return mistake ? mistake : validate_values(model);
}
